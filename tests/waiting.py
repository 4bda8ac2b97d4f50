"""Waiting for what comes true by itself, where nothing can be blocked on. Sleeps only between two looks."""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 60.0
"""Seconds. Only a failure waits this long."""

_LOOK_AGAIN = 0.01

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """Return the first true value of *condition*; fail saying *what* did not come within *patience* seconds."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what}"
        time.sleep(_LOOK_AGAIN)
    return value
