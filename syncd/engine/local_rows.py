"""What looks saw, written into L: one row each. Never decides which row a name is (``identity``)."""

from dataclasses import dataclass

from syncd.engine.desk import Desk
from syncd.engine.leftovers import at_place, is_leftover
from syncd.model.node import Absent, Kind, Node, Place, Present, Reason, Unknown, place_of
from syncd.model.observation import Seen, UnitLooked
from syncd.model.path import NodeKey

DAMAGED = "its content changed although its times did not: damaged on disk? save it again to sync it as it is"


@dataclass(slots=True)
class LocalRows:
    """The rows of L."""

    desk: Desk
    orphaned: bool = True  # something may lie below a folder that vanished: a stop may have left some

    def vanish(self, node: Node) -> None:
        """L no longer has the node; its fingerprint and hash stay, so that a move can be recognised."""
        self.desk.leaving(node.id)
        self.desk.db.nodes.set_local(node.id, Absent(), None)
        if node.kind is Kind.DIRECTORY:
            self.orphaned = True

    def _present(self, node: Node | None, directory: NodeKey, seen: Seen) -> Present:
        executable = seen.executable
        if not self.desk.facts.traits.executable_bit:  # a missing trait is never observed as a change
            known = [s for s in (node.synced, node.remote) if isinstance(s, Present)] if node else []
            executable = known[0].executable if known else False
        size = seen.fingerprint.size if seen.kind is not Kind.DIRECTORY else 0
        return Present(Place(directory, seen.name), seen.hash, executable, size, seen.fingerprint.mtime_ns)

    def put(self, node: Node, directory: NodeKey, seen: Seen) -> None:
        """L has *node* in *directory* as it was seen: the same place as before, or another one."""
        if self._is_damaged(node, directory, seen):
            return
        state: Present | Unknown
        if is_leftover(node):
            state = at_place(node, Place(directory, seen.name))
        else:
            state = self._present(node, directory, seen)
        if state == node.local and node.fingerprint == seen.fingerprint and node.racy == seen.racy:
            return
        if place_of(node.local) != place_of(state):
            self.desk.leaving(node.id)
        self.desk.db.nodes.set_local(node.id, state, seen.fingerprint, seen.racy)
        if isinstance(state, Present):  # a leftover in a leftover makes no more of it
            self._parent_is_more_than_leftover(directory)
        self.desk.touch(node.id)

    def _is_damaged(self, node: Node, directory: NodeKey, seen: Seen) -> bool:
        """Bit rot is no edit: it is shown, and travels nowhere until somebody writes the file."""
        local = node.local
        known = isinstance(local, Unknown) and local.detail == DAMAGED and node.fingerprint == seen.fingerprint
        if seen.corrupt and not known:
            self.set_unknown(node, Place(directory, seen.name), Reason.HELD, DAMAGED)
        return known or seen.corrupt

    def insert(self, unit: UnitLooked, seen: Seen) -> NodeKey:
        """L has something new; returns its row."""
        key = self.desk.db.nodes.insert(
            seen.kind,
            node_id=self.desk.chance.id(self.desk.clock.now()),  # nearly always it is sent
            local=self._present(None, unit.directory, seen),
            fingerprint=seen.fingerprint,
            racy=seen.racy,
        )
        self._parent_is_more_than_leftover(unit.directory)
        self.desk.touch(key)
        return key

    def _parent_is_more_than_leftover(self, directory: NodeKey) -> None:
        """A leftover directory becomes an ordinary one as soon as something not ignored appears in it."""
        node = self.desk.db.nodes.node(directory)
        while node is not None and is_leftover(node):
            place = place_of(node.local)
            assert place is not None
            self.desk.db.nodes.set_local(node.id, Present(place), node.fingerprint)
            self.desk.touch(node.id)
            node = self.desk.db.nodes.node(place.parent)

    def set_unknown(self, node: Node, place: Place | None, reason: Reason, detail: str) -> None:
        """Nothing is known of *node* but what stands in its way, and where."""
        state = Unknown(reason, place, detail)
        if node.local != state:
            self.desk.db.nodes.set_local(node.id, state, node.fingerprint, node.racy)
            self.desk.touch(node.id)

    def last_hash(self, node: Node) -> bytes | None:
        """Return the content L had last for *node*, also of one that is gone."""
        return self.desk.db.nodes.last_local_hash(node.id)
