"""Joins two rows of one directory, a page of what lies in it a step (P11). Decides nothing: the planner found the pair.

Half joined, the directory's children lie in two rows of which L has one: nothing may see that. Until it is whole again
no message is taken in, nothing is planned and nothing handed out; a stop in between goes on with it first of all.
"""

from dataclasses import dataclass

from syncd.engine.desk import BEFORE_ALL, Desk
from syncd.model.node import Tree
from syncd.model.path import NodeKey

JOINED_A_STEP = 300
JOINING = "rows being joined"
PLACED = (Tree.LOCAL, Tree.SYNCED)
"""Trees whose places follow a join."""


@dataclass(slots=True)
class Joining:
    """The pair that is being joined, if any: the row that stays and the one that goes."""

    desk: Desk
    pair: tuple[NodeKey, NodeKey] | None = None

    def load(self) -> None:
        """After a start: a stop may have come in between."""
        if text := self.desk.db.meta.get(JOINING):
            keep, drop = text.split()
            self.pair = int(keep), int(drop)

    def begin(self, keep: NodeKey, drop: NodeKey) -> bool:
        """Join the rows; returns whether that is done. Else ``go_on`` does it in steps that do nothing else."""
        few = (self.desk.db.nodes.children_after(tree, drop, BEFORE_ALL, JOINED_A_STEP) for tree in PLACED)
        if sum(len(page) for page in few) < JOINED_A_STEP:
            self.desk.db.nodes.merge_local_into(keep, drop)
            return True
        self.pair = keep, drop
        self.desk.db.meta.set(JOINING, f"{keep} {drop}")
        return False

    def go_on(self) -> NodeKey | None:
        """Go on with the pair; returns the row that stays when that is done."""
        assert self.pair is not None
        keep, drop = self.pair
        if self.desk.db.nodes.move_children(keep, drop, JOINED_A_STEP) == JOINED_A_STEP:
            return None
        self.desk.db.nodes.merge_local_into(keep, drop)
        self.pair = None
        self.desk.db.meta.delete(JOINING)
        return keep
