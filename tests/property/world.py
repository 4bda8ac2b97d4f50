"""A model of hub, disk and engine around rows: ``apply`` carries an op out with the exact preconditions of the real
executors, and refuses (``Stale``) what no longer holds. What may never happen, whatever was planned, it asserts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from syncd.model.conflict import is_conflicted_copy
from syncd.model.node import Absent, Fingerprint, Kind, Node, Place, Present, Reason, Tree, Unknown, Version, place_of
from syncd.model.op import Op, OpType
from syncd.model.path import ROOT
from syncd.plan.world import Context, NodePlan
from tests.property.rows import Rows, node_id

__all__ = ["Aside", "Stale", "World", "node_id"]


class Stale(Exception):
    """What the op expected is not there: nothing was changed (P6)."""


@dataclass(frozen=True, slots=True)
class Aside:
    """A conflicted copy that was made: of which node, by which op, of what content (None: a directory), and where."""

    node: int
    type: OpType
    content: bytes | None
    place: Place


def heard_of_copies(rows: Iterable[Node]) -> set[bytes | None]:
    """Return the contents of conflicted copies in sync.

    An edit that the remote already has as a conflicted copy gives way without another one. Where the copy went there
    meanwhile and that is not heard of yet, the content is in the history alone: of the copy, not of what was edited.
    """
    states = [node.synced for node in rows]
    return {s.hash for s in states if isinstance(s, Present) and is_conflicted_copy(s.place.name)}


def nothing_excluded(_tree: Tree, _node: Node) -> bool:
    return False


class World(Rows):
    """R and L are the hub and the disk; S is what the engine records."""

    def __init__(
        self,
        case_sensitive: bool = True,
        executable_bit: bool = True,
        symlinks: bool = True,
        rows: Iterable[Node] = (),
    ) -> None:
        self.case_sensitive, self.executable_bit, self.symlinks = case_sensitive, executable_bit, symlinks
        self.up_to_date = True  # False: what is truly so, of which the device has heard only a part
        self.counter = 1
        self.first_id = 0
        self.device = "laptop"
        self.running: set[int] = set()
        self.excluded: Callable[[Tree, Node], bool] = nothing_excluded
        self.conflicts: list[object] = []
        self.asides: list[Aside] = []
        self.holds: dict[int, str] = {}
        self.hidden: dict[int, Present] = {}
        self._acts = {kind: getattr(self, f"_{kind.value}") for kind in OpType}
        super().__init__(rows)

    def tick(self) -> Version:
        self.counter += 1
        return Version(self.counter, "t")

    def fingerprint(self) -> Fingerprint:
        self.counter += 1
        return Fingerprint(1, self.counter, 0, 0, 0)

    def context(self, device: str | None = None) -> Context:
        return Context(
            device or self.device,
            1_700_000_000.0,
            self.case_sensitive,
            self.executable_bit,
            self.symlinks,
            self.running.__contains__,
            self.excluded,
        )

    # --- recording -----------------------------------------------------------------------------------------------

    def record(self, key: int, found: NodePlan) -> None:
        if found.conflict is not None:
            self.conflicts.append(found.conflict)
        if found.forget:
            node = self.rows[key]
            if not any(self.children(tree, key) for tree in Tree):
                self.drop(key)
            elif not isinstance(node.synced, Absent):
                self.set(key, synced=Absent())
        elif found.hold is not None:
            node = self.rows[key]
            self.holds[key] = found.hold
            if isinstance(node.local, Present):
                self.hidden[key] = node.local
            self.set(key, local=Unknown(Reason.HELD, place_of(node.local), found.hold))
        elif found.release:
            self.holds.pop(key, None)
            local = self.hidden.pop(key, None)
            self.set(key, local=Absent() if local is None else self._after_joins(local))
        elif found.synced is not None:
            node = self.rows[key]
            self.put(Node(key, node.node_id, node.kind, found.synced, node.remote, node.local, node.fingerprint))

    def _after_joins(self, local: Present) -> Present:
        parent = local.place.parent
        while parent in self.merged:
            parent = self.merged[parent]
        return replace(local, place=Place(parent, local.place.name))

    # --- what ops need -------------------------------------------------------------------------------------------

    def apply(self, op: Op) -> None:
        node = self.rows.get(op.node)
        if node is None:
            raise Stale("node")
        self._acts[op.type](op, node)
        if op.conflict is not None:
            self.conflicts.append(op.conflict)

    def _parent(self, tree: Tree, place: Place) -> None:
        parent = self.rows.get(place.parent)
        if parent is None or not isinstance(parent.state(tree), Present):
            raise Stale("no parent")

    def _free(self, tree: Tree, place: Place, but: int = 0) -> None:
        exact = tree is Tree.REMOTE or self.case_sensitive
        for node in (self.at if exact else self.at_folded)(tree, place.parent, place.name):
            if node.id != but:
                raise Stale("name taken")

    def _local_is(self, op: Op, node: Node) -> Present:
        local = node.local
        if not isinstance(local, Present) or local.place != op.source:
            raise Stale("local not there")
        if local.hash != op.expected_hash or node.fingerprint != op.expected:
            raise Stale("local changed")
        if op.expected_executable not in (None, local.executable):
            raise Stale("local marked")
        return local

    def _remote_is(self, op: Op, node: Node) -> Present:
        remote = node.remote
        if not isinstance(remote, Present) or remote.version != op.base:
            raise Stale("remote changed")
        return remote

    def _may_vanish(self, node: Node, content: bytes | None, side: Tree) -> None:
        """P7, P1: what an op takes away was in sync, or stands at the remote."""
        if content is None or (isinstance(node.synced, Present) and node.synced.hash == content):
            return
        if side is Tree.REMOTE:
            remote = node.remote
            version = remote.version if isinstance(remote, Present) else None
            replaced = version is not None and self.superseded(node.id, version)
            assert replaced, f"P7: {content!r} of {node.id} taken away there"
            return
        known = {n.remote.hash for n in self.rows.values() if isinstance(n.remote, Present)}
        if not self.up_to_date:
            known |= heard_of_copies(self.rows.values())
        assert content in known, f"P7: {content!r} of {node.id} was never in sync and is taken away here"

    # --- remote ops ----------------------------------------------------------------------------------------------

    def _upload(self, op: Op, node: Node) -> None:
        local = node.local
        if not isinstance(local, Present) or local.hash != op.expected_hash or node.fingerprint != op.expected:
            raise Stale("local changed")
        if op.source is None:
            self._create_there(op, node)
            return
        if local.place != op.source:
            raise Stale("local elsewhere")
        remote = self._remote_is(op, node)
        self._may_vanish(node, remote.hash, Tree.REMOTE)
        fresh = Present(remote.place, op.hash, op.executable, op.size, op.mtime_ns, self.tick())
        place = node.synced.place if isinstance(node.synced, Present) else fresh.place
        self.put(self._row(node, synced=replace(fresh, place=place), remote=fresh))

    def _remote_mkdir(self, op: Op, node: Node) -> None:
        if not isinstance(node.local, Present) or node.fingerprint != op.expected:
            raise Stale("local changed")
        self._create_there(op, node)

    def _create_there(self, op: Op, node: Node) -> None:
        if not isinstance(node.remote, Absent) or node.remote.version != op.base:
            raise Stale("tombstone")
        if place_of(node.local) != op.place:
            raise Stale("local elsewhere")
        self._parent(Tree.REMOTE, op.place)
        self._free(Tree.REMOTE, op.place)
        fresh = Present(op.place, op.hash, op.executable, op.size, op.mtime_ns, self.tick())
        number = node.node_id or node_id(self.first_id + node.id)
        self.put(Node(node.id, number, node.kind, fresh, fresh, node.local, node.fingerprint))

    def _remote_move(self, op: Op, node: Node) -> None:
        steps = {m.node: (m.base, m.place) for m in op.group} or {op.node: (op.base, op.place)}
        assert len(steps) == max(1, len(op.group)), "a node twice in one group"
        if op.expected is not None:  # the sender looks for it here, under the name it is to have there
            local = node.local
            if not isinstance(local, Present) or local.place != op.place or node.fingerprint is None:
                raise Stale("not here under that name")
            if node.fingerprint.ino != op.expected.ino:
                raise Stale("another one is here")
        for key, (base, place) in steps.items():
            row = self.rows.get(key)
            if row is None or not isinstance(row.remote, Present) or row.remote.version != base:
                raise Stale("base")
            self._parent(Tree.REMOTE, place)
            if any(other.id not in steps for other in self.at(Tree.REMOTE, place.parent, place.name)):
                raise Stale("name taken")
        if len({place for _, place in steps.values()}) != len(steps):
            raise Stale("one name twice")
        for key, (_, place) in steps.items():
            at, count = place.parent, 0
            while at != ROOT:
                count += 1
                if at == key or count > len(self.rows):
                    raise Stale("into itself")
                above = steps[at][1] if at in steps else place_of(self.rows[at].remote)
                at = ROOT if above is None else above.parent
        version = self.tick()
        for key, (_, place) in steps.items():
            row = self.rows[key]
            assert isinstance(row.remote, Present)
            synced = row.synced
            if isinstance(synced, Present):
                synced = replace(synced, place=place, version=version)
            self.put(self._row(row, synced=synced, remote=replace(row.remote, place=place, version=version)))

    def _remote_chmod(self, op: Op, node: Node) -> None:
        self._local_is(op, node)
        fresh = replace(self._remote_is(op, node), executable=op.executable, version=self.tick())
        assert isinstance(node.synced, Present)
        synced = replace(node.synced, executable=op.executable, version=fresh.version)
        self.put(self._row(node, synced=synced, remote=fresh))

    def _remote_delete(self, op: Op, node: Node) -> None:
        remote = self._remote_is(op, node)
        if not isinstance(node.local, Absent):
            raise Stale("local is back")
        if self.children(Tree.REMOTE, node.id):
            raise Stale("not empty")
        self._may_vanish(node, remote.hash, Tree.REMOTE)
        if node.kind is not Kind.DIRECTORY:
            synced = node.synced
            assert isinstance(synced, Present), "P7: deleted what was never in sync"
            assert synced.place == remote.place, f"P7: {node.id} was moved there, and is deleted there"
            assert synced.executable == remote.executable, f"P7: {node.id} was changed there, and is deleted there"
        self.put(self._row(node, synced=Absent(), remote=Absent(self.tick())))

    # --- local ops -----------------------------------------------------------------------------------------------

    def _row(self, node: Node, **states: object) -> Node:
        return Node(
            node.id,
            node.node_id,
            node.kind,
            states.get("synced", node.synced),  # type: ignore[arg-type]
            states.get("remote", node.remote),  # type: ignore[arg-type]
            states.get("local", node.local),  # type: ignore[arg-type]
            states.get("fingerprint", node.fingerprint),  # type: ignore[arg-type]
        )

    def _download(self, op: Op, node: Node) -> None:
        if op.source is not None:
            local = self._local_is(op, node)
            if op.type is OpType.DOWNLOAD:
                self._may_vanish(node, local.hash, Tree.LOCAL)
        else:
            if not isinstance(node.local, Absent):
                raise Stale("local is there")
            self._parent(Tree.LOCAL, op.place)
            self._free(Tree.LOCAL, op.place)
        place = node.synced.place if isinstance(node.synced, Present) and op.source is not None else op.place
        synced = Present(place, op.hash, op.executable, op.size, op.mtime_ns, op.base, op.manifest)
        here = Present(op.place, op.hash, op.executable, op.size, op.mtime_ns)
        self.put(self._row(node, synced=synced, local=here, fingerprint=self.fingerprint()))

    _local_mkdir = _download

    def _conflict(self, op: Op, node: Node) -> None:
        local = self._local_is(op, node)
        assert op.aside is not None
        aside = Place(op.place.parent, op.aside)
        self._free(Tree.LOCAL, aside)
        self._download(op, node)
        copy = replace(local, place=aside)
        self.put(Node(self.new_key(), None, node.kind, local=copy, fingerprint=node.fingerprint))
        self.asides.append(Aside(node.id, op.type, local.hash, aside))

    def _set_aside(self, op: Op, node: Node) -> None:
        if isinstance(node.local, Unknown):  # a leftover
            if node.local.place != op.source:
                raise Stale("the leftover is elsewhere")
            self._free(Tree.LOCAL, op.place, node.id)
            self.put(self._row(node, local=replace(node.local, place=op.place)))
            return
        local = self._local_is(op, node)
        assert op.place.parent == local.place.parent, "set aside elsewhere"
        self._free(Tree.LOCAL, op.place, node.id)
        self.put(self._row(node, local=replace(local, place=op.place)))
        self.asides.append(Aside(node.id, op.type, local.hash, op.place))

    def _local_move(self, op: Op, node: Node) -> None:
        local = self._local_is(op, node)
        self._parent(Tree.LOCAL, op.place)
        self._free(Tree.LOCAL, op.place, node.id)
        if self.into_itself(op):
            raise Stale("into itself")
        self._moved_here(node, local, op.place)

    def into_itself(self, op: Op) -> bool:
        """Return whether a move or exchange would take a directory below itself: the system refuses both alike."""
        back = op.type is OpType.LOCAL_SWAP and op.partner is not None and op.source is not None
        return self.below(Tree.LOCAL, op.node, op.place.parent) or (
            back and self.below(Tree.LOCAL, op.partner, op.source.parent)
        )

    def _moved_here(self, node: Node, local: Present, place: Place) -> None:
        synced = replace(node.synced, place=place) if isinstance(node.synced, Present) else node.synced
        self.put(self._row(node, synced=synced, local=replace(local, place=place)))

    def _local_swap(self, op: Op, node: Node) -> None:
        local = self._local_is(op, node)
        assert op.partner is not None
        assert op.source is not None
        partner = self.rows.get(op.partner)
        if partner is None or not isinstance(partner.local, Present) or partner.local.place != op.place:
            raise Stale("partner elsewhere")
        if partner.fingerprint != op.partner_expected:
            raise Stale("partner changed")
        if self.into_itself(op):
            raise Stale("into itself")
        self._moved_here(node, local, op.place)
        self._moved_here(partner, partner.local, op.source)

    def _local_chmod(self, op: Op, node: Node) -> None:
        local = self._local_is(op, node)
        synced = replace(node.synced, executable=op.executable) if isinstance(node.synced, Present) else node.synced
        self.put(self._row(node, synced=synced, local=replace(local, executable=op.executable)))

    def _local_delete(self, op: Op, node: Node) -> None:
        local = self._local_is(op, node)
        self._may_vanish(node, local.hash, Tree.LOCAL)
        rest = self.children(Tree.LOCAL, node.id)
        if any(isinstance(child.local, Present) for child in rest):
            raise Stale("not empty")
        if rest:  # only what is not known is left in it: it stays, unsynced, until something else appears in it
            left = Unknown(Reason.LEFTOVER, local.place)
            self.put(self._row(node, synced=Absent(), local=left))
            return
        if node.kind is not Kind.DIRECTORY and isinstance(node.synced, Present) and isinstance(node.remote, Absent):
            assert node.synced.place == local.place, f"P7: {node.id} was moved here, and is deleted here"
            same = node.synced.executable == local.executable or not self.executable_bit
            assert same, f"P7: a bit of {node.id} was changed here, and it is deleted here"
        self.put(self._row(node, synced=Absent(), local=Absent()))
