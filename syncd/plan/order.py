"""Dependencies between ops: knots of waits and how they are undone, and who must be planned along with whom.

Most waits resolve themselves: parents are made, names are left, directories empty. Where they close a circle, no op
of it could ever start. Then one move of it is done differently: an exchange here, one place group at the remote, or,
where creates and deletes are part of the circle, a detour of one node through a temporary name in the root directory
(which always exists and is never inside what is being moved or removed).
"""

from dataclasses import replace

from syncd.model.node import Absent, Node, Place, Present, Reason, Tree, Unknown, Version, place_of
from syncd.model.op import Move, Op, OpType, Wait, WaitKind
from syncd.model.path import MAX_NAME_BYTES, ROOT, NodeKey
from syncd.plan.place import MOVES, Places, acts_on
from syncd.plan.world import Context, Trees


class Order:
    """The graph of waits around one node, while the trees stand still.

    *leader* is the one of a circle of waits that goes another way, once ``op`` was asked for a node in it: nobody else
    can move before it has.
    """

    def __init__(self, trees: Trees, context: Context, places: Places) -> None:
        self._trees = trees
        self._context = context
        self._places = places
        self._ops: dict[NodeKey, Op | None] = {}
        self.leader: NodeKey | None = None

    def op(self, node: Node) -> Op | None:
        """Return the structural op of *node* as it must be sent, with circles of waits undone."""
        op = self._plain(node.id)
        if op is None or op.type not in MOVES or not op.waits:
            return op
        if op.type is OpType.LOCAL_MOVE and self._places.is_in_what_goes(node) and self._waits_for_held(node.id):
            return self._places.leave(node)  # it cannot move out, and comes again where it belongs
        knot = self._knot(node.id)
        if len(knot) < 2:
            return op
        return self._untie(node, op, knot)

    def _plain(self, key: NodeKey) -> Op | None:
        if key not in self._ops:
            node = self._trees.node(key)
            self._ops[key] = None if node is None else self._places.op(node)
        return self._ops[key]

    def _untie(self, node: Node, op: Op, knot: tuple[NodeKey, ...]) -> Op:
        movers = [key for key in knot if self._is_move(key)]
        # Who made way already does not untie it by making way again.
        leader = self.leader = next((key for key in movers if not self._made_way(key)), movers[0])
        pure = len(movers) == len(knot)
        if op.type is OpType.REMOTE_MOVE and pure:
            if node.id != leader:
                return replace(op, waits=(Wait(WaitKind.NODE_SETTLED, leader),))
            return self._group(op, knot)
        if node.id != leader:
            return op
        if op.type is OpType.LOCAL_MOVE and pure:
            swap = self._swap(node, op)
            if swap is not None:
                return swap
        return self._detour(node, op)

    def _is_move(self, key: NodeKey) -> bool:
        op = self._plain(key)
        return op is not None and op.type in MOVES

    def _made_way(self, key: NodeKey) -> bool:
        """Return whether a node is where a detour took it."""
        node, op = self._trees.node(key), self._plain(key)
        assert node is not None
        assert op is not None
        place = place_of(node.local if acts_on(op) is Tree.LOCAL else node.remote)
        if place is None or place.parent != ROOT:
            return False
        return place.name.startswith(temporary_name(op.place.name, self._context.device, 1)[:-1])

    # --- the three ways out -------------------------------------------------------------------------------------

    def _group(self, op: Op, knot: tuple[NodeKey, ...]) -> Op:
        """Rename all members at once: the remote checks names and cycles only after the last step."""
        moves: list[Move] = []
        waits: dict[Wait, None] = {}
        for key in knot:
            member = self._plain(key)
            assert member is not None
            moves.append(Move(key, member.base or Version(0, ""), member.place))
            if self._context.running(key):
                waits[Wait(WaitKind.NODE_SETTLED, key)] = None
            for wait in member.waits:
                if wait.node not in knot:
                    waits[wait] = None
        return replace(op, group=tuple(moves), waits=tuple(waits))

    def _swap(self, node: Node, op: Op) -> Op | None:
        """Exchange with the occupant of the wanted name: this node is right then, the other is planned again."""
        if len(op.waits) != 1 or op.waits[0].kind is not WaitKind.NAME_FREE:
            return None
        partner = self._trees.node(op.waits[0].node)
        if partner is None or not isinstance(partner.local, Present) or partner.local.place != op.place:
            return None
        if self._above(node.id, partner) or self._above(partner.id, node):
            return None
        busy = (Wait(WaitKind.NODE_SETTLED, partner.id),) if self._context.running(partner.id) else ()
        return replace(op, type=OpType.LOCAL_SWAP, partner=partner.id, partner_expected=partner.fingerprint, waits=busy)

    def _detour(self, node: Node, op: Op) -> Op:
        tree = acts_on(op)
        number = 1
        while True:
            place = Place(ROOT, temporary_name(op.place.name, self._context.device, number))
            if not any(self._trees.at_folded(t, ROOT, place.name) for t in (Tree.LOCAL, Tree.REMOTE)):
                break
            number += 1
        if tree is Tree.LOCAL:
            return self._places.move_here(node, place)
        return replace(self._places.move_there(node, place), expected=None, expected_hash=None)

    def _above(self, key: NodeKey, node: Node) -> bool:
        """Return whether *key* is an ancestor of *node* in L."""
        seen = {node.id}
        place = place_of(node.local)
        while place is not None and place.parent != ROOT and place.parent not in seen:
            if place.parent == key:
                return True
            seen.add(place.parent)
            parent = self._trees.node(place.parent)
            place = None if parent is None else place_of(parent.local)
        return False

    # --- the graph ----------------------------------------------------------------------------------------------

    def _knot(self, start: NodeKey) -> tuple[NodeKey, ...]:
        """Return, sorted, all nodes that wait for each other in circles with *start* (its strong component)."""
        behind: dict[NodeKey, list[NodeKey]] = {start: []}
        stack = [start]
        while stack:
            key = stack.pop()
            for other in self._waited_for(key):
                if other not in behind:
                    behind[other] = []
                    stack.append(other)
                behind[other].append(key)
        found = {start: None}
        stack = [start]
        while stack:
            for key in behind[stack.pop()]:
                if key not in found:
                    found[key] = None
                    stack.append(key)
        return tuple(sorted(found))

    def _waits_for_held(self, start: NodeKey) -> bool:
        """Return whether a node waits, in the end, for one that cannot be represented here."""
        seen = {start: None}
        stack = [start]
        while stack:
            for key in self._waited_for(stack.pop()):
                other = self._trees.node(key)
                if other is not None and isinstance(other.local, Unknown) and other.local.reason is Reason.HELD:
                    return True
                if key not in seen:
                    seen[key] = None
                    stack.append(key)
        return False

    def _waited_for(self, key: NodeKey) -> list[NodeKey]:
        op = self._plain(key)
        if op is None:
            return []
        keys: list[NodeKey] = []
        for wait in op.waits:
            if wait.kind is WaitKind.DIRECTORY_EMPTY:
                keys.extend(child.id for child in self._trees.children(acts_on(op), key))
            else:
                keys.append(wait.node)
        return keys


