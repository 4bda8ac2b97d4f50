"""When is planned, and how far: the gates before the planner, the backlog behind it, and the guard after it.

Owns no rule about files; it only keeps the planner from seeing half of what is known, and the executors from getting
what the guard has not seen the whole of (P8).
"""

from dataclasses import dataclass

from syncd.engine.decide import Decider
from syncd.engine.desk import Desk
from syncd.engine.guarding import Guarding
from syncd.engine.intake import LocalIntake
from syncd.engine.looks import Looks
from syncd.engine.pulls import Pulls
from syncd.engine.receive import RemoteIntake
from syncd.engine.recovery import Recovery
from syncd.model.path import ROOT

BACKLOG_A_STEP = 500
LINKED = "linked"


@dataclass(slots=True)
class Planning:
    """The state of planning."""

    desk: Desk
    looks: Looks
    intake: LocalIntake
    remote: RemoteIntake
    pulls: Pulls
    guarding: Guarding
    decider: Decider
    recovery: Recovery
    copy_read: bool = False  # the whole of a restored copy was read; what follows from it is being planned
    backlog: int = 0  # up to which node all that disagrees was found; -1: to the end
    left: bool = False

    @property
    def allowed(self) -> bool:
        """Whether it is known what both sides have: on a first link, a rebuild, or after a changed history."""
        if self.recovery.first or self.remote.busy or self.remote.any_position:
            return False
        return self.desk.db.meta.get(LINKED) is not None

    @property
    def judged(self) -> bool:
        """Whether all was planned, and the guard has seen the whole of it: only then anything destructive may go."""
        return not self.left and not self.guarding.busy and not self.pulls.partial

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be planned, judged or carried out."""
        return self.judged and self.backlog < 0 and self.allowed

    @property
    def due(self) -> bool:
        """Whether there is something to do in the next step already."""
        if self.left or self.guarding.busy or self.desk.dirty or self.desk.below or self._linking:
            return True
        if self.decider.forgetting.due and self.looks.quiet:
            return True
        # The backlog waits for the step after the one that completed the first walk or pull, and nobody else calls it.
        return (self.backlog >= 0 or (self.copy_read and self.pulls.caught_up)) and self.allowed

    def plan_all(self) -> None:
        """Plan all that disagrees or has an op, a bounded number a step."""
        self.backlog = 0

    def work(self) -> None:
        """Plan what was touched; after a start, or a time when nothing could be planned, all that disagrees (P9)."""
        self._link()
        self.decider.quiet = self.looks.quiet
        if self.decider.quiet:
            self.decider.forgetting.give_back()
        if not self.allowed:
            self.decider.drop_all()  # a first link may touch a million nodes: the database remembers them
            self.guarding.interrupt()
            self.backlog = 0
            self.left = False
            return
        if self.intake.halfway or self.guarding.carrying or not self.desk.room:
            # A large look is not all written yet, or not all below a vanished folder is marked: it would look like
            # something that is missing, or that survives there. Or a decision has reached only a part of its group.
            self.left = True
            return
        if self.backlog >= 0 and len(self.decider.pending) < BACKLOG_A_STEP:
            # A node that came to agree while nothing was planned may still have an op: it goes, like its reason did.
            disagreeing = self.desk.db.nodes.disagreeing(self.backlog, BACKLOG_A_STEP)
            with_ops = self.desk.db.queue.nodes(self.backlog, BACKLOG_A_STEP)
            gone = self.desk.db.nodes.gone(self.backlog, BACKLOG_A_STEP)
            keys = sorted({*disagreeing, *with_ops, *gone})[:BACKLOG_A_STEP]
            for key in keys:
                self.desk.touch(key)
            self.backlog = keys[-1] if keys else -1
        self.left = self.decider.work() or self.backlog >= 0
        if not self.left and self.desk.room:
            if not self.pulls.partial:
                self.guarding.judge()
            self.guarding.fill()
            self._accept_copy_if()

    def _link(self) -> None:
        """Both sides are known for the first time: what a person has yet to decide is held again before any plan."""
        if self._linking and self.guarding.adopt_kept():
            self.desk.db.meta.set(LINKED, "yes")

    @property
    def _linking(self) -> bool:
        """Whether both sides are known and not linked yet; the walk that was missing may have ended after ``work``."""
        if self.recovery.first or self.remote.busy or self.remote.any_position:
            return False
        return self.looks.completed > 0 and self.pulls.caught_up and self.desk.db.meta.get(LINKED) is None

    def _accept_copy_if(self) -> None:
        """A restored copy is the root from now on, once all that was read of it, and listed, was planned and judged."""
        root = self.desk.db.nodes.node(ROOT)
        known = root is not None and root.fingerprint is not None
        if self.copy_read and self.pulls.caught_up and known and not self.guarding.busy:
            assert root is not None
            assert root.fingerprint is not None
            self.copy_read = self.guarding.hold_all = False
            self.desk.keeper.keep_identity(root.fingerprint.dev, root.fingerprint.ino)
