"""Upkeep while the hub serves: ending retentions, collecting chunks, packing them closer, verifying.

Owns what may be removed and when. Every removal is decided again inside the transaction that makes it, so that it
is safe beside commits and uploads; every transaction is short. Never opens storage, reads no clock of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from blake3 import blake3

from syncd.chunks.manifest import decode
from syncd.hub.blobs import Blobs
from syncd.hub.store import BlobStore, ChunkRow, Space, Store
from syncd.model.errors import Corrupt, Outdated, Usage
from syncd.model.node import Version
from syncd.ports import Clock

HISTORY_RETENTION: Final = 90 * 86_400.0
"""How long a version is kept after it was superseded or deleted, in seconds; the current one always is. Tombstones
and the journal live as long: a device that was away longer gets an expired cursor and lists everything."""

KEY_RETENTION: Final = 180 * 86_400.0
"""How long the answer under an idempotency key is kept, in seconds: longer than any device's queue waits."""

LEFTOVER_AGE: Final = 3_600.0
"""A container nobody recorded is a crash's leftover once it is this old, in seconds."""

SMALL_CONTAINER: Final = 512 << 10
"""Containers below this size (in bytes) are packed together."""

_BATCH: Final = 500
_REPACK: Final = 32 << 20
_MAX_FAULTS: Final = 1_000