def temporary_name(name: str, device: str, number: int) -> str:
    """Return a name for a detour: plain and visible, so that a person finds the file whatever else is lost."""
    safe = "".join("_" if char in "/()\0" else char for char in device)[:64]
    tail = f" (being moved, {safe})" + (f" {number}" if number > 1 else "")
    return name.encode(errors="ignore")[: MAX_NAME_BYTES - len(tail.encode())].decode(errors="ignore") + tail


def all_in(trees: Trees, directory: NodeKey) -> tuple[NodeKey, ...]:
    """Return what either side has in a directory: what happens to it is another's reason, and no change of theirs."""
    sides = (trees.children(tree, directory) for tree in (Tree.LOCAL, Tree.REMOTE))
    return tuple(dict.fromkeys(child.id for children in sides for child in children))


def touch(trees: Trees, key: NodeKey, before: Node | None = None) -> tuple[NodeKey, ...]:
    """Return who must be planned because a snapshot of *key* changed, itself first.

    *before* is the row as it was (its old names may have become free). Directories around it that one side deleted
    are planned again, for they may have become empty or got a survivor; so are all that hold or want its names.
    Ops that wait for *key* by a stored ``Wait`` are the queue's to find.
    """
    names: dict[NodeKey, None] = {key: None}
    places: dict[Place, None] = {}  # mostly the three trees agree, and one look is enough
    for node in (trees.node(key), before):
        if node is not None:
            states = (node.synced, node.remote, node.local)
            places.update((place, None) for state in states if (place := place_of(state)) is not None)
    for place in places:
        _touch_place(trees, names, place)
    return tuple(name for name in names if name != ROOT)


def _touch_place(trees: Trees, names: dict[NodeKey, None], place: Place) -> None:
    above: NodeKey = place.parent
    seen: set[NodeKey] = set()
    while above != ROOT and above not in seen:
        seen.add(above)
        parent = trees.node(above)
        if parent is None or not _one_sided(parent):
            break
        names[above] = None
        upper = place_of(parent.remote) or place_of(parent.local) or place_of(parent.synced)
        above = ROOT if upper is None else upper.parent
    for tree in (Tree.REMOTE, Tree.LOCAL):
        for other in trees.at_folded(tree, place.parent, place.name):
            names[other.id] = None


def _one_sided(node: Node) -> bool:
    """Return whether one side has the directory and the other not: a survivor decides what becomes of it."""
    if isinstance(node.local, Unknown) or isinstance(node.remote, Unknown):
        return False
    return isinstance(node.local, Absent) or isinstance(node.remote, Absent)
