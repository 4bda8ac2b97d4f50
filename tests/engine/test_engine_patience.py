"""Retries are rows in the queue: each attempt waits longer than the one before, also after a restart (section 5)."""

from collections.abc import Callable

from syncd.model.errors import Transient
from syncd.model.observation import Ask, Verb
from tests.engine.world import World

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
