"""Hands ready ops to executors: resolves directories, records the start durably, keeps pools bounded."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from syncd.db.queue import QueuedOp
from syncd.engine.carry import is_create, takes_a_name
from syncd.engine.desk import Desk
from syncd.model.job import ApplyJob, Assignment, DirRef, Lane, MoveRef, SendJob
from syncd.model.node import Kind, Present, Tree
from syncd.model.op import Op, OpType, Side
from syncd.model.path import ROOT, ROOT_ID, NodeKey, RelPath

SMALL = 1 << 20
TRANSFERS = frozenset({OpType.UPLOAD, OpType.DOWNLOAD, OpType.CONFLICT})


@dataclass(slots=True)
class Dispatcher:
    """Chooses ready ops and turns them into jobs."""

    desk: Desk

    def work(self, side: Side, *, deletes: bool, judged: bool, only: NodeKey | None = None) -> list[ApplyJob | SendJob]:
        """Return jobs for what is ready and fits; call inside a durable transaction, then send them.

        *deletes* False holds back remote deletes while a walk could still find where things moved to. *judged* False
        holds back all that removes or replaces content: the guard has not seen the whole of it yet (P8). *only* this
        node's op, when given.
        """
        lane, width = (
            (Lane.APPLY, self.desk.settings.apply_width)
            if side is Side.LOCAL
            else (Lane.SEND, self.desk.settings.send_width)
        )
        room = width - self.desk.in_flight.get(lane, 0)
        if room <= 0:
            return []
        now = self.desk.clock.now()
        if only is None:
            ready = self.desk.db.queue.ready(side, now, room * self.desk.settings.batch_ops)
        else:
            ready = self.desk.db.queue.ready_of(only, side, now)
        chosen = [q for q in ready if q.op.node not in self.desk.running]
        if not deletes:
            chosen = [q for q in chosen if q.op.type is not OpType.REMOTE_DELETE]
        if not judged:
            chosen = [q for q in chosen if not q.op.destructive]
        jobs: list[ApplyJob | SendJob] = []
        for batch in self._batches(chosen)[:room]:
            assignments = [a for queued in batch if (a := self._assign(queued)) is not None]
            if not assignments:
                continue
            self.desk.db.queue.start([a.op_id for a in assignments], [msgspec.msgpack.encode(a) for a in assignments])
            for assignment in assignments:
                self._mark_running(assignment)
            prove = any(a.op.destructive for a in assignments)
            job = ApplyJob if side is Side.LOCAL else SendJob
            jobs.append(job(tuple(assignments), prove))
        return jobs

    def _mark_running(self, assignment: Assignment) -> None:
        op = assignment.op
        for key in (op.node, *(() if op.partner is None else (op.partner,)), *(m.node for m in op.group)):
            self.desk.running[key] = assignment.op_id
        if op.type is OpType.REMOTE_MKDIR:
            self.desk.harmless.add(op.node)

    def _batches(self, ready: Sequence[QueuedOp]) -> list[list[QueuedOp]]:
        """Small ops travel together, a large transfer by itself: a slow file never holds up small ones."""
        batches: list[list[QueuedOp]] = []
        small: list[QueuedOp] = []
        total = 0
        for queued in ready:
            size = queued.op.size if queued.op.type in TRANSFERS else 0
            if size > SMALL:
                batches.append([queued])
                continue
            if small and (len(small) >= self.desk.settings.batch_ops or total + size > self.desk.settings.batch_bytes):
                batches.append(small)
                small, total = [], 0
            small.append(queued)
            total += size
        if small:
            batches.insert(0, small)
        return batches

    # --- resolving -----------------------------------------------------------------------------------------------

    def _assign(self, queued: QueuedOp) -> Assignment | None:
        """Resolve an op's directories and ids now; None when the trees moved on and it must be planned again."""
        op = queued.op
        node = self.desk.db.nodes.node(op.node)
        partner = op.partner is not None and op.partner in self.desk.running
        if node is None or partner or any(move.node in self.desk.running for move in op.group):
            return None
        refs = None if self._is_taken(op) else self._refs(op)
        if refs is None:
            self.desk.touch(op.node)
            return None
        target, origin = refs
        parent_id = self._remote_id(op.place.parent)
        steps = self._steps(op)
        if op.side is Side.REMOTE and (node.node_id is None or parent_id is None or steps is None):
            self.desk.touch(op.node)
            return None
        return Assignment(
            queued.id,
            queued.key,
            op,
            node.node_id or b"",
            self._shown_path(op),
            parent_id,
            target,
            origin,
            self.desk.directory(op.node) if op.kind is Kind.DIRECTORY else None,
            steps or (),
        )

    def _is_taken(self, op: Op) -> bool:
        """Whether a look found the name taken since the op was planned. A directory most of all must not be made over
        one: it would be adopted, and two rows would stand for it."""
        if not takes_a_name(op):
            return False
        found = self.desk.db.nodes.at(Tree.LOCAL, op.place.parent, op.place.name)
        return any(node.id != op.node for node in found)

    def _refs(self, op: Op) -> tuple[DirRef | None, DirRef | None] | None:
        """Return (target, origin) directories; None when one that the op needs is not there."""
        local = op.side is Side.LOCAL
        target = self.desk.directory(op.place.parent)
        origin = self.desk.directory(op.source.parent) if op.source is not None else None
        needs_target = local or op.type is OpType.UPLOAD
        needs_origin = local and op.source is not None
        if (needs_target and target is None) or (needs_origin and origin is None):
            return None
        return target, origin

    def _remote_id(self, key: NodeKey) -> bytes | None:
        if key == ROOT:
            return ROOT_ID
        node = self.desk.db.nodes.node(key)
        return node.node_id if node is not None and isinstance(node.remote, Present) else None

    def _steps(self, op: Op) -> tuple[MoveRef, ...] | None:
        steps = []
        for move in op.group:
            node = self.desk.db.nodes.node(move.node)
            parent_id = self._remote_id(move.place.parent)
            if node is None or node.node_id is None or parent_id is None:
                return None
            steps.append(MoveRef(node.node_id, move.base.position, move.base.tag, parent_id, move.place.name))
        return tuple(steps)

    def _shown_path(self, op: Op) -> RelPath:
        tree = Tree.LOCAL if op.side is Side.LOCAL or is_create(op) else Tree.REMOTE
        parent = self.desk.db.nodes.path(tree, op.place.parent)
        return (*(parent if parent is not None else self.desk.any_path(op.place.parent)), op.place.name)
