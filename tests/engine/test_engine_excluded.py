"""Rules differ between two devices for a while: what one moves to where the other ignores it, and back."""

from collections.abc import Callable

import pytest

from syncd.model.job import LookJob, PullJob
from syncd.model.observation import Ask, Verb
from syncd.model.op import OpType
from tests.engine.hearing import hear
from tests.engine.world import Device, World

Make = Callable[..., World]


@pytest.fixture
def two(make_world: Make) -> World:
    """Ann and bob, both with ``a``, ``kept``, ``d/x``, ``d/e/y`` and a folder ``q``."""
    world = make_world("ann", "bob")
    ann = world.devices[0]
    for name in ("a", "kept", "d/x", "d/e/y", "q/z"):
        ann.write(name, f"content of {name}")
    world.settle()
    return world


def ignores(device: Device, rules: str) -> None:
    """The device takes new rules up, and the others do not hear of it yet."""
    device.wire.cut = True
    device.write(".syncignore", rules)
    looks(device)


def looks(device: Device) -> None:
    """The device looks at everything."""
    device.tickets += 1
    device.deadline = device.engine.step([Ask(device.tickets, Verb.SCAN)])
    for _ in range(300):
        if device.tickets in device.replies and device.engine.looks.quiet:
            return
        if not device.one() and device.deadline is not None:
            device.time.ahead += max(0.0, device.deadline - device.time.monotonic())
    raise AssertionError(device.doings())


def move(device: Device, old: str, new: str) -> None:
    device.path(new).parent.mkdir(parents=True, exist_ok=True)
    device.path(old).rename(device.path(new))


def online(device: Device) -> None:
    """The wire is whole again: the device settles, nothing blocked, before the others have heard of its rules."""
    device.wire.cut = False
    device.wait(expect=0)


def trashed(device: Device) -> set[str]:
    """Return what went into the trash here (what the remote keeps as a version is dropped from it soon)."""
    rows = device.db.activity.recent(100)
    return {row.path for row in rows if row.what == OpType.LOCAL_DELETE and row.outcome == "done"}


def test_p2_a_file_moved_to_where_only_we_ignore_it_leaves_through_the_trash(two: World) -> None:
    """The move waited for a folder that is not looked into, for good."""
    ann, bob = two.devices
    ignores(ann, "/q/\n")
    move(bob, "a", "q/a")
    bob.wait()
    online(ann)
    assert not ann.path("a").exists()
    assert not ann.path("q/a").exists()
    assert trashed(ann) == {"a"}
    two.settle_all(expect=0)
    assert bob.read("q/a") == "content of a"  # it was no delete
    commits = len(ann.wire.commits)
    looks(ann)
    ann.wait()
    assert len(ann.wire.commits) == commits  # P3


def test_p2_what_left_comes_back_once_nothing_ignores_it(two: World) -> None:
    ann, bob = two.devices
    ignores(ann, "/q/\n")
    move(bob, "a", "q/a")
    bob.wait()
    online(ann)
    ann.write(".syncignore", "nothing\n")
    two.settle()
    assert ann.read("q/a") == "content of a"


def test_p2_a_file_renamed_to_a_name_that_only_we_ignore_leaves(two: World) -> None:
    ann, bob = two.devices
    ignores(ann, "*.log\n")
    move(bob, "a", "a.log")
    bob.wait()
    online(ann)
    assert not ann.path("a").exists()
    assert trashed(ann) == {"a"}


def test_p2_a_folder_moved_to_where_only_we_ignore_it_leaves_with_all_in_it(two: World) -> None:
    ann, bob = two.devices
    ignores(ann, "/q/\n")
    move(bob, "d", "q/d")
    bob.wait()
    online(ann)
    assert not ann.path("d").exists()
    assert trashed(ann) == {"d", "d/e", "d/e/y", "d/x"}
    ann.write(".syncignore", "nothing\n")
    two.settle()
    assert ann.read("q/d/e/y") == "content of d/e/y"


