"""P10: of case twins the same one is held on every device, in whatever order each heard of them."""

import dataclasses
from collections.abc import Callable

from syncd.model.node import Tree
from syncd.model.path import ROOT
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
