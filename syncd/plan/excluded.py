"""Rows that meet, or come back, where ignore rules have something to say (devices may have different ones for a while).
Who leaves for a place that is excluded here, and who stays, is ``Fate``'s to say. Pure; the rules are the caller's.
"""

from syncd.model.node import Node, Place, Present, Tree, Unknown
from syncd.model.path import ROOT, NodeKey
from syncd.plan.fate import Fate
from syncd.plan.place import Places
from syncd.plan.world import Context, Join, Trees


def stays_apart(trees: Trees, pair: Join, context: Context) -> bool:
    """Return whether what is left here of a folder is not to be one with what the remote has at its place: that is
    excluded here, or gives way to a twin, and left for it. As one they would leave again, and again."""
    there, here = trees.node(pair.keep), trees.node(pair.drop)
    assert there is not None
    assert here is not None
    if not isinstance(here.local, Unknown):
        return False
    places = Places(trees, context, Fate(trees, context))
    return context.excluded(Tree.REMOTE, there) or not places.comes(there)


def arrives_from_exclusion(trees: Trees, node: Node, context: Context) -> bool:
    """Return whether a node that is excluded here now has a place at the remote that is not.

    Where it has a path here, that one must be excluded still, and another: else a look at it is what is due.
    """
    local = node.local
    if not isinstance(local, Unknown) or not isinstance(node.remote, Present):
        return False
    if context.excluded(Tree.REMOTE, node):
        return False
    return local.place is None or (context.excluded(Tree.LOCAL, node) and parted(trees, node))


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
