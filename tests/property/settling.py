"""Running a world to its end: plan all of it in rounds, or only what is touched, as the engine does."""

import random
from collections.abc import Callable, Iterable

from syncd.model.node import Absent, Kind, Node, Present, Tree, Unknown, place_of
from syncd.model.op import Op, OpType, WaitKind
from syncd.model.path import ROOT
from syncd.plan.order import all_in, touch
from syncd.plan.place import acts_on
from syncd.plan.planner import join, plan
from syncd.plan.world import NodePlan
from tests.property.cells import Table
from tests.property.world import Stale, World

Trace = Callable[[str], None]


class NotSettled(AssertionError):
    """Planning did not end, or stood still with work left."""


def depth(world: World, node: Node) -> int:
    """Return how deep the node is in the tree where it is deepest."""
    best = 0
    for state in (node.synced, node.remote, node.local):
        count, at = 0, place_of(state)
        tree = Tree.SYNCED if state is node.synced else Tree.REMOTE if state is node.remote else Tree.LOCAL
        while at is not None and at.parent != ROOT and count <= len(world.rows):
            count += 1
            above = world.rows.get(at.parent)
            at = None if above is None else place_of(above.state(tree))
        best = max(best, count)
    return best


def join_all(world: World, keys: Iterable[int], table: Table | None = None) -> None:
    """Join what is one node, parents before children, until nothing is."""
    wanted = [key for key in keys if (n := world.rows.get(key)) is not None and _may_join(n)]
    again = bool(wanted)
    while again:
        again = False
        rows = [n for key in wanted if (n := world.rows.get(key)) is not None and _may_join(n)]
        for key in [n.id for n in sorted(rows, key=lambda n: (depth(world, n), n.id))]:
            if key in world.rows and (found := join(world, key)) is not None:
                if table is not None:
                    table.joined(world.rows[found.keep], world.rows[found.drop], found)
                wanted.extend(child.id for child in world.children(Tree.LOCAL, found.drop))
                wanted.extend(child.id for child in world.children(Tree.REMOTE, found.keep))
                world.apply_join(found)
                again = True


def _may_join(node: Node) -> bool:
    return not (isinstance(node.remote, Present) and isinstance(node.local, Present))


class Settler:
    """Plans a world and carries ops out in any order their waits allow. *world* may refuse (``Stale``).

    *strict*: nothing moves but by these ops, so that an op that was planned from what is now so must be possible.
    """

    def __init__(
        self,
        world: World,
        chance: random.Random,
        table: Table,
        trace: Trace | None = None,
        apply: Callable[[Op], None] | None = None,
    ) -> None:
        self.world, self.chance, self.table, self.trace = world, chance, table, trace
        self.strict = apply is None
        self.apply = apply or world.apply
        self.done = 0
        self.left: list[Op] = []

    def _plan(self, key: int) -> NodePlan:
        world = self.world
        node = world.rows.get(key)
        found = plan(world, key, self.context)
        if node is not None and key != ROOT:
            self.table.planned(node, found)
            if found.op is not None and self.strict:
                check_waits(world, found.op)
        return found

    def _carry_out(self, op: Op, fresh: bool) -> bool:
        try:
            self.apply(op)
        except Stale as why:
            # What nobody is woken for, and the system or the hub refuses: a directory far above has moved below the
            # one that is to be moved; or the one it is to come into is held, or gave way to a twin, since then.
            excused = self._left_for_twins(op) or str(why) == "into itself"
            if fresh and self.strict and not excused:
                raise AssertionError(f"P6: planned a moment ago, and impossible ({why}): {op}") from why
            # Refused, it is planned again: then as something else, or it would be refused for ever.
            if self.strict and plan(self.world, op.node, self.context).op == op:
                raise AssertionError(f"P2: refused ({why}), and planned alike again: {op}") from why
            if self.trace:
                self.trace(f"stale ({why}) {op}")
            return False
        self.done += 1
        if self.trace:
            self.trace(f"done {op}")
        return True

    def _left_for_twins(self, op: Op) -> bool:
        """Its directory was here a moment ago, and the remote has it: what is in it goes on when it is here again."""
        parent = self.world.rows.get(op.place.parent)
        if parent is None or not isinstance(parent.remote, Present):
            return False
        gone = not self.world.case_sensitive and isinstance(parent.local, Absent)
        return gone or isinstance(parent.local, Unknown)

    def whole(self, rounds: int, piecewise: bool) -> int:
        """Plan every node in each round, carry out what waits for nothing in random order, until nothing is left.

        *piecewise*: a random part of it a round. Returns the rounds used; *rounds* bounds whole ones, of which a
        round of a part is a tenth or more: of ten ops, one may go.
        """
        world, chance = self.world, self.chance
        for number in range(rounds * (10 if piecewise else 1)):
            self.context = world.context()
            join_all(world, world.rows, self.table)
            ops: list[Op] = []
            records: list[tuple[int, NodePlan]] = []
            keys = list(world.rows)
            chance.shuffle(keys)
            for key in keys:
                found = self._plan(key)
                if found.op is not None:
                    ops.append(found.op)
                if found.synced is not None or found.forget or found.hold or found.release:
                    records.append((key, found))
            world.changed.clear()
            for key, found in records:
                world.record(key, found)
            recorded = bool(world.changed)  # a row that others still lean on is not forgotten yet
            if not ops and not recorded:
                self.left = []
                return number
            ready = [op for op in ops if not op.waits]
            if not ready and not recorded:
                self.left = ops
                check_stuck(world, ops)
                return number
            chance.shuffle(ready)
            if piecewise and ready:
                del ready[1 + int(chance.random() * len(ready)) :]
            moved = recorded
            for op in ready:
                moved = self._carry_out(op, fresh=not moved) or moved
            if not moved and self.strict:
                raise NotSettled("none of the ops can go: " + "; ".join(str(op) for op in ops))
        raise NotSettled(f"not at rest after {rounds} rounds")

    def touched(self, steps: int) -> int:
        """As the engine does: plan only what ``touch`` names, what waits for it, and what its plans lean on.

        *steps* bounds single ops and the plans between them: each op takes two, or three where it is at work
        for a while.
        """
        world, chance = self.world, self.chance
        self.context = world.context()
        queue: dict[int, Op] = {}
        dirty: dict[int, None] = dict.fromkeys(world.rows)
        flying: Op | None = None
        taken = 0
        while True:
            world.changed.clear()
            if dirty:
                keys = list(dirty)
                dirty = {}
                join_all(world, keys, self.table)
                chance.shuffle(keys)
                self.plan_all(keys, queue)
            else:
                ready = [key for key, op in queue.items() if not op.waits]
                if flying is not None and (not ready or chance.random() < 0.5):
                    op, flying = flying, None
                    world.running.clear()
                    self._carry_out(op, fresh=False)
                    self._wake(op.node, queue, dirty)
                elif not ready:
                    break
                else:
                    op = queue.pop(ready[int(chance.random() * len(ready))])
                    if flying is None and chance.random() < 0.125:
                        flying = op  # it is at work for a while, and others go on
                        world.running.add(op.node)
                        self._wake(op.node, queue, dirty)
                    else:
                        self._carry_out(op, fresh=flying is None and not _makes_a_name(op))
                        dirty[op.node] = None
            taken += 1
            if taken > steps:
                raise NotSettled(f"not at rest after {steps} steps")
            for key, before in world.changed:
                for other in touch(world, key, before):
                    dirty[other] = None
                self._wake(key, queue, dirty)
        self.left = list(queue.values())
        check_stuck(world, self.left)
        return taken

    def _wake(self, key: int, queue: dict[int, Op], dirty: dict[int, None]) -> None:
        """Have a node and whoever waits for it planned."""
        dirty[key] = None
        dirty.update((other, None) for other, op in queue.items() if any(wait.node == key for wait in op.waits))

    def plan_all(self, keys: list[int], queue: dict[int, Op]) -> None:
        planned: set[int] = set()
        while keys:
            key = keys.pop()
            if key not in planned:
                planned.add(key)
                found = self._plan(key)
                if self._stays_after_all(key, queue.pop(key, None), found.op):
                    keys.extend(all_in(self.world, key))
                if found.op is not None:
                    queue[key] = found.op
                keys.extend(found.also_plan)
                self.world.record(key, found)

    def _stays_after_all(self, key: int, before: Op | None, now: Op | None) -> bool:
        """As in the engine: a directory does not give way any more, and what is in it was to leave with it."""
        node = self.world.rows.get(key)
        if node is None or node.kind is not Kind.DIRECTORY or not isinstance(node.remote, Present):
            return False
        left = before is not None and before.type is OpType.LOCAL_DELETE
        return left and isinstance(node.local, Present) and (now is None or now.type is not OpType.LOCAL_DELETE)


