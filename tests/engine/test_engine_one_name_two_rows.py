"""Two rows that claim one name here: how that came about, and that a look can tell which of them is right."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from syncd.model.job import RecoverJob
from syncd.model.node import Place, Present, Tree
from syncd.model.observation import Hints
from syncd.model.path import ROOT
from tests.engine.pausing import killed_after_it_acted, work_without
from tests.engine.world import Device, World

Make = Callable[..., World]


@pytest.fixture
def two(make_world: Make) -> World:
    world = make_world("ann", "bob")
    world.devices[0].write("kept", "kept")
    world.settle()
    return world


def looked_for_in_vain(device: Device) -> None:
    """What ran at the crash is not found at the first try."""
    recover = next(job for job in device.jobs if isinstance(job, RecoverJob))
    device.jobs.remove(recover)
    honest, device.fs.open_dir = device.fs.open_dir, _broken  # type: ignore[method-assign,assignment]
    (ended,) = device.handle(recover)
    device.fs.open_dir = honest  # type: ignore[method-assign]
    device.step([ended])


def _broken(path: tuple[str, ...]) -> object:
    raise OSError(5, "broken for once")


def write_file(ann: Device) -> None:
    ann.write("new", "another one")


def make_folder(ann: Device) -> None:
    ann.write("new/in", "another one")


@pytest.mark.parametrize("make", [write_file, make_folder])
def test_p1_what_was_placed_at_a_crash_and_gave_way_to_something_else_is_brought_again(
    two: World, make: Callable[[Device], None]
) -> None:
    """That the first one had been placed is found out when the second one has its name: two rows claimed it, neither
    look nor op could tell them apart, and the op that was to move the first one away was tried for ever."""
    ann, bob = two.devices
    ann.write("new", "one")
    ann.wait()
    killed_after_it_acted(bob, before=lambda: bob.remove("new"))
    looked_for_in_vain(bob)
    ann.path("new").rename(ann.path("renamed"))
    ann.wait()
    make(ann)
    ann.wait()
    expected = ann.tree()
    held = work_without(bob, RecoverJob, lambda: bob.path("new").exists() and len(bob.db.queue.running()) == 1)
    bob.jobs.extend(held)
    two.settle()
    assert bob.tree() == ann.tree() == expected


@pytest.mark.parametrize("inode", ["none", "another"])
def test_a_look_tells_which_of_two_rows_is_right(two: World, inode: str) -> None:
    """A row from who knows where stands at a name before the one that is there."""
    ann, bob = two.devices
    ann.write("other", "other")
    two.settle()
    nodes = bob.db.nodes
    first, second = sorted(nodes.find(Tree.LOCAL, (name,)) or 0 for name in ("kept", "other"))
    wrong, right = nodes.node(first), nodes.node(second)
    assert wrong is not None
    assert right is not None
    assert isinstance(wrong.local, Present)
    assert isinstance(right.local, Present)
    name = right.local.place.name
    bob.crash()
    bob.remove(wrong.local.place.name)
    bob.start()
    with bob.db.transaction():
        fingerprint = wrong.fingerprint if inode == "another" else None
        bob.db.nodes.set_local(first, replace(wrong.local, place=Place(ROOT, name)), fingerprint)
    bob.step([Hints((((), name),))])
    two.settle()
    assert [node.id for node in bob.db.nodes.at(Tree.LOCAL, ROOT, name)] == [second]
    assert ann.tree()[name] == bob.tree()[name]
