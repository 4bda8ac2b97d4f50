"""Absence is concluded late: at the end of a listing, of a look, of a walk; never from what could not be read (P7)."""

import os
from collections import deque
from collections.abc import Callable

import pytest

from syncd.engine import pulls, receive
from syncd.engine.intake import ROWS_A_STEP
from syncd.model.job import Job, LookJob, PollJob
from syncd.model.node import Absent, Tree
from syncd.model.observation import Ask, Hints, PollEnded, Verb
from syncd.model.path import ROOT
from syncd.model.remote import Create, Delete
from tests.engine.pausing import hold_listing, work_on
from tests.engine.world import Device, World

Make = Callable[..., World]


@pytest.fixture
def two(make_world: Make) -> World:
    return make_world("ann", "bob")


def run(device: Device, held_back: Callable[[Job], bool] = lambda job: False) -> list[Job]:
    """Do all there is to do now, without letting time pass; returns the jobs that were held back."""
    back: list[Job] = []
    for _ in range(500):
        back += [job for job in device.jobs if held_back(job)]
        device.jobs = deque(job for job in device.jobs if not held_back(job))
        if device.one() or any(not isinstance(job, PollJob) and not held_back(job) for job in device.jobs):
            continue
        if device.deadline is None or device.deadline > device.time.monotonic():
            return back
    raise AssertionError(device.doings())


def is_walk(job: Job) -> bool:
    return isinstance(job, LookJob) and job.run is not None


def remote_names(device: Device) -> set[str]:
    return {
        node.remote.place.name  # type: ignore[union-attr]
        for node in device.db.nodes.children(Tree.REMOTE, ROOT)
        if not isinstance(node.remote, Absent)
    }


def expire(device: Device) -> None:
    """Let the device list everything again, as after an expired cursor."""
    with device.db.transaction():
        device.db.meta.delete("cursor")


