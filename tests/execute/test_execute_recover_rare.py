"""After a crash, with little to go by: what cannot be told is told as not done, and nothing a person has is touched."""

import os
from collections.abc import Callable
from dataclasses import replace

import pytest
from execute_world import NOW_NS, PAST_NS, World, digest, endings

from syncd.execute.dirs import Dirs
from syncd.execute.placed import read_placed, sweep_placed
from syncd.execute.recover import recover_local
from syncd.execute.staging import part_name
from syncd.execute.trash import entry_of, info_for, take_back, write_info
from syncd.model.job import Assignment
from syncd.model.node import Kind
from syncd.model.observation import Ending
from syncd.model.op import OpType


def changed(assignment: Assignment, **fields: object) -> Assignment:
    return replace(assignment, op=replace(assignment.op, **fields))


def marked(world: World, executable: bool) -> Assignment:
    world.write("a.txt", b"a")
    op = world.op(OpType.LOCAL_CHMOD, expected=world.fingerprint("a.txt"), executable=executable)
    return world.assign(op, "a.txt", "a.txt")


def downloaded(world: World, **content: object) -> Assignment:
    """A download with no record anywhere, and something at its place."""
    assignment = world.download("a.txt", b"new")
    world.write("a.txt", content.get("data", b"new"), content.get("mtime_ns", PAST_NS + 7))  # type: ignore[arg-type]
    return assignment


def link(world: World, target: str) -> Assignment:
    assignment = world.download("l", b"there", kind=Kind.SYMLINK)
    (world.root / "l").symlink_to(target)
    return assignment


def made(world: World) -> Assignment:
    (world.root / "d").mkdir()
    return world.assign(world.op(OpType.LOCAL_MKDIR, Kind.DIRECTORY), "d")


def not_made(world: World, *, file: bool) -> Assignment:
    if file:
        world.write("d", b"mine")
    return world.assign(world.op(OpType.LOCAL_MKDIR, Kind.DIRECTORY), "d")


def moved(world: World) -> Assignment:
    world.write("a.txt", b"a")
    return world.move("a.txt", "b.txt")


def swapped(world: World, *, edit: bool = False) -> Assignment:
    world.write("a.txt", b"a")
    world.write("b.txt", b"b")
    assignment = world.swap("a.txt", "b.txt")
    with world.real.open_dir(()) as directory:
        directory.exchange("a.txt", directory, "b.txt")
    if edit:
        (world.root / "a.txt").write_bytes(b"edited")
    return assignment


def gone(world: World, assignment: Assignment) -> Assignment:
    (world.root / "b.txt").unlink()
    return assignment


def lost(world: World) -> Assignment:
    """The directory of the op is not where it was."""
    world.write("d/a.txt", b"x")
    assignment = world.delete("d/a.txt")
    os.rename(world.root / "d", world.root / "e")
    return assignment


SITUATIONS: dict[str, tuple[Callable[[World], Assignment], Ending]] = {
    "the bit is set": (lambda world: changed(marked(world, False)), Ending.DONE),
    "the bit is not set": (lambda world: marked(world, True), Ending.NOT_DONE),
    "a directory was made": (made, Ending.DONE),
    "nothing was made": (lambda world: not_made(world, file=False), Ending.NOT_DONE),
    "a file is where one was to be made": (lambda world: not_made(world, file=True), Ending.NOT_DONE),
    "the very content is there": (downloaded, Ending.DONE),
    "content of another size is there": (lambda world: downloaded(world, data=b"other"), Ending.NOT_DONE),
    "content of another time is there": (lambda world: downloaded(world, mtime_ns=NOW_NS), Ending.NOT_DONE),
    "other content of the same size and time is there": (lambda world: downloaded(world, data=b"NEW"), Ending.NOT_DONE),
    "the very symlink is there": (lambda world: link(world, "there"), Ending.DONE),
    "another symlink is there": (lambda world: link(world, "THERE"), Ending.NOT_DONE),
    "it was not moved": (moved, Ending.NOT_DONE),
    "it was swapped": (swapped, Ending.DONE),
    "it was swapped and then edited": (lambda world: swapped(world, edit=True), Ending.DONE),
    "a swap without a source": (lambda world: changed(swapped(world), source=None), Ending.NOT_DONE),
    "one of two swapped files went": (lambda world: gone(world, swapped(world)), Ending.NOT_DONE),
    "its directory went, who knows where": (lost, Ending.UNSURE),
    "its directory is gone": (lambda world: replace(lost(world), target=None, origin=None), Ending.NOT_DONE),
    "where it came from is gone": (lambda world: replace(swapped(world), origin=None), Ending.NOT_DONE),
    "an op on the remote": (lambda world: changed(moved(world), type=OpType.UPLOAD), Ending.UNSURE),
}


