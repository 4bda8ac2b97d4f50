"""A flag that signals raise: SIGTERM and SIGINT ask for a clean stop, whatever the main thread is at.

Owns the handlers of both signals while inside. Knows nothing of what is stopped.
"""

import contextlib
import select
import signal
import socket
from collections.abc import Iterator
from types import FrameType


class Stop:
    """Set once, from a signal handler or any thread; waited for by one thread, which sleeps on a socket.

    Not on a lock: Python runs a handler only once the main thread comes back from what it sleeps in, and a signal that
    comes just before it falls asleep, or to another thread, wakes no lock. What the interpreter writes to a descriptor
    the moment the signal comes (``signal.set_wakeup_fd``) does. And a handler that interrupts ``Event.wait`` on its way
    into the lock that ``Event.set`` wants would wait for itself.
    """

    def __init__(self) -> None:
        self._set = False
        self._awake, self._wake = socket.socketpair()
        for end in (self._awake, self._wake):
            end.setblocking(False)

    @property
    def descriptor(self) -> int:
        """What wakes the waiting thread when a byte is written to it."""
        return self._wake.fileno()

    def set(self) -> None:
        """Ask for a stop."""
        self._set = True
        with contextlib.suppress(BlockingIOError):  # full of bytes that wake it as well
            self._wake.send(b"\0")

    def is_set(self) -> bool:
        """Return whether somebody asked."""
        return self._set

    def wait(self) -> None:
        """Sleep until somebody asks: no timeout, no tick."""
        poll = select.poll()
        poll.register(self._awake, select.POLLIN)
        while not self._set:
            poll.poll()
            with contextlib.suppress(BlockingIOError):
                self._awake.recv(4096)

    def close(self) -> None:
        """Nobody waits any more."""
        self._awake.close()
        self._wake.close()


@contextlib.contextmanager
def stop_signals() -> Iterator[Stop]:
    """Give a flag that SIGTERM and SIGINT set, while inside. In the main thread only."""
    stopped = Stop()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    woken = signal.set_wakeup_fd(stopped.descriptor, warn_on_full_buffer=False)
    try:
        yield stopped
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        stopped.close()
