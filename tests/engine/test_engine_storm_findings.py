"""What the storm found, each in its smallest form."""

import os
import shutil
from collections.abc import Callable

import pytest

from syncd.db.facts import TRASH_BYTES
from syncd.engine.desk import EngineSettings
from syncd.engine.intake import BEFORE_ALL
from syncd.engine.receive import EPOCH
from syncd.model.job import ApplyJob, LookJob, PollJob, ProveJob, PullJob, RecoverJob, SendJob, SweepJob
from syncd.model.node import Absent, Present, Reason, Tree
from syncd.model.observation import Ask, Hints, JobFailed, PullFault, Verb
from syncd.model.op import Op, OpState, OpType, Wait, WaitKind
from syncd.model.path import ROOT
from tests.engine.pausing import stop_at
from tests.engine.world import Device, World

Make = Callable[..., World]


@pytest.fixture
def two(make_world: Make) -> World:
    return make_world("ann", "bob")


def test_p2_a_file_with_three_hard_links_is_three_files(two: World) -> None:
    """Each look at one link asked for a look at another, for ever: the fast path is silent on unchanged names."""
    ann, bob = two.devices
    ann.write("a", "content")
    two.settle()
    os.link(ann.path("a"), ann.path("b"))
    os.link(ann.path("a"), ann.path("c"))
    ann.deadline = ann.engine.step([Hints((((), "b"), ((), "c")))])
    two.settle()
    assert bob.tree().keys() == {"a", "b", "c"}


def test_p2_a_file_moved_out_of_a_folder_that_cannot_be_listed_is_taken_for_new(two: World) -> None:
    ann, bob = two.devices
    ann.write("d/a", "content")
    two.settle()
    ann.path("d/a").rename(ann.path("b"))
    honest = ann.fs.open_dir

    def refuse(path: tuple[str, ...]) -> object:
        if path == ("d",):
            raise PermissionError(13, "not permitted")
        return honest(path)

    ann.fs.open_dir = refuse  # type: ignore[method-assign,assignment]
    ann.deadline = ann.engine.step([Hints((((), "b"),))])
    ann.wait()
    bob.wait()
    assert bob.read("b") == bob.read("d/a") == "content"  # what cannot be listed is not gone
    ann.fs.open_dir = honest  # type: ignore[method-assign]
    two.settle()
    assert bob.tree().keys() == {"d", "b"}


def test_an_upload_that_waits_for_the_hub_keeps_nobody_awake(two: World) -> None:
    """A ready op that cannot be handed out made the loop step without a pause until the hub was back."""
    ann, _ = two.devices
    two.settle()
    ann.wire.cut = True
    ann.write("new", "made offline")
    ann.deadline = ann.engine.step([Hints((((), "new"),)), Ask(999, Verb.WAIT)])
    for _ in range(20):
        ann.one()
    assert ann.db.queue.in_state(None, 5)
    assert not ann.jobs or all(isinstance(job, PollJob) for job in ann.jobs)
    assert ann.deadline is not None
    assert ann.deadline > ann.time.monotonic()


def test_p4_a_crash_while_a_vanished_tree_is_marked_leaves_no_orphans(two: World) -> None:
    """What lay below a vanished folder stayed present for good when the process died before all of it was marked."""
    ann, bob = two.devices
    ann.write("a/b/c/d/e/f", "deep")
    two.settle()
    shutil.rmtree(ann.path("a"))
    key = ann.db.nodes.find(Tree.LOCAL, ("a",))
    node = ann.db.nodes.node(key)
    with ann.db.transaction():
        ann.engine.intake.rows.vanish(node)  # the first half; the process dies before the next step
    ann.crash()
    ann.start()
    two.settle()
    assert bob.tree() == {}


def test_p4_a_crash_after_the_last_page_of_a_listing_still_concludes_what_is_gone(two: World) -> None:
    """The cursor was kept and the absences were not: the device waited for ever for a listing that was over."""
    ann, bob = two.devices
    ann.write("gone", "deleted while bob was away")
    ann.write("stays", "content")
    two.settle()
    bob.crash()
    ann.remove("gone")
    ann.wait()
    bob.start()
    bob.engine.remote.begin_history()
    bob.db.meta.set("linked", "yes")
    bob.engine.pulls._list_again(PullFault.HISTORY, "a backup was restored")
    stop_at(bob, lambda job: isinstance(job, PullJob) and job.cursor is not None)  # the listing is over
    bob.db.meta.set(EPOCH, "list")
    bob.engine.remote.generation = bob.db.nodes.begin_listing() - 1
    bob.crash()
    bob.start()
    two.settle(expect=None)
    assert bob.db.meta.get(EPOCH) is None


def test_p2_two_devices_give_one_folder_two_names(two: World) -> None:
    """A folder that an op was about to move was seen under its new name, and taken for a new one with known files."""
    ann, bob = two.devices
    ann.write("full/a", "one")
    ann.write("full/b", "two")
    two.settle()
    ann.path("full").rename(ann.path("by ann"))
    bob.path("full").rename(bob.path("by bob"))
    two.settle(expect=None)
    assert bob.tree().keys() == {"by ann", "by ann/a", "by ann/b"}


