"""P4: after a crash an op is done on evidence only, and what it had begun is brought to its end."""

import os

import pytest
from execute_world import PAST_NS, Crash, World, endings

from syncd.model.job import RecoverJob
from syncd.model.node import Kind
from syncd.model.observation import Ending
from syncd.model.op import OpType


def test_p4_a_file_of_the_right_size_and_time_is_not_the_content(world: World) -> None:
    """Nothing of the op is left to ask: only the content itself can show that it was done."""
    assignment = world.download("a.txt", b"new")
    world.write("a.txt", b"own", PAST_NS + 7)
    assert endings(world.recover(assignment)) == [Ending.NOT_DONE]
    world.write("a.txt", b"new", PAST_NS + 7)
    assert endings(world.recover(assignment)) == [Ending.DONE]


def test_p7_an_edit_that_a_delete_moved_comes_back_after_a_crash(world: World) -> None:
    """The edit slipped in before the rename, the crash came right after it: the name is free, and nothing is done."""
    world.write("a.txt", b"old")
    assignment = world.delete("a.txt")
    moving: list[str] = []

    def before(call: str) -> None:
        if moving:
            raise Crash(call)
        if call == "rename_new" and (world.root / ".syncd" / "trash" / assignment.key.hex() / "info.json").exists():
            world.write("a.txt", b"edited", PAST_NS + 1)
            moving.append(call)

    world.fs.before = before
    with pytest.raises(Crash):
        world.apply(assignment)
    assert world.tree() == {}
    assert endings(world.recover(assignment)) == [Ending.NOT_DONE]
    assert world.tree() == {"a.txt": b"edited"}
    assert world.trash() == []


def test_p10_a_folder_in_another_case_is_not_the_one_that_was_made(world: World) -> None:
    """Where cases are one, a lookup finds the twin: only the listing tells which name is there."""
    assignment = world.assign(world.op(OpType.LOCAL_MKDIR, Kind.DIRECTORY), "name")
    os.mkdir(world.root / "NAME")
    world.fs.folds = True
    assert endings(world.runner().recover(RecoverJob((assignment,), ())).results) == [Ending.NOT_DONE]


@pytest.mark.parametrize("there", [False, True], ids=["new", "replaced"])
def test_p10_the_same_name_in_another_folder_is_not_the_place(world: World, there: bool) -> None:
    """The folder was moved, and another one made in its place, with the very file in it."""
    world.write("d/a.txt", b"old")
    assignment = world.download("d/a.txt" if there else "d/b.txt", b"new")
    os.rename(world.root / "d", world.root / "elsewhere")
    os.mkdir(world.root / "d")
    os.rename(world.root / "elsewhere/a.txt", world.root / "d/a.txt")
    assert endings(world.apply(assignment)) == [Ending.STALE]
    assert world.tree() == {"d": None, "elsewhere": None, "d/a.txt": b"old"}


def test_p6_a_file_changed_while_its_replacement_came_is_not_touched(world: World) -> None:
    """It is looked at again right before the exchange: its person finds it where it was."""
    world.write("a.txt", b"old")
    assignment = world.download("a.txt", b"new")
    changed: list[str] = []

    def before(call: str) -> None:
        if call == "get_chunks" or (call == "make_durable" and not changed):
            changed.append(call)
            world.write("a.txt", b"edited meanwhile", PAST_NS + 1)

    world.fs.before = before
    assert endings(world.apply(assignment)) == [Ending.STALE]
    assert changed
    assert world.tree() == {"a.txt": b"edited meanwhile"}
    assert world.trash() == []
