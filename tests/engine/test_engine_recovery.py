"""An op of which nobody knows how it ended stays under way until somebody could look (P4): planned before that, its own
effect would be taken for a person's edit."""

from collections.abc import Callable

import pytest

from syncd.engine.recovery import PATIENCE
from syncd.model.errors import RootGone
from syncd.model.job import ApplyJob, RecoverJob
from syncd.model.observation import Ask, Hints, JobFailed, Unproven, Verb
from tests.engine.pausing import killed_after_it_acted, stop_at
from tests.engine.world import World

Make = Callable[..., World]


@pytest.fixture
def two(make_world: Make) -> World:
    return make_world("ann", "bob")


def no_conflicts(world: World) -> None:
    assert not any(device.db.conflicts.open_count() for device in world.devices)


def test_p4_what_ran_at_a_crash_is_looked_into_again_when_the_root_is_back(two: World) -> None:
    """It was given back while the folder was away, and the next version met its own older one as an edit."""
    ann, bob = two.devices
    ann.write("a", "one")
    ann.wait()
    recover = killed_after_it_acted(bob)
    honest = bob.fs.prove
    bob.fs.own, own = _gone, bob.fs.own  # type: ignore[method-assign,assignment]
    bob.fs.prove = _gone  # type: ignore[method-assign,assignment]
    bob.jobs.remove(recover)
    for message in bob.handle(recover):
        bob.deadline = bob.engine.step([message])
    bob.deadline = bob.engine.step([Unproven("the folder is away", proving=False)])
    ann.write("a", "another one")
    ann.wait()
    assert bob.db.queue.running()
    bob.fs.own, bob.fs.prove = own, honest  # type: ignore[method-assign]
    two.settle()
    no_conflicts(two)
    assert bob.read("a") == "another one"


def _gone(*names: str) -> object:
    raise RootGone("the folder is away")


def test_p4_what_broke_after_it_acted_is_looked_into_before_it_is_planned_again(two: World) -> None:
    """The rename was done and the sync of its folder failed: the op was planned anew on top of its own effect."""
    ann, bob = two.devices
    ann.write("a", "one")
    ann.wait()
    bob.deadline = bob.engine.step([Ask(700, Verb.WAIT)])
    stop_at(bob, lambda job: isinstance(job, ApplyJob))
    job = next(job for job in bob.jobs if isinstance(job, ApplyJob))
    bob.jobs.remove(job)
    bob.handle(job)
    bob.deadline = bob.engine.step([JobFailed(job, "OSError: [Errno 5] Input/output error")])
    ann.write("a", "another one")
    ann.wait()
    bob.deadline = bob.engine.step([Hints((((), "a"),))])
    two.settle()
    no_conflicts(two)
    assert bob.read("a") == "another one"


def test_p2_an_op_that_can_never_be_looked_into_is_given_back_in_the_end(two: World) -> None:
    ann, bob = two.devices
    ann.write("a", "one")
    ann.wait()
    recover = killed_after_it_acted(bob)
    failed = 0
    while bob.db.queue.running():
        stop_at(bob, lambda job: isinstance(job, RecoverJob))
        recover = next(job for job in bob.jobs if isinstance(job, RecoverJob))
        bob.jobs.remove(recover)
        bob.deadline = bob.engine.step([JobFailed(recover, "ValueError: nobody foresaw this")])
        failed += 1
        assert failed <= PATIENCE + 1
    two.settle()
    no_conflicts(two)
    assert bob.read("a") == "one"
