"""syncd keeps a folder and a remote the same, in both directions, and never loses what a person wrote."""

__version__ = "0.1.0"