def test_p7_a_folder_that_comes_out_again_before_it_has_left_keeps_all_that_is_in_it(two: World) -> None:
    ann, bob = two.devices
    ignores(ann, "/q/\n")
    move(bob, "d", "q/d")
    bob.wait()
    ann.wire.cut = False
    hear(ann)
    leaving = [q.op for q in ann.db.queue.in_state(None, 100) if q.op.type is OpType.LOCAL_DELETE]
    assert len(leaving) == 4
    move(bob, "q/d", "p")
    bob.wait()
    hear(ann)
    assert ann.read("p/e/y") == "content of d/e/y"
    two.settle_all(expect=0)
    assert not trashed(ann)


def test_p7_what_was_edited_here_travels_before_it_leaves(two: World) -> None:
    ann, bob = two.devices
    ignores(ann, "/q/\n")
    ann.write("a", "edited by ann")
    ann.write("d/x", "edited in a folder")
    ann.write("d/new", "made in a folder")
    looks(ann)
    move(bob, "a", "q/a")
    move(bob, "d", "q/d")
    bob.wait()
    online(ann)
    assert not ann.path("a").exists()
    assert not ann.path("d").exists()
    bob.wait()
    assert bob.read("q/a") == "edited by ann"
    assert bob.read("q/d/x") == "edited in a folder"
    assert bob.read("q/d/new") == "made in a folder"


def test_p1_an_edit_on_both_sides_keeps_both_before_it_leaves(two: World) -> None:
    ann, bob = two.devices
    ignores(ann, "/q/\n")
    ann.write("a", "edited by ann")
    looks(ann)
    bob.write("a", "edited by bob")
    bob.wait()
    move(bob, "a", "q/a")
    bob.wait()
    ann.wire.cut = False
    two.settle_all(expect=None)
    assert not ann.path("a").exists()
    assert bob.read("q/a") == "edited by bob"
    assert [name for name in bob.tree() if "conflicted copy" in name] == [
        name for name in ann.tree() if "conflicted copy" in name
    ]
    assert any("conflicted copy" in name for name in ann.tree())
    assert not ann.db.queue.in_state(None, 5)


def test_p2_what_both_moved_stays_where_it_is_synced(two: World) -> None:
    ann, bob = two.devices
    ignores(ann, "/q/\n")
    move(ann, "a", "ann's a")
    move(ann, "d", "ann's d")
    looks(ann)
    move(bob, "a", "q/a")
    move(bob, "d", "q/d")
    bob.wait()
    online(ann)
    two.settle()
    assert bob.read("ann's a") == "content of a"
    assert bob.read("ann's d/e/y") == "content of d/e/y"
    assert not trashed(ann)


@pytest.mark.parametrize("moved", ["a", "b"], ids=["a file", "a folder"])
def test_p2_a_folder_that_was_deleted_there_survives_for_what_stays_in_it(two: World, moved: str) -> None:
    """What both moved stays in it, as much as what only we moved there: the two waited for each other, for good."""
    ann, bob = two.devices
    ann.write("b/w", "in a folder")
    two.settle()
    ignores(ann, "/q/\n")
    move(ann, moved, f"d/e/{moved}")
    looks(ann)
    move(bob, moved, f"q/{moved}")
    bob.path("d/e/y").unlink()
    bob.path("d/e").rmdir()
    bob.wait()
    online(ann)
    two.settle_all(expect=0)
    for device in (ann, bob):
        assert device.path(f"d/e/{moved}").exists()
        assert not device.path("d/e/y").exists()
    assert trashed(ann) == {"d/e/y"}


def test_p2_what_both_moved_in_a_folder_that_stays_is_where_the_remote_has_it_in_there(two: World) -> None:
    ann, bob = two.devices
    ignores(ann, "/q/\n")
    move(ann, "d", "ann's d")
    looks(ann)
    move(bob, "d/x", "d/renamed")
    move(bob, "d", "q/d")
    bob.wait()
    online(ann)
    two.settle_all(expect=0)
    for device in (ann, bob):
        assert device.read("ann's d/renamed") == "content of d/x"
    assert not trashed(ann)


