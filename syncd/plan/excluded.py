"""What becomes of a node that the remote moved to a place which is excluded here (rules may differ between devices for
a while). It leaves here through the trash, never as a remote delete. Pure; the rules themselves are the caller's.
"""

from collections.abc import Callable
from enum import Enum, auto

from syncd.model.node import Kind, Node, Place, Present, Tree, Unknown
from syncd.model.path import ROOT, NodeKey
from syncd.plan.content import content_op, local_executable, recorded
from syncd.plan.fate import Fate, is_unknown
from syncd.plan.order import all_in
from syncd.plan.place import Places
from syncd.plan.world import Context, Join, NodePlan, Trees

Excluded = Callable[[Tree, NodeKey], bool]
"""Whether the path that a tree has for a node is excluded on this device."""


class _Way(Enum):
    """What follows from a place at the remote that is excluded here."""

    USUAL = auto()  # nothing: the usual plan
    LEAVE = auto()  # the remote took it there, and nobody moved it here
    STAY = auto()  # both moved it; here it has a place that is synced, and that one wins


def plan_excluded(trees: Trees, key: NodeKey, context: Context, excluded: Excluded) -> NodePlan | None:
    """Return what to do about a node both sides have whose place at the remote is excluded here; None: plan as usual.

    What was edited here travels first, so that nothing but what the remote has goes to the trash (P7). Where both
    moved it, its place here wins: the remote's cannot be followed, and a person just chose this one.
    """
    node = trees.node(key)
    if node is None or not isinstance(node.remote, Present) or not isinstance(node.local, Present):
        return None
    if not excluded(Tree.REMOTE, key) or excluded(Tree.LOCAL, key):
        return None  # with both excluded the next look says so of L
    way = _way(trees, node, excluded)
    if way is _Way.USUAL:
        return None
    places = Places(trees, context, Fate(trees, context.executable_bit))
    if way is _Way.STAY:
        return NodePlan(op=places.stay(node), synced=recorded(node, context))
    if node.kind is not Kind.DIRECTORY and _edited(node, context):
        return NodePlan(op=content_op(node, trees, context), synced=recorded(node, context))
    within = [trees.node(child) for child in all_in(trees, key)] if node.kind is Kind.DIRECTORY else []
    also = tuple(child.id for child in within if child is not None and not is_unknown(child))
    return NodePlan(op=places.leave(node), also_plan=also)


def stays_apart(trees: Trees, pair: Join, context: Context, excluded: Excluded) -> bool:
    """Return whether what is left here of a folder is not to be one with what the remote has at its place: that is
    excluded here, or gives way to a twin, and left for it. As one they would leave again, and again."""
    there, here = trees.node(pair.keep), trees.node(pair.drop)
    assert there is not None
    assert here is not None
    if not isinstance(here.local, Unknown):
        return False
    places = Places(trees, context, Fate(trees, context.executable_bit))
    return excluded(Tree.REMOTE, there.id) or not places.comes(there)


def arrives_from_exclusion(trees: Trees, node: Node, excluded: Excluded) -> bool:
    """Return whether a node that is excluded here now has a place at the remote that is not.

    Where it has a path here, that one must be excluded still, and another: else a look at it is what is due.
    """
    local = node.local
    if not isinstance(local, Unknown) or not isinstance(node.remote, Present) or excluded(Tree.REMOTE, node.id):
        return False
    return local.place is None or (excluded(Tree.LOCAL, node.id) and parted(trees, node))


def parted(trees: Trees, node: Node) -> bool:
    """Return whether L and R lead to the node by different ways."""
    seen: set[NodeKey] = set()
    at: Node | None = node
    while at is not None and at.id != ROOT and at.id not in seen:
        seen.add(at.id)
        here, there = _place(at, Tree.LOCAL), _place(at, Tree.REMOTE)
        if here is None or here != there:
            return True
        at = trees.node(here.parent)
    return at is None


def _place(node: Node, tree: Tree) -> Place | None:
    state = node.state(tree)
    return state.place if isinstance(state, Present | Unknown) else None


def _way(trees: Trees, node: Node, excluded: Excluded) -> _Way:
    """Find the move that took the node there: its own, or that of the nearest directory above it that was moved."""
    at: Node | None = node
    while at is not None and at.id != ROOT:
        remote, local, synced = at.remote, at.local, at.synced
        if not isinstance(remote, Present) or not isinstance(local, Present):
            return _Way.USUAL
        if not isinstance(synced, Present) or local.place != synced.place:
            own = at is node and remote.place != local.place
            return _Way.STAY if own else _Way.USUAL
        if remote.place != synced.place:
            return _Way.LEAVE if excluded(Tree.REMOTE, at.id) else _Way.USUAL
        at = trees.node(local.place.parent)  # all three agree here: whoever is above decides
    return _Way.USUAL


def _edited(node: Node, context: Context) -> bool:
    """Return whether L has a content or mark that neither S nor R has."""
    remote, local, synced = node.remote, node.local, node.synced
    assert isinstance(remote, Present)
    assert isinstance(local, Present)
    assert isinstance(synced, Present)
    if local.hash not in (synced.hash, remote.hash):
        return True
    marks = (synced.executable, remote.executable)
    return node.kind is Kind.FILE and local_executable(node, context) not in marks
