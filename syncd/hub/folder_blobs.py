"""The blob store in a folder: chunks packed into containers, in the order they came.

Owns file names, record layout, compression and durability. Files are written once, under random names, and count
only when the database names them: what a crash leaves is harmless. Never knows who may read what.
"""

import errno
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import zstandard
from blake3 import blake3

from syncd.hub.store import Location
from syncd.model.errors import Corrupt, NoSpace, Outdated, Transient
from syncd.ports import Chance

CHUNKS: Final = "chunks"
"""The chunk folder's name in the hub's data folder."""

PACK_LIMIT: Final = 32 << 20
"""A container is closed when it reaches this many bytes."""

_HEAD: Final = struct.Struct("<4sB32sII")  # magic, codec, BLAKE3 of the raw bytes, raw size, stored size
_MAGIC: Final = b"SYC1"
_RAW, _ZSTD = 0, 1
_NAME: Final = 32  # characters in a container's name
_LEVEL: Final = 3
_WORTH_IT: Final = 0.95
"""Compressed bytes are kept only when they are fewer than this share: reading raw bytes is cheaper."""

_SAMPLE: Final = 4096
_WRITE_BYTES: Final = 1 << 20  # written in one call: compressed, they take memory twice
_AT_ONCE: Final = 512  # parts in one call; systems take 1,024


class _Record(NamedTuple):
    """What is stored of one chunk."""

    head: bytes
    body: bytes

    @property
    def size(self) -> int:
        return len(self.head) + len(self.body)


