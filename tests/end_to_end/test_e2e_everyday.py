"""What people do all day, between real processes: P1, P2 and P3 after each."""

import os
import random
import stat
from collections.abc import Callable

import pytest

from tests.end_to_end.harness import Device, World

Pair = tuple[World, Device, Device]

START = {
    "plan.txt": "one",
    "notes/today.md": "two",
    "notes/deep/er/old.md": "three",
    "photos/a.jpg": "four",
    "photos/b.jpg": "five",
    "empty": "",
}


def begin(pair: Pair) -> Pair:
    """Have the same small tree on both devices."""
    world, a, b = pair
    for name, content in START.items():
        a.write(name, content)
    world.settle()
    assert b.names() == a.names()
    return pair


def edit(device: Device) -> list[str]:
    device.write("plan.txt", "one, changed")
    return ["plan.txt"]


def shorten_and_grow(device: Device) -> list[str]:
    device.write("notes/today.md", "")
    device.write("photos/a.jpg", "four" * 50_000)
    return ["notes/today.md", "photos/a.jpg"]


def rename_file(device: Device) -> list[str]:
    device.rename("plan.txt", "plan (final).txt")
    return ["plan (final).txt"]


def rename_and_edit(device: Device) -> list[str]:
    device.rename("plan.txt", "notes/plan.txt")
    device.write("notes/plan.txt", "moved and changed")
    return ["notes/plan.txt"]


def rename_folder(device: Device) -> list[str]:
    device.rename("notes", "papers")
    return ["papers/deep/er/old.md", "papers/today.md"]


def move_folder_into_new(device: Device) -> list[str]:
    device.rename("notes/deep", "archive/2026/deep")
    return ["archive/2026/deep/er/old.md", "notes/today.md"]


def delete_file_and_folder(device: Device) -> list[str]:
    device.remove("plan.txt")
    device.remove("notes/deep")
    return ["notes/today.md"]


def file_becomes_folder(device: Device) -> list[str]:
    device.remove("plan.txt")
    device.write("plan.txt/part one", "now a folder")
    return ["plan.txt/part one"]


def folder_becomes_file(device: Device) -> list[str]:
    device.remove("notes")
    device.write("notes", "now a file")
    return ["notes"]


def file_becomes_symlink(device: Device) -> list[str]:
    device.remove("plan.txt")
    device.link("plan.txt", "notes/today.md")
    return ["plan.txt"]


def swap_files(device: Device) -> list[str]:
    device.rename("photos/a.jpg", "photos/x.jpg")
    device.rename("photos/b.jpg", "photos/a.jpg")
    device.rename("photos/x.jpg", "photos/b.jpg")
    return ["photos/a.jpg", "photos/b.jpg"]


def swap_folders(device: Device) -> list[str]:
    device.rename("photos", "swap")
    device.rename("notes", "photos")
    device.rename("swap", "notes")
    return ["notes/a.jpg", "photos/today.md"]


def turn_folders_inside_out(device: Device) -> list[str]:
    device.rename("notes/deep", "outer")
    device.rename("notes", "outer/notes")
    return ["outer/er/old.md", "outer/notes/today.md"]


def executable(device: Device) -> list[str]:
    path = device.path("plan.txt")
    path.chmod(path.stat().st_mode | 0o111)
    device.touched = True
    return ["plan.txt"]


def symlinks(device: Device) -> list[str]:
    device.link("absolute", "/etc/hostname")
    device.link("dangling", "nowhere/at all")
    device.link("to a folder", "notes")
    device.link("notes/up", "..")
    return ["absolute", "dangling", "notes/up", "to a folder"]


def retarget_symlink(device: Device) -> list[str]:
    device.link("pointer", "plan.txt")
    device.remove("pointer")
    device.link("pointer", "photos/a.jpg")
    return ["pointer"]


def many_small(device: Device) -> list[str]:
    for index in range(300):
        device.write(f"many/{index % 7}/{index}.txt", f"small {index}")
    return ["many/0/0.txt", "many/5/299.txt"]


def empty_folders(device: Device) -> list[str]:
    device.folder("void/in/void")
    return ["void/in/void"]


def old_mtime(device: Device) -> list[str]:
    device.write("from 1970", "odd timestamps neither block nor decide")
    os.utime(device.path("from 1970"), (0, 0))
    device.write("from 2100", "nor those ahead")
    os.utime(device.path("from 2100"), (4_102_444_800, 4_102_444_800))
    return ["from 1970", "from 2100"]


CHANGES = [
    edit,
    shorten_and_grow,
    rename_file,
    rename_and_edit,
    rename_folder,
    move_folder_into_new,
    delete_file_and_folder,
    file_becomes_folder,
    folder_becomes_file,
    file_becomes_symlink,
    swap_files,
    swap_folders,
    turn_folders_inside_out,
    executable,
    symlinks,
    retarget_symlink,
    many_small,
    empty_folders,
    old_mtime,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.replace("_", " "))
