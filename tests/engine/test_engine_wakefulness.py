"""When the loop is called again: neither for what cannot go on, nor too late for what can (P12)."""

from collections import deque
from collections.abc import Callable

from syncd.model.job import LookJob, PollJob, ProveJob, PullJob
from syncd.model.observation import Ask, Hints, PollEnded, PullFailed, PullFault, Verb
from syncd.model.op import OpState
from tests.engine.world import Device, World

Make = Callable[..., World]


def idle(device: Device) -> None:
    """Do what there is to do now: no step is made that neither a message nor the deadline asks for."""
    for _ in range(200):
        if any(not isinstance(job, PollJob) for job in device.jobs):
            device.one()
        elif device.deadline is not None and device.deadline <= device.time.monotonic():
            device.deadline = device.engine.step([])
        else:
            return
    raise AssertionError(device.doings())


def test_a_poll_that_rings_nothing_still_pulls(make_world: Make) -> None:
    """A ring that got lost delays a change until the poll ends, and no longer: every poll's end is a periodic pull."""
    world = make_world("ann", "bob")
    ann, bob = world.devices
    world.settle()
    ann.write("new", "told of by no ring")
    ann.wait()
    idle(bob)
    assert not bob.path("new").exists()
    poll = next(job for job in bob.jobs if isinstance(job, PollJob))
    bob.jobs.remove(poll)
    bob.deadline = bob.engine.step([PollEnded(poll, changed=False)])
    idle(bob)
    assert bob.read("new") == "told of by no ring"


def test_an_op_that_is_due_and_cannot_leave_keeps_nobody_awake(make_world: Make) -> None:
    """The hub was away before the file was written: its upload is due at once, and waits for the hub."""
    world = make_world("ann")
    (ann,) = world.devices
    world.settle()
    idle(ann)
    ann.wire.cut = True
    poll = next(job for job in ann.jobs if isinstance(job, PollJob))
    ann.jobs.remove(poll)
    ann.deadline = ann.engine.step([PullFailed(poll, PullFault.OFFLINE, "the hub cannot be reached")])
    ann.write("new", "made offline")
    ann.deadline = ann.engine.step([Hints((((), "new"),))])
    for _ in range(20):
        ann.one()
    assert [queued.state for queued in ann.db.queue.in_state(None, 5)] == [OpState.READY]
    assert ann.deadline is not None
    assert ann.deadline > ann.time.monotonic() + 0.1


def test_a_walk_asked_for_during_another_begins_in_the_step_after_its_end(make_world: Make) -> None:
    """No timer and no message has to come for it."""
    world = make_world("ann")
    (ann,) = world.devices
    world.settle()
    ann.time.ahead += 60.0
    idle(ann)  # sweeps and all that is due by itself are over
    ann.deadline = ann.engine.step([Ask(901, Verb.SCAN)])
    while not any(isinstance(job, LookJob) for job in ann.jobs):
        ann.one()
    ann.deadline = ann.engine.step([Ask(902, Verb.SCAN)])
    ann.jobs.rotate(-next(n for n, job in enumerate(ann.jobs) if isinstance(job, ProveJob)))
    idle(ann)
    assert 901 in ann.replies
    assert 902 in ann.replies


def test_a_first_link_goes_on_in_the_step_after_its_walk(make_world: Make) -> None:
    """Both sides are known once the walk is over, also when it ends last: no sweep has to come to begin the plan."""
    (ann,) = make_world("ann").devices
    ann.write("old", "there before it was linked")
    ann.tickets += 1
    ann.deadline = ann.engine.step([Ask(ann.tickets, Verb.WAIT)])
    while any(isinstance(job, PullJob) for job in ann.jobs):
        ann.jobs = deque(sorted(ann.jobs, key=lambda job: not isinstance(job, PullJob)))
        ann.one()
    idle(ann)
    assert ann.replies[ann.tickets].code == 0
