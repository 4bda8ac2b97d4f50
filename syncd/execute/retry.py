"""When to try again. Owns the curve; the queue remembers the attempts, so a restart stays patient (STYLE, habit 7)."""

from typing import Final

from tenacity import RetryCallState, Retrying
from tenacity.wait import wait_exponential

from syncd.ports import Chance, Clock

BACKOFF: Final = wait_exponential(multiplier=2, max=900)
"""2, 4, 8, … seconds, at most a quarter of an hour."""

MOST: Final = 24 * 3600.0
"""Longest wait, in seconds, a remote's own wish is followed for."""

SCATTER: Final = 1.1
"""By how much a remote's own wish is exceeded at most."""

LONGEST: Final = MOST * SCATTER
"""Seconds, from now, after which no try is ever due: one that is was dated by a clock that was ahead."""

_NO_POLICY: Final = Retrying()


def next_retry_at(attempts: int, clock: Clock, chance: Chance, retry_after: float | None = None) -> float:
    """Return when to try again, in seconds since the epoch, after *attempts* failed attempts (1 or more).

    *retry_after* is the remote's own wish in seconds: never earlier than that, and with some scatter, so that a
    thousand devices do not return in the same moment.
    """
    delay = BACKOFF(_attempt_state(attempts)) * chance.between(0.5, 1.0)
    if retry_after is not None and retry_after > 0:
        delay = max(delay, min(retry_after, MOST) * chance.between(1.0, SCATTER))
    return clock.now() + delay


def _attempt_state(attempts: int) -> RetryCallState:
    """Return what tenacity's strategies read: the count. They are never asked about the time."""
    state = RetryCallState(_NO_POLICY, None, (), {})
    state.attempt_number = max(1, min(attempts, 64))
    return state