@pytest.mark.parametrize(("make", "ending"), SITUATIONS.values(), ids=SITUATIONS)
def test_p4_how_an_op_ended_is_seen_from_what_is_there(
    world: World, make: Callable[[World], Assignment], ending: Ending
) -> None:
    assignment = make(world)
    before = world.tree()
    (result,) = world.recover(assignment)
    assert result.ending is ending
    assert world.tree() == before


def test_p4_a_swapped_file_that_was_edited_since_is_seen_by_the_next_look(world: World) -> None:
    assignment = swapped(world, edit=True)
    (result,) = world.recover(assignment)
    assert result.partner_local is not None
    assert result.partner_local.fingerprint == assignment.op.partner_expected != world.fingerprint("a.txt")


def entry_with(world: World, assignment: Assignment, *, info: bool, data: bytes | None) -> None:
    """Make the op's trash entry as an interrupted attempt may have left it."""
    with Dirs(world.real) as dirs:
        entry = entry_of(dirs, assignment.key)
        if info:
            write_info(entry, info_for(assignment, assignment.path, 0.0, None, remote_keeps=False))
        if data is not None:
            with entry.create("data") as file:
                file.write(data)


def test_p4_an_entry_without_info_whose_target_is_as_expected_holds_what_was_staged(world: World) -> None:
    world.write("a.txt", b"old")
    assignment = world.download("a.txt", b"new")
    entry_with(world, assignment, info=False, data=b"new")
    assert endings(world.recover(assignment)) == [Ending.NOT_DONE]
    assert (world.tree(), world.trash()) == ({"a.txt": b"old"}, [])


def test_p1_an_entry_without_info_whose_target_is_another_holds_what_was_displaced(world: World) -> None:
    world.write("a.txt", b"old")
    assignment = world.download("a.txt", b"new")
    entry_with(world, assignment, info=False, data=b"a person's")
    world.write("a.txt", b"new", NOW_NS)
    (result,) = world.recover(assignment)
    assert (result.ending, result.local) == (Ending.DONE, None)
    (copy,) = result.displaced
    assert world.tree() == {"a.txt": b"new", copy.name: b"a person's"}


def test_p4_staged_content_that_the_power_took_is_nobodys(world: World) -> None:
    """Its names and its record were durable, its data were not: it became a conflicted copy, of nobody's edit."""
    world.write("a.txt", b"old")
    assignment = world.download("a.txt", b"new")
    with Dirs(world.real) as dirs:
        staged = world.write("staged", b"new")
        entry = entry_of(dirs, assignment.key)
        write_info(entry, info_for(assignment, ("a.txt",), 0.0, staged, remote_keeps=False))
        os.truncate(world.root / "staged", 0)
        with world.real.open_dir(()) as root:
            root.rename_new("staged", entry, "data")
    (result,) = world.recover(assignment)
    assert (result.ending, result.displaced) == (Ending.NOT_DONE, ())
    assert (world.tree(), world.trash()) == ({"a.txt": b"old"}, [])


@pytest.mark.parametrize("info", [True, False])
def test_p4_an_empty_entry_proves_nothing(world: World, info: bool) -> None:
    world.write("a.txt", b"old")
    assignment = world.download("a.txt", b"new")
    entry_with(world, assignment, info=info, data=None)
    assert endings(world.recover(assignment)) == [Ending.NOT_DONE]
    assert (world.tree(), world.trash()) == ({"a.txt": b"old"}, [])


def test_p4_a_placed_content_that_is_another_by_now_is_told_by_its_content(world: World) -> None:
    """Info names the inode that went to its place; neither that inode nor the displaced one is anywhere."""
    world.write("a.txt", b"old")
    assignment = world.download("a.txt", b"new")
    with Dirs(world.real) as dirs:
        staged = world.write("elsewhere", b"new")
        write_info(entry_of(dirs, assignment.key), info_for(assignment, ("a.txt",), 0.0, staged, remote_keeps=False))
    world.write("replaced", b"mine", NOW_NS)
    os.rename(world.root / "replaced", world.root / "a.txt")
    assert endings(world.recover(assignment)) == [Ending.NOT_DONE]
    assert world.tree() == {"a.txt": b"mine", "elsewhere": b"new"}


