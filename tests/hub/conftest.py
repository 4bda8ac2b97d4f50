"""A hub on a temporary folder, with a clock and chance of its own."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from blake3 import blake3

from syncd.chunks.manifest import Manifest, Piece, decode, encode, manifest_hash
from syncd.hub.core import Hub
from syncd.hub.session import Session
from syncd.model.node import Kind, Version
from syncd.model.path import ROOT_ID
from syncd.model.remote import Content, Create, Delete, Edit, Moves, Mutation, Outcome, RemoteNode, Step, Verdict

START = 1_800_000_000.0
DAY = 86_400.0


class FakeClock:
    """Time that moves only when told to."""

    def __init__(self, at: float = START) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


class SeededChance:
    """Chance that repeats itself."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def between(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)


def h(data: bytes) -> bytes:
    return blake3(data).digest()


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@dataclass
class Device:
    """A device and the short ways tests speak to the hub by."""

    session: Session
    chance: SeededChance
    token: str
    device_id: str

    def key(self) -> bytes:
        return self.chance.token(16)

    def store(self, data: bytes, pieces: int = 1) -> Content:
        """Store content, in several pieces when asked."""
        if not data:
            return Content(h(data), 0)
        if pieces == 1:
            self.session.put_chunks([(h(data), data)])
            return Content(h(data), len(data))
        step = -(-len(data) // pieces)
        parts = [data[at : at + step] for at in range(0, len(data), step)]
        self.session.put_chunks([(h(part), part) for part in parts])
        encoded = encode(Manifest("test", 1024, tuple(Piece(h(part), len(part)) for part in parts)))
        self.session.put_manifest(manifest_hash(encoded), encoded)
        return Content(h(data), len(data), manifest_hash(encoded))

    def one(self, mutation: Mutation) -> Outcome:
        (outcome,) = self.session.commit([mutation])
        return outcome

    def done(self, mutation: Mutation) -> RemoteNode:
        outcome = self.one(mutation)
        assert outcome.verdict is Verdict.DONE, outcome
        return outcome.nodes[0]

    def creation(self, name: str, data: bytes = b"x", parent: bytes = ROOT_ID, **more: object) -> Create:
        content = self.store(data)
        return Create(self.key(), self.key(), parent, name, Kind.FILE, content=content, **more)

    def file(self, name: str, data: bytes = b"x", parent: bytes = ROOT_ID, pieces: int = 1) -> RemoteNode:
        content = self.store(data, pieces)
        return self.done(Create(self.key(), self.key(), parent, name, Kind.FILE, content=content))

    def directory(self, name: str, parent: bytes = ROOT_ID) -> RemoteNode:
        return self.done(Create(self.key(), self.key(), parent, name, Kind.DIRECTORY))

    def edit(self, node: RemoteNode, data: bytes, pieces: int = 1) -> RemoteNode:
        return self.done(Edit(self.key(), node.node_id, node.version, self.store(data, pieces)))

    def delete(self, node: RemoteNode) -> RemoteNode:
        return self.done(Delete(self.key(), node.node_id, node.version))

    def moves(self, *steps: tuple[RemoteNode, bytes, str]) -> Outcome:
        return self.one(
            Moves(self.key(), tuple(Step(node.node_id, node.version, parent, name) for node, parent, name in steps))
        )

    def content(self, node: RemoteNode) -> bytes:
        """Read a node's content back whole."""
        if node.content is None or node.content.size == 0:
            return b""
        if node.content.manifest is None:
            hashes = [node.content.hash]
        else:
            hashes = [piece.hash for piece in decode(self.session.get_manifest(node.content.manifest)).pieces]
        return b"".join(data for _, data in self.session.get_chunks(hashes))

    def cursor(self) -> str:
        return self.session.listing(None, 1).cursor

    def tree(self, limit: int = 1000) -> dict[bytes, RemoteNode]:
        """List everything alive, page by page."""
        found, page = {}, None
        while True:
            answer = self.session.listing(page, limit)
            found.update({change.node.node_id: change.node for change in answer.changes})
            page = answer.next
            if page is None:
                return found


@dataclass
class World:
    """A hub and its clock."""

    hub: Hub
    clock: FakeClock
    chance: SeededChance
    folder: Path

    def device(self, space: str = "home", name: str = "laptop") -> Device:
        self.hub.create_space(space)
        enrolled = self.hub.enroll(self.hub.invite(space), name)
        return Device(self.hub.authenticate(enrolled.token), self.chance, enrolled.token, enrolled.device_id)

    def again(self, device: Device) -> Device:
        """Let a device in at this hub by its token."""
        return Device(self.hub.authenticate(device.token), self.chance, device.token, device.device_id)

    def containers(self) -> list[Path]:
        return sorted(path for path in (self.folder / "chunks").rglob("*") if path.is_file())

    def reopened(self) -> "World":
        self.hub.close()
        self.hub = Hub.open(self.folder, self.clock, self.chance)
        return self


NEVER = Version(1, "never")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock, chance = FakeClock(), SeededChance()
    made = World(Hub.open(tmp_path / "hub", clock, chance), clock, chance, tmp_path / "hub")
    yield made
    made.hub.close()


@pytest.fixture
def one(world: World) -> Device:
    return world.device()
