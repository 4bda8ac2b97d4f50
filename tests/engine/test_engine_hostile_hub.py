"""A hub that lies (P10): whatever it names, nothing leaves the root, nothing of ours is lost, and the rest goes on."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from blake3 import blake3

from syncd.model.node import Kind
from syncd.model.path import ROOT_ID, is_reserved
from syncd.model.remote import Change, ChangesPage, ListingPage, RemoteNode
from syncd.model.status import Phase
from tests.engine.world import Device, World

Make = Callable[..., World]

EVIL = [
    pytest.param("../escaped", id="parent"),
    pytest.param("..", id="dots"),
    pytest.param(".", id="dot"),
    pytest.param("", id="empty"),
    pytest.param("a/b", id="separator"),
    pytest.param("/tmp/escaped", id="absolute"),
    pytest.param("nul\0byte", id="nul"),
    pytest.param("n" * 256, id="256 bytes"),
    pytest.param("ä" * 128, id="256 bytes of two"),
    pytest.param("lone\ud800surrogate", id="lone surrogate"),
    pytest.param("not\udcffutf8", id="not utf-8"),
    pytest.param(".syncd", id="ours"),
    pytest.param(".SYNCD", id="ours in capitals"),
    pytest.param(".sy\u200cncd", id="ours with an ignorable"),
    pytest.param(".\uff53yncd", id="ours in a compatibility form"),
    pytest.param(".syncd. ", id="ours with dots and spaces"),
]


@dataclass
class Liar:
    """A remote that changes what it is asked to list."""

    remote: object
    lie: Callable[[RemoteNode], RemoteNode]

    def __getattr__(self, name: str) -> object:
        return getattr(self.remote, name)

    def changes(self, cursor: str, limit: int) -> ChangesPage:
        page = self.remote.changes(cursor, limit)  # type: ignore[attr-defined]
        return msgspec.structs.replace(page, changes=tuple(Change(self.lie(c.node), c.key) for c in page.changes))

    def listing(self, page: str | None, limit: int) -> ListingPage:
        found = self.remote.listing(page, limit)  # type: ignore[attr-defined]
        return msgspec.structs.replace(found, changes=tuple(Change(self.lie(c.node), c.key) for c in found.changes))


def deceive(device: Device, lie: Callable[[RemoteNode], RemoteNode]) -> None:
    device.lister._remote = Liar(device.wire, lie)  # type: ignore[attr-defined,assignment]


def everything_around(base: Path) -> set[str]:
    """Return every path of the test's own folder, but for what belongs to syncd and inside the roots."""
    return {
        str(p) for p in base.rglob("*") if "root" not in p.parts and ".syncd" not in p.parts and "hub" not in p.parts
    }


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_p10_a_name_that_cannot_be_never_touches_the_disk(make_world: Make, name: str, kind: str) -> None:
    world = make_world("ann", "bob")
    ann, bob = world.devices
    ann.write("fine/file", "one")
    ann.write("bad/inside" if kind == "directory" else "bad", "stays away")
    ann.wait()
    deceive(bob, lambda node: msgspec.structs.replace(node, name=name) if node.name == "bad" else node)
    before = everything_around(world.base)
    bob.wait(expect=waits(kind, name))
    assert bob.tree() == {key: what for key, what in ann.tree().items() if not key.startswith("bad")}
    assert {p for p in everything_around(world.base) if not p.endswith(("-wal", "-shm", ".pyc"))} <= before
    assert sorted(os.listdir(bob.root)) == [".syncd", "fine"]
    assert not {b"stays away"} & bob.everything()
    bob.write("mine", "goes on")
    bob.wait(expect=waits(kind, name))
    ann.wait()
    assert ann.read("mine") == "goes on"
    assert ann.path("bad").exists(), "what cannot be represented here is not removed there"


def waits(kind: str, name: str) -> int:
    """What lies below a folder that cannot be here waits for a person; what is ours is never looked for."""
    return 3 if kind == "directory" and not is_reserved(name) else 0


def as_itself(node: RemoteNode) -> RemoteNode:
    return node


@dataclass
class Circle:
    """Puts each of two folders into the other."""

    ids: dict[str, bytes] = field(default_factory=dict)

    def __call__(self, node: RemoteNode) -> RemoteNode:
        if node.kind is Kind.DIRECTORY:
            self.ids[node.name] = node.node_id
        other = self.ids.get({"bad": "worse", "worse": "bad"}.get(node.name, ""))
        return msgspec.structs.replace(node, parent_id=other) if other else node


