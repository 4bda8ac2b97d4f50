"""A conflicted name is fixed when the conflict is found (section 7): the same one however often it is planned again."""

from collections.abc import Callable

import pytest

from syncd.db.queue import QueuedOp
from syncd.model.errors import Transient
from syncd.model.observation import Ask, Hints, Verb
from syncd.model.op import OpType
from tests.engine.world import Device, World

Make = Callable[..., World]


@pytest.fixture
def two(make_world: Make) -> World:
    return make_world("ann", "bob")


def op_of(device: Device, type_: OpType) -> QueuedOp | None:
    return next((queued for queued in device.db.queue.in_state(None, 50) if queued.op.type is type_), None)


def until(device: Device, type_: OpType) -> QueuedOp:
    device.deadline = device.engine.step([Ask(900 + len(device.replies), Verb.WAIT)])
    for _ in range(300):
        if (found := op_of(device, type_)) is not None:
            return found
        if not device.one():
            device.time.ahead += 0.3
    raise AssertionError(device.doings())


def test_p3_planning_a_conflict_again_gives_the_same_name(two: World) -> None:
    ann, bob = two.devices
    ann.write("a", "before")
    two.settle()
    ann.write("a", "by ann")
    ann.wait()
    bob.write("a", "by bob")

    def no_chunks(hashes: object) -> object:
        raise Transient("busy")

    honest = bob.wire._get_chunks
    bob.wire._get_chunks = no_chunks  # type: ignore[method-assign,assignment]
    first = until(bob, OpType.CONFLICT)
    for _ in range(3):
        bob.time.ahead += 100.0
        bob.engine.desk.touch(first.op.node)
        for _ in range(5):
            bob.one()
        again = op_of(bob, OpType.CONFLICT)
        assert again is not None
        assert (again.op.aside, again.key, again.id) == (first.op.aside, first.key, first.id)
    bob.wire._get_chunks = honest  # type: ignore[method-assign]
    two.settle(expect=None)
    assert bob.read(first.op.aside or "") == "by bob"


def test_p2_a_fixed_name_that_somebody_took_is_given_up(two: World) -> None:
    """Before the file could step aside, another one got that very name: it is chosen anew, not tried for ever."""
    ann, bob = two.devices
    two.settle()
    bob.ask(Verb.PAUSE)
    ann.write("thing/in it", "a folder")
    ann.wait()
    bob.write("thing", "a file")
    queued = until(bob, OpType.SET_ASIDE)
    name = queued.op.place.name
    bob.write(name, "took the name")
    bob.deadline = bob.engine.step([Hints((((), name),))])
    for _ in range(10):
        bob.one()
    bob.ask(Verb.RESUME)
    two.settle(expect=None)
    contents = {bob.read(path) for path in bob.tree() if bob.path(path).is_file()}
    assert contents == {"a folder", "a file", "took the name"}
    assert bob.read(name) == "took the name"
    assert bob.db.queue.in_state(None, 9) == []
