"""Killed at any moment, state lost, hubs gone back in time: nothing lost, no spurious conflict (P1, P4, P9)."""

import random
import shutil

import pytest

from tests.end_to_end.conftest import seeds
from tests.end_to_end.harness import Device, World
from tests.end_to_end.load import Person
from tests.end_to_end.processes import until

Pair = tuple[World, Device, Device]


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(4))
def test_p4_anything_killed_while_one_device_edits_makes_no_copy(pair: Pair, seed: int) -> None:
    world, a, b = pair
    chance = random.Random(seed)
    person = Person(a, seed, "work")
    for _ in range(5):
        person.work(chance.randrange(5, 40))
        _a_moment(chance, a)
        for victim in chance.sample([a, b, world.hub], chance.randrange(1, 4)):
            victim.kill9()
            person.work(chance.randrange(0, 4))
            victim.start()
    world.settle()
    assert not a.copies() + b.copies(), "one device edits: no conflicted copy, whatever is killed"
    world.check_all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(2))
def test_p1_p4_anything_killed_while_two_devices_edit_loses_nothing(pair: Pair, seed: int) -> None:
    world, a, b = pair
    chance = random.Random(seed)
    people = [Person(a, seed, "by a"), Person(b, seed, "by b")]
    for _ in range(4):
        for person in people:
            person.work(chance.randrange(5, 25))
            person.device.write("shared.txt", f"{person.device.name} {person.written}")
        _a_moment(chance, a)
        for victim in chance.sample([a, b, world.hub], chance.randrange(1, 4)):
            victim.kill9()
            victim.start()
    world.settle()
    for name in a.copies():
        assert name.startswith("shared (conflicted copy"), "nobody else touched the other files"
    assert len(a.copies()) <= 4
    world.check_all(waits=[device for device in (a, b) if device.conflicts()])


def _a_moment(chance: random.Random, device: Device) -> None:
    """Let the daemons come to some random point of their work: a number of answers of the control socket."""
    for _ in range(chance.randrange(0, 60)):
        device.live()


def test_p4_killed_in_the_middle_of_a_large_transfer_it_resumes(pair: Pair) -> None:
    world, a, b = pair
    data = random.Random(5).randbytes(24 << 20)
    a.write("large.bin", data)
    until(lambda: _stored(world) > 2 << 20, "the upload is under way")
    a.kill9()
    a.start()
    until(lambda: any((b.root / ".syncd").rglob("*")) and _growing(b), "the download is under way")
    b.kill9()
    b.start()
    world.settle()
    assert b.path("large.bin").read_bytes() == data
    assert not a.copies() + b.copies()
    assert not list((b.root / ".syncd" / "staging").glob("*")) or world.check_p3() is None
    world.check_all()


def _stored(world: World) -> int:
    return sum(path.stat().st_size for path in (world.hub.data / "chunks").rglob("*") if path.is_file())


def _growing(device: Device) -> bool:
    inside = [path for path in (device.root / ".syncd").rglob("*") if path.is_file() and path.stat().st_size > 1 << 20]
    return bool(inside) or device.path("large.bin").exists()


@pytest.mark.parametrize("moment", ["while stopped", "with edits meanwhile"])
def test_p9_a_lost_database_is_rebuilt_and_nothing_travels_twice(pair: Pair, moment: str) -> None:
    world, a, b = pair
    for number in range(30):
        a.write(f"files/{number}.txt", f"content {number}")
    a.link("pointer", "files/1.txt")
    a.write("empty", "")
    world.settle()
    head = world.hub.head()
    a.kill9()
    a.lose_database()
    if moment == "with edits meanwhile":
        a.write("files/1.txt", "edited here")
        a.write("new.txt", "new here")
        b.write("files/2.txt", "edited there")
        b.rename("files/3.txt", "files/three.txt")
        world.settle(b)
    a.start()
    world.settle()
    if moment == "while stopped":
        assert world.hub.head() == head, "everything was the same on both sides: nothing to say"
        assert not a.copies()
    else:
        assert b.read("new.txt") == "new here"
        assert a.read("files/2.txt") in ("edited there", "content 2")
        assert "files/three.txt" in a.names()
    world.check_all(waits=[device for device in (a, b) if device.conflicts()])


