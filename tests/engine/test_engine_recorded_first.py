"""P4: rows before the cursor that says they were read, the record of an op before the op, and both on the disk."""

from collections.abc import Callable

import pytest

from syncd.engine.receive import RemoteIntake
from syncd.model.job import Job, PullJob
from syncd.model.observation import Hints
from syncd.model.remote import Change
from tests.engine.world import World

Make = Callable[..., World]


class Killed(BaseException):
    """The process is gone in the middle of a step."""


@pytest.fixture
def two(make_world: Make) -> World:
    return make_world("ann", "bob")


def test_p4_a_crash_in_the_middle_of_a_page_of_changes_loses_none_of_them(two: World) -> None:
    ann, bob = two.devices
    two.settle()
    for name in ("a", "b", "c"):
        ann.write(name, f"content of {name}")
    ann.wait()
    pull = PullJob(bob.db.meta.get("cursor"))
    page = bob.lister.pull(pull)
    assert len(page.changes) == 3  # type: ignore[union-attr]
    remote = type(bob.engine.remote)  # a slotted dataclass has no room for another method
    honest, taken = remote._take_one, []

    def take_one(self: RemoteIntake, change: Change, listed: bool) -> None:
        taken.append(change)
        if len(taken) == 2:
            raise Killed
        honest(self, change, listed)

    try:
        remote._take_one = take_one  # type: ignore[method-assign]
        bob.engine.remote.desk.in_flight[pull.lane] = 1
        with pytest.raises(Killed):
            bob.engine.step([page])  # type: ignore[list-item]
    finally:
        remote._take_one = honest  # type: ignore[method-assign]
    bob.crash()
    bob.start()
    two.settle()
    assert bob.tree().keys() == {"a", "b", "c"}


def test_p4_the_start_of_an_op_is_durable(two: World) -> None:
    """What is sent carries a key that a power loss must not forget."""
    ann, bob = two.devices
    two.settle()
    started: list[int] = []

    def seen(cursor: object, statement: str, bindings: object) -> bool:
        if statement.startswith("UPDATE queue_op SET state = 'running'"):
            started.append(int(ann.db._connection.pragma("synchronous")))
        return True

    ann.db._connection.exec_trace = seen
    ann.write("a", "content")
    bob.write("b", "content")
    bob.wait()
    ann.wait()
    ann.db._connection.exec_trace = None
    assert len(started) >= 2, "an upload and a download"
    assert set(started) == {2}, "synchronous = FULL"


def test_p4_no_job_leaves_before_its_record_is_committed(two: World) -> None:
    ann, bob = two.devices
    inside: list[bool] = []
    honest = ann.submit

    def submit(job: Job) -> None:
        inside.append(ann.db._connection.in_transaction)
        honest(job)

    ann.submit = submit  # type: ignore[method-assign]
    ann.write("a", "content")
    bob.write("b", "content")
    ann.deadline = ann.engine.step([Hints((((), "a"),))])
    two.settle()
    assert len(inside) > 5
    assert not any(inside)