def test_p2_where_a_folder_was_before_an_op_moved_it_is_no_news(two: World) -> None:
    """A look saw it under a name of a moment; the op that moved it ended before the look was told."""
    ann, bob = two.devices
    ann.write("full/a", "one")
    two.settle()
    (folder,) = bob.db.nodes.at(Tree.LOCAL, ROOT, "full")
    ann.path("full").rename(ann.path("by ann"))
    ann.wait()
    sent = len(bob.wire.commits)
    bob.step([Ask(901, Verb.WAIT)])
    stop_at(bob, lambda job: isinstance(job, ApplyJob))
    moving = next(job for job in bob.jobs if isinstance(job, ApplyJob))
    bob.jobs.remove(moving)
    bob.path("full").rename(bob.path("for a moment"))
    bob.step([Hints((((), "full"), ((), "for a moment")))])
    stop_at(bob, lambda job: isinstance(job, LookJob) and job.run is None)
    look = next(job for job in bob.jobs if isinstance(job, LookJob) and job.run is None)
    bob.jobs.remove(look)
    seen = bob.handle(look)
    bob.path("for a moment").rename(bob.path("full"))
    bob.step(bob.handle(moving))
    bob.step(seen)
    assert [node.id for node in bob.db.nodes.at(Tree.LOCAL, ROOT, "by ann")] == [folder.id]
    assert bob.db.nodes.at(Tree.LOCAL, ROOT, "for a moment") == []
    two.settle()
    assert len(bob.wire.commits) == sent


def test_a_walk_that_was_asked_for_while_another_ran_begins_at_its_end(two: World) -> None:
    """Nothing woke the loop for it: who waited for it waited until the next scheduled scan."""
    ann, _ = two.devices
    two.settle()
    ann.deadline = ann.engine.step([Ask(901, Verb.SCAN)])
    stop_at(ann, lambda job: isinstance(job, LookJob))
    ann.deadline = ann.engine.step([Ask(902, Verb.SCAN)])  # proven at once, while the first walk runs
    ann.jobs.rotate(-next(n for n, job in enumerate(ann.jobs) if isinstance(job, ProveJob)))
    began = ann.time.ahead
    for _ in range(50):
        if not ann.one() and ann.deadline is not None:
            ann.time.ahead += max(0.0, ann.deadline - ann.time.monotonic())
        if 902 in ann.replies:
            break
    assert 902 in ann.replies
    assert ann.time.ahead - began < 60


def test_p7_an_edit_beats_a_delete_that_only_a_full_listing_told_of(two: World) -> None:
    """A listing names no tombstones: without its version the node was created, refused as stale, and created again."""
    ann, bob = two.devices
    ann.write("a", "one")
    two.settle()
    bob.wire.cut = True
    bob.write("a", "two")
    ann.remove("a")
    ann.wait()
    with bob.db.transaction():
        bob.db.meta.delete("cursor")  # as after an expired one
    bob.wire.cut = False
    two.settle(expect=None)
    assert ann.read("a") == "two"


def test_p2_a_folder_made_on_both_sides_is_looked_into_though_its_row_became_the_others(two: World) -> None:
    """The look that was on its way named a row that a join had just removed: what was in the folder stayed unseen."""
    ann, bob = two.devices
    two.settle()
    ann.write("d/by ann", "one")
    ann.wait()
    bob.write("d/by bob", "two")
    bob.deadline = bob.engine.step([Hints((((), "d"),))])
    stop_at(bob, lambda job: isinstance(job, LookJob) and job.units[0].path == ("d",))
    late = next(job for job in bob.jobs if isinstance(job, LookJob))
    bob.jobs.remove(late)
    bob.engine.pulls.hurry()
    for _ in range(30):
        bob.one()
    assert isinstance(bob.db.nodes.node(bob.db.nodes.find(Tree.REMOTE, ("d",))).local, Present)  # joined
    bob.deadline = bob.engine.step([bob.looker.look(late)])
    for _ in range(30):
        bob.one()
    assert bob.db.nodes.find(Tree.LOCAL, ("d", "by bob")) is not None
    two.settle()


@pytest.mark.parametrize("stopped", [False, True], ids=["it runs on", "it is killed"])
def test_a_node_that_vanished_everywhere_while_nothing_was_planned_is_forgotten(two: World, stopped: bool) -> None:
    """Its row disagreed with nothing, so that nobody ever found it again."""
    ann, _ = two.devices
    ann.write("d/a", "content")
    two.settle()
    keys = [ann.db.nodes.find(Tree.LOCAL, path) for path in (("d",), ("d", "a"))]
    with ann.db.transaction():
        for key in reversed(keys):
            ann.db.nodes.set_remote(key, Absent())
            ann.db.nodes.set_synced(key, Absent())
            ann.engine.intake.rows.vanish(ann.db.nodes.node(key))
        ann.engine.decider.drop_all()
    shutil.rmtree(ann.path("d"))
    if stopped:
        ann.crash()
        ann.start()
    else:
        ann.engine.planning.plan_all()
    ann.wait()
    assert [ann.db.nodes.node(key) for key in keys] == [None, None]


