"""The planner: from what the three trees say of a node to at most one op. Pure; looks only near the node.

Structure comes before content, and each field by itself: place, content, executable bit. After an op's result the
node is planned again, so nothing here thinks two ops ahead.
"""

from syncd.model.node import Absent, Kind, Node, Place, Present, Reason, Tree, Unknown
from syncd.model.op import Op, OpType, Wait, WaitKind
from syncd.model.path import ROOT, NodeKey, name_fault
from syncd.plan.content import content_op, recorded
from syncd.plan.fate import Fate, is_unknown, same_field_values
from syncd.plan.order import Order, all_in
from syncd.plan.place import Places
from syncd.plan.world import Context, Join, NodePlan, Trees

NOTHING = NodePlan()


def plan(trees: Trees, key: NodeKey, context: Context) -> NodePlan:
    """Return what to do about node *key* now. Its place in all trees must have been joined before (``join``)."""
    node = trees.node(key)
    if node is None or key == ROOT or context.running(key):
        return NOTHING
    if context.case_sensitive and _in_sync(node) and not context.excluded(Tree.REMOTE, node):
        return NOTHING  # what most plans come to; where twins are, a neighbour may have something against it
    fate = Fate(trees, context)
    places = Places(trees, context, fate)
    if isinstance(node.local, Unknown):
        return _make_way(trees, node, context, places) or _release(node, node.local, places)
    if is_unknown(node):
        return NOTHING
    if isinstance(node.remote, Absent) and isinstance(node.local, Absent):
        return NodePlan(forget=True)
    order = Order(trees, context, places)
    op = order.op(node)
    goes = op is not None and op.type is OpType.LOCAL_DELETE  # with all that gives way to a twin, whatever its name
    if isinstance(node.remote, Present) and _arrives(node, fate) and not goes:
        why = places.fault(node) or places.obstacle(node)
        if why is not None:
            # What was edited here travels first: a name that cannot be here must not strand an edit.
            edit = content_op(node, trees, context) if isinstance(node.local, Present) else None
            return NodePlan(hold=why) if edit is None else NodePlan(op=edit)
    if isinstance(node.remote, Present) and isinstance(node.local, Present):
        return _both(node, trees, context, op, order.leader)
    return NodePlan(op=op, also_plan=_leans_on(node, op))


def _in_sync(node: Node) -> bool:
    """Return whether all three trees say the same."""
    remote, local = node.remote, node.local
    return (
        isinstance(remote, Present)
        and isinstance(local, Present)
        and remote == node.synced
        and same_field_values(remote, local)
    )


def _both(node: Node, trees: Trees, context: Context, op: Op | None, leader: NodeKey | None) -> NodePlan:
    """Structure first; but a name that nothing is known about must not keep content from travelling."""
    content = content_op(node, trees, context)
    chosen = content if op is None or (content is not None and _waits_for_unknown(op, trees)) else op
    also = _leans_on(node, op, leader)
    if op is not None and op.type is OpType.LOCAL_DELETE and node.kind is Kind.DIRECTORY:
        also = all_in(trees, node.id)  # what is here leaves with it, and none by itself; what was to come does not
    return NodePlan(op=chosen, synced=recorded(node, context), also_plan=also)


def _arrives(node: Node, fate: Fate) -> bool:
    """Return whether the remote's name is about to be brought into this folder."""
    remote, local = node.remote, node.local
    assert isinstance(remote, Present)
    if isinstance(local, Present):
        return local.place != remote.place and fate.target(node) == remote.place
    return fate.survives(node)


def _release(node: Node, local: Unknown, places: Places) -> NodePlan:
    if local.reason is not Reason.HELD or not isinstance(node.remote, Present | Absent):
        return NOTHING
    if local.place is None:
        free = isinstance(node.remote, Absent) or not (places.fault(node) or places.obstacle(node))
    else:
        # The place may be one that cannot be synced whatever the remote says.
        free = isinstance(node.remote, Present) and name_fault(local.place.name) is None and places.fault(node) is None
    return NodePlan(release=True) if free else NOTHING


