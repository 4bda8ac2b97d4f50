"""What the only writer keeps of what it read: nobody else changes the database (P11), so it need not read it again.

For ``Database`` alone; views see other processes' writes, and read every time. Never keeps what may have changed since:
a row is forgotten before it is written. A rollback takes writes back: whoever does it says ``forget``.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

import apsw

from syncd.db.codec import is_text
from syncd.db.decisions import Decision, Decisions, Item
from syncd.db.facts import Meta
from syncd.db.nodes import Nodes
from syncd.model.node import Absent, Fingerprint, Kind, Node, Place, Present, State, Tree, Unknown, place_of
from syncd.model.path import ROOT, NodeKey, RelPath, fold

KEPT: Final = 16384
ANSWERS_KEPT: Final = 16384
PATHS_KEPT: Final = 4096
AT_ONCE: Final = 1024
"""Rows, answers to who has a name in a tree, and directories whose paths are known, kept at most: some 30 MB, however
many files the root has. The oldest go first, so many at once: to find the oldest of a dictionary passes all that went
before it."""

MANY: Final = 4
"""Questions from which on asking the table once for all of them is less work."""

STRANGERS_KEPT: Final = 16384
"""Inodes, or ids, that are known to be no row's."""


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
    """Who has which name in one tree, in any case and normal form: answers that the table gave, kept true by every
    write of a place. A row that was deleted may still be named: its key is never used again.

    Of a directory whose row was made a moment ago every name is known: nobody had one before."""

    def __init__(self) -> None:
        self._answers: dict[tuple[NodeKey, str], tuple[NodeKey, ...]] = {}
        self._whole: set[NodeKey] = set()  # directories of which every name that is not among the answers is free

    def get(self, parent: NodeKey, folded: str) -> tuple[NodeKey, ...] | None:
        """Return who has the name, by key; None where the table has to be asked."""
        keys = self._answers.get((parent, folded))
        return () if keys is None and parent in self._whole else keys

    def keep(self, parent: NodeKey, folded: str, keys: tuple[NodeKey, ...]) -> None:
        """Keep what the table said."""
        self._answers[parent, folded] = keys
        if len(self._answers) > ANSWERS_KEPT + AT_ONCE:
            for oldest in list(islice(self._answers, AT_ONCE)):
                del self._answers[oldest]
                self._whole.discard(oldest[0])

    def made(self, directory: NodeKey) -> None:
        """A row was made for a directory: nothing has a place in it yet."""
        if len(self._whole) >= ANSWERS_KEPT:
            self._whole.clear()
        self._whole.add(directory)

    def moved(self, key: NodeKey, was: Place | None, place: Place | None) -> None:
        """The tree has row *key* at *place*, and had it at *was*."""
        if was == place:
            return
        if was is not None:
            name = (was.parent, fold(was.name))
            keys = self._answers.get(name)
            if keys:
                self._answers[name] = tuple(other for other in keys if other != key)
        if place is not None:
            name = (place.parent, fold(place.name))
            keys = self.get(*name)
            if keys is not None:
                self.keep(*name, tuple(sorted({*keys, key})))

    def forget(self) -> None:
        self._answers.clear()
        self._whole.clear()