class FolderBlobs:
    """Chunks below one folder. Thread-safe: nothing is shared between calls but the file system."""

    def __init__(self, folder: Path, chance: Chance) -> None:
        self._folder = folder
        self._chance = chance
        if not folder.is_dir():
            # What is above belongs to whoever put the hub there; the hub's own two folders are private.
            folder.parent.parent.mkdir(parents=True, exist_ok=True)
            for own in (folder.parent, folder):
                own.mkdir(mode=0o700, exist_ok=True)
                _sync_folder(own.parent)

    @property
    def folder(self) -> Path:
        """Where the containers are."""
        return self._folder

    def write(self, blobs: Sequence[tuple[bytes, bytes]]) -> Sequence[Location]:
        """Store (hash, data) pairs; all durable when this returns. Raises NoSpace, and then nothing of them is left."""
        with closing(self.begin()) as writer:
            writer.add(blobs)
            return writer.finish()

    def begin(self) -> "FolderWriter":
        """Return what writes chunks as they come, and makes them durable together."""
        return FolderWriter(self)

    def read(self, chunk_hash: bytes, size: int, location: Location) -> bytes:
        """Return the raw bytes, verified; raises Outdated when the container is gone, Corrupt when they are wrong."""
        try:
            descriptor = os.open(self._path(location.container), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise Outdated(f"container {location.container} is gone") from error
        except OSError as error:
            raise Transient(f"the hub's disk failed: {error}") from error
        try:
            record = _read_exactly(descriptor, location)
        finally:
            os.close(descriptor)
        return _content(record, chunk_hash, size)

    def size(self, container: str) -> int | None:
        """Return a container's size in bytes, None when it is not there."""
        try:
            return self._path(container).stat().st_size
        except FileNotFoundError:
            return None

    def remove(self, container: str) -> None:
        """Remove a container; one that is gone already is fine."""
        self._path(container).unlink(missing_ok=True)

    def leftovers(self, older_than: float) -> Iterator[str]:
        """Yield containers last written before *older_than* (seconds since the epoch), in order."""
        for fan in sorted(path for path in self._folder.iterdir() if path.is_dir()):
            for path in sorted(fan.iterdir()):
                try:
                    old = path.stat().st_mtime < older_than
                except FileNotFoundError:
                    continue
                if old and len(path.name) == _NAME and path.name.isalnum() and path.name[:2] == fan.name:
                    yield path.name

    def new_container(self) -> str:
        """Return a name that no container has."""
        return self._chance.token(_NAME // 2).hex()

    def path_of(self, container: str) -> Path:
        """Return where a container is."""
        return self._path(container)

    def _path(self, container: str) -> Path:
        # Names come from our database only, but a damaged one must not lead out of the folder (P10).
        if not container.isalnum() or not container.isascii():
            raise Corrupt(f"{container!r} does not name a container")
        return self._folder / container[:2] / container


class FolderWriter:
    """Chunks on their way into containers that become durable together: while one is synced, the disk works on the
    others as well. Of what was not finished nothing stays. One thread at a time."""

    def __init__(self, blobs: FolderBlobs) -> None:
        self._blobs = blobs
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self._locations: list[Location] = []
        self._opened: dict[Path, int] = {}
        self._container, self._path, self._size = "", Path(), PACK_LIMIT

    def add(self, blobs: Sequence[tuple[bytes, bytes]]) -> None:
        """Write (hash, data) pairs, which are not durable yet. Raises NoSpace."""
        pack: list[bytes] = []
        packed = 0
        for digest, data in blobs:
            if self._size >= PACK_LIMIT:
                self._write(pack)
                self._open()
                pack, packed = [], 0
            record = _record(self._compressor, digest, data)
            self._locations.append(Location(self._container, self._size, record.size))
            self._size += record.size
            packed += record.size
            pack += record
            if packed >= _WRITE_BYTES:
                self._write(pack)
                pack, packed = [], 0
        self._write(pack)

    def finish(self) -> Sequence[Location]:
        """Make all of it durable, containers and the folders they are in; return where it is, in the order given."""
        with _disk_faults():
            for descriptor in self._opened.values():
                os.fsync(descriptor)
            for folder in dict.fromkeys(path.parent for path in self._opened):
                _sync_folder(folder)
            if self._opened:
                _sync_folder(self._blobs.folder)  # another request may have made one of them a moment ago
            while self._opened:
                os.close(self._opened.popitem()[1])
        return self._locations

    def close(self) -> None:
        """Remove what was not finished."""
        while self._opened:
            path, descriptor = self._opened.popitem()
            with suppress(OSError):  # what goes wrong first is told
                os.close(descriptor)
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _open(self) -> None:
        self._container, self._size = self._blobs.new_container(), 0
        self._path = self._blobs.path_of(self._container)
        with _disk_faults():
            if not self._path.parent.is_dir():
                self._path.parent.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._opened[self._path] = os.open(self._path, flags, 0o600)

    def _write(self, parts: Sequence[bytes]) -> None:
        if parts:
            with _disk_faults():
                _write_all(self._opened[self._path], parts)


@contextmanager
def _disk_faults() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace("the hub's disk is full; free some space there") from error
        raise Transient(f"the hub's disk failed: {error}") from error


def _record(compressor: zstandard.ZstdCompressor, digest: bytes, data: bytes) -> _Record:
    """Return what to store: a head that says what follows, then the chunk, compressed where that helps."""
    codec, body = _RAW, data
    if _may_shrink(compressor, data):
        compressed = compressor.compress(data)
        if len(compressed) < len(data) * _WORTH_IT:
            codec, body = _ZSTD, compressed
    return _Record(_HEAD.pack(_MAGIC, codec, digest, len(data), len(body)), body)


def _may_shrink(compressor: zstandard.ZstdCompressor, data: bytes) -> bool:
    """Return whether compressing is worth a try, by samples from both ends: of photos, films and archives it is not."""
    if len(data) <= 4 * _SAMPLE:
        return True
    samples = (data[:_SAMPLE], data[-_SAMPLE:])
    return any(len(compressor.compress(sample)) < _SAMPLE * _WORTH_IT for sample in samples)


def _content(record: bytes, chunk_hash: bytes, size: int) -> bytes:
    """Return the chunk a record holds, verified by its hash; raises Corrupt."""
    fault = Corrupt(f"chunk {chunk_hash.hex()} is damaged in the hub's storage; run `syncd hub verify`")
    if len(record) < _HEAD.size:
        raise fault
    magic, codec, digest, raw_size, stored_size = _HEAD.unpack_from(record)
    body = record[_HEAD.size :]
    if (magic, digest, raw_size, stored_size) != (_MAGIC, chunk_hash, size, len(body)) or codec not in (_RAW, _ZSTD):
        raise fault
    if codec == _ZSTD:
        try:
            # The frame's own word on its size is not trusted: it is bounded by what the database says.
            if zstandard.frame_content_size(body) != size:
                raise fault
            body = zstandard.ZstdDecompressor().decompress(body, max_output_size=size)
        except zstandard.ZstdError as error:
            raise fault from error
    if len(body) != size or blake3(body).digest() != chunk_hash:
        raise fault
    return body


def _read_exactly(descriptor: int, location: Location) -> bytes:
    """Return the record's bytes, fewer at the end of a truncated file."""
    try:
        parts, offset, rest = [], location.offset, location.length
        while rest > 0:
            part = os.pread(descriptor, rest, offset)
            if not part:
                break
            parts.append(part)
            offset, rest = offset + len(part), rest - len(part)
    except OSError as error:
        if error.errno == errno.EIO:  # the medium lost it: the same as wrong bytes, and it can be uploaded again
            return b""
        raise Transient(f"the hub's disk failed: {error}") from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _write_all(descriptor: int, parts: Sequence[bytes]) -> None:
    """Write *parts*, many in a call and none copied."""
    for start in range(0, len(parts), _AT_ONCE):
        left = [memoryview(part) for part in parts[start : start + _AT_ONCE]]
        while left:
            written = os.writev(descriptor, left)
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if left:
                left[0] = left[0][written:]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
