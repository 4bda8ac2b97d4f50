"""An in-memory triple: rows of nodes as Trees, and an ``apply`` that models hub and disk with exact preconditions."""

from dataclasses import dataclass, field, replace

from syncd.model.node import Absent, Fingerprint, Kind, Node, Place, Present, Reason, Tree, Unknown, Version, place_of
from syncd.model.op import Op
from syncd.model.path import ROOT, fold
from syncd.plan.world import Context, Join, NodePlan


class Stale(Exception):
    """What the op expected is not there: nothing was changed (P6)."""


def node_id(key: int) -> bytes:
    return key.to_bytes(16, "big")


@dataclass
class World:
    """Rows by key. R and L are the hub and the disk; S is what the engine records."""

    case_sensitive: bool = True
    executable_bit: bool = True
    symlinks: bool = True
    rows: dict[int, Node] = field(default_factory=dict)
    old_versions: set[tuple[int, Version]] = field(default_factory=set)
    running: set[int] = field(default_factory=set)
    counter: int = 1
    first_id: int = 0
    last_key: int = ROOT
    device: str = "laptop"
    conflicts: list[object] = field(default_factory=list)
    holds: dict[int, str] = field(default_factory=dict)
    hidden: dict[int, Present] = field(default_factory=dict)
    changed: list[tuple[int, Node | None]] = field(default_factory=list)
    _index: dict[tuple[Tree, int], list[Node]] | None = None

    def __post_init__(self) -> None:
        if ROOT not in self.rows:
            top = Present(Place(0, ""), version=Version(0, "root"))
            self.rows[ROOT] = Node(ROOT, bytes(16), Kind.DIRECTORY, top, top, top)

    # --- Trees ---------------------------------------------------------------------------------------------

    def node(self, key: int) -> Node | None:
        return self.rows.get(key)

    def children(self, tree: Tree, parent: int) -> list[Node]:
        if self._index is None:
            index: dict[tuple[Tree, int], list[Node]] = {}
            for node in self.rows.values():
                for each in Tree:
                    place = place_of(node.state(each))
                    if place is not None and node.id != ROOT:
                        index.setdefault((each, place.parent), []).append(node)
            for (each, _), nodes in index.items():
                nodes.sort(key=lambda n: (place_of(n.state(each)).name, n.id))
            self._index = index
        return self._index.get((tree, parent), [])

    def at(self, tree: Tree, parent: int, name: str) -> list[Node]:
        return [n for n in self.children(tree, parent) if place_of(n.state(tree)).name == name]

    def at_folded(self, tree: Tree, parent: int, name: str) -> list[Node]:
        key = fold(name)
        return [n for n in self.children(tree, parent) if fold(place_of(n.state(tree)).name) == key]

    def superseded(self, key: int, version: Version) -> bool:
        return (key, version) in self.old_versions

    # --- changing rows -------------------------------------------------------------------------------------

    def put(self, node: Node) -> Node:
        self.changed.append((node.id, self.rows.get(node.id)))
        self.rows[node.id] = node
        self._index = None
        return node

    def drop(self, key: int) -> None:
        self.changed.append((key, self.rows.pop(key)))
        self._index = None

    def set(self, key: int, **states: object) -> Node:
        return self.put(replace(self.rows[key], **states))

    def new_key(self) -> int:
        self.last_key = max(self.last_key, *self.rows) + 1  # never again, for ids are made from it
        return self.last_key

    def tick(self) -> Version:
        self.counter += 1
        return Version(self.counter, f"t{self.counter}")

    def fingerprint(self, size: int = 0) -> Fingerprint:
        self.counter += 1
        return Fingerprint(1, self.counter, self.counter, self.counter, size)

    def context(self, device: str | None = None) -> Context:
        return Context(
            device or self.device,
            1_700_000_000.0,
            self.case_sensitive,
            self.executable_bit,
            self.symlinks,
            self.running.__contains__,
        )

    # --- local and remote as people see them ----------------------------------------------------------------

    def tree(self, tree: Tree, skip_held: bool = False) -> dict[tuple[str, ...], tuple[object, ...]]:
        out = {}
        for node in self.rows.values():
            state = node.state(tree)
            if node.id == ROOT or not isinstance(state, Present):
                continue
            if skip_held and self.under_held(node):
                continue
            path = self.path(tree, node)
            assert path not in out, f"two nodes at {path} in {tree}"
            out[path] = (node.kind, state.hash, state.executable)
        return out

    def path(self, tree: Tree, node: Node) -> tuple[str, ...]:
        names: list[str] = []
        seen = set()
        while node.id != ROOT:
            assert node.id not in seen, f"{tree} has a cycle"
            seen.add(node.id)
            place = place_of(node.state(tree))
            assert place is not None, f"{tree} has a node below an absent one"
            names.append(place.name)
            node = self.rows[place.parent]
        return tuple(reversed(names))

    def under_held(self, node: Node) -> bool:
        while node.id != ROOT:
            if isinstance(node.local, Unknown) and node.local.reason is Reason.HELD:
                return True
            node = self.rows[place_of(node.remote).parent]
        return False

    # --- joining and recording -------------------------------------------------------------------------------

    def apply_join(self, joined: Join) -> None:
        keep, drop = self.rows[joined.keep], self.rows[joined.drop]
        self.put(replace(keep, local=drop.local, fingerprint=drop.fingerprint))
        for other in list(self.rows.values()):
            new = other
            for tree, name in ((Tree.LOCAL, "local"), (Tree.SYNCED, "synced")):
                state = other.state(tree)
                if not isinstance(state, Absent) and state.place is not None and state.place.parent == drop.id:
                    new = replace(new, **{name: replace(state, place=Place(keep.id, state.place.name))})
            if new != other:
                self.put(new)
        self.drop(drop.id)
        for child in self.children(Tree.REMOTE, keep.id):
            self.changed.append((child.id, child))

    def record(self, key: int, found: NodePlan) -> None:
        if found.conflict is not None:
            self.conflicts.append(found.conflict)
        if found.forget:
            self.drop(key)
        elif found.hold is not None:
            node = self.rows[key]
            self.holds[key] = found.hold
            if isinstance(node.local, Present):
                self.hidden[key] = node.local
            self.set(key, local=Unknown(Reason.HELD, place_of(node.local), found.hold))
        elif found.release:
            self.holds.pop(key)
            self.set(key, local=self.hidden.pop(key, Absent()))
        elif found.synced is not None:
            self.set(key, synced=found.synced)

    # --- ops ----------------------------------------------------------------------------------------------

    def apply(self, op: Op) -> None:
        node = self.rows.get(op.node)
        if node is None:
            raise Stale("node")
        getattr(self, f"_{op.type.value}")(op, node)
        if op.conflict is not None:
            self.conflicts.append(op.conflict)

    def _need(self, true: bool, what: str) -> None:
        if not true:
            raise Stale(what)

    def _parent(self, tree: Tree, place: Place) -> None:
        parent = self.rows.get(place.parent)
        self._need(parent is not None and isinstance(parent.state(tree), Present), "parent")

    def _free(self, tree: Tree, place: Place, *but: int) -> None:
        exact = tree is Tree.REMOTE or self.case_sensitive
        found = (self.at if exact else self.at_folded)(tree, place.parent, place.name)
        found = [n for n in found if not (isinstance(n.local, Unknown) and tree is Tree.LOCAL and self._ghost(n))]
        self._need(all(n.id in but for n in found), "name")

    def _ghost(self, node: Node) -> bool:
        return place_of(node.local) is None

    def _below(self, tree: Tree, key: int, place: Place) -> bool:
        at = self.rows[place.parent]
        while at.id != ROOT:
            if at.id == key:
                return True
            above = place_of(at.state(tree))
            at = self.rows[above.parent]
        return False

    def _local_is(self, op: Op, node: Node) -> Present:
        local = node.local
        self._need(isinstance(local, Present), "local gone")
        self._need(local.place == op.source, "local elsewhere")
        self._need(local.hash == op.expected_hash, "local content")
        self._need(node.fingerprint == op.expected, "local fingerprint")
        return local

    def _remote_is(self, op: Op, node: Node) -> Present:
        self._need(isinstance(node.remote, Present), "remote gone")
        self._need(node.remote.version == op.base, "base version")
        return node.remote

    def _upload(self, op: Op, node: Node) -> None:
        self._need(isinstance(node.local, Present), "local gone")
        self._need(node.local.hash == op.expected_hash and node.fingerprint == op.expected, "local changed")
        version = self.tick()
        if op.source is not None:
            remote = self._remote_is(op, node)
            fresh = replace(
                remote, hash=op.hash, size=op.size, executable=op.executable, mtime_ns=op.mtime_ns, version=version
            )
            base = node.synced if isinstance(node.synced, Present) else fresh
            self.set(node.id, remote=fresh, synced=replace(fresh, place=base.place))
            return
        self._create_there(op, node, version)

    def _remote_mkdir(self, op: Op, node: Node) -> None:
        self._create_there(op, node, self.tick())

    def _create_there(self, op: Op, node: Node, version: Version) -> None:
        self._need(isinstance(node.remote, Absent) and node.remote.version == op.base, "tombstone")
        self._parent(Tree.REMOTE, op.place)
        self._free(Tree.REMOTE, op.place)
        fresh = Present(op.place, op.hash, op.executable, op.size, op.mtime_ns, version)
        self.set(node.id, remote=fresh, synced=fresh, node_id=node.node_id or node_id(self.first_id + node.id))

    def _remote_move(self, op: Op, node: Node) -> None:
        steps = [(m.node, m.base, m.place) for m in op.group] or [(op.node, op.base, op.place)]
        keys = [key for key, _, _ in steps]
        before = {key: self.rows[key] for key in keys}
        for key, base, place in steps:
            row = self.rows.get(key)
            self._need(row is not None and isinstance(row.remote, Present) and row.remote.version == base, "base")
            self._parent(Tree.REMOTE, place)
        version = self.tick()
        for key, _, place in steps:
            self.rows[key] = replace(self.rows[key], remote=replace(self.rows[key].remote, place=place))
        self._index = None
        try:
            for key, _, place in steps:
                self._free(Tree.REMOTE, place, key)
                at, seen = place.parent, set()
                while at != ROOT:
                    self._need(at not in seen and at != key, "cycle")
                    seen.add(at)
                    at = place_of(self.rows[at].remote).parent
        except Stale:
            self.rows.update(before)
            self._index = None
            raise
        for key, _, place in steps:
            row = before[key]
            synced = row.synced
            if isinstance(synced, Present):
                synced = replace(synced, place=place, version=version)
            self.rows[key] = row
            self.put(replace(row, remote=replace(row.remote, place=place, version=version), synced=synced))

    def _remote_chmod(self, op: Op, node: Node) -> None:
        remote = self._remote_is(op, node)
        fresh = replace(remote, executable=op.executable, version=self.tick())
        self.set(node.id, remote=fresh, synced=replace(node.synced, executable=op.executable, version=fresh.version))

    def _remote_delete(self, op: Op, node: Node) -> None:
        self._remote_is(op, node)
        self._need(isinstance(node.local, Absent), "local is back")
        self._need(not self.children(Tree.REMOTE, node.id), "not empty")
        self.set(node.id, remote=Absent(self.tick()), synced=Absent())

    def _carried(self, op: Op, node: Node) -> Present:
        place = node.synced.place if isinstance(node.synced, Present) and op.source is not None else op.place
        return Present(place, op.hash, op.executable, op.size, op.mtime_ns, op.base, op.manifest)

    def _download(self, op: Op, node: Node) -> None:
        if op.source is not None:
            self._local_is(op, node)
        else:
            self._need(isinstance(node.local, Absent), "local is there")
            self._parent(Tree.LOCAL, op.place)
            self._free(Tree.LOCAL, op.place)
        local = Present(op.place, op.hash, op.executable, op.size, op.mtime_ns)
        self.set(node.id, local=local, synced=self._carried(op, node), fingerprint=self.fingerprint())

    def _local_mkdir(self, op: Op, node: Node) -> None:
        self._download(op, node)

    def _conflict(self, op: Op, node: Node) -> None:
        local = self._local_is(op, node)
        aside = Place(op.place.parent, op.aside)
        self._free(Tree.LOCAL, aside)
        self._download(op, node)
        copy = Node(self.new_key(), None, node.kind, local=replace(local, place=aside), fingerprint=node.fingerprint)
        self.put(copy)

    def _set_aside(self, op: Op, node: Node) -> None:
        local = self._local_is(op, node)
        self._free(Tree.LOCAL, op.place, node.id)
        self.set(node.id, local=replace(local, place=op.place))

    def _local_move(self, op: Op, node: Node) -> None:
        local = self._local_is(op, node)
        self._parent(Tree.LOCAL, op.place)
        self._free(Tree.LOCAL, op.place, node.id)
        self._need(not self._below(Tree.LOCAL, node.id, op.place), "into itself")
        self._moved_here(node, local, op.place)

    def _moved_here(self, node: Node, local: Present, place: Place) -> None:
        synced = replace(node.synced, place=place) if isinstance(node.synced, Present) else node.synced
        self.set(node.id, local=replace(local, place=place), synced=synced)

    def _local_swap(self, op: Op, node: Node) -> None:
        local = self._local_is(op, node)
        partner = self.rows[op.partner]
        self._need(isinstance(partner.local, Present) and partner.local.place == op.place, "partner elsewhere")
        self._need(partner.fingerprint == op.partner_expected, "partner changed")
        assert not self._below(Tree.LOCAL, node.id, op.place)
        assert not self._below(Tree.LOCAL, partner.id, op.source)
        self._moved_here(node, local, op.place)
        self._moved_here(partner, partner.local, op.source)

    def _local_chmod(self, op: Op, node: Node) -> None:
        local = self._local_is(op, node)
        synced = replace(node.synced, executable=op.executable) if isinstance(node.synced, Present) else node.synced
        self.set(node.id, local=replace(local, executable=op.executable), synced=synced)

    def _local_delete(self, op: Op, node: Node) -> None:
        self._local_is(op, node)
        self._need(not self.children(Tree.LOCAL, node.id), "not empty")
        self.set(node.id, local=Absent(), synced=Absent())
