"""From three snapshots to ops: pure, deterministic, and never asks which remote or which disk it is. Imports
only ``model``."""
