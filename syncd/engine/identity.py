"""Which node a name is that a look saw: the one that was there, one that came from elsewhere, or a new one.

Folders go by inode before they go by place, files by inode and content (section 6). Writes through ``LocalRows``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from syncd.engine.desk import Desk
from syncd.engine.local_rows import LocalRows
from syncd.engine.looks import Looks
from syncd.model.job import LookJob
from syncd.model.node import Absent, Fingerprint, Kind, Node, Place, Present, Tree, Unknown
from syncd.model.observation import Looked, Seen, UnitFault, UnitLooked
from syncd.model.op import Side
from syncd.model.path import ROOT, NodeKey

GONE = frozenset({UnitFault.GONE, UnitFault.NOT_A_DIRECTORY})


@dataclass(slots=True)
class Identity:
    """Settles the names of the look that is being taken in."""

    desk: Desk
    looks: Looks
    rows: LocalRows
    gone: set[NodeKey] = field(default_factory=set)  # directories that the look did not find
    folders: set[tuple[int, int]] = field(default_factory=set)  # inodes of all directories that it saw, wherever
    covered: frozenset[tuple[NodeKey, str | None]] = frozenset()  # what it looked at: names, or whole directories
    coming: frozenset[Place] | None = None  # in this step: ops begin only at its end

    def begin(
        self, looked: Looked, usable: Sequence[UnitLooked], covered: frozenset[tuple[NodeKey, str | None]]
    ) -> None:
        """A look is to be taken in, of which these units may be believed, and all that was looked at in it."""
        self.covered = covered
        self.gone = {unit.directory for unit in looked.units if unit.fault in GONE}
        self.folders = {
            (seen.fingerprint.dev, seen.fingerprint.ino)
            for unit in usable
            for seen in unit.seen
            if seen.kind is Kind.DIRECTORY
        }
        prints = (seen.fingerprint for unit in usable for seen in unit.seen)
        self.desk.db.nodes.expect((one.dev, one.ino) for one in prints)

    def in_place(self, unit: UnitLooked, seen: Seen, began: int) -> bool:
        """Settle a name whose place keeps its node; returns whether it is settled."""
        if self.desk.db.nodes.nobody_has(unit.directory, seen.name):
            places = self._coming()
            if not places or Place(unit.directory, seen.name) not in places:
                return False
        occupants = self.desk.db.nodes.at(Tree.LOCAL, unit.directory, seen.name)
        arriving = self.desk.db.nodes.at(Tree.REMOTE, unit.directory, seen.name)
        under_way = any(node.id in self.desk.running for node in arriving)
        coming = under_way or Place(unit.directory, seen.name) in self._coming()
        if coming or any(self.desk.stale(node.id, began) for node in occupants):
            self.looks.hint(unit.path, seen.name)
            return True
        for node in occupants:
            if node.kind is not seen.kind:
                self.rows.vanish(node)
        same = [node for node in occupants if node.kind is seen.kind]
        for node in same:
            if self._is_placeholder(node):
                self.desk.db.nodes.delete(node.id)  # its content is known only now: it may be a file that moved
                same = []
        if not same:
            return False
        node = max(same, key=lambda node: _likeness(node, seen))  # of equals the oldest row
        for other in same:
            if other.id != node.id:
                self.rows.vanish(other)  # one name is one node: the other claim is from before this look
        if seen.kind is Kind.DIRECTORY:
            mover = self._directory_by_inode(seen.fingerprint)
            if mover is not None and mover.id != node.id:
                return False
            was = node.fingerprint
            descend = was is None or was.ino != seen.fingerprint.ino
            if descend and was is not None and (was.dev, was.ino) in self.folders and self._was(was):
                return False  # the folder we know is somewhere else now, and this one is new
            self.rows.put(node, unit.directory, seen)
            if descend and not unit.whole:
                self.looks.descend([node.id], None)
            return True
        self.rows.put(node, unit.directory, seen)
        return True

    def _coming(self) -> frozenset[Place]:
        """Return where ops under way put something: what is seen there may be theirs, whatever R says by now."""
        if self.coming is None:
            ops = [queued.op for queued in self.desk.db.queue.running()] if self.desk.running else []
            self.coming = frozenset(op.place for op in ops if op.side is Side.LOCAL)
        return self.coming

    def _is_placeholder(self, node: Node) -> bool:
        never_read = isinstance(node.local, Unknown) and self.rows.last_hash(node) is None
        return node.kind is Kind.FILE and never_read and node.synced == Absent() and node.remote == Absent()

    def _was(self, fingerprint: Fingerprint) -> list[Node]:
        """Return whom an inode stood for. Where mounts make numbers up they say nothing: two folders that got each
        other's would look like folders that a person exchanged."""
        stable = self.desk.facts.traits.stable_inodes
        return self.desk.db.nodes.by_inode(fingerprint.dev, fingerprint.ino) if stable else []

    def _directory_by_inode(self, fingerprint: Fingerprint) -> Node | None:
        for node in self._was(fingerprint):
            if node.kind is Kind.DIRECTORY and node.id != ROOT and node.id not in self.desk.running:
                return node
        return None

    def arrived(self, unit: UnitLooked, seen: Seen, job: LookJob) -> None:
        """Settle a name whose place does not keep a node: it came from somewhere else, or it is new."""
        if seen.kind is Kind.DIRECTORY:
            self._directory_arrived(unit, seen, job)
            return
        here = Place(unit.directory, seen.name)
        others: list[Place] = []
        for node in self._was(seen.fingerprint):
            if node.kind is not seen.kind:
                continue
            if self.desk.stale(node.id, job.began):
                # An op may be moving it right now, or ended since: where it went, and that it left, one look must see.
                self.looks.hint(unit.path, seen.name)
                return
            match node.local:
                case Absent() if self.rows.last_hash(node) == seen.hash and seen.hash is not None:
                    self.rows.put(node, unit.directory, seen)
                    return
                case Present(place=place) if place != here:
                    others.append(place)
        if any(old.parent in self.gone for old in others):
            self.looks.hint(unit.path, seen.name)  # its old folder went with it: the look at that one's parent tells
            return
        if any((old.parent, None) not in self.covered and (old.parent, old.name) not in self.covered for old in others):
            # The old place, or all those of a file with several links, must be seen empty in the same look before this
            # is called a move.
            self.looks.together([(place.parent, place.name) for place in (*others, here)])
            return
        if seen.hash is not None and seen.fingerprint.size > 0:
            twins = self.desk.db.nodes.vanished_with_hash(seen.kind, seen.hash)
            twins = [node for node in twins if node.id not in self.desk.running]
            if len(twins) == 1:
                self.rows.put(twins[0], unit.directory, seen)
                return
        self.rows.insert(unit, seen)

    def _directory_arrived(self, unit: UnitLooked, seen: Seen, job: LookJob) -> None:
        place = Place(unit.directory, seen.name)
        for node in self.desk.db.nodes.at(Tree.LOCAL, unit.directory, seen.name):
            self.rows.vanish(node)  # what stood here was displaced by a directory we know
        here = self.desk.db.nodes.by_inode(seen.fingerprint.dev, seen.fingerprint.ino)
        if any(node.kind is Kind.DIRECTORY and self.desk.stale(node.id, job.began) for node in here):
            self.looks.hint(unit.path, seen.name)  # an op may be moving it right now, or ended since
            return
        mover = self._directory_by_inode(seen.fingerprint)
        if mover is not None and not self._is_ancestor(mover.id, unit.directory):
            was_absent = isinstance(mover.local, Absent)
            self.rows.put(mover, unit.directory, seen)
            if was_absent or job.run is None:
                self.looks.descend([mover.id], None)
            return
        key = self.rows.insert(unit, seen)
        if not unit.whole or job.run is None:
            self.looks.descend([key], None)
        assert self.desk.db.nodes.node(key) is not None, place

    def _is_ancestor(self, key: NodeKey, below: NodeKey) -> bool:
        while below != ROOT:
            if below == key:
                return True
            node = self.desk.db.nodes.node(below)
            if node is None or not isinstance(node.local, Present):
                return False
            below = node.local.place.parent
        return False


def _likeness(node: Node, seen: Seen) -> int:
    """Return how much speaks for *node* being what was seen at its place: it was seen there, and as that very inode."""
    known = node.fingerprint
    if known is None:
        return 0
    return 2 if (known.dev, known.ino) == (seen.fingerprint.dev, seen.fingerprint.ino) else 1
