"""The hub's blob store in memory: ``syncd.hub.store.BlobStore``, as ``syncd.hub.folder_blobs`` fills it.

Owns containers as processes see them and as the medium has them. A container is durable when ``write`` returns; until
then a power loss takes it, or leaves a part. A removal is durable only with the kernel's write-back: after a power loss
a removed container may be there again, as on a folder that nobody synced. A process that dies loses nothing.

What differs from the real one: records are not compressed, so that sizes are other ones; a later write into the same
subfolder does not make earlier removals durable.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from blake3 import blake3

from syncd.hub.folder_blobs import PACK_LIMIT
from syncd.hub.store import Location
from syncd.model.errors import Corrupt, NoSpace, Outdated, Transient
from syncd.ports import Chance, Clock
from tests.sim.journal import Policy, torn_length

_HEAD: Final = 32
"""Bytes before a chunk in its record: its hash."""


@dataclass(frozen=True, slots=True)
class _Container:
    data: bytes
    written_at: float


@dataclass(frozen=True, slots=True)
class BlobsCopy:
    """What a backup of the store holds."""

    containers: dict[str, _Container]


class SimBlobs:
    """One hub's chunks. It outlives the hub's process: give it to the next ``Hub`` as it is.

    ``on_call(name)`` runs before each effect: "write" before a container's bytes, "sync" before they are durable,
    "read", "size", "remove", "leftovers". It may raise: OSError is turned into what the real store makes of it,
    anything else passes. *capacity*: bytes of all containers together; None: no limit.
    """

    def __init__(self, chance: Chance, clock: Clock, *, capacity: int | None = None) -> None:
        self._chance, self._clock, self.capacity = chance, clock, capacity
        self.on_call: Callable[[str], None] | None = None
        self._there: dict[str, _Container] = {}
        self._unsynced: dict[str, _Container] = {}
        self._removed: dict[str, _Container] = {}
        self.used = 0

    # --- the protocol ---

    def write(self, blobs: Sequence[tuple[bytes, bytes]]) -> Sequence[Location]:
        """Store (hash, data) pairs; all durable when this returns. Raises NoSpace, Transient."""
        writer = self.begin()
        try:
            writer.add(blobs)
            return writer.finish()
        except Exception:  # a process that dies removes nothing
            writer.close()
            raise

    def begin(self) -> SimWriter:
        """Return what writes chunks as they come, and makes them durable together."""
        return SimWriter(self)

    def read(self, chunk_hash: bytes, size: int, location: Location) -> bytes:
        """Return the raw bytes, verified; raises Outdated when the container is gone, Corrupt when they are wrong."""
        self._call("read")
        container = self._there.get(_name(location.container))
        if container is None:
            raise Outdated(f"container {location.container} is gone")
        record = container.data[location.offset : location.offset + location.length]
        data = record[_HEAD:]
        if record[:_HEAD] != chunk_hash or len(data) != size or blake3(data).digest() != chunk_hash:
            raise Corrupt(f"chunk {chunk_hash.hex()} is damaged in the hub's storage; run `syncd hub verify`")
        return data

    def size(self, container: str) -> int | None:
        """Return a container's size in bytes, None when it is not there."""
        self._call("size")
        found = self._there.get(_name(container))
        return None if found is None else len(found.data)

    def remove(self, container: str) -> None:
        """Remove a container; one that is gone already is fine."""
        self._call("remove")
        found = self._there.pop(_name(container), None)
        if found is not None:
            self.used -= len(found.data)
            if self._unsynced.pop(container, None) is None:
                self._removed[container] = found

    def leftovers(self, older_than: float) -> Iterator[str]:
        """Yield containers last written before *older_than* (seconds since the epoch), in order."""
        self._call("leftovers")
        for name, found in sorted(self._there.items()):
            if found.written_at < older_than and name in self._there:
                yield name

    # --- what a simulation does with it ---

    def power_loss(self, policy: Policy, luck: random.Random) -> None:
        """Leave what *policy* lets survive."""
        for name, found in sorted(self._unsynced.items()):
            kept = b""
            if policy is not Policy.ALL and luck.random() < 0.7:
                length = len(found.data)
                kept = found.data[: torn_length(0, length, luck) if policy is Policy.TORN else length]
            if policy is not Policy.ALL and luck.random() < 0.7:
                self._there[name] = _Container(kept, found.written_at)
            else:
                self._there.pop(name, None)
        for name, found in sorted(self._removed.items()):
            if policy is Policy.ALL or luck.random() < 0.5:
                self._there[name] = found
        self._settle()

    def write_back(self) -> None:
        """The kernel's own write-back: everything is durable, removals too."""
        self._settle()

    def copy(self) -> BlobsCopy:
        """Return a backup."""
        return BlobsCopy(dict(self._there))

    def restore(self, copy: BlobsCopy) -> None:
        """Be what the backup holds."""
        self._there = dict(copy.containers)
        self._settle()

    def damage(self, container: str, change: Callable[[bytes], bytes | None]) -> None:
        """Let the medium change a container's bytes; None: lose it."""
        data = change(self._there[container].data)
        if data is None:
            del self._there[container]
        else:
            self._there[container] = _Container(data, self._there[container].written_at)

    def containers(self) -> dict[str, bytes]:
        """Return every container there is, by name."""
        return {name: found.data for name, found in sorted(self._there.items())}

    def _settle(self) -> None:
        self._unsynced.clear()
        self._removed.clear()
        self.used = sum(len(found.data) for found in self._there.values())

    # --- for its writers ---

    def begin_container(self) -> str:
        """Begin a container, and return its name."""
        name = self._chance.token(16).hex()
        self._there[name] = self._unsynced[name] = _Container(b"", self._clock.now())
        return name

    def append(self, name: str, data: bytes) -> None:
        """Write to the end of a container."""
        self._call("write")
        if self.capacity is not None and self.used + len(data) > self.capacity:
            raise _full()
        self.used += len(data)
        grown = _Container(self._there[name].data + data, self._clock.now())
        self._there[name] = self._unsynced[name] = grown

    def sync(self, name: str) -> None:
        """Make a container durable."""
        self._call("sync")
        self._unsynced.pop(name, None)

    def drop(self, name: str) -> None:
        """Remove a container that was not finished, as the real store does; nobody knows its name."""
        found = self._there.pop(name, None)
        self._unsynced.pop(name, None)
        self.used -= 0 if found is None else len(found.data)

    def _call(self, name: str) -> None:
        if self.on_call is None:
            return
        try:
            self.on_call(name)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _full() from error
            raise Transient(f"the hub's disk failed: {os.strerror(error.errno or 0)}") from error


