"""The control thread's loop: drain the inbox, step, sleep until something happens or is due. Owns no decision."""

import queue
from collections.abc import Callable
from typing import Protocol

from syncd.model.observation import ClockJumped, Message
from syncd.ports import Clock

BATCH = 256
JUMP = 30.0
"""Seconds by which wall-clock time must outrun the monotonic clock to count as a suspend, or fall behind it to count as
set back."""

SILENCE = 2.0
"""Seconds without a message after which it rests."""

BUSY = 16
"""Messages after which it rests at the next silence. After fewer there is little to give back: each brings some hundred
rows at most."""


FAR = float("inf")


class Stepper(Protocol):
    """What the loop drives."""

    def start(self) -> float | None: ...
    def step(self, messages: list[Message]) -> float | None: ...
    def rest(self) -> None: ...


def run(
    engine: Stepper,
    inbox: "queue.SimpleQueue[Message | None]",
    clock: Clock,
    stopped: Callable[[], bool],
    jumped: Callable[[], None],
    rested: Callable[[], None],
) -> None:
    """Drive *engine* until *stopped*; a None in the inbox only wakes the loop up.

    *jumped* is called after a suspend, before the engine hears of it: kept connections are no good any more. *rested*
    is called when the engine gave memory back."""
    deadline, taken = engine.start(), BUSY
    wall, steady = clock.now(), clock.monotonic()
    heard = steady  # when the last message came
    while not stopped():
        rest_at = heard + SILENCE if taken >= BUSY else FAR
        rests = rest_at < (FAR if deadline is None else deadline)
        messages = _drain(inbox, rest_at if rests else deadline, clock)
        jump = (clock.now() - wall) - (clock.monotonic() - steady)
        wall, steady = clock.now(), clock.monotonic()
        if jump > JUMP:
            jumped()
        if abs(jump) > JUMP:
            messages.append(ClockJumped(jump))
        if stopped():
            return
        if messages:
            heard, taken = steady, taken + len(messages)
        elif rests and steady >= rest_at:
            engine.rest()
            rested()
            taken = 0
            continue
        deadline = engine.step(messages)


def _drain(inbox: "queue.SimpleQueue[Message | None]", deadline: float | None, clock: Clock) -> list[Message]:
    """Wait for the first message or the deadline, then take what else is there."""
    messages: list[Message] = []
    timeout = None if deadline is None else max(0.0, deadline - clock.monotonic())
    try:
        first = inbox.get(timeout=timeout) if timeout != 0 else inbox.get_nowait()
        while True:
            if first is not None:
                messages.append(first)
            if len(messages) >= BATCH:
                break
            first = inbox.get_nowait()
    except queue.Empty:
        pass
    return messages