def test_what_lies_in_an_excluded_folder_is_not_marked_once_nothing_excludes_it(two: World) -> None:
    """Marking goes in pages; a look under other rules may find the folder again before the last of them."""
    ann, _ = two.devices
    ann.write("d/a", "content")
    two.settle()
    key = ann.db.nodes.find(Tree.LOCAL, ("d",))
    with ann.db.transaction():
        ann.engine.intake.excluded.append((key, Reason.IGNORED, BEFORE_ALL))
        ann.engine.intake.rows.orphaned = True
        ann.engine.intake.mark_orphans()
    assert not ann.db.nodes.unknown_counts(Tree.LOCAL)


def test_a_blocked_op_of_a_node_that_agrees_again_goes(two: World) -> None:
    """It was planned while the trees disagreed; nothing disagrees now, and its wait would never be answered."""
    ann, _ = two.devices
    ann.write("a", "content")
    two.settle()
    node = ann.db.nodes.node(ann.db.nodes.find(Tree.LOCAL, ("a",)))
    op = Op(node.id, OpType.LOCAL_DELETE, node.kind, node.local.place, waits=(Wait(WaitKind.DIRECTORY_EMPTY, 999),))
    with ann.db.transaction():
        ann.db.queue.put(op, state=OpState.BLOCKED, key=b"k" * 16, not_before=None, now=ann.time.now())
    assert not ann.db.nodes.disagreeing(0, 5)
    ann.crash()
    ann.start()
    two.settle()
    assert ann.db.queue.live(node.id) is None
    assert ann.read("a") == "content"


def test_p8_deletes_that_were_judged_are_not_judged_again_as_the_root_shrinks(make_world: Make) -> None:
    """The mark is a share of the root: what was fine as a quarter of it must not be held as a third of the rest."""
    world = make_world("ann", "bob", settings=EngineSettings(guard_floor=1, batch_ops=1, send_width=1, apply_width=1))
    ann, bob = world.devices
    for number in range(40):
        ann.write(f"f{number}", f"content {number}")
    world.settle()
    for number in range(10):
        ann.remove(f"f{number}")
    world.settle()
    assert not ann.db.decisions.undecided()
    assert not bob.db.decisions.undecided()
    assert len(bob.tree()) == 30


def after_a_crash(device: Device, job: type, *, done: bool) -> None:
    """Die with a job handed out, carried out or not; finding out whether it was breaks, too, at first."""
    stop_at(device, lambda each: isinstance(each, job))
    if done:
        device.handle(next(each for each in device.jobs if isinstance(each, job)))
    device.crash()
    device.start()
    recover = next(each for each in device.jobs if isinstance(each, RecoverJob))
    assert recover.local or recover.remote
    device.jobs.remove(recover)
    device.deadline = device.engine.step([JobFailed(recover, "ValueError: nobody foresaw this")])


@pytest.mark.parametrize("done", [False, True], ids=["not done", "done but not told"])
@pytest.mark.parametrize("side", ["local", "remote"])
@pytest.mark.parametrize("what", ["create", "edit", "move", "delete"])
def test_p4_whatever_ran_at_a_crash_is_resolved_though_finding_out_broke(
    two: World, done: bool, side: str, what: str
) -> None:
    """Here it is looked into again, at the remote it is tried again with its own key; no conflict is made of it."""
    ann, bob = two.devices
    ann.write("a", "one")
    ann.write("kept", "kept")
    two.settle()
    match what:
        case "create":
            ann.write("new", "new")
        case "edit":
            ann.write("a", "another one")
        case "move":
            ann.path("a").rename(ann.path("moved"))
        case "delete":
            ann.remove("a")
    expected = ann.tree()
    if side == "remote":
        ann.deadline = ann.engine.step([Ask(700, Verb.WAIT)])
        after_a_crash(ann, SendJob, done=done)
    else:
        ann.wait()
        bob.deadline = bob.engine.step([Ask(700, Verb.WAIT)])
        after_a_crash(bob, ApplyJob, done=done)
    two.settle()
    assert ann.tree() == bob.tree() == expected
    assert not ann.db.conflicts.open_count()
    assert not bob.db.conflicts.open_count()


def test_p12_the_size_of_the_trash_is_kept_for_whoever_asks(two: World) -> None:
    ann, bob = two.devices
    ann.write("a", "twelve bytes")
    two.settle()
    ann.remove("a")
    ann.wait()
    bob.wait()
    bob.engine.upkeep.sweep_soon()
    bob.deadline = bob.engine.step([])
    stop_at(bob, lambda job: isinstance(job, SweepJob))
    while any(isinstance(job, SweepJob) for job in bob.jobs):
        bob.one()
    kept = sum(len(content) for content in bob.trash())
    assert bob.db.meta.get(TRASH_BYTES) == str(kept)
