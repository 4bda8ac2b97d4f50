"""Reads local content for the remote: untorn (P5), cut into pieces, of which only missing ones travel.

Owns the memory bound of an upload, whatever the size of the file: small content, or a window of pieces, and what the
remote has room for on its way. Never commits.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from blake3 import blake3

from syncd.chunks.chunker import AVERAGES, CHUNKER, average_for, chunk, cut
from syncd.chunks.manifest import Manifest, Piece, decode, encode, manifest_hash
from syncd.execute.dirs import is_expected, present
from syncd.execute.tools import Tools
from syncd.model.errors import Corrupt, OtherContent, Outdated
from syncd.model.job import Assignment
from syncd.model.node import Kind
from syncd.model.observation import Progress
from syncd.model.op import Op
from syncd.model.path import shown
from syncd.model.remote import Content
from syncd.observe.databases import HEADER, is_header, live_sidecars, may_be, together
from syncd.observe.snapshots import Snapshot, Snapshots
from syncd.ports import Dir, ReadFile, Remote, Stat

SMALL = 1 << 20
"""Content up to this size, in bytes, is held in memory and travels with others in one batch."""

ASKED: Final = 8192
"""Pieces the remote is asked for at a time."""


@dataclass(slots=True)
class Source:
    """A local file or symlink being uploaded. *held* has the data of small content, by hash."""

    assignment: Assignment
    directory: Dir
    name: str
    before: Stat
    file: ReadFile | None
    pieces: list[Piece] = field(default_factory=list)
    held: dict[bytes, bytes] = field(default_factory=dict)
    manifest: bytes | None = None
    moved: int = 0
    snapshot: Snapshot | None = None
    beside: list[ReadFile] = field(default_factory=list)

    @property
    def content(self) -> Content:
        """What the commit says of it."""
        op = self.assignment.op
        size = sum(piece.size for piece in self.pieces)
        return Content(op.hash or b"", size, manifest_hash(self.manifest) if self.manifest is not None else None)

    def require_untouched(self) -> None:
        """Raise Outdated unless the file is as it was before it was read, and still has its name (P5)."""
        if self.snapshot is not None:
            self._require_same_database()
            return
        if self.file is not None and self.file.stat().fingerprint != self.before.fingerprint:
            raise Outdated(f"{shown(self.name)} changed while it was read; looking again")
        now = self.directory.stat(self.name)
        if now is None or now.kind is not self.before.kind or now.fingerprint != self.before.fingerprint:
            raise Outdated(f"{shown(self.name)} was replaced while it was read; looking again")

    def _require_same_database(self) -> None:
        """What is read is a copy nobody changes, of a state that was committed here: it may go on changing meanwhile,
        but the name must still lead to that database."""
        now, expected = self.directory.stat(self.name), self.assignment.op.expected
        if now is None or now.kind is not Kind.FILE or (expected is not None and now.fingerprint.ino != expected.ino):
            raise Outdated(f"{shown(self.name)} was replaced while it was read; looking again")

    def require_hash(self, found: bytes) -> None:
        """Raise OtherContent unless what was read is what the op is about. Call ``require_untouched`` first."""
        if found != self.assignment.op.hash:
            raise OtherContent(f"{shown(self.name)} has other content than when this was planned; reading it again")

    @property
    def durable(self) -> list[ReadFile]:
        """The files of this folder that must be durable before the remote is told."""
        return self.beside or ([self.file] if self.file is not None else [])

    def close(self) -> None:
        for file in (*self.beside, *(() if self.file is None else (self.file,))):
            file.close()


def open_source(tools: Tools, directory: Dir, assignment: Assignment) -> Source:
    """Open what an upload reads; raises Outdated when it is not what the op expects to find (P6)."""
    op = assignment.op
    name = op.place.name
    if op.hash is None:
        raise Outdated(f"the content of {shown(name)} is not known; looking again")
    stat = present(directory, name, tools.fs.traits)
    if stat is None or stat.kind is not op.kind:
        raise Outdated(f"{shown(name)} is no longer there; looking again")
    source = Source(assignment, directory, name, stat, None)
    if op.kind is Kind.FILE:
        source.file = directory.open(name)
        source.before = source.file.stat()
        if tools.snapshots is not None and _needs_copy(source):
            source.file.close()
            source.file = None
            return _open_snapshot(tools.snapshots, source)
    if op.expected is not None and not is_expected(source.before, op.expected):
        source.close()
        raise Outdated(f"{shown(name)} is not as it was when this was planned; looking again")
    return source


def _needs_copy(source: Source) -> bool:
    """Return whether a copy is to be sent instead of the file: of a database whose main file is not what was hashed."""
    file, op = source.file, source.assignment.op
    if file is None or op.expected is None or is_expected(source.before, op.expected):
        return False
    return may_be(source.before) and is_header(file.read(0, HEADER))


def _open_snapshot(snapshots: Snapshots, source: Source) -> Source:
    """Open the copy that was hashed when this was planned, or else a new one."""
    op = source.assignment.op
    ino = source.before.fingerprint.ino
    if op.hash is None or (op.expected is not None and op.expected.ino != ino):
        raise Outdated(f"{shown(source.name)} is not as it was when this was planned; looking again")
    snapshot = snapshots.find(op.hash, ino)
    live = live_sidecars(source.directory, source.name)
    if snapshot is None and live:
        snapshot = snapshots.take(source.directory, source.name, together(source.before, live))
    if snapshot is None or snapshot.hash != op.hash:
        raise Outdated(f"{shown(source.name)} has other content than when this was planned; looking again")
    source.snapshot = snapshot
    try:
        with snapshots.open_folder() as folder:
            source.file = folder.open(snapshot.name)
        source.before = source.file.stat()
        for name in (source.name, source.name + "-wal"):
            if source.directory.stat(name) is not None:
                source.beside.append(source.directory.open(name))
    except BaseException:
        source.close()
        raise
    return source


def read_small(source: Source) -> None:
    """Read content that is held in memory: a symlink's target, or a file of up to ``SMALL`` bytes."""
    size = source.before.fingerprint.size
    if source.file is None:
        target = source.directory.readlink(source.name)
        source.require_untouched()
        source.require_hash(blake3(target).digest())
        source.pieces = [Piece(blake3(target).digest(), len(target))]
        source.held = {source.pieces[0].hash: target}
    else:
        hasher = blake3()
        for piece, data in chunk(source.file.read, size, average_for(size)):
            hasher.update(data)
            source.pieces.append(piece)
            source.held[piece.hash] = data
        source.require_untouched()
        source.require_hash(hasher.digest())
        source.manifest = _manifest_of(source.pieces, average_for(size))


