"""Directories, moves, swaps and renames of case in this folder: nothing is replaced, and a crash loses no name."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from execute_world import NOW_NS, Crash, World, endings

from syncd.model.job import DirRef
from syncd.model.node import Kind
from syncd.model.observation import Ending
from syncd.model.op import OpType


def test_a_directory_that_is_there_is_adopted(world: World) -> None:
    op = world.op(OpType.LOCAL_MKDIR, Kind.DIRECTORY)
    (world.root / "d").mkdir()
    (result,) = world.apply(world.assign(op, "d"))
    assert result.ending is Ending.DONE
    assert result.local is not None
    assert result.local.fingerprint.ino == world.fingerprint("d").ino


def test_a_file_where_a_directory_should_be_is_looked_at_again(world: World) -> None:
    world.write("d", b"file")
    assert endings(world.apply(world.assign(world.op(OpType.LOCAL_MKDIR, Kind.DIRECTORY), "d"))) == [Ending.STALE]


def test_p6_a_move_never_replaces(world: World) -> None:
    world.write("a", b"a")
    assignment = world.move("a", "b")
    world.write("b", b"b")
    assert endings(world.apply(assignment)) == [Ending.STALE]
    assert world.tree() == {"a": b"a", "b": b"b"}


def test_p6_an_edited_file_is_not_moved(world: World) -> None:
    world.write("a", b"a")
    assignment = world.move("a", "b")
    world.write("a", b"edited", NOW_NS)
    assert endings(world.apply(assignment)) == [Ending.STALE]
    assert world.tree() == {"a": b"edited"}


def test_an_edit_that_rides_along_a_move_is_seen_by_the_next_look(world: World) -> None:
    world.write("a", b"a")
    assignment = world.move("a", "b")
    world.fs.before = lambda name: world.write("a", b"edited", NOW_NS) if name == "rename_new" else None
    (result,) = world.apply(assignment)
    assert result.ending is Ending.DONE
    assert world.tree() == {"b": b"edited"}
    assert result.local is not None
    assert not result.local.fingerprint.same_but_ctime(world.fingerprint("b"))


def test_another_file_at_the_source_in_the_last_moment_goes_back(world: World) -> None:
    world.write("a", b"a")
    assignment = world.move("a", "b")
    done: list[str] = []

    def before(name: str) -> None:
        if name == "rename_new" and not done:
            done.append(name)
            world.write("other", b"other", NOW_NS)
            os.rename(world.root / "other", world.root / "a")

    world.fs.before = before
    assert endings(world.apply(assignment)) == [Ending.STALE]
    assert world.tree() == {"a": b"other"}


def test_a_swap_exchanges_two_files(world: World) -> None:
    world.write("a", b"a")
    world.write("d/b", b"b")
    (result,) = world.apply(world.swap("a", "d/b"))
    assert world.tree() == {"a": b"b", "d": None, "d/b": b"a"}
    assert result.local is not None
    assert result.partner_local is not None
    assert result.local.fingerprint == world.fingerprint("d/b")
    assert result.partner_local.fingerprint == world.fingerprint("a")


def test_p6_a_swap_with_a_changed_partner_does_nothing(world: World) -> None:
    world.write("a", b"a")
    world.write("b", b"b")
    assignment = world.swap("a", "b")
    world.write("b", b"edited", NOW_NS)
    assert endings(world.apply(assignment)) == [Ending.STALE]
    assert world.tree() == {"a": b"a", "b": b"edited"}


def test_p6_a_file_is_not_exchanged_with_the_directory_it_is_in(world: World) -> None:
    """The directory came to be above it once that was planned: the system refuses, and it is looked at again."""
    world.write("d/e/b", b"b")
    assert endings(world.apply(world.swap("d/e/b", "d"))) == [Ending.STALE]
    assert world.tree() == {"d": None, "d/e": None, "d/e/b": b"b"}


def test_a_directory_whose_path_is_unknown_is_looked_at_again(world: World) -> None:
    assignment = replace(world.download("a", b"a"), target=DirRef(("no", "such"), 1, 2))
    assert endings(world.apply(assignment)) == [Ending.STALE]


def test_a_case_only_rename_goes_through_the_trash_entry_where_cases_are_one(world: World) -> None:
    world.write("name", b"x")
    world.fs.folds = True
    assert endings(world.apply(world.move("name", "NAME"))) == [Ending.DONE]
    assert world.tree() == {"NAME": b"x"}
    assert world.trash() == []


def test_p4_a_case_only_rename_survives_a_crash_at_any_call(memory_path: Path) -> None:
    for crash_at in range(1, 200):
        world = World(memory_path / f"{crash_at}", crash_at)
        world.write("name", b"x")
        world.fs.folds = True
        assignment = world.move("name", "NAME")
        try:
            world.apply(assignment)
        except Crash:
            if endings(world.recover(assignment)) == [Ending.NOT_DONE]:
                assert world.tree() == {"name": b"x"}, crash_at
                assert endings(world.apply(world.renewed(assignment), plain=True)) == [Ending.DONE]
            assert world.tree() == {"NAME": b"x"}, crash_at
            continue
        return
    pytest.fail("it never ran without a crash")


def test_p10_a_twin_in_another_case_is_not_the_file_that_was_expected(world: World) -> None:
    world.write("name", b"x")
    assignment = world.delete("name")
    os.rename(world.root / "name", world.root / "NAME")
    world.fs.folds = True
    assert endings(world.apply(assignment)) == [Ending.STALE]
    assert world.tree() == {"NAME": b"x"}
