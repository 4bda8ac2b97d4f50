"""Chunks and manifests of spaces: presence, leases, storing, reading.

Owns the rules: bytes are verified before they count, presence and reads are per space, what was stored or said to be
present is leased. Collection is in upkeep. Never opens storage, reads no clock or chance of its own.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from blake3 import blake3

from syncd.chunks.manifest import HASH_BYTES, MAX_PIECE, decode, manifest_hash
from syncd.hub import auth
from syncd.hub.store import BlobStore, ChunkRow, Space, Store, Stored, Writes
from syncd.model.errors import Corrupt, Outdated, Refused, Transient
from syncd.ports import Clock

LEASE: Final = 7 * 86_400.0
"""How long an uncommitted chunk is kept after it was stored or said to be present, in seconds."""

LEASE_SLACK: Final = 86_400.0
"""A lease with more than LEASE minus this left is not renewed: saying "present" again and again writes nothing."""

MAX_HASHES: Final = 10_000
"""Most hashes or chunks in one request."""


class Blobs:
    """The chunks of all spaces, each device seeing only its own space's."""

    def __init__(self, store: Store, blobs: BlobStore, clock: Clock) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock

    def missing(self, device_id: bytes, hashes: Sequence[bytes]) -> list[bytes]:
        """Return which hashes the device's space lacks, in the order asked; renews the leases of the others."""
        _check_hashes(hashes)
        now = self._clock.now()
        lacking, renew = [], False
        with self._store.read() as view:
            space, _ = auth.still(view, device_id)
            for digest in dict.fromkeys(hashes):
                found = view.chunk_in(space.key, digest)
                if found is None or found[0].damaged:
                    lacking.append(digest)
                elif found[1] < now + LEASE - LEASE_SLACK:
                    renew = True
        if not renew:
            return lacking
        # Looked at again in the transaction that renews: collection may have come in between.
        lacking = []
        with self._store.write() as change:
            space, _ = auth.still(change, device_id)
            present = []
            for digest in dict.fromkeys(hashes):
                found = change.chunk_in(space.key, digest)
                if found is None or found[0].damaged:
                    lacking.append(digest)
                else:
                    present.append(found[0].key)
            change.lease(space.key, present, now + LEASE)
        return lacking

    def receiving(self, device_id: bytes) -> "Receiving":
        """Return what takes chunks for the device's space as they come, and records them together."""
        return Receiving(self, self._store, self._blobs, device_id)

    def put_manifest(self, device_id: bytes, digest: bytes, encoded: bytes) -> None:
        """Store an encoded manifest. Its pieces need not be there yet: a commit checks them."""
        _check_hashes([digest])
        if manifest_hash(encoded) != digest:
            raise Corrupt(f"manifest {digest.hex()} arrived damaged; send it again")
        manifest = decode(encoded)
        sizes = {piece.hash: piece.size for piece in manifest.pieces}
        if any(sizes[piece.hash] != piece.size for piece in manifest.pieces):
            raise Corrupt(f"manifest {digest.hex()} states two sizes for one chunk")
        receiving = self.receiving(device_id)
        try:
            receiving.add([(digest, encoded)])
            receiving.finish(lambda change: change.add_manifest(digest, manifest.size, list(sizes.items())))
        except Exception:
            receiving.close()
            raise

    def get(self, device_id: bytes, hashes: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Yield (hash, data), verified, in the order asked; raises Outdated before the first when one is not there."""
        _check_hashes(hashes)
        with self._store.read() as view:
            space, _ = auth.still(view, device_id)
            rows = [_present(view.chunk_in(space.key, digest), digest) for digest in hashes]
        return ((row.hash, self._read(space, row)) for row in rows)

    def get_manifest(self, device_id: bytes, digest: bytes) -> bytes:
        """Return an encoded manifest; raises Outdated when the device's space has none of this hash."""
        _check_hashes([digest])
        with self._store.read() as view:
            space, _ = auth.still(view, device_id)
            if view.manifest_size(digest) is None:
                raise Outdated(f"manifest {digest.hex()} is not here")
            row = _present(view.chunk_in(space.key, digest), digest)
        return self._read(space, row)

    def read_stored(self, row: ChunkRow) -> bytes:
        """Return the bytes of a stored chunk whoever has it (upkeep); marks it damaged where they are wrong."""
        try:
            return self._blobs.read(row.hash, row.size, row.location)
        except Outdated:
            with self._store.read() as view:
                again = view.chunk(row.hash)
            if again is None or again.location != row.location:
                raise  # collected or moved meanwhile: not damage
            self._mark(row)
            raise Corrupt(f"chunk {row.hash.hex()} is lost from the hub's storage; run `syncd hub verify`") from None
        except Corrupt:
            self._mark(row)
            raise

    def _read(self, space: Space, row: ChunkRow) -> bytes:
        for _ in range(3):
            try:
                return self.read_stored(row)
            except Outdated:  # moved by a collection since it was looked up
                with self._store.read() as view:
                    row = _present(view.chunk_in(space.key, row.hash), row.hash)
        raise Outdated(f"chunk {row.hash.hex()} is being moved; ask again")

    def _mark(self, row: ChunkRow) -> None:
        # A damaged chunk counts as missing: whoever still has the content stores it anew.
        with self._store.write() as change:
            change.set_damaged(row.key, row.location)

    def unstored(self, device_id: bytes, digests: Iterable[bytes]) -> list[bytes]:
        """Return which of *digests* nobody stored yet; raises NotAuthorised, before any byte is written."""
        with self._store.read() as view:
            auth.still(view, device_id)
            return [digest for digest in digests if not _stored(view.chunk(digest))]

    def record(self, change: Writes, space: Space, digests: Iterable[bytes], written: dict[bytes, Stored]) -> bool:
        """Record all of *digests*; False when one of them was collected since the look, and must be written."""
        # A leftover sweep removes unrecorded containers inside a transaction of its own: what is there now, stays.
        containers = {stored.location.container for stored in written.values()}
        lost = {container for container in containers if self._blobs.size(container) is None}
        for digest, stored in list(written.items()):
            if stored.location.container in lost:
                del written[digest]
        keys = []
        for digest in digests:
            row = change.chunk(digest)
            if not _stored(row):
                if digest not in written:
                    return False
                row = change.add_chunk(written[digest])
            assert row is not None
            keys.append(row.key)
        change.lease(space.key, keys, self._clock.now() + LEASE)
        return True


class Receiving:
    """Chunks of one upload: written as they come, durable and recorded together. One thread at a time."""

    def __init__(self, blobs: Blobs, store: Store, blob_store: BlobStore, device_id: bytes) -> None:
        self._blobs, self._store, self._device_id = blobs, store, device_id
        self._writer = blob_store.begin()
        self._sizes: dict[bytes, int] = {}
        self._written: list[bytes] = []

    def add(self, chunks: Sequence[tuple[bytes, bytes]]) -> None:
        """Take (hash, data) pairs in. Raises Corrupt, NoSpace, NotAuthorised."""
        _check_chunks(chunks)
        new = {digest: data for digest, data in chunks if digest not in self._sizes}
        unstored = self._blobs.unstored(self._device_id, new)
        self._writer.add([(digest, new[digest]) for digest in unstored])
        self._written += unstored
        self._sizes.update((digest, len(data)) for digest, data in new.items())

    def finish(self, more: Callable[[Writes], None] = lambda change: None) -> None:
        """Make it durable, then record it, in this order: a row never leads to missing bytes (P4). *more* is done in
        the same transaction. Raises NoSpace, NotAuthorised; Transient when it must be sent again."""
        written = {
            digest: Stored(digest, self._sizes[digest], location)
            for digest, location in zip(self._written, self._writer.finish(), strict=True)
        }
        with self._store.write() as change:
            space, _ = auth.still(change, self._device_id)
            if not self._blobs.record(change, space, self._sizes, written):
                # Its bytes are no longer held here; whoever sends it asks first what is missing.
                raise Transient("a chunk was removed while others arrived; send what is missing again", 1.0)
            more(change)

    def close(self) -> None:
        """Remove what was not finished."""
        self._writer.close()


def _check_chunks(chunks: Sequence[tuple[bytes, bytes]]) -> None:
    """Bytes are verified before they count."""
    _check_hashes([digest for digest, _ in chunks])
    for digest, data in chunks:
        if not 1 <= len(data) <= MAX_PIECE:
            raise Refused(f"a chunk has 1 to {MAX_PIECE} bytes, not {len(data)}")
        if blake3(data).digest() != digest:
            raise Corrupt(f"chunk {digest.hex()} arrived damaged; send it again")


def _stored(row: ChunkRow | None) -> bool:
    return row is not None and not row.damaged


def _present(found: tuple[ChunkRow, float] | None, digest: bytes) -> ChunkRow:
    if found is None:
        raise Outdated(f"chunk {digest.hex()} is not here")
    return found[0]


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if len(hashes) > MAX_HASHES:
        raise Refused(f"a request names at most {MAX_HASHES} chunks, not {len(hashes)}")
    for digest in hashes:
        if len(digest) != HASH_BYTES:
            raise Refused(f"a hash has {HASH_BYTES} bytes, not {len(digest)}")
