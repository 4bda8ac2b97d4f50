"""Folders that are kept here for the ignored content in them: what their rows say. Never decides what becomes of them.

A leftover is a row that the remote does not have. Where the remote has the folder, or has it again, what is left of it
here is a row of its own; whether the two are one is asked as for any two rows at one place.
"""

from dataclasses import replace

from syncd.db.nodes import Nodes
from syncd.model.node import Absent, Node, Place, Present, Reason, Tree, Unknown, place_of

WHY = "only what is never synced is left in it"


def is_leftover(node: Node) -> bool:
    """Return whether L has the node as a folder that is kept for the ignored content in it."""
    return isinstance(node.local, Unknown) and node.local.reason is Reason.LEFTOVER and node.local.place is not None


def at_place(node: Node, place: Place) -> Unknown:
    """Return what L says of a leftover once it is at *place*: it moves as what it is."""
    assert isinstance(node.local, Unknown)
    return replace(node.local, place=place)


def leave(nodes: Nodes, node: Node, place: Place) -> None:
    """The folder at *place* was to go, and stays for what is in it: it is synced no more."""
    nodes.set_local(node.id, Unknown(Reason.LEFTOVER, place, WHY), node.fingerprint)
    nodes.set_synced(node.id, Absent())
    left = nodes.node(node.id)
    if left is not None and isinstance(left.remote, Present):
        part(nodes, left)


def let_go(nodes: Nodes, node: Node) -> None:
    """Nothing is in the folder any more: it is in L as it was before it was kept, and goes as it was to."""
    place = place_of(node.local)
    assert place is not None
    nodes.set_local(node.id, Present(place), node.fingerprint)
    nodes.set_synced(node.id, Present(place))


def part(nodes: Nodes, node: Node) -> None:
    """The remote has the folder: what is left of it here is a row of its own from now on."""
    place = place_of(node.local)
    assert isinstance(node.local, Unknown)
    assert place is not None
    own = nodes.insert(node.kind, local=node.local, fingerprint=node.fingerprint)
    for child in nodes.children(Tree.LOCAL, node.id):
        assert not isinstance(child.local, Absent)
        assert child.local.place is not None  # or it were nobody's child
        moved = replace(child.local, place=Place(own, child.local.place.name))
        nodes.set_local(child.id, moved, child.fingerprint, child.racy)
    nodes.set_local(node.id, Present(place), None)  # its inode is the other's now
    nodes.set_local(node.id, Absent(), None)
