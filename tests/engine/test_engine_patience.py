"""Retries are rows in the queue: each attempt waits longer than the one before, also after a restart (section 5)."""

from collections.abc import Callable

import pytest

from syncd.model.errors import Offline, Transient
from syncd.model.observation import Ask, ClockJumped, Verb
from tests.engine.world import Device, World

Make = Callable[..., World]


def test_attempts_are_made_at_growing_intervals(make_world: Make) -> None:
    world = make_world("ann")
    (ann,) = world.devices
    world.settle()
    waits: list[float] = []

    def refuse(batch: object) -> object:
        raise Transient("the hub is busy")

    ann.write("a", "content")
    for attempt in range(6):
        assert len(waits) == attempt, "each attempt waits for its time"
        ann.wire._commit = refuse  # type: ignore[method-assign]
        ann.deadline = ann.engine.step([Ask(900 + attempt, Verb.WAIT)])
        for _ in range(500):
            tried = [queued for queued in ann.db.queue.retrying(5) if queued.attempts > attempt]
            if tried:
                waits.append((tried[0].next_at or 0.0) - ann.time.now())
                break
            if not ann.one():
                ann.time.ahead += 0.5
        if attempt == 3:
            ann.crash()
            ann.start()
    assert len(waits) == 6
    for attempt, wait in enumerate(waits):
        assert 2**attempt * 0.9 <= wait <= 2 ** (attempt + 1) * 1.1, waits


class TwoClocks:
    """A wall clock that may be set, beside a steady one that may not."""

    def __init__(self) -> None:
        self.steady, self.ahead = 1_000.0, 1_800_000_000.0

    def now(self) -> float:
        return self.steady + self.ahead

    def monotonic(self) -> float:
        return self.steady


def with_two_clocks(device: Device) -> TwoClocks:
    clock = TwoClocks()
    device.crash()
    device.time = clock  # type: ignore[assignment]
    device.start()
    return clock


def until(device: Device, clock: TwoClocks, seconds: float) -> None:
    """Let *seconds* pass on both clocks, with all that is due in them."""
    ends = clock.steady + seconds
    while clock.steady < ends:
        for _ in range(50):
            if not device.one():
                break
        clock.steady += 0.25


@pytest.mark.parametrize("told", [True, False], ids=["while it runs", "while it is stopped"])
def test_a_clock_that_is_set_back_makes_nothing_wait_the_longer(make_world: Make, told: bool) -> None:
    """A machine whose clock was a year ahead until the network told it: its tries are not a year away."""
    (ann,) = make_world("ann").devices
    clock = with_two_clocks(ann)
    until(ann, clock, 5.0)
    refusing = True
    commit = ann.wire._commit

    def refuse(batch: object) -> object:
        if refusing:
            raise Offline("the hub cannot be reached")
        return commit(batch)

    ann.wire._commit = refuse  # type: ignore[method-assign]
    ann.write("a", "content")
    ann.remove("a")
    ann.write("b", "content")
    ann.engine.step([Ask(900, Verb.WAIT)])
    until(ann, clock, 3.0)
    assert ann.db.queue.retrying(5)
    assert not ann.engine.pulls.online
    clock.ahead -= 365 * 86400.0
    refusing = False
    if told:
        ann.engine.step([ClockJumped(-365 * 86400.0)])
    else:
        ann.crash()
        ann.start()
    until(ann, clock, 10.0)
    assert len(ann.wire.commits) == 1
    assert ann.engine.pulls.online
    assert not ann.db.queue.retrying(5)