def test_p2_what_stays_in_a_folder_that_the_remote_moved_into_it_leaves_with_that(two: World) -> None:
    """The hub was asked to move a folder into itself, again and again."""
    ann, bob = two.devices
    bob.write("b/w", "in a folder")
    bob.wait()
    two.settle_all(expect=0)
    ignores(ann, "/q/\n")
    move(ann, "d", "b/d")
    looks(ann)
    move(bob, "d", "q/d")
    move(bob, "b", "q/d/b")
    bob.wait()
    online(ann)
    assert trashed(ann) == {"b", "b/w", "b/d", "b/d/e", "b/d/e/y", "b/d/x"}
    two.settle_all(expect=0)
    assert bob.read("q/d/b/w") == "in a folder"
    ann.write(".syncignore", "nothing\n")
    two.settle_all(expect=0)
    assert ann.tree() == bob.tree()


def test_p2_a_folder_moved_away_from_new_rules_takes_all_in_it_along(two: World) -> None:
    """Its place at the remote is ignored from now on: that is no move of the remote's."""
    ann, bob = two.devices
    ann.wire.cut = True
    ann.write(".syncignore", "/d/\n")
    move(ann, "d", "saved")
    looks(ann)
    online(ann)
    two.settle()
    assert bob.read("saved/e/y") == "content of d/e/y"
    assert not trashed(ann)


def test_p2_a_file_moved_out_of_a_folder_that_leaves_stays(two: World) -> None:
    ann, bob = two.devices
    ignores(ann, "/q/\n")
    move(ann, "d/x", "x")
    looks(ann)
    move(bob, "d", "q/d")
    bob.wait()
    online(ann)
    two.settle_all(expect=0)
    assert ann.read("x") == bob.read("x") == "content of d/x"
    assert not ann.path("d").exists()


def test_p2_a_folder_that_leaves_with_ignored_content_in_it_is_a_folder_of_its_own(two: World) -> None:
    ann, bob = two.devices
    ignores(ann, "/q/\n*.log\n")
    ann.write("d/a.log", "ann's own")
    move(bob, "d", "q/d")
    bob.wait()
    online(ann)
    assert [name for name in ann.tree() if name.startswith("d")] == ["d", "d/a.log"]
    ann.write("d/fresh", "put where the folder was")
    two.settle_all(expect=0)
    assert bob.read("d/fresh") == "put where the folder was"
    assert bob.read("q/d/x") == "content of d/x"  # what bob moved stays where he put it
    ann.write(".syncignore", "*.log\n")
    two.settle_all(expect=0)
    assert ann.read("q/d/x") == "content of d/x"
    assert bob.read("d/fresh") == "put where the folder was"


def test_p2_what_moves_out_of_an_ignored_folder_comes_here(two: World) -> None:
    ann, bob = two.devices
    ignores(ann, "/q/\n/d/\n")
    move(bob, "q/z", "z")
    move(bob, "d", "free")
    bob.wait()
    online(ann)
    assert ann.read("z") == "content of q/z"
    assert ann.read("free/e/y") == "content of d/e/y"
    assert ann.read("q/z") == "content of q/z"  # what is ignored is not touched
    two.settle_all(expect=0)
    assert bob.read("free/x") == "content of d/x"
    assert bob.read("z") == "content of q/z"


def test_what_is_ignored_here_is_not_fetched_after_a_restart_either(two: World) -> None:
    """Changes of the remote may be told before the first look says which rules are in force."""
    ann, bob = two.devices
    ignores(ann, "/fresh/\n")
    bob.write("fresh/n", "made by bob")
    bob.wait()
    ann.crash()
    ann.start()
    ann.wire.cut = False
    jobs = sorted(ann.jobs, key=lambda job: not isinstance(job, PullJob))  # the pull is answered first
    ann.jobs.clear()
    ann.jobs.extend(jobs)
    for _ in range(3):
        if any(isinstance(job, LookJob) for job in ann.jobs):
            break
        ann.one()
    ann.wait()
    assert not ann.path("fresh").exists()


def test_what_new_rules_name_is_not_fetched_though_it_was_planned(two: World) -> None:
    ann, bob = two.devices
    ann.engine.desk.facts.paused = True
    bob.write("fresh/n", "made by bob")
    bob.wait()
    for _ in range(50):
        if ann.db.queue.in_state(None, 5):
            break
        ann.engine.pulls.hurry()
        ann.one()
    assert ann.db.queue.in_state(None, 5)
    ann.write(".syncignore", "/fresh/\n")
    looks(ann)
    ann.engine.desk.facts.paused = False
    ann.wait()
    assert not ann.path("fresh").exists()
