"""Says what the daemon is doing (P12): builds the LiveStatus others read. Never decides."""

from dataclasses import dataclass, field

from syncd.engine.desk import Desk
from syncd.engine.looks import Looks
from syncd.engine.pulls import Pulls
from syncd.engine.upkeep import Upkeep
from syncd.model.observation import Progress
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
    moved: dict[int, Progress] = field(default_factory=dict)
    at: float = -1.0

    def progress(self, progress: Progress) -> None:
        """Note bytes moved by a running op."""
        self.moved[progress.op_id] = progress

    def refresh(self, unproven: str, recovering: bool, may_plan: bool) -> None:
        """Replace the live status, unless that was done a moment ago and work goes on."""
        now = self.desk.clock.monotonic()
        busy = bool(self.desk.running) or not self.looks.quiet
        if busy and now - self.at < REFRESH:
            return
        self.at = now
        counts = self.desk.db.queue.counts()
        phase, why = self._phase(unproven, recovering, may_plan, counts)
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
            running=self._running(),
            unwatched=tuple("/".join(path) or "." for path in self.upkeep.unwatched),
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

    def _running(self) -> tuple[RunningOp, ...]:
        ops = []
        for op_id in sorted(set(self.desk.running.values()))[:SHOWN_OPS]:
            queued = self.desk.db.queue.get(op_id)
            if queued is None:
                continue
            moved = self.moved.get(op_id)
            path = shown_path(self.desk.any_path(queued.op.node))
            ops.append(RunningOp(op_id, queued.op.type.value, path, moved.bytes_done if moved else 0, queued.op.size))
        self.moved = {op_id: p for op_id, p in self.moved.items() if op_id in self.desk.running.values()}
        return tuple(ops)