def test_p7_what_a_page_of_a_listing_does_not_name_is_not_gone(two: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob = two.devices
    names = {f"file {number}" for number in range(7)}
    for name in sorted(names):
        ann.write(name, name)
    two.settle()
    monkeypatch.setattr(pulls, "LISTING_PAGE", 2)
    expire(bob)
    bob.tickets += 1
    bob.deadline = bob.engine.step([Ask(bob.tickets, Verb.WAIT)])
    pages = 0
    while bob.tickets not in bob.replies:
        if not bob.one():
            bob.time.ahead += 0.5
        pages += bob.engine.pulls.listing
        assert remote_names(bob) == names
    assert pages > 2, "it was a listing of several pages"
    assert not bob.trash()


@pytest.mark.parametrize(
    "deed",
    [
        pytest.param(lambda ann: ann.write("new", "content"), id="made"),
        pytest.param(lambda ann: ann.path("old").rename(ann.path("new")), id="moved"),
    ],
)
def test_p2_what_came_and_went_while_everything_was_listed_is_gone(
    two: World, deed: Callable[[Device], object]
) -> None:
    """It was sent while the listing was on its way, and counted as listed; before that arrived somebody else removed it
    again. The listing did not show it, the feed had nothing to tell: one device kept for ever what nobody else had."""
    ann, bob = two.devices
    ann.write("old", "content")
    two.settle()
    listing = hold_listing(ann)
    deed(ann)
    work_on(ann, "old", "new")
    bob.wait()
    bob.path("new").unlink(missing_ok=True)
    bob.wait()
    ann.jobs.append(listing)
    two.settle()
    assert ann.tree() == bob.tree()
    assert "new" in bob.tree(), "it is sent once the listing has ended"


def test_p4_absences_that_were_due_at_a_crash_are_concluded(two: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The listing's cursor was kept, only some of its absences were: no feed would ever tell of the others."""
    ann, bob = two.devices
    for name in ("gone 1", "gone 2", "gone 3", "stays"):
        ann.write(name, name)
    two.settle()
    bob.crash()
    for number in (1, 2, 3):
        ann.remove(f"gone {number}")
    ann.wait()
    bob.start()
    expire(bob)
    monkeypatch.setattr(receive, "UNLISTED_A_STEP", 1)
    for _ in range(200):
        if bob.db.meta.get(receive.UNLISTED) is not None:
            break
        if not bob.one():
            bob.time.ahead += 0.5
    assert {"stays"} < remote_names(bob), "not all of them were concluded yet"
    bob.crash()
    bob.start()
    two.settle()
    assert bob.tree().keys() == {"stays"}


def test_p7_a_delete_waits_for_the_walk_that_may_still_find_where_the_file_went(two: World) -> None:
    ann, _ = two.devices
    ann.write("from/a", "content")
    ann.path("to").mkdir()
    two.settle()
    commits = len(ann.wire.commits)
    ann.path("from/a").rename(ann.path("to/a"))
    ann.deadline = ann.engine.step([Hints(((("from",), "a"),)), Ask(77, Verb.SCAN)])
    back = run(ann, is_walk)
    ann.time.ahead += 5.0  # longer than a delete rests
    back += run(ann, is_walk)
    assert back, "a walk is under way"
    assert len(ann.wire.commits) == commits
    ann.jobs.extend(back)
    two.settle()
    assert [type(mutation).__name__ for mutation in ann.wire.commits[commits:]] == ["Moves"]


def test_p8_a_delete_rests_until_its_other_half_can_be_seen(two: World) -> None:
    """A move whose halves are told apart is one move all the same."""
    ann, _ = two.devices
    ann.write("a", "content")
    two.settle()
    commits = len(ann.wire.commits)
    ann.path("a").rename(ann.path("b"))
    ann.deadline = ann.engine.step([Hints((((), "a"),))])
    run(ann)
    ann.time.ahead += 1.0
    run(ann)
    assert len(ann.wire.commits) == commits
    ann.deadline = ann.engine.step([Hints((((), "b"),))])
    two.settle()
    assert [type(mutation).__name__ for mutation in ann.wire.commits[commits:]] == ["Moves"]


def test_p7_a_folder_that_cannot_be_listed_keeps_all_that_is_in_it(two: World) -> None:
    ann, bob = two.devices
    ann.write("locked/a", "content")
    ann.write("locked/deep/b", "content")
    two.settle()
    honest = ann.fs.open_dir

    def refuse(path: tuple[str, ...]) -> object:
        if path == ("locked",):
            raise PermissionError(13, "not permitted")
        return honest(path)

    ann.fs.open_dir = refuse  # type: ignore[method-assign,assignment]
    before = {key: ann.db.nodes.node(key).local for key in (2, 3, 4, 5) if ann.db.nodes.node(key)}  # type: ignore[union-attr]
    ann.deadline = ann.engine.step([Hints(((("locked",), "a"), ((), "locked")))])
    run(ann)
    assert {key: ann.db.nodes.node(key).local for key in before} == before  # type: ignore[union-attr]
    commits = len(ann.wire.commits)
    ann.wait()
    bob.wait()
    assert not [mutation for mutation in ann.wire.commits[commits:] if isinstance(mutation, Delete)]
    assert bob.read("locked/a") == bob.read("locked/deep/b") == "content"
    ann.fs.open_dir = honest  # type: ignore[method-assign]
    two.settle()


def test_p7_half_of_a_look_is_never_planned(make_world: Make) -> None:
    """What was renamed within a huge folder is missing until the rest of the look is written: no op may come of it."""
    world = make_world("ann")
    (ann,) = world.devices
    count = ROWS_A_STEP + 200
    for number in range(count):
        ann.write(f"huge/{number:04}", f"content {number}")
    world.settle()
    for number in range(count):
        os.rename(ann.path(f"huge/{number:04}"), ann.path(f"huge/moved {number:04}"))
    ann.deadline = ann.engine.step([Ask(77, Verb.SCAN)])
    halves = 0
    for _ in range(200):
        ann.one()
        if ann.engine.intake.begun:
            halves += 1
            assert ann.db.queue.in_state(None, 5) == []
    assert halves
    ann.wait()


def test_p2_looks_do_not_wait_for_ever_for_what_is_never_planned_to_its_end(make_world: Make) -> None:
    """An op could not be handed out before the next look told of its folder; it was planned again at each step, and the
    look waited for that (seed 7006299)."""
    world = make_world("ann", "bob")
    ann, bob = world.devices
    ann.engine.intake.planned = lambda: False
    for number in range(30):
        ann.write(f"{number}/file", f"content {number}")
    world.settle()
    ann.remove("3")
    ann.write("4/file", "edited")
    world.settle()
    assert bob.tree() == ann.tree()


def test_p7_nothing_is_uploaded_before_the_first_listing_is_over(
    make_world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost database, and a folder in sync: what the pages to come will name is not new (P9)."""
    world = make_world("ann")
    (ann,) = world.devices
    for number in range(9):
        ann.write(f"file {number}", f"content {number}")
    world.settle()
    ann.crash()
    ann.lose_database()
    monkeypatch.setattr(pulls, "LISTING_PAGE", 2)
    ann.start()
    ann.deadline = ann.engine.step([])
    while (look := next((job for job in ann.jobs if not type(job).__name__.startswith("Pull")), None)) is not None:
        ann.jobs.remove(look)
        for message in ann.handle(look):
            ann.deadline = ann.engine.step([message])
        if len([job for job in ann.jobs if isinstance(job, LookJob)]) == 0 and ann.engine.looks.completed:
            break
    world.settle()
    assert not [mutation for mutation in ann.wire.commits if isinstance(mutation, Create)]
    assert ann.wire.sent == ann.wire.fetched == 0


@pytest.mark.parametrize("restart", [False, True], ids=["it runs on", "it is killed"])
def test_p2_a_file_deleted_in_a_folder_that_moved_does_not_come_back(two: World, restart: bool) -> None:
    """Of the move only the old place had been seen: the row was forgotten, and the file at the new one was new."""
    ann, bob = two.devices
    for name in ("d/f", "d/kept", "z/other"):
        ann.write(name, name)
    two.settle()
    ann.remove("d/f")
    ann.wait()
    bob.path("d").rename(bob.path("z/e"))
    bob.step([Hints((((), "d"),))])
    for _ in range(30):
        bob.time.ahead += 0.03  # in all less than deletes rest
        bob.one()
    if restart:
        bob.crash()
        bob.start()
    two.settle()
    assert sorted(ann.tree()) == sorted(bob.tree()) == ["z", "z/e", "z/e/kept", "z/other"]


def test_p2_a_file_deleted_in_a_folder_found_elsewhere_and_not_yet_looked_into_does_not_come_back(two: World) -> None:
    ann, bob = two.devices
    for name in ("d/f", "d/kept", "z/other"):
        ann.write(name, name)
    two.settle()
    bob.path("d").rename(bob.path("z/e"))
    for directory, name, there in ((), "d", False), (("z",), "e", True):
        bob.step([Hints(((directory, name),))])
        while (bob.db.nodes.find(Tree.LOCAL, (*directory, name)) is not None) is not there:
            bob.time.ahead += 0.03
            bob.one()
    ann.remove("d/f")
    ann.wait()
    poll = next(job for job in bob.jobs if isinstance(job, PollJob))
    bob.jobs.remove(poll)
    inside = [job for job in bob.jobs if isinstance(job, LookJob)]
    assert inside, "what is in it is still to be looked at"
    bob.jobs = deque(job for job in bob.jobs if job not in inside)
    bob.step([PollEnded(poll, changed=True)])
    while bob.one():
        pass
    bob.jobs.extend(inside)
    two.settle()
    assert sorted(ann.tree()) == sorted(bob.tree()) == ["z", "z/e", "z/e/kept", "z/other"]
