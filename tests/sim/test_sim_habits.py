"""What the simulated root adds to the contract: mounts, room, and file systems with other habits."""

import errno
import os
import random

import pytest

from syncd.model.errors import NoSpace, RootGone
from syncd.model.node import Kind
from tests.sim.disk import Features, Policy
from tests.sim.person import SimPerson
from tests.sim.root_world import MTIME, Stop, World

# --- mounts ---


def test_p8_an_unmounted_root_is_an_empty_folder_without_marker_on_another_device() -> None:
    world = World()
    world.person.write("a", b"1")
    assert world.fs.prove() == world.identity
    with world.fs.open_dir(()) as root:
        volume = world.disk.unmount("home/root")
        assert root.names() == [".syncd", "a"], "what is open stays so"
        for call in (world.fs.prove, lambda: world.fs.open_dir(()), lambda: world.fs.own("x"), world.fs.free_bytes):
            with pytest.raises(RootGone):
                call()
        assert world.person.names() == []
        world.disk.mount("home/root", volume)
        assert world.fs.prove() == world.identity
    assert world.person.read("a") == b"1"


def test_another_volume_inside_the_root_is_seen_and_not_entered() -> None:
    world = World()
    world.disk.add("home/root/mnt")
    world.disk.make_folder("home/root/mnt/deep")
    with world.fs.open_dir(()) as root:
        (entry,) = [entry for entry in root.entries() if entry.name == "mnt"]
        assert entry.stat is not None
        assert entry.stat.kind is Kind.DIRECTORY
        assert entry.stat.fingerprint.dev != root.dev
        for path in (("mnt",), ("mnt", "deep")):
            with pytest.raises(OSError) as refused:
                world.fs.open_dir(path)
            assert refused.value.errno == errno.EXDEV
        for call in (lambda: root.rmdir("mnt"), lambda: root.rename_new("mnt", root, "moved")):
            with pytest.raises(OSError) as refused:
                call()
            assert refused.value.errno == errno.EBUSY
    world.disk.write_back()
    world.disk.power_loss(Policy.ALL, random.Random(0))
    assert world.person.names("mnt") == ["deep"], "mounted again"


def test_syncds_own_folder_on_another_volume_is_no_root() -> None:
    world = World()
    world.fs.prove()
    world.disk.add("home/root/.syncd")
    SimPerson(world.disk, "home/root/.syncd").write("root.json", b'{"root_id": "%s"}' % (b"ab" * 16))
    with pytest.raises(RootGone, match="another file system"):
        world.fs.own("trash")


# --- room ---


def test_a_full_disk_is_no_space_and_a_short_write() -> None:
    world = World(capacity=1000)
    free = world.fs.free_bytes()
    assert 900 < free < 1000, "the marker takes some"
    with world.fs.open_dir(()) as root:
        with root.create("a") as file:
            file.write(b"x" * (free - 10))
            with pytest.raises(NoSpace):
                file.write(b"y" * 20)
            assert file.stat().fingerprint.size == free
        assert world.fs.free_bytes() == 0
        with pytest.raises(OSError) as refused:
            world.person.write("b", b"z")
        assert refused.value.errno == errno.ENOSPC
        root.unlink("a")
        assert world.fs.free_bytes() == free


def test_room_may_turn_out_to_be_missing_only_at_the_sync() -> None:
    world = World(Features(late_enospc=True), capacity=1000)
    with world.fs.open_dir(()) as root, root.create("a") as file:
        file.write(b"x" * 5000)
        file.finish(MTIME, 0o644)
        ways = (file.sync, lambda: world.fs.make_durable([file]), lambda: world.fs.make_durable([file] * 20))
        for sync in (*ways, world.fs.make_all_durable):
            with pytest.raises(NoSpace):
                sync()
        root.sync()
    world.disk.power_loss(Policy.ALL, random.Random(0))
    assert world.person.read("a") == b""


def test_inodes_run_out() -> None:
    world = World(inodes=5)
    with world.fs.open_dir(()) as root:
        while True:
            try:
                root.mkdir(f"d{len(root.names())}")
            except NoSpace:
                break
        for call in (lambda: root.create("x"), lambda: root.symlink("x", b"y"), lambda: world.fs.own("new")):
            with pytest.raises(NoSpace):
                call()


# --- other habits ---


