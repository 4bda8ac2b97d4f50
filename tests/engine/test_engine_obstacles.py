"""What is never synced has the name that the remote's file wants: the file is held, shown and waited for (P2, P12)."""

import dataclasses
import os
import shutil
from collections.abc import Callable

import pytest

from syncd.db.views import open_view
from syncd.model.node import Reason, Tree, Unknown
from syncd.model.observation import Hints
from tests.engine.world import Device, World

Make = Callable[..., World]


@pytest.fixture
def two(make_world: Make) -> World:
    return make_world("ann", "bob")


def pipe(device: Device) -> None:
    os.mkfifo(device.path("a"))


def ignored_folder(device: Device) -> None:
    device.write(".syncignore", "/a/\n")
    device.write("a/inside", "never synced")


def known_before_it_was_ignored(device: Device) -> None:
    """A folder that has a row here: it was to be sent, when the rule came."""
    device.wire.cut = True
    device.write("a/inside", "never synced")
    look(device, "a")
    assert device.db.nodes.find(Tree.LOCAL, ("a", "inside")) is not None
    device.write(".syncignore", "/a/\n")
    look(device, ".syncignore")
    device.wire.cut = False
    device.engine.pulls.hurry()


def look(device: Device, name: str) -> None:
    """Let *device* see what became of *name*, and do all that it can without the remote."""
    device.deadline = device.engine.step([Hints((((), name),))])
    for _ in range(40):
        device.one()


def held(device: Device) -> str:
    node = device.db.nodes.node(device.db.nodes.find(Tree.REMOTE, ("a",)))
    assert isinstance(node.local, Unknown), node
    assert node.local.reason is Reason.HELD
    return node.local.detail


def remove(device: Device) -> None:
    path = device.path("a")
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    device.deadline = device.engine.step([Hints((((), "a"),))])


@pytest.mark.parametrize("obstacle", [pipe, ignored_folder, known_before_it_was_ignored])
@pytest.mark.parametrize("before", [True, False], ids=["there before the file", "made after the file came"])
def test_p2_a_name_that_is_taken_by_what_is_never_synced_is_waited_for(
    two: World, obstacle: Callable[[Device], None], before: bool
) -> None:
    """The download found the name taken and looked again, for ever: no barrier ever answered."""
    ann, bob = two.devices
    two.settle()
    if before:
        obstacle(bob)
        bob.wait()
        if bob.path(".syncignore").exists():
            ann.wait()
    ann.write("a", "content")
    ann.wait()
    if not before:
        obstacle(bob)
    bob.wait()
    assert held(bob)
    assert not bob.db.queue.in_state(None, 5)
    remove(bob)
    bob.wait()
    assert bob.read("a") == "content"


def test_p2_a_file_that_became_a_pipe_is_held_and_nobody_waits_for_it(two: World) -> None:
    """It was planned again at each step: no barrier ever answered, and the loop never slept."""
    ann, bob = two.devices
    ann.write("a", "content")
    two.settle()
    bob.remove("a")
    pipe(bob)
    bob.wait()
    assert held(bob)
    ann.wait()
    assert ann.read("a") == "content"
    remove(bob)
    two.settle()
    assert "a" not in ann.tree()


def test_p2_a_held_arrival_that_is_moved_at_the_remote_comes_under_its_new_name(two: World) -> None:
    ann, bob = two.devices
    pipe(bob)
    bob.wait()
    ann.write("a", "content")
    ann.wait()
    bob.wait()
    assert held(bob)
    ann.path("a").rename(ann.path("b"))
    ann.wait()
    bob.wait()
    assert bob.read("b") == "content"


def test_a_held_arrival_that_the_remote_deletes_is_forgotten_once_its_name_is_free(two: World) -> None:
    ann, bob = two.devices
    pipe(bob)
    bob.wait()
    ann.write("a", "content")
    ann.wait()
    bob.wait()
    ann.remove("a")
    ann.wait()
    bob.wait()
    remove(bob)
    bob.wait()
    assert bob.db.nodes.find(Tree.LOCAL, ("a",)) is None
    assert not bob.db.nodes.disagreeing(0, 5)


