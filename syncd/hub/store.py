"""The hub's storage seams: a relational store with transactions, and a store of bytes. Protocols and rows only.

SQLite and a chunk folder fill them (sqlite_store, folder_blobs); PostgreSQL and an S3-compatible store can. Nothing
here decides anything: rules live in journal, spaces, blobs and auth.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from syncd.model.node import Version
from syncd.model.remote import Cause, Change, RemoteNode, VersionInfo


@dataclass(frozen=True, slots=True)
class Space:
    """One namespace. *key* is the store's own; *space_id* is random and known outside."""

    key: int
    space_id: bytes
    name: str


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One enrolled device of one space. Times are seconds since the epoch."""

    key: int
    device_id: bytes
    space: int
    name: str
    token_hash: bytes
    created_at: float
    revoked_at: float | None


@dataclass(frozen=True, slots=True)
class InviteRow:
    """One invite; its secret is stored only as a hash."""

    space: int
    expires_at: float
    used_at: float | None


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A journal entry to be written: the node's state after it, and who wrote it from what."""

    node: RemoteNode
    key: bytes
    at: float
    device: int
    cause: Cause
    base: Version | None
    restored_from: Version | None


@dataclass(frozen=True, slots=True)
class Location:
    """Where a blob's bytes are: a container, and the record in it (bytes)."""

    container: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """A stored chunk."""

    key: int
    hash: bytes
    size: int
    location: Location
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A chunk whose bytes were just made durable, to be recorded. *hash* of, and *size* of, the raw bytes."""

    hash: bytes
    size: int
    location: Location


class Reads(Protocol):
    """One consistent view of the relational store."""

    # auth
    def hub_id(self) -> bytes: ...
    def spaces(self) -> Sequence[Space]: ...
    def space_named(self, name: str) -> Space | None: ...
    def space(self, space: int) -> Space | None: ...
    def device(self, device_id: bytes) -> DeviceRow | None: ...
    def devices(self, space: int | None) -> Sequence[DeviceRow]: ...
    def invite(self, secret_hash: bytes) -> InviteRow | None: ...

    # journal
    def head(self, space: int) -> Version:
        """Return the last entry's position and tag."""
        ...

    def floor(self, space: int) -> Version:
        """Return the oldest position a cursor may stand at."""
        ...

    def tag_at(self, space: int, position: int) -> str | None: ...
    def line_at(self, space: int, position: int) -> str | None:
        """Return the mark with which tags at *position* begin; None before the first line."""
        ...

    def changes_after(self, space: int, position: int, limit: int) -> Sequence[Change]: ...
    def alive_after(self, space: int, node_id: bytes, limit: int) -> Sequence[Change]: ...
    def node(self, space: int, node_id: bytes) -> RemoteNode | None: ...
    def occupant(self, space: int, parent_id: bytes, name: str) -> bytes | None: ...
    def parent_of(self, space: int, node_id: bytes) -> bytes | None: ...
    def has_children(self, space: int, node_id: bytes) -> bool: ...
    def history(self, space: int, node_id: bytes, limit: int) -> Sequence[VersionInfo]: ...
    def request(self, space: int, key: bytes) -> tuple[bytes, bytes] | None:
        """Return (digest, encoded outcome) recorded for an idempotency key."""
        ...

    # chunks
    def chunk(self, chunk_hash: bytes) -> ChunkRow | None:
        """Return a chunk whoever stored it."""
        ...

    def chunk_in(self, space: int, chunk_hash: bytes) -> tuple[ChunkRow, float] | None:
        """Return a chunk this space has and until when it is leased, or None; damaged ones are returned too."""
        ...

    def manifest_size(self, manifest_hash: bytes) -> int | None: ...
    def manifest_lacks(self, space: int, manifest_hash: bytes, limit: int) -> Sequence[tuple[bytes, bool]]:
        """Return the pieces, by hash, that this space lacks (False) or that have another size than stated (True)."""
        ...

    # upkeep
    def chunks_after(self, key: int, limit: int) -> Sequence[ChunkRow]: ...
    def contents_after(
        self, space: int, position: int, limit: int
    ) -> Sequence[tuple[int, bytes, int, bytes | None]]: ...
    def unreferenced_after(self, space: int, key: int, now: float, limit: int) -> Sequence[ChunkRow]: ...
    def unreferenced(self, space: int, key: int, now: float) -> bool: ...
    def container_in_use(self, container: str) -> bool: ...
    def containers_after(self, container: str, limit: int) -> Sequence[tuple[str, int]]:
        """Return (container, bytes of it that chunks are recorded in), by name."""
        ...

    def chunks_of(self, container: str) -> Sequence[ChunkRow]: ...
    def first_since(self, space: int, floor: int, cutoff: float) -> int | None: ...


