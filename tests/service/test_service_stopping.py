"""A stop is asked for by a signal, and signals come at any moment: none may be lost, none may hang the daemon."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

from syncd.service.stopping import Stop, stop_signals

MOMENTS = 200
"""More than the interpreter's steps on the way into a wait."""


class Hung(Exception):
    """The wait did not end."""


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    def hung(_signal: int, _frame: FrameType | None) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, hung)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def wait_with_signal_at(stopped: Stop, moment: int) -> bool:
    """Wait, with a SIGTERM at the interpreter's step *moment* inside; return whether there was such a step."""
    seen, before = 0, sys.gettrace()

    def trace(frame: FrameType, event: str, _argument: object) -> Callable[..., object]:
        nonlocal seen
        frame.f_trace_opcodes = True
        if event == "opcode":
            seen += 1
            if seen == moment:
                sys.settrace(None)
                signal.raise_signal(signal.SIGTERM)
        return trace

    sys.settrace(trace)
    try:
        stopped.wait()
    finally:
        sys.settrace(before)  # whoever measures coverage goes on
    return seen >= moment


def test_a_signal_at_any_step_into_the_wait_ends_it() -> None:
    """``threading.Event`` fails here: its lock is held while the handler that wants it runs."""
    for moment in range(1, MOMENTS):
        with stop_signals() as stopped, no_longer_than(10.0):
            later = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))  # where it sleeps, for the last one
            later.start()
            reached = wait_with_signal_at(stopped, moment)
            later.cancel()
            later.join()
            assert stopped.is_set()
        if not reached:
            assert moment > 3, "nothing was tried"
            return
    pytest.fail("the wait has more steps than were tried")


def test_a_signal_that_another_thread_gets_ends_it() -> None:
    """As one that comes just before the main thread falls asleep: it interrupts nothing."""
    done = threading.Event()
    other = threading.Thread(target=done.wait, daemon=True)
    other.start()
    assert other.ident is not None
    with stop_signals() as stopped, no_longer_than(10.0):
        later = threading.Timer(0.2, signal.pthread_kill, (other.ident, signal.SIGTERM))
        later.start()
        stopped.wait()
        assert stopped.is_set()
    later.join()
    done.set()
    other.join()


def test_a_signal_before_the_wait_is_not_lost() -> None:
    with stop_signals() as stopped, no_longer_than(10.0):
        signal.raise_signal(signal.SIGINT)
        stopped.wait()
        stopped.wait()  # asked once, asked for good
        assert stopped.is_set()


def test_another_thread_may_ask_too() -> None:
    stopped = Stop()
    thread = threading.Thread(target=stopped.set)
    with no_longer_than(10.0):
        thread.start()
        stopped.wait()
    thread.join()
    assert stopped.is_set()
    stopped.close()


def test_the_handlers_of_before_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with stop_signals():
        assert signal.getsignal(signal.SIGTERM) not in before
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
