"""Content as chunks: cutting it into pieces, and the list of pieces. Pure; knows no storage."""
