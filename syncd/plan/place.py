"""Places: which op brings a node where it belongs, and whose names it waits for. Never looks at cycles of waits.

One rule settles every clash of names: the remote's order wins. What wants a local name that another node keeps waits;
what wants a remote name that another node keeps there is set aside here under a conflicted name.
"""

from collections.abc import Sequence
from dataclasses import replace

from syncd.model.conflict import ConflictKind
from syncd.model.node import NEVER_SYNCED, TAKEN, Absent, Kind, Node, Place, Present, Reason, Tree, Unknown, place_of
from syncd.model.op import Op, OpType, Side, Wait, WaitKind
from syncd.model.path import ROOT, NodeKey, fold, name_fault
from syncd.plan.content import download_new, edited_here, executable_here, free_name, upload_new
from syncd.plan.fate import Fate, is_unknown
from syncd.plan.world import Context, Trees

MOVES = frozenset({OpType.LOCAL_MOVE, OpType.REMOTE_MOVE})


class Places:
    """Structural ops of single nodes, with their waits, while the trees stand still."""

    def __init__(self, trees: Trees, context: Context, fate: Fate) -> None:
        self._trees = trees
        self._context = context
        self._fate = fate
        self._here: dict[Place, Sequence[Node]] = {}

    def op(self, node: Node) -> Op | None:
        """Return the op on the node's place or presence, or None when both sides agree on it (or nothing is known)."""
        remote, local = node.remote, node.local
        if is_unknown(node):
            return None
        if isinstance(remote, Present) and isinstance(local, Present):
            return self._move(node, remote, local)
        if isinstance(remote, Present):
            if not self._fate.survives(node):
                return self._delete_there(node, remote)
            return self._create_here(node, remote)
        if isinstance(local, Present):
            if not self._fate.survives(node):
                return self._delete_here(node, local)
            return self._create_there(node, local)
        return None

    # --- what cannot be represented here ------------------------------------------------------------------------

    def fault(self, node: Node) -> str | None:
        """Return why the remote's name or kind of this node cannot exist in this root, in plain words."""
        remote = node.remote
        assert isinstance(remote, Present)
        why = name_fault(remote.place.name)
        if why is not None:
            return f"its name {why}"
        if node.kind is Kind.SYMLINK and not self._context.symlinks:
            return "symlinks cannot be stored here"
        twin = self._twin(node, remote)
        return None if twin is None else f"case twin of {twin[1].name}"

    def obstacle(self, node: Node) -> str | None:
        """Return what has the name under which the remote's node would arrive, and will have it until a person takes
        it away: nothing is ever done to it. What is here already, under another name, waits, and its edits travel."""
        remote = node.remote
        assert isinstance(remote, Present)
        for other in self._named_here(remote.place) if place_of(node.local) is None else ():
            if other.id == node.id or not isinstance(other.local, Unknown):
                continue
            if other.local.reason in NEVER_SYNCED:
                return f"{TAKEN} {other.local.reason.value}"
            if other.local.reason is Reason.HELD and _is_only_a_name(other):
                return other.local.detail
        return None

    def _twin(self, node: Node, remote: Present) -> tuple[NodeKey, Place] | None:
        """Return who has the node's name in this root instead of it, and where at the remote."""
        if self._context.case_sensitive or node.node_id is None:
            return None
        place = remote.place
        for other in self._trees.at_folded(Tree.REMOTE, place.parent, place.name):
            if other.id == node.id or other.node_id is None or not isinstance(other.remote, Present):
                continue
            # The same one is kept on every device: by node id, which all know alike (P10).
            if other.node_id < node.node_id and name_fault(other.remote.place.name) is None:
                return other.id, other.remote.place
        return None

    # --- both sides have it -------------------------------------------------------------------------------------

    def _move(self, node: Node, remote: Present, local: Present) -> Op | None:
        target = self._fate.target(node)
        assert target is not None
        if remote.place == target:
            return self._bring(node, remote, local)
        waits = self._waits_there(node, target)
        if isinstance(waits, Node):
            return self.set_aside(node, local, waits)
        return self.move_there(node, target, waits)

    def move_here(self, node: Node, place: Place, waits: tuple[Wait, ...] = (), taken_back: bool = False) -> Op:
        """Rename the local node to *place*."""
        local, remote = node.local, node.remote
        assert isinstance(local, Present)
        return Op(
            node.id,
            OpType.LOCAL_MOVE,
            node.kind,
            place,
            source=local.place,
            base=remote.version if isinstance(remote, Present) else None,
            expected=node.fingerprint,
            expected_hash=local.hash,
            waits=waits,
            conflict=ConflictKind.NAME if taken_back else None,
        )

    def move_there(self, node: Node, place: Place, waits: tuple[Wait, ...] = ()) -> Op:
        """Rename the remote node to *place*. The executor looks at the local node again first, at ``place``."""
        local, remote = node.local, node.remote
        assert isinstance(local, Present)
        assert isinstance(remote, Present)
        return Op(
            node.id,
            OpType.REMOTE_MOVE,
            node.kind,
            place,
            source=remote.place,
            base=remote.version,
            expected=node.fingerprint,
            expected_hash=local.hash,
            waits=waits,
        )

    def _bring(self, node: Node, remote: Present, local: Present) -> Op | None:
        """Take the local node where the remote has it; or off this disk, where that is excluded here, or in what gives
        way to a twin."""
        place = remote.place
        if self._giving_way(node) or self._fate.leaves(node):
            return self.leave(node)
        if local.place == place:
            return None
        waits = self._waits_here(node, place) or self._giving_way(self._trees.node(place.parent))
        return self.move_here(node, place, waits, self._fate.taken_back(node))

    def comes(self, node: Node) -> bool:
        """Return whether what only the remote has can be in this root where the remote has it."""
        assert isinstance(node.remote, Present)
        return self.fault(node) is None and not self._giving_way(self._trees.node(node.remote.place.parent))

    def is_in_what_goes(self, node: Node) -> bool:
        """Return whether a file is here in a directory that gives way to a twin."""
        if node.kind is Kind.DIRECTORY or not isinstance(node.local, Present):
            return False
        return bool(self._giving_way(self._trees.node(node.local.place.parent)))

    def leave(self, node: Node) -> Op | None:
        """What the remote keeps leaves this disk for the trash, a directory after all that is in it. An edit made here
        travels first (P7)."""
        assert isinstance(node.local, Present)
        return None if edited_here(node, self._context) else self._delete_here(node, node.local)

    def _giving_way(self, node: Node | None) -> tuple[Wait, ...]:
        """Return what to wait for before anything may be brought into a directory, if it or one above it gives way to
        a twin; nothing if it stays.

        It goes with what it is in when it is in such a directory both here and at the remote, under whatever names,
        or the remote has it in one that cannot be here. What the remote has elsewhere moves out first, and what is
        elsewhere here does not come in.
        """
        waits: tuple[Wait, ...] = ()
        above = [] if self._context.case_sensitive else [node]
        seen: set[NodeKey] = set()
        while above:
            at = above.pop()
            if at is None or at.id == ROOT:
                return ()
            if at.id in seen:
                continue
            seen.add(at.id)
            remote, local = at.remote, at.local
            if not isinstance(remote, Present):
                return ()
            if place_of(local) is None and at is not node:  # not here: what is to come into it waits where it is
                if not isinstance(local, Unknown):
                    above.append(self._trees.node(remote.place.parent))
                elif local.reason is not Reason.HELD:
                    return ()
                continue
            if not isinstance(local, Present):
                return ()
            if remote.place == local.place:
                twin = self._twin(at, remote)
                if twin is not None:
                    waits = waits or (Wait(WaitKind.NODE_SETTLED, twin[0]), Wait(WaitKind.NODE_SETTLED, at.id))
                    continue
            elif self._fate.target(at) != remote.place:
                return ()  # moved here, which the remote has yet to follow
            parents = dict.fromkeys((local.place.parent, remote.place.parent))
            above += [self._trees.node(parent) for parent in parents]
        return waits

    # --- one side has it ----------------------------------------------------------------------------------------

    def _create_here(self, node: Node, remote: Present) -> Op:
        revived = isinstance(node.synced, Present) and node.kind is not Kind.DIRECTORY
        waits = self._waits_here(node, remote.place) or self._giving_way(self._trees.node(remote.place.parent))
        op = download_new(node, remote.place, waits)
        return replace(op, conflict=ConflictKind.EDIT_DELETE) if revived else op

    def _create_there(self, node: Node, local: Present) -> Op:
        revived = isinstance(node.synced, Present) and node.kind is not Kind.DIRECTORY
        waits = self._waits_there(node, local.place)
        if isinstance(waits, Node):
            return self.set_aside(node, local, waits)
        op = upload_new(node, local.place, self._context, waits)
        return replace(op, conflict=ConflictKind.EDIT_DELETE) if revived else op

    def _delete_here(self, node: Node, local: Present) -> Op:
        return Op(
            node.id,
            OpType.LOCAL_DELETE,
            node.kind,
            local.place,
            source=local.place,
            hash=local.hash,
            size=local.size,
            base=node.remote.version if isinstance(node.remote, Present | Absent) else None,
            expected=node.fingerprint,
            expected_hash=local.hash,
            expected_executable=executable_here(node, self._context),
            waits=self._until_empty(node, Tree.LOCAL),
            destructive=True,
            bytes_at_stake=local.size,
        )

    def _delete_there(self, node: Node, remote: Present) -> Op:
        assert isinstance(node.synced, Present)
        # The place looked at again before the commit; another node that lives there now must not be mistaken for it.
        last = node.synced.place
        taken = any(map(_lives, self._trees.at(Tree.LOCAL, last.parent, last.name)))
        return Op(
            node.id,
            OpType.REMOTE_DELETE,
            node.kind,
            remote.place,
            source=None if taken else last,
            hash=remote.hash,
            size=remote.size,
            base=remote.version,
            waits=self._until_empty(node, Tree.REMOTE),
            destructive=True,
            bytes_at_stake=remote.size,
        )

    def _until_empty(self, node: Node, tree: Tree) -> tuple[Wait, ...]:
        """Wait for the last child: the queue works in order, so that a large directory is planned again only once.

        What is ignored or unreadable here does not count: the executor answers for it with a leftover. What is held
        here for want of a place does: the remote has it.
        """
        if node.kind is not Kind.DIRECTORY:
            return ()
        for child in self._trees.children_backwards(tree, node.id):
            if tree is Tree.REMOTE or _counts(child):
                return (Wait(WaitKind.DIRECTORY_EMPTY, child.id),)
        return ()

    # --- names --------------------------------------------------------------------------------------------------

    def set_aside(self, node: Node, local: Present, winner: Node) -> Op:
        """The remote keeps the name for *winner*: give the local node, with all below it, a conflicted name."""
        if self._is_copy_of_arriving(node, local, winner):
            return self._delete_here(node, local)
        there = winner.remote
        kind = ConflictKind.NAME if winner.kind is node.kind else ConflictKind.TYPE
        if isinstance(there, Present) and there.place.name != local.place.name:
            kind = ConflictKind.CASE
        # Back at its place in S it would count as unchanged, and go with what the remote deleted (P7).
        name = free_name(self._trees, self._context, local.place, place_of(node.synced))
        return Op(
            node.id,
            OpType.SET_ASIDE,
            node.kind,
            Place(local.place.parent, name),
            source=local.place,
            hash=local.hash,
            size=local.size,
            expected=node.fingerprint,
            expected_hash=local.hash,
            conflict=kind,
        )

    def _is_copy_of_arriving(self, node: Node, local: Present, winner: Node) -> bool:
        """Return whether *winner*, being moved to this name, brings exactly the content of this new local file."""
        remote, arriving = winner.remote, winner.local
        return (
            node.kind is winner.kind
            and node.kind is not Kind.DIRECTORY
            and isinstance(node.synced, Absent)
            and isinstance(node.remote, Absent)
            and isinstance(remote, Present)
            and isinstance(arriving, Present)
            and remote.hash == arriving.hash == local.hash
        )

    def _waits_here(self, node: Node, place: Place) -> tuple[Wait, ...]:
        """Return what a local op must wait for before it can bring the node to *place*."""
        if not self._there_is(Tree.LOCAL, place):
            return (Wait(WaitKind.PARENT_EXISTS, place.parent),)
        waits = [Wait(WaitKind.NAME_FREE, other.id) for other in self._named_here(place) if other.id != node.id]
        return (*waits, *self._until_outside(node, place, Tree.LOCAL))

    def _named_here(self, place: Place) -> Sequence[Node]:
        """Return whom this root has under a name; asked for twice for all that arrives."""
        if place not in self._here:
            look = self._trees.at if self._context.case_sensitive else self._trees.at_folded
            self._here[place] = look(Tree.LOCAL, place.parent, place.name)
        return self._here[place]

    def _waits_there(self, node: Node, place: Place) -> tuple[Wait, ...] | Node:
        """Return what a remote op must wait for, or the node that keeps the name at the remote."""
        if not self._there_is(Tree.REMOTE, place):
            return (Wait(WaitKind.PARENT_EXISTS, place.parent),)
        waits = []
        look = self._trees.at if self._context.case_sensitive else self._trees.at_folded
        for other in look(Tree.REMOTE, place.parent, place.name):
            if other.id == node.id or self._held_twin(other, place):
                continue
            if self._keeps(other, place):
                return other
            waits.append(Wait(WaitKind.NAME_FREE, other.id))
        return (*waits, *self._until_outside(node, place, Tree.REMOTE))

    def _keeps(self, other: Node, place: Place) -> bool:
        """Return whether the remote's occupant of a name will still have it once both sides agree."""
        if not isinstance(other.remote, Present):
            return False
        if isinstance(other.local, Present) and other.local.place == place:
            return False  # two local nodes claim one name: a look is on its way, wait for it
        target = self._fate.target(other)
        if target is None or target.parent != place.parent:
            return False
        return target.name == place.name or (not self._context.case_sensitive and fold(target.name) == fold(place.name))

    def _held_twin(self, other: Node, place: Place) -> bool:
        held = isinstance(other.local, Unknown) and other.local.reason is Reason.HELD
        return held and isinstance(other.remote, Present) and other.remote.place.name != place.name

    def _there_is(self, tree: Tree, place: Place) -> bool:
        if place.parent == ROOT:
            return True
        parent = self._trees.node(place.parent)
        return parent is not None and isinstance(parent.state(tree), Present)

    def _until_outside(self, node: Node, place: Place, tree: Tree) -> tuple[Wait, ...]:
        """Wait for what must first leave a directory that is itself to go below it (no directory into itself)."""
        if node.kind is not Kind.DIRECTORY or not isinstance(node.state(tree), Present):
            return ()
        leaving: list[Node] = []
        seen = {node.id}
        at = self._trees.node(place.parent)
        while at is not None and at.id != ROOT:
            if at.id == node.id:
                return tuple(Wait(WaitKind.NODE_SETTLED, n.id) for n in leaving[:1])
            if at.id in seen:
                return ()
            seen.add(at.id)
            place_now = place_of(at.state(tree))
            if place_now is None:
                return ()
            if self._fate.target(at) != place_now:
                leaving.append(at)
            at = self._trees.node(place_now.parent)  # also from what is unknown: it stands there all the same
        return ()


def _counts(child: Node) -> bool:
    if isinstance(child.local, Unknown):
        return child.local.reason is Reason.HELD and isinstance(child.remote, Present)
    return isinstance(child.local, Present)


def _lives(node: Node) -> bool:
    """Return whether what has its name here is known to be this node; what was not read yet may be another one that is
    put back."""
    local = node.local
    if isinstance(local, Unknown):
        return local.reason in NEVER_SYNCED or local.reason is Reason.LEFTOVER
    return isinstance(local, Present)


def acts_on(op: Op) -> Tree:
    """Return the tree an op changes."""
    return Tree.LOCAL if op.side is Side.LOCAL else Tree.REMOTE


def _is_only_a_name(node: Node) -> bool:
    """Return whether a row stands only for who has a name here, as a pipe does: nobody ever read it, or has it."""
    return node.fingerprint is None and isinstance(node.remote, Absent) and isinstance(node.synced, Absent)
