"""The engine: one step takes messages in, writes what was seen, derives ops, hands out work. The only way in.

``step`` never blocks on anything but the database. Everything it wants done leaves as jobs, after the transaction
that recorded them is committed.
"""

from collections.abc import Callable
from dataclasses import replace

from syncd.db.connection import Database
from syncd.db.facts import TRASH_BYTES
from syncd.db.runs import RunKind
from syncd.engine.asks import Asks
from syncd.engine.decide import Decider
from syncd.engine.desk import Desk, EngineSettings, Keeper, RootFacts
from syncd.engine.dispatch import Dispatcher
from syncd.engine.exclusion import Exclusion
from syncd.engine.guarding import Guarding
from syncd.engine.inbox import Inbox
from syncd.engine.intake import LocalIntake
from syncd.engine.looks import Looks
from syncd.engine.personal import Errands
from syncd.engine.pieces import PieceNotes
from syncd.engine.planning import Planning
from syncd.engine.pulls import Pulls
from syncd.engine.receive import RemoteIntake
from syncd.engine.recovery import Recovery
from syncd.engine.report import Reporter
from syncd.engine.settle import Settler
from syncd.engine.upkeep import Upkeep
from syncd.engine.walk import Walk
from syncd.execute.retry import LONGEST
from syncd.model.job import ApplyJob, Lane, LookJob, ProveJob, RecoverJob, SendJob, SweepJob
from syncd.model.node import Fingerprint, Place, Present
from syncd.model.observation import (
    Ask,
    ClockJumped,
    Hints,
    HintsLost,
    JobFailed,
    Looked,
    Message,
    OpsEnded,
    PollEnded,
    Progress,
    Proven,
    Pulled,
    PullFailed,
    Reply,
    Swept,
    Tick,
    Unproven,
    Unwatched,
    Watching,
    Withdraw,
)
from syncd.model.op import Side
from syncd.model.path import ROOT
from syncd.observe.ignore import Rules
from syncd.ports import Chance, Clock, Workers

PROVE_AGAIN = 1.0
PROVE_LONGEST = 10.0
"""Seconds, first and at most, after which a root that could not be proven is looked for again."""


