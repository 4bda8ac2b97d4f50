"""What the only writer keeps of what it read: nobody else changes the database (P11), so it need not read it again.

For ``Database`` alone; views see other processes' writes, and read every time. Never keeps what may have changed since:
a row is forgotten before it is written. A rollback takes writes back: whoever does it says ``forget``.
"""

from dataclasses import replace
from typing import Final

import apsw

from syncd.db.facts import Meta
from syncd.db.nodes import Nodes
from syncd.model.node import Absent, Fingerprint, Kind, Node, Present, State, Tree, Unknown, place_of
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
        if self._known is not None and self._known.get(key) == value:
            return
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

    A row is forgotten before it is written, and kept as it was written where that is what would be read. Only ``Nodes``
    writes rows; no trigger changes one."""

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(connection)
        self._rows: dict[NodeKey, Node] = {}
        self._keys_of: dict[bytes, NodeKey] = {}

    def node(self, key: NodeKey) -> Node | None:
        kept = self._rows.get(key)
        if kept is not None:
            return kept
        found = super().node(key)
        if found is not None:
            self._keep(found)
        return found

    def by_node_id(self, node_id: bytes) -> Node | None:
        kept = self._rows.get(self._keys_of.get(node_id, 0))
        if kept is not None and kept.node_id == node_id:
            return kept
        return super().by_node_id(node_id)

    def insert(
        self,
        kind: Kind,
        *,
        node_id: bytes | None = None,
        synced: Present | Absent = Absent(),  # noqa: B008 – immutable
        remote: State = Absent(),  # noqa: B008
        local: State = Absent(),  # noqa: B008
        fingerprint: Fingerprint | None = None,
        racy: bool = False,
    ) -> NodeKey:
        key = super().insert(
            kind, node_id=node_id, synced=synced, remote=remote, local=local, fingerprint=fingerprint, racy=racy
        )
        if _reads_back(remote) and _reads_back(local, bare=True):
            self._keep(Node(key, node_id, kind, synced, remote, local, fingerprint, racy))
        return key

    def set_local(self, key: NodeKey, state: State, fingerprint: Fingerprint | None, racy: bool = False) -> None:
        kept = self._rows.get(key)
        super().set_local(key, state, fingerprint, racy)
        if kept is not None and isinstance(state, Present) and _reads_back(state, bare=True):
            self._keep(replace(kept, local=state, fingerprint=fingerprint, racy=racy))

    def set_remote(self, key: NodeKey, state: State) -> None:
        kept = self._rows.get(key)
        super().set_remote(key, state)
        if kept is not None and _reads_back(state):
            self._keep(replace(kept, remote=state))

    def set_synced(self, key: NodeKey, state: Present | Absent) -> None:
        kept = self._rows.get(key)
        super().set_synced(key, state)
        if kept is not None:
            self._keep(replace(kept, synced=state))

    def settle_remote(self, key: NodeKey, synced: Present | Absent, remote: Present | Absent) -> None:
        kept = self._rows.get(key)
        super().settle_remote(key, synced, remote)
        if kept is not None:
            self._keep(replace(kept, synced=synced, remote=remote))

    def settle_local(
        self, key: NodeKey, synced: Present | Absent, local: Present, fingerprint: Fingerprint, racy: bool
    ) -> None:
        kept = self._rows.get(key)
        super().settle_local(key, synced, local, fingerprint, racy)
        if kept is not None and _reads_back(local, bare=True):
            self._keep(replace(kept, synced=synced, local=local, fingerprint=fingerprint, racy=racy))

    def set_node_id(self, key: NodeKey, node_id: bytes) -> None:
        kept = self._rows.get(key)
        super().set_node_id(key, node_id)
        if kept is not None:
            self._keep(replace(kept, node_id=node_id))

    def _keep(self, node: Node) -> None:
        if len(self._rows) >= KEPT:
            self.forget()
        self._rows[node.id] = node
        if node.node_id is not None:
            self._keys_of[node.node_id] = node.id

    def _changing(self, key: NodeKey | None) -> None:
        if key is None:
            self.forget()
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
        self._keys_of.clear()


def _reads_back(state: State, *, bare: bool = False) -> bool:
    """Return whether a state that was written is what will be read. *bare*: of L, which has no versions."""
    if isinstance(state, Unknown):
        return False  # texts are made valid, and L keeps the fingerprint it had
    return not bare or (state.version is None and (isinstance(state, Absent) or state.manifest is None))
