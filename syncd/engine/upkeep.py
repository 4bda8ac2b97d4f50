"""What comes round by itself: sweeps of the trash, records past their retention, folders that cannot be watched.

Owns only when; the sweep is an executor's, a look is the looks', and nothing here decides about a file.
"""

from dataclasses import dataclass, field

from syncd.engine.desk import Desk
from syncd.engine.looks import Looks
from syncd.model.job import SweepJob
from syncd.model.node import Tree
from syncd.model.observation import Unwatched
from syncd.model.path import RelPath

SWEEP_SOON = 5.0
SWEEP_INTERVAL = 3600.0
HELD_AGAIN = 10.0
HELD_LONGEST = 300.0
"""Seconds, first and at most, after which displaced content that a program has open is looked at again."""
UNWATCHED_INTERVAL = 60.0
ABANDONED_KEPT = 30 * 86400.0
"""Seconds for which the key of an op that may have happened stays known; R shows it with the next pull."""
FORGET_A_STEP = 200
"""Records of a kind forgotten in one transaction (P11)."""
POLLED_A_STEP = 200
ACTIVITY_KEPT = 10
"""Rows of the activity that are kept however old they are."""


@dataclass(slots=True)
class Upkeep:
    """The engine's slow timers. Times are monotonic seconds."""

    desk: Desk
    looks: Looks
    unwatched: dict[RelPath, None] = field(default_factory=dict)
    sweep_at: float | None = None
    tend_at: float = 0.0  # from when on the last displaced content is old enough to be judged
    poll_at: float | None = None
    held_for: int = 0  # sweeps in a row that found displaced content still open
    forgetting: bool = False
    polling: list[RelPath] = field(default_factory=list)  # unwatched directories yet to be looked at, the first last

    @property
    def busy(self) -> bool:
        """Whether something that came round is not all done yet."""
        return self.forgetting or bool(self.polling)

    def sweep_soon(self) -> None:
        """Tend the trash in a moment."""
        soon = self.desk.clock.monotonic() + SWEEP_SOON
        self.sweep_at = soon if self.sweep_at is None else min(self.sweep_at, soon)

    def displaced(self) -> None:
        """Something was displaced just now: it is looked at again for late writers."""
        self.tend_at = self.desk.clock.monotonic() + SWEEP_SOON
        self.sweep_soon()

    def swept(self, held: int) -> None:
        """The trash was tended; content that somebody still has open is looked at again, with growing patience."""
        self.held_for = self.held_for + 1 if held else 0
        if held and self.sweep_at is not None:
            again = min(HELD_AGAIN * 2.0 ** min(self.held_for - 1, 6), HELD_LONGEST)
            self.sweep_at = min(self.sweep_at, self.desk.clock.monotonic() + again)

    def hear(self, unwatched: Unwatched) -> None:
        """Some directories cannot be watched: they are looked at regularly instead."""
        self.unwatched.update(dict.fromkeys(unwatched.directories))
        if self.poll_at is None:
            self.poll_at = self.desk.clock.monotonic() + UNWATCHED_INTERVAL

    def watch_begins(self) -> None:
        """Another watcher begins: what the last one could not watch is void."""
        self.unwatched.clear()
        self.polling.clear()
        self.poll_at = None

    def clock_jumped(self, seconds: float) -> None:
        """The wall clock went on by *seconds* while nothing ran; or, below zero, it was set back."""
        if seconds < 0:
            self.desk.log("the clock was set back: nothing waits the longer for it", seconds=round(-seconds))
            self.desk.db.queue.shift(seconds)
        else:
            self.desk.log("the clock jumped (a suspend?): looking and listing again", seconds=round(seconds))
            self.looks.ask_full(doubt_watcher=True)

    def work(self, *, may_look: bool, recovering: bool) -> None:
        """Do what is due; *may_look* tells that the root is proven."""
        now = self.desk.clock.monotonic()
        if self.poll_at is not None and now >= self.poll_at:
            self._poll(may_look)
        if self.sweep_at is not None and now >= self.sweep_at and may_look and not recovering:
            self.sweep_at = self.tend_at if self.tend_at > now else now + SWEEP_INTERVAL
            running = tuple(queued.key for queued in self.desk.db.queue.running())
            self.desk.send(SweepJob(self.desk.clock.now(), self.desk.settings.trash_retention, running))
            self.forgetting = True

    def go_on(self) -> None:
        """Go on with what came round, a bounded amount a step (P11)."""
        if self.polling:
            self._look_at_unwatched()
        if self.forgetting:
            self.forgetting = self._forget()

    def dues(self) -> list[float]:
        """Return when to be called again."""
        return [due for due in (self.sweep_at, self.poll_at) if due is not None]

    def _poll(self, may_look: bool) -> None:
        self.poll_at = self.desk.clock.monotonic() + UNWATCHED_INTERVAL
        if not may_look or self.looks.walks or not self.looks.adhoc.over:
            return  # a walk is under way and sees them
        self.polling = sorted(self.unwatched, reverse=True)

    def _look_at_unwatched(self) -> None:
        page = [self.polling.pop() for _ in range(min(POLLED_A_STEP, len(self.polling)))]
        found = [(path, self.desk.db.nodes.find(Tree.LOCAL, path)) for path in page]
        for path, key in found:
            if key is None:
                self.unwatched.pop(path, None)  # it is not there now
        if not self.unwatched:
            self.poll_at = None
        self.looks.descend([key for _, key in found if key is not None], None)

    def _forget(self) -> bool:
        """Forget records past their retention, a bounded number of a kind; returns whether there are more."""
        db, settings, now = self.desk.db, self.desk.settings, self.desk.clock.now()
        # What the guard counts (P8) stays however short the retention is.
        before = now - max(settings.activity_retention, settings.guard_window)
        db.runs.prune(now, seconds=settings.activity_retention)
        gone = (
            db.activity.prune(before, ACTIVITY_KEPT, FORGET_A_STEP),
            db.commands.prune(before, FORGET_A_STEP),
            db.conflicts.prune(before, FORGET_A_STEP),
            db.decisions.prune(before, FORGET_A_STEP),
            db.queue.prune(now - ABANDONED_KEPT, FORGET_A_STEP),
        )
        return FORGET_A_STEP in gone
