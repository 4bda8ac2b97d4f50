"""Says what the daemon is doing (P12): builds the LiveStatus others read. Never decides."""

from dataclasses import dataclass, field

from syncd.engine.desk import Desk
from syncd.engine.looks import Looks
from syncd.engine.pace import Pace
from syncd.engine.pulls import Pulls
from syncd.engine.upkeep import Upkeep
from syncd.model.node import Reason, Tree
from syncd.model.op import OpState
from syncd.model.path import shown_path
from syncd.model.status import LiveStatus, Phase, RunningOp

REFRESH = 0.5
SHOWN_OPS = 20


@dataclass(slots=True)
class Reporter:
    """Builds LiveStatus, at most twice a second while much happens."""

    desk: Desk
    looks: Looks
    pulls: Pulls
    upkeep: Upkeep
    live: LiveStatus = field(default_factory=LiveStatus)
    pace: Pace = field(default_factory=Pace)
    at: float = -1.0
    owed: bool = False

    def due(self) -> float | None:
        """Return when a status that was put off must be given (monotonic); what is shown is never older than that."""
        return self.at + REFRESH if self.owed else None

    def refresh(self, unproven: str, recovering: bool, may_plan: bool, *, at_once: bool = False) -> None:
        """Replace the live status; unless *at_once*, not when that was done a moment ago and work goes on."""
        now = self.desk.clock.monotonic()
        busy = bool(self.desk.running) or not self.looks.quiet
        self.owed = busy and now - self.at < REFRESH and not at_once
        if self.owed:
            return
        self.at = now
        counts = self.desk.db.queue.counts()
        phase, why = self._phase(unproven, recovering, may_plan, counts)
        running = self._running()
        moment = self.pace.now(now)
        if phase not in (Phase.SYNCING, Phase.SCANNING):
            self.pace.rest()
        rate_up, rate_down = self.pace.rates()
        sizes = [(op.bytes_done, op.bytes_total) for op in running if op.bytes_done]
        same = (phase, why) == (self.live.phase, self.live.why)
        self.live = LiveStatus(
            phase=phase,
            why=why,
            since=self.live.since if same else self.desk.clock.now(),
            remote_online=self.pulls.online,
            remote_detail=self.pulls.detail,
            next_at=self.pulls.retry_at if not self.pulls.online else self.desk.db.queue.next_due(),
            scanned=sum(walk.processed for walk in self.looks.walks.values()),
            listed=self.pulls.listed if self.pulls.listing else 0,
            ops_waiting=counts.get(OpState.READY, 0),
            ops_blocked=counts.get(OpState.BLOCKED, 0),
            ops_failed=counts.get(OpState.FAILED, 0),
            running=running,
            bytes_up=moment.up,
            bytes_down=moment.down,
            rate_up=rate_up,
            rate_down=rate_down,
            seconds_left=self.pace.left(counts.get(OpState.READY, 0) + len(self.desk.running), sizes),
            unwatched=tuple("/".join(path) or "." for path in self.upkeep.unwatched),
            busy=self._busy(now),
        )

    def _phase(self, unproven: str, recovering: bool, may_plan: bool, counts: dict[OpState, int]) -> tuple[Phase, str]:
        if unproven:
            return Phase.STOPPED, unproven
        if self.pulls.fatal:
            return Phase.STOPPED, self.pulls.fatal
        if self.desk.facts.paused:
            return Phase.PAUSED, "paused by you; 'syncd resume' goes on"
        if recovering:
            return Phase.RECOVERING, "finding out how interrupted work ended"
        if self.looks.walks:
            return Phase.SCANNING, "looking at the folder"
        if not self.pulls.online:
            return Phase.OFFLINE, self.pulls.detail
        if self.pulls.listing or not may_plan:
            return Phase.LISTING, "listing the remote"
        if self.desk.running or counts.get(OpState.READY, 0):
            return Phase.SYNCING, ""
        return Phase.IN_SYNC, ""

    def _busy(self, now: float) -> tuple[tuple[str, float], ...]:
        """Return files that change whenever they are read, and since when they have not rested."""
        nodes, found = self.desk.db.nodes, []
        for key in nodes.unknown(Tree.LOCAL, Reason.BUSY, 0, SHOWN_OPS):
            path = nodes.path(Tree.LOCAL, key)
            since = self.looks.coalescer.busy_since(path[:-1], path[-1]) if path else None
            if path and since is not None:
                found.append((shown_path(path), self.desk.clock.now() - (now - since)))
        return tuple(found)

    def _running(self) -> tuple[RunningOp, ...]:
        ops = []
        for op_id in sorted(set(self.desk.running.values()))[:SHOWN_OPS]:
            queued = self.desk.db.queue.get(op_id)
            if queued is None:
                continue
            moved = self.pace.running.get(op_id)
            path = shown_path(self.desk.any_path(queued.op.node))
            ops.append(RunningOp(op_id, queued.op.type.value, path, moved.bytes_done if moved else 0, queued.op.size))
        return tuple(ops)
