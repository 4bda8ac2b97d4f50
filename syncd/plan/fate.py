"""Who survives and where: the place every node will have once both sides agree. Reads trees; never plans an op.

An edit beats a delete (P7): a file survives when the side that still has it changed it. A directory survives only as
far as something in it does. A place at the remote that is excluded here (rules may differ between devices for a while)
is not followed: what both sides moved stays where it is here, and what the remote alone moved leaves this device.
Walks are loops, not recursion: the depth of a remote's tree is not to be trusted (P10).
"""

from syncd.model.node import Absent, Kind, Node, Place, Present, Tree, Unknown
from syncd.model.path import ROOT, NodeKey
from syncd.plan.world import Context, Trees


def same_field_values(a: Present, b: Present, *, executable: bool = True) -> bool:
    """Return whether two snapshots say the same of place, content and (when it counts) the executable bit."""
    return a.place == b.place and a.hash == b.hash and (not executable or a.executable == b.executable)


def moved_there(node: Node) -> bool:
    """Return whether the remote gave the node another place than S; without S its word counts as a move."""
    assert isinstance(node.remote, Present)
    return not isinstance(node.synced, Present) or node.remote.place != node.synced.place


def is_unknown(node: Node) -> bool:
    """Return whether a tree's word on this node is missing: it is not planned."""
    return isinstance(node.remote, Unknown) or isinstance(node.local, Unknown)


class Fate:
    """Survival and target places, remembered for as long as the trees stand still (one call of the planner)."""

    def __init__(self, trees: Trees, context: Context) -> None:
        self._trees = trees
        self._executable_bit = context.executable_bit
        self._excluded = context.excluded
        self._survives: dict[NodeKey, bool] = {}
        self._taken: dict[NodeKey, bool] = {}

    def survives(self, node: Node) -> bool:
        """Return whether the node is still there once both sides agree."""
        known = self._survives.get(node.id)
        if known is None:
            verdict = self._at_once(node)
            known = self._something_in_it(node) if verdict is None else verdict
            self._survives[node.id] = known
        return known

    def target(self, node: Node) -> Place | None:
        """Return the place the node will have once both sides agree; None when it goes."""
        if not self.survives(node):
            return None
        if self.taken_back(node):
            assert isinstance(node.remote, Present)
            return node.remote.place
        return self._wanted(node)

    def leaves(self, node: Node) -> bool:
        """Return whether the remote took a node that is here to a place that is excluded here: by a move of its own, or
        by that of the nearest directory above it that was moved. It is to leave this device; the remote keeps it.

        Where a directory above is to be taken elsewhere at the remote, that comes first: nothing is excluded then.
        """
        if not self._excluded(Tree.REMOTE, node) or self._excluded(Tree.LOCAL, node):
            return False  # with both excluded the next look says so of L
        taken = False
        seen: set[NodeKey] = set()
        at: Node | None = node
        while at is not None and at.id != ROOT and at.id not in seen:
            seen.add(at.id)
            remote, local = at.remote, at.local
            if not isinstance(remote, Present):
                return False
            if not isinstance(local, Present):
                if not taken:
                    return False
            elif local.place != remote.place:
                if self.target(at) != remote.place or not (taken or self._excluded(Tree.REMOTE, at)):
                    return False
                taken = True
            at = self._trees.node(remote.place.parent)
        return taken and at is not None and at.id == ROOT

    def taken_back(self, node: Node) -> bool:
        """Return whether the local move of this directory closes a cycle with the remote's moves.

        Then it is undone here first; the remote's order wins. Every such cycle holds a local move, because the
        remote's tree by itself has none.
        """
        if node.kind is not Kind.DIRECTORY or not self._stays(node):
            return False
        known = self._taken.get(node.id)
        if known is None:
            known = self._taken[node.id] = self._on_a_cycle(node)
        return known

    def _at_once(self, node: Node) -> bool | None:
        """Return what the node's own snapshots say; None when its children decide."""
        remote, local, synced = node.remote, node.local, node.synced
        if isinstance(local, Unknown):
            return isinstance(remote, Present)  # never delete what is not known
        if isinstance(remote, Unknown):
            return False  # nothing to be revived for; what is present here still blocks a delete
        if isinstance(remote, Present) and isinstance(local, Present):
            return True
        here = local if isinstance(local, Present) else remote
        assert isinstance(here, Present)
        if not isinstance(synced, Present):
            return True  # new on one side
        if node.kind is Kind.DIRECTORY:
            return None
        return not same_field_values(here, synced, executable=self._executable_bit or here is remote)

    def _something_in_it(self, directory: Node) -> bool:
        """Return whether anything below a directory that one side deleted survives in its place."""
        visited: dict[NodeKey, None] = {}
        stack = [directory]
        while stack:
            top = stack.pop()
            if top.id in visited:
                continue
            visited[top.id] = None
            side = Tree.REMOTE if isinstance(top.remote, Present) else Tree.LOCAL
            for child in self._trees.undecided_children(side, top.id):
                verdict = self._survives.get(child.id, self._at_once(child))
                if verdict is None:
                    stack.append(child)
                elif verdict:
                    place = self._wanted(child) if not self.taken_back(child) else _remote_place(child)
                    if place is not None and place.parent == top.id:
                        return True
        for key in visited:
            self._survives[key] = False
        return False

    def _on_a_cycle(self, node: Node) -> bool:
        taken: set[NodeKey] = set()
        while True:
            path: list[Node] = []
            index: dict[NodeKey, int] = {}
            at: Node | None = node
            while at is not None and at.id != ROOT and at.id not in index:
                index[at.id] = len(path)
                path.append(at)
                place = _remote_place(at) if at.id in taken else self._wanted(at)
                at = None if place is None else self._trees.node(place.parent)
            if at is None or at.id == ROOT:
                return node.id in taken
            # Taking moves back can close another cycle with a further local move, so the walk is repeated.
            fresh = [n.id for n in path[index[at.id] :] if n.id not in taken and self._stays(n)]
            if not fresh:
                return node.id in taken
            taken.update(fresh)

    def _wanted(self, node: Node) -> Place | None:
        """Return the target place before cycles are looked for."""
        remote, local = node.remote, node.local
        if isinstance(local, Present) and (not isinstance(remote, Present) or self._stays(node)):
            return local.place
        return remote.place if isinstance(remote, Present) else None

    def _stays(self, node: Node) -> bool:
        """Return whether the node has another place here than at the remote, and that is to be its place.

        The side that moved it says where; where both did, the remote, unless its place cannot be followed for being
        excluded here: a person just chose the other.
        """
        remote, local, synced = node.remote, node.local, node.synced
        if not isinstance(remote, Present) or not isinstance(local, Present) or remote.place == local.place:
            return False
        if not moved_there(node):
            return True
        if isinstance(synced, Present) and local.place == synced.place:
            return False
        return self._excluded(Tree.REMOTE, node) and not self._excluded(Tree.LOCAL, node)


def _remote_place(node: Node) -> Place | None:
    return None if isinstance(node.remote, Absent) else node.remote.place
