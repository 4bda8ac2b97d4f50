"""P4: what ran at a crash is found again though the folder it acted in has moved since, with all it had done there.

Called not done, its effect was taken for something new of this person's: what the remote deleted meanwhile came back.
"""

from collections.abc import Callable

import pytest

from syncd.model.job import LookJob, RecoverJob
from tests.engine.pausing import killed_after_it_acted
from tests.engine.world import Device, World

Make = Callable[..., World]
WITHOUT_PATIENCE = 60.0
"""Seconds in which an op that was running at a crash is understood, where nothing hinders it."""


@pytest.fixture
def two(make_world: Make) -> World:
    """A folder that both have, with a file in it."""
    world = make_world("ann", "bob")
    world.devices[0].write("d/kept", "kept")
    world.devices[0].write("d/edited", "one")
    world.settle()
    return world


def make_file(ann: Device) -> None:
    ann.write("d/new", "new")


def make_folder(ann: Device) -> None:
    ann.path("d/new").mkdir()


def edit(ann: Device) -> None:
    ann.write("d/edited", "another one")


def rename(ann: Device) -> None:
    ann.path("d/edited").rename(ann.path("d/new"))


def remove_new(ann: Device) -> None:
    ann.remove("d/new")


def remove_edited(ann: Device) -> None:
    ann.remove("d/edited")


def edit_again(ann: Device) -> None:
    ann.write("d/edited", "yet another one")


Deed = Callable[[Device], None]
DEEDS: dict[str, tuple[Deed, Deed]] = {
    "a file was made, then removed": (make_file, remove_new),
    "a folder was made, then removed": (make_folder, remove_new),
    "a file was edited, then edited again": (edit, edit_again),
    "a file was edited, then removed": (edit, remove_edited),
    "a file was renamed, then removed": (rename, remove_new),
}


@pytest.mark.parametrize(("first", "then"), DEEDS.values(), ids=DEEDS)
def test_p4_what_ran_at_a_crash_is_found_in_the_folder_that_moved_since(two: World, first: Deed, then: Deed) -> None:
    """Bob's folder was renamed while his daemon was down."""
    ann, bob = two.devices
    first(ann)
    ann.wait()
    began = two.time.now()
    killed_after_it_acted(bob, before=lambda: bob.path("d").rename(bob.path("e")))
    then(ann)
    ann.wait()
    expected = {f"e{path[1:]}" if path[0] == "d" else path: what for path, what in ann.tree().items()}
    two.settle()
    assert ann.tree() == expected
    assert not any(device.db.conflicts.open_count() for device in two.devices)
    assert two.time.now() - began < WITHOUT_PATIENCE


def test_p4_what_ran_at_a_crash_is_found_where_an_op_took_its_folder(two: World) -> None:
    """Looking failed at first; before it was tried again, the folder went where the remote has it."""
    ann, bob = two.devices
    make_file(ann)
    ann.wait()
    killed_after_it_acted(bob)
    recover = next(job for job in bob.jobs if isinstance(job, RecoverJob))
    bob.jobs.remove(recover)
    honest, bob.fs.open_dir = bob.fs.open_dir, _broken  # type: ignore[method-assign,assignment]
    (ended,) = bob.handle(recover)
    bob.fs.open_dir = honest  # type: ignore[method-assign]
    ann.path("d").rename(ann.path("e"))
    ann.remove("e/new")
    ann.wait()
    bob.step([ended])
    expected = ann.tree()
    two.settle()
    assert ann.tree() == expected


def _broken(path: tuple[str, ...]) -> object:
    raise OSError(5, "broken for once")


def test_p4_two_folders_one_in_the_other_that_were_moved_at_a_crash_are_found(two: World) -> None:
    """The outer one's move took the inner one's along: where that was done is not where it was begun."""
    ann, bob = two.devices
    ann.write("d/in/deep/new", "new")
    two.settle()
    ann.path("d/in").rename(ann.path("d/within"))
    ann.wait()
    ann.path("d").rename(ann.path("e"))
    ann.wait()
    killed_after_it_acted(bob)
    recover = next(job for job in bob.jobs if isinstance(job, RecoverJob))
    bob.jobs.remove(recover)
    for message in bob.handle(recover):
        bob.step([message])
    assert [queued.op.place.name for queued in bob.db.queue.running()] == ["within"]
    ann.remove("e/within/deep/new")
    ann.wait()
    expected = ann.tree()
    two.settle()
    assert ann.tree() == expected


def test_p4_an_op_whose_folder_is_gone_is_over_soon(two: World) -> None:
    ann, bob = two.devices
    make_file(ann)
    ann.wait()
    began = two.time.now()
    killed_after_it_acted(bob, before=lambda: bob.remove("d"))
    two.settle()
    assert bob.read("d/new") == "new"  # of which nobody knew that bob had it
    assert two.time.now() - began < WITHOUT_PATIENCE


def test_p4_a_folder_that_a_walk_may_find_yet_is_not_gone(two: World) -> None:
    """It was moved into another one while the daemon was down, and the walk has been where it was only."""
    ann, bob = two.devices
    ann.write("z/other", "other")
    two.settle()
    make_file(ann)
    ann.wait()
    killed_after_it_acted(bob, before=lambda: bob.path("d").rename(bob.path("z/d")))
    for _ in range(100):
        walk = [job for job in bob.jobs if isinstance(job, LookJob) and any(unit.path == ("z",) for unit in job.units)]
        if walk:
            break
        bob.one()
    bob.jobs.remove(walk[0])
    two.time.ahead += 5.0
    while bob.one():
        pass
    assert bob.db.queue.running()
    bob.jobs.append(walk[0])
    ann.remove("d/new")
    ann.wait()
    two.settle()
    assert sorted(ann.tree()) == ["z", "z/d", "z/d/edited", "z/d/kept", "z/other"]
