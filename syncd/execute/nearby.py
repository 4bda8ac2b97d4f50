"""Puts the pieces of one large content together: what an earlier attempt, local files or the file to be replaced hold
is taken from there, in long runs; only the rest is asked of the remote. Every piece is verified by its hash.

Owns the memory bound of a download: two windows of pieces, whatever the size of the file. Writes nothing.
"""

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Final, NamedTuple

from blake3 import blake3

from syncd.chunks.chunker import cut
from syncd.chunks.manifest import Manifest, Piece
from syncd.execute.tools import Tools
from syncd.model.errors import Corrupt
from syncd.model.path import RelPath
from syncd.ports import ReadFile

ASKED: Final = 8192
"""Pieces whose places are looked up at a time."""

WORTH_A_READ: Final = 64
"""The file to be replaced is read and cut where more than this part of a content is found nowhere else. Less costs less
to fetch: where the chunk cache knows that file, what is missing is new."""

MOST_OPEN: Final = 16


class _Spot(NamedTuple):
    """A piece, and where its data goes in the window."""

    piece: Piece
    at: int


class _Place(NamedTuple):
    """Where the data of a piece may be: an offset in a file."""

    spot: _Spot
    offset: int


class Nearby:
    """The pieces of one content, as windows of data. *attempts* are files that hold, or begin to hold, that content;
    *old* is the file it will replace. All are closed with this."""

    def __init__(self, tools: Tools, manifest: Manifest, attempts: Sequence[ReadFile], old: ReadFile | None) -> None:
        self._tools = tools
        self._manifest = manifest
        self._attempts = attempts
        self._old = old
        self._index: dict[bytes, int] | None = None
        self._open: dict[RelPath, ReadFile] = {}
        self.moved = 0
        """Bytes that travelled."""

    def __enter__(self) -> "Nearby":
        return self

    def __exit__(self, *exc: object) -> None:
        self._close_open()
        for file in (*self._attempts, *(() if self._old is None else (self._old,))):
            file.close()

    def windows(self) -> Iterator[memoryview]:
        """Yield the content from beginning to end; each view holds until the one after the next is asked for."""
        pieces, most = self._manifest.pieces, self._tools.limits.window_bytes
        largest = max(piece.size for piece in pieces)
        room = min(self._manifest.size, max(most, largest))
        several = room < self._manifest.size or len(pieces) > ASKED
        buffers = cycle([memoryview(bytearray(room)) for _ in range(1 + several)])
        offset = 0
        for start in range(0, len(pieces), ASKED):
            windows = list(_windows(pieces[start : start + ASKED], most))
            places = self._places(pieces[start : start + ASKED])
            lacking = [self._lacking(window, places) for window in windows]
            asked = [content for window in lacking for content in window]
            # One request for many windows: the remote reads and sends while we write.
            stream = None if self._attempts or not asked else iter(self._tools.remote.get_chunks(asked))
            for window, travelling in zip(windows, lacking, strict=True):
                self._tools.stop_if_cancelled()
                size = sum(piece.size for piece in window)
                view = next(buffers)[:size]
                self._fill(window, offset, view, places, travelling, stream)
                yield view
                offset += size

    # --- where pieces are ----------------------------------------------------------------------------------------

    def _places(self, pieces: Sequence[Piece]) -> dict[bytes, tuple[RelPath, int]]:
        """Return where local files should have pieces, as far as the chunk cache knows."""
        sizes = {piece.hash: piece.size for piece in pieces}
        found = {} if self._tools.cache is None else self._tools.cache.locate(list(sizes))
        places = {
            content: (path, offset) for content, (path, offset, size) in found.items() if sizes.get(content) == size
        }
        missing = sum(size for content, size in sizes.items() if content not in places)
        if self._index is None and self._old is not None and missing * WORTH_A_READ > sum(sizes.values()):
            self._index = self._cut(self._old)
        return places

    def _cut(self, old: ReadFile) -> dict[bytes, int]:
        """Return where the file to be replaced has which pieces: an edit leaves most of them as they were."""
        index: dict[bytes, int] = {}
        offset = 0
        try:
            for _, pieces in cut(old.read_into, old.stat().fingerprint.size, self._manifest.average):
                for piece in pieces:
                    index.setdefault(piece.hash, offset)
                    offset += piece.size
        except (OSError, ValueError):
            return {}  # unreadable, or cut with an average we cannot use: the remote has every piece
        return index

    def _lacking(self, window: Sequence[Piece], places: dict[bytes, tuple[RelPath, int]]) -> list[bytes]:
        index = self._index or {}
        wanted = dict.fromkeys(piece.hash for piece in window)
        return [content for content in wanted if content not in places and content not in index]

    # --- taking them ---------------------------------------------------------------------------------------------

    def _fill(
        self,
        window: Sequence[Piece],
        offset: int,
        into: memoryview,
        places: dict[bytes, tuple[RelPath, int]],
        travelling: Sequence[bytes],
        stream: Iterator[tuple[bytes, bytes]] | None,
    ) -> None:
        left, at = [], 0
        for piece in window:
            left.append(_Spot(piece, at))
            at += piece.size
        for file in self._attempts:
            left = _take(file, [_Place(spot, offset + spot.at) for spot in left], into)
        left = self._from_files(left, into, places)
        if self._old is not None and self._index:
            left = _take(self._old, _at(left, self._index), into) + [s for s in left if s.piece.hash not in self._index]
        if left and stream is not None:
            left = self._from_remote(left, into, len(travelling), stream)
        if left:
            asked = list(dict.fromkeys(spot.piece.hash for spot in left))
            left = self._from_remote(left, into, len(asked), iter(self._tools.remote.get_chunks(asked)))
        if left:
            raise Corrupt("the remote did not send every chunk it was asked for")

    def _from_files(
        self, spots: Sequence[_Spot], into: memoryview, places: dict[bytes, tuple[RelPath, int]]
    ) -> list[_Spot]:
        files: dict[RelPath, list[_Place]] = {}
        left = []
        for spot in spots:
            where = places.get(spot.piece.hash)
            if where is None:
                left.append(spot)
            else:
                files.setdefault(where[0], []).append(_Place(spot, where[1]))
        for path in sorted(files):
            try:
                left += _take(self._opened(path), files[path], into)
            except OSError:
                left += [place.spot for place in files[path]]  # a hint that no longer holds
        return left

    def _from_remote(
        self, spots: Sequence[_Spot], into: memoryview, count: int, stream: Iterator[tuple[bytes, bytes]]
    ) -> list[_Spot]:
        """Take the next *count* chunks of *stream*; returns what is left."""
        wanted: dict[bytes, list[_Spot]] = {}
        for spot in spots:
            wanted.setdefault(spot.piece.hash, []).append(spot)
        for _ in range(count):
            content, data = next(stream, (b"", b""))
            found = wanted.pop(content, None)
            if found is None or len(data) != found[0].piece.size or blake3(data).digest() != content:
                raise Corrupt(f"what the remote sent for chunk {content.hex()[:16]} is something else")
            for spot in found:
                into[spot.at : spot.at + spot.piece.size] = data
            self.moved += len(data)
        return [spot for found in wanted.values() for spot in found]

    def _opened(self, path: RelPath) -> ReadFile:
        if path not in self._open:
            if len(self._open) >= MOST_OPEN:
                self._close_open()
            with self._tools.fs.open_dir(path[:-1]) as directory:
                self._open[path] = directory.open(path[-1])
        return self._open[path]

    def _close_open(self) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()


def _at(spots: Sequence[_Spot], index: dict[bytes, int]) -> list[_Place]:
    return [_Place(spot, index[spot.piece.hash]) for spot in spots if spot.piece.hash in index]


def _take(file: ReadFile, places: Sequence[_Place], into: memoryview) -> list[_Spot]:
    """Read *places* of *file* into the window, what lies together at once; returns where it is something else."""
    left: list[_Spot] = []
    start = 0
    for number, (spot, offset) in enumerate(places):
        end = spot.at + spot.piece.size
        after = places[number + 1] if number + 1 < len(places) else None
        if after is not None and (after.spot.at, after.offset) == (end, offset + spot.piece.size):
            continue
        first = places[start]
        file.read_into(first.offset, into[first.spot.at : end])
        for piece, at in (place.spot for place in places[start : number + 1]):
            if blake3(into[at : at + piece.size]).digest() != piece.hash:
                left.append(_Spot(piece, at))
        start = number + 1
    return left


def _windows(pieces: Sequence[Piece], most: int) -> Iterator[list[Piece]]:
    window: list[Piece] = []
    total = 0
    for piece in pieces:
        if window and total + piece.size > most:
            yield window
            window, total = [], 0
        window.append(piece)
        total += piece.size
    if window:
        yield window