def go_on(world: World, device: Device) -> None:
    """Run for a while; it need not settle."""
    device.engine.looks.ask_full()
    device.engine.pulls.ask()
    for _ in range(200):
        if not device.one() and not device.jobs:
            world.time.ahead += 1.0


LIES = {
    "a parent nobody knows": lambda n: msgspec.structs.replace(n, parent_id=b"\7" * 16) if n.name == "bad" else n,
    "the root as somebodys child": lambda n: msgspec.structs.replace(n, node_id=ROOT_ID) if n.name == "bad" else n,
    "two nodes at one place": lambda n: msgspec.structs.replace(n, name="fine") if n.name == "bad" else n,
    "a time before and after all times": lambda n: msgspec.structs.replace(n, mtime_ns=-(2**62)),
    "two folders inside each other": Circle(),
}
NONSENSE = {
    "a folder inside itself": lambda n: msgspec.structs.replace(n, parent_id=n.node_id) if n.name == "bad" else n,
    "a folder that is a file": lambda n: msgspec.structs.replace(n, kind=Kind.FILE) if n.name == "bad" else n,
    "an id of a wrong length": lambda n: msgspec.structs.replace(n, node_id=b"1") if n.name == "bad" else n,
}


@pytest.mark.parametrize("lie", NONSENSE.values(), ids=NONSENSE.keys())
def test_p1_a_reply_that_makes_no_sense_changes_nothing_is_told_and_passes(
    make_world: Make, lie: Callable[[RemoteNode], RemoteNode]
) -> None:
    world = make_world("ann", "bob")
    ann, bob = world.devices
    bob.write("mine", "was here before")
    ann.write("bad/inside", "two")
    ann.wait()
    deceive(bob, lie)
    go_on(world, bob)
    assert bob.tree().keys() == {"mine"}
    assert bob.engine.live.phase is Phase.OFFLINE
    assert "makes no sense" in bob.engine.live.why
    deceive(bob, as_itself)
    bob.engine.pulls.hurry()
    world.settle()
    assert ann.read("mine") == "was here before"


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_p1_p10_a_tree_that_cannot_be_loses_nothing_and_stops_nothing(
    make_world: Make, lie: Callable[[RemoteNode], RemoteNode]
) -> None:
    world = make_world("ann", "bob")
    ann, bob = world.devices
    bob.write("mine", "was here before")
    ann.write("fine/file", "one")
    ann.write("bad/inside", "two")
    ann.wait()
    ann.write("worse/inside", "three")
    ann.wait()
    deceive(bob, lie)
    go_on(world, bob)
    assert bob.read("mine") == "was here before"
    assert bob.read("fine/file") == "one"
    deceive(bob, as_itself)
    assert {b"was here before", b"one"} <= bob.everything()
    bob.write("new", "goes on")
    go_on(world, bob)
    ann.wait()
    assert ann.read("new") == "goes on"
    # Of two folders at one place, what is in either was seen to move into the one whose row came first.
    files = [path for name in ann.tree() if (path := ann.path(name)).is_file()]
    assert {b"one", b"two", b"three"} <= {path.read_bytes() for path in files}


def test_p10_a_symlink_put_where_a_folder_was_is_not_followed(make_world: Make) -> None:
    world = make_world("ann", "bob")
    ann, bob = world.devices
    ann.write("folder/file", "one")
    world.settle()
    outside = world.base / "outside"
    outside.mkdir()
    (outside / "file").write_text("not ours")
    ann.write("folder/file", "two")
    ann.write("folder/new", "three")
    ann.wait()
    # The jobs that write into it are handed out; then somebody swaps the folder for a symlink out of the root.
    while not [job for job in bob.jobs if job.lane.value == "apply"]:
        assert bob.one() or bob.jobs
        bob.engine.pulls.ask()
    bob.path("folder").rename(bob.path("elsewhere"))
    bob.path("folder").symlink_to(outside)
    world.settle(expect=None)
    assert sorted(os.listdir(outside)) == ["file"]
    assert (outside / "file").read_text() == "not ours"
    shown = ann.everything() | bob.everything()
    for content in (b"one", b"two", b"three"):  # in a folder, in a trash, or in a version that the hub keeps (P1)
        assert content in shown or not ann.wire.missing([blake3(content).digest()]), content  # type: ignore[operator]
