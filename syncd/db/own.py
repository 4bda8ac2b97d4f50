"""What the only writer keeps of what it read: nobody else changes the database (P11), so it need not read it again.

For ``Database`` alone; views see other processes' writes, and read every time. Never keeps what may have changed since:
a row is forgotten before it is written. A rollback takes writes back: whoever does it says ``forget``.
"""

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import apsw

from syncd.db.codec import is_text
from syncd.db.decisions import Decision, Decisions, Item
from syncd.db.facts import Meta
from syncd.db.nodes import Nodes
from syncd.model.node import Absent, Fingerprint, Kind, Node, Place, Present, State, Tree, Unknown, place_of
from syncd.model.path import ROOT, NodeKey, RelPath, fold

KEPT: Final = 8192
ANSWERS_KEPT: Final = 8192
"""Rows, and answers to who has a name in a tree, kept at most: some 20 MB, however many files the root has. The oldest
go first."""


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


class OwnDecisions(Decisions):
    """The tables of decisions: asked about every node that is planned, while mostly nobody has to decide anything."""

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(connection)
        self._any: bool | None = None

    def standing(self, node: NodeKey) -> tuple[int, Decision, float] | None:
        if self._any is None:
            self._any = self._execute("SELECT 1 FROM decision_item LIMIT 1").fetchone() is not None
        return super().standing(node) if self._any else None

    def add(self, group: int, items: Sequence[Item]) -> None:
        self.forget()
        super().add(group, items)

    def forget(self) -> None:
        """Ask again whether there is any item."""
        self._any = None


class Names:
    """Who has which name in one tree: answers that the table gave, kept true by every write of a place. A row that was
    deleted may still be named: its key is never used again."""

    def __init__(self) -> None:
        self.exact: dict[tuple[NodeKey, str], list[NodeKey]] = {}
        self.folded: dict[tuple[NodeKey, str], list[NodeKey]] = {}

    def moved(self, key: NodeKey, was: Place | None, place: Place | None) -> None:
        """The tree has row *key* at *place*, and had it at *was*."""
        if was == place:
            return
        if was is not None:
            for found in self._answers(was):
                if key in found:
                    found.remove(key)
        if place is not None:
            for found in self._answers(place):
                if key not in found:
                    insort(found, key)

    def _answers(self, place: Place) -> list[list[NodeKey]]:
        answers = (self.exact.get((place.parent, place.name)), self.folded.get((place.parent, fold(place.name))))
        return [found for found in answers if found is not None]

    def forget(self) -> None:
        self.exact.clear()
        self.folded.clear()


class OwnNodes(Nodes):
    """The node table: the planner looks at a row, its parents and neighbours again and again between two writes.

    A row is forgotten before it is written, and kept as it was written where that is what would be read. Only ``Nodes``
    writes rows; no trigger changes one."""

    def __init__(self, connection: apsw.Connection, dropping: Callable[[NodeKey], None]) -> None:
        super().__init__(connection)
        self._dropping = dropping  # a node's op goes with it
        self._rows: dict[NodeKey, Node] = {}
        self._keys_of: dict[bytes, NodeKey] = {}
        self._here, self._there = Names(), Names()

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

    def at(self, tree: Tree, parent: NodeKey, name: str) -> list[Node]:
        if tree is Tree.SYNCED or not is_text(name):
            return super().at(tree, parent, name)
        kept = self._names(tree).exact
        found = kept.get((parent, name))
        if found is None:
            found = kept[parent, name] = self._keys_at(tree, parent, name)
            _bound(kept)
        return self._of_keys(found)

    def at_folded(self, tree: Tree, parent: NodeKey, name: str) -> list[Node]:
        if not is_text(name):
            return []
        kept, folded = self._names(tree).folded, fold(name)
        found = kept.get((parent, folded))
        if found is None:
            found = kept[parent, folded] = self._keys_at_folded(tree, parent, folded)
            _bound(kept)
        return self._of_keys(found)

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
        self._there.moved(key, None, place_of(remote))
        self._here.moved(key, None, place_of(local))
        return key

    def set_local(self, key: NodeKey, state: State, fingerprint: Fingerprint | None, racy: bool = False) -> None:
        kept = self._rows.get(key)
        super().set_local(key, state, fingerprint, racy)
        self._moved_here(key, kept, state)
        if kept is not None and isinstance(state, Present) and _reads_back(state, bare=True):
            self._keep(replace(kept, local=state, fingerprint=fingerprint, racy=racy))

    def set_remote(self, key: NodeKey, state: State) -> None:
        kept = self._rows.get(key)
        super().set_remote(key, state)
        self._moved_there(key, kept, state)
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
        self._moved_there(key, kept, remote)
        if kept is not None:
            self._keep(replace(kept, synced=synced, remote=remote))

    def settle_local(
        self, key: NodeKey, synced: Present | Absent, local: Present, fingerprint: Fingerprint, racy: bool
    ) -> None:
        kept = self._rows.get(key)
        super().settle_local(key, synced, local, fingerprint, racy)
        self._moved_here(key, kept, local)
        if kept is not None and _reads_back(local, bare=True):
            self._keep(replace(kept, synced=synced, local=local, fingerprint=fingerprint, racy=racy))

    def set_node_id(self, key: NodeKey, node_id: bytes) -> None:
        kept = self._rows.get(key)
        super().set_node_id(key, node_id)
        if kept is not None:
            self._keep(replace(kept, node_id=node_id))

    def _drop_op(self, key: NodeKey) -> None:
        self._dropping(key)
        super()._drop_op(key)

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
        """Read rows, and who has a name, again when somebody asks."""
        self._rows.clear()
        self._keys_of.clear()
        self._here.forget()
        self._there.forget()

    # --- what is kept

    def _keep(self, node: Node) -> None:
        self._rows[node.id] = node
        if node.node_id is not None:
            self._keys_of[node.node_id] = node.id
        if len(self._rows) > KEPT:
            self._drop(next(iter(self._rows)))

    def _drop(self, key: NodeKey) -> None:
        node = self._rows.pop(key, None)
        if node is not None and node.node_id is not None:
            self._keys_of.pop(node.node_id, None)

    def _changing(self, key: NodeKey | None) -> None:
        if key is None:
            self.forget()
        else:
            self._drop(key)

    def _names(self, tree: Tree) -> Names:
        return self._here if tree is Tree.LOCAL else self._there

    def _moved_here(self, key: NodeKey, kept: Node | None, state: State) -> None:
        if kept is None:
            self._here.forget()  # where it was is not known
        else:
            self._here.moved(key, place_of(kept.local), place_of(state))

    def _moved_there(self, key: NodeKey, kept: Node | None, state: State) -> None:
        if kept is None:
            self._there.forget()
        else:
            self._there.moved(key, place_of(kept.remote), place_of(state))


def _bound(kept: dict[tuple[NodeKey, str], list[NodeKey]]) -> None:
    if len(kept) > ANSWERS_KEPT:
        del kept[next(iter(kept))]


def _reads_back(state: State, *, bare: bool = False) -> bool:
    """Return whether a state that was written is what will be read. *bare*: of L, which has no versions."""
    if isinstance(state, Unknown):
        return False  # texts are made valid, and L keeps the fingerprint it had
    return not bare or (state.version is None and (isinstance(state, Absent) or state.manifest is None))
