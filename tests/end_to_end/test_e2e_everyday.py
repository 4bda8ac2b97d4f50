"""What people do all day, between real processes: P1, P2 and P3 after each."""

from __future__ import annotations

import json
import os
import random
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.conftest import closing, opened
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


@dataclass(frozen=True, slots=True)
class Corner:
    """A folder of its own on one device, so that many small stories share two daemons as they do in life."""

    device: Device
    home: str

    def write(self, name: str, content: str) -> None:
        self.device.write(f"{self.home}/{name}", content)

    def rename(self, source: str, target: str) -> None:
        self.device.rename(f"{self.home}/{source}", f"{self.home}/{target}")

    def remove(self, name: str) -> None:
        self.device.remove(f"{self.home}/{name}")

    def link(self, name: str, target: str) -> None:
        self.device.link(f"{self.home}/{name}", target)

    def folder(self, name: str) -> None:
        self.device.folder(f"{self.home}/{name}")

    def path(self, name: str) -> Path:
        return self.device.path(f"{self.home}/{name}")

    def names(self) -> list[str]:
        """Return every path in this corner."""
        start = self.home + "/"
        return [name.removeprefix(start) for name in self.device.names() if name.startswith(start)]


@pytest.fixture(scope="module")
def long_day() -> Iterator[Pair]:
    """Two devices that stay for all the small stories of this module."""
    with opened() as world:
        yield world, world.device("a"), world.device("b")


def begin(pair: Pair) -> Pair:
    """Have the same small tree on both devices."""
    world, a, b = pair
    for name, content in START.items():
        a.write(name, content)
    world.settle()
    assert b.names() == a.names()
    return pair


def edit(corner: Corner | Device) -> list[str]:
    corner.write("plan.txt", "one, changed")
    return ["plan.txt"]


def shorten_and_grow(corner: Corner | Device) -> list[str]:
    corner.write("notes/today.md", "")
    corner.write("photos/a.jpg", "four" * 50_000)
    return ["notes/today.md", "photos/a.jpg"]


def rename_file(corner: Corner | Device) -> list[str]:
    corner.rename("plan.txt", "plan (final).txt")
    return ["plan (final).txt"]


def rename_and_edit(corner: Corner | Device) -> list[str]:
    corner.rename("plan.txt", "notes/plan.txt")
    corner.write("notes/plan.txt", "moved and changed")
    return ["notes/plan.txt"]


def rename_folder(corner: Corner | Device) -> list[str]:
    corner.rename("notes", "papers")
    return ["papers/deep/er/old.md", "papers/today.md"]


def move_folder_into_new(corner: Corner | Device) -> list[str]:
    corner.rename("notes/deep", "archive/2026/deep")
    return ["archive/2026/deep/er/old.md", "notes/today.md"]


def delete_file_and_folder(corner: Corner | Device) -> list[str]:
    corner.remove("plan.txt")
    corner.remove("notes/deep")
    return ["notes/today.md"]


def file_becomes_folder(corner: Corner | Device) -> list[str]:
    corner.remove("plan.txt")
    corner.write("plan.txt/part one", "now a folder")
    return ["plan.txt/part one"]


def folder_becomes_file(corner: Corner | Device) -> list[str]:
    corner.remove("notes")
    corner.write("notes", "now a file")
    return ["notes"]


def file_becomes_symlink(corner: Corner | Device) -> list[str]:
    corner.remove("plan.txt")
    corner.link("plan.txt", "notes/today.md")
    return ["plan.txt"]


def swap_files(corner: Corner | Device) -> list[str]:
    corner.rename("photos/a.jpg", "photos/x.jpg")
    corner.rename("photos/b.jpg", "photos/a.jpg")
    corner.rename("photos/x.jpg", "photos/b.jpg")
    return ["photos/a.jpg", "photos/b.jpg"]


def swap_folders(corner: Corner | Device) -> list[str]:
    corner.rename("photos", "swap")
    corner.rename("notes", "photos")
    corner.rename("swap", "notes")
    return ["notes/a.jpg", "photos/today.md"]


def turn_folders_inside_out(corner: Corner | Device) -> list[str]:
    corner.rename("notes/deep", "outer")
    corner.rename("notes", "outer/notes")
    return ["outer/er/old.md", "outer/notes/today.md"]


def executable(corner: Corner | Device) -> list[str]:
    path = corner.path("plan.txt")
    path.chmod(path.stat().st_mode | 0o111)
    return ["plan.txt"]


def symlinks(corner: Corner | Device) -> list[str]:
    corner.link("absolute", "/etc/hostname")
    corner.link("dangling", "nowhere/at all")
    corner.link("to a folder", "notes")
    corner.link("notes/up", "..")
    return ["absolute", "dangling", "notes/up", "to a folder"]


def retarget_symlink(corner: Corner | Device) -> list[str]:
    corner.link("pointer", "plan.txt")
    corner.remove("pointer")
    corner.link("pointer", "photos/a.jpg")
    return ["pointer"]


def many_small(corner: Corner | Device) -> list[str]:
    for index in range(300):
        corner.write(f"many/{index % 7}/{index}.txt", f"small {index}")
    return ["many/0/0.txt", "many/5/299.txt"]


def empty_folders(corner: Corner | Device) -> list[str]:
    corner.folder("void/in/void")
    return ["void/in/void"]


def old_mtime(corner: Corner | Device) -> list[str]:
    corner.write("from 1970", "odd timestamps neither block nor decide")
    os.utime(corner.path("from 1970"), (0, 0))
    corner.write("from 2100", "nor those ahead")
    os.utime(corner.path("from 2100"), (4_102_444_800, 4_102_444_800))
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
def test_p1_p2_p3_what_is_done_here_appears_there(
    long_day: Pair, request: pytest.FixtureRequest, change: Callable[[Corner | Device], list[str]]
) -> None:
    world, *devices = long_day
    with closing(world, request.node):
        home = change.__name__.replace("_", " ")
        here, there = (Corner(device, home) for device in (devices if len(home) % 2 else reversed(devices)))
        for name, content in START.items():
            here.write(name, content)
        world.settle()
        assert there.names() == here.names()
        expected = change(here)
        world.settle()
        assert set(expected) <= set(there.names())
        assert not here.device.copies() + there.device.copies()
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
    world, a, _b = begin(pair)
    a.stop()
    a.fine("run", "--once", "--timeout", "60")  # what was read while it was young is read once more here
    head = world.hub.head()
    (settled,) = json.loads(a.fine("run", "--once", "--json", "--timeout", "60").out)
    assert world.hub.head() == head
    assert settled["text"] == "in sync"
    assert settled["opened"] == 0  # counted at the file-system port
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
