"""Rows nothing is known about for a while: ignored, unreadable, held, or not heard of yet; and how they turn out."""

from dataclasses import replace

from syncd.model.node import Absent, Kind, Node, Place, Present, Reason, Tree, Unknown
from syncd.model.path import ROOT
from tests.property.checks import follow
from tests.property.world import World

HERE = (
    Reason.IGNORED,
    Reason.UNREADABLE,
    Reason.NOT_SELECTED,
    Reason.HELD,
    Reason.BUSY,
    Reason.OTHER_FILE_SYSTEM,
)
Hidden = dict[int, tuple[Node, Node]]
"""Rows as they were hidden and as they truly are, directories first."""


def hide(world: World, bits: int) -> Hidden:
    """Make some rows unknown, chosen by *bits*."""
    hidden: Hidden = {}
    for number, node in enumerate([n for n in world.rows.values() if n.id != ROOT]):
        choice, reason = bits >> number * 2 % 29 & 3, HERE[(bits + number) % len(HERE)]
        if number == 0:  # the oldest node is where both sides meet in every way: it is mostly hidden in some way
            choice, reason = (0, 1, 0, 1)[choice], Reason.HELD if choice == 2 else reason
        if choice == 0:
            _hide_here(world, node.id, reason, hidden)
        elif choice == 1 and node.id not in hidden:
            _hide_there(world, node, number == 0 or bool(bits >> 16 & 1), hidden)
        elif choice == 2:
            _leave_over(world, node)
    return hidden


def _hide_here(world: World, key: int, reason: Reason, hidden: Hidden) -> None:
    row = world.rows[key]
    if key in hidden or not isinstance(row.local, Present):
        return
    if reason is Reason.HELD:  # damaged, or a name that cannot be synced: released and looked at again
        world.holds[key], world.hidden[key] = "held", row.local
    hidden[key] = (world.set(key, local=Unknown(reason, row.local.place)), row)
    for child in world.children(Tree.LOCAL, key):
        _hide_here(world, child.id, Reason.NOT_LOOKED if reason is Reason.HELD else reason, hidden)


def _hide_there(world: World, node: Node, held: bool, hidden: Hidden) -> None:
    """At the remote only a directory known as somebody's parent is unknown, or a name that is not UTF-8."""
    if not isinstance(node.remote, Present):
        return
    placeholder = node.kind is Kind.DIRECTORY and isinstance(node.synced, Absent) and isinstance(node.local, Absent)
    if not _stands_still(world, world.rows[node.remote.place.parent]):
        return
    if held and not isinstance(node.local, Unknown):
        state = Unknown(Reason.HELD, None, "its name at the remote is not UTF-8")
    elif placeholder:
        state = Unknown(Reason.NOT_LOOKED)
    else:
        return
    hidden[node.id] = (world.set(node.id, remote=state), node)


def _stands_still(world: World, above: Node) -> bool:
    """The hub knows where things are: it would refuse to remove what is above them, or to move that into itself."""
    while above.id != ROOT:
        remote, local = above.remote, above.local
        if not isinstance(remote, Present) or not isinstance(local, Present) or remote.place != local.place:
            return False
        above = world.rows[remote.place.parent]
    return True


def _leave_over(world: World, node: Node) -> None:
    """Where the remote has a directory that is not here stands a leftover with something ignored in it."""
    if node.kind is not Kind.DIRECTORY or not isinstance(node.remote, Present) or not isinstance(node.local, Absent):
        return
    place = node.remote.place
    parent = world.rows[place.parent]
    if isinstance(parent.local, Present) and not world.at(Tree.LOCAL, place.parent, place.name):
        left = world.put(Node(world.new_key(), None, Kind.DIRECTORY, local=Unknown(Reason.LEFTOVER, place)))
        ignored = Unknown(Reason.IGNORED, Place(left.id, "ignored"))
        world.put(Node(world.new_key(), None, Kind.FILE, local=ignored))


def reveal(world: World, key: int, true: Node) -> None:
    """What was hidden is known now, and is as it always was."""
    row = world.rows.get(key)
    if row is None:
        return
    if isinstance(true.local, Present) and isinstance(row.local, Unknown):
        world.holds.pop(key, None)
        place = follow(true.local.place, world.merged)
        _more_than_leftover(world, place.parent)
        world.set(key, local=replace(true.local, place=place))
    elif isinstance(row.remote, Unknown) and isinstance(true.remote, Present):
        place = true.remote.place
        if world.at(Tree.REMOTE, place.parent, place.name):
            place = Place(place.parent, f"renamed {key}")  # it never was there under a name anybody else could use
        world.set(key, remote=replace(true.remote, place=place))


def clear(world: World) -> None:
    """The ignored things that leftovers were kept for go, and they with them."""
    for node in list(world.rows.values()):
        if isinstance(node.local, Unknown) and node.local.reason is Reason.IGNORED:
            world.set(node.id, local=Absent())
    for node in list(world.rows.values()):
        if isinstance(node.local, Unknown) and node.local.reason is Reason.LEFTOVER:
            world.set(node.id, local=Absent())


def _more_than_leftover(world: World, key: int) -> None:
    """A leftover directory becomes an ordinary one as soon as something not ignored appears in it."""
    row = world.rows[key]
    while isinstance(row.local, Unknown) and row.local.reason is Reason.LEFTOVER and row.local.place is not None:
        world.set(row.id, local=Present(row.local.place))
        row = world.rows[row.local.place.parent]