@pytest.mark.parametrize("obstacle", [pipe, ignored_folder, known_before_it_was_ignored])
@pytest.mark.parametrize("before", [True, False], ids=["there before the move", "made after it"])
def test_p2_what_is_moved_to_a_name_that_is_taken_here_waits_and_its_edits_travel(
    two: World, obstacle: Callable[[Device], None], before: bool
) -> None:
    """By a pipe, or by what was never known: the rename was refused and planned again, for ever."""
    ann, bob = two.devices
    ann.write("b", "content")
    two.settle()
    if before:
        obstacle(bob)
        bob.wait()
    if bob.path(".syncignore").exists():
        ann.wait()
    ann.path("b").rename(ann.path("a"))
    ann.wait()
    if not before:
        obstacle(bob)
    bob.wait(expect=3)
    with open_view(str(bob.base / "syncd.db")) as view:
        (shown,) = view.ops(None, 5)
    assert shown.waits.startswith("for its name: a, which is ")
    bob.write("b", "edited here while it waits")
    bob.wait(expect=3)
    ann.wait()
    assert ann.read("a") == "edited here while it waits"
    ann.write("a", "edited there")
    ann.wait()
    bob.wait(expect=3)
    assert bob.read("b") == "edited there"
    remove(bob)
    two.settle()
    assert bob.read("a") == "edited there"
    assert "b" not in bob.tree()


def wanted_for_a_while(two: World, obstacle: Callable[[Device], None]) -> None:
    """Something at *bob* keeps its name from what ann moves there, and moves back."""
    ann, bob = two.devices
    ann.write("b", "content")
    two.settle()
    obstacle(bob)
    bob.wait()
    ann.wait()
    ann.path("b").rename(ann.path("a"))
    ann.wait()
    bob.wait(expect=3)
    ann.path("a").rename(ann.path("b"))
    ann.wait()


@pytest.mark.parametrize("obstacle", [pipe, ignored_folder])
def test_who_keeps_a_name_from_what_moves_is_forgotten_when_nobody_wants_it_any_more(
    two: World, obstacle: Callable[[Device], None]
) -> None:
    bob = two.devices[1]
    wanted_for_a_while(two, obstacle)
    bob.wait()
    assert bob.read("b") == "content"
    look(bob, "a")
    bob.wait()
    assert bob.db.nodes.find(Tree.LOCAL, ("a",)) is None
    assert not bob.db.queue.in_state(None, 5)


def test_p2_a_file_goes_there_although_what_replaced_it_here_is_ignored_by_now(two: World) -> None:
    """Whether the file was there again was asked of the folder that had its name: it was, for ever."""
    ann, bob = two.devices
    ann.write("a", "content")
    two.settle()
    bob.remove("a")
    known_before_it_was_ignored(bob)
    bob.wait()
    ann.wait()
    assert ann.tree().keys() == {".syncignore"}
    assert bob.tree().keys() == {".syncignore", "a", "a/inside"}
    two.time.ahead += 10.0
    bob.wait()
    assert not bob.db.queue.in_state(None, 5)


@pytest.mark.parametrize("obstacle", [pipe, ignored_folder])
def test_p2_who_comes_to_the_name_after_it_was_kept_from_another_is_held(
    two: World, obstacle: Callable[[Device], None]
) -> None:
    ann, bob = two.devices
    wanted_for_a_while(two, obstacle)
    ann.write("a", "another")
    ann.wait()
    bob.wait()
    assert held(bob)
    assert not bob.db.queue.in_state(None, 5)
    remove(bob)
    bob.wait()
    assert (bob.read("a"), bob.read("b")) == ("another", "content")


@pytest.mark.parametrize("moves", [True, False], ids=["a move", "an arrival"])
def test_p10_a_pipe_under_the_name_in_another_case_keeps_it_as_well(two: World, moves: bool) -> None:
    ann, bob = two.devices
    facts = bob.engine.desk.facts
    facts.traits = dataclasses.replace(facts.traits, case_sensitive=False)
    if moves:
        ann.write("b", "content")
    two.settle()
    facts.paused = True  # what comes is planned, and not done
    if moves:
        ann.path("b").rename(ann.path("A"))
    else:
        ann.write("A", "content")
    ann.wait()
    bob.engine.pulls.hurry()
    look(bob, "b")
    pipe(bob)
    look(bob, "a")
    facts.paused = False
    bob.wait(expect=3 if moves else 0)
    assert not bob.path("A").exists()
    remove(bob)
    bob.wait()
    assert bob.read("A") == "content"
