"""What every executor is given: the world by protocols, and the limits. Holds values; does nothing."""

from collections.abc import Callable
from dataclasses import dataclass, field

from syncd.model import words
from syncd.model.errors import NoSpace, Transient
from syncd.model.observation import Progress
from syncd.model.path import RelPath
from syncd.observe.cuts import Cuts
from syncd.observe.ignore import is_litter
from syncd.observe.snapshots import Snapshots
from syncd.ports import Chance, ChunkCache, Clock, LocalFs, Remote


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what executors use. Sizes in bytes, times in seconds.

    *free_floor_bytes* is never written into. *window_bytes* is how much of a content is in flight at a time.
    *group_ops* and *group_bytes* bound what is staged and made durable together. *staged_kept* is how long the
    beginning of an interrupted download waits to be taken up again.
    """

    free_floor_bytes: int = 256 << 20
    window_bytes: int = 8 << 20
    group_ops: int = 128
    group_bytes: int = 8 << 20
    staged_kept: float = 24 * 3600.0


Wait = Callable[[], None]
"""Waits for the end of something, and raises what it raised; more than once does no harm."""


def _never(path: RelPath, directory: bool) -> bool:
    return False


def at_once(work: Callable[[], None]) -> Wait:
    """Do *work* now; there is nothing to wait for."""
    work()
    return lambda: None


@dataclass(frozen=True, slots=True)
class Tools:
    """Everything an executor may touch. Shared by worker threads: nothing here changes, except *busy*.

    *busy* holds the keys of the ops being applied in this process, so that the sweep leaves their entries alone
    (single additions and removals, which are atomic). Without *snapshots* databases are files like any other; without
    *cuts* a large file is read again to be sent. *beside* does work beside its caller, where there are threads.
    """

    fs: LocalFs
    remote: Remote
    clock: Clock
    chance: Chance
    device: Callable[[], str]
    cache: ChunkCache | None
    limits: Limits
    progress: Callable[[Progress], None]
    cancelled: Callable[[], bool]
    ignored: Callable[[RelPath, bool], bool] = _never
    litter: Callable[[str], bool] = is_litter
    busy: set[bytes] = field(default_factory=set)
    snapshots: Snapshots | None = None
    cuts: Cuts | None = None
    beside: Callable[[Callable[[], None]], Wait] = at_once

    def stop_if_cancelled(self) -> None:
        """Raise Transient when the daemon is stopping: what is done so far is taken up again later."""
        if self.cancelled():
            raise Transient("stopped before the end; it goes on at the next start")

    def require_space(self, size: int) -> None:
        """Raise NoSpace when *size* more bytes would go under the floor: a full disk stops, never damages."""
        free = self.fs.free_bytes()
        if free - size < self.limits.free_floor_bytes:
            floor = self.limits.free_floor_bytes
            kept = f", and {words.size(floor)} are to stay free (disk.free_floor)" if floor else ""
            raise NoSpace(
                f"{words.size(size)} are needed and {words.size(free)} are free{kept}: free some space, then it goes "
                "on by itself"
            )
