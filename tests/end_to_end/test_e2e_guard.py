"""Mass changes (P8), folders that cannot be read, and roots that vanish: what is not sure is never a delete."""

import json
import os
import re
import shutil

import pytest

from tests.end_to_end.harness import Device, World
from tests.end_to_end.processes import until

Pair = tuple[World, Device, Device]


def fill(device: Device, folder: str, count: int) -> None:
    for number in range(count):
        device.write(f"{folder}/{number % 10}/{number}.txt", f"{folder} {number}")


def held(device: Device) -> list[dict[str, object]]:
    return json.loads(device.fine("approve", "--json", codes=(0, 3)).out)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "decision"), [(5000, "allow"), (1500, "refuse")])
def test_p8_rm_rf_of_5000_files_is_held_and_all_else_goes_on(pair: Pair, count: int, decision: str) -> None:
    world, a, b = pair
    for device in (a, b):
        device.stop()
        device.configure("")  # deletes rest as long as they do for everybody
        device.start()
    fill(a, "mass", count)
    a.write("other.txt", "before")
    world.settle()
    assert _mass(b) == count
    a.remove("mass")
    a.write("new.txt", "goes on")
    b.write("other.txt", "the other direction goes on, too")
    world.settle()
    assert b.read("new.txt") == "goes on"
    assert a.read("other.txt") == "the other direction goes on, too"
    left = _mass(b)
    assert left >= count - 1000, "what is over the mark is held"
    (group,) = held(a)
    assert group["side"] == "remote"
    assert "held" in a.fine("status", codes=(3,)).out
    a.fine("approve", decision, str(group["group"]))
    a.wait(120)
    b.wait(120)
    if decision == "allow":
        assert _mass(b) >= count - 1000, "the other device has a guard of its own"
        (group,) = held(b)
        assert group["side"] == "local"
        b.fine("approve", "allow", str(group["group"]))
        b.wait(120)
    world.settle()
    assert (_mass(a), _mass(b)) == ((0, 0) if decision == "allow" else (left, left))
    world.check_all()


def _mass(device: Device) -> int:
    return sum(name.startswith("mass/") and name.endswith(".txt") for name in device.names())


def test_p8_rm_rf_of_50_files_is_not_held(pair: Pair) -> None:
    world, a, b = pair
    fill(a, "few", 50)
    a.write("stays", "here")
    world.settle()
    a.remove("few")
    world.settle()
    assert b.names() == ["stays"]
    assert not held(a) + held(b)
    world.check_all()


def test_p7_deleted_content_is_in_the_trash_or_history_and_can_be_restored(pair: Pair) -> None:
    world, a, b = pair
    a.write("folder/precious.txt", "precious")
    world.settle()
    b.remove("folder")
    world.settle()
    assert not a.names()
    world.check_all()


def test_p8_a_root_renamed_away_deletes_nothing_and_comes_back(pair: Pair) -> None:
    world, a, b = pair
    fill(a, "work", 20)
    world.settle()
    away = a.base / "away"
    a.root.rename(away)
    _wait_until_stopped(a)
    b.write("from b", "meanwhile")
    world.settle(b)
    assert len(b.names()) == 32
    away.rename(a.root)
    until(lambda: (a.live() or {}).get("phase") != "stopped", "the root is found again")
    world.settle()
    assert a.read("from b") == "meanwhile"
    world.check_all()


def test_p8_a_root_replaced_by_an_empty_folder_deletes_nothing(pair: Pair) -> None:
    world, a, b = pair
    fill(a, "work", 20)
    world.settle()
    away = a.base / "away"
    a.root.rename(away)
    a.root.mkdir()
    _wait_until_stopped(a)
    ran = a.cli("wait", "--timeout", "20")
    assert ran.code == 1
    assert len(ran.err.strip().splitlines() or ran.out.strip().splitlines()) == 1
    world.settle(b)
    assert len(b.names()) == 31
    assert not os.listdir(a.root), "nothing is written into a folder that is not the root"
    a.root.rmdir()
    away.rename(a.root)
    until(lambda: (a.live() or {}).get("phase") != "stopped", "the root is found again")
    world.check_all()


def test_p8_a_root_missing_at_start_is_waited_for(pair: Pair) -> None:
    world, a, b = pair
    fill(a, "work", 20)
    world.settle()
    a.stop()
    away = a.base / "away"
    a.root.rename(away)
    a.start()
    _wait_until_stopped(a)
    world.settle(b)
    assert len(b.names()) == 31
    away.rename(a.root)
    until(lambda: (a.live() or {}).get("phase") != "stopped", "the root is found again")
    world.check_all()


def _wait_until_stopped(device: Device) -> None:
    """Have the daemon look at its root; it says that it is gone."""

    def looked() -> bool:
        device.cli("scan")
        return (device.live() or {}).get("phase") == "stopped"

    until(looked, "the daemon says that its root is gone")


def test_an_unreadable_folder_is_not_a_deleted_one(world: World) -> None:
    a = world.device("a", mortal=True)
    b = world.device("b")
    for name in ("locked/x.txt", "locked/deep/y.txt", "open/z.txt", "single.txt"):
        a.write(name, f"content of {name}")
    world.settle()
    a.path("locked").chmod(0)
    a.path("single.txt").chmod(0)
    a.write("open/z.txt", "the rest goes on")
    world.settle()
    assert b.read("open/z.txt") == "the rest goes on"
    assert b.read("locked/deep/y.txt") == "content of locked/deep/y.txt"
    assert b.read("single.txt") == "content of single.txt"
    assert "locked" in a.fine("status").out
    assert "single.txt" in a.fine("why", str(a.path("single.txt"))).out, "asking about it needs no right to read it"
    b.write("locked/x.txt", "edited where it can be")
    world.settle(b)
    a.path("locked").chmod(0o755)
    a.path("single.txt").chmod(0o644)
    world.settle()
    assert a.read("locked/x.txt") == "edited where it can be"
    assert not a.copies() + b.copies()
    world.check_all()


def test_p9_first_link_of_two_full_folders_is_a_union(world: World) -> None:
    a = world.device("a")
    for name in ("same.txt", "both/equal.txt", "only a.txt", "both/from a.txt"):
        a.write(name, name)
    a.write("differs.txt", "as a has it")
    world.settle(a)
    b = world.bare("b")
    for name in ("same.txt", "both/equal.txt", "only b.txt", "both/from b.txt"):
        b.write(name, name)
    b.write("differs.txt", "as b has it")
    b.init(world.hub.invite())
    b.start()
    world.settle()
    expected = {"both", "both/equal.txt", "both/from a.txt", "both/from b.txt", "differs.txt", "only a.txt"}
    assert expected | {"only b.txt", "same.txt"} <= set(a.names())
    (copy,) = a.copies()
    assert copy.startswith("differs (conflicted copy, b, ")
    assert a.read("differs.txt") == "as a has it"
    assert a.read(copy) == "as b has it"
    world.check_all(waits=[b])


def test_p8_a_restored_copy_of_the_root_is_read_again_and_its_deletes_are_held(pair: Pair) -> None:
    world, a, b = pair
    fill(a, "work", 20)
    world.settle()
    a.stop()
    copy = a.base / "copy"
    shutil.copytree(a.root, copy, symlinks=True)
    shutil.rmtree(a.root)
    copy.rename(a.root)
    a.path("work/3/3.txt").unlink()  # the backup it was restored from did not have it
    a.start()
    world.settle()
    assert "work/3/3.txt" in b.names(), "a delete in a restored copy waits for a person"
    world.check_all(waits=[a], differ=re.compile(rb"work/3/3\.txt"))
