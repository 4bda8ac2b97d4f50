"""Two people at once: both edits survive, at most one conflicted copy for each truly concurrent edit."""

import pytest

from tests.end_to_end.harness import Device, World

Pair = tuple[World, Device, Device]


def apart(pair: Pair, *names: str) -> Pair:
    """Have some files in sync on both devices, and the hub gone: what follows is truly concurrent."""
    world, a, _b = pair
    for name in names:
        a.write(name, f"{name} as it began")
    world.settle()
    world.hub.stop()
    return pair


def together(world: World) -> None:
    world.hub.start()
    world.settle()


def test_p1_p2_one_concurrent_edit_makes_exactly_one_copy(pair: Pair) -> None:
    world, a, b = apart(pair, "report.odt", "other.txt")
    a.write("report.odt", "as a wrote it")
    b.write("report.odt", "as b wrote it")
    a.write("other.txt", "only a touched this")
    together(world)
    assert a.copies() == b.copies()
    (copy,) = a.copies()
    assert copy.startswith("report (conflicted copy, ")
    assert copy.endswith(").odt")
    assert {a.read("report.odt"), a.read(copy)} == {"as a wrote it", "as b wrote it"}
    shown = a.conflicts() + b.conflicts()
    assert [row["path"] for row in shown] == ["report.odt"]
    loser = a if a.conflicts() else b
    world.check_all(waits=[loser])
    loser.fine("resolve", "all")
    assert not loser.conflicts()
    world.check_all()


def test_p1_p2_the_same_edit_on_both_sides_is_no_conflict(pair: Pair) -> None:
    world, a, b = apart(pair, "report.odt")
    for device in (a, b):
        device.write("report.odt", "the very same words")
        device.write("new.txt", "made on both, equal")
        device.write("folder/in both.txt", "equal, too")
    together(world)
    assert not a.copies() + b.copies()
    world.check_all()


def test_p1_p2_new_files_of_one_name_both_survive(pair: Pair) -> None:
    world, a, b = apart(pair, "first")
    a.write("new.txt", "by a")
    b.write("new.txt", "by b")
    together(world)
    (copy,) = a.copies()
    assert {b.read("new.txt"), b.read(copy)} == {"by a", "by b"}
    world.check_all(waits=[a if a.conflicts() else b])


def test_p7_an_edit_beats_a_delete(pair: Pair) -> None:
    world, a, b = apart(pair, "edited here.txt", "folder/edited there.txt", "folder/untouched.txt")
    a.remove("folder")
    a.write("edited here.txt", "a still needs this")
    b.remove("edited here.txt")
    b.write("folder/edited there.txt", "b still needs this")
    together(world)
    assert b.read("edited here.txt") == "a still needs this"
    assert a.read("folder/edited there.txt") == "b still needs this"
    assert "folder/untouched.txt" not in a.names()
    assert not a.copies() + b.copies()
    world.check_all(waits=[device for device in (a, b) if device.conflicts()])


def test_p2_renames_of_one_file_on_both_sides_end_at_one_name(pair: Pair) -> None:
    world, a, b = apart(pair, "plan.txt")
    a.rename("plan.txt", "plan of a.txt")
    b.rename("plan.txt", "plan of b.txt")
    together(world)
    assert len(a.names()) == 1
    assert a.names()[0] in ("plan of a.txt", "plan of b.txt")
    world.check_all()


def test_p1_p2_a_rename_and_an_edit_of_one_file_meet(pair: Pair) -> None:
    world, a, b = apart(pair, "plan.txt", "folder/deep/file.txt")
    a.rename("plan.txt", "plan, renamed.txt")
    a.rename("folder", "moved")
    b.write("plan.txt", "edited under its old name")
    b.write("folder/deep/file.txt", "edited in the old folder")
    together(world)
    assert a.read("plan, renamed.txt") == "edited under its old name"
    assert b.read("moved/deep/file.txt") == "edited in the old folder"
    assert not a.copies() + b.copies()
    world.check_all()


