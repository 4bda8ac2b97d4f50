"""The control thread's work: observations in, ops out, results settled. One way in: Engine.step."""
