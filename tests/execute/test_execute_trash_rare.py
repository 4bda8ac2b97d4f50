"""The trash when things go at the wrong moment: restored all the same, or said in one line; swept only by name."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from execute_world import NOW, World, endings

from syncd.execute.dirs import Dirs
from syncd.execute.placing import MOST_NUMBERS
from syncd.execute.trash import entry_of, info_for, write_info
from syncd.execute.trashcan import trash_list, trash_restore
from syncd.model.errors import Usage
from syncd.model.job import SweepJob
from syncd.model.node import Kind
from syncd.model.observation import Ending
from syncd.model.op import OpType

DAY = 86400.0


def deleted(world: World, path: str, content: bytes = b"old") -> str:
    world.write(path, content)
    assignment = world.delete(path)
    assert endings(world.apply(assignment)) == [Ending.DONE]
    return assignment.key.hex()


def entry_folder(world: World, key: str) -> Path:
    return world.root / ".syncd" / "trash" / key


def at_call(world: World, call: str, do: Callable[[], object]) -> None:
    waiting = [do]

    def before(name: str) -> None:
        if name == call and waiting:
            waiting.pop()()

    world.fs.before = before


# --- restoring ---


def test_the_list_shows_only_what_a_person_could_want_back(world: World) -> None:
    deleted(world, "a.txt")
    trash = world.root / ".syncd" / "trash"
    (trash / "no key").mkdir()
    (trash / "abc").mkdir()
    (trash / "ab").mkdir()
    unknown = trash / "cd"
    unknown.mkdir()
    (unknown / "data").write_bytes(b"who knows")
    ours = world.download("b.txt", b"new")
    with Dirs(world.real) as dirs:
        entry = entry_of(dirs, ours.key)
        with entry.create("data") as file:
            stat = file.stat()
        entry.rename_new("data", entry, "aside")
        write_info(entry, info_for(ours, ("b.txt",), 0.0, stat.fingerprint, remote_keeps=False))
        entry.rename_new("aside", entry, "data")
    assert [(each.path, each.cause) for each in trash_list(world.real)] in (
        [(("a.txt",), OpType.LOCAL_DELETE), (None, None)],
        [(None, None), (("a.txt",), OpType.LOCAL_DELETE)],
    )


def test_unknown_content_is_restored_under_a_plain_name(world: World) -> None:
    unknown = entry_folder(world, "cd" * 8)
    unknown.mkdir(parents=True)
    (unknown / "data").write_bytes(b"who knows")
    assert trash_restore(world.real, "cd" * 8) == ("restored cdcdcdcd",)
    assert world.tree() == {"restored cdcdcdcd": b"who knows"}


def test_an_entry_that_is_empty_by_now_is_one_clear_error(world: World) -> None:
    entry_folder(world, "ab" * 8).mkdir(parents=True)
    with pytest.raises(Usage, match="empty by now"):
        trash_restore(world.real, "ab" * 8)


def test_a_folder_somebody_made_meanwhile_is_used(world: World) -> None:
    key = deleted(world, "d/a.txt")
    (world.root / "d").rmdir()
    at_call(world, "mkdir", (world.root / "d").mkdir)
    assert trash_restore(world.fs, key) == ("d", "a.txt")
    assert world.tree() == {"d": None, "d/a.txt": b"old"}


def test_p10_a_folder_that_is_a_file_or_symlink_now_is_not_restored_through(world: World, tmp_path: Path) -> None:
    key = deleted(world, "d/a.txt")
    (world.root / "d").rmdir()
    (world.root / "d").symlink_to(tmp_path)
    with pytest.raises(Usage, match="no folder any more"):
        trash_restore(world.real, key)
    assert world.trash() == [b"old"]


def test_what_left_the_trash_just_now_is_one_clear_error(world: World) -> None:
    key = deleted(world, "a.txt")
    at_call(world, "rename_new", (entry_folder(world, key) / "data").unlink)
    with pytest.raises(Usage, match="just now"):
        trash_restore(world.fs, key)


@pytest.mark.parametrize(
    ("name", "restored"),
    [
        ("a.txt", "a (restored).txt"),
        ("README", "README (restored)"),
        (".bashrc", ".bashrc (restored)"),
        (f"a.{'x' * 40}", f"a.{'x' * 40} (restored)"),
    ],
)
def test_a_restored_name_keeps_what_looks_like_an_extension(world: World, name: str, restored: str) -> None:
    key = deleted(world, name)
    world.write(name, b"new")
    assert trash_restore(world.real, key) == (restored,)


def test_a_thousand_restored_copies_are_enough(world: World) -> None:
    key = deleted(world, "a.txt")
    world.write("a.txt", b"")
    world.write("a (restored).txt", b"")
    for number in range(2, MOST_NUMBERS):
        world.write(f"a (restored) {number}.txt", b"")
    with pytest.raises(Usage, match="a thousand"):
        trash_restore(world.real, key)
    assert world.trash() == [b"old"]


# --- sweeping ---


def test_p8_without_the_root_nothing_is_swept(world: World) -> None:
    deleted(world, "a.txt")
    (world.root / ".syncd" / "root.json").unlink()
    swept = world.sweep(after=90 * DAY)
    assert (swept.dropped, swept.bytes_kept) == (0, 0)
    assert world.trash() == [b"old"]


def test_what_cannot_be_tended_now_is_kept_and_the_rest_goes_on(world: World) -> None:
    deleted(world, "b.txt")
    (world.root / ".syncd" / "trash" / ("00" * 16)).write_bytes(b"no folder")
    (world.root / ".syncd" / "trash" / "no key").mkdir()
    assert world.sweep(after=90 * DAY).dropped == 1


def test_an_entry_of_a_moment_ago_is_left_to_its_op(world: World) -> None:
    deleted(world, "a.txt")
    swept = world.sweep(after=1.0)
    assert (swept.dropped, swept.bytes_kept) == (0, 3)
    assert world.trash() == [b"old"]


def test_an_empty_entry_of_a_moment_ago_holds_no_bytes(world: World) -> None:
    assignment = world.download("a.txt", b"new")
    with Dirs(world.real) as dirs:
        info = info_for(assignment, ("a.txt",), NOW, None, remote_keeps=False)
        write_info(entry_of(dirs, assignment.key), info)
    assert world.sweep(after=1.0).bytes_kept == 0
    world.sweep(after=100.0)
    assert os.listdir(world.root / ".syncd" / "trash") == []


def folder_entry(world: World, cause: OpType, kind: Kind, path: tuple[str, ...]) -> Path:
    """Make an entry that holds a folder with a file and a folder in it; the info says *kind*."""
    assignment = world.assign(world.op(cause, kind), path[-1])
    with Dirs(world.real) as dirs:
        write_info(entry_of(dirs, assignment.key), info_for(assignment, path, NOW, None, remote_keeps=False))
    data = entry_folder(world, assignment.key.hex()) / "data"
    (data / "below").mkdir(parents=True)
    (data / "below" / ".DS_Store").write_bytes(b"1")
    (data / "link").symlink_to("/")
    return data


def test_p10_a_folder_past_its_retention_goes_with_all_below_it_and_no_link_is_followed(world: World) -> None:
    data = folder_entry(world, OpType.LOCAL_DELETE, Kind.DIRECTORY, ("d",))
    swept = world.sweep(after=29 * DAY)
    assert (swept.dropped, swept.bytes_kept, data.exists()) == (0, 0, True)
    assert world.sweep(after=2 * DAY).dropped == 1
    assert not data.parent.exists()


def test_p1_a_folder_nobody_expected_comes_back_beside_its_name(world: World) -> None:
    folder_entry(world, OpType.CONFLICT, Kind.FILE, ("d",))
    (copy,) = world.sweep().late
    assert set(world.tree()) == {copy.name, f"{copy.name}/below", f"{copy.name}/below/.DS_Store", f"{copy.name}/link"}


def test_p1_what_nobody_expected_waits_when_its_folder_is_gone(world: World) -> None:
    data = folder_entry(world, OpType.CONFLICT, Kind.FILE, ("gone", "d"))
    swept = world.sweep()
    assert (swept.late, swept.dropped, data.exists()) == ((), 0, True)
    assert world.sweep(after=31 * DAY).dropped == 1


def test_a_symlink_in_the_trash_has_no_late_writer(world: World) -> None:
    (world.root / "l").symlink_to("there")
    op = world.op(OpType.LOCAL_DELETE, Kind.SYMLINK, expected=world.fingerprint("l"))
    assert endings(world.apply(world.assign(op, "l", "l"))) == [Ending.DONE]
    assert world.sweep(after=31 * DAY).dropped == 1


def test_p1_where_no_writer_can_be_seen_content_waits_an_hour(world: World) -> None:
    deleted(world, "a.txt")
    world.fs.leases = False
    world.clock.time += 100.0
    sweep = world.runner().sweep
    assert sweep(SweepJob(world.clock.time, 30 * DAY, ())).bytes_kept == 3
    world.clock.time += 3600.0
    assert sweep(SweepJob(world.clock.time, 30 * DAY, ())).dropped == 1


def test_p4_what_a_crash_left_in_staging_goes_after_its_patience(world: World) -> None:
    world.write("a.txt", b"old")
    assignment = world.download("a.txt", b"new")
    with Dirs(world.real) as dirs:
        name = f"{assignment.op.hash.hex()}.{assignment.key.hex()}.00000000"  # type: ignore[union-attr]
        dirs.own("staging").create(name).close()
        dirs.own("staging").create("of a person").close()
    folder = world.root / ".syncd" / "staging"
    world.clock.time = os.stat(folder / name).st_ctime
    assert world.sweep(after=10.0).dropped == 0
    assert sorted(os.listdir(folder)) == sorted([name, "of a person"])
    world.sweep(after=2 * DAY, running=(assignment.key,))
    assert os.listdir(folder) == [name], "what is no name of ours waits in the trash now"
    assert world.sweep(after=0.0).dropped == 1
    assert os.listdir(folder) == []


def test_what_leaves_staging_while_it_is_listed_needs_no_tending(world: World) -> None:
    with Dirs(world.real) as dirs:
        dirs.own("staging").create("of a person").close()
    world.fs.blind = True
    swept = world.runner().sweep(SweepJob(world.clock.time + 90 * DAY, 30 * DAY, ()))
    assert (swept.dropped, os.listdir(world.root / ".syncd" / "staging")) == (0, ["of a person"])
