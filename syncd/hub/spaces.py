"""The rules of a space: how one mutation is judged and applied (P6).

Owns every verdict. Runs inside a transaction its caller opened: what is read here is still true when it commits.
Never opens storage, reads no clock or chance of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

import msgspec
from blake3 import blake3

from syncd.chunks.manifest import HASH_BYTES, MAX_SIZE
from syncd.hub.store import EntryRow, Space, Writes
from syncd.model.node import Kind, Version
from syncd.model.path import ROOT_ID, name_fault
from syncd.model.remote import (
    Cause,
    Content,
    Create,
    Delete,
    Edit,
    Moves,
    Mutation,
    Outcome,
    RemoteNode,
    Verdict,
)
from syncd.ports import Chance

ID_BYTES: Final = 16
"""Length of node ids and idempotency keys."""

MAX_STEPS: Final = 10_000
"""Most nodes in one place group."""

MAX_TARGET: Final = 4_096
"""Longest symlink target, in bytes."""

MAX_MISSING: Final = 10_000
"""Most missing chunks named in one answer; the rest is named when these are there."""

_INT64: Final = 1 << 63
_MAX_TAG: Final = 64
_EMPTY: Final = blake3(b"").digest()


class Declined(Exception):
    """A mutation that is not done; carries the answer. Undoes the mutation's savepoint."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.verdict)
        self.outcome = outcome


def digest_of(mutation: Mutation) -> bytes:
    """Return what tells one request from another under the same key."""
    return blake3(msgspec.json.encode(mutation)).digest()


