"""A flag that signals may raise: SIGTERM and SIGINT ask for a clean stop, at whatever the main thread is.

Owns the handlers of both signals while inside. Knows nothing of what is stopped.
"""

import contextlib
import queue
import signal
from collections.abc import Iterator
from types import FrameType


class Stop:
    """Set once, from a signal handler or any thread; waited for by one thread.

    Not a ``threading.Event``: its ``set`` takes the lock its ``wait`` holds, and a handler that runs in between, in the
    same thread, would wait for ever. ``SimpleQueue`` is made for that: its ``put`` may interrupt its ``get``.
    """

    def __init__(self) -> None:
        self._set = False
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """Ask for a stop."""
        self._set = True
        self._wake.put(None)

    def is_set(self) -> bool:
        """Return whether somebody asked."""
        return self._set

    def wait(self) -> None:
        """Sleep until somebody asks: no timeout, no tick."""
        while not self._set:
            self._wake.get()


@contextlib.contextmanager
def stop_signals() -> Iterator[Stop]:
    """Give a flag that SIGTERM and SIGINT set, while inside."""
    stopped = Stop()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
