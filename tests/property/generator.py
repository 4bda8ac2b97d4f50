"""What people do to one side of a world, as numbers: a step says the same on every tree it is taken on, so that steps
can be dropped one by one (shrinking) and any choice of numbers is a valid story (Hypothesis).

A handful of names and an inclination towards the oldest nodes make both sides meet.
"""

from collections.abc import Callable

from syncd.model.conflict import conflicted_name
from syncd.model.node import Absent, Kind, Node, Place, Present, Tree, place_of
from syncd.model.path import ROOT
from tests.property.rows import node_id
from tests.property.world import World

Step = int
"""Six bits of what is done, then three bytes of how."""

STEP_BITS = 30
NAMES = ("a", "b", "c", "d")
TWINS = ("a", "A", "b", "\u00e9", "e\u0301", "\u00c9", "B", "c")
FAULTY = (".Syncd", "..")
KINDS = (Kind.FILE,) * 7 + (Kind.DIRECTORY,) * 6 + (Kind.SYMLINK,) * 3
POOL = (b"same", b"", b"other")
"""Contents that anybody may write at any time; all others are written once."""

WEIGHTS: dict[str, int] = {
    "create": 8,
    "edit": 6,
    "chmod": 4,
    "rework": 7,
    "settle": 3,
    "delete": 6,
    "move": 12,
    "swap": 3,
    "turn": 2,
    "change_kind": 2,
    "wrap": 2,
    "unwrap": 2,
    "invert": 2,
    "deepen": 1,
    "copy_name": 2,
    "twin": 2,
}
BUILDS = ("create", "deepen", "copy_name")
"""What is done to a base; of all other acts nothing but a new node comes there."""

ACTS = tuple(name for name, weight in WEIGHTS.items() for _ in range(weight))


# How ``_settle`` is told what to do with each field, here and there: every way in which two sides can meet.
_PLACES = ((0, 0), (4, 0), (0, 4), (4, 4), (4, 6), (7, 0), (0, 7), (4, 4))
_CONTENTS = ((3, 3), (0, 0), (3, 6), (3, 0), (0, 3), (3, 3), (0, 0), (3, 6))
_BITS = ((0, 0), (1, 0), (0, 1), (1, 1))


def meeting(bits: int) -> tuple[Step, Step]:
    """Return a step here and one there that change the oldest node, by eleven bits of choices."""
    place, content, bit = _PLACES[bits & 7], _CONTENTS[bits >> 3 & 7], _BITS[bits >> 6 & 3]
    here, there = (
        ACTS.index("settle") | (place[side] << 3 | bit[side] << 2) << 14 | content[side] << 22 for side in (0, 1)
    )
    return here | (bits >> 8 & 1) << 26, there


def step_of(act: int, a: int = 0, b: int = 0, c: int = 0) -> Step:
    """Return the step of one act (an index into ``WEIGHTS``) with three bytes of choices."""
    return ACTS.index(tuple(WEIGHTS)[act]) | a << 6 | b << 14 | c << 22


def act_of(step: Step) -> tuple[str, int, int, int]:
    return ACTS[step & 63], step >> 6 & 255, step >> 14 & 255, step >> 22 & 255