def test_p1_a_half_done_change_of_case_whose_name_was_taken_leaves_a_copy_and_is_looked_at_again(world: World) -> None:
    world.write("a.txt", b"mine")
    assignment = world.move("a.txt", "b.txt")
    with Dirs(world.real) as dirs, world.real.open_dir(()) as directory:
        directory.rename_new("a.txt", entry_of(dirs, assignment.key), "data")
    world.write("b.txt", b"taken")
    (result,) = world.recover(assignment)
    assert result.ending is Ending.STALE
    (copy,) = result.displaced
    assert world.tree() == {"b.txt": b"taken", copy.name: b"mine"}


def test_p8_a_root_that_is_gone_is_no_answer(world: World) -> None:
    assignment = downloaded(world)
    os.rename(world.root, world.root.with_name("away"))
    (result,) = world.recover(assignment)
    assert (result.ending, result.error_class) == (Ending.UNSURE, "root gone")


def test_p4_a_stale_end_takes_nothing_back(world: World) -> None:
    """Deleting moved an edit: it went back to its name, and the op is neither done nor undone."""
    world.write("a.txt", b"old")
    assignment = world.delete("a.txt")
    with Dirs(world.real) as dirs, world.real.open_dir(()) as directory:
        directory.rename_new("a.txt", entry_of(dirs, assignment.key), "data")
    path = world.root / ".syncd" / "trash" / assignment.key.hex() / "data"
    path.write_bytes(b"edited")
    world.write("a.txt", b"a new one")
    (result,) = world.recover(assignment)
    assert (result.ending, len(result.displaced)) == (Ending.STALE, 1)
    assert sorted(world.tree().values(), key=str) == [b"a new one", b"edited"]


# --- what is written down about placed files ---


def test_p4_records_of_placed_files_that_make_no_sense_are_passed_over(world: World) -> None:
    fingerprint = world.write("a.txt", b"new")
    folder = world.root / ".syncd" / "placed"
    key, other = b"k" * 16, b"o" * 16
    inode = {f: getattr(fingerprint, f) for f in ("dev", "ino", "mtime_ns", "ctime_ns", "size")}
    with Dirs(world.real) as dirs:
        dirs.own("placed")
        record = str({"at": 5.0, "staged": {"zz": inode, other.hex(): inode, key.hex(): inode}}).replace("'", '"')
        (folder / "1.json").write_text(record)
        (folder / "2.json").write_text('{"at": 5.0, "sta')
        (folder / "3.json").write_bytes(b"\xff\xfe")
        assert read_placed(dirs, {key}) == {key: fingerprint}
        sweep_placed(dirs, {key}, older_than=10.0)
        assert sorted(os.listdir(folder)) == ["1.json", "2.json", "3.json"]  # one is running, two are young
        sweep_placed(dirs, set(), older_than=0.0)
        assert sorted(os.listdir(folder)) == ["1.json", "2.json", "3.json"]
        sweep_placed(dirs, {b"x"}, older_than=2e10)
        assert os.listdir(folder) == []


def test_a_part_that_somebody_removed_is_as_good_as_removed(world: World) -> None:
    key = b"k" * 16
    name = part_name(digest(b"new"), key, world.chance)
    with Dirs(world.fs) as dirs:
        staging = dirs.own("staging")
        staging.create(name).close()
        world.fs.before = lambda call: (world.root / ".syncd/staging" / name).unlink() if call == "unlink" else None
        take_back(dirs, key, world.chance)
        assert staging.names() == []


def test_p4_a_clear_of_an_entry_that_holds_content_leaves_it(world: World) -> None:
    world.write("a.txt", b"old")
    assignment = world.download("a.txt", b"new")
    entry_with(world, assignment, info=True, data=b"somebody's")
    with Dirs(world.real) as dirs:
        take_back(dirs, assignment.key, world.chance)
    assert world.trash() == [b"somebody's"]


def test_p4_an_ours_without_info_goes_back_to_staging_under_no_content(world: World) -> None:
    assignment = world.download("a.txt", b"new")
    entry_with(world, assignment, info=False, data=b"new")
    with Dirs(world.real) as dirs:
        take_back(dirs, assignment.key, world.chance, ours=True, keep_parts=True)
        (name,) = dirs.own("staging").names()
        dirs.forget_own("nothing that is open")
    assert name.startswith("00" * 32 + "." + assignment.key.hex())


def test_recovering_by_hand_needs_no_record(world: World) -> None:
    assignment = replace(downloaded(world), target=None)
    with Dirs(world.real) as dirs:
        assert recover_local(world.runner()._tools, dirs, assignment).ending is Ending.NOT_DONE