class Writes(Reads, Protocol):
    """A transaction. Everything in it becomes durable together, or not at all."""

    def savepoint(self) -> AbstractContextManager[None]:
        """Undo what happened inside when the block raises; the transaction goes on."""
        ...

    # auth
    def set_hub_id(self, hub_id: bytes) -> None: ...
    def add_space(self, space_id: bytes, name: str, at: float, genesis: str) -> Space: ...
    def add_device(self, device_id: bytes, space: int, name: str, token_hash: bytes, at: float) -> DeviceRow: ...
    def revoke_device(self, key: int, at: float) -> None: ...
    def add_invite(self, secret_hash: bytes, space: int, expires_at: float) -> None: ...
    def use_invite(self, secret_hash: bytes, at: float) -> None: ...
    def drop_invites(self, before: float) -> None: ...

    # journal
    def vacate(self, space: int, node_id: bytes) -> None:
        """Free the name of a node that is about to move."""
        ...

    def append(self, space: int, row: EntryRow) -> None:
        """Write the entry at ``row.node.version``, supersede the node's last one, and move the head."""
        ...

    def begin_line(self, space: int, mark: str) -> None:
        """Entries from here on are of a new line of history."""
        ...

    def add_request(self, space: int, key: bytes, digest: bytes, outcome: bytes, at: float) -> None: ...
    def set_floor(self, space: int, floor: Version) -> None: ...
    def drop_versions(self, space: int, floor: int, cutoff: float, limit: int) -> int: ...
    def drop_tombstones(self, space: int, floor: int, cutoff: float, limit: int) -> int: ...
    def drop_requests(self, before: float, limit: int) -> int: ...

    # chunks
    def add_chunk(self, stored: Stored) -> ChunkRow:
        """Record a chunk; where an undamaged one is recorded already, that one is kept and returned."""
        ...

    def lease(self, space: int, keys: Iterable[int], until: float) -> None: ...
    def add_manifest(self, manifest_hash: bytes, size: int, pieces: Iterable[tuple[bytes, int]]) -> None:
        """Record a manifest with its distinct pieces (hash, size); one recorded before stays."""
        ...

    def set_damaged(self, key: int, at: Location) -> None:
        """Mark a chunk damaged, if it still lies where the damage was seen."""
        ...

    def move_chunk(self, key: int, location: Location) -> None: ...
    def drop_presence(self, space: int, key: int) -> bool:
        """Take a chunk from a space; return True when no space has it any more and its row is gone too."""
        ...


class Store(Protocol):
    """The relational store."""

    def read(self) -> AbstractContextManager[Reads]: ...
    def write(self) -> AbstractContextManager[Writes]: ...
    def maintenance(self) -> AbstractContextManager[None]:
        """Hold the one right to collect, verify or back up, across processes; raises Transient when it is taken."""
        ...

    def close(self) -> None: ...


class BlobWriter(Protocol):
    """Chunks on their way into containers. Of what was not finished nothing stays. One thread at a time."""

    def add(self, blobs: Sequence[tuple[bytes, bytes]]) -> None:
        """Write (hash, data) pairs, which are not durable yet. Raises NoSpace."""
        ...

    def finish(self) -> Sequence[Location]:
        """Make all of it durable, and return where it is, in the order given. Raises NoSpace."""
        ...

    def close(self) -> None:
        """Remove what was not finished."""
        ...


class BlobStore(Protocol):
    """Durable bytes in containers that are written once. A container nobody recorded is a harmless leftover."""

    def write(self, blobs: Sequence[tuple[bytes, bytes]]) -> Sequence[Location]:
        """Store (hash, data) pairs; durable when this returns. Raises NoSpace."""
        ...

    def begin(self) -> BlobWriter:
        """Return what writes chunks as they come, and makes them durable together."""
        ...

    def read(self, chunk_hash: bytes, size: int, location: Location) -> bytes:
        """Return the raw bytes, verified; raises Outdated when the container is gone, Corrupt when they are wrong."""
        ...

    def size(self, container: str) -> int | None:
        """Return a container's size in bytes, None when it is not there."""
        ...

    def remove(self, container: str) -> None:
        """Remove a container; one that is gone already is fine."""
        ...

    def leftovers(self, older_than: float) -> Iterable[str]:
        """Yield containers last written before *older_than* (seconds since the epoch)."""
        ...
