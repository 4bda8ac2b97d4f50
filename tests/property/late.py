"""A device that lags behind: hub and disk are as people left them, and it has heard of only a part of that."""

import random
from dataclasses import replace

from syncd.model.node import Absent, Node, Place, Present, Tree, place_of
from syncd.model.op import Op, Side
from syncd.model.path import ROOT
from syncd.plan.world import Join, NodePlan
from tests.property.settling import Settler, Trace
from tests.property.world import Stale, World


class Seen(World):
    """The rows as the device has them. What it records and joins is so in the true world, too."""

    true: World

    def record(self, key: int, found: NodePlan) -> None:
        if found.forget and ((key, Tree.LOCAL) in self.late or (key, Tree.REMOTE) in self.late):
            return  # its true state is on its way
        super().record(key, found)
        if key in self.rows and key in self.true.rows:
            self.true.set(key, synced=self.rows[key].synced)
        elif key in self.true.rows:
            self.true.drop(key)

    late: dict[tuple[int, Tree], None]

    def apply_join(self, joined: Join) -> None:
        keep, drop = joined.keep, joined.drop
        if self.late.pop((keep, Tree.LOCAL), 0) is None:
            self._is_another(self.true.rows[keep])
        super().apply_join(joined)
        self.true.apply_join(joined)
        self.late.pop((drop, Tree.REMOTE), None)
        if self.late.pop((drop, Tree.LOCAL), 0) is None:
            self.late[keep, Tree.LOCAL] = None

    def _is_another(self, node: Node) -> None:
        """What is found of a node that meanwhile was joined with something else is a new one."""
        if not isinstance(node.local, Present):
            return
        key = self.true.new_key()
        self.last_key = max(self.last_key, key)
        self.true.put(Node(key, None, node.kind, local=node.local, fingerprint=node.fingerprint))
        self.late[key, Tree.LOCAL] = None
        for child in self.true.children(Tree.LOCAL, node.id):
            if isinstance(child.local, Present):
                self.true.set(child.id, local=replace(child.local, place=Place(key, child.local.place.name)))
                self.late[child.id, Tree.LOCAL] = None


class Late:
    """*true* is the world as it is; ``seen`` is what planning goes by."""

    follow: Settler

    def __init__(self, true: World, seen: list[Node], chance: random.Random, trace: Trace | None) -> None:
        self.true, self.chance, self.trace = true, chance, trace
        self.seen = Seen(true.case_sensitive, true.executable_bit, true.symlinks, seen)
        self.seen.true = true
        self.seen.counter, self.seen.last_key = 10**9, true.last_key
        self.seen.late = {}
        known = {node.id: node for node in seen}
        for node in true.rows.values():
            was = known.get(node.id)
            if was is None or was.local != node.local or was.fingerprint != node.fingerprint:
                self._mark(node, Tree.LOCAL, was)
            if was is None or was.remote != node.remote:
                self._mark(node, Tree.REMOTE, was)

    def _mark(self, node: Node, tree: Tree, was: Node | None) -> None:
        if was is not None or not isinstance(node.state(tree), Absent):
            self.seen.late[node.id, tree] = None

    # --- observing -----------------------------------------------------------------------------------------------

    def batch(self) -> None:
        """A random part of what is not known yet arrives, in any order."""
        waiting = list(self.seen.late)
        self.chance.shuffle(waiting)
        for key, tree in waiting[: 1 + int(self.chance.random() * len(waiting))]:
            self.observe(key, tree)

    def observe(self, key: int, tree: Tree) -> None:
        """One row learns what one tree says of it: a directory before what is in it; gone only after that."""
        if (key, tree) not in self.seen.late:
            return
        del self.seen.late[key, tree]
        node = self.true.rows[key]
        place = place_of(node.state(tree))
        if place is not None:
            self.observe(place.parent, tree)
        else:
            for child in self.seen.children(tree, key):
                self.observe(child.id, tree)
        row = self.seen.rows.get(key) or Node(key, None, node.kind)
        number = row.node_id or (node.node_id if tree is Tree.REMOTE else None)
        if tree is Tree.LOCAL:
            row = Node(key, number, node.kind, row.synced, row.remote, node.local, node.fingerprint)
        else:
            row = Node(key, number, node.kind, row.synced, node.remote, row.local, row.fingerprint)
        self.seen.put(row)
        if self.trace:
            self.trace(f"observed {tree.name.lower()} of {key}")

    def catch_up(self) -> World:
        """Everything arrives. Returns the world: what was seen is what is."""
        for key, tree in list(self.seen.late):
            self.observe(key, tree)
        for key, node in list(self.true.rows.items()):
            row = self.seen.rows.get(key)
            if row is None and isinstance(node.remote, Absent) and isinstance(node.local, Absent):
                self.true.drop(key)  # it came and went unseen
                continue
            assert row is not None, f"a row went that is there: {node}"
            assert (row.remote, row.local, row.synced) == (node.remote, node.local, node.synced), f"{row} is {node}"
        for key, row in self.seen.rows.items():
            assert key in self.true.rows, f"a row is left that is not there: {row}"
        return self.true

    # --- working -------------------------------------------------------------------------------------------------

    def apply(self, op: Op) -> None:
        """Carry the op out on what is truly there; refused, the device looks at what was in its way."""
        true = self.true
        true.changed.clear()
        try:
            if op.side is Side.LOCAL and not self._same_path(op):
                raise Stale("a directory above it is elsewhere")
            true.apply(op)
        except Stale:
            self._look(op)
            raise
        for key, _ in true.changed:
            row, now = self.seen.rows.get(key), true.rows[key]
            if row is None:
                self.seen.put(now)
            elif op.side is Side.LOCAL:
                states = (now.synced, row.remote, now.local)
                self.seen.put(Node(key, row.node_id, now.kind, *states, now.fingerprint))
            else:
                states = (now.synced, now.remote, row.local)
                self.seen.put(Node(key, now.node_id, now.kind, *states, row.fingerprint))
        true.changed.clear()

    def _same_path(self, op: Op) -> bool:
        """Directories are found by path and verified: one that was moved or replaced is not entered."""
        for place in (op.place, op.source):
            at = place
            count = 0
            while at is not None and at.parent != ROOT and count <= len(self.true.rows):
                count += 1
                there, here = self.true.rows.get(at.parent), self.seen.rows.get(at.parent)
                if there is None or here is None or place_of(there.local) != place_of(here.local):
                    return False
                at = place_of(there.local)
        return True

    def _look(self, op: Op) -> None:
        tree = Tree.LOCAL if op.side is Side.LOCAL else Tree.REMOTE
        keys = {op.node: None, op.partner: None, **{move.node: None for move in op.group}}
        for place in (op.place, op.source, *(move.place for move in op.group)):
            if place is not None:
                keys[place.parent] = None
                found = (self.true.at_folded(tree, place.parent, place.name), self.true.children(tree, op.node))
                keys.update((node.id, None) for nodes in found for node in nodes)
        for key in keys:
            for each in (Tree.REMOTE, Tree.LOCAL):
                if key is not None:
                    self.observe(key, each)