def test_p1_p2_p3_what_is_done_here_appears_there(pair: Pair, change: Callable[[Device], list[str]]) -> None:
    world, a, b = begin(pair)
    expected = change(a)
    world.settle()
    for name in expected:
        assert name in b.names()
    assert not a.copies() + b.copies()
    world.check_all()


@pytest.mark.parametrize("away", ["a", "b", "hub"], ids=["writer stopped", "reader stopped", "hub down"])
def test_p1_p2_p3_everything_done_while_one_was_away_arrives(pair: Pair, away: str) -> None:
    world, a, b = begin(pair)
    parts = {"a": a, "b": b, "hub": world.hub}
    parts[away].stop()
    rename_folder(a)
    edit(a)
    swap_files(a)
    symlinks_at_top = ["absolute", "dangling"]
    a.link("absolute", "/etc/hostname")
    a.link("dangling", "nowhere")
    a.remove("empty")
    many_small(a)
    parts[away].start()
    world.settle()
    assert set(symlinks_at_top) <= set(b.names())
    assert "papers/deep/er/old.md" in b.names()
    assert "empty" not in b.names()
    assert not a.copies() + b.copies()
    world.check_all()


def test_p1_p2_p3_both_sides_work_on_different_files_while_offline(pair: Pair) -> None:
    world, a, b = begin(pair)
    world.hub.stop()
    a.write("plan.txt", "edited at a")
    a.rename("photos/a.jpg", "photos/holiday.jpg")
    b.write("notes/today.md", "edited at b")
    b.remove("empty")
    b.write("new/from b", "hello")
    world.hub.start()
    world.settle()
    assert a.read("notes/today.md") == "edited at b"
    assert b.read("plan.txt") == "edited at a"
    assert "photos/holiday.jpg" in b.names()
    assert not a.copies() + b.copies()
    world.check_all()


def test_p2_three_devices_and_one_that_joins_late(pair: Pair) -> None:
    world, a, b = begin(pair)
    c = world.device("c")
    world.settle()
    a.write("from a", "1")
    b.rename("notes", "papers")
    c.write("photos/c.jpg", "3")
    c.remove("empty")
    world.settle()
    assert {"from a", "papers/today.md", "photos/c.jpg"} <= set(a.names())
    assert not a.copies() + b.copies() + c.copies()
    world.check_all()


@pytest.mark.slow
def test_p1_p2_a_large_file_arrives_and_an_edit_in_it_moves_little(pair: Pair) -> None:
    world, a, b = pair
    data = random.Random(1).randbytes(50 << 20)
    a.write("large.bin", data, executable=True)
    world.settle()
    assert b.path("large.bin").read_bytes() == data
    assert b.path("large.bin").stat().st_mode & stat.S_IXUSR
    stored = _bytes_in(world)
    a.write("large.bin", data[: 25 << 20] + b"!" + data[25 << 20 :], executable=True)
    world.settle()
    assert _bytes_in(world) - stored < 8 << 20
    world.check_all()


def test_p3_a_second_run_once_plans_nothing_and_opens_no_file(pair: Pair) -> None:
    world, a, b = begin(pair)
    a.stop()
    a.fine("run", "--once", "--timeout", "60")
    head = world.hub.head()
    before = {path: os.stat(a.path(path)).st_atime_ns for path in START}
    for path in START:
        # An access time older than the content's makes the file system note the next read (relatime).
        os.utime(a.path(path), ns=(0, a.path(path).stat().st_mtime_ns))
        before[path] = os.stat(a.path(path)).st_atime_ns
    a.fine("run", "--once", "--timeout", "60")
    settled = a.fine("run", "--once", "--timeout", "60", "--log-level", "info")
    assert world.hub.head() == head
    assert "in sync" in settled.out
    assert "nothing to do" in a.fine("plan").out
    a.start()
    world.check_all()


def test_mtime_and_mode_travel_with_new_content(pair: Pair) -> None:
    world, a, b = begin(pair)
    a.write("report", "content")
    os.utime(a.path("report"), ns=(1_600_000_000_000_000_000, 1_600_000_000_000_000_000))
    world.settle()
    assert b.path("report").stat().st_mtime_ns == 1_600_000_000_000_000_000
    b.path("report").chmod(0o640)
    a.write("report", "content again")
    world.settle()
    assert stat.S_IMODE(b.path("report").stat().st_mode) == 0o640
    world.check_all()


def _bytes_in(world: World) -> int:
    """Return how much the hub stores."""
    return sum(path.stat().st_size for path in (world.hub.data / "chunks").rglob("*") if path.is_file())
