"""A walk asks of a directory that was compared only whether its listing is the same; nothing is overlooked for that."""

import os
from collections.abc import Callable

import pytest

from syncd.engine.looks import Looks
from syncd.model.job import LookJob, LookUnit
from syncd.model.node import Tree
from syncd.model.observation import Ask, Hints, Verb
from syncd.model.path import ROOT
from tests.engine.world import Device, World

Make = Callable[..., World]


@pytest.fixture
def world(make_world: Make) -> World:
    """Two devices in sync, of which ann has compared everything since."""
    world = make_world("ann", "bob")
    ann = world.devices[0]
    for path in ("a", "b", "folder/c", "folder/deeper/d"):
        ann.write(path, f"content of {path}")
    ann.path("link").symlink_to("a")
    world.settle()
    return world


def asked(device: Device, monkeypatch: pytest.MonkeyPatch) -> list[LookUnit]:
    """Return the units of walks from now on, as they are handed out."""
    units: list[LookUnit] = []
    send = device.engine.desk.workers.submit

    def submit(job: object) -> None:
        if isinstance(job, LookJob) and job.run is not None:
            units.extend(job.units)
        send(job)  # type: ignore[arg-type]

    monkeypatch.setattr(device.engine.desk, "workers", type("Seen", (), {"submit": staticmethod(submit)})())
    return units


def test_a_walk_over_what_was_compared_reads_no_rows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = world.devices[0]
    units = asked(ann, monkeypatch)
    ann.wait()
    assert {unit.path for unit in units} == {(), ("folder",), ("folder", "deeper")}
    assert all(unit.digest is not None and not unit.known for unit in units)


def test_at_rest_no_rows_are_kept_but_what_was_compared_is(world: World) -> None:
    ann = world.devices[0]
    ann.wait()
    while ann.one():
        pass
    ann.engine.rest()
    assert not ann.db.nodes._rows
    assert len(ann.engine.looks.unchanged.compared) == 3


def keep_times(device: Device) -> None:
    """Edit a file so that only its ctime tells."""
    path = device.path("folder/c")
    was = path.stat()
    path.write_text("CONTENT OF folder/c")
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def retarget(device: Device) -> None:
    device.path("link").unlink()
    device.path("link").symlink_to("b")


def replace_folder(device: Device) -> None:
    device.path("folder/deeper").rename(device.base / "aside")
    device.write("folder/deeper/d", "another file in another folder")


CHANGES: dict[str, Callable[[Device], object]] = {
    "an edit that keeps size and times": keep_times,
    "a removal": lambda device: device.remove("folder/c"),
    "a new file": lambda device: device.write("folder/deeper/new", "new"),
    "a rename": lambda device: device.path("b").rename(device.path("folder/b")),
    "a folder that is renamed": lambda device: device.path("folder").rename(device.path("other")),
    "an executable bit": lambda device: device.path("a").chmod(0o755),
    "a symlink": retarget,
    "another folder of the name": replace_folder,
    "a file where a folder was": lambda device: (device.remove("folder/deeper"), device.write("folder/deeper", "x")),
    "other rules": lambda device: device.write(".syncignore", "a\n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_p2_a_walk_finds_what_no_watcher_told(world: World, change: Callable[[Device], object]) -> None:
    ann, bob = world.devices
    ann.wait()
    world.time.ahead += 5.0
    change(ann)
    world.settle()
    world.time.ahead += 10.0
    world.settle()
    assert ann.tree() == bob.tree()


def test_p2_what_an_op_wrote_is_compared_again(world: World) -> None:
    ann, bob = world.devices
    ann.wait()
    folder = ann.db.nodes.find(Tree.LOCAL, ("folder",))
    compared = ann.engine.looks.unchanged.compared
    assert folder in compared
    bob.write("folder/c", "edited by bob")
    bob.wait()
    ann.engine.pulls.ask()
    for _ in range(40):
        if ann.read("folder/c") == "edited by bob" and not ann.engine.desk.running:
            break
        ann.one()
    assert folder not in compared
    assert ROOT in compared
    world.settle()


def test_p1_a_deep_walk_reads_whatever_the_listing_says(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = world.devices[0]
    ann.wait()
    units = asked(ann, monkeypatch)
    opened = ann.fs.opened
    ann.deadline = ann.engine.step([Ask(900, Verb.SCAN, (("deep", "yes"),))])
    for _ in range(40):
        ann.one()
    assert units
    assert all(unit.digest is None for unit in units)
    assert ann.fs.opened - opened >= 4


def test_p2_a_comparison_with_what_l_said_before_does_not_count(world: World) -> None:
    """While a walk is on its way a file vanishes for a moment, which a hint tells: all was as it was known before."""
    ann = world.devices[0]
    ann.wait()
    looks: Looks = ann.engine.looks
    looks.unchanged.written(None)
    ann.deadline = ann.engine.step([Ask(77, Verb.SCAN)])
    walk = None
    for _ in range(20):
        walk = next((job for job in ann.jobs if isinstance(job, LookJob) and job.run is not None), None)
        if walk is not None:
            break
        ann.one()
    assert walk is not None
    ann.jobs.remove(walk)
    told = ann.looker.look(walk)
    (root,) = (unit for unit in told.units if unit.path == ())
    assert root.digest is not None
    ann.path("a").rename(ann.base / "aside")
    ann.deadline = ann.engine.step([Hints((((), "a"),))])
    look = next(job for job in ann.jobs if isinstance(job, LookJob) and job.run is None)
    ann.jobs.remove(look)
    ann.step([ann.looker.look(look)])
    (ann.base / "aside").rename(ann.path("a"))
    ann.step([told])
    assert root.directory not in looks.unchanged.compared
    world.settle()
    assert ann.read("a") == "content of a"
