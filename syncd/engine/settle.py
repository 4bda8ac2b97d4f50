"""Settles results: in one transaction S advances and the op ends (P4), or the op goes back with what was learnt."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from syncd.db.activity import ActivityRow
from syncd.db.queue import QueuedOp
from syncd.engine.carry import after_local_op, after_own_commit, displaced_by_swap, is_create, takes_a_name
from syncd.engine.desk import Desk
from syncd.engine.leftovers import at_place, is_leftover, leave
from syncd.engine.looks import Looks
from syncd.engine.pieces import PieceNotes
from syncd.engine.receive import RemoteIntake
from syncd.engine.recovery import Recovery
from syncd.execute.ending import IN_USE, NOT_PERMITTED, OTHER_CONTENT, OUTDATED
from syncd.execute.retry import next_retry_at
from syncd.model.conflict import ConflictKind
from syncd.model.job import ApplyJob, RecoverJob, SendJob
from syncd.model.node import Absent, Fingerprint, Node, Place, Present, Tree
from syncd.model.observation import Ending, LocalAfter, OpResult, OpsEnded
from syncd.model.op import Op, OpState, OpType, Side
from syncd.model.path import NodeKey
from syncd.model.remote import RemoteNode

STALE_DELAY = 0.25
STALE_MOST = 30.0
IN_USE_MOST = 3
"""Attempts after which the wait for a program to close its file grows no more (some 8 s)."""
PARKED_AT_ONCE = 1000
CONTENTS = frozenset({OpType.UPLOAD, OpType.DOWNLOAD, OpType.CONFLICT, OpType.LOCAL_DELETE, OpType.REMOTE_DELETE})
KEEP_PLACE = frozenset({OpType.UPLOAD, OpType.DOWNLOAD, OpType.LOCAL_CHMOD, OpType.REMOTE_CHMOD})
"""Ops that leave every name where it was: only the node itself has to be planned again."""
MOVES = frozenset({OpType.LOCAL_MOVE, OpType.SET_ASIDE, OpType.LOCAL_SWAP})


@dataclass(slots=True)
class Settler:
    """Writes what became of ops."""

    desk: Desk
    looks: Looks
    remote: RemoteIntake
    is_allowed: Callable[[int], bool]
    note_conflict: Callable[[int, ConflictKind, str | None, str | None], None]
    ask_pull: Callable[[], int]
    root_lost: Callable[[str], None]
    went_offline: Callable[[str, float | None], None]
    pieces: PieceNotes
    recovery: Recovery
    told: list[ActivityRow] = field(default_factory=list)  # of the results that are being taken in

    def take(self, ended: OpsEnded) -> None:
        """Settle the results of a job, or of a part of it."""
        self.told = []
        for result in ended.results:
            self._one(result, late=isinstance(ended.job, RecoverJob))
        self._write_told()
        if isinstance(ended.job, RecoverJob):
            # Nobody stood by since they acted: what lies there may have been edited.
            for assignment in ended.job.local:
                self._look_again(assignment.op)
        if ended.last:
            self.desk.came_back(ended.job.lane)
            self._unanswered(ended)

    def _unanswered(self, ended: OpsEnded) -> None:
        """An op of the job that got no answer is still marked running: it goes back, and is looked into."""
        job = ended.job
        assignments = (*job.local, *job.remote) if isinstance(job, RecoverJob) else job.assignments
        for assignment in assignments:
            if self.desk.running.get(assignment.op.node) != assignment.op_id or assignment.op_id in self.recovery.told:
                continue
            queued = self.desk.db.queue.get(assignment.op_id)
            if queued is not None:
                self._one(_unforeseen(queued, "unanswered", "no result was reported"))
        self._write_told()

    def broke(self, job: ApplyJob | SendJob, error: str) -> None:
        """A job ended in an error nobody foresaw: its ops go back with growing patience."""
        self.desk.came_back(job.lane)
        for assignment in job.assignments:
            if self.desk.running.get(assignment.op.node) == assignment.op_id:
                queued = self.desk.db.queue.get(assignment.op_id)
                if queued is not None:
                    self._one(_unforeseen(queued, "internal", error))
        self._write_told()

    def _one(self, result: OpResult, *, late: bool = False) -> None:
        queued = self.desk.db.queue.get(result.op_id)
        if queued is None:
            return
        op = queued.op
        if result.ending is Ending.UNSURE:
            root_gone = result.error_class == "root gone"
            if self.recovery.keep(result, root_gone=root_gone):
                if root_gone:
                    self.root_lost(result.error)
                return
            result = replace(result, ending=Ending.RETRY)
        self.recovery.resolved(queued.id)
        for key in (op.node, *(() if op.partner is None else (op.partner,)), *(m.node for m in op.group)):
            if self.desk.running.get(key) == queued.id:
                del self.desk.running[key]
            if key not in self.desk.harmless:
                self.desk.result_on(key)
            self.desk.harmless.discard(key)
            if op.type in KEEP_PLACE:
                self.desk.touch(key)  # R's place, should it differ from what was known, spreads where it is written
            else:
                self.desk.leaving(key)
        for displaced in result.displaced:
            self.looks.hint(displaced.path[:-1], displaced.name)
        match result.ending:
            case Ending.DONE if not (late and self._gave_way(op)):
                self._done(queued, result)
            case Ending.LEFTOVER:
                self._leftover(queued)
            case Ending.STALE:
                self._stale(queued, result)
            case Ending.RETRY:
                self._retry(queued, result)
            case Ending.REFUSED:
                self.desk.db.queue.park(queued.id, result.error_class or "refused", result.error)
                self._tell(queued, "refused", result.error)
            case _:  # not done
                if op.side is Side.REMOTE:
                    self.desk.db.queue.abandon(queued.id, self.desk.clock.now())
                else:
                    self.desk.db.queue.finish(queued.id)
                    self._look_again(op)

    def _gave_way(self, op: Op) -> bool:
        """Whether another node has by now what an op took a name for: it was found out late, after a crash, that it had
        been done, and what was done since came out first. Nobody deleted what it had brought: it is planned again."""
        if not takes_a_name(op):
            return False
        found = self.desk.db.nodes.at(Tree.LOCAL, op.place.parent, op.place.name)
        return any(node.id != op.node and isinstance(node.local, Present) for node in found)

    # --- done ----------------------------------------------------------------------------------------------------

    def _done(self, queued: QueuedOp, result: OpResult) -> None:
        op = queued.op
        self._tell(queued, "done", "")  # before L and R move on: it was done to this path
        node = self.desk.db.nodes.node(op.node)
        if node is not None:
            if op.side is Side.REMOTE:
                self._done_remote(queued, result)
            else:
                self._done_local(op, node, result)
            if op.type in CONTENTS and (result.pieces or not is_create(op)):
                self.pieces.learn(op.node, result.pieces)  # nobody has pieces of what is new and small
            self.remote.settled_late()
        if op.conflict is not None or result.displaced:
            aside = op.type is OpType.SET_ASIDE and op.source is not None
            copy = result.displaced[0].name if result.displaced else op.place.name if aside else op.aside
            name = op.source.name if aside and op.source is not None else None
            self.note_conflict(op.node, op.conflict or ConflictKind.EDIT_EDIT, copy, name)
        self.desk.db.queue.finish(queued.id)

    def _done_remote(self, queued: QueuedOp, result: OpResult) -> None:
        op = queued.op
        for said in result.remote:
            node = self.desk.db.nodes.by_node_id(said.node_id)
            if node is not None:
                state = self.remote.state_of(said)
                self._forward(node, said, state, after_own_commit(node, op, state))

    def _forward(self, node: Node, said: RemoteNode, state: Present | Absent, synced: Present | Absent) -> None:
        known = node.remote.version if isinstance(node.remote, Present | Absent) else None
        if known is None or said.version.position >= known.position:
            self.remote.write(node.id, state, synced)
        else:
            self.desk.db.nodes.set_synced(node.id, synced)
        if known is None or said.version.position > known.position:
            self.remote.own_change(node.id, said.version)

    def _done_local(self, op: Op, node: Node, result: OpResult) -> None:
        nodes = self.desk.db.nodes
        after, left = result.local, is_leftover(node)
        if op.type is OpType.LOCAL_DELETE:
            nodes.set_local(node.id, Absent(), None)
            self._look_whether_empty(op.place.parent)
        elif after is not None:
            # What was too young when it was read is so under another name as well.
            racy = node.racy and op.type in (*MOVES, OpType.LOCAL_CHMOD)
            state = at_place(node, op.place) if left else self._local_state(op, node, after)
            if isinstance(state, Present):
                nodes.settle_local(node.id, after_local_op(node, op), state, after.fingerprint, racy)
            else:
                nodes.set_local(node.id, state, after.fingerprint, racy)
            if after.fingerprint == op.expected:  # it may have been edited before or since: only its content can tell
                self.looks.hint_in(op.place.parent, op.place.name)
        if after is None or left or op.type is OpType.LOCAL_DELETE:
            nodes.set_synced(node.id, after_local_op(node, op))
        if op.type is OpType.LOCAL_SWAP and op.partner is not None and op.source is not None:
            self._partner_moved(op.partner, op.source, result.partner_local)
        if op.type in MOVES and op.source is not None:
            self.looks.hint_in(op.source.parent, op.source.name)
        if is_create(op) and op.type is OpType.LOCAL_MKDIR:
            self.desk.touch_children(Tree.REMOTE, node.id)
        if after is not None and result.displaced:
            self.looks.hint_in(op.place.parent, op.place.name)

    def _look_whether_empty(self, directory: NodeKey) -> None:
        """What was in a folder that is kept for ignored content is gone: it may have been the last."""
        node, path = self.desk.db.nodes.node(directory), self.desk.local_path(directory)
        if node is not None and is_leftover(node) and path is not None:
            self.looks.hint_all(path)

    def _local_state(self, op: Op, node: Node, after: LocalAfter) -> Present:
        was = node.local if isinstance(node.local, Present) else None
        place = op.place
        if was is not None and op.type in (OpType.DOWNLOAD, OpType.CONFLICT, OpType.LOCAL_CHMOD):
            place = was.place
        content = after.hash
        if content is None and was is not None and op.type in (*MOVES, OpType.LOCAL_CHMOD):
            content = was.hash
        size = 0 if op.kind == "directory" else after.fingerprint.size
        executable = after.executable
        if not self.desk.facts.traits.executable_bit:
            executable = op.executable if was is None else was.executable
        return Present(place, content, executable, size, after.fingerprint.mtime_ns)

    def _partner_moved(self, key: int, place: Place, after: LocalAfter | None) -> None:
        partner = self.desk.db.nodes.node(key)
        if partner is None or not isinstance(partner.local, Present):
            return
        executable = partner.local.executable
        if after is not None and self.desk.facts.traits.executable_bit:
            executable = after.executable
        moved = replace(partner.local, place=place, executable=executable)
        fingerprint: Fingerprint | None = after.fingerprint if after is not None else partner.fingerprint
        self.desk.db.nodes.set_local(key, moved, fingerprint, partner.racy)
        self.desk.db.nodes.set_synced(key, displaced_by_swap(partner, place))

    def _leftover(self, queued: QueuedOp) -> None:
        """The directory holds only what is never synced: it stays, unsynced, until something else appears in it."""
        op = queued.op
        node = self.desk.db.nodes.node(op.node)
        if node is not None and isinstance(node.local, Present):
            leave(self.desk.db.nodes, node, node.local.place)
        self._tell(queued, "kept", "it holds only what is never synced")
        self.desk.db.queue.finish(queued.id)

    # --- not done ------------------------------------------------------------------------------------------------

    def _stale(self, queued: QueuedOp, result: OpResult) -> None:
        """The world moved: look and pull again, and let a plan from fresh snapshots replace the op.

        R is not taken from the answer: only the feed says with which key it was written, and it may be our own (P4).
        """
        self._learn_tombstones(result.remote)
        delay = min(STALE_MOST, STALE_DELAY * 2 ** min(queued.attempts, 10))
        self.desk.db.queue.retry(queued.id, self.desk.clock.now() + delay, OUTDATED, result.error)
        if result.error_class == OTHER_CONTENT:
            self.looks.hash_whole(queued.op.place.parent, [queued.op.place.name], deep=True)
        else:
            self._look_again(queued.op)
        if queued.op.side is Side.REMOTE:
            self.ask_pull()

    def _learn_tombstones(self, answered: tuple[RemoteNode, ...]) -> None:
        """A full listing tells what is absent, but not with which version: that, the answer to a create does."""
        for said in answered:
            node = self.desk.db.nodes.by_node_id(said.node_id) if said.deleted else None
            if node is not None and node.remote == Absent():
                self.remote.write(node.id, Absent(said.version))

    def _look_again(self, op: Op) -> None:
        for place in (op.place, op.source):
            if place is not None:
                self.looks.hint_in(place.parent, place.name)
        self.looks.hint_node(op.node)

    def _retry(self, queued: QueuedOp, result: OpResult) -> None:
        patience = min(queued.attempts + 1, IN_USE_MOST) if result.error_class == IN_USE else queued.attempts + 1
        at = next_retry_at(patience, self.desk.clock, self.desk.chance, result.retry_after)
        self.desk.db.queue.retry(queued.id, at, result.error_class, result.error)
        if result.error_class == "root gone":
            self.root_lost(result.error)
        elif result.error_class == "offline":
            self.went_offline(result.error, result.retry_after)

    def may_be_permitted_now(self) -> None:
        """Everything was looked at again: what was refused for want of permission gets another chance."""
        for queued in self.desk.db.queue.in_state(OpState.FAILED, PARKED_AT_ONCE):
            if queued.error_class == NOT_PERMITTED:
                self.desk.db.queue.release(queued.id)

    def _tell(self, queued: QueuedOp, outcome: str, why: str) -> None:
        op = queued.op
        path = "/".join(self.desk.any_path(op.node))
        row = ActivityRow(
            at=self.desk.clock.now(),
            node=op.node,
            path=path,
            what=op.type.value,
            why=why or (op.conflict.value if op.conflict else ""),
            outcome=outcome,
            side=op.side,
            bytes=op.bytes_at_stake if op.destructive else op.size,
            destructive=op.destructive and outcome == "done" and not self.is_allowed(op.node),
        )
        self.told.append(row)

    def _write_told(self) -> None:
        if self.told:
            self.desk.db.activity.add(self.told)
            self.told = []


def _unforeseen(queued: QueuedOp, error_class: str, error: str) -> OpResult:
    """Return how an op ended of which nothing was heard: here it may have had its effect; the remote is asked by key
    when it is tried again."""
    ending = Ending.UNSURE if queued.op.side is Side.LOCAL else Ending.RETRY
    return OpResult(queued.id, ending, error_class=error_class, error=error)
