"""Seeded random edits on one side of a world: what people do to a tree, in a handful of names so that they collide."""

import random
from dataclasses import replace

from syncd.model.node import Absent, Kind, Node, Place, Present, Tree, Version, place_of
from syncd.model.path import ROOT
from tests.property.world import World, node_id

NAMES = ("a", "b", "c", "d")
TWINS = ("a", "A", "b", "B", "c")


class Editor:
    """Edits one tree of a world as a person on that side would. *written* are the contents this person made."""

    def __init__(self, world: World, tree: Tree, chance: random.Random) -> None:
        self.world, self.tree, self.chance = world, tree, chance
        self.names = NAMES if world.case_sensitive or tree is Tree.SYNCED else TWINS
        self.lose_identity = tree is Tree.LOCAL and chance.random() < 0.2

    # --- looking ---------------------------------------------------------------------------------------------

    def nodes(self, kind: Kind | None = None) -> list[Node]:
        return [
            n
            for n in self.world.rows.values()
            if n.id != ROOT and isinstance(n.state(self.tree), Present) and (kind is None or n.kind is kind)
        ]

    def directories(self) -> list[int]:
        return [ROOT] + [n.id for n in self.nodes(Kind.DIRECTORY)]

    def free(self, parent: int, name: str) -> bool:
        exact = self.world.case_sensitive or self.tree is Tree.REMOTE
        return not (self.world.at if exact else self.world.at_folded)(self.tree, parent, name)

    def below(self, key: int, parent: int) -> bool:
        while parent != ROOT:
            if parent == key:
                return True
            parent = place_of(self.world.rows[parent].state(self.tree)).parent
        return False

    # --- writing ---------------------------------------------------------------------------------------------

    def write(self, node: Node, state: Present | Absent, content: bool = False) -> None:
        world = self.world
        if self.tree is Tree.REMOTE:
            version = world.tick()
            world.put(replace(node, remote=replace(state, version=version)))
        elif self.tree is Tree.SYNCED:
            state = replace(state, version=world.tick())
            world.put(replace(node, synced=state, remote=state, local=replace(state, version=None)))
        else:
            fingerprint = world.fingerprint() if content or node.fingerprint is None else node.fingerprint
            world.put(replace(node, local=state, fingerprint=fingerprint))

    def content(self) -> bytes:
        self.world.counter += 1
        return b"%s%d" % (self.tree.value.encode(), self.world.counter)

    def create(self, kind: Kind | None = None, place: Place | None = None, content: bytes | None = None) -> None:
        kind = kind or self.chance.choice((Kind.FILE, Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK))
        place = place or Place(self.chance.choice(self.directories()), self.chance.choice(self.names))
        if not self.free(place.parent, place.name):
            return
        key = self.world.new_key()
        same = self.chance.random() < 0.15
        data = None if kind is Kind.DIRECTORY else content or (b"same" if same else self.content())
        fingerprint = self.world.fingerprint() if self.tree is Tree.SYNCED else None
        node = Node(
            key, None if self.tree is Tree.LOCAL else node_id(self.shuffled_id(key)), kind, fingerprint=fingerprint
        )
        executable = kind is Kind.FILE and self.chance.random() < 0.2
        self.write(node, Present(place, data, executable, 1), content=True)

    def shuffled_id(self, key: int) -> int:
        return key * 7919 % 10007

    def edit(self) -> None:
        if files := [n for n in self.nodes() if n.kind is not Kind.DIRECTORY]:
            node = self.chance.choice(files)
            state = node.state(self.tree)
            if node.kind is Kind.FILE and self.chance.random() < 0.2:
                self.write(node, replace(state, executable=not state.executable))
            else:
                self.write(node, replace(state, hash=self.content(), mtime_ns=self.world.counter), content=True)

    def remove(self, node: Node) -> None:
        for child in list(self.world.children(self.tree, node.id)):
            self.remove(child)
        self.write(self.world.rows[node.id], Absent())

    def delete(self) -> None:
        if nodes := self.nodes():
            self.remove(self.chance.choice(nodes))

    def place(self, node: Node, place: Place) -> None:
        state = self.world.rows[node.id].state(self.tree)
        if self.lose_identity and node.kind is not Kind.DIRECTORY and self.chance.random() < 0.5:
            # A rename that was not recognised as one: a delete and a create of the same content.
            self.write(self.world.rows[node.id], Absent())
            self.create(node.kind, place, state.hash)
            return
        self.write(self.world.rows[node.id], replace(state, place=place))

    def move(self) -> None:
        if not (nodes := self.nodes()):
            return
        node = self.chance.choice(nodes)
        parent, name = self.chance.choice(self.directories()), self.chance.choice(self.names)
        old = place_of(node.state(self.tree))
        if self.chance.random() < 0.3:
            parent = old.parent
        twins = self.world.at_folded(self.tree, parent, name)
        case_only = not self.world.case_sensitive and [n.id for n in twins] == [node.id] and name != old.name
        if (self.free(parent, name) or case_only) and not self.below(node.id, parent):
            self.place(node, Place(parent, name))

    def rotate(self, count: int) -> None:
        nodes = self.nodes()
        if len(nodes) < count:
            return
        ring = self.chance.sample(nodes, count)
        places = [place_of(n.state(self.tree)) for n in ring]
        if any(self.below(a.id, p.parent) for a in ring for p in places):
            return
        for node, place in zip(ring, places[1:] + places[:1], strict=True):
            state = self.world.rows[node.id].state(self.tree)
            self.write(self.world.rows[node.id], replace(state, place=place))

    def change_kind(self) -> None:
        if nodes := self.nodes():
            node = self.chance.choice(nodes)
            place = place_of(node.state(self.tree))
            self.remove(node)
            self.create(self.chance.choice([k for k in Kind if k is not node.kind]), place)

    def wrap(self) -> None:
        """x becomes x/y: a new directory takes the name, what had it goes inside."""
        if nodes := self.nodes():
            node = self.chance.choice(nodes)
            place = place_of(node.state(self.tree))
            key = self.world.new_key() + 1  # the one that create takes next
            inside = Place(key, self.chance.choice(self.names))
            self.write(node, replace(node.state(self.tree), place=inside))
            self.create(Kind.DIRECTORY, place)

    def unwrap(self) -> None:
        """x/y becomes x: the directory goes, with all else in it, and y takes its name."""
        inner = [n for n in self.nodes() if place_of(n.state(self.tree)).parent != ROOT]
        if inner:
            node = self.chance.choice(inner)
            outer = self.world.rows[place_of(node.state(self.tree)).parent]
            place = place_of(outer.state(self.tree))
            self.write(node, replace(node.state(self.tree), place=place))
            self.remove(outer)

    def invert(self) -> None:
        """x/y becomes y-as-x with x inside it."""
        inner = [n for n in self.nodes(Kind.DIRECTORY) if place_of(n.state(self.tree)).parent != ROOT]
        if inner:
            node = self.chance.choice(inner)
            outer = self.world.rows[place_of(node.state(self.tree)).parent]
            top, low = place_of(outer.state(self.tree)), place_of(node.state(self.tree))
            name = self.chance.choice((low.name, self.chance.choice(self.names)))
            if self.free(node.id, name):
                self.write(node, replace(node.state(self.tree), place=top))
                self.write(outer, replace(outer.state(self.tree), place=Place(node.id, name)))

    def step(self) -> None:
        act = self.chance.choices(
            (
                self.create,
                self.edit,
                self.delete,
                self.move,
                lambda: self.rotate(2),
                lambda: self.rotate(3),
                self.change_kind,
                self.wrap,
                self.unwrap,
                self.invert,
            ),
            (4, 4, 3, 7, 2, 1, 1, 1, 1, 1),
        )[0]
        act()


def grow(chance: random.Random, size: int, **traits: bool) -> World:
    """Return a world in sync of about *size* nodes."""
    world = World(**traits)
    editor = Editor(world, Tree.SYNCED, chance)
    for _ in range(size):
        editor.create()
    return world


def forget_synced(world: World, chance: random.Random) -> None:
    """Lose S (a rebuild): remote rows have nothing here, local rows are new, and both must meet again by place."""
    for node in list(world.rows.values()):
        if node.id == ROOT:
            continue
        world.set(node.id, synced=Absent())
    keys = {ROOT: ROOT}
    old = [n for n in world.rows.values() if n.id != ROOT and isinstance(n.local, Present)]
    for number, node in enumerate(old, world.new_key()):
        keys[node.id] = number
    for node in old:
        place = node.local.place
        local = replace(node.local, place=Place(keys[place.parent], place.name))
        world.put(Node(keys[node.id], None, node.kind, local=local, fingerprint=node.fingerprint))
        world.set(node.id, local=Absent(), fingerprint=None)


__all__ = ["Editor", "Version", "forget_synced", "grow"]
