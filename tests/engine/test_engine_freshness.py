"""Freshness (section 4): what was seen before a result says nothing after it, and R only moves forward."""

from collections import deque
from collections.abc import Callable

import pytest
from blake3 import blake3

from syncd.model.job import ApplyJob, Job, LookJob, PollJob, PullJob, SendJob
from syncd.model.node import Node, Present, Tree, Version
from syncd.model.observation import Ask, Hints, Pulled, PullFailed, PullFault, Verb
from syncd.model.remote import Change
from tests.engine.world import Device, World

Make = Callable[..., World]


@pytest.fixture
def two(make_world: Make) -> World:
    return make_world("ann", "bob")


def node_at(device: Device, *path: str) -> Node:
    key = device.db.nodes.find(Tree.LOCAL, path)
    assert key is not None
    node = device.db.nodes.node(key)
    assert node is not None
    return node


def ordered_look(device: Device, name: str) -> LookJob:
    """Let a look at *name* be ordered, and take it off the workers' hands."""
    device.deadline = device.engine.step([Hints((((), name),))])
    look = next(job for job in device.jobs if isinstance(job, LookJob))
    device.jobs.remove(look)
    return look


def test_p6_a_look_that_began_before_a_result_says_nothing_after_it(two: World) -> None:
    """The name was gone for a moment; while that was on its way, an op gave the file new content."""
    ann, bob = two.devices
    ann.write("a", "one")
    two.settle()
    ann.write("a", "two")
    ann.wait()
    bob.path("a").rename(bob.base / "aside")
    look = ordered_look(bob, "a")
    seen = bob.looker.look(look)
    (bob.base / "aside").rename(bob.path("a"))
    bob.deadline = bob.engine.step([Ask(901, Verb.WAIT)])
    for _ in range(100):
        if bob.read("a") == "two" and not bob.engine.desk.running:
            break
        if not bob.one():
            bob.time.ahead += 0.5
    assert bob.read("a") == "two", "the op was done meanwhile"
    bob.deadline = bob.engine.step([seen])
    local = node_at(bob, "a").local
    assert isinstance(local, Present), "the look is older than the result"
    two.settle()


def test_p6_a_look_that_began_before_an_upload_ended_says_nothing_after_it(two: World) -> None:
    """It saw the content before the one that was sent: that is no edit."""
    ann, _ = two.devices
    ann.write("a", "one")
    two.settle()
    ann.write("a", "and one more")
    look = ordered_look(ann, "a")
    seen = ann.looker.look(look)
    two.time.ahead += 1.0
    ann.write("a", "two")
    ann.deadline = ann.engine.step([Hints((((), "a"),))])
    for _ in range(100):
        synced = node_at(ann, "a").synced
        if isinstance(synced, Present) and synced.hash == blake3(b"two").digest() and not ann.engine.desk.running:
            break
        if not ann.one():
            two.time.ahead += 0.5
    ann.step([seen])
    local = node_at(ann, "a").local
    assert isinstance(local, Present)
    assert local.hash == blake3(b"two").digest()
    two.settle()


@pytest.mark.parametrize("ended", [False, True], ids=["while it runs", "after its result"])
def test_a_folder_that_is_made_at_the_remote_is_not_looked_at_again_for_that(two: World, ended: bool) -> None:
    """All that was copied in was read three times: each folder was made there while what is in it was being read."""
    ann, _ = two.devices
    two.settle()
    ann.write("d/f", "content")
    ann.deadline = ann.engine.step([Hints((((), "d"),))])
    held: deque[Job] = deque()
    while not {LookJob, SendJob} <= {type(job) for job in held}:
        job = ann.jobs.popleft()
        if isinstance(job, SendJob) or (isinstance(job, LookJob) and job.units[0].path == ("d",)):
            held.append(job)
            continue
        for message in [] if isinstance(job, PollJob) else ann.handle(job):
            ann.step([message])
    look = next(job for job in held if isinstance(job, LookJob))
    making = next(job for job in held if isinstance(job, SendJob))
    seen = ann.looker.look(look)
    for message in ann.handle(making) if ended else []:
        ann.step([message])
    assert (node_at(ann, "d").id in ann.engine.desk.running) is not ended
    ann.step([seen])
    local = node_at(ann, "d", "f").local
    assert isinstance(local, Present)
    assert local.hash == blake3(b"content").digest()
    for message in [] if ended else ann.handle(making):
        ann.step([message])
    two.settle()


def test_p6_where_a_file_went_is_not_concluded_from_a_look_older_than_a_result(two: World) -> None:
    """Renamed here, edited there: the look that saw the rename came in after an op on the file had been refused. Its
    word that the old name is gone was dropped, and the new name became another file."""
    ann, bob = two.devices
    ann.write("a", "one")
    two.settle()
    ann.write("a", "two")
    ann.wait()
    bob.path("a").rename(bob.path("c"))
    bob.deadline = bob.engine.step([Hints((((), "a"), ((), "c")))])
    looks = [job for job in bob.jobs if isinstance(job, LookJob)]
    assert [[unit.names for unit in look.units] for look in looks] == [[("a", "c")]]
    bob.jobs.remove(looks[0])
    seen = bob.looker.look(looks[0])
    began = looks[0].began
    node = node_at(bob, "a").id
    bob.deadline = bob.engine.step([Ask(901, Verb.WAIT)])
    others: list[Job] = []
    for _ in range(100):
        if bob.engine.desk.ended.get(node, 0) > began:
            break
        others += [job for job in bob.jobs if isinstance(job, LookJob)]
        bob.jobs = deque(job for job in bob.jobs if not isinstance(job, LookJob))
        if not bob.one():
            bob.time.ahead += 0.5
    assert bob.engine.desk.ended.get(node, 0) > began, "an op on it ended meanwhile"
    bob.deadline = bob.engine.step([seen])
    bob.jobs.extend(others)
    two.settle()
    assert bob.read("c") == "two"
    assert bob.tree().keys() == {"c"}


