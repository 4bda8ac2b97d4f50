"""Ops: the durable rows of the queue, and what they wait for. An op carries everything its executor needs to check."""

from dataclasses import dataclass
from enum import StrEnum

from syncd.model.conflict import ConflictKind
from syncd.model.node import Fingerprint, Kind, Place, Version
from syncd.model.path import NodeKey


class Side(StrEnum):
    """The side an op changes."""

    LOCAL = "local"
    REMOTE = "remote"


class OpType(StrEnum):
    """What an op does. Types named ``local_…`` and the downloads change this folder, the others the remote."""

    UPLOAD = "upload"  # create a file or symlink at the remote, or give it new content
    REMOTE_MKDIR = "remote_mkdir"
    REMOTE_MOVE = "remote_move"  # one move, or a place group (``group``)
    REMOTE_CHMOD = "remote_chmod"
    REMOTE_DELETE = "remote_delete"
    DOWNLOAD = "download"  # create a file or symlink here, or replace its content
    CONFLICT = "conflict"  # a download that sets the local content aside under ``aside``
    SET_ASIDE = "set_aside"  # rename the local node to ``place``, a conflicted name, in the same directory
    LOCAL_MKDIR = "local_mkdir"
    LOCAL_MOVE = "local_move"
    LOCAL_SWAP = "local_swap"  # exchange the places of this node and ``partner``
    LOCAL_CHMOD = "local_chmod"
    LOCAL_DELETE = "local_delete"  # into the trash


LOCAL_TYPES = frozenset(
    {
        OpType.DOWNLOAD,
        OpType.CONFLICT,
        OpType.SET_ASIDE,
        OpType.LOCAL_MKDIR,
        OpType.LOCAL_MOVE,
        OpType.LOCAL_SWAP,
        OpType.LOCAL_CHMOD,
        OpType.LOCAL_DELETE,
    }
)


class OpState(StrEnum):
    """Where an op is on its way."""

    READY = "ready"
    RUNNING = "running"
    BLOCKED = "blocked"  # waits for a condition or a person
    FAILED = "failed"  # parked: retrying cannot help
    DONE = "done"


LOCAL_TROUBLES = frozenset({"no space", "not permitted", "not possible here", "busy", "disk"})
"""Classes of errors that go on until somebody mends this machine."""

PATIENCE = 2
"""Attempts after which nobody is kept waiting for an op in such trouble."""


def needs_help(attempts: int, error_class: str) -> bool:
    """Return whether an op that is tried again and again waits, in truth, for a person."""
    return attempts >= PATIENCE and error_class in LOCAL_TROUBLES


class WaitKind(StrEnum):
    """Conditions an op can wait for."""

    PARENT_EXISTS = "parent exists"
    NAME_FREE = "name free"
    DIRECTORY_EMPTY = "directory empty"
    NODE_SETTLED = "node settled"


@dataclass(frozen=True, slots=True)
class Wait:
    """A condition, and the node whose change may fulfil it."""

    kind: WaitKind
    node: NodeKey


@dataclass(frozen=True, slots=True)
class Move:
    """One move of a remote place group."""

    node: NodeKey
    base: Version
    place: Place


@dataclass(frozen=True, slots=True)
class Op:
    """One planned change. Fields that a type does not use stay at their defaults.

    ``place`` is where the effect is seen (the new place of a move); ``source`` where the node is now on the side
    acted upon (moves, swaps, set-asides). ``expected`` is the local fingerprint that must still be found (None:
    nothing may be at the place); ``expected_executable`` the executable bit it must still have, which a fingerprint
    does not tell (None: any); ``base`` the remote version that must still be current (None: a node the remote
    never had). ``hash`` … ``mtime_ns`` describe the target content. ``manifest`` is that of what the remote has: of the
    content to fetch, or of the base of an edit that is sent. ``aside`` is a conflicted name fixed before
    anything happens. ``bytes_at_stake`` is the size of content a delete or overwrite would displace.
    """

    node: NodeKey
    type: OpType
    kind: Kind
    place: Place
    source: Place | None = None
    hash: bytes | None = None
    size: int = 0
    executable: bool = False
    mtime_ns: int = 0
    manifest: bytes | None = None
    base: Version | None = None
    expected: Fingerprint | None = None
    expected_hash: bytes | None = None
    expected_executable: bool | None = None
    aside: str | None = None
    partner: NodeKey | None = None
    partner_expected: Fingerprint | None = None
    group: tuple[Move, ...] = ()
    waits: tuple[Wait, ...] = ()
    conflict: ConflictKind | None = None
    destructive: bool = False
    bytes_at_stake: int = 0

    @property
    def side(self) -> Side:
        """The side this op changes."""
        return Side.LOCAL if self.type in LOCAL_TYPES else Side.REMOTE


# Structure before content, deletes last; within a class small before large (the queue adds the size class).
PRIORITY: dict[OpType, int] = {
    OpType.SET_ASIDE: 0,
    OpType.LOCAL_SWAP: 10,
    OpType.LOCAL_MOVE: 10,
    OpType.REMOTE_MOVE: 10,
    OpType.LOCAL_MKDIR: 20,
    OpType.REMOTE_MKDIR: 20,
    OpType.LOCAL_CHMOD: 30,
    OpType.REMOTE_CHMOD: 30,
    OpType.CONFLICT: 40,
    OpType.DOWNLOAD: 40,
    OpType.UPLOAD: 40,
    OpType.LOCAL_DELETE: 80,
    OpType.REMOTE_DELETE: 80,
}
