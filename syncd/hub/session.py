"""One device's view of one space: the ``Remote`` protocol in memory, on which the HTTP API is built.

Owns nothing but the device it speaks for; each call proves again that the device was not revoked. Any thread.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

from syncd.hub import auth, journal
from syncd.hub.blobs import Receiving
from syncd.hub.spaces import MAX_STEPS, SpaceWriter
from syncd.hub.store import Reads, Space
from syncd.model.errors import Refused
from syncd.model.remote import (
    Capabilities,
    ChangesPage,
    ListingPage,
    Moves,
    Mutation,
    Outcome,
    RemoteIdentity,
    RemoteNode,
    VersionInfo,
)

if TYPE_CHECKING:
    from syncd.hub.core import Hub

MAX_BATCH: Final = 1_000
"""Most mutations in one commit: a transaction stays short (P11)."""

GROUP: Final = 16
"""Chunks that are written at a time."""

MAX_ASKED: Final = 10_000
"""Most nodes or keys in one question."""

CAPABILITIES: Final = Capabilities(
    stable_ids=True,
    content_hash=True,
    change_feed=True,
    wait_for_change=True,
    atomic_rename=True,
    conditional_write=True,
    chunked_transfer=True,
    history=True,
    batch=True,
)


class Session:
    """A device at work. Made by ``Hub.authenticate``."""

    def __init__(self, hub: "Hub", device_id: bytes, space: Space) -> None:
        self._hub = hub
        self._device_id = device_id
        self._space = space

    @property
    def capabilities(self) -> Capabilities:
        """What this remote can do: everything."""
        return CAPABILITIES

    @property
    def device_id(self) -> str:
        """The device this session speaks for, in hex."""
        return self._device_id.hex()

    @property
    def space_id(self) -> str:
        """The space the device belongs to, in hex."""
        return self._space.space_id.hex()

    def identify(self) -> RemoteIdentity:
        """Return who answers; raises NotAuthorised when the device was revoked."""
        with self._hub.store.read() as view:
            space, device = auth.still(view, self._device_id)
            return RemoteIdentity(
                view.hub_id().hex(), space.space_id.hex(), space.name, device.device_id.hex(), device.name
            )

    def changes(self, cursor: str, limit: int) -> ChangesPage:
        """Return what changed after *cursor*; raises CursorExpired, HistoryChanged or OtherRemote."""
        with self._hub.store.read() as view:
            return journal.changes(view, self._admit(view), cursor, limit)

    def listing(self, page: str | None, limit: int) -> ListingPage:
        """Return a page of everything alive, by node id; the root itself is not listed."""
        with self._hub.store.read() as view:
            return journal.listing(view, self._admit(view), page, limit)

    def look(self, node_ids: Sequence[bytes]) -> Sequence[RemoteNode | None]:
        """Return the present state (or tombstone) of each node; None for ids never seen."""
        _bounded(node_ids)
        with self._hub.store.read() as view:
            space = self._admit(view)
            return [view.node(space.key, node_id) for node_id in node_ids]

    def commit(self, batch: Sequence[Mutation]) -> Sequence[Outcome]:
        """Apply *batch* in order, in one transaction; each mutation is answered by itself."""
        if len(batch) > MAX_BATCH:
            raise Refused(f"a commit has at most {MAX_BATCH} mutations, not {len(batch)}")
        if sum(len(mutation.steps) for mutation in batch if isinstance(mutation, Moves)) > MAX_STEPS:
            raise Refused(f"the place groups of a commit have at most {MAX_STEPS} steps together")
        with self._hub.store.write() as change:
            space, device = auth.still(change, self._device_id)
            if space.key not in self._hub.lines:
                change.begin_line(space.key, self._hub.chance.token(4).hex())
            before = change.head(space.key)
            writer = SpaceWriter(change, space, device.key, self._hub.clock.now(), self._hub.chance)
            answers = [writer.apply(mutation) for mutation in batch]
            moved = change.head(space.key) != before
        self._hub.lines.add(space.key)
        if moved:
            self._hub.bell.ring(self.space_id)
        return answers

    def outcomes(self, keys: Sequence[bytes]) -> Sequence[Outcome | None]:
        """Return how mutations with these keys ended; None for a key nothing was done under."""
        _bounded(keys)
        with self._hub.store.read() as view:
            space = self._admit(view)
            found = [view.request(space.key, key) for key in keys]
        return [None if row is None else msgspec.json.decode(row[1], type=Outcome) for row in found]

    def history(self, node_id: bytes) -> Sequence[VersionInfo]:
        """Return the retained versions of a node, newest first."""
        with self._hub.store.read() as view:
            return view.history(self._admit(view).key, node_id, journal.MAX_HISTORY)

    def missing(self, hashes: Sequence[bytes]) -> Sequence[bytes]:
        """Return which chunks (or manifests) this space lacks; saying "present" renews their lease."""
        return self._hub.blobs.missing(self._device_id, hashes)

    def put_chunks(self, chunks: Iterable[tuple[bytes, bytes]]) -> None:
        """Store (hash, data) pairs; durable when this returns."""
        receiving, left = self.receiving(), iter(chunks)
        try:
            while group := list(islice(left, GROUP)):
                receiving.add(group)
            receiving.finish()
        except Exception:  # a process that dies removes nothing
            receiving.close()
            raise

    def receiving(self) -> Receiving:
        """Return what takes chunks in as they come, and records them together: ``put_chunks`` for an upload."""
        return self._hub.blobs.receiving(self._device_id)

    def get_chunks(self, hashes: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Yield (hash, data), verified, in the order asked; raises Outdated at once when one is not here."""
        return self._hub.blobs.get(self._device_id, hashes)

    def put_manifest(self, manifest_hash: bytes, encoded: bytes) -> None:
        """Store an encoded manifest; its chunks may follow."""
        self._hub.blobs.put_manifest(self._device_id, manifest_hash, encoded)

    def get_manifest(self, manifest_hash: bytes) -> bytes:
        """Return an encoded manifest, verified against its hash."""
        return self._hub.blobs.get_manifest(self._device_id, manifest_hash)

    def wait(self, cursor: str, seconds: float) -> bool:
        """Return True as soon as there may be changes after *cursor*, False after *seconds* without."""
        return self._hub.bell.wait(self.space_id, lambda: self.changed(cursor), seconds)

    def changed(self, cursor: str) -> bool:
        """Return whether there are changes after *cursor* now; raises as ``changes`` does."""
        with self._hub.store.read() as view:
            space = self._admit(view)
            return journal.check(view, space, cursor).position < view.head(space.key).position

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have *callback* called after each commit to this space; returns what ends it. See ``Bell.subscribe``."""
        return self._hub.bell.subscribe(self.space_id, callback)

    def close(self) -> None:
        """End the session; it holds nothing."""

    def _admit(self, view: Reads) -> Space:
        return auth.still(view, self._device_id)[0]


def _bounded(asked: Sequence[bytes]) -> None:
    if len(asked) > MAX_ASKED:
        raise Refused(f"a question names at most {MAX_ASKED} things, not {len(asked)}")
