"""A disk that is full, or nearly: downloads wait, one clear line says why, the rest goes on, nothing is lost."""

import random

from tests.end_to_end.harness import CONFIG, Device, World
from tests.end_to_end.processes import until
from tests.end_to_end.small_disk import fill, on_a_small_disk

DISK = 8 << 20


def large(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def test_p1_p2_a_full_disk_stops_downloads_and_nothing_else(world: World) -> None:
    a = world.device("a")
    with on_a_small_disk(world, "b", DISK) as b:
        b.init(world.hub.invite())
        b.start()
        a.write("kept.txt", "kept")
        a.write("renamed.txt", "renamed")
        a.write("removed.txt", "removed")
        world.settle()
        filler = b.path("filler.part")  # ignored, as every half-made download is
        fill(filler)
        a.write("new.bin", large(100_000))
        a.write("kept.txt", "edited where there is room" * 1000)
        a.rename("renamed.txt", "other name.txt")
        a.remove("removed.txt")
        a.wait()
        until(lambda: waits_for_space(b), "b says that its disk is full")
        waited = b.cli("wait", "--timeout", "30")
        assert waited.code == 3, "nobody is kept waiting for room"
        assert "free some space" in waited.out, waited
        assert "disk" in b.fine("doctor", codes=(1,)).out, "`doctor` names what is full, not an error's number"
        assert "Errno" not in b.fine("doctor", codes=(1,)).out
        assert b.read("kept.txt") == "kept", "never half a file"
        assert not b.path("new.bin").exists()
        b.stop()
        b.start()  # a full disk is no reason not to start, and what needs no room is done
        b.rename("other name.txt", "renamed by b.txt")
        until(lambda: "renamed by b.txt" in a.names(), "b's rename arrives")
        filler.unlink()
        until(lambda: b.tree() == a.tree(), "it goes on by itself once there is room")
        assert b.read("kept.txt") == "edited where there is room" * 1000
        assert not a.copies() + b.copies()
        world.check_all()


def waits_for_space(device: Device) -> bool:
    """Return whether `status` shows, in one line each, that downloads wait for room, and what to do."""
    lines = device.fine("status", codes=(0, 3)).out.splitlines()
    return any("new.bin" in line and "free some space" in line for line in lines)


def test_p1_a_file_larger_than_the_disk_hinders_no_other(world: World) -> None:
    a = world.device("a")
    with on_a_small_disk(world, "b", DISK) as b:
        b.init(world.hub.invite())
        b.start()
        a.write("film.bin", large(DISK + 1))
        for number in range(20):
            a.write(f"small/{number}.txt", f"small {number}")
        a.wait()
        until(lambda: len([name for name in b.names() if name.startswith("small/")]) == 20, "the small ones arrive")
        b.write("from b.txt", "b goes on, too")
        until(lambda: "from b.txt" in a.names(), "uploads go on")
        assert not b.path("film.bin").exists()
        said = b.fine("status", codes=(0, 3)).out
        assert "film.bin" in said
        a.remove("film.bin")
        world.settle()
        world.check_all()


def test_the_floor_under_free_space_is_kept(world: World) -> None:
    a = world.device("a")
    with on_a_small_disk(world, "b", DISK) as b:
        b.configure(CONFIG.replace("free_floor = 0", 'free_floor = "4 MiB"'))
        b.init(world.hub.invite())
        b.start()
        a.write("fits.bin", large(DISK // 4))
        a.write("new.bin", large(DISK // 2))
        a.wait()
        until(lambda: waits_for_space(b), "what would go under the floor waits")
        until(lambda: b.path("fits.bin").exists(), "what fits arrives")
        b.configure(CONFIG)
        b.stop()
        b.start()
        until(lambda: b.tree() == a.tree(), "a lower floor lets it in")
        world.check_all()
