"""What the only writer keeps of what it read: nobody else changes the database (P11), so it need not read it again.

For ``Database`` alone; views see other processes' writes, and read every time. Never keeps what may have changed since:
a row is forgotten before it is written. A rollback takes writes back: whoever does it says ``forget``.
"""

from typing import Final

import apsw

from syncd.db.facts import Meta
from syncd.db.nodes import Nodes
from syncd.model.node import Node, Tree, place_of
from syncd.model.path import ROOT, NodeKey, RelPath

KEPT: Final = 4096
"""Rows kept at most: a page of planning reads fewer, however many files the root has."""


class OwnMeta(Meta):
    """The meta table: some twenty facts, asked for at every turn of a step."""

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(connection)
        self._known: dict[str, str] | None = None

    def get(self, key: str, default: str | None = None) -> str | None:
        if self._known is None:
            self._known = super().all()
        return self._known.get(key, default)

    def set(self, key: str, value: str) -> None:
        self.forget()  # before: a write that fails leaves nothing wrong behind
        super().set(key, value)

    def delete(self, key: str) -> None:
        self.forget()
        super().delete(key)

    def forget(self) -> None:
        """Read the table again when somebody asks."""
        self._known = None


class OwnNodes(Nodes):
    """The node table: the planner looks at a row, its parents and neighbours again and again between two writes.

    A row is forgotten when it is written, by whoever of ``Nodes`` writes it; no trigger changes a row of the table."""

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(connection)
        self._rows: dict[NodeKey, Node] = {}

    def node(self, key: NodeKey) -> Node | None:
        kept = self._rows.get(key)
        if kept is not None:
            return kept
        found = super().node(key)
        if found is not None:
            if len(self._rows) >= KEPT:
                self._rows.clear()
            self._rows[key] = found
        return found

    def _changing(self, key: NodeKey | None) -> None:
        if key is None:
            self._rows.clear()
        else:
            self._rows.pop(key, None)

    def path(self, tree: Tree, key: NodeKey) -> RelPath | None:
        names: list[str] = []
        passed: set[NodeKey] = set()
        while key != ROOT:
            node = self.node(key)
            place = None if node is None or key in passed else place_of(node.state(tree))
            if place is None:
                return None
            passed.add(key)
            names.append(place.name)
            key = place.parent
        return tuple(reversed(names))

    def forget(self) -> None:
        """Read rows again when somebody asks."""
        self._rows.clear()
