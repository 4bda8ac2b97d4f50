"""Hashing content through the file port: streaming, with memory that does not grow with the file."""

from typing import Final

from blake3 import blake3

from syncd.ports import ReadFile

PIECE_BYTES: Final = 1 << 20
MANY_THREADS_ABOVE: Final = 16 << 20
"""Smaller files are hashed on one thread: starting more costs more than it saves."""

_LARGE_PIECE_BYTES: Final = 4 << 20


def hash_bytes(data: bytes) -> bytes:
    """Return the BLAKE3 hash of *data*."""
    return blake3(data).digest()


def hash_file(file: ReadFile, size: int) -> bytes | None:
    """Return the BLAKE3 hash of the first *size* bytes of *file*, or None when it holds fewer by now."""
    large = size > MANY_THREADS_ABOVE
    hasher = blake3(max_threads=blake3.AUTO if large else 1)
    buffer = memoryview(bytearray(min(size, _LARGE_PIECE_BYTES if large else PIECE_BYTES)))
    offset = 0
    while offset < size:
        part = buffer[: size - offset]
        if file.read_into(offset, part) < len(part):
            return None
        hasher.update(part)
        offset += len(part)
    return hasher.digest()