class Engine:
    """The control thread's object. Build it, call ``start`` once, then ``step`` whenever there are messages or its
    deadline has come."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        chance: Chance,
        workers: Workers,
        settings: EngineSettings,
        facts: RootFacts,
        keeper: Keeper,
        reply: Callable[[Reply], None],
        log: Callable[..., None],
    ) -> None:
        self.desk = Desk(db, clock, chance, workers, settings, facts, keeper, log)
        self.looks = Looks(self.desk, on_over=self._walk_over)
        self.intake = LocalIntake(self.desk, self.looks, planned=lambda: self.decider.idle)
        self.remote = RemoteIntake(self.desk)
        self.pulls = Pulls(self.desk, self.remote)
        self.guarding = Guarding(self.desk)
        self.decider = Decider(
            self.desk, Rules.parse(""), self.guarding, look_again=self.looks.hint_node, joined=self.looks.joined
        )
        self.recovery = Recovery(self.desk)
        self.planning = Planning(
            self.desk, self.looks, self.intake, self.remote, self.pulls, self.guarding, self.decider, self.recovery
        )
        self.exclusion = Exclusion(self.desk, self.looks, self.decider, self.planning.plan_all)
        self.dispatcher = Dispatcher(self.desk)
        self.pieces = PieceNotes(self.desk)
        self.settler = Settler(
            self.desk,
            self.looks,
            self.remote,
            self.guarding.is_allowed,
            self.decider.note_conflict,
            self.pulls.ask,
            self._root_lost,
            self.pulls.wait_out,
            self.pieces,
            self.recovery,
        )
        self.errands = Errands(self.desk, self.looks)
        self.asks = Asks(
            self.desk, self.looks, self.pulls, self.guarding, self.errands, reply, self._planning, self._fault
        )
        self.upkeep = Upkeep(self.desk, self.looks)
        self.reporter = Reporter(self.desk, self.looks, self.pulls, self.upkeep)
        self._unproven = ""
        self._prove_at: float | None = None
        self._prove_after = PROVE_AGAIN
        self._scan_at: float | None = None
        self.inbox = Inbox(self.desk, lambda: self.guarding.incomplete)
        self._parts: tuple[Callable[[], None], ...] = (
            self.guarding.carry,
            self.intake.mark_orphans,
            self.remote.forget_some,
            self.remote.conclude_absences,
            self.exclusion.reapply,
            self.pieces.work,
            self.upkeep.go_on,
        )

    # --- starting ------------------------------------------------------------------------------------------------

    def start(self) -> float | None:
        """Resolve what a crash left running, order proof, the first walk and the first pull."""
        db = self.desk.db
        with db.transaction():
            if db.rebuilt:
                self.desk.log("the database starts empty: everything is looked at and listed again")
            db.queue.bound(self.desk.clock.now() + LONGEST)
            self.desk.note_circumstances()
            self.errands.fail_interrupted()
            self.exclusion.load()
            self.decider.joining.load()
            self.recovery.begin()
            self.remote.load_untold()
            self.looks.ask_full()
        self.upkeep.sweep_soon()
        return self.step([])

    # --- the step ------------------------------------------------------------------------------------------------

    def step(self, messages: list[Message]) -> float | None:
        """Take *messages* in and do what follows; returns the monotonic time by which to be called again, or None.

        What one short transaction has no room for is done in the next steps, which are due at once (P11)."""
        self.inbox.put(messages)
        with self.desk.db.transaction(durable=self.inbox.decisive):
            pull_due = None if self.decider.go_on_joining() else self._work()
        self.desk.flush()
        if self.decider.joining.pair is not None:
            return self.desk.clock.monotonic()  # nothing is handed out, or answered, in between
        tried = self.desk.clock.now()
        self._dispatch()
        self.asks.review()
        # Whoever is answered may look at once: what is shown must not be older than what they were told.
        told = bool(self.asks.replies)
        self.reporter.refresh(self._unproven, self.recovery.first, self.planning.allowed, at_once=told)
        self.asks.answer()
        self.desk.forget_ended()
        return self._deadline(pull_due, tried)

    def rest(self) -> None:
        """Nothing has happened for a while: give back what was kept for speed, and is made anew when it is needed."""
        self.looks.coalescer.sweep(self.desk.clock.monotonic())
        self.desk.db.give_back()

    def _work(self) -> float | None:
        """Do what one transaction has room for; returns when the next pull is due."""
        self.intake.go_on()
        self.pulls.go_on()
        for message in self.inbox.take():
            self._take(message)
        self._timers()
        for work in self._parts:
            if self.desk.room:
                work()
        self.planning.work()
        if not self.recovery.first:
            self.looks.dispatch()
        pull_due = self.pulls.dispatch()
        self.looks.settle_walks(self.desk.clock.now())
        return pull_due

    def _take(self, message: Message) -> None:
        match message:
            case Hints(names=names):
                for directory, name in names:
                    if name:
                        self.looks.hint(directory, name)
                    else:
                        self.looks.arrived(directory)
            case Looked():
                self._looked(message)
            case OpsEnded():
                self._ops_ended(message)
                if isinstance(message.job, RecoverJob) and message.last:
                    self.recovery.came_back()
            case Pulled():
                self.pulls.take(message)
            case PullFailed():
                self.pulls.failed(message)
            case PollEnded():
                self.pulls.polled(message)
            case Proven():
                self._proven(message)
            case Unproven(why=why, proving=proving):
                if proving:
                    self.desk.came_back(Lane.LOOK)
                    self.looks.proving = False
                self._root_lost(why)
                if proving:
                    self._prove_after = min(self._prove_after * 2, PROVE_LONGEST)
            case Progress():
                self.reporter.pace.progress(message)
            case _:
                self._take_rare(message)

    def _ops_ended(self, ended: OpsEnded) -> None:
        if isinstance(ended.job, ApplyJob):
            for assignment in ended.job.assignments:
                for result in ended.results:
                    if result.op_id == assignment.op_id and result.op_id in self.errands.open:
                        self.errands.take(result, assignment.op)
            if any(assignment.op.destructive or assignment.op.aside for assignment in ended.job.assignments):
                # What was displaced is looked at again for late writers.
                self.upkeep.displaced()
        self.reporter.pace.ended(ended)
        self.settler.take(ended)

    def _take_rare(self, message: Message) -> None:
        match message:
            case HintsLost(below=below, why=why):
                self.desk.log("the watcher lost events; that folder is looked at again", below="/".join(below), why=why)
                self.looks.look_below(below)
            case Watching():
                self.upkeep.watch_begins()
            case Unwatched(directories=directories, why=why):
                self.upkeep.hear(message)
                self.desk.log("some folders cannot be watched; they are polled", count=len(directories), why=why)
            case Ask():
                self.asks.take(message)
            case Withdraw(ticket=ticket):
                self.asks.withdraw(ticket)
            case ClockJumped(seconds=seconds):
                self.upkeep.clock_jumped(seconds)
                self.pulls.hurry()
            case Swept(late=late, bytes_kept=bytes_kept, held=held):
                self.desk.came_back(Lane.APPLY)
                self.upkeep.swept(held)
                self.desk.db.meta.set(TRASH_BYTES, str(bytes_kept))
                for displaced in late:
                    self.looks.hint(displaced.path[:-1], displaced.name)
            case JobFailed(job=job, error=error):
                self._job_failed(job, error)
            case Tick():
                pass

    # --- local ---------------------------------------------------------------------------------------------------

    def _looked(self, looked: Looked) -> None:
        self.exclusion.seen(looked.rules)
        self.intake.take(looked)

    def _proven(self, proven: Proven) -> None:
        self.desk.came_back(Lane.LOOK)
        self.looks.proving = False
        self._unproven, self._prove_at, self._prove_after = "", None, PROVE_AGAIN
        self.exclusion.watched = proven.rules
        root = self.desk.db.nodes.node(ROOT)
        assert root is not None
        fingerprint = Fingerprint(proven.dev, proven.ino, 0, 0, 0)
        if root.fingerprint is None or (root.fingerprint.dev, root.fingerprint.ino) != (proven.dev, proven.ino):
            self.desk.db.nodes.set_local(ROOT, Present(Place(0, "")), fingerprint)
        if not proven.same_inode:
            self.guarding.hold_all = True
            self.looks.asked, self.looks.gently = RunKind.DEEP, False
            self.desk.log("the root is a restored copy: everything is read again and every delete is held")
        if self.looks.asked is not None and not self.looks.walks:
            self.looks.start_walk(self.looks.asked, self.desk.clock.now())
            self._scan_at = None  # the next one is due an interval after this one's end, however long it takes
        self.looks.proven = True

    def _root_lost(self, why: str) -> None:
        """A root whose identity is not proven is never scanned and never written (P8)."""
        if not self._unproven:
            self.desk.log("the folder cannot be proven to be the one that was tied; nothing is touched", why=why)
        self._unproven = why
        self.looks.abort(self.desk.clock.now())
        self._prove_at = self.desk.clock.monotonic() + self._prove_after

    def _walk_over(self, walk: Walk) -> None:
        now = self.desk.clock.now()
        if walk.kind is RunKind.DEEP:
            self.desk.db.meta.set("deep scan at", str(now))
            if self.guarding.hold_all:
                self.planning.copy_read = True
        if self.desk.db.meta.get("deep scan at") is None:
            self.desk.db.meta.set("deep scan at", str(now))
        self._scan_at = self.desk.clock.monotonic() + self.desk.settings.scan_interval
        self.settler.may_be_permitted_now()

    def _job_failed(self, job: object, error: str) -> None:
        self.desk.log("a job failed; its work is put back", job=type(job).__name__, error=error)
        match job:
            case LookJob():
                self.desk.came_back(Lane.LOOK)
                self.looks.came_back(job, 0, len(job.units))
                for unit in job.units:
                    if unit.path:
                        self.looks.hint(unit.path[:-1], unit.path[-1])
            case ApplyJob() | SendJob():
                self.settler.broke(job, error)
            case RecoverJob():
                self.recovery.came_back()
                self.settler.take(OpsEnded(job, ()))  # no op was answered for
            case SweepJob():
                self.desk.came_back(job.lane)
            case ProveJob():
                self.desk.came_back(Lane.LOOK)
                self.looks.proving = False
                self._root_lost(error)
            case _ if (lane := getattr(job, "lane", None)) in (Lane.LIST, Lane.POLL):
                self.pulls.broke(lane, error)

    # --- planning gates ------------------------------------------------------------------------------------------

    def _fault(self) -> str:
        """What stops everything until a person, or the world, mends it; not said while fresh proof is on its way."""
        return (self._unproven if not self.looks.proving else "") or self.pulls.fatal

    def _planning(self) -> bool:
        return self.inbox.busy or not self.planning.settled

    def _timers(self) -> None:
        now = self.desk.clock.monotonic()
        if self._prove_at is not None and now >= self._prove_at:
            self._prove_at = None
            self.looks.ask_full()
        if self._scan_at is not None and now >= self._scan_at:
            self._scan_at = None
            deep_at = float(self.desk.db.meta.get("deep scan at") or 0)
            deep = self.desk.clock.now() - deep_at > self.desk.settings.deep_scan_interval
            self.looks.ask_full(deep=deep, gently=True)
        if self._must_prove():
            self.looks.prove()
        may_look = self._may_look()
        self.recovery.work(may_look=may_look, complete=self.looks.quiet)
        self.upkeep.work(may_look=may_look, recovering=self.recovery.first)

    # --- handing out ---------------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Hand ready ops out; their start is durable before they leave (section 5)."""
        if self.desk.facts.paused or self._unproven or not self.planning.allowed:
            return
        if not self.looks.proven or self.looks.completed == 0:
            return
        with self.desk.db.reading():
            ruled = self.pulls.may_send and self.exclusion.in_force(plans_left=self.planning.left)
            first = self.exclusion.in_the_way() if self.pulls.may_send and not ruled else None
            if not self.desk.db.queue.any_ready(self.desk.clock.now()):
                return  # as in most steps: no transaction is worth it
        with self.desk.db.transaction(durable=True):
            judged = self.planning.judged
            jobs = self.dispatcher.work(Side.LOCAL, deletes=True, judged=judged)
            if ruled or first is not None:
                jobs += self.dispatcher.work(Side.REMOTE, deletes=self.looks.quiet, judged=judged, only=first)
            for job in jobs:
                self.desk.send(job)
        self.desk.flush()

    def _may_look(self) -> bool:
        return not self._unproven and self.looks.proven

    def _must_prove(self) -> bool:
        free = not self.looks.proving and not self.looks.walks and self._prove_at is None
        return self.looks.asked is not None and free

    def _deadline(self, pull_due: float | None, tried: float) -> float | None:
        steady, wall = self.desk.clock.monotonic(), self.desk.clock.now()
        parts = (self.inbox, self.remote, self.pulls, self.pieces, self.intake, self.exclusion, self.upkeep)
        # A walk that was asked for while another ran begins in the step after that one's end.
        if self.planning.due or self._must_prove() or any(part.busy for part in parts):
            return steady
        found_out = self.recovery.due(may_look=self._may_look())
        look_due = self.looks.due() if not self.recovery.first else None  # also what handing ops out hinted
        timers = (look_due, self._prove_at, self._scan_at, self.reporter.due(), found_out)
        dues = [due for due in timers if due is not None] + self.upkeep.dues()
        if pull_due is not None:
            dues.append(steady + max(0.0, pull_due - wall))
        # An op that was due already and was not handed out waits for a result, for the remote or for a person, all of
        # which bring a message: it needs no timer.
        next_op = self.desk.db.queue.next_due(after=tried)
        if next_op is not None:
            dues.append(steady + max(0.0, next_op - wall))
        return min(dues, default=None)

    @property
    def live(self) -> object:
        """The latest LiveStatus; replaced as a whole, so that any thread may read it."""
        return replace(self.reporter.live)
