"""The control socket: how a person's question reaches a running daemon, and the answer comes back."""