class Editor:
    """Edits one tree of a world as a person on that side would; on S it grows the base, the same on all trees."""

    def __init__(self, world: World, tree: Tree, loses_identity: bool = False) -> None:
        self.world, self.tree = world, tree
        self.twins = not world.case_sensitive
        self.names = TWINS if self.twins and tree is not Tree.SYNCED else NAMES
        self.loses_identity = loses_identity and tree is Tree.LOCAL
        self.prefix = tree.value

    def step(self, step: Step) -> None:
        acts = _GROWS if self.tree is Tree.SYNCED else _DOES
        acts[step & 63](self, step >> 6 & 255, step >> 14 & 255, step >> 22 & 255)

    # --- looking -------------------------------------------------------------------------------------------------

    def _nodes(self) -> list[Node]:
        tree = self.tree
        return [n for n in self.world.rows.values() if isinstance(n.state(tree), Present) and n.id != ROOT]

    def _pick(self, a: int) -> Node | None:
        nodes = self._nodes()
        if not nodes:
            return None
        return nodes[a % len(nodes)] if a >= 112 else nodes[a % min(2, len(nodes))]

    def _directory(self, b: int) -> int:
        found = [n.id for n in self.world.rows.values() if n.kind is Kind.DIRECTORY]
        found = [key for key in found if isinstance(self.world.rows[key].state(self.tree), Present)]
        return found[b % len(found)]

    def _name(self, c: int) -> str:
        if self.twins and self.tree is Tree.REMOTE and c > 245:
            return FAULTY[c & 1]
        return self.names[c % len(self.names)]

    def _is_free(self, place: Place) -> bool:
        exact = self.world.case_sensitive or self.tree is Tree.REMOTE
        return not (self.world.at if exact else self.world.at_folded)(self.tree, place.parent, place.name)

    def _present(self, node: Node) -> Present:
        state = node.state(self.tree)
        assert isinstance(state, Present)
        return state

    # --- writing -------------------------------------------------------------------------------------------------

    def _write(self, node: Node, state: Present | Absent, content: bool = False) -> None:
        world = self.world
        if self.tree is Tree.LOCAL:
            fingerprint = world.fingerprint() if content or node.fingerprint is None else node.fingerprint
            world.put(Node(node.id, node.node_id, node.kind, node.synced, node.remote, state, fingerprint))
            return
        version = world.tick()
        if isinstance(state, Present):
            there: Present | Absent = Present(
                state.place, state.hash, state.executable, state.size, state.mtime_ns, version
            )
        else:
            there = Absent(version)
        if self.tree is Tree.REMOTE:
            world.put(Node(node.id, node.node_id, node.kind, node.synced, there, node.local, node.fingerprint))
        else:
            world.put(Node(node.id, node.node_id, node.kind, there, there, state, world.fingerprint()))

    def content(self, b: int) -> bytes:
        if b < 80:
            return POOL[b % 3]
        self.world.counter += 1
        return b"%s%d" % (self.prefix.encode(), self.world.counter)

    def _new(self, kind: Kind, place: Place, content: bytes | None, executable: bool = False) -> int | None:
        if not self._is_free(place):
            return None
        world = self.world
        key = world.new_key()
        data = None if kind is Kind.DIRECTORY else content
        number = None if self.tree is Tree.LOCAL else node_id(world.first_id + key * 7919 % 10007)
        executable = executable and kind is Kind.FILE and (world.executable_bit or self.tree is not Tree.LOCAL)
        self._write(Node(key, number, kind), Present(place, data, executable, len(data or b"")), content=True)
        return key

    def _remove(self, node: Node) -> None:
        for child in self.world.children(self.tree, node.id):
            if isinstance(child.state(self.tree), Present):
                self._remove(child)
        self._write(self.world.rows[node.id], Absent())

    def _put_at(self, node: Node, place: Place) -> None:
        state = self._present(node)
        moved = Present(place, state.hash, state.executable, state.size, state.mtime_ns)
        self._write(self.world.rows[node.id], moved)

    # --- acts ----------------------------------------------------------------------------------------------------

    def _create(self, a: int, b: int, c: int) -> None:
        place = Place(self._directory(b), self._name(c))
        self._new(KINDS[a & 15], place, self.content(b if a & 64 else 255), c & 7 == 7)

    def _edit(self, a: int, b: int, c: int) -> None:
        node = self._pick(a)
        if node is not None and node.kind is not Kind.DIRECTORY:
            state = self._present(node)
            data = self.content(b)
            if self.loses_identity and c & 16:  # saved in a way that made a new file of it, perhaps the same
                self._write(node, Absent())
                self._new(node.kind, state.place, state.hash if c & 32 else data, state.executable)
                return
            self._write(node, Present(state.place, data, state.executable, len(data), self.world.counter), True)

    def _chmod(self, a: int, b: int, c: int) -> None:
        node = self._pick(a)
        if node is not None and node.kind is Kind.FILE and (self.world.executable_bit or self.tree is not Tree.LOCAL):
            state = self._present(node)
            self._write(node, Present(state.place, state.hash, not state.executable, state.size, state.mtime_ns))

    def _rework(self, a: int, b: int, c: int) -> None:
        """Any of move, edit and chmod, on one node."""
        if b & 1:
            self._edit(a, c, c)
        if b & 2:
            self._chmod(a, b, c)
        if b & 4 or b & 3 == 0:
            self._move(a, b >> 4, c)

    def _delete(self, a: int, b: int, c: int) -> None:
        node = self._pick(a)
        if node is not None:
            self._remove(node)

    def _move(self, a: int, b: int, c: int) -> None:
        node = self._pick(a)
        if node is None:
            return
        old = self._present(node).place
        place = Place(old.parent if b & 3 == 3 else self._directory(b >> 2), self._name(c))
        if self.world.below(self.tree, node.id, place.parent):
            return
        if self._is_free(place):
            self._relocate(node, place, bool(c & 16))
        elif self.twins and place.name != old.name:
            others = self.world.at_folded(self.tree, place.parent, place.name)
            if [n.id for n in others] == [node.id]:
                self._put_at(node, place)

    def _relocate(self, node: Node, place: Place, unnoticed: bool) -> None:
        if not (self.loses_identity and unnoticed):
            self._put_at(node, place)
            return
        # A rename that was not recognised as one: a delete and a create of the same content.
        state = self._present(node)
        self._write(node, Absent())
        made = self._new(node.kind, place, state.hash, state.executable)
        assert made is not None
        for child in self.world.children(self.tree, node.id):
            self._put_at(child, Place(made, self._present(child).place.name))

    def _settle(self, a: int, b: int, c: int) -> None:
        """Give the oldest node one of few contents, bits and places: both sides meet in every cell of the table."""
        node = next(iter(self._nodes()), None)
        if node is None:
            return
        if b >> 3 & 7 == 7:
            self._remove(node)
            return
        state = self._present(node)
        if node.kind is not Kind.DIRECTORY:
            data = state.hash if c & 7 < 3 else POOL[0] if c & 7 < 6 else self.content(255)
            bit = state.executable
            if b & 4 and node.kind is Kind.FILE and (self.world.executable_bit or self.tree is not Tree.LOCAL):
                bit = not bit
            fresh = Present(state.place, data, bit, len(data or b""), self.world.counter)
            self._write(node, fresh, data != state.hash)
        if b >> 3 & 7 > 3:
            place = Place(ROOT, "n" if b >> 3 & 7 > 5 else "m")
            if self._is_free(place):
                self._relocate(self.world.rows[node.id], place, bool(c & 16))

    def _rotate(self, ring: list[Node]) -> None:
        places = [self._present(n).place for n in ring]
        if any(self.world.below(self.tree, node.id, place.parent) for node in ring for place in places):
            return
        for node, place in zip(ring, places[1:] + places[:1], strict=True):
            self._put_at(node, place)

    def _swap(self, a: int, b: int, c: int) -> None:
        self._ring(a, 2)

    def _turn(self, a: int, b: int, c: int) -> None:
        self._ring(a, 3 + (c & 1))

    def _ring(self, a: int, count: int) -> None:
        nodes = self._nodes()
        if len(nodes) >= count:
            self._rotate([nodes[(a + number) % len(nodes)] for number in range(count)])

    def _change_kind(self, a: int, b: int, c: int) -> None:
        node = self._pick(a)
        if node is not None:
            place = self._present(node).place
            self._remove(node)
            kind = [k for k in (Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK) if k is not node.kind][c & 1]
            self._new(kind, place, self.content(b))

    def _wrap(self, a: int, b: int, c: int) -> None:
        """x becomes x/y: a new directory takes the name, what had it goes inside."""
        node = self._pick(a)
        if node is not None:
            place = self._present(node).place
            self._put_at(node, Place(self.world.last_key + 1, self._name(c % 240)))
            if self._new(Kind.DIRECTORY, place, None) is None:
                self._put_at(node, place)

    def _unwrap(self, a: int, b: int, c: int) -> None:
        """x/y becomes x: the directory goes, with all else in it, and y takes its name."""
        inner = [n for n in self._nodes() if self._present(n).place.parent != ROOT]
        if inner:
            node = inner[a % len(inner)]
            outer = self.world.rows[self._present(node).place.parent]
            place = self._present(outer).place
            self._put_at(node, place)
            self._remove(outer)

    def _invert(self, a: int, b: int, c: int) -> None:
        """x/y becomes y, under the name of x, with x inside it."""
        inner = [n for n in self._nodes() if n.kind is Kind.DIRECTORY and self._present(n).place.parent != ROOT]
        if inner:
            node = inner[a % len(inner)]
            outer = self.world.rows[self._present(node).place.parent]
            top, low = self._present(outer).place, self._present(node).place
            place = Place(node.id, low.name if b & 1 else self._name(c % 240))
            if self._is_free(place):
                self._put_at(node, top)
                self._put_at(outer, place)

    def _deepen(self, a: int, b: int, c: int) -> None:
        """A chain of directories with a file at its end, or something old moved to there."""
        parent: int = self._directory(b)
        for number in range(2 + a % 5):
            made = self._new(Kind.DIRECTORY, Place(parent, self.names[(c + number) % 4]), None)
            if made is None:
                return
            parent = made
        node = self._pick(c)
        if a & 16 and node is not None and not self.world.below(self.tree, node.id, parent):
            self._put_at(node, Place(parent, "x"))
        else:
            self._new(Kind.FILE, Place(parent, "x"), self.content(255))

    def _copy_name(self, a: int, b: int, c: int) -> None:
        """Make, or rename something to, the conflicted copy of a neighbour."""
        node = self._pick(a)
        if node is not None:
            place = self._present(node).place
            at = (1_600_000_000.0, 1_700_000_000.0)[c & 1]
            copy = Place(
                place.parent, conflicted_name(place.name, "laptop" if c & 2 else "elsewhere", at, 1 + (c >> 6))
            )
            if self._is_free(copy):
                if c & 4:
                    self._put_at(node, copy)
                else:
                    self._new(node.kind, copy, self.content(b))

    def _twin(self, a: int, b: int, c: int) -> None:
        """Make, or rename something to, a twin of a neighbour in case or normal form."""
        node = self._pick(a)
        if node is not None:
            place = self._present(node).place
            name = place.name.swapcase() if c & 1 else place.name + ("\u00e9" if c & 2 else "e\u0301")
            if self._is_free(Place(place.parent, name)):
                if c & 4:
                    self._put_at(node, Place(place.parent, name))
                else:
                    self._new(node.kind, Place(place.parent, name), self.content(b))


