"""Nodes and snapshots: what each of the three trees says of one file, directory or symlink."""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from syncd.model.path import NodeKey


class Tree(StrEnum):
    """The three trees. S is the merge base."""

    SYNCED = "s"
    REMOTE = "r"
    LOCAL = "l"


class Kind(StrEnum):
    """What a node is, for life; a change of kind is a delete and a create."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


class Version(msgspec.Struct, frozen=True):
    """A remote's version of a node. Compared only for equality; *position* orders observations of one remote
    (0 where the remote has no journal)."""

    position: int
    tag: str


class Reason(StrEnum):
    """Why a tree's word on a node is unknown. Unknown is not absent: such a node is not planned."""

    NOT_LOOKED = "not looked yet"
    UNREADABLE = "unreadable"
    IGNORED = "ignored"
    NOT_SELECTED = "not selected"
    HELD = "held"
    OTHER_FILE_SYSTEM = "on another file system"
    BUSY = "being written"
    LEFTOVER = "kept for ignored content"
    SIDECAR = "part of a database"


EXCLUDED = frozenset({Reason.IGNORED, Reason.NOT_SELECTED})
"""Somebody's rule says so: of what lies below, too."""
NEVER_SYNCED = EXCLUDED | {Reason.SIDECAR}
"""It stays as it is and is not shown."""
TAKEN = "what has its name here is"
"""Why something is held that the remote has; the reason for which that is never synced follows."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node is in one tree."""

    parent: NodeKey
    name: str


@dataclass(frozen=True, slots=True)
class Present:
    """A tree has the node. *hash* is None for directories; *size* is in bytes.

    ``mtime_ns`` travels with a content version and never decides. ``version`` is None in L. ``manifest`` is the
    hash of the content's manifest where it has more than one chunk (R and S only).
    """

    place: Place
    hash: bytes | None = None
    executable: bool = False
    size: int = 0
    mtime_ns: int = 0
    version: Version | None = None
    manifest: bytes | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """A tree was seen not to have the node. *version* is the remote's tombstone, where it gave one."""

    version: Version | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A tree's word is not known. *place* is where the node was last seen there, if it was."""

    reason: Reason
    place: Place | None = None
    detail: str = ""


State = Present | Absent | Unknown


# A scan builds one for each file it looks at: a struct is built in a tenth of a dataclass's time.
class Fingerprint(msgspec.Struct, frozen=True, gc=False):
    """What ``stat`` says of a local file: unchanged fingerprint, unchanged content (unless racy)."""

    dev: int
    ino: int
    mtime_ns: int
    ctime_ns: int
    size: int

    def same_but_ctime(self, other: "Fingerprint") -> bool:
        """Return whether only ctime may differ: a rename, or our own write."""
        return (self.dev, self.ino, self.mtime_ns, self.size) == (
            other.dev,
            other.ino,
            other.mtime_ns,
            other.size,
        )


@dataclass(frozen=True, slots=True)
class Node:
    """One row: a life-long identity and the three snapshots.

    *fingerprint* and *racy* belong to L (kept after L became absent, so that a rename can be recognised);
    *synced* is never Unknown.
    """

    id: NodeKey
    node_id: bytes | None
    kind: Kind
    synced: Present | Absent = Absent()
    remote: State = Absent()
    local: State = Absent()
    fingerprint: Fingerprint | None = None
    racy: bool = False

    def state(self, tree: Tree) -> State:
        """Return what *tree* says of this node."""
        match tree:
            case Tree.SYNCED:
                return self.synced
            case Tree.REMOTE:
                return self.remote
            case Tree.LOCAL:
                return self.local


def place_of(state: State) -> Place | None:
    """Return the place a snapshot occupies, also when what is there is not known."""
    return None if isinstance(state, Absent) else state.place
