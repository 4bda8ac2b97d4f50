"""Finds out how ops ended of which nobody knows: those running at a crash, and those that broke after they had acted.

Such an op stays under way, in the queue and for the planner, until somebody could look: planned anew before that, its
own effect would be taken for a person's edit (P4). Owns when to look again, and where; never what follows from it.
"""

from dataclasses import dataclass, field, replace

import msgspec

from syncd.db.queue import QueuedOp
from syncd.engine.desk import Desk
from syncd.model.job import Assignment, DirRef, RecoverJob
from syncd.model.node import Absent, Place
from syncd.model.observation import OpResult
from syncd.model.op import Side

PATIENCE = 6
"""Looks that may fail, the root being there, before the op is given back to be tried again under its own key."""
LONGEST = 60.0
"""Seconds between two looks at most."""


@dataclass(slots=True)
class Recovery:
    """The ops whose end is not known, by id, and how often looking failed. *first*: those of a crash are being looked
    into, and nothing is planned until that look is over."""

    desk: Desk
    unsure: dict[int, int] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)  # whose end a job could not tell since the last look began
    first: bool = False
    looking: bool = False
    again_at: float = 0.0

    def begin(self) -> None:
        """After a start: have everything looked into that was running."""
        local: list[Assignment] = []
        remote: list[Assignment] = []
        for queued in self.desk.db.queue.running():
            assignment = self._assignment(queued, complete=False)
            (remote if queued.op.side is Side.REMOTE else local).append(assignment)
            keys = (queued.op.node, queued.op.partner, *(move.node for move in queued.op.group))
            self.desk.running.update({key: queued.id for key in keys if key is not None})
        if local or remote:
            self.first = self.looking = True
            self.desk.send(RecoverJob(tuple(local), tuple(remote)))

    def came_back(self) -> None:
        """A look is over, or broke."""
        self.first = self.looking = False

    def keep(self, result: OpResult, *, root_gone: bool) -> bool:
        """Keep an op under way whose end could not be found out; False once that failed too often."""
        failed = self.unsure.get(result.op_id, 0) + (0 if root_gone else 1)
        if failed > PATIENCE:
            self.unsure.pop(result.op_id)
            return False
        self.unsure[result.op_id] = failed
        self.told.add(result.op_id)
        self.again_at = self.desk.clock.monotonic() + min(2.0 ** max(1, failed), LONGEST)
        return True

    def resolved(self, op_id: int) -> None:
        """How the op ended is known."""
        self.unsure.pop(op_id, None)

    def due(self, *, may_look: bool) -> float | None:
        """Return when to look again; None while nothing is to be found out, or the root is not proven."""
        return self.again_at if self.unsure and may_look and not self.looking else None

    def work(self, *, may_look: bool, complete: bool) -> None:
        """Look again when it is time. *complete*: nothing is left to be looked at, L knows each directory there is."""
        due = self.due(may_look=may_look)
        if due is None or self.desk.clock.monotonic() < due:
            return
        found = [queued for op_id in sorted(self.unsure) if (queued := self.desk.db.queue.get(op_id)) is not None]
        self.looking = True
        self.told.clear()
        self.desk.send(RecoverJob(tuple(self._assignment(queued, complete=complete) for queued in found), ()))

    def _assignment(self, queued: QueuedOp, *, complete: bool) -> Assignment:
        """Return the op as it was handed out, its directories where they are by now: what it did moved with them."""
        assignment = msgspec.msgpack.decode(queued.run_dirs, type=Assignment)
        op = assignment.op
        target = self._directory(assignment.target, op.place, complete=complete)
        origin = self._directory(assignment.origin, op.source, complete=complete)
        return replace(assignment, target=target, origin=origin)

    def _directory(self, was: DirRef | None, place: Place | None, *, complete: bool) -> DirRef | None:
        """Return where a directory is, as far as L knows; None when it is gone for certain."""
        if was is None or place is None:
            return was
        node = self.desk.db.nodes.node(place.parent)
        if complete and (node is None or isinstance(node.local, Absent)):
            return None
        return self.desk.directory(place.parent) or was
