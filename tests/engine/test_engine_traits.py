"""File systems that lack something (section 6): what is missing carries S through, and twins are held alike (P10)."""

import dataclasses
from collections.abc import Callable

import pytest

from syncd.model.node import Reason, Tree
from syncd.model.observation import Verb
from syncd.ports import Traits
from tests.engine.world import Device, World

Make = Callable[..., World]


def lacking(device: Device, **missing: bool) -> None:
    """Let the engine take the root's file system for one that lacks something."""
    real = device.engine.desk.facts.traits
    traits: Traits = dataclasses.replace(real, **missing)
    device.engine.desk.facts.traits = traits


def test_a_missing_executable_bit_is_never_a_change(make_world: Make) -> None:
    world = make_world("ann", "bob")
    ann, bob = world.devices
    lacking(bob, executable_bit=False)
    ann.write("script", "one").chmod(0o755)
    world.settle()
    bob.path("script").chmod(0o644)  # as such a file system shows every file
    commits = len(bob.wire.commits)
    bob.wait()
    assert len(bob.wire.commits) == commits
    bob.write("script", "two")
    bob.wait()
    ann.wait()
    assert ann.read("script") == "two"
    assert ann.path("script").stat().st_mode & 0o100, "an edit there does not take the bit away"


@pytest.mark.parametrize("order", [("File", "file"), ("file", "File")])
def test_p10_of_case_twins_the_same_one_is_held_on_every_device(make_world: Make, order: tuple[str, str]) -> None:
    world = make_world("ann", "bob", "carl")
    ann, bob, carl = world.devices
    for blind in (bob, carl):
        lacking(blind, case_sensitive=False)
    for name in order:
        ann.write(name, f"content of {name}")
        ann.wait()
    bob.wait()
    carl.wait()
    assert bob.tree() == carl.tree()
    (kept,) = bob.tree()
    assert ann.tree().keys() == {"File", "file"}, "and nothing is removed where both can be"
    other = "file" if kept == "File" else "File"
    held = [bob.db.nodes.node(key) for key in bob.db.nodes.unknown(Tree.LOCAL, Reason.HELD, 0, 9)]
    assert [node.remote.place.name for node in held] == [other]  # type: ignore[union-attr]
    ann.path(other).rename(ann.path("elsewhere"))
    for device in (ann, bob, carl, bob):
        device.wait()
    assert bob.tree().keys() == carl.tree().keys() == {kept, "elsewhere"}


def test_symlinks_that_cannot_be_stored_are_held_and_not_removed_there(make_world: Make) -> None:
    world = make_world("ann", "bob")
    ann, bob = world.devices
    lacking(bob, symlinks=False)
    ann.path("link").symlink_to("somewhere")
    ann.write("file", "one")
    ann.wait()
    bob.wait()
    assert bob.tree().keys() == {"file"}
    assert bob.ask(Verb.RETRY).code == 0
    bob.wait()
    ann.wait()
    assert ann.tree().keys() == {"file", "link"}


def exchanged_numbers(device: Device, one: str, other: str) -> None:
    """Give two folders each other's inode, as a mount that makes numbers up may: all in them stays where it is."""
    first, second, aside = device.path(one), device.path(other), device.path("aside")
    first.rename(aside)
    second.rename(first)
    aside.rename(second)
    mine, theirs = list(second.iterdir()), list(first.iterdir())
    for path in mine:
        path.rename(first / path.name)
    for path in theirs:
        path.rename(second / path.name)


def test_numbers_that_a_mount_made_up_are_never_a_move(make_world: Make) -> None:
    world = make_world("ann", "bob")
    ann, _ = world.devices
    lacking(ann, stable_inodes=False)
    ann.write("left/a", "one")
    ann.write("right/b", "two")
    world.settle()
    before, commits = ann.tree(), len(ann.wire.commits)
    exchanged_numbers(ann, "left", "right")
    assert ann.tree() == before
    world.settle()
    assert len(ann.wire.commits) == commits
    assert ann.tree() == before


def test_without_stable_inodes_a_renamed_folder_takes_its_files_along(make_world: Make) -> None:
    """Its content is what tells a file that moved; the folder itself is a new one."""
    world = make_world("ann", "bob")
    ann, bob = world.devices
    lacking(ann, stable_inodes=False)
    ann.write("before/a", "one")
    ann.write("before/b", "two")
    world.settle()
    key = ann.db.nodes.find(Tree.LOCAL, ("before", "a"))
    ann.path("before").rename(ann.path("after"))
    sent = ann.wire.sent
    world.settle()
    assert bob.tree().keys() == {"after", "after/a", "after/b"}
    assert ann.db.nodes.find(Tree.LOCAL, ("after", "a")) == key
    assert ann.wire.sent == sent