def send_large(tools: Tools, source: Source) -> None:
    """Send what the remote lacks of a large file, a window of pieces at a time.

    A file that was cut when it was looked at is not read again, but for the pieces that are sent. An interrupted upload
    resumes by itself: what arrived is present at the next attempt.
    """
    assert source.file is not None
    fingerprint = source.before.fingerprint
    average = average_over(tools.remote, source.assignment.op, fingerprint.size)
    known = tools.cuts.find(fingerprint, source.assignment.op.hash or b"", average) if tools.cuts is not None else None
    if known is None:
        missing = _cutting(tools, source, source.file, average)
    else:
        missing = _missing_of(tools, source, known.pieces)
    # Read as there is room on the way: the remote stores one part while the next is read and another one travels.
    tools.remote.put_chunks(missing)
    source.manifest = _manifest_of(source.pieces, average)
    if source.manifest is not None:
        tools.remote.put_manifest(manifest_hash(source.manifest), source.manifest)
    tools.progress(Progress(source.assignment.op_id, fingerprint.size, fingerprint.size, sent=source.moved))


def _cutting(tools: Tools, source: Source, file: ReadFile, average: int) -> Iterator[tuple[bytes, bytes]]:
    """Read the file once from end to end: cut it, hash it, and yield what is missing as it comes."""
    size = source.before.fingerprint.size
    hasher = blake3()
    window: dict[bytes, bytes] = {}
    asked: set[bytes] = set()  # what is on its way the remote still lacks
    held = done = 0
    for view, pieces in cut(file.read_into, size, average):
        hasher.update(view)
        source.pieces += pieces
        done += len(view)
        start = 0
        for piece in pieces:
            if piece.hash not in asked:
                asked.add(piece.hash)
                window[piece.hash] = bytes(view[start : start + piece.size])
                held += piece.size
            start += piece.size
        if held >= tools.limits.window_bytes:
            yield from _lacking(tools, source, window)
            window, held = {}, 0
            _go_on(tools, source, done)
    source.require_untouched()
    source.require_hash(hasher.digest())
    yield from _lacking(tools, source, window)