def test_p6_what_an_op_brings_is_nobody_s_new_file_though_it_was_deleted_there_meanwhile(two: World) -> None:
    """Made and deleted there: the look that saw the download's file came in before its result, and after the delete.
    The file was taken for a new one, and came back on every device."""
    ann, bob = two.devices
    two.settle()
    ann.write("b", "short-lived")
    ann.wait()
    bob.deadline = bob.engine.step([Ask(901, Verb.WAIT)])
    for _ in range(100):
        if any(isinstance(job, ApplyJob) for job in bob.jobs):
            break
        if not bob.one():
            bob.time.ahead += 0.5
    brought = next(job for job in bob.jobs if isinstance(job, ApplyJob))
    bob.jobs.remove(brought)
    results = list(bob.runner.apply(brought))
    assert bob.read("b") == "short-lived"
    seen = bob.looker.look(ordered_look(bob, "b"))
    ann.remove("b")
    ann.wait()
    cursor = bob.db.meta.get("cursor")
    assert cursor is not None
    page = PullJob(cursor)
    desk = bob.engine.desk
    desk.in_flight[page.lane] = desk.in_flight.get(page.lane, 0) + 1
    bob.deadline = bob.engine.step([bob.lister.pull(page)])
    commits = len(bob.wire.commits)
    bob.deadline = bob.engine.step([seen])
    for result in results:
        bob.deadline = bob.engine.step([result])
    two.settle()
    assert bob.tree() == {}
    assert bob.wire.commits[commits:] == [], "nobody edited here"


@pytest.mark.parametrize("level", range(3), ids=["the node itself", "its folder", "a folder above"])
def test_p6_a_result_on_an_ancestor_makes_a_look_old_too(two: World, level: int) -> None:
    ann, _ = two.devices
    ann.write("x/y/z", "deep")
    two.settle()
    desk = ann.engine.desk
    leaf = node_at(ann, "x", "y", "z").id
    began = desk.seq
    assert not desk.stale(leaf, began)
    desk.result_on(node_at(ann, *("x", "y", "z")[: 3 - level]).id)
    assert desk.stale(leaf, began)
    assert not desk.stale(leaf, desk.seq), "a look that begins now is fresh"


def test_p2_r_never_moves_backwards(two: World) -> None:
    """A page that was on its way while a later one was taken in tells an older version of the node."""
    ann, bob = two.devices
    ann.write("a", "one")
    two.settle()
    before = node_at(bob, "a").remote
    assert isinstance(before, Present)
    assert before.version is not None
    ann.write("a", "two")
    two.settle()
    now = node_at(bob, "a")
    said = bob.hub.authenticate(bob.enrolled.token).look([now.node_id or b""])[0]
    assert said is not None
    older = type(said)(
        said.node_id, said.parent_id, "older name", said.kind, Version(before.version.position, before.version.tag),
        said.content, said.executable, said.mtime_ns,
    )  # fmt: skip
    cursor = bob.db.meta.get("cursor")
    assert cursor is not None
    late = PullJob(cursor)
    desk = bob.engine.desk
    desk.in_flight[late.lane] = desk.in_flight.get(late.lane, 0) + 1
    bob.deadline = bob.engine.step([Pulled(late, None, (Change(older),), cursor, False, full=False)])
    assert node_at(bob, "a").remote == now.remote
    two.settle()
    assert bob.tree().keys() == {"a"}


def test_p4_a_new_history_is_listed_only_once_no_op_speaks_the_old_one(make_world: Make) -> None:
    """What an op is told of the old history, after the listing of the new one, would pass for the younger word."""
    (ann,) = make_world("ann").devices
    ann.wait()
    ann.write("a", "content")
    ann.engine.step([Ask(900, Verb.WAIT)])
    while not any(isinstance(job, SendJob) for job in ann.jobs):
        ann.one()
    (poll,) = [job for job in ann.jobs if isinstance(job, PollJob)]
    ann.jobs.remove(poll)
    ann.engine.step([PullFailed(poll, PullFault.HISTORY, "restored from a backup")])

    def listings() -> list[PullJob]:
        return [job for job in ann.jobs if isinstance(job, PullJob) and job.cursor is None]

    assert not listings()
    (send,) = [job for job in ann.jobs if isinstance(job, SendJob)]
    ann.jobs.remove(send)
    for message in ann.handle(send):
        ann.engine.step([message])
    ann.engine.step([])  # what S says of it is forgotten first
    assert listings()
