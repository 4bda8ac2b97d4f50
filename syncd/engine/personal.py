"""Carries out what a person decided about a conflict: file work here, as if done by hand, but safe.

It goes through the executors with an expectation like any op (P6), and what is removed goes to the trash. L is then
seen by a look, and travels like every other edit. The command is written before it acts; one that a stop interrupted
is marked failed, with nothing lost: ask again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from syncd.engine.desk import Desk
from syncd.engine.looks import Looks
from syncd.model.conflict import ConflictKind
from syncd.model.job import ApplyJob, Assignment
from syncd.model.node import Fingerprint, Kind, Node, Place, Present, Tree
from syncd.model.observation import Ending, OpResult
from syncd.model.op import Op, OpType

KEEP_MINE, KEEP_THEIRS, KEEP_BOTH = "keep mine", "keep theirs", "keep both"


@dataclass(slots=True)
class Errand:
    """One decision under way."""

    number: int
    conflict: int
    resolution: str
    swapped: bool
    command: int
    done: Callable[[bool, str], None]


@dataclass(slots=True)
class Errands:
    """Decisions being carried out. Their ops are not in the queue: numbers below zero."""

    desk: Desk
    looks: Looks
    open: dict[int, Errand] = field(default_factory=dict)
    last: int = 0

    def begin(self, conflict: int, resolution: str, done: Callable[[bool, str], None]) -> None:
        """Carry out *resolution* for a conflict row; *done* is told whether it worked and why not."""
        row = self.desk.db.conflicts.get(conflict)
        assert row is not None
        command = self._command(conflict, resolution)
        if resolution == KEEP_BOTH or row.kind is ConflictKind.EDIT_DELETE or not row.copy_path:
            now = self.desk.clock.now()
            self.desk.db.commands.finish(command, now)
            self.desk.db.conflicts.resolve(conflict, resolution, now)
            done(True, "")
            return
        self.last -= 1
        errand = Errand(self.last, conflict, resolution, resolution == KEEP_MINE, command, done)
        path = tuple(row.path.split("/"))
        copy = self._at((*path[:-1], row.copy_path.rsplit("/", 1)[-1]))
        original = self._at(path)
        wanted = [copy, original] if resolution == KEEP_MINE else [copy]
        if not all(wanted):
            self.desk.db.conflicts.resolve(conflict, "gone", self.desk.clock.now())
            self._end(errand, False, "one of the two files is not there any more; nothing was changed")
            return
        if why := next(filter(None, (self._hindrance(node) for node in wanted)), ""):
            self._end(errand, False, why)
            return
        assert copy is not None
        if resolution == KEEP_MINE and original is not None:
            op = self._op(OpType.LOCAL_SWAP, copy, _place(original), partner=original)
        else:
            op = self._op(OpType.LOCAL_DELETE, copy, _place(copy))
        self._send(errand, op)

    def _command(self, conflict: int, resolution: str) -> int:
        told = [("id", str(conflict)), ("resolution", resolution)]
        return self.desk.db.commands.add("resolve", told, self.desk.clock.now())

    def _at(self, path: tuple[str, ...]) -> Node | None:
        key = self.desk.db.nodes.find(Tree.LOCAL, path)
        return self.desk.db.nodes.node(key) if key is not None else None

    def _hindrance(self, node: Node | None) -> str:
        """Return why a node that is there cannot be exchanged or removed now; "" when it can."""
        if node is None:
            return ""
        if node.kind is Kind.DIRECTORY:
            return "one of the two is a folder: move what is in it by hand, then keep both"
        if node.id in self.desk.running or not isinstance(node.local, Present):
            return "one of the two files is being worked on; ask again"
        return ""

    def _op(self, kind: OpType, node: Node, place: Place, partner: Node | None = None) -> Op:
        assert isinstance(node.local, Present)
        return Op(
            node.id,
            kind,
            node.kind,
            place,
            source=node.local.place,
            hash=node.local.hash,
            size=node.local.size,
            expected=node.fingerprint,
            expected_hash=node.local.hash,
            partner=partner.id if partner else None,
            partner_expected=partner.fingerprint if partner else None,
        )

    def _send(self, errand: Errand, op: Op) -> None:
        target = self.desk.directory(op.place.parent)
        origin = self.desk.directory(op.source.parent) if op.source is not None else None
        if target is None or origin is None:
            self._end(errand, False, "its folder is not there any more")
            return
        self.open[errand.number] = errand
        for key in (op.node, op.partner):
            if key is not None:
                self.desk.running[key] = errand.number
        path = (*target.path, op.place.name)
        token = self.desk.chance.token(16)
        assignment = Assignment(errand.number, token, op, b"", path, None, target, origin)
        self.desk.send(ApplyJob((assignment,), prove=True))

    def take(self, result: OpResult, op: Op) -> None:
        """An errand's op ended."""
        errand = self.open.pop(result.op_id)
        for key in (op.node, op.partner):
            if key is not None and self.desk.running.get(key) == errand.number:
                del self.desk.running[key]
                self.desk.result_on(key)
                self.desk.touch(key)
        for place in (op.place, op.source):
            if place is not None:
                self.looks.hint_in(place.parent, place.name)
        if result.ending is not Ending.DONE:
            self._end(errand, False, result.error or "the files changed meanwhile; ask again")
        elif errand.swapped:
            self._then_discard(errand, op, result)
        else:
            self._end(errand, True, "")

    def _then_discard(self, errand: Errand, op: Op, result: OpResult) -> None:
        """After the exchange the copy's name holds the other content: that goes to the trash."""
        node = self.desk.db.nodes.node(op.node)
        after = result.partner_local
        if node is None or op.source is None or after is None:
            self._end(errand, False, "the files changed meanwhile; ask again")
            return
        errand.swapped = False
        expected: Fingerprint = after.fingerprint
        self._send(
            errand,
            replace(
                self._op(OpType.LOCAL_DELETE, node, op.source),
                source=op.source,
                expected=expected,
                expected_hash=after.hash,
                hash=after.hash,
            ),
        )

    def _end(self, errand: Errand, fine: bool, why: str) -> None:
        now = self.desk.clock.now()
        self.desk.db.commands.finish(errand.command, now, failed=not fine, result=why)
        if fine:
            self.desk.db.conflicts.resolve(errand.conflict, errand.resolution, now)
        errand.done(fine, why)

    def fail_interrupted(self) -> None:
        """After a start: what a stop interrupted was not finished, and is not guessed at."""
        now = self.desk.clock.now()
        for command in self.desk.db.commands.pending():
            self.desk.db.commands.finish(command.id, now, failed=True, result="interrupted; ask again")


def _place(node: Node) -> Place:
    assert isinstance(node.local, Present)
    return node.local.place
