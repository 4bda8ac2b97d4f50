"""What the daemon says of itself at any time (P12): immutable values the control thread replaces and others read."""

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """What the daemon is about."""

    STARTING = "starting"
    RECOVERING = "recovering"
    SCANNING = "scanning"
    LISTING = "listing"
    SYNCING = "syncing"
    IN_SYNC = "in sync"
    OFFLINE = "offline"
    PAUSED = "paused"
    STOPPED = "stopped"  # something a person must mend first; ``why`` says what


@dataclass(frozen=True, slots=True)
class RunningOp:
    """An op at work."""

    op_id: int
    type: str
    path: str
    bytes_done: int
    bytes_total: int


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """A moment of the daemon. Times are seconds since the epoch; *next_at* is when it will act by itself.

    *bytes_up* and *bytes_down* are content that travelled since its start, the rates that of the last seconds;
    *seconds_left* is an estimate, None where there is none.
    """

    phase: Phase = Phase.STARTING
    why: str = ""
    since: float = 0.0
    remote_online: bool = False
    remote_detail: str = ""
    next_at: float | None = None
    scanned: int = 0
    listed: int = 0
    ops_waiting: int = 0
    ops_blocked: int = 0
    ops_failed: int = 0
    running: tuple[RunningOp, ...] = ()
    bytes_up: int = 0
    bytes_down: int = 0
    rate_up: float = 0.0
    rate_down: float = 0.0
    seconds_left: float | None = None
    unwatched: tuple[str, ...] = ()
    busy: tuple[tuple[str, float], ...] = ()  # files that are written all the time, and since when
