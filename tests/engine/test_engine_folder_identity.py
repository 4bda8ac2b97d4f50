"""Which folder is which: its inode says so before its place does (section 6)."""

from collections.abc import Callable

import pytest

from syncd.model.node import Tree
from syncd.model.observation import Hints
from syncd.model.remote import Moves
from tests.engine.world import Device, World


@pytest.fixture
def ann(make_world: Callable[..., World]) -> Device:
    world = make_world("ann", "bob")
    for name in ("folder/inside", "also/one", "z/one"):
        world.devices[0].write(name, name)
    world.settle()
    return world.devices[0]


def key(device: Device, *path: str) -> int | None:
    return device.db.nodes.find(Tree.LOCAL, path)


@pytest.mark.parametrize("name", ["another", "a name that sorts behind"])
@pytest.mark.parametrize("hinted", [True, False], ids=["told at once", "found by a scan"])
def test_a_folder_that_moved_while_its_name_was_given_to_another_is_one_move(
    ann: Device, hinted: bool, name: str
) -> None:
    known = key(ann, "folder")
    ann.path("folder").rename(ann.path(name))
    ann.write("folder/new", "two")
    ann.wire.commits.clear()
    if hinted:
        ann.step([Hints((((), "folder"), ((), name)))])
    ann.wait()
    assert key(ann, name) == known != key(ann, "folder")
    moves = [commit for commit in ann.wire.commits if isinstance(commit, Moves)]
    assert len(moves) == 1, "nothing in it travels, or moves by itself"
    assert len(ann.wire.commits) == 3, "the move, the new folder and what is in it"


@pytest.mark.parametrize("name", ["also/another", "z/another"])
def test_so_is_one_that_moved_into_another_folder_when_both_places_are_told_together(ann: Device, name: str) -> None:
    known = key(ann, "folder")
    ann.path("folder").rename(ann.path(name))
    ann.write("folder/new", "two")
    ann.wire.commits.clear()
    above, _, below = name.partition("/")
    ann.step([Hints((((), "folder"), ((above,), below)))])
    ann.time.ahead += 2.0  # as it may be until a scan: nobody asks for one
    while ann.one():
        pass
    ann.wait()
    assert key(ann, *name.split("/")) == known != key(ann, "folder")
    assert len([commit for commit in ann.wire.commits if isinstance(commit, Moves)]) == 1
    assert len(ann.wire.commits) == 3


def test_a_folder_put_in_the_place_of_one_that_is_gone_keeps_its_node(ann: Device) -> None:
    """A folder from a backup: all that is in it is compared, and nothing is deleted to be made again."""
    known = key(ann, "folder")
    ann.remove("folder")
    ann.write("folder/inside", "folder/inside")
    ann.wire.commits.clear()
    ann.wait()
    assert key(ann, "folder") == known
    assert ann.wire.commits == []
