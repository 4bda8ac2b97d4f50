"""When a row that no side has any more may go: not while the folder it was in may yet be found where it moved to.

Of a move only the old place may have been seen so far. A row in such a folder, forgotten at once, would leave what it
is about to be found as something new at the other place: what was deleted would come back.
"""

from dataclasses import dataclass, field

from syncd.engine.desk import Desk
from syncd.model.node import Absent, Node, Present
from syncd.model.path import ROOT, NodeKey

MOST_FOLDERS = 4096
"""Deeper than any path: S may name a circle of folders for a while."""


@dataclass(slots=True)
class Forgetting:
    """Rows that nobody has, kept for the folder they were in. Lost at a stop: then all that is gone is planned."""

    desk: Desk
    kept: set[NodeKey] = field(default_factory=set)
    open: set[NodeKey] = field(default_factory=set)  # folders they are kept for: L lacks them, the remote does not
    due: bool = False  # such a folder came back, or went, or rows wait for what is being looked at

    def may_go(self, node: Node, *, quiet: bool) -> bool:
        """Return whether the row may be forgotten now. *quiet*: nothing is being looked at."""
        above = self._open_above(node)
        if above is not None:
            self.open.add(above)
        elif quiet or not isinstance(node.synced, Present):
            self.kept.discard(node.id)
            return True
        else:
            self.due = True  # the folder may be found already, and what is in it not looked at yet
        self.kept.add(node.id)
        return False

    def planned(self, key: NodeKey) -> None:
        """A folder was planned: its fate may be clear."""
        if key in self.open:
            node = self.desk.db.nodes.node(key)
            if node is None or not _is_open(node):
                self.open.discard(key)
                self.due = True

    def give_back(self) -> None:
        """Nothing is being looked at: have rows planned again whose folder's fate is clear."""
        if self.due:
            self.due = False
            for key in sorted(self.kept):
                self.desk.touch(key)

    def clear(self) -> None:
        """All that is gone will be planned anew."""
        self.kept.clear()
        self.open.clear()
        self.due = False

    def _open_above(self, node: Node) -> NodeKey | None:
        """Return the folder above the row whose fate is open, if any."""
        synced = node.synced
        for _ in range(MOST_FOLDERS):
            if not isinstance(synced, Present) or synced.place.parent == ROOT:
                return None
            above = self.desk.db.nodes.node(synced.place.parent)
            if above is None or not isinstance(above.local, Absent):
                return None
            if _is_open(above):
                return above.id
            synced = above.synced
        return None


def _is_open(folder: Node) -> bool:
    return isinstance(folder.local, Absent) and isinstance(folder.remote, Present)
