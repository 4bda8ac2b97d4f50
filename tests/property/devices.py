"""Two devices on one hub: each plans from what it last pulled, people edit on both, and nobody waits for anybody."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from syncd.model.node import Absent, Kind, Node, Place, Present, State, Tree, Version
from syncd.model.op import Op, OpType, Side
from syncd.model.path import ROOT
from syncd.plan.planner import plan
from tests.property.generator import STEP_BITS, Editor
from tests.property.settling import NotSettled, join_all
from tests.property.world import Stale, World


@dataclass(frozen=True)
class HubNode:
    kind: Kind
    parent: bytes
    state: State  # its place's parent is meaningless; ``parent`` counts


@dataclass
class Hub:
    nodes: dict[bytes, HubNode] = field(default_factory=dict)
    ever: set[bytes] = field(default_factory=set)
    position: int = 1000

    def tick(self) -> Version:
        self.position += 1
        return Version(self.position, f"h{self.position}")


class Device:
    """A world whose R is pulled from the hub, and pushed to it by its own ops."""

    def __init__(self, hub: Hub, number: int, world: World, chance: random.Random) -> None:
        self.hub, self.world, self.chance = hub, world, chance
        world.first_id, world.device = number * 1_000_000, f"pc{number}"
        world.counter = number * 1_000_000
        world.tick = hub.tick  # type: ignore[method-assign]
        self.editor = Editor(world, Tree.LOCAL, chance.random() < 0.1)
        self.editor.content = self.content  # type: ignore[method-assign]

    def content(self, b: int) -> bytes:
        self.world.counter += 1
        return f"{self.world.device}-{self.world.counter}".encode()

    # --- the hub -------------------------------------------------------------------------------------------

    def keys(self) -> dict[bytes, int]:
        return {n.node_id: n.id for n in self.world.rows.values() if n.node_id is not None}

    def pull(self) -> None:
        keys = self.keys()
        for there, found in self.hub.nodes.items():
            if there not in keys and not isinstance(found.state, Absent):
                key = keys[there] = self.world.new_key()
                self.world.put(Node(key, there, found.kind))
        for there, found in self.hub.nodes.items():
            if there not in keys:
                continue
            state = found.state
            if isinstance(state, Present):
                state = replace(state, place=Place(keys[found.parent], state.place.name))
            if self.world.rows[keys[there]].remote != state:
                self.world.set(keys[there], remote=state)

    def push(self) -> None:
        for node in self.world.rows.values():
            if node.id == ROOT or node.node_id is None:
                continue
            old = self.hub.nodes.get(node.node_id)
            if isinstance(node.remote, Present):
                parent = self.world.rows[node.remote.place.parent].node_id
                assert parent is not None
                self.hub.nodes[node.node_id] = HubNode(node.kind, parent, node.remote)
                if node.remote.hash is not None:
                    self.hub.ever.add(node.remote.hash)
            elif old is not None and node.remote != old.state:
                self.hub.nodes[node.node_id] = replace(old, state=node.remote)

    # --- work ----------------------------------------------------------------------------------------------

    def work(self, trace: Callable[[str], None]) -> bool:
        """Plan everything from what was last pulled and carry some of it out; False when there was nothing to do."""
        world = self.world
        join_all(world, list(world.rows))
        ops: list[Op] = []
        busy = False
        for key in list(world.rows):
            found = plan(world, key, world.context())
            if found.op is not None:
                ops.append(found.op)
            if found.synced is not None or found.forget:
                busy = True
                world.record(key, found)
        ready = [op for op in ops if not op.waits]
        self.chance.shuffle(ready)
        for op in ready[: self.chance.randint(1, 5)]:
            try:
                self.apply(op)
                trace(f"{world.device}: {op}")
            except Stale as why:
                trace(f"{world.device}: stale ({why}) {op}")
        return busy or bool(ops)

    def apply(self, op: Op) -> None:
        if op.side is Side.REMOTE:
            self.pull()  # the hub judges by what it has now, not by what this device believes
        displaced = self.displaced(op)
        self.world.apply(op)
        assert displaced is None or displaced in self.hub.ever, f"P1: {displaced!r} was never on the hub: {op}"
        if op.side is Side.REMOTE:
            self.push()

    def displaced(self, op: Op) -> bytes | None:
        """Return the local content this op would throw out."""
        if op.type is OpType.LOCAL_DELETE or (op.type is OpType.DOWNLOAD and op.source is not None):
            return op.expected_hash
        return None


def play(seed: int, trace: Callable[[str], None] = lambda line: None) -> None:
    chance = random.Random(seed)
    base = World()
    grower = Editor(base, Tree.SYNCED)
    for _ in range(chance.randint(1, 8)):
        grower.step(chance.getrandbits(STEP_BITS))
    hub = Hub()
    devices = []
    for number in (1, 2):
        world = World(rows=base.rows.values())
        devices.append(Device(hub, number, world, chance))
    devices[0].push()
    written: set[bytes] = set()
    editing = chance.choice(((0, 1), (0, 1), (0, 1), (0,)))
    for number in range(chance.randint(1, 3)):
        for index in editing:
            for _ in range(chance.randint(0, 3)):
                devices[index].editor.step(chance.getrandbits(STEP_BITS))
        for device in devices:
            for node in device.world.rows.values():
                trace(f"round {number} {device.world.device}: {node}")
        for _ in range(chance.randint(0, 8)):
            device = chance.choice(devices)
            if chance.random() < 0.4:
                device.pull()
            else:
                device.work(trace)
    for device in devices:
        written |= {n.local.hash for n in device.world.rows.values() if isinstance(n.local, Present) and n.local.hash}
    for _ in range(400):
        quiet = True
        for device in chance.sample(devices, 2):
            if chance.random() < 0.7:
                device.pull()
                quiet = not device.work(trace) and quiet
            else:
                device.work(trace)
                quiet = False
        if quiet:
            break
    else:
        raise NotSettled("the devices never come to rest")
    here, there = (d.world.tree(Tree.LOCAL) for d in devices)
    assert here == there, "P2: the devices differ"
    for device in devices:
        assert device.world.tree(Tree.REMOTE) == here, "P2: the hub differs"
        assert len(device.world.rows) == len(here) + 1, "P2: rows are left"
    contents = {value[1] for value in here.values()}
    lost = written - hub.ever - contents
    assert not lost, f"P1: lost {lost}"
    if editing == (0,):
        for device in devices:
            assert not device.world.conflicts, f"a conflict with one device editing: {device.world.conflicts}"
