"""The manifest: the list of pieces of one content, and its encoding.

Owns the binary form and every limit on it; decoding trusts nothing. Never cuts content (chunker) and never stores.
A content of one chunk has no manifest: its chunk's hash is its content's hash.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from blake3 import blake3

from syncd.model.errors import Corrupt

HASH_BYTES: Final = 32
"""Length of every BLAKE3 hash."""

MAX_PIECE: Final = 16 << 20
"""Largest piece, in bytes; nobody holds more than one piece of a file in memory at a time."""

MAX_ENCODED: Final = 16 << 20
"""Largest encoded manifest, in bytes: 466,000 pieces, 1.8 TB at the largest average."""

MAX_SIZE: Final = (1 << 63) - 1
"""Largest content, in bytes."""

_MAGIC: Final = b"syncd\x00mf\x01"
_HEAD: Final = struct.Struct("<BII")  # length of the chunker's name, average, number of pieces
_PIECE: Final = struct.Struct("<32sI")
_MAX_CHUNKER: Final = 32


@dataclass(frozen=True, slots=True)
class Piece:
    """One chunk of a content: BLAKE3 hash and size in bytes."""

    hash: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The pieces of a content in order. *chunker* and *average* say how it was cut, so that a later version of the
    content is cut alike."""

    chunker: str
    average: int
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Size of the whole content, in bytes."""
        return sum(piece.size for piece in self.pieces)


def located(pieces: Sequence[Piece]) -> tuple[tuple[bytes, int, int], ...]:
    """Return (hash, offset, size) of each of *pieces*, which follow each other."""
    found: list[tuple[bytes, int, int]] = []
    offset = 0
    for piece in pieces:
        found.append((piece.hash, offset, piece.size))
        offset += piece.size
    return tuple(found)


def encode(manifest: Manifest) -> bytes:
    """Return the one encoding of *manifest*; raises ValueError for one that ``decode`` would refuse."""
    fault = _fault(manifest)
    if fault is not None:
        raise ValueError(f"a manifest that {fault} cannot be encoded")
    name = manifest.chunker.encode("ascii")
    body = b"".join([_PIECE.pack(piece.hash, piece.size) for piece in manifest.pieces])
    return _MAGIC + _HEAD.pack(len(name), manifest.average, len(manifest.pieces)) + name + body


def decode(data: bytes) -> Manifest:
    """Return the manifest that *data* encodes; raises Corrupt for anything that ``encode`` would not have made."""
    start = len(_MAGIC)
    if len(data) > MAX_ENCODED:
        raise Corrupt(f"a manifest of {len(data)} bytes is over the limit of {MAX_ENCODED}")
    if data[:start] != _MAGIC or len(data) < start + _HEAD.size:
        raise Corrupt("this is not a manifest")
    name_length, average, count = _HEAD.unpack_from(data, start)
    name_at = start + _HEAD.size
    pieces_at = name_at + name_length
    if len(data) != pieces_at + count * _PIECE.size:
        raise Corrupt("a manifest is longer or shorter than it says")
    try:
        chunker = data[name_at:pieces_at].decode("ascii")
    except UnicodeDecodeError as error:
        raise Corrupt("a manifest does not name its chunker") from error
    pieces = tuple([Piece(*fields) for fields in _PIECE.iter_unpack(memoryview(data)[pieces_at:])])
    manifest = Manifest(chunker, average, pieces)
    fault = _fault(manifest)
    if fault is not None:
        raise Corrupt(f"a manifest {fault}")
    return manifest


def manifest_hash(encoded: bytes) -> bytes:
    """Return the hash under which an encoded manifest is addressed: BLAKE3 of the encoding."""
    return blake3(encoded).digest()


def _fault(manifest: Manifest) -> str | None:
    name = manifest.chunker
    if not name or len(name) > _MAX_CHUNKER or not (name.isascii() and name.isprintable()):
        return "does not name its chunker"
    if not 1 <= manifest.average <= MAX_PIECE:
        return "names an impossible average"
    if len(manifest.pieces) < 2:  # one representation for each content (P3): one chunk needs no list
        return "has fewer than two pieces"
    if len(_MAGIC) + _HEAD.size + len(name) + len(manifest.pieces) * _PIECE.size > MAX_ENCODED:
        return "has too many pieces"
    for piece in manifest.pieces:
        if len(piece.hash) != HASH_BYTES or not 1 <= piece.size <= MAX_PIECE:
            return "has an impossible piece"
    return None
