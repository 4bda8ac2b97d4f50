"""How much travelled, how fast it goes, and how long the rest will take (P12). Counts and estimates; never decides."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from syncd.model.observation import Ending, OpsEnded, Progress

WINDOW = 10.0
"""Seconds over which a rate is taken: short enough to follow the line, long enough not to jump."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Totals at a monotonic time: bytes *up* and *down*, bytes of content handled, and ops done."""

    at: float
    up: int = 0
    down: int = 0
    handled: int = 0
    done: int = 0


@dataclass(slots=True)
class Pace:
    """Totals since the start, and the moments of the last seconds."""

    up: int = 0
    down: int = 0
    handled: int = 0
    done: int = 0
    running: dict[int, Progress] = field(default_factory=dict)
    moments: deque[Moment] = field(default_factory=deque)

    def progress(self, progress: Progress) -> None:
        """Note how far a running op is."""
        self.running[progress.op_id] = progress

    def ended(self, ended: OpsEnded) -> None:
        """Note the ends of ops. What an op that failed had moved by then has travelled all the same."""
        for result in ended.results:
            last = self.running.pop(result.op_id, Progress(result.op_id, 0, 0))
            sent, received = last.sent, last.received
            if result.bytes_moved and result.remote:
                sent = result.bytes_moved
            elif result.bytes_moved:
                received = result.bytes_moved
            self.up += sent
            self.down += received
            self.handled += last.bytes_done
            self.done += result.ending is Ending.DONE

    def now(self, at: float) -> Moment:
        """Return the totals at *at*, with what is under way, and remember them."""
        under_way = list(self.running.values())
        moment = Moment(
            at,
            self.up + sum(progress.sent for progress in under_way),
            self.down + sum(progress.received for progress in under_way),
            self.handled + sum(progress.bytes_done for progress in under_way),
            self.done,
        )
        while len(self.moments) > 1 and self.moments[1].at <= at - WINDOW:
            self.moments.popleft()
        self.moments.append(moment)
        return moment

    def rest(self) -> None:
        """Nothing is going on: the next rate begins anew."""
        self.moments.clear()
        self.running.clear()

    def rates(self) -> tuple[float, float]:
        """Return bytes a second, up and down."""
        if len(self.moments) < 2 or self.moments[-1].at <= self.moments[0].at:
            return 0.0, 0.0
        first, last = self.moments[0], self.moments[-1]
        seconds = last.at - first.at
        return (last.up - first.up) / seconds, (last.down - first.down) / seconds

    def left(self, ops: int, sizes: Sequence[tuple[int, int]]) -> float | None:
        """Return the seconds the rest will take, None while that cannot be told: for *ops* by ops done a second, for
        large transfers under way, as (done, total) bytes, by the bytes handled."""
        if len(self.moments) < 2:
            return None
        first, last = self.moments[0], self.moments[-1]
        seconds = last.at - first.at
        parts = []
        if ops and last.done > first.done:
            parts.append(ops * seconds / (last.done - first.done))
        behind = sum(total - done for done, total in sizes)
        if behind and last.handled > first.handled:
            parts.append(behind * seconds / (last.handled - first.handled))
        return max(parts, default=None)
