"""P8: a root that is found to be gone, by whom ever, stops everything at once, and nothing is taken for deleted."""

from collections.abc import Callable

from syncd.model.job import ApplyJob, LookJob, ProveJob
from syncd.model.observation import Ask, Hints, Unproven, Verb
from syncd.model.status import Phase
from tests.engine.world import Device, World

Make = Callable[..., World]


def until_applying(device: Device) -> ApplyJob:
    device.deadline = device.engine.step([Ask(900, Verb.WAIT)])
    for _ in range(200):
        found = next((job for job in device.jobs if isinstance(job, ApplyJob)), None)
        if found is not None:
            device.jobs.remove(found)
            return found
        if not device.one():
            device.time.ahead += 0.3
    raise AssertionError(device.doings())


def test_p8_an_op_that_meets_another_root_stops_everything(make_world: Make) -> None:
    world = make_world("ann", "bob")
    ann, bob = world.devices
    ann.write("a", "one")
    world.settle()
    ann.write("a", "two")
    ann.wait()
    job = until_applying(bob)
    while any(isinstance(each, LookJob) for each in bob.jobs):
        bob.one()
    away = bob.base / "away"
    bob.root.rename(away)
    bob.root.mkdir()  # as a mount point is, when the disk is not there
    for message in bob.runner.apply(job):
        bob.deadline = bob.engine.step([message])
    assert bob.engine.live.phase is Phase.STOPPED
    assert not [job for job in bob.jobs if isinstance(job, LookJob | ApplyJob)]
    assert list(bob.root.iterdir()) == []
    bob.root.rmdir()
    away.rename(bob.root)
    world.time.ahead += 11.0
    world.settle()
    assert bob.read("a") == "two"


def test_p8_what_was_being_walked_is_not_walked_on_without_the_root(make_world: Make) -> None:
    world = make_world("ann")
    (ann,) = world.devices
    for number in range(200):
        ann.write(f"d{number:03}/a", "content")
    world.settle()
    ann.deadline = ann.engine.step([Ask(901, Verb.SCAN)])
    while not any(isinstance(job, LookJob) for job in ann.jobs):
        ann.one()
    ann.deadline = ann.engine.step([Unproven("the folder is gone", proving=False)])
    given = [job for job in ann.jobs if isinstance(job, LookJob)]
    for job in given:
        ann.jobs.remove(job)
        for message in ann.handle(job):
            ann.deadline = ann.engine.step([message])
    ann.deadline = ann.engine.step([Hints((((), "d000"),))])
    assert not [job for job in ann.jobs if isinstance(job, LookJob)]
    assert ann.engine.live.phase is Phase.STOPPED
    world.time.ahead += 11.0
    ann.deadline = ann.engine.step([])
    assert any(isinstance(job, ProveJob) for job in ann.jobs)
    ann.wait()


def test_p8_a_root_that_stays_away_is_looked_for_less_and_less_often_but_never_given_up(make_world: Make) -> None:
    world = make_world("ann")
    (ann,) = world.devices
    world.settle()
    while ann.one():
        pass
    away = ann.base / "away"
    ann.root.rename(away)
    ann.deadline = ann.engine.step([Unproven("the folder is gone", proving=False)])
    pauses = []
    for _ in range(6):
        before = world.time.monotonic()
        while not (proofs := [job for job in ann.jobs if isinstance(job, ProveJob)]):
            assert ann.deadline is not None
            world.time.ahead += max(0.0, ann.deadline - world.time.monotonic())
            ann.deadline = ann.engine.step([])
        pauses.append(round(world.time.monotonic() - before))
        ann.jobs.remove(proofs[0])
        ann.deadline = ann.engine.step(ann.handle(proofs[0]))
    assert pauses == [1, 1, 2, 4, 8, 10]
    away.rename(ann.root)
    world.settle()
    assert ann.engine.live.phase is Phase.IN_SYNC
