"""The hub: spaces, their journal, chunks and devices. A column of its own; knows the client only by its words."""
