"""The engine: one step takes messages in, writes what was seen, derives ops, hands out work. The only way in.

``step`` never blocks on anything but the database. Everything it wants done leaves as jobs, after the transaction
that recorded them is committed.
"""

from collections.abc import Callable
from dataclasses import replace

import msgspec

from syncd.db.connection import Database
from syncd.db.runs import RunKind
from syncd.engine.asks import DECISIONS, Asks
from syncd.engine.decide import Decider
from syncd.engine.desk import Desk, EngineSettings, Keeper, RootFacts
from syncd.engine.dispatch import Dispatcher
from syncd.engine.exclusion import Exclusion
from syncd.engine.guarding import Guarding
from syncd.engine.intake import LocalIntake
from syncd.engine.looks import Looks, Walk
from syncd.engine.personal import Errands
from syncd.engine.pieces import PieceNotes
from syncd.engine.pulls import Pulls
from syncd.engine.receive import RemoteIntake
from syncd.engine.report import Reporter
from syncd.engine.settle import Settler
from syncd.engine.upkeep import Upkeep
from syncd.model.job import ApplyJob, Assignment, Lane, LookJob, ProveJob, RecoverJob, SendJob, SweepJob
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

PROVE_AGAIN = 10.0
BACKLOG_A_STEP = 500


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
        self.intake = LocalIntake(self.desk, self.looks)
        self.remote = RemoteIntake(self.desk)
        self.pulls = Pulls(self.desk, self.remote)
        self.guarding = Guarding(self.desk)
        self.decider = Decider(self.desk, Rules.parse(""), guarding=self.guarding, look_again=self.looks.hint_node)
        self.exclusion = Exclusion(self.desk, self.looks, self.decider)
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
        )
        self.errands = Errands(self.desk, self.looks)
        self.asks = Asks(
            self.desk, self.looks, self.pulls, self.guarding, self.errands, reply, self._planning, self._fault
        )
        self.upkeep = Upkeep(self.desk, self.looks)
        self.reporter = Reporter(self.desk, self.looks, self.pulls, self.upkeep)
        self._unproven = ""
        self._prove_at: float | None = None
        self._scan_at: float | None = None
        self._recovering = False
        self._copy_read = False  # the whole of a restored copy was read; what follows from it is being planned
        self._backlog = 0
        self._plans_left = False

    # --- starting ------------------------------------------------------------------------------------------------

    def start(self) -> float | None:
        """Resolve what a crash left running, order proof, the first walk and the first pull."""
        db = self.desk.db
        with db.transaction():
            if db.rebuilt:
                self.desk.log("the database starts empty: everything is looked at and listed again")
            self.errands.fail_interrupted()
            self._recover()
            self.remote.load_untold()
            self.looks.ask_full()
        self.upkeep.sweep_soon()
        return self.step([])

    def _recover(self) -> None:
        local: list[Assignment] = []
        remote: list[Assignment] = []
        for queued in self.desk.db.queue.running():
            assignment = msgspec.msgpack.decode(queued.run_dirs, type=Assignment)
            (remote if queued.op.side is Side.REMOTE else local).append(assignment)
            keys = (queued.op.node, queued.op.partner, *(move.node for move in queued.op.group))
            self.desk.running.update({key: queued.id for key in keys if key is not None})
        if local or remote:
            self._recovering = True
            self.desk.send(RecoverJob(tuple(local), tuple(remote)))

    # --- the step ------------------------------------------------------------------------------------------------

    def step(self, messages: list[Message]) -> float | None:
        """Take *messages* in and do what follows; returns the monotonic time by which to be called again, or None."""
        db = self.desk.db
        # A person's word holds from the moment it is answered: durable first, the reply after it (section 5).
        decided = any(isinstance(message, Ask) and message.verb in DECISIONS for message in messages)
        with db.transaction(durable=decided):
            self.intake.go_on()
            for message in messages:
                self._take(message)
            self._timers()
            self.intake.mark_orphans()
            self.remote.forget_some()
            self.remote.conclude_absences()
            self.exclusion.reapply()
            self.pieces.work()
            self._plan()
            look_due = self.looks.dispatch() if not self._recovering else None
            pull_due = self.pulls.dispatch()
            self.looks.settle_walks(self.desk.clock.now())
        self.desk.flush()
        tried = self.desk.clock.now()
        self._dispatch()
        self.asks.review()
        # Whoever is answered may look at once: what is shown must not be older than what they were told.
        told = bool(self.asks.replies)
        self.reporter.refresh(self._unproven, self._recovering, self._may_plan(), at_once=told)
        self.asks.answer()
        self.desk.forget_ended()
        return self._deadline(look_due, pull_due, tried)

    def _take(self, message: Message) -> None:
        match message:
            case Hints(names=names):
                for directory, name in names:
                    self.looks.hint(directory, name)
            case Looked():
                self._looked(message)
            case OpsEnded():
                self._ops_ended(message)
                if isinstance(message.job, RecoverJob) and message.last:
                    self._recovering = False
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
                self.desk.log("the clock jumped (a suspend?): looking and listing again", seconds=round(seconds))
                self.looks.ask_full(doubt_watcher=True)
                self.pulls.hurry()
            case Swept(late=late):
                self.desk.came_back(Lane.APPLY)
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
        self._unproven, self._prove_at = "", None
        root = self.desk.db.nodes.node(ROOT)
        assert root is not None
        fingerprint = Fingerprint(proven.dev, proven.ino, 0, 0, 0)
        if root.fingerprint is None or (root.fingerprint.dev, root.fingerprint.ino) != (proven.dev, proven.ino):
            self.desk.db.nodes.set_local(ROOT, Present(Place(0, "")), fingerprint)
        if not proven.same_inode:
            self.guarding.hold_all = True
            self.looks.asked = RunKind.DEEP
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
        self._prove_at = self.desk.clock.monotonic() + PROVE_AGAIN

    def _walk_over(self, walk: Walk) -> None:
        now = self.desk.clock.now()
        if walk.kind is RunKind.DEEP:
            self.desk.db.meta.set("deep scan at", str(now))
            if self.guarding.hold_all:
                self._copy_read = True
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
                self._recovering = False
                self.settler.take(OpsEnded(job, ()))  # no op was answered for: each is tried again with its own key
            case SweepJob():
                self.desk.came_back(job.lane)
            case ProveJob():
                self.desk.came_back(Lane.LOOK)
                self.looks.proving = False
                self._root_lost(error)
            case _ if (lane := getattr(job, "lane", None)) in (Lane.LIST, Lane.POLL):
                self.desk.came_back(lane)
                self.pulls.listing = False
                self.pulls.wait_out(error, None)

    # --- planning gates ------------------------------------------------------------------------------------------

    def _fault(self) -> str:
        """What stops everything until a person, or the world, mends it; not said while fresh proof is on its way."""
        return (self._unproven if not self.looks.proving else "") or self.pulls.fatal

    def _planning(self) -> bool:
        return self._plans_left or self._backlog >= 0 or not self._may_plan() or self._recovering

    def _may_plan(self) -> bool:
        """Plan once it is known what both sides have: on a first link, a rebuild, or after a changed history."""
        if self._recovering or self.remote.busy or self.remote.any_position:
            return False
        if self.desk.db.meta.get("linked") is not None:
            return True
        if self.looks.completed == 0 or not self.pulls.caught_up:
            return False
        self.guarding.adopt_kept(self.desk.keeper.kept_holds())
        self.desk.db.meta.set("linked", "yes")
        return True

    def _plan(self) -> None:
        """Plan what was touched; after a start, or a time when nothing could be planned, all that disagrees (P9)."""
        if not self._may_plan():
            self.decider.drop_all()  # a first link may touch a million nodes: the database remembers them
            self._backlog = 0
            self._plans_left = False
            return
        if self.intake.busy:
            # A large look is not all written yet, or not all below a vanished folder is marked: it would look like
            # something that is missing, or that survives there.
            self._plans_left = True
            return
        if self._backlog >= 0 and len(self.decider.pending) < BACKLOG_A_STEP:
            # A node that came to agree while nothing was planned may still have an op: it goes, like its reason did.
            disagreeing = self.desk.db.nodes.disagreeing(self._backlog, BACKLOG_A_STEP)
            with_ops = self.desk.db.queue.nodes(self._backlog, BACKLOG_A_STEP)
            keys = sorted({*disagreeing, *with_ops})[:BACKLOG_A_STEP]
            for key in keys:
                self.desk.touch(key)
            self._backlog = keys[-1] if keys else -1
        self._plans_left = self.decider.work() or self._backlog >= 0
        if not self._plans_left:
            self.guarding.review()
            self._accept_copy_if()

    def _accept_copy_if(self) -> None:
        """A restored copy is the root from now on, once all that was read of it, and listed, was planned and judged."""
        root = self.desk.db.nodes.node(ROOT)
        if self._copy_read and self.pulls.caught_up and root is not None and root.fingerprint is not None:
            self._copy_read = self.guarding.hold_all = False
            self.desk.keeper.keep_identity(root.fingerprint.dev, root.fingerprint.ino)

    def _timers(self) -> None:
        now = self.desk.clock.monotonic()
        if self._prove_at is not None and now >= self._prove_at:
            self._prove_at = None
            self.looks.ask_full()
        if self._scan_at is not None and now >= self._scan_at:
            self._scan_at = None
            deep_at = float(self.desk.db.meta.get("deep scan at") or 0)
            self.looks.ask_full(deep=self.desk.clock.now() - deep_at > self.desk.settings.deep_scan_interval)
        if self._must_prove():
            self.looks.prove()
        may_look = not self._unproven and self.looks.proven
        self.upkeep.work(may_look=may_look, recovering=self._recovering)

    # --- handing out ---------------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Hand ready ops out; their start is durable before they leave (section 5)."""
        if self.desk.facts.paused or self._unproven or not self._may_plan():
            return
        if not self.looks.proven or self.looks.completed == 0:
            return
        with self.desk.db.transaction(durable=True):
            judged = not self._plans_left
            jobs = self.dispatcher.work(Side.LOCAL, deletes=True, judged=judged)
            if self.pulls.online and self.exclusion.in_force(plans_left=self._plans_left):
                jobs += self.dispatcher.work(Side.REMOTE, deletes=self.looks.quiet, judged=judged)
            for job in jobs:
                self.desk.send(job)
        self.desk.flush()

    def _must_prove(self) -> bool:
        free = not self.looks.proving and not self.looks.walks and self._prove_at is None
        return self.looks.asked is not None and free

    def _deadline(self, look_due: float | None, pull_due: float | None, tried: float) -> float | None:
        steady, wall = self.desk.clock.monotonic(), self.desk.clock.now()
        # The backlog waits for the step after the one that completed the first walk or pull, and nobody else calls it.
        backlog = self._backlog >= 0 and self._may_plan()
        busy = self.remote.busy or self.pieces.busy or self.intake.busy
        # A walk that was asked for while another ran begins in the step after that one's end.
        backlog = backlog or self._must_prove()
        more = self._plans_left or self.desk.dirty or busy or backlog
        if more or self.exclusion.busy or (self._copy_read and self.pulls.caught_up and self._may_plan()):
            return steady
        timers = (look_due, self._prove_at, self._scan_at, self.reporter.due())
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
