"""Cuts content into pieces where the content itself says so, so that an edit moves few of them.

Owns the parameters of cutting (FastCDC 2020, gear hash). Never opens a file and never holds more than a few pieces.
"""

from collections.abc import Callable, Iterator
from typing import Final

from blake3 import blake3
from pyfastcdc import FastCDC

from syncd.chunks.manifest import Piece

CHUNKER: Final = "fastcdc-2020"
"""Name of the way of cutting, as manifests carry it."""

SMALL_AVERAGE: Final = 64 << 10
MIDDLE_AVERAGE: Final = 1 << 20
LARGE_AVERAGE: Final = 4 << 20
"""Averages by size of content: more, smaller pieces where a manifest stays short all the same."""

AVERAGES: Final = (SMALL_AVERAGE, MIDDLE_AVERAGE, LARGE_AVERAGE)
"""Every average there is."""

WHOLE: Final = 256 << 10
"""Content up to this size, in bytes, is one chunk: no manifest, no extra round trip."""

_MIDDLE_FROM: Final = 4 << 30
_LARGE_FROM: Final = 64 << 30
_KEEP_FACTOR: Final = 4  # how far a content may outgrow, or shrink below, the average it was cut with

Read = Callable[[int, int], bytes]
"""Read up to *size* bytes at *offset*: ``read(offset, size)``."""


def average_for(size: int, base_average: int | None = None) -> int:
    """Return the average piece size, in bytes, for content of *size* bytes.

    *base_average* is how the previous version was cut: it is kept while the right average is within a factor of it,
    because content cut in another way shares no piece with what is already there.
    """
    if size <= _MIDDLE_FROM:
        right = SMALL_AVERAGE
    elif size <= _LARGE_FROM:
        right = MIDDLE_AVERAGE
    else:
        right = LARGE_AVERAGE
    if base_average not in AVERAGES or base_average is None:
        return right
    within = size <= _KEEP_FACTOR * _most(base_average) and size * _KEEP_FACTOR > _least(base_average)
    return base_average if within else right


def chunk(read: Read, size: int, average: int) -> Iterator[tuple[Piece, bytes]]:
    """Yield the pieces of the first *size* bytes with their data, in order; memory stays within a few pieces.

    Content up to ``WHOLE`` bytes is a single piece; empty content has none. Where *read* comes back short, less than
    *size* bytes are yielded: the caller compares sizes and hashes (P5).
    """
    if size <= WHOLE:
        data = read(0, size)
        if data:
            yield Piece(blake3(data).digest(), len(data)), data
        return
    cutter = FastCDC(average, min_size=average // 4, max_size=average * 4)
    for cut in cutter.cut_stream(_Stream(read, size)):
        data = bytes(cut.data)  # the view is only valid until the next cut
        yield Piece(blake3(data).digest(), len(data)), data


def _most(average: int) -> int:
    return {SMALL_AVERAGE: _MIDDLE_FROM, MIDDLE_AVERAGE: _LARGE_FROM}.get(average, 1 << 62)


def _least(average: int) -> int:
    return {MIDDLE_AVERAGE: _MIDDLE_FROM, LARGE_AVERAGE: _LARGE_FROM}.get(average, 0)


class _Stream:
    """Reads at offsets, seen as the stream the cutter wants."""

    def __init__(self, read: Read, size: int) -> None:
        self._read = read
        self._at = 0
        self._size = size

    def read(self, size: int) -> bytes:
        data = self._read(self._at, min(size, self._size - self._at))
        self._at += len(data)
        return data