@dataclass(slots=True)
class SpaceWriter:
    """Applies mutations to one space in one transaction, as one device, at one moment."""

    store: Writes
    space: Space
    device: int
    at: float
    chance: Chance

    def apply(self, mutation: Mutation) -> Outcome:
        """Judge and apply one mutation. The same key and request again gets the answer recorded the first time."""
        if len(mutation.key) != ID_BYTES:
            return Outcome(mutation.key, Verdict.REFUSED, detail=f"a key has {ID_BYTES} bytes")
        try:
            digest = digest_of(mutation)
        except (UnicodeEncodeError, OverflowError):
            return Outcome(mutation.key, Verdict.REFUSED, detail="a name or a number cannot be written down")
        known = self.store.request(self.space.key, mutation.key)
        if known is not None:
            if known[0] == digest:
                return msgspec.json.decode(known[1], type=Outcome)
            return Outcome(mutation.key, Verdict.REFUSED, detail="this key was used for another request before")
        try:
            with self.store.savepoint():
                nodes = self._dispatch(mutation)
        except Declined as declined:
            return declined.outcome
        outcome = Outcome(mutation.key, Verdict.DONE, nodes)
        # Only what was done is recorded: what was declined may be asked again and end otherwise.
        self.store.add_request(self.space.key, mutation.key, digest, msgspec.json.encode(outcome), self.at)
        return outcome

    def _dispatch(self, mutation: Mutation) -> tuple[RemoteNode, ...]:
        match mutation:
            case Create():
                return (self._create(mutation),)
            case Edit():
                return (self._edit(mutation),)
            case Moves():
                return self._move(mutation)
            case Delete():
                return (self._delete(mutation),)
            case _:
                assert_never(mutation)

    # --- the four mutations -------------------------------------------------------------------------------------

    def _create(self, wanted: Create) -> RemoteNode:
        self._check_form(wanted.key, (wanted.node_id,), wanted.name, wanted.parent_id)
        self._check_versions(wanted.key, wanted.base, wanted.restored_from)
        self._check_shape(wanted.key, wanted.kind, wanted.content, wanted.executable, wanted.mtime_ns)
        current = self.store.node(self.space.key, wanted.node_id)
        # A tombstone that retention ended is like no node at all: a device that still knows it revives over nothing.
        if current is not None and (current.version != wanted.base or not current.deleted):
            raise _declined(wanted.key, Verdict.STALE, current)
        if current is not None and current.kind != wanted.kind:
            raise _refused(wanted.key, "a node keeps its kind for life")
        self._check_parent(wanted.key, wanted.parent_id)
        self._check_name(wanted.key, wanted.parent_id, wanted.name)
        self._check_content(wanted.key, wanted.content)
        node = RemoteNode(
            wanted.node_id,
            wanted.parent_id,
            wanted.name,
            wanted.kind,
            self._next_version(),
            wanted.content,
            wanted.executable,
            wanted.mtime_ns,
        )
        base = None if current is None else wanted.base
        return self._write(node, wanted.key, wanted.cause, base, wanted.restored_from)

    def _edit(self, wanted: Edit) -> RemoteNode:
        self._check_form(wanted.key, (wanted.node_id,))
        self._check_versions(wanted.key, wanted.base, wanted.restored_from)
        if wanted.content is None and wanted.executable is None:
            raise _refused(wanted.key, "an edit changes content or the executable bit")
        current = self._current(wanted.key, wanted.node_id, wanted.base)
        node = msgspec.structs.replace(current, version=self._next_version())
        if wanted.content is not None:
            node = msgspec.structs.replace(node, content=wanted.content, mtime_ns=wanted.mtime_ns)
        if wanted.executable is not None:
            node = msgspec.structs.replace(node, executable=wanted.executable)
        if node.kind is Kind.DIRECTORY:
            raise _refused(wanted.key, "a directory has no content and no executable bit")
        self._check_shape(wanted.key, node.kind, node.content, node.executable, node.mtime_ns)
        if wanted.content is not None:
            self._check_content(wanted.key, wanted.content)
        return self._write(node, wanted.key, wanted.cause, wanted.base, wanted.restored_from)

    def _move(self, wanted: Moves) -> tuple[RemoteNode, ...]:
        key = wanted.key
        if not 1 <= len(wanted.steps) <= MAX_STEPS:
            raise _refused(key, f"a place group has 1 to {MAX_STEPS} steps")
        if len({step.node_id for step in wanted.steps}) != len(wanted.steps):
            raise _refused(key, "a place group names each node once")
        before = []
        for step in wanted.steps:
            self._check_form(key, (step.node_id,), step.name, step.parent_id)
            self._check_versions(key, step.base)
            before.append(self._current(key, step.node_id, step.base))
        # All leave their names first: then any permutation is fine, and a name that is still taken really is.
        for step in wanted.steps:
            self.store.vacate(self.space.key, step.node_id)
        after = []
        for step, node in zip(wanted.steps, before, strict=True):
            self._check_parent(key, step.parent_id)
            self._check_name(key, step.parent_id, step.name)
            moved = msgspec.structs.replace(
                node, parent_id=step.parent_id, name=step.name, version=self._next_version()
            )
            after.append(self._write(moved, key, Cause.EDIT, step.base, None))
        self._check_cycles(key, after)
        return tuple(after)

    def _delete(self, wanted: Delete) -> RemoteNode:
        self._check_form(wanted.key, (wanted.node_id,))
        self._check_versions(wanted.key, wanted.base)
        current = self._current(wanted.key, wanted.node_id, wanted.base)
        if current.kind is Kind.DIRECTORY and self.store.has_children(self.space.key, wanted.node_id):
            raise _declined(wanted.key, Verdict.NOT_EMPTY, current)
        tombstone = RemoteNode(
            current.node_id, current.parent_id, current.name, current.kind, self._next_version(), deleted=True
        )
        return self._write(tombstone, wanted.key, Cause.EDIT, wanted.base, None)

    # --- checks against what the space holds --------------------------------------------------------------------

    def _current(self, key: bytes, node_id: bytes, base: Version) -> RemoteNode:
        """Return the living node whose version is *base*; declines as stale otherwise."""
        current = self.store.node(self.space.key, node_id)
        if current is None or current.deleted or current.version != base:
            raise _declined(key, Verdict.STALE, current)
        return current

    def _check_parent(self, key: bytes, parent_id: bytes) -> None:
        if parent_id == ROOT_ID:
            return
        parent = self.store.node(self.space.key, parent_id)
        if parent is None or parent.deleted or parent.kind is not Kind.DIRECTORY:
            raise _declined(key, Verdict.PARENT_GONE, parent)

    def _check_name(self, key: bytes, parent_id: bytes, name: str) -> None:
        occupant = self.store.occupant(self.space.key, parent_id, name)
        if occupant is not None:
            raise _declined(key, Verdict.NAME_TAKEN, self.store.node(self.space.key, occupant))

    def _check_cycles(self, key: bytes, moved: Sequence[RemoteNode]) -> None:
        """Decline when a moved directory now lies below itself."""
        clear = {ROOT_ID}  # known to lead up to the root
        for node in moved:
            if node.kind is not Kind.DIRECTORY:
                continue
            climbed: set[bytes] = set()
            at = node.node_id
            while at not in clear:
                if at in climbed:
                    raise _declined(key, Verdict.CYCLE, node)
                climbed.add(at)
                parent = self.store.parent_of(self.space.key, at)
                assert parent is not None, "the parent of a living node is in the store"
                at = parent
            clear |= climbed

    def _check_content(self, key: bytes, content: Content | None) -> None:
        """Decline unless every chunk of *content* is in this space, now, in this transaction."""
        if content is None:
            return
        if content.manifest is None:
            if content.size == 0:
                return
            found = self.store.chunk_in(self.space.key, content.hash)
            if found is None or found[0].damaged:
                raise Declined(Outcome(key, Verdict.CHUNKS_MISSING, missing=(content.hash,)))
            if found[0].size != content.size:
                raise _refused(key, f"the content's one chunk has {found[0].size} bytes, not {content.size}")
            return
        found = self.store.chunk_in(self.space.key, content.manifest)
        size = self.store.manifest_size(content.manifest)
        if found is None or found[0].damaged or size is None:
            raise Declined(Outcome(key, Verdict.CHUNKS_MISSING, missing=(content.manifest,)))
        if size != content.size:
            raise _refused(key, f"the content's manifest has {size} bytes, not {content.size}")
        missing = self.store.manifest_lacks(self.space.key, content.manifest, MAX_MISSING)
        if any(misfit for _, misfit in missing):
            raise _refused(key, "the content's manifest states a chunk's size wrongly")
        if missing:
            raise Declined(Outcome(key, Verdict.CHUNKS_MISSING, missing=tuple([digest for digest, _ in missing])))

    # --- checks of form: nothing a client sends is trusted ------------------------------------------------------

    def _check_form(
        self, key: bytes, node_ids: Sequence[bytes], name: str | None = None, parent_id: bytes | None = None
    ) -> None:
        for node_id in node_ids:
            if len(node_id) != ID_BYTES or node_id == ROOT_ID:
                raise _refused(key, "this is not the id of a node that can change")
        if parent_id is not None and len(parent_id) != ID_BYTES:
            raise _refused(key, "this is not the id of a parent")
        fault = None if name is None else name_fault(name)
        if fault is not None:
            raise _refused(key, f"the name {fault}")

    def _check_versions(self, key: bytes, *versions: Version | None) -> None:
        for version in versions:
            if version is None:
                continue
            if not 0 <= version.position < _INT64 or len(version.tag) > _MAX_TAG or not version.tag.isascii():
                raise _refused(key, "this is not a version of this hub")

    def _check_shape(self, key: bytes, kind: Kind, content: Content | None, executable: bool, mtime_ns: int) -> None:
        if not -_INT64 <= mtime_ns < _INT64:
            raise _refused(key, "the modification time is out of range")
        if executable and kind is not Kind.FILE:
            raise _refused(key, f"a {kind} has no executable bit")
        if kind is Kind.DIRECTORY:
            if content is not None:
                raise _refused(key, "a directory has no content")
            return
        if content is None:
            raise _refused(key, f"a {kind} has content")
        if len(content.hash) != HASH_BYTES or (content.manifest is not None and len(content.manifest) != HASH_BYTES):
            raise _refused(key, f"a hash has {HASH_BYTES} bytes")
        if not 0 <= content.size <= MAX_SIZE:
            raise _refused(key, "the size is out of range")
        if (content.size == 0) != (content.hash == _EMPTY) or (content.size == 0 and content.manifest is not None):
            raise _refused(key, "size and hash do not agree on whether the content is empty")
        if kind is Kind.SYMLINK and (not 1 <= content.size <= MAX_TARGET or content.manifest is not None):
            raise _refused(key, f"a symlink's target has 1 to {MAX_TARGET} bytes")

    # --- writing ------------------------------------------------------------------------------------------------

    def _next_version(self) -> Version:
        """Return the next journal position, with a random tag that tells this history from any other: its line's mark
        comes first, which outlives the entry."""
        position = self.store.head(self.space.key).position + 1
        mark = self.store.line_at(self.space.key, position) or ""
        return Version(position, mark + self.chance.token(8).hex())

    def _write(
        self, node: RemoteNode, key: bytes, cause: Cause, base: Version | None, restored_from: Version | None
    ) -> RemoteNode:
        self.store.append(self.space.key, EntryRow(node, key, self.at, self.device, cause, base, restored_from))
        return node


def _declined(key: bytes, verdict: Verdict, node: RemoteNode | None) -> Declined:
    return Declined(Outcome(key, verdict, () if node is None else (node,)))


def _refused(key: bytes, why: str) -> Declined:
    return Declined(Outcome(key, Verdict.REFUSED, detail=why))
