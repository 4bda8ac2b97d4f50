"""A folder whose mark is gone or another's: `init` there is the way out, and never a remote delete (P8)."""

import json
import re
import shutil

from tests.end_to_end.harness import Device, World
from tests.end_to_end.processes import until
from tests.end_to_end.test_e2e_bad_input import one_line

Pair = tuple[World, Device, Device]


def _stopped(device: Device) -> None:
    """Check that its daemon does not go on in that folder."""
    device.start()
    until(lambda: (device.live() or {}).get("phase") == "stopped", "the daemon says that it stopped")
    device.stop()


def _again(world: World, device: Device, *more: str) -> str:
    """Tie the folder again as its person does: no device name."""
    return device.fine("init", str(device.address), "--remote", world.hub.invite(), *more).out


def test_p8_a_removed_mark_is_written_anew_by_init_and_deletes_are_held(pair: Pair) -> None:
    world, a, b = pair
    a.write("keep.txt", "keep")
    a.write("gone.txt", "gone")
    world.settle()
    a.stop()
    shutil.rmtree(a.root / ".syncd")
    a.path("gone.txt").unlink()
    a.write("new.txt", "new")
    _stopped(a)
    assert "held" in _again(world, a)
    a.start()
    world.settle()
    assert b.read("new.txt") == "new"
    assert b.read("gone.txt") == "gone", "a delete in a folder that is not proven waits for a person"
    world.check_all(waits=[a], differ=re.compile(rb"gone\.txt"))


def test_p8_a_folder_made_anew_never_deletes_what_the_others_have(pair: Pair) -> None:
    world, a, b = pair
    for number in range(20):
        a.write(f"work/{number}.txt", f"work {number}")
    world.settle()
    a.stop()
    a.root.rename(a.base / "away")
    a.root.mkdir()
    _stopped(a)
    _again(world, a)
    a.start()
    a.write("new.txt", "new")
    world.settle()
    assert len([name for name in b.names() if name.endswith(".txt")]) == 21
    for group in json.loads(a.fine("approve", "--json", codes=(0, 3)).out):
        a.fine("approve", "refuse", str(group["group"]))
    world.check_all()
    assert a.read("work/7.txt") == "work 7", "refused: all comes back"


def test_p8_a_folder_that_another_state_tied_is_taken_back_by_force(pair: Pair) -> None:
    world, a, b = pair
    a.write("keep.txt", "keep")
    world.settle()
    a.stop()
    thief = world.bare("thief")
    thief.fine("init", str(a.root), "--remote", world.hub.invite("elsewhere"), "--force-new")
    world.devices.remove(thief)
    _stopped(a)
    invite = world.hub.invite()
    one_line(a.cli("init", str(a.address), "--remote", invite), "mark of another tie", "--force-new", code=2)
    a.fine("init", str(a.address), "--remote", invite, "--force-new")  # the refusal did not use it up
    a.start()
    b.write("from b", "from b")
    world.settle()
    assert a.read("from b") == "from b"
    assert not a.copies() + b.copies()
    world.check_all()


def test_init_on_a_tied_folder_keeps_the_devices_name(pair: Pair) -> None:
    world, a, b = pair
    a.stop()
    for _ in range(2):
        assert _again(world, a).splitlines()[0].endswith(" as a")
    assert a.record()["device"] == "a"
    assert world.hub.rows("SELECT count(*) FROM device WHERE name = 'a' AND revoked_at IS NULL") == [(1,)]
    a.start()
    b.write("from b", "from b")
    world.check_all()


def test_init_says_how_to_make_a_missing_folder(world: World) -> None:
    device = world.bare("a")
    missing = str(device.base / "missing")
    one_line(device.cli("init", missing, "--remote", world.hub.invite()), missing, "--create", code=2)
    one_line(device.cli("init", "/proc", "--remote", world.hub.invite()), "/proc", "choose another folder", code=2)
    assert "--create" in device.fine("--help").out
    device.init(world.hub.invite())
    device.start()
    world.check_all()
