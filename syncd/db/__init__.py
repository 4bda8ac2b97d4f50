"""The database of one root: a cache that can be rebuilt (P9), written by the control thread alone (P11)."""