_Act = Callable[[Editor, int, int, int], None]
_DOES: tuple[_Act, ...] = tuple(getattr(Editor, f"_{name}") for name in ACTS)
_GROWS: tuple[_Act, ...] = tuple(getattr(Editor, f"_{name if name in BUILDS else 'create'}") for name in ACTS)


def forget_synced(world: World) -> None:
    """Lose S (a rebuild): remote rows have nothing here, local rows are new, and both must meet again by place."""
    old = [n for n in world.rows.values() if n.id != ROOT]
    keys = {ROOT: ROOT}
    for node in old:
        if isinstance(node.local, Present):
            keys[node.id] = world.new_key()
    for node in old:
        world.put(Node(node.id, node.node_id, node.kind, Absent(), node.remote, Absent()))
    for node in old:
        local = node.local
        if isinstance(local, Present):
            place = Place(keys[local.place.parent], local.place.name)
            here = Present(place, local.hash, local.executable, local.size, local.mtime_ns)
            world.put(Node(keys[node.id], None, node.kind, local=here, fingerprint=node.fingerprint))


def forget_history(world: World, bits: int) -> None:
    """The remote's history changed: S is empty in rows that keep their ids; some versions this device had replaced."""
    for number, node in enumerate(list(world.rows.values())):
        if node.id != ROOT:
            if isinstance(node.remote, Present) and node.remote.version and isinstance(node.synced, Present):
                same = node.remote.version == node.synced.version
                if same and bits >> number % 30 & 1:
                    world.old_versions.add((node.id, node.remote.version))
            world.put(Node(node.id, node.node_id, node.kind, Absent(), node.remote, node.local, node.fingerprint))


def describe(step: Step, tree: Tree) -> str:
    """Say a step in words."""
    act, a, b, c = act_of(step)
    act = act if tree is not Tree.SYNCED or act in BUILDS else "create"
    side = {Tree.SYNCED: "at first", Tree.REMOTE: "there", Tree.LOCAL: "here"}[tree]
    return f"{side}: {act.replace('_', ' ')} ({a}, {b}, {c})"


__all__ = ["ACTS", "STEP_BITS", "WEIGHTS", "Editor", "Step", "describe", "forget_history", "forget_synced", "place_of"]
