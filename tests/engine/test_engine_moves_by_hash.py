"""A file that comes back with another inode is the one that vanished where its content leaves no doubt (section 6)."""

from collections.abc import Callable

import pytest

from tests.engine.world import World

Make = Callable[..., World]


@pytest.fixture
def one(make_world: Make) -> World:
    return make_world("ann")


def kinds(world: World, since: int) -> list[str]:
    return sorted(type(mutation).__name__ for mutation in world.devices[0].wire.commits[since:])


def test_p2_a_file_moved_by_copying_keeps_its_node_and_does_not_travel(one: World) -> None:
    (ann,) = one.devices
    ann.write("a", "the only one with this content")
    one.settle()
    commits, sent = len(ann.wire.commits), ann.wire.sent
    ann.write("b", "the only one with this content")  # as a move to another file system and back does
    ann.remove("a")
    one.settle()
    assert kinds(one, commits) == ["Moves"]
    assert ann.wire.sent == sent


def test_p2_of_two_files_of_one_content_neither_is_taken_for_the_new_one(one: World) -> None:
    (ann,) = one.devices
    ann.write("a", "twins")
    ann.write("b", "twins")
    one.settle()
    commits = len(ann.wire.commits)
    ann.write("c", "twins")
    ann.remove("a")
    ann.remove("b")
    one.settle()
    assert kinds(one, commits) == ["Create", "Delete", "Delete"]


def test_p2_empty_files_are_nobody_s_twins(one: World) -> None:
    (ann,) = one.devices
    ann.write("a", "")
    one.settle()
    commits = len(ann.wire.commits)
    ann.write("b", "")
    ann.remove("a")
    one.settle()
    assert kinds(one, commits) == ["Create", "Delete"]
