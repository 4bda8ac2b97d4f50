"""What a remote says and is told: nodes, mutations and outcomes. These values also cross the hub's wire (JSON)."""

from enum import StrEnum

import msgspec

from syncd.model.node import Kind, Version


class Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file's content, or a symlink's target.

    *hash* is BLAKE3 of all bytes, *size* in bytes. *manifest* is the hash of the encoded manifest when the content
    has more than one chunk; without it the content is one chunk whose hash is *hash* (none when empty).
    """

    hash: bytes
    size: int
    manifest: bytes | None = None


class RemoteNode(msgspec.Struct, frozen=True, omit_defaults=True):
    """A node as the remote has it now, or its tombstone (``deleted``)."""

    node_id: bytes
    parent_id: bytes
    name: str
    kind: Kind
    version: Version
    content: Content | None = None
    executable: bool = False
    mtime_ns: int = 0
    deleted: bool = False


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One journal entry: the node's whole state after it, and the idempotency key its writer used."""

    node: RemoteNode
    key: bytes = b""


class ChangesPage(msgspec.Struct, frozen=True):
    """Ordered changes after a cursor; *cursor* is where the next page starts, *more* whether there is one now."""

    changes: tuple[Change, ...]
    cursor: str
    more: bool


class ListingPage(msgspec.Struct, frozen=True):
    """A page of everything alive, each as its last change left it. *cursor* is the change-feed position to replay
    from, the same on every page and taken before the first; *next* is None on the last page."""

    changes: tuple[Change, ...]
    cursor: str
    next: str | None


class RemoteIdentity(msgspec.Struct, frozen=True):
    """Who answers, and as whom."""

    remote_id: str
    space_id: str
    space: str
    device_id: str
    device: str


class Cause(StrEnum):
    """Why a version was written; kept in the history."""

    EDIT = "edit"
    CONFLICT = "conflict"
    RESTORE = "restore"
    REVIVE = "revive"


class Create(msgspec.Struct, frozen=True, tag="create", omit_defaults=True):
    """Bring a node into being, or revive its tombstone (then *base* is the tombstone's version)."""

    key: bytes
    node_id: bytes
    parent_id: bytes
    name: str
    kind: Kind
    base: Version | None = None
    content: Content | None = None
    executable: bool = False
    mtime_ns: int = 0
    cause: Cause = Cause.EDIT
    restored_from: Version | None = None


class Edit(msgspec.Struct, frozen=True, tag="edit", omit_defaults=True):
    """Change content (with its mtime) or the executable bit, or both, of the version *base*."""

    key: bytes
    node_id: bytes
    base: Version
    content: Content | None = None
    executable: bool | None = None
    mtime_ns: int = 0
    cause: Cause = Cause.EDIT
    restored_from: Version | None = None


class Step(msgspec.Struct, frozen=True):
    """One node's part in a place group."""

    node_id: bytes
    base: Version
    parent_id: bytes
    name: str


class Moves(msgspec.Struct, frozen=True, tag="moves"):
    """Rename or move one node, or several at once: names and cycles are checked only after the last step."""

    key: bytes
    steps: tuple[Step, ...]


class Delete(msgspec.Struct, frozen=True, tag="delete"):
    """Remove the version *base* of a node; a directory must be empty."""

    key: bytes
    node_id: bytes
    base: Version


Mutation = Create | Edit | Moves | Delete


class Verdict(StrEnum):
    """How the remote answered one mutation."""

    DONE = "done"
    STALE = "stale"  # the base is not current; ``nodes`` holds the current state where there is one
    CHUNKS_MISSING = "chunks missing"
    NAME_TAKEN = "name taken"  # ``nodes`` holds the occupant
    PARENT_GONE = "parent gone"
    NOT_EMPTY = "not empty"
    CYCLE = "cycle"
    REFUSED = "refused"  # never valid: a reserved name, the key used before for something else, over a limit


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to one mutation. When done, *nodes* holds each touched node's new state, in the mutation's order."""

    key: bytes
    verdict: Verdict
    nodes: tuple[RemoteNode, ...] = ()
    missing: tuple[bytes, ...] = ()
    detail: str = ""


class VersionInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of a node in the remote's history."""

    version: Version
    node: RemoteNode
    device: str
    at: float
    cause: Cause
    parent: Version | None = None
    restored_from: Version | None = None


class Capabilities(msgspec.Struct, frozen=True):
    """What a remote can do; the engine asks for capabilities, never for the kind of remote."""

    stable_ids: bool
    content_hash: bool
    change_feed: bool
    wait_for_change: bool
    atomic_rename: bool
    conditional_write: bool
    chunked_transfer: bool
    history: bool
    batch: bool
