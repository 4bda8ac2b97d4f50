"""The control thread's loop: what it tells the engine of the clock, and when it rests."""

import queue
from collections.abc import Callable

import apsw
import pytest

from syncd.db import connection
from syncd.engine import loop
from syncd.model.observation import ClockJumped, Hints, Message, Tick
from tests.engine.world import World

Make = Callable[..., World]
CACHE = apsw.SQLITE_DBSTATUS_CACHE_USED
Inbox = queue.SimpleQueue[Message | None]


class Clock:
    """Stands still, but for what *wall* runs ahead each time it is asked, and what the inbox waits."""

    def __init__(self, wall: float = 0.0) -> None:
        self._step, self._wall, self.steady = wall, 1000.0, 0.0

    def now(self) -> float:
        self._wall += self._step
        return self._wall + self.steady

    def monotonic(self) -> float:
        return self.steady


class Waits(Inbox):
    """An inbox in which time passes when it is empty."""

    clock: Clock

    def get(self, block: bool = True, timeout: float | None = None) -> Message | None:
        if not self.empty():
            return super().get_nowait()
        assert timeout is not None, "nothing would ever wake it"
        self.clock.steady += timeout
        raise queue.Empty


class Engine:
    """Notes what it hears; is due again after *every* seconds."""

    def __init__(self, clock: Clock, every: float | None = None) -> None:
        self._clock, self._every = clock, every
        self.heard: list[Message] = []
        self.rests: list[float] = []

    def start(self) -> float | None:
        return self._due()

    def step(self, messages: list[Message]) -> float | None:
        self.heard += messages
        return self._due()

    def rest(self) -> None:
        self.rests.append(self._clock.steady)

    def _due(self) -> float | None:
        return None if self._every is None else self._clock.steady + self._every


def nothing() -> None:
    """What nobody needs to be told."""


def test_a_jump_of_the_clock_drops_connections_before_the_engine_hears_of_it() -> None:
    clock, inbox, dropped = Clock(100.0), Inbox(), []
    engine = Engine(clock)
    inbox.put(None)
    loop.run(engine, inbox, clock, lambda: bool(engine.heard), lambda: dropped.append(list(engine.heard)), nothing)
    assert [type(message) for message in engine.heard] == [ClockJumped]
    assert dropped == [[]]


def test_a_clock_that_is_set_back_is_told_and_costs_no_connection() -> None:
    clock, dropped = Clock(-100.0), []
    engine = Engine(clock, 0.0)
    loop.run(engine, Inbox(), clock, lambda: bool(engine.heard), lambda: dropped.append(1), nothing)
    assert engine.heard == [ClockJumped(-100.0)]
    assert dropped == []


def test_it_rests_once_after_a_burst_and_not_for_every_message() -> None:
    clock, inbox = Clock(), Waits()
    inbox.clock = clock
    engine = Engine(clock, 0.3)  # a timer that comes more often than a silence ends: it is no message
    rested: list[float] = []

    def run_until(seconds: float) -> None:
        loop.run(engine, inbox, clock, lambda: clock.steady >= seconds, nothing, lambda: rested.append(clock.steady))

    run_until(20.0)
    assert engine.rests == rested == [loop.SILENCE]  # a start is a burst
    engine.rests.clear()
    for _ in range(loop.BUSY):
        inbox.put(Tick())
    run_until(60.0)
    assert len(engine.rests) == 1
    assert len(engine.heard) == loop.BUSY


def test_what_was_kept_for_a_burst_is_given_back(make_world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for pages that every step reads: to read them from the disk is a write of the time of access."""
    monkeypatch.setattr(connection, "KEPT_KIB", 32)
    world = make_world("ann")
    (ann,) = world.devices
    for number in range(50):
        ann.write(f"d/{number}", f"content {number}")
    world.settle()
    ann.step([Hints(tuple((("d",), str(number)) for number in range(50)))])
    world.settle()
    ann.time.ahead += 3600.0
    hints = ann.engine.looks.coalescer
    assert hints._directories
    before = ann.db._connection.status(CACHE)[0]
    ann.engine.rest()
    assert not hints._directories
    assert 0 < ann.db._connection.status(CACHE)[0] < before
    assert ann.db._connection.pragma("cache_size") == -32768
    ann.write("d/0", "other")
    world.settle()