def _lacking(tools: Tools, source: Source, window: dict[bytes, bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield what the remote lacks of *window*."""
    missing = set(tools.remote.missing(list(window))) if window else ()
    for content, data in window.items():
        if content in missing:
            source.moved += len(data)
            yield content, data


def _missing_of(tools: Tools, source: Source, pieces: Sequence[Piece]) -> Iterator[tuple[bytes, bytes]]:
    """Yield what is missing of a file whose pieces are known. The remote is asked for many at once."""
    source.pieces = list(pieces)
    asked: set[bytes] = set()  # what is on its way the remote still lacks
    offset = held = 0
    for start in range(0, len(pieces), ASKED):
        some = pieces[start : start + ASKED]
        new = [content for content in dict.fromkeys(piece.hash for piece in some) if content not in asked]
        asked.update(new)
        missing = set(tools.remote.missing(new)) if new else set()
        for piece in some:
            if piece.hash in missing:
                missing.remove(piece.hash)
                source.moved += piece.size
                held += piece.size
                yield piece.hash, _piece_data(source, piece, offset)
            offset += piece.size
            if held >= tools.limits.window_bytes:
                held = 0
                _go_on(tools, source, offset)
        _go_on(tools, source, offset)


def _go_on(tools: Tools, source: Source, done: int) -> None:
    """Tell how far it is, and stop early what would be in vain."""
    tools.progress(Progress(source.assignment.op_id, done, source.before.fingerprint.size, sent=source.moved))
    source.require_untouched()
    tools.stop_if_cancelled()


def average_over(remote: Remote, op: Op, size: int) -> int:
    """Return the average piece size, in bytes, for content of *size* bytes that replaces what *op* is based on.

    A file that grows over a boundary keeps the way its base was cut, or each of its pieces would travel again. The
    remote is asked for the base's manifest only where that could matter.
    """
    if op.manifest is None or {average_for(size, base) for base in AVERAGES} == {average_for(size)}:
        return average_for(size)
    try:
        base = decode(remote.get_manifest(op.manifest))
    except (Outdated, Corrupt):  # it is only a matter of what travels; how the content is cut, its own manifest says
        return average_for(size)
    return average_for(size, base.average if base.chunker == CHUNKER else None)


def send_small(tools: Tools, sources: Sequence[Source]) -> None:
    """Send the content of many small sources: one question, few answers."""
    held: dict[bytes, bytes] = {}
    owners: dict[bytes, Source] = {}
    for source in sources:
        held |= source.held
        owners |= dict.fromkeys(source.held, source)
    manifests = {manifest_hash(s.manifest): s.manifest for s in sources if s.manifest is not None}
    asked = [*held, *manifests]
    if not asked:
        return
    missing = set(tools.remote.missing(asked))
    wanted = {content: data for content, data in held.items() if content in missing}
    _put(tools, wanted)
    for content, data in wanted.items():
        owners[content].moved += len(data)
    for content, encoded in manifests.items():
        if content in missing:
            tools.remote.put_manifest(content, encoded)


def send_again(tools: Tools, source: Source, missing: Iterable[bytes]) -> None:
    """Send pieces the remote lost between our question and the commit (its collection ran)."""
    wanted = set(missing)
    offset = 0
    window: dict[bytes, bytes] = {}
    held = 0
    for piece in source.pieces:
        if piece.hash in wanted and piece.hash not in window:
            window[piece.hash] = _piece_data(source, piece, offset)
            held += piece.size
        offset += piece.size
        if held >= tools.limits.window_bytes:
            _put(tools, window)
            wanted -= set(window)
            window, held = {}, 0
    _put(tools, window)
    if source.manifest is not None:
        tools.remote.put_manifest(manifest_hash(source.manifest), source.manifest)


def _put(tools: Tools, chunks: dict[bytes, bytes]) -> None:
    batch: list[tuple[bytes, bytes]] = []
    total = 0
    for content, data in chunks.items():
        if batch and total + len(data) > 4 * tools.limits.window_bytes:
            tools.remote.put_chunks(batch)
            batch, total = [], 0
        batch.append((content, data))
        total += len(data)
    if batch:
        tools.remote.put_chunks(batch)


def _piece_data(source: Source, piece: Piece, offset: int) -> bytes:
    held = source.held.get(piece.hash)
    if held is not None:
        return held
    data = source.file.read(offset, piece.size) if source.file is not None else b""
    if blake3(data).digest() != piece.hash:
        raise Outdated(f"{shown(source.name)} changed while it was read; looking again")
    return data


def _manifest_of(pieces: Sequence[Piece], average: int) -> bytes | None:
    if len(pieces) < 2:
        return None
    return encode(Manifest(CHUNKER, average, tuple(pieces)))