def _make_way(trees: Trees, node: Node, context: Context, places: Places) -> NodePlan | None:
    """What the remote brings to the name of a folder that is kept for its ignored content gets it: the folder takes a
    conflicted name, with all that is in it. Nothing else would ever free the name."""
    place = None if isinstance(node.local, Present) else _local_only_place(node)
    if place is None or join(trees, node.id) is not None:
        return None
    look = trees.at if context.case_sensitive else trees.at_folded
    for other in look(Tree.REMOTE, place.parent, place.name):
        op = places.op(other)
        if op is not None and Wait(WaitKind.NAME_FREE, node.id) in op.waits and places.fault(other) is None:
            return NodePlan(op=places.set_aside(node, Present(place, None, False, 0, 0), other))
    return None


def _waits_for_unknown(op: Op, trees: Trees) -> bool:
    for wait in op.waits:
        other = trees.node(wait.node)
        if other is None or is_unknown(other):
            return True
    return False


def _leans_on(node: Node, op: Op | None, leader: NodeKey | None = None) -> tuple[NodeKey, ...]:
    """Return whom the op waits for, acts along with, or has to let go first: they must have a plan of their own."""
    if op is None:
        return ()
    keys = {wait.node: None for wait in op.waits}
    keys.update((move.node, None) for move in op.group)
    if op.partner is not None:
        keys[op.partner] = None
    if leader is not None:
        keys[leader] = None
    return tuple(sorted(key for key in keys if key not in (node.id, ROOT)))


# --- joining ----------------------------------------------------------------------------------------------------


def join(trees: Trees, key: NodeKey) -> Join | None:
    """Return the two rows at one place, one only at the remote and one only here, that are one node; None if none.

    Called for either of them, parents before children, before ``plan``. First link of two non-empty sides is so a
    union: directory with directory is one node, and equal files meet without a conflict.
    """
    node = trees.node(key)
    if node is None or key == ROOT:
        return None
    if isinstance(node.remote, Present) and isinstance(node.local, Absent):
        for other in _at(trees, Tree.LOCAL, node.remote.place):
            if _are_one(node, other):
                return Join(node.id, other.id)
        return None
    place = _local_only_place(node)
    if place is None:
        return None
    for other in _at(trees, Tree.REMOTE, place):
        if isinstance(other.remote, Present) and isinstance(other.local, Absent) and _are_one(other, node):
            return Join(other.id, node.id)
    return None


def _at(trees: Trees, tree: Tree, place: Place) -> list[Node]:
    return sorted(trees.at(tree, place.parent, place.name), key=lambda node: node.id)


def _local_only_place(node: Node) -> Place | None:
    if not isinstance(node.remote, Absent):
        return None
    if isinstance(node.local, Present):
        return node.local.place
    leftover = isinstance(node.local, Unknown) and node.local.reason is Reason.LEFTOVER
    return node.local.place if leftover and isinstance(node.local, Unknown) else None


def _are_one(there: Node, here: Node) -> bool:
    """Return whether *there* (remote only) and *here* are one node; they share a place when the names are equal."""
    remote, place = there.remote, _local_only_place(here)
    assert isinstance(remote, Present)
    if place is None or place != remote.place or there.kind is not here.kind or there.id == here.id:
        return False
    if here.kind is Kind.DIRECTORY:
        return True
    if not isinstance(here.synced, Absent) or not isinstance(here.local, Present):
        return False  # the remote replaced it by another node: its delete and this create are decided by themselves
    # A file deleted and made again at its place was replaced. One that the remote moved here meets an unrelated file.
    replaced = isinstance(there.synced, Absent) or there.synced.place == remote.place
    return replaced or here.local.hash == remote.hash