class OwnNodes(Nodes):
    """The node table: the planner looks at a row, its parents and neighbours again and again between two writes.

    A row is forgotten before it is written, and kept as it was written where that is what would be read. Only ``Nodes``
    writes rows; no trigger changes one."""

    def __init__(self, connection: apsw.Connection, dropping: Callable[[NodeKey], None]) -> None:
        super().__init__(connection)
        self._dropping = dropping  # a node's op goes with it
        self.written_in: Callable[[NodeKey | None], None] = lambda directory: None
        """Told of each directory in which L is written; None: anywhere. Whoever concludes from L sets it."""
        self._rows: dict[NodeKey, Node] = {}
        self._keys_of: dict[bytes, NodeKey] = {}
        self._here, self._there = Names(), Names()
        self._paths: dict[tuple[str, NodeKey], RelPath] = {}
        self._climbed: set[NodeKey] = set()  # whoever is on one of those paths
        self._any_vanished: bool | None = None
        self._strangers: set[tuple[int, int]] = set()
        self._unknown_ids: set[bytes] = set()

    def node(self, key: NodeKey) -> Node | None:
        kept = self._rows.get(key)
        if kept is not None:
            return kept
        found = super().node(key)
        if found is not None:
            self._keep(found)
        return found

    def expect_ids(self, node_ids: Iterable[bytes]) -> None:
        """``by_node_id`` will be asked of these, one by one: ask the table once."""
        asked = list(islice(node_ids, STRANGERS_KEPT))
        self._unknown_ids = self.unknown_ids(asked) if len(asked) >= MANY else set()

    def by_node_id(self, node_id: bytes) -> Node | None:
        if node_id in self._unknown_ids:
            return None
        kept = self._rows.get(self._keys_of.get(node_id, 0))
        if kept is not None and kept.node_id == node_id:
            return kept
        return super().by_node_id(node_id)

    def at(self, tree: Tree, parent: NodeKey, name: str) -> list[Node]:
        if tree is Tree.SYNCED:
            return super().at(tree, parent, name)
        place = Place(parent, name)
        return [node for node in self.at_folded(tree, parent, name) if place_of(node.state(tree)) == place]

    def at_folded(self, tree: Tree, parent: NodeKey, name: str) -> list[Node]:
        if not is_text(name):
            return []
        names, folded = self._here if tree is Tree.LOCAL else self._there, fold(name)
        keys = names.get(parent, folded)
        if keys is None:
            keys = tuple(self._keys_at_folded(tree, parent, folded))
            names.keep(parent, folded, keys)
        return self._of_keys(keys)

    def nobody_has(self, parent: NodeKey, name: str) -> bool:
        """Return whether it is known, without asking the table, that neither L nor R has the name in any case."""
        folded = fold(name)
        return self._here.get(parent, folded) == () == self._there.get(parent, folded)

    def expect(self, inodes: Iterable[tuple[int, int]]) -> None:
        """``by_inode`` will be asked of these, one by one: ask the table once."""
        asked = list(islice(inodes, STRANGERS_KEPT))
        self._strangers = self.strangers(asked) if len(asked) >= MANY else set()

    def by_inode(self, dev: int, ino: int) -> list[Node]:
        return [] if (dev, ino) in self._strangers else super().by_inode(dev, ino)

    def vanished_with_hash(self, kind: Kind, hash: bytes) -> list[Node]:  # noqa: A002
        if self._any_vanished is None:  # mostly nothing has: whatever is new need not be compared with it
            self._any_vanished = self.any_vanished()
        return super().vanished_with_hash(kind, hash) if self._any_vanished else []

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
        self._has_inode(fingerprint)
        if node_id is not None:
            self._unknown_ids.discard(node_id)
        key = super().insert(
            kind, node_id=node_id, synced=synced, remote=remote, local=local, fingerprint=fingerprint, racy=racy
        )
        if _reads_back(remote) and _reads_back(local, bare=True):
            self._keep(Node(key, node_id, kind, synced, remote, local, fingerprint, racy))
        if kind is Kind.DIRECTORY:
            self._there.made(key)
            self._here.made(key)
        self._there.moved(key, None, place_of(remote))
        if (place := place_of(local)) is not None:
            self._here.moved(key, None, place)
            self.written_in(place.parent)
        return key

    def set_local(self, key: NodeKey, state: State, fingerprint: Fingerprint | None, racy: bool = False) -> None:
        kept = self._rows.get(key)
        self._has_inode(fingerprint)
        super().set_local(key, state, fingerprint, racy)
        self._moved_here(key, kept, state)
        if isinstance(state, Absent):
            self._any_vanished = None
        if kept is not None and isinstance(state, Present) and _reads_back(state, bare=True):
            self._keep(Node(key, kept.node_id, kept.kind, kept.synced, kept.remote, state, fingerprint, racy))

    def set_remote(self, key: NodeKey, state: State) -> None:
        kept = self._rows.get(key)
        super().set_remote(key, state)
        self._moved_there(key, kept, state)
        if kept is not None and _reads_back(state):
            self._keep(_with(kept, kept.synced, state))

    def set_synced(self, key: NodeKey, state: Present | Absent) -> None:
        kept = self._rows.get(key)
        super().set_synced(key, state)
        if kept is not None:
            self._keep(_with(kept, state, kept.remote))

    def settle_remote(self, key: NodeKey, synced: Present | Absent, remote: Present | Absent) -> None:
        kept = self._rows.get(key)
        super().settle_remote(key, synced, remote)
        self._moved_there(key, kept, remote)
        if kept is not None:
            self._keep(_with(kept, synced, remote))

    def settle_local(
        self, key: NodeKey, synced: Present | Absent, local: Present, fingerprint: Fingerprint, racy: bool
    ) -> None:
        kept = self._rows.get(key)
        self._has_inode(fingerprint)
        super().settle_local(key, synced, local, fingerprint, racy)
        self._moved_here(key, kept, local)
        if kept is not None and _reads_back(local, bare=True):
            self._keep(Node(key, kept.node_id, kept.kind, synced, kept.remote, local, fingerprint, racy))

    def set_node_id(self, key: NodeKey, node_id: bytes) -> None:
        was = self._rows.get(key)
        self._unknown_ids.discard(node_id)
        super().set_node_id(key, node_id)
        if was is not None:
            self._keep(Node(key, node_id, was.kind, was.synced, was.remote, was.local, was.fingerprint, was.racy))

    def _drop_op(self, key: NodeKey) -> None:
        self._dropping(key)
        self.written_in(key)  # the row goes, and with it its name
        node = self.node(key)
        place = None if node is None else place_of(node.local)
        if place is not None:
            self.written_in(place.parent)
        super()._drop_op(key)

    def path(self, tree: Tree, key: NodeKey) -> RelPath | None:
        if key == ROOT:
            return ()
        node = self.node(key)
        place = None if node is None else place_of(node.state(tree))
        if place is None:
            return None
        above = self._folder(tree, place.parent)
        return None if above is None else (*above, place.name)

    def _folder(self, tree: Tree, key: NodeKey) -> RelPath | None:
        """Return the path of a directory, found once for all in it."""
        found = self._paths.get((tree.value, key))
        if found is not None:
            return found
        names: list[str] = []
        passed: set[NodeKey] = set()
        at = key
        while at != ROOT:
            node = self.node(at)
            place = None if node is None or at in passed else place_of(node.state(tree))
            if place is None:
                return None
            passed.add(at)
            names.append(place.name)
            at = place.parent
        if len(self._climbed) > PATHS_KEPT:
            self._forget_paths()
        self._climbed |= passed
        self._paths[tree.value, key] = path = tuple(reversed(names))
        return path

    def _forget_paths(self) -> None:
        self._paths.clear()
        self._climbed.clear()

    def forget(self) -> None:
        """Read rows, and who has a name, again when somebody asks."""
        self.rest()
        self._any_vanished = None
        self.written_in(None)

    def rest(self) -> None:
        """Nothing is to be done for now: give the memory back."""
        self._rows.clear()
        self._keys_of.clear()
        self._here.forget()
        self._there.forget()
        self._strangers = set()
        self._unknown_ids = set()
        self._forget_paths()

    # --- what is kept

    def _keep(self, node: Node) -> None:
        self._rows[node.id] = node
        if node.node_id is not None:
            self._keys_of[node.node_id] = node.id
        if len(self._rows) > KEPT + AT_ONCE:
            for oldest in list(islice(self._rows, AT_ONCE)):
                self._drop(oldest)

    def _drop(self, key: NodeKey) -> None:
        node = self._rows.pop(key, None)
        if node is not None and node.node_id is not None:
            self._keys_of.pop(node.node_id, None)

    def _has_inode(self, fingerprint: Fingerprint | None) -> None:
        if fingerprint is not None:
            self._strangers.discard((fingerprint.dev, fingerprint.ino))

    def _changing(self, key: NodeKey | None) -> None:
        if key is None:
            self.forget()
        else:
            self._drop(key)
            if key in self._climbed:
                self._forget_paths()

    def _moved_here(self, key: NodeKey, kept: Node | None, state: State) -> None:
        if kept is None:
            self._here.forget()  # where it was is not known
            self.written_in(None)
            return
        was, place = place_of(kept.local), place_of(state)
        self._here.moved(key, was, place)
        for here in (was, place):
            if here is not None:
                self.written_in(here.parent)

    def _moved_there(self, key: NodeKey, kept: Node | None, state: State) -> None:
        if kept is None:
            self._there.forget()
        else:
            self._there.moved(key, place_of(kept.remote), place_of(state))


def _with(node: Node, synced: Present | Absent, remote: State) -> Node:
    return Node(node.id, node.node_id, node.kind, synced, remote, node.local, node.fingerprint, node.racy)


def _reads_back(state: State, *, bare: bool = False) -> bool:
    """Return whether a state that was written is what will be read. *bare*: of L, which has no versions."""
    if isinstance(state, Unknown):
        return False  # texts are made valid, and L keeps the fingerprint it had
    return not bare or (state.version is None and (isinstance(state, Absent) or state.manifest is None))
