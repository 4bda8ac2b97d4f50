"""P10: of case twins the same one is held on every device, in whatever order each heard of them."""

import dataclasses
import os
from collections.abc import Callable

import pytest

from syncd.model.node import Tree
from syncd.model.op import OpType
from syncd.model.path import ROOT
from tests.engine.hearing import hear
from tests.engine.world import Device, World

Make = Callable[..., World]


def folding(device: Device) -> None:
    """Let the engine take the root's file system for one on which cases are one."""
    device.engine.desk.facts.traits = dataclasses.replace(device.engine.desk.facts.traits, case_sensitive=False)


def test_p10_the_twin_that_is_held_does_not_depend_on_who_was_heard_of_first(make_world: Make) -> None:
    """One device followed the feed, in the order of creation; the other listed everything, in the order of ids."""
    world = make_world("ann", "bob", "cleo")
    ann, bob, cleo = world.devices
    for blind in (bob, cleo):
        folding(blind)
    bob.wait()
    for number in range(6):
        for name in (f"Name{number}", f"name{number}"):
            ann.write(name, f"content of {name}")
            ann.wait()
            bob.wait()
    cleo.wait()  # its first listing
    ids = {n.remote.place.name: n.node_id for n in ann.db.nodes.children(Tree.REMOTE, ROOT)}  # type: ignore[union-attr]
    orders = {ids[f"Name{number}"] < ids[f"name{number}"] for number in range(6)}
    assert orders == {True, False}, "the ids of some were minted in the order of creation, of others not"
    assert bob.tree() == cleo.tree()
    assert len(bob.tree()) == 6
    assert set(bob.tree()) == {min(f"Name{n}", f"name{n}", key=lambda name: ids[name] or b"") for n in range(6)}


def test_p10_a_folder_gives_way_to_its_twin_with_all_that_is_in_it(make_world: Make) -> None:
    """As files do: or one device would have the one, and another the other, by who was heard of first."""
    world = make_world("ann", "bob", "cleo")
    ann, bob, cleo = world.devices
    for blind in (bob, cleo):
        folding(blind)
    bob.wait()
    for number in range(6):
        for name in (f"Name{number}", f"name{number}"):
            ann.write(f"{name}/in {name}", f"content of {name}")
            ann.write(f"{name}/deeper/below {name}", f"more of {name}")
            ann.wait()
            world.settle_one(bob, None)
    world.settle_one(cleo, None)  # its first listing
    ids = {n.remote.place.name: n.node_id for n in ann.db.nodes.children(Tree.REMOTE, ROOT)}  # type: ignore[union-attr]
    kept = {min(f"Name{n}", f"name{n}", key=lambda name: ids[name] or b"") for n in range(6)}
    assert {name[0] for name in kept} == {"n", "N"}, (
        "the ids of some were minted in the order of creation, of others not"
    )
    assert set(os.listdir(bob.root)) - {".syncd"} == kept
    assert bob.tree() == cleo.tree()
    assert len(bob.tree()) == 6 * 4
    assert len(ann.tree()) == 12 * 4, "what one device cannot have is not taken from the others"


def test_p7_an_edit_in_a_folder_that_gives_way_travels_first(make_world: Make) -> None:
    world = make_world("ann", "bob")
    ann, bob = world.devices
    folding(bob)
    names = ["name", "Name"]
    for number in range(20):
        ann.write(f"{names[0]}{number}/file", "old")
    ann.wait()
    bob.wait()
    for number in range(20):
        ann.write(f"{names[1]}{number}/other", "other")
        bob.write(f"{names[0]}{number}/file", f"edited {number}")
        bob.write(f"{names[0]}{number}/new", f"new {number}").chmod(0o755)
    ann.wait()
    world.settle_all()
    gave_way = [n for n in range(20) if not bob.path(f"{names[0]}{n}").exists()]
    assert 0 < len(gave_way) < 20
    for number in range(20):
        assert ann.read(f"{names[0]}{number}/file") == f"edited {number}"
        assert ann.read(f"{names[0]}{number}/new") == f"new {number}"
        assert ann.path(f"{names[0]}{number}/new").stat().st_mode & 0o100
        if number in gave_way:
            assert bob.read(f"{names[1]}{number}/other") == "other"


@pytest.mark.parametrize("parted", ["name", "Name"], ids=["the twin goes", "the folder goes"])
def test_p7_a_folder_whose_twin_has_gone_again_keeps_all_that_is_in_it(make_world: Make, parted: str) -> None:
    """All of it was about to leave, each file by its own op; and none of these may outlive the reason."""
    world = make_world("ann", "bob")
    ann, bob = world.devices
    folding(bob)
    for number in range(6):
        ann.write(f"Name{number}/deep/deeper/file", "content")
        ann.write(f"Name{number}/deep/other", "content")
    ann.wait()
    bob.wait()
    for number in range(6):
        ann.write(f"name{number}/twin", "twin")
    ann.wait()
    hear(bob)
    leaving = [q.op for q in bob.db.queue.in_state(None, 1000) if q.op.type is OpType.LOCAL_DELETE]
    assert len(leaving) % 5 == 0
    assert 0 < len(leaving) < 6 * 5
    for number in range(6):
        ann.path(f"{parted}{number}").rename(ann.path(f"elsewhere{number}"))
    ann.wait()
    hear(bob)
    assert not [q.op for q in bob.db.queue.in_state(None, 1000) if q.op.type is OpType.LOCAL_DELETE]
    world.settle()
    assert not bob.trash()