@dataclass(frozen=True, slots=True)
class GcReport:
    """What a collection removed."""

    versions: int
    tombstones: int
    chunks: int
    containers: int
    bytes_freed: int


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification read, and one sentence for each fault (the first 1,000)."""

    chunks: int
    bytes_read: int
    contents: int
    faults: tuple[str, ...]


class Tally:
    """Counts what a collection has removed, and tells it as it goes."""

    def __init__(self, told: Callable[[int], None]) -> None:
        self._told, self._done = told, 0

    def add(self, count: int) -> None:
        self._done += count
        self._told(self._done)

    def repeat(self, step: Callable[[int], int]) -> int:
        """Repeat *step*, which is told how much it may do and returns how much it did, until all is done."""
        total = 0
        while True:
            done = step(_BATCH)
            total += done
            self.add(done)
            if done < _BATCH:
                return total


class Upkeep:
    """Works through the whole hub in small steps. One at a time across processes (``Store.maintenance``)."""

    def __init__(self, store: Store, blob_store: BlobStore, blobs: Blobs, clock: Clock) -> None:
        self._store = store
        self._blob_store = blob_store
        self._blobs = blobs
        self._clock = clock

    def gc(self, retention: float, progress: Callable[[int], None] | None = None) -> GcReport:
        """End retentions, then remove chunks that no retained version of any space needs and nobody leased.

        *progress* is told how many versions, tombstones, answers and chunks are gone so far."""
        if retention < 0:
            raise Usage("a retention is a number of seconds, 0 or more")
        with self._store.maintenance():
            with self._store.read() as view:
                spaces = view.spaces()
            tally = Tally(progress or (lambda _: None))
            versions = tombstones = chunks = 0
            for space in spaces:
                dropped, forgotten = self._trim(space, retention, tally)
                versions, tombstones = versions + dropped, tombstones + forgotten
            now = self._clock.now()
            with self._store.write() as change:
                change.drop_invites(now)
            tally.repeat(lambda limit: self._drop_requests(now - KEY_RETENTION, limit))
            touched: set[str] = set()
            for space in spaces:
                chunks += self._collect(space, touched, tally)
            self._repack(touched)
            containers, freed = self._sweep(touched)
        return GcReport(versions, tombstones, chunks, containers, freed)

    def verify(self, progress: Callable[[int], None] | None = None) -> VerifyReport:
        """Read everything: each chunk, each manifest's pieces, each retained content put together.

        *progress* is told the bytes read so far. Damaged chunks are marked and count as missing from then on.
        """
        check = _Verification(self._store, self._blobs, progress or (lambda _: None))
        with self._store.maintenance():
            check.chunks()
            check.contents()
        return VerifyReport(check.checked, check.bytes_read, check.whole, tuple(check.faults))

    # --- retention ----------------------------------------------------------------------------------------------

    def _trim(self, space: Space, retention: float, tally: "Tally") -> tuple[int, int]:
        """Move the journal's floor up to the youngest entry older than the cutoff, then drop what lies behind."""
        cutoff = self._clock.now() - retention
        with self._store.write() as change:
            floor, head = change.floor(space.key), change.head(space.key)
            young = change.first_since(space.key, floor.position, cutoff)
            position = head.position if young is None else young - 1
            if position > floor.position:
                tag = change.tag_at(space.key, position)
                assert tag is not None, "entries above the floor are all there"
                floor = Version(position, tag)
                change.set_floor(space.key, floor)
        versions = tally.repeat(lambda limit: self._drop_versions(space, floor.position, cutoff, limit))
        tombstones = tally.repeat(lambda limit: self._drop_tombstones(space, floor.position, cutoff, limit))
        return versions, tombstones

    def _drop_versions(self, space: Space, floor: int, cutoff: float, limit: int) -> int:
        with self._store.write() as change:
            return change.drop_versions(space.key, floor, cutoff, limit)

    def _drop_tombstones(self, space: Space, floor: int, cutoff: float, limit: int) -> int:
        with self._store.write() as change:
            return change.drop_tombstones(space.key, floor, cutoff, limit)

    def _drop_requests(self, before: float, limit: int) -> int:
        with self._store.write() as change:
            return change.drop_requests(before, limit)

    # --- collection ---------------------------------------------------------------------------------------------

    def _collect(self, space: Space, touched: set[str], tally: "Tally") -> int:
        """Take from a space every chunk nothing needs; note the containers that lost one."""
        collected, last = 0, 0
        while True:
            with self._store.read() as view:
                rows = view.unreferenced_after(space.key, last, self._clock.now(), _BATCH)
            if not rows:
                return collected
            last = rows[-1].key
            with self._store.write() as change:
                for row in rows:
                    # Asked again here: a commit or a renewed lease since the look keeps the chunk.
                    if not change.unreferenced(space.key, row.key, self._clock.now()):
                        continue
                    if change.drop_presence(space.key, row.key):
                        collected += 1
                        touched.add(row.location.container)
            tally.add(len(rows))

    def _repack(self, touched: set[str]) -> None:
        """Write the chunks of small containers, and of those mostly empty by now, anew into full packs."""
        waiting: list[ChunkRow] = []
        small, size, sparse = [], 0, False
        for container, live in self._containers():
            stored = self._blob_store.size(container)
            if stored is None or (live * 2 >= stored and stored >= SMALL_CONTAINER):
                continue
            with self._store.read() as view:
                waiting.extend(row for row in view.chunks_of(container) if not row.damaged)
            small.append(container)
            size, sparse = size + live, sparse or live * 2 < stored
            if size >= _REPACK:
                self._rewrite(waiting)
                touched.update(small)
                waiting, small, size, sparse = [], [], 0, False
        if sparse or len(small) > 1:  # one small container alone would only be copied, at each collection again
            self._rewrite(waiting)
            touched.update(small)

    def _rewrite(self, rows: list[ChunkRow]) -> None:
        kept, data = [], []
        for row in rows:
            try:
                data.append((row.hash, self._blobs.read_stored(row)))
            except (Outdated, Corrupt):
                continue  # collected meanwhile, or damaged and marked so by the read
            kept.append(row)
        locations = self._blob_store.write(data)
        with self._store.write() as change:
            for row, location in zip(kept, locations, strict=True):
                now = change.chunk(row.hash)
                if now is not None and now.location == row.location:
                    change.move_chunk(row.key, location)

    def _containers(self) -> Iterator[tuple[str, int]]:
        last = ""
        while True:
            with self._store.read() as view:
                page = view.containers_after(last, _BATCH)
            yield from page
            if len(page) < _BATCH:
                return
            last = page[-1][0]

    def _sweep(self, touched: set[str]) -> tuple[int, int]:
        """Remove containers that no chunk is recorded in: emptied ones at once, others as leftovers of a crash."""
        removed = freed = 0
        old = self._clock.now() - LEFTOVER_AGE
        for source in (sorted(touched), self._blob_store.leftovers(old)):
            for container in source:
                with self._store.read() as view:
                    if view.container_in_use(container):
                        continue
                # An upload records its containers in a transaction, after looking that they are there: within this
                # one none can be between the two.
                with self._store.write() as change:
                    size = self._blob_store.size(container)
                    if change.container_in_use(container) or size is None:
                        continue
                    self._blob_store.remove(container)
                removed, freed = removed + 1, freed + size
        return removed, freed


