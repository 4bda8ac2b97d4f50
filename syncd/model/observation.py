"""Observations: everything a worker may tell the control thread, as plain values. The inbox holds nothing else."""

from dataclasses import dataclass
from enum import StrEnum

from syncd.model.job import ApplyJob, LookJob, PollJob, PullJob, RecoverJob, SendJob
from syncd.model.node import Fingerprint, Kind, Reason
from syncd.model.path import NodeKey, RelPath
from syncd.model.remote import Change, RemoteIdentity, RemoteNode


@dataclass(frozen=True, slots=True)
class Hints:
    """Names that may have changed, as (directory, name). A hint means "look here" and nothing more. An empty name is
    all that is directly in a directory that is new to the watcher, which saw none of it come."""

    names: tuple[tuple[RelPath, str], ...]


@dataclass(frozen=True, slots=True)
class HintsLost:
    """The watcher lost events (overflow): look at everything below *below*."""

    below: RelPath
    why: str


@dataclass(frozen=True, slots=True)
class Unwatched:
    """Directories that cannot be watched (limit, permission): they are polled, and shown."""

    directories: tuple[RelPath, ...]
    why: str


# --- what a look saw --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """A name that is new or differs from what was known, with content hashed where it has one.

    For files *fingerprint* was the same before and after hashing. *racy*: so young that a later write could leave
    the same fingerprint (it must be read again). *hash* is None for directories.
    """

    name: str
    kind: Kind
    fingerprint: Fingerprint
    hash: bytes | None
    executable: bool
    racy: bool = False
    corrupt: bool = False


@dataclass(frozen=True, slots=True)
class Unhashed:
    """A file that changed and was not read in this job: over the limit, or it changed while being read (*busy*, with
    *detail* where there is more to say)."""

    name: str
    fingerprint: Fingerprint
    busy: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unseen:
    """A name whose node is there but not readable or not to be synced: *reason* says why. Never an absence."""

    name: str
    kind: Kind | None
    reason: Reason
    detail: str


class UnitFault(StrEnum):
    """Why nothing can be said of what is in a directory. NOT_DURABLE: it was read, and what is told of it must not be
    relied on yet, because a power loss might take it. DIFFERS: the listing is another one than it was, and what is
    known of each name was not given."""

    GONE = "gone"
    UNREADABLE = "unreadable"
    OTHER_FILE_SYSTEM = "on another file system"
    NOT_A_DIRECTORY = "not a directory"
    NOT_DURABLE = "not durable"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class UnitLooked:
    """One directory as found. *gone* are known names that are not in the listing. *directories* are all
    subdirectories a full scan descends into (whole looks only). *empty*: of what was asked for nothing is there but
    litter. *digest* stands for the whole listing (``observe.sameness``), where all in it was as it is known."""

    directory: NodeKey
    path: RelPath
    whole: bool
    dev: int = 0
    ino: int = 0
    fault: UnitFault | None = None
    seen: tuple[Seen, ...] = ()
    unhashed: tuple[Unhashed, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    gone: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    processed: int = 0
    empty: bool = False
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """The result of a LookJob. *rules* is the text of the root's ``.syncignore`` that was in force ("" without one)."""

    job: LookJob
    units: tuple[UnitLooked, ...]
    rules: str = ""


@dataclass(frozen=True, slots=True)
class Watching:
    """A watcher begins: what an earlier one could not watch is void, and is told anew."""


@dataclass(frozen=True, slots=True)
class Proven:
    """The root is the one that was tied. *same_inode* False: a restored copy (every delete is held). *rules* is the
    text of the ignore rules under which it is watched; None where it is not."""

    same_inode: bool
    dev: int
    ino: int
    rules: str | None = None


@dataclass(frozen=True, slots=True)
class Unproven:
    """The root is not there, or not the one that was tied. *proving* False: a look found out, not a ProveJob."""

    why: str
    proving: bool = True


# --- what the remote said ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pulled:
    """A page of changes (*full* False) or of a full listing (*full* True; then *next* continues it)."""

    job: PullJob
    identity: RemoteIdentity | None
    changes: tuple[Change, ...]
    cursor: str
    more: bool
    full: bool
    next: str | None = None