def test_p1_p2_two_names_for_one_place(pair: Pair) -> None:
    world, a, b = apart(pair, "one.txt", "two.txt")
    a.rename("one.txt", "same.txt")
    b.rename("two.txt", "same.txt")
    together(world)
    assert len(a.names()) == 2
    assert "same.txt" in a.names()
    world.check_all(waits=[device for device in (a, b) if device.conflicts()])


def test_p1_p2_moves_that_close_a_cycle_across_two_devices(pair: Pair) -> None:
    world, a, b = apart(pair, "north/n.txt", "south/s.txt")
    a.rename("north", "south/north")
    b.rename("south", "north/south")
    together(world)
    files = {name.rpartition("/")[2] for name in a.names()}
    assert {"n.txt", "s.txt"} <= files
    assert len([name for name in a.names() if name.endswith(".txt")]) == 2
    world.check_all(waits=[device for device in (a, b) if device.conflicts()])


@pytest.mark.parametrize("side", ["a", "b"], ids=["file first", "folder first"])
def test_p1_p2_a_file_and_a_folder_of_one_name(pair: Pair, side: str) -> None:
    world, a, b = apart(pair, "first")
    one, other = (a, b) if side == "a" else (b, a)
    one.write("thing", "a file")
    other.write("thing/inside.txt", "in a folder")
    together(world)
    texts = {a.read(name) for name in a.names() if a.path(name).is_file()}
    assert {"a file", "in a folder"} <= texts
    assert "thing" in a.names()
    world.check_all(waits=[device for device in (a, b) if device.conflicts()])


def test_p1_p2_two_devices_edit_the_same_conflicted_copy(pair: Pair) -> None:
    world, a, b = apart(pair, "report.odt")
    a.write("report.odt", "as a wrote it")
    b.write("report.odt", "as b wrote it")
    together(world)
    (copy,) = a.copies()
    world.hub.stop()
    a.write(copy, "the copy, merged by a")
    b.write(copy, "the copy, merged by b")
    together(world)
    assert len(a.copies()) == 2
    for name in a.copies():
        assert name.count("conflicted copy") == 1, "a copy of a copy is named after the original"
    assert {a.read(name) for name in a.copies()} == {"the copy, merged by a", "the copy, merged by b"}
    world.check_all(waits=[device for device in (a, b) if device.conflicts()])


def test_p1_p2_three_devices_edit_one_file(pair: Pair) -> None:
    world, a, b = pair
    c = world.device("c")
    a.write("shared.txt", "as it began")
    world.settle()
    world.hub.stop()
    for device in (a, b, c):
        device.write("shared.txt", f"by {device.name}")
    together(world)
    assert len(a.copies()) == 2
    assert {a.read(name) for name in a.names()} == {"by a", "by b", "by c"}
    world.check_all(waits=[device for device in (a, b, c) if device.conflicts()])


def test_p2_a_move_there_and_a_delete_of_its_old_folder_here(pair: Pair) -> None:
    world, a, b = apart(pair, "folder/keep.txt", "folder/go.txt", "elsewhere/x.txt")
    a.rename("folder/keep.txt", "elsewhere/keep.txt")
    b.remove("folder")
    together(world)
    assert "folder/go.txt" not in a.names()
    world.check_all(waits=[device for device in (a, b) if device.conflicts()])


def test_p1_p2_work_goes_into_a_folder_that_is_deleted_elsewhere(pair: Pair) -> None:
    world, a, b = apart(pair, "folder/old.txt", "folder/sub/older.txt")
    a.remove("folder")
    b.write("folder/sub/new.txt", "b just began this")
    together(world)
    assert a.read("folder/sub/new.txt") == "b just began this"
    assert "folder/old.txt" not in b.names()
    world.check_all(waits=[device for device in (a, b) if device.conflicts()])