class _Verification:
    """One pass over everything stored."""

    def __init__(self, store: Store, blobs: Blobs, progress: Callable[[int], None]) -> None:
        self._store = store
        self._blobs = blobs
        self._progress = progress
        self.checked = self.bytes_read = self.whole = 0
        self.faults: list[str] = []

    def chunks(self) -> None:
        """Read each chunk once."""
        last = 0
        while True:
            with self._store.read() as view:
                rows = view.chunks_after(last, _BATCH)
            if not rows:
                return
            last = rows[-1].key
            for row in rows:
                self.checked += 1
                self._read(row)

    def contents(self) -> None:
        """Put each retained content together once a space, and compare hash and size."""
        with self._store.read() as view:
            spaces = view.spaces()
        for space in spaces:
            last = 0
            while True:
                with self._store.read() as view:
                    rows = view.contents_after(space.key, last, _BATCH)
                if not rows:
                    break
                for position, digest, size, manifest in rows:
                    last = position
                    if size:
                        self._content(space, position, digest, size, manifest)

    def _content(self, space: Space, position: int, digest: bytes, size: int, manifest: bytes | None) -> None:
        what = f"version {position} of space {space.name!r}"
        if manifest is None:
            with self._store.read() as view:
                found = view.chunk_in(space.key, digest)
            # Its bytes were read in the pass over the chunks.
            if found is None or found[0].damaged or found[0].size != size:
                self._fault(f"{what}: its chunk {digest.hex()} is not there")
                return
            self.whole += 1
            return
        hashes = self._pieces(space, what, manifest)
        if hashes is None:
            return
        hasher, total = blake3(), 0
        for piece in hashes:
            with self._store.read() as view:
                found = view.chunk_in(space.key, piece)
            data = None if found is None or found[0].damaged else self._read(found[0])
            if data is None:
                self._fault(f"{what}: its chunk {piece.hex()} is not there")
                return
            hasher.update(data)
            total += len(data)
        if total != size or hasher.digest() != digest:
            self._fault(f"{what}: its chunks do not make up its content")
            return
        self.whole += 1

    def _pieces(self, space: Space, what: str, manifest: bytes) -> list[bytes] | None:
        with self._store.read() as view:
            found = view.chunk_in(space.key, manifest)
        encoded = None if found is None or found[0].damaged else self._read(found[0])
        if encoded is None:
            self._fault(f"{what}: its manifest {manifest.hex()} is not there")
            return None
        try:
            return [piece.hash for piece in decode(encoded).pieces]
        except Corrupt as error:
            self._fault(f"{what}: {error}")
            return None

    def _read(self, row: ChunkRow) -> bytes | None:
        try:
            data = self._blobs.read_stored(row)
        except Outdated:
            return None  # collected since it was listed
        except Corrupt as error:
            self._fault(str(error))
            return None
        self.bytes_read += len(data)
        self._progress(self.bytes_read)
        return data

    def _fault(self, sentence: str) -> None:
        if len(self.faults) < _MAX_FAULTS and sentence not in self.faults:
            self.faults.append(sentence)
