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
MIDDLE_AVERAGE: Final = 256 << 10
LARGE_AVERAGE: Final = 1 << 20
HUGE_AVERAGE: Final = 4 << 20
"""Average sizes of pieces, in bytes. Each piece costs some 100 µs on its way, whatever its size; each edit moves one or
two, and a manifest of 36 bytes a piece."""

_UP_TO: Final = {SMALL_AVERAGE: 256 << 20, MIDDLE_AVERAGE: 4 << 30, LARGE_AVERAGE: 64 << 30, HUGE_AVERAGE: 1 << 62}
"""The largest content cut into pieces of an average: there an edit moves about as much as the manifest takes."""

AVERAGES: Final = tuple(_UP_TO)
"""Every average there is, the smallest first."""

WHOLE: Final = 256 << 10
"""Content up to this size, in bytes, is one chunk: no manifest, no extra round trip."""

_RUN: Final = 1 << 20  # bytes read and cut at a time, where pieces are small: they are still in the processor's cache

_KEEP_FACTOR: Final = 4  # how far a content may outgrow, or shrink below, the average it was cut with

Read = Callable[[int, int], bytes]
"""Read up to *size* bytes at *offset*: ``read(offset, size)``."""

Fill = Callable[[int, memoryview], int]
"""Read into a buffer: ``fill(offset, buffer)`` returns how many bytes it got, fewer than asked for only at the end."""


def average_for(size: int, base_average: int | None = None) -> int:
    """Return the average piece size, in bytes, for content of *size* bytes.

    *base_average* is how the previous version was cut: it is kept while the right average is within a factor of it,
    because content cut in another way shares no piece with what is already there.
    """
    right = next(average for average, most in _UP_TO.items() if size <= most)
    if base_average not in AVERAGES or base_average is None:
        return right
    least = max((most for average, most in _UP_TO.items() if average < base_average), default=0)
    within = size <= _KEEP_FACTOR * _UP_TO[base_average] and size * _KEEP_FACTOR > least
    return base_average if within else right


def cut(fill: Fill, size: int, average: int) -> Iterator[tuple[memoryview, list[Piece]]]:
    """Yield runs of whole pieces, in order, with their data: a view that holds only until the next run is asked for.

    One buffer is filled again and again: nothing is copied, and memory is bound by the largest piece. Content up to
    ``WHOLE`` bytes is a single piece; empty content has none. Where *fill* comes back short, less than *size* bytes are
    yielded: the caller compares sizes and hashes (P5).
    """
    largest = average * 4
    view = memoryview(bytearray(min(size, max(_RUN, 2 * largest))))
    cutter = FastCDC(average, min_size=average // 4, max_size=largest) if size > WHOLE else None
    held = at = 0
    while at < size:
        free = view[held : held + size - at]
        got = fill(at, free)
        at, held = at + got, held + got
        last = at >= size or got < len(free)
        ends = [held] if cutter is None else [found.offset + found.length for found in cutter.cut_buf(view[:held])]
        if not last:
            ends.pop()  # where the buffer ends: the content may go on
        pieces, start = [], 0
        for end in ends:
            if end > start:
                pieces.append(Piece(blake3(view[start:end]).digest(), end - start))
            start = end
        if pieces:
            yield view[:start], pieces
        if last:
            return
        view[: held - start] = view[start:held]
        held -= start


def chunk(read: Read, size: int, average: int) -> Iterator[tuple[Piece, bytes]]:
    """Yield the pieces of the first *size* bytes one by one, each with a copy of its data; else as ``cut``."""

    def fill(at: int, into: memoryview) -> int:
        data = read(at, len(into))
        into[: len(data)] = data
        return len(data)

    for view, pieces in cut(fill, size, average):
        start = 0
        for piece in pieces:
            yield piece, bytes(view[start : start + piece.size])
            start += piece.size
