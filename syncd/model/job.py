"""Jobs: picklable values the engine hands to workers. Each names a lane; its result is an observation."""

from dataclasses import dataclass
from enum import StrEnum

from syncd.model.node import Fingerprint, Kind
from syncd.model.op import Op
from syncd.model.path import NodeKey, RelPath


class Lane(StrEnum):
    """Bounded pools. Jobs of one lane run at most as many at a time as the lane is wide."""

    LOOK = "look"  # scanning and hashing
    LIST = "list"  # one at a time: pages of changes, full listings
    POLL = "poll"  # one at a time: the long poll
    APPLY = "apply"  # changes to this folder, downloads
    SEND = "send"  # changes to the remote, uploads


@dataclass(frozen=True, slots=True)
class KnownEntry:
    """What L says of one name, for the fast path: an equal fingerprint that is not racy needs no read.

    *hash* is needed by deep looks only: another hash under an unchanged fingerprint is damage, not an edit.
    *executable* None: no matter here. A chmod in the tick of a look, or of an op of ours, moves nothing else."""

    name: str
    kind: Kind
    fingerprint: Fingerprint | None
    racy: bool
    hashed: bool
    hash: bytes | None = None
    executable: bool | None = None


@dataclass(frozen=True, slots=True)
class LookUnit:
    """One directory to look at. *names* None: all of it; else only these names (compared with the listing).

    *known* holds L's entries for the directory (all, or those of *names*). With *digest* there are none: only whether
    the listing still is the one of which that was said (``observe.sameness``). *mark*: which of several looks this is.
    """

    directory: NodeKey
    path: RelPath
    names: tuple[str, ...] | None
    known: tuple[KnownEntry, ...]
    digest: bytes | None = None
    mark: int = 0


@dataclass(frozen=True, slots=True)
class LookJob:
    """Look at directories, compare with what is known, hash what changed.

    *began* is the engine's sequence when the look was ordered. *run* is the scan run it belongs to. *deep* hashes
    files whose fingerprint is unchanged as well. *hash_limit* is the number of bytes that may be hashed inside this
    job; files beyond it are reported as ``Unhashed`` and come back in a job of their own (None: no limit).
    """

    units: tuple[LookUnit, ...]
    began: int
    run: int | None = None
    deep: bool = False
    hash_limit: int | None = None
    lane: Lane = Lane.LOOK


@dataclass(frozen=True, slots=True)
class ProveJob:
    """Prove the root's identity; answered by Proven or Unproven. *watcher*: have the watcher prove itself, too."""

    watcher: bool = False
    lane: Lane = Lane.LOOK


@dataclass(frozen=True, slots=True)
class PullJob:
    """Fetch one page of changes after *cursor*; ``cursor=None`` starts (page None) or continues a full listing."""

    cursor: str | None
    page: str | None = None
    limit: int = 500
    lane: Lane = Lane.LIST


@dataclass(frozen=True, slots=True)
class PollJob:
    """Wait for a change after *cursor*."""

    cursor: str
    seconds: float
    lane: Lane = Lane.POLL


@dataclass(frozen=True, slots=True)
class DirRef:
    """A directory an op acts in: its path now, and the identity it must prove to have (P10)."""

    path: RelPath
    dev: int
    ino: int


@dataclass(frozen=True, slots=True)
class MoveRef:
    """One step of a remote place group, with the remote's ids."""

    node_id: bytes
    base_position: int
    base_tag: str
    parent_id: bytes
    name: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """An op handed to an executor, with all it needs: it never reads the database.

    *key* is the op's idempotency key (also the name of its trash entry, in hex). *target* is the local directory of
    ``op.place``, *origin* that of ``op.source`` (None where the op does not act on one). *path* is the node's path as
    shown and kept in the trash's info.
    """

    op_id: int
    key: bytes
    op: Op
    node_id: bytes
    path: RelPath
    parent_id: bytes | None = None
    target: DirRef | None = None
    origin: DirRef | None = None
    own: DirRef | None = None
    steps: tuple[MoveRef, ...] = ()


@dataclass(frozen=True, slots=True)
class ApplyJob:
    """Carry out ops on this folder, in order. *prove* asks for the root's identity first (destructive batches)."""

    assignments: tuple[Assignment, ...]
    prove: bool
    lane: Lane = Lane.APPLY


@dataclass(frozen=True, slots=True)
class SendJob:
    """Carry out ops on the remote, in order."""

    assignments: tuple[Assignment, ...]
    prove: bool = False
    lane: Lane = Lane.SEND


@dataclass(frozen=True, slots=True)
class RecoverJob:
    """Find out how ops that were running at a crash ended: local ones by looking at the disk, remote ones by key."""

    local: tuple[Assignment, ...]
    remote: tuple[Assignment, ...]
    lane: Lane = Lane.APPLY


@dataclass(frozen=True, slots=True)
class SweepJob:
    """Tend the trash: look again for late writers, drop what the remote keeps, expire by age.

    *retention* in seconds. Anything found staged without a running op in *running* is treated as left by a crash."""

    now: float
    retention: float
    running: tuple[bytes, ...]
    lane: Lane = Lane.APPLY


Job = LookJob | ProveJob | PullJob | PollJob | ApplyJob | SendJob | RecoverJob | SweepJob