def test_case_is_kept_and_does_not_matter() -> None:
    world = World(Features(case_sensitive=False))
    assert not world.fs.traits.case_sensitive
    with world.fs.open_dir(()) as root:
        root.create("Read.me").close()
        assert root.names() == [".syncd", "Read.me"]
        assert root.stat("READ.ME") == root.stat("Read.me") is not None
        with pytest.raises(FileExistsError):
            root.create("read.me")
        with pytest.raises(FileExistsError):
            root.rename_new("Read.me", root, "README.me".replace("README", "READ"))
    world.person.rename("Read.me", "READ.me")
    assert world.person.names() == [".syncd", "READ.me"]
    world.disk.write_back()
    world.disk.power_loss(Policy.ALL, random.Random(0))
    world.person.delete("read.ME")
    assert world.person.names() == [".syncd"]


def test_normal_forms_are_changed_and_do_not_matter() -> None:
    world = World(Features(normalises=True))
    assert world.fs.traits.normalises
    with world.fs.open_dir(()) as root:
        root.create("caf\u00e9").close()
        assert root.names() == [".syncd", "cafe\u0301"]
        assert root.stat("caf\u00e9") == root.stat("cafe\u0301") is not None
        root.unlink("caf\u00e9")
        assert root.names() == [".syncd"]


def test_without_executable_bit_none_is_seen() -> None:
    world = World(Features(executable_bit=False))
    assert not world.fs.traits.executable_bit
    with world.fs.open_dir(()) as root:
        with root.create("a") as file:
            stat = file.finish(MTIME, 0o777)
        assert not stat.mode & 0o111
        assert not root.chmod_executable("a", True, stat.fingerprint).mode & 0o111
        assert root.mkdir("d").mode & 0o100


def test_without_symlinks_none_is_made() -> None:
    world = World(Features(symlinks=False))
    with world.fs.open_dir(()) as root, pytest.raises(PermissionError):
        root.symlink("a", b"b")


def test_times_are_as_coarse_as_told_and_stand_still_with_the_clock() -> None:
    world = World(Features(tick_ns=2_000_000_000))
    assert world.fs.traits.time_tick_ns == 2_000_000_000
    world.person.write("a", b"1")
    before = world.person.stat("a").fingerprint
    world.at += 1_999_999_999
    world.person.write("a", b"2")
    assert world.person.stat("a").fingerprint == before, "same size, same tick: racy"
    world.at += 1
    world.person.write("a", b"3")
    assert world.person.stat("a").fingerprint.mtime_ns == before.mtime_ns + 2_000_000_000


def test_without_exchange_a_crash_may_fall_into_the_window() -> None:
    """And the content is then in staging, from where nothing is deleted unread."""
    seen = set()
    for number in range(1, 30):
        world, left = World(Features(exchange=False, no_replace=False)), [number]
        world.person.write("a", b"1")
        world.person.write("b", b"2")

        def stop(name: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Stop

        with world.fs.open_dir(()) as root:
            world.fs.on_call = stop
            try:
                root.exchange("a", root, "b")
            except Stop:
                world.disk.kill()
            assert {b"1", b"2"} <= world.person.contents()
            seen.add(tuple(name for name in world.person.names() if name != ".syncd"))
    assert ("a", "b") in seen
    assert ("a",) in seen, "the window is there"


def test_numbers_are_given_again_lowest_first() -> None:
    world = World()
    for name in "abc":
        world.person.write(name, b"")
    numbers = [world.person.stat(name).fingerprint.ino for name in "abc"]
    for name in "ba":
        world.person.delete(name)
    world.person.write("x", b"")
    world.person.write("y", b"")
    assert [world.person.stat(name).fingerprint.ino for name in "xy"] == numbers[:2]


def test_a_watcher_is_told_of_everybodys_changes_but_not_of_syncds_own_folder() -> None:
    world = World()
    seen: list[tuple[tuple[str, ...], str]] = []
    end = world.disk.watch("home/root", lambda path, name: seen.append((path, name)))
    world.person.mkdir("d/e", parents=True)
    world.person.write("d/e/x", b"1")
    with world.fs.open_dir(("d",)) as d, world.fs.own("trash") as trash:
        d.mkdir("new")
        d.exchange("new", trash, "gone") if trash.stat("gone") else d.rename_new("new", trash, "gone")
    assert seen == [((), "d"), (("d",), "e"), (("d", "e"), "x"), (("d", "e"), "x"), (("d",), "new"), (("d",), "new")]
    end()
    world.person.write("y", b"")
    assert len(seen) == 6


def test_a_copy_of_the_content_is_never_made() -> None:
    world = World()
    data = os.urandom(100_000)
    world.person.write("a", data)
    with world.fs.open_dir(()) as root, root.open("a") as file:
        assert file.read(0, len(data)) is data
    assert world.person.snapshot()["a"][2] is data
