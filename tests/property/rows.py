"""Rows of nodes as the planner's ``Trees``, indexed by place as rows change. Knows neither hub nor disk."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from syncd.model.node import Absent, Kind, Node, Place, Present, Reason, State, Tree, Unknown, Version, place_of
from syncd.model.path import ROOT, fold
from syncd.plan.world import Join

TREES = (Tree.SYNCED, Tree.REMOTE, Tree.LOCAL)
folded = lru_cache(maxsize=4096)(fold)
NO_KEYS: dict[int, None] = {}
Index = dict[int, dict[int, None]]
Names = dict[tuple[int, str], dict[int, None]]


def node_id(key: int) -> bytes:
    return key.to_bytes(16, "big")


def with_states(node: Node, synced: Present | Absent, remote: State, local: State) -> Node:
    """Return *node* with other snapshots (``dataclasses.replace`` takes three times as long)."""
    return Node(node.id, node.node_id, node.kind, synced, remote, local, node.fingerprint, node.racy)


class Rows:
    """Rows by key. *changed* lists every key that was put or dropped, with the row it had before."""

    def __init__(self, rows: Iterable[Node] = ()) -> None:
        self.rows: dict[int, Node] = {}
        self.changed: list[tuple[int, Node | None]] = []
        self.old_versions: set[tuple[int, Version]] = set()
        self.merged: dict[int, int] = {}  # rows that were joined into others
        self.last_key = ROOT
        self._kids: dict[Tree, Index] = {tree: {} for tree in TREES}
        self._names: dict[Tree, Names] = {tree: {} for tree in TREES}
        top = Present(Place(0, ""), version=Version(0, "root"))
        self.rows[ROOT] = Node(ROOT, bytes(16), Kind.DIRECTORY, top, top, top)
        for node in rows:
            self.put(node)
        self.changed.clear()

    # --- Trees ---------------------------------------------------------------------------------------------------

    def node(self, key: int) -> Node | None:
        return self.rows.get(key)

    def children(self, tree: Tree, parent: int) -> list[Node]:
        keys = self._kids[tree].get(parent)
        if not keys:
            return []
        found = [self.rows[key] for key in keys]
        if len(found) > 1:
            found.sort(key=lambda node: (node.state(tree).place.name, node.id))  # type: ignore[union-attr]
        return found

    def undecided_children(self, tree: Tree, parent: int) -> list[Node]:
        return [node for node in self.children(tree, parent) if not _goes_with_its_directory(node)]

    def children_backwards(self, tree: Tree, parent: int) -> Iterator[Node]:
        return reversed(self.children(tree, parent))

    def beginning(self, tree: Tree, parent: int, prefix: str) -> list[Node]:
        return [n for n in self.children(tree, parent) if n.state(tree).place.name.startswith(prefix)]  # type: ignore[union-attr]

    def at(self, tree: Tree, parent: int, name: str) -> list[Node]:
        keys = self._names[tree].get((parent, folded(name)))
        if not keys:
            return []
        return [n for key in sorted(keys) if place_of((n := self.rows[key]).state(tree)).name == name]  # type: ignore[union-attr]

    def at_folded(self, tree: Tree, parent: int, name: str) -> list[Node]:
        keys = self._names[tree].get((parent, folded(name)))
        return [self.rows[key] for key in sorted(keys)] if keys else []

    def superseded(self, key: int, version: Version) -> bool:
        return (key, version) in self.old_versions

    # --- changing rows -------------------------------------------------------------------------------------------

    def put(self, node: Node) -> Node:
        key = node.id
        was = self.rows.get(key)
        self.changed.append((key, was))
        self.rows[key] = node
        if key > self.last_key:
            self.last_key = key
        if key == ROOT:
            return node
        if was is None:
            self._enter(Tree.SYNCED, key, place_of(node.synced))
            self._enter(Tree.REMOTE, key, place_of(node.remote))
            self._enter(Tree.LOCAL, key, place_of(node.local))
            return node
        if was.synced is not node.synced:
            self._shift(Tree.SYNCED, key, place_of(was.synced), place_of(node.synced))
        if was.remote is not node.remote:
            self._shift(Tree.REMOTE, key, place_of(was.remote), place_of(node.remote))
        if was.local is not node.local:
            self._shift(Tree.LOCAL, key, place_of(was.local), place_of(node.local))
        return node

    def set(self, key: int, **states: object) -> Node:
        return self.put(replace(self.rows[key], **states))  # type: ignore[arg-type]

    def drop(self, key: int) -> None:
        node = self.rows.pop(key)
        self.changed.append((key, node))
        for tree in TREES:
            self._leave(tree, key, place_of(node.state(tree)))

    def new_key(self) -> int:
        self.last_key += 1  # never again, for ids are made from it
        return self.last_key

    def _shift(self, tree: Tree, key: int, old: Place | None, new: Place | None) -> None:
        if old is not new and old != new:
            self._leave(tree, key, old)
            self._enter(tree, key, new)

    def _enter(self, tree: Tree, key: int, place: Place | None) -> None:
        if place is not None:
            self._kids[tree].setdefault(place.parent, {})[key] = None
            self._names[tree].setdefault((place.parent, folded(place.name)), {})[key] = None

    def _leave(self, tree: Tree, key: int, place: Place | None) -> None:
        if place is not None:
            del self._kids[tree][place.parent][key]
            del self._names[tree][place.parent, folded(place.name)][key]

    # --- trees as people see them --------------------------------------------------------------------------------

    def tree(self, tree: Tree) -> dict[tuple[str, ...], tuple[Kind, bytes | None, bool]]:
        """Return kind, content and executable bit by path; fails when the tree is none."""
        out: dict[tuple[str, ...], tuple[Kind, bytes | None, bool]] = {}
        paths: dict[int, tuple[str, ...]] = {ROOT: ()}
        for node in self.rows.values():
            state = node.state(tree)
            if node.id == ROOT or not isinstance(state, Present):
                continue
            path = self.path(tree, node, paths)
            assert path not in out, f"two nodes at {path} in {tree}"
            out[path] = (node.kind, state.hash, state.executable)
        return out

    def path(self, tree: Tree, node: Node, paths: dict[int, tuple[str, ...]]) -> tuple[str, ...]:
        """Return the names from the root down; *paths* remembers those already known."""
        chain: list[Node] = []
        while node.id not in paths:
            chain.append(node)
            assert len(chain) <= len(self.rows), f"{tree} has a cycle"
            place = place_of(node.state(tree))
            assert place is not None, f"{tree} has a node below an absent one"
            node = self.rows[place.parent]
        path = paths[node.id]
        for node in reversed(chain):
            place = place_of(node.state(tree))
            assert place is not None
            path = paths[node.id] = (*path, place.name)
        return path

    def below(self, tree: Tree, key: int, parent: int) -> bool:
        """Return whether directory *parent* is *key* or lies below it."""
        while parent != ROOT:
            if parent == key:
                return True
            place = place_of(self.rows[parent].state(tree))
            if place is None:
                return False
            parent = place.parent
        return False

    # --- joining -------------------------------------------------------------------------------------------------

    def apply_join(self, joined: Join) -> None:
        keep, drop = self.rows[joined.keep], self.rows[joined.drop]
        self.merged[drop.id] = keep.id
        local = drop.local
        if isinstance(local, Unknown) and local.reason is Reason.LEFTOVER and local.place is not None:
            local = Present(local.place)
        self.drop(drop.id)
        self.put(Node(keep.id, keep.node_id, keep.kind, keep.synced, keep.remote, local, drop.fingerprint))
        for key in [*self._kids[Tree.LOCAL].get(drop.id, NO_KEYS), *self._kids[Tree.SYNCED].get(drop.id, NO_KEYS)]:
            other = self.rows[key]
            synced = _under(other.synced, drop.id, keep.id)
            assert not isinstance(synced, Unknown)
            self.put(with_states(other, synced, other.remote, _under(other.local, drop.id, keep.id)))
        for child in self.children(Tree.REMOTE, keep.id):
            self.changed.append((child.id, child))


def _under(state: State, old: int, new: int) -> State:
    place = place_of(state)
    if place is None or place.parent != old or isinstance(state, Absent):
        return state
    return replace(state, place=Place(new, place.name))


def _goes_with_its_directory(node: Node) -> bool:
    """Return whether one side deleted a file that the other has as it was in sync."""
    synced, remote, local = node.synced, node.remote, node.local
    if node.kind is Kind.DIRECTORY or not isinstance(synced, Present):
        return False
    if isinstance(remote, Absent):
        here = local
    elif isinstance(local, Absent):
        here = remote
    else:
        return False
    if not isinstance(here, Present):
        return False
    return (here.place, here.hash, here.executable) == (synced.place, synced.hash, synced.executable)