@pytest.mark.parametrize("damage", ["overwritten", "truncated", "garbage"])
def test_p9_a_damaged_database_is_set_aside_and_rebuilt(pair: Pair, damage: str) -> None:
    world, a, b = pair
    for number in range(30):
        a.write(f"files/{number}.txt", f"content {number}")
    world.settle()
    head = world.hub.head()
    a.stop()
    path = a.state / "syncd.sqlite"
    size = path.stat().st_size
    with path.open("r+b") as file:
        if damage == "overwritten":
            file.seek(4096)
            file.write(b"\xa5" * (size - 8192))
        elif damage == "truncated":
            file.truncate(size // 2)
        else:
            file.write(b"this is not a database at all, but long enough to look like a file" * 100)
    a.start()
    world.settle()
    assert world.hub.head() == head
    assert list(a.state.glob("syncd.sqlite*aside*")) or list(a.state.glob("*damaged*")), "the damaged one is kept"
    a.write("files/1.txt", "and goes on")
    world.settle()
    assert b.read("files/1.txt") == "and goes on"
    world.check_all()


def test_rebuild_asks_for_the_daemon_to_stop_then_loses_nothing(pair: Pair) -> None:
    world, a, _b = pair
    a.write("file.txt", "content")
    world.settle()
    ran = a.cli("rebuild", str(a.root))
    assert ran.code == 1
    assert str(a.process.pid) in ran.err
    a.stop()
    head = world.hub.head()
    a.fine("rebuild", str(a.root))
    a.start()
    world.settle()
    assert world.hub.head() == head
    world.check_all()


def test_p1_a_hub_restored_to_an_older_backup_gets_back_what_devices_have(pair: Pair) -> None:
    world, a, b = pair
    for number in range(10):
        a.write(f"files/{number}.txt", f"old {number}")
    world.settle()
    world.hub.backup(world.base / "backup")
    a.write("files/1.txt", "newer than the backup")
    a.write("after.txt", "made after the backup")
    a.rename("files/2.txt", "files/two.txt")
    b.remove("files/3.txt")
    b.write("from b.txt", "also after the backup")
    world.settle()
    world.hub.stop()
    world.hub.go_back(world.base / "backup")
    world.ledger.history_lost()
    world.hub.start()
    world.settle()
    for device in (a, b):
        assert device.read("after.txt") == "made after the backup"
        assert device.read("from b.txt") == "also after the backup"
        assert device.read("files/1.txt") == "newer than the backup"
    assert not a.copies() + b.copies()
    world.check_all(waits=[device for device in (a, b) if device.conflicts()])


def test_another_hub_on_the_same_port_is_refused_and_nothing_is_touched(pair: Pair) -> None:
    world, a, b = pair
    a.write("file.txt", "content")
    world.settle()
    before = a.tree()
    world.hub.stop()
    other = world.another_hub()
    other.port = world.hub.port
    other.start()
    other.invite("files")

    def refused() -> bool:
        ran = a.cli("wait", "--timeout", "5")
        return ran.code == 1

    until(refused, "the daemon says that this is another hub")
    ran = a.cli("wait", "--timeout", "10")
    assert ran.code == 1
    words = ran.out + ran.err
    assert "another" in words or "token" in words or "not" in words
    assert a.tree() == before
    assert other.head() == 0
    other.stop()
    world.hub.start()
    for device in (a, b):
        device.stop()
        device.start()
    world.check_all()


def test_another_space_on_the_same_hub_is_refused_after_its_data_was_swapped(pair: Pair) -> None:
    world, a, b = pair
    a.write("file.txt", "content")
    world.settle()
    world.hub.stop()
    other = world.another_hub()
    other.start()
    other.invite("files")
    other.stop()
    kept = world.hub.data.rename(world.hub.base / "kept")
    shutil.copytree(other.data, world.hub.data)
    world.hub.start()
    until(lambda: a.cli("wait", "--timeout", "5").code == 1, "the daemon refuses the other hub")
    assert a.names() == ["file.txt"]
    world.hub.stop()
    shutil.rmtree(world.hub.data)
    kept.rename(world.hub.data)
    world.hub.start()
    for device in (a, b):
        device.stop()
        device.start()
    world.check_all()


def test_a_revoked_device_is_told_and_touches_nothing_until_it_is_tied_again(pair: Pair) -> None:
    world, a, b = pair
    a.write("file.txt", "content")
    world.settle()
    assert world.hub.command("revoke", "b").code == 0
    a.write("later.txt", "b may not see this")
    world.settle(a)
    until(lambda: b.cli("wait", "--timeout", "5").code == 1, "the daemon says that its token is revoked")
    ran = b.cli("wait", "--timeout", "5")
    assert len((ran.out + ran.err).strip().splitlines()) == 1
    assert b.names() == ["file.txt"]
    b.write("mine.txt", "waits here")
    b.stop()
    b.init(world.hub.invite())
    b.start()
    world.settle()
    assert b.read("later.txt") == "b may not see this"
    assert a.read("mine.txt") == "waits here"
    assert not a.copies() + b.copies()
    world.check_all()