class PullFault(StrEnum):
    """Why a pull failed."""

    OFFLINE = "offline"
    EXPIRED = "cursor expired"
    HISTORY = "history changed"
    OTHER_REMOTE = "another remote"
    UNAUTHORISED = "not authorised"
    NONSENSE = "a reply that makes no sense"


@dataclass(frozen=True, slots=True)
class PullFailed:
    """A pull or a poll failed."""

    job: PullJob | PollJob
    fault: PullFault
    why: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class PollEnded:
    """The long poll came back."""

    job: PollJob
    changed: bool


# --- how ops ended ----------------------------------------------------------------------------------------------


class Ending(StrEnum):
    """How an op ended."""

    DONE = "done"
    STALE = "stale"  # what was expected was not found: look at ``look``, plan again
    RETRY = "retry"  # transient; the queue decides when
    REFUSED = "refused"  # parked and shown
    LEFTOVER = "leftover"  # local delete of a directory that holds only ignored content
    NOT_DONE = "not done"  # recovery: the op had no effect
    UNSURE = "unsure"  # it may have had its effect, and that could not be found out yet


@dataclass(frozen=True, slots=True)
class LocalAfter:
    """L as an op left it: only ctime may differ when it is looked at again."""

    fingerprint: Fingerprint
    hash: bytes | None
    executable: bool


@dataclass(frozen=True, slots=True)
class Displaced:
    """Content found where other content was expected: it is now *name*, a conflicted copy."""

    name: str
    path: RelPath


@dataclass(frozen=True, slots=True)
class OpResult:
    """How one op ended. *local* for ops on this folder, *remote* for ops on the remote (all touched nodes).

    *pieces* are (hash, offset, size) of content that was just read or written in more than one piece.
    """

    op_id: int
    ending: Ending
    local: LocalAfter | None = None
    partner_local: LocalAfter | None = None
    remote: tuple[RemoteNode, ...] = ()
    displaced: tuple[Displaced, ...] = ()
    error_class: str = ""
    error: str = ""
    retry_after: float | None = None
    bytes_moved: int = 0
    pieces: tuple[tuple[bytes, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class OpsEnded:
    """The results of an ApplyJob, SendJob or RecoverJob; may come in several parts, *last* ends the job."""

    job: ApplyJob | SendJob | RecoverJob
    results: tuple[OpResult, ...]
    last: bool = True


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running op is. *bytes_done* counts content handled, *sent* and *received* what of it travelled."""

    op_id: int
    bytes_done: int
    bytes_total: int
    sent: int = 0
    received: int = 0


@dataclass(frozen=True, slots=True)
class Swept:
    """The trash was tended. *late* are conflicted copies made from late writes; *held* entries somebody has open for
    writing: they are to be looked at again before long."""

    late: tuple[Displaced, ...]
    dropped: int
    bytes_kept: int
    held: int = 0


@dataclass(frozen=True, slots=True)
class JobFailed:
    """A job broke in a way nobody foresaw; the engine puts its work back."""

    job: object
    error: str


# --- what a person asked ----------------------------------------------------------------------------------------


class Verb(StrEnum):
    """What may be asked of a running daemon."""

    WAIT = "wait"
    SCAN = "scan"
    PAUSE = "pause"
    RESUME = "resume"
    RESOLVE = "resolve"
    APPROVE = "approve"
    RESTORE = "restore"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Ask:
    """A request from the control socket. *ticket* names it until the engine answers with a Reply."""

    ticket: int
    verb: Verb
    arguments: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The person who asked went away."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed: the engine's own deadline came."""


@dataclass(frozen=True, slots=True)
class ClockJumped:
    """Wall-clock time went on by so much more than the monotonic clock: a suspend, and connections and watches are
    doubted. Below zero the clock was set back: what waits for a time must not wait for it a second time."""

    seconds: float


Message = (
    Hints
    | HintsLost
    | Unwatched
    | Watching
    | Looked
    | Proven
    | Unproven
    | Pulled
    | PullFailed
    | PollEnded
    | OpsEnded
    | Progress
    | Swept
    | JobFailed
    | Ask
    | Withdraw
    | ClockJumped
    | Tick
)


@dataclass(frozen=True, slots=True)
class Reply:
    """The engine's answer to an Ask. *code* is the exit code the command line should use."""

    ticket: int
    code: int
    text: str
    more: tuple[tuple[str, str], ...] = ()
