"""The last moment before a change, and odd ops: nothing is done that was not planned, and nothing is lost."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from execute_world import NOW_NS, World, endings

from syncd.execute.applying import groups_of, work_for
from syncd.execute.dirs import Dirs
from syncd.execute.placing import MOST_NUMBERS, Placing, is_known, set_aside
from syncd.execute.runner import Limits
from syncd.execute.trash import Info, entry_of, info_for, write_info
from syncd.model.conflict import conflicted_name
from syncd.model.errors import Outdated
from syncd.model.job import Assignment
from syncd.model.node import Kind
from syncd.model.observation import Ending
from syncd.model.op import OpType

COPY = "a (conflicted copy, laptop, 2027-01-15 080000).txt"


def at_call(world: World, call: str, do: Callable[[], object]) -> None:
    """Do something right before the first *call*."""
    waiting = [do]

    def before(name: str) -> None:
        if name == call and waiting:
            waiting.pop()()

    world.fs.before = before


def changed(assignment: Assignment, **fields: object) -> Assignment:
    return replace(assignment, op=replace(assignment.op, **fields))


# --- groups ---


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [
        pytest.param({"group_ops": 2}, [2, 2, 1], id="so many at once"),
        pytest.param({"group_bytes": 6}, [1, 3, 1], id="so many bytes at once; a mkdir has none"),
        pytest.param({}, [5], id="all at once"),
    ],
)
def test_a_job_is_cut_into_groups(world: World, limits: dict[str, int], sizes: list[int]) -> None:
    world.limits = Limits(free_floor_bytes=0, window_bytes=128 << 10, **limits)
    ops = [world.download(f"{number}.txt", b"four") for number in range(2)]
    ops.append(world.assign(world.op(OpType.LOCAL_MKDIR, Kind.DIRECTORY), "d"))
    ops.append(world.download("2.txt", b"4"))
    ops.append(world.download("3.txt", b"four"))
    assert [len(group) for group in groups_of(world.runner()._tools, ops)] == sizes
    assert endings(world.apply(*ops)) == [Ending.DONE] * 5


def test_an_op_on_the_remote_is_not_carried_out_here(world: World) -> None:
    world.write("a.txt", b"x")
    with pytest.raises(ValueError, match="no op on this folder"):
        work_for(world.runner()._tools, world.upload("a.txt"))


def test_p8_a_root_that_goes_before_the_change_ends_the_whole_group_and_nothing_is_changed(world: World) -> None:
    world.write("a.txt", b"x")
    world.write("b.txt", b"y")
    ops = [world.delete("a.txt"), world.delete("b.txt")]
    at_call(world, "prove", (world.root / ".syncd" / "root.json").unlink)
    results = world.apply(*ops, prove=True)
    assert [(result.ending, result.error_class) for result in results] == [(Ending.RETRY, "root gone")] * 2
    assert world.tree() == {"a.txt": b"x", "b.txt": b"y"}


# --- ops that say too little, or too late ---


def swap(world: World) -> Assignment:
    world.write("b.txt", b"b")
    return world.swap("a.txt", "b.txt")


def chmod(world: World) -> Assignment:
    return world.assign(world.op(OpType.LOCAL_CHMOD, expected=world.fingerprint("a.txt")), "a.txt", "a.txt")


ODD = {
    "a download of what is not known": lambda world: changed(world.download("a.txt", b"new"), hash=None),
    "a download to where something is already": lambda world: changed(
        world.download("a.txt", b"new"), expected=None, source=None
    ),
    "a download into a directory that is not known": lambda world: replace(
        world.download("new.txt", b"new"), target=None
    ),
    "a swap without a source": lambda world: changed(swap(world), source=None),
    "a swap whose partner went": lambda world: gone(world, swap(world), "b.txt"),
    "a swap whose partner was edited": lambda world: edited(world, swap(world), "b.txt"),
    "a chmod of what is not known": lambda world: changed(chmod(world), expected=None),
}


def gone(world: World, assignment: Assignment, name: str) -> Assignment:
    (world.root / name).unlink()
    return assignment


def edited(world: World, assignment: Assignment, name: str) -> Assignment:
    world.write(name, b"edited", NOW_NS)
    return assignment


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_p6_what_does_not_fit_does_nothing(world: World, make: Callable[[World], Assignment]) -> None:
    world.write("a.txt", b"a")
    assignment = make(world)
    before = world.tree()
    assert endings(world.apply(assignment)) == [Ending.STALE]
    assert world.tree() == before


def test_p6_what_was_never_staged_is_never_placed(world: World) -> None:
    work = Placing(world.runner()._tools, world.download("a.txt", b"new"))
    with Dirs(world.real) as dirs, pytest.raises(Outdated, match="nothing was staged"):
        work.record(dirs)


def test_p4_the_content_of_an_earlier_attempt_is_not_written_over(world: World) -> None:
    world.write("a.txt", b"old")
    assignment = world.download("a.txt", b"new")
    with Dirs(world.real) as dirs:
        entry = entry_of(dirs, assignment.key)
        info = info_for(assignment, ("a.txt",), 0.0, None, remote_keeps=False)
        write_info(entry, info)
        write_info(entry, info)  # again is fine as long as it holds nothing
        entry.create("data").close()
        with pytest.raises(Outdated, match="earlier attempt"):
            write_info(entry, info)


def test_p6_a_thousand_conflicted_copies_are_enough(world: World) -> None:
    world.write("a.txt", b"mine")
    for number in range(1, MOST_NUMBERS):
        world.write(conflicted_name("a.txt", "laptop", world.clock.now(), number), b"")
    with Dirs(world.real) as dirs, world.real.open_dir(()) as directory:
        entry = dirs.own("trash", "ab")
        directory.rename_new("a.txt", entry, "data")
        with pytest.raises(Outdated, match="a thousand"):
            set_aside(world.runner()._tools, entry, directory, "a.txt", None)
        assert entry.stat("data") is not None


# --- what was displaced ---


def become_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def test_p6_a_directory_that_took_the_files_name_is_set_aside_with_what_is_in_it(world: World) -> None:
    world.write("a.txt", b"old")
    assignment = world.download("a.txt", b"new")

    def replaced() -> None:
        become_directory(world.root / "a.txt")
        world.write("a.txt/inside", b"mine")

    at_call(world, "exchange", replaced)
    (result,) = world.apply(assignment)
    assert result.ending is Ending.DONE
    assert world.tree() == {"a.txt": b"new", COPY: None, f"{COPY}/inside": b"mine"}


def test_p6_a_directory_among_what_was_expected_is_told_by_its_inode(world: World) -> None:
    """A directory op that displaced another directory than the expected one: there is no content to compare."""
    (world.root / "d").mkdir()
    (world.root / "e").mkdir()
    info = Info("", "", OpType.DOWNLOAD, Kind.DIRECTORY, ("d",), 0.0, 0, "", world.fingerprint("d"), "", None, False)
    with world.real.open_dir(()) as directory:
        known = [is_known(directory, stat, info, doubt=True) for name in "de" if (stat := directory.stat(name))]
    assert known == [True, False]


def test_p1_what_a_person_took_out_of_the_trash_entry_needs_no_judging(world: World) -> None:
    world.write("a.txt", b"old")
    assignment = world.download("a.txt", b"new")

    def taken() -> None:
        entry = world.root / ".syncd" / "trash" / assignment.key.hex()
        os.rename(entry / "data", world.root / "mine again")

    seen: list[str] = []

    def before(name: str) -> None:
        if "exchange" in seen and name == "make_durable":
            taken()
            seen.clear()
        seen.append(name)

    world.fs.before = before
    (result,) = world.apply(assignment)
    assert (result.ending, result.displaced) == (Ending.DONE, ())
    assert world.tree() == {"a.txt": b"new", "mine again": b"old"}
    assert world.trash() == []


def test_p7_an_edit_moved_by_a_delete_goes_beside_a_new_file_with_its_name(world: World) -> None:
    world.write("a.txt", b"old")
    assignment = world.delete("a.txt")
    calls: list[str] = []

    def before(name: str) -> None:
        calls.append(name)
        # the info's rename comes first, then that of the file itself
        if calls.count("rename_new") == 2 and name == "rename_new":
            world.write("a.txt", b"edited", NOW_NS)
        if calls.count("rename_new") == 2 and name == "make_durable":
            world.write("a.txt", b"a new one", NOW_NS)

    world.fs.before = before
    (result,) = world.apply(assignment)
    assert result.ending is Ending.STALE
    assert world.tree() == {"a.txt": b"a new one", COPY: b"edited"}
    assert [each.name for each in result.displaced] == [COPY]


def test_what_goes_while_a_directory_is_looked_through_is_not_in_the_way(world: World) -> None:
    (world.root / "d").mkdir()
    world.write("d/gone", b"")
    assignment = world.assign(world.op(OpType.LOCAL_DELETE, Kind.DIRECTORY, expected=world.fingerprint("d")), "d", "d")
    calls: list[str] = []

    def before(name: str) -> None:
        calls.append(name)
        if calls[-2:] == ["names", "stat"] and (world.root / "d" / "gone").exists():
            (world.root / "d" / "gone").unlink()

    world.fs.before = before
    assert endings(world.apply(assignment)) == [Ending.LEFTOVER]  # looked at again: it is empty by then
    world.fs.before = lambda name: None
    assert endings(world.apply(world.renewed(assignment))) == [Ending.DONE]


def test_litter_of_a_second_attempt_joins_the_first(world: World) -> None:
    (world.root / "d").mkdir()
    world.write("d/.DS_Store", b"1")
    assignment = world.assign(world.op(OpType.LOCAL_DELETE, Kind.DIRECTORY, expected=world.fingerprint("d")), "d", "d")
    at_call(world, "rmdir", lambda: world.write("d/new", b"mine"))
    assert endings(world.apply(assignment)) == [Ending.STALE]
    (world.root / "d" / "new").unlink()
    world.write("d/Thumbs.db", b"2")
    assert endings(world.apply(assignment)) == [Ending.DONE]
    assert world.tree() == {}
    assert sorted(world.trash()) == [b"1", b"2"]


# --- moves ---


def test_p6_a_file_that_became_a_directory_while_it_was_moved_is_looked_at_again(world: World) -> None:
    world.write("a.txt", b"a")
    assignment = world.move("a.txt", "b.txt")
    at_call(world, "make_durable", lambda: become_directory(world.root / "b.txt"))
    assert endings(world.apply(assignment)) == [Ending.STALE]
    assert world.tree() == {"b.txt": None}


def test_p6_a_swap_whose_files_were_replaced_right_after_it_is_looked_at_again(world: World) -> None:
    world.write("a.txt", b"a")
    assignment = swap(world)

    def replaced() -> None:
        world.write("new", b"n")
        os.rename(world.root / "new", world.root / "a.txt")

    at_call(world, "make_durable", replaced)
    assert endings(world.apply(assignment)) == [Ending.STALE]
    assert world.tree() == {"a.txt": b"n", "b.txt": b"a"}


def test_p6_a_move_to_a_name_in_another_directory_that_is_taken_is_no_change_of_case(world: World) -> None:
    world.write("a.txt", b"a")
    world.write("d/a.txt", b"taken")
    assignment = world.move("a.txt", "d/a.txt")
    assert endings(world.apply(assignment)) == [Ending.STALE]
    assert world.tree() == {"a.txt": b"a", "d": None, "d/a.txt": b"taken"}


def test_p6_a_name_taken_in_the_middle_of_a_change_of_case_leads_to_a_conflicted_copy(world: World) -> None:
    world.write("a.txt", b"a")
    assignment = world.move("a.txt", "A.txt")
    world.fs.folds = True
    calls: list[str] = []

    def before(name: str) -> None:
        calls.append(name)
        if calls.count("rename_new") == 4 and name == "rename_new":
            world.write("A.txt", b"taken")

    world.fs.before = before
    world.apply(assignment)
    assert world.tree() == {"A.txt": b"taken", COPY.replace("a (", "A ("): b"a"}
    assert world.trash() == []


def test_the_bit_is_left_as_it_is_where_the_file_system_has_none(world: World) -> None:
    world.write("a.txt", b"old")
    world.fs.bits = False
    assert endings(world.apply(world.download("a.txt", b"new", executable=True))) == [Ending.DONE]
    assert not os.stat(world.root / "a.txt").st_mode & 0o100


def test_p6_a_swap_that_names_no_partner_file_needs_only_one_there(world: World) -> None:
    world.write("a.txt", b"a")
    assignment = changed(swap(world), partner_expected=None)
    (result,) = world.apply(assignment)
    assert result.ending is Ending.DONE
    assert result.partner_local is not None
    assert result.partner_local.fingerprint == world.fingerprint("a.txt")
    assert world.tree() == {"a.txt": b"b", "b.txt": b"a"}


def test_p4_an_op_that_was_done_already_is_not_done_again(world: World) -> None:
    world.write("a.txt", b"old")
    assignment = world.delete("a.txt")
    assert endings(world.apply(assignment)) == [Ending.DONE]
    assert endings(world.apply(assignment)) == [Ending.DONE]
    assert world.trash() == [b"old"]