class SimWriter:
    """Chunks on their way into containers, which a power loss may take until they are synced."""

    def __init__(self, blobs: SimBlobs) -> None:
        self._blobs = blobs
        self._locations: list[Location] = []
        self._opened: list[str] = []
        self._size = PACK_LIMIT

    def add(self, blobs: Sequence[tuple[bytes, bytes]]) -> None:
        """Write (hash, data) pairs, which are not durable yet."""
        pack: list[bytes] = []
        for digest, data in blobs:
            if self._size >= PACK_LIMIT:
                self._write(pack)
                self._opened.append(self._blobs.begin_container())
                pack, self._size = [], 0
            record = digest + data
            self._locations.append(Location(self._opened[-1], self._size, len(record)))
            self._size += len(record)
            pack.append(record)
        self._write(pack)

    def finish(self) -> Sequence[Location]:
        """Make all of it durable, and return where it is, in the order given."""
        for name in self._opened:
            self._blobs.sync(name)
        self._opened.clear()
        return self._locations

    def close(self) -> None:
        """Remove what was not finished."""
        while self._opened:
            self._blobs.drop(self._opened.pop())

    def _write(self, pack: Sequence[bytes]) -> None:
        if pack:
            self._blobs.append(self._opened[-1], b"".join(pack))


def _name(container: str) -> str:
    if not container.isalnum() or not container.isascii():
        raise Corrupt(f"{container!r} does not name a container")
    return container


def _full() -> NoSpace:
    return NoSpace("the hub's disk is full; free some space there")