def _makes_a_name(op: Op) -> bool:
    """Two nodes may have chosen one conflicted or temporary name; the second is refused, and chooses again."""
    return op.type in (OpType.CONFLICT, OpType.SET_ASIDE) or "(being moved, " in op.place.name


# --- order between ops ----------------------------------------------------------------------------------------------


def check_waits(world: World, op: Op) -> None:
    """An op waits only for what is not so yet: nothing could ever wake it otherwise. And it waits for that."""
    tree = acts_on(op)
    if not op.waits and op.type in (OpType.LOCAL_MOVE, OpType.LOCAL_SWAP):
        assert not world.into_itself(op), f"into itself: {op}"
    for wait in op.waits:
        other = world.rows.get(wait.node)
        if wait.kind is WaitKind.PARENT_EXISTS:
            assert other is None or not isinstance(other.state(tree), Present), (
                f"waits for a parent that is there: {op}"
            )
        elif wait.kind is WaitKind.NAME_FREE:
            assert other is not None, f"waits for nobody: {op}"
            place = place_of(other.state(tree))
            assert place is not None, f"waits for a name that is free: {op}"
            steps = [move.place.parent for move in op.group] or [op.place.parent]
            assert place.parent in steps, f"waits for a name elsewhere: {op}"
        elif wait.kind is WaitKind.DIRECTORY_EMPTY:
            assert world.children(tree, op.node), f"waits for an empty directory: {op}"


def check_stuck(world: World, ops: list[Op]) -> None:
    """What is left waits, in the end, for something that nothing is known about, or that cannot be here."""
    stuck = {n.id for n in world.rows.values() if isinstance(n.local, Unknown) or isinstance(n.remote, Unknown)}
    left = {op.node: op for op in ops}
    again = True
    while again:
        again = False
        for key, op in left.items():
            if key not in stuck and any(_waits_for(world, op, wait.kind, wait.node, stuck) for wait in op.waits):
                stuck.add(key)
                again = True
    free = [op for key, op in left.items() if key not in stuck]
    if free:
        raise NotSettled("ops wait for each other: " + "; ".join(str(op) for op in free))


def _waits_for(world: World, op: Op, kind: WaitKind, other: int, stuck: set[int]) -> bool:
    if kind is WaitKind.DIRECTORY_EMPTY:
        return any(child.id in stuck for child in world.children(acts_on(op), op.node))
    return other in stuck


def at_rest(left: set[int]) -> None:
    """Nothing may be left where everything is known and everything can be represented."""
    if left:
        raise NotSettled(f"ops are left for {sorted(left)}")
