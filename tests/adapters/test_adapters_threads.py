"""ThreadWorkers: bounded lanes, messages as they come, nothing swallowed, a clean stop, and no polling."""

import queue
import sys
import threading
import time
from collections.abc import Iterable, Iterator

import pytest
import structlog

from syncd.adapters.system import SystemChance, SystemClock
from syncd.adapters.threads import Handler, ThreadWorkers, beside
from syncd.model.errors import Refused
from syncd.model.job import Job, Lane, PollJob, ProveJob, PullJob
from syncd.model.observation import HintsLost, JobFailed, Message, PollEnded, Tick
from tests.waiting import until

SOON = 10.0
LOOK = ProveJob()


class Inbox:
    """Where messages arrive, in order."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Message] = queue.Queue()

    def post(self, message: Message) -> None:
        self._queue.put(message)

    def next(self) -> Message:
        return self._queue.get(timeout=SOON)

    def empty(self) -> bool:
        return self._queue.empty()


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


class Gate:
    """A handler that reports each job it begins and holds it until told to go on."""

    def __init__(self) -> None:
        self.begun: queue.Queue[Job] = queue.Queue()
        self.go = threading.Semaphore(0)
        self.running = 0
        self.most = 0
        self._lock = threading.Lock()

    def __call__(self, job: Job) -> Iterable[Message]:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.begun.put(job)
        assert self.go.acquire(timeout=SOON)
        with self._lock:
            self.running -= 1
        return [Tick()]


def workers(inbox: Inbox, **lanes: tuple[Handler, int]) -> ThreadWorkers:
    return ThreadWorkers(
        {Lane(name): handler for name, (handler, _) in lanes.items()},
        {Lane(name): width for name, (_, width) in lanes.items()},
        inbox.post,
    )


def sleeps_until_told(thread: threading.Thread) -> bool:
    """Return whether *thread* waits for a condition at this moment, without a time limit."""
    frame = sys._current_frames()[thread.ident or 0]
    while frame.f_back is not None and frame.f_code is not threading.Condition.wait.__code__:
        frame = frame.f_back
    return frame.f_locals.get("timeout", SOON) is None


def test_messages_are_posted_as_they_come(inbox: Inbox) -> None:
    go = threading.Event()

    def handler(job: Job) -> Iterator[Message]:
        yield HintsLost((), "one")
        assert go.wait(SOON)
        yield HintsLost((), "two")

    pool = workers(inbox, look=(handler, 1))
    pool.submit(LOOK)
    assert inbox.next() == HintsLost((), "one")
    assert inbox.empty()
    go.set()
    assert inbox.next() == HintsLost((), "two")
    assert pool.stop(SOON)


@pytest.mark.parametrize("width", [1, 2, 5])
def test_a_lane_runs_as_many_jobs_as_it_is_wide(inbox: Inbox, width: int) -> None:
    gate = Gate()
    pool = workers(inbox, look=(gate, width))
    for _ in range(width * 3):
        pool.submit(LOOK)
    for _ in range(width):
        gate.begun.get(timeout=SOON)
    assert gate.begun.empty()
    for _ in range(width * 3):
        gate.go.release()
    for _ in range(width * 3):
        assert inbox.next() == Tick()
    assert gate.most == width
    assert pool.stop(SOON)


def test_a_full_lane_does_not_hold_up_another(inbox: Inbox) -> None:
    gate = Gate()
    pool = workers(inbox, look=(gate, 1), poll=(lambda job: [PollEnded(job, changed=True)], 1))
    pool.submit(LOOK)
    pool.submit(LOOK)
    poll = PollJob("cursor", 1.0)
    pool.submit(poll)
    assert inbox.next() == PollEnded(poll, changed=True)
    gate.go.release()
    gate.go.release()
    assert pool.stop(SOON)


def test_threads_start_when_needed_and_are_used_again(inbox: Inbox) -> None:
    before = threading.active_count()
    pool = workers(inbox, look=(lambda job: [Tick()], 8), send=(lambda job: [Tick()], 8))
    assert threading.active_count() == before
    for _ in range(20):
        pool.submit(LOOK)
        inbox.next()
    assert before < threading.active_count() <= before + 8
    assert pool.stop(SOON)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(ValueError("two\nlines"), "ValueError: two lines", id="one line"),
        pytest.param(KeyError(), "KeyError", id="without a text"),
        pytest.param(Refused("no, because"), "no, because", id="written for people"),
        pytest.param(OSError(5, "I/O\x1b[2J"), "OSError: [Errno 5] I/O\\x1b[2J", id="escaped"),
    ],
)
def test_a_broken_handler_is_logged_and_told(inbox: Inbox, error: Exception, expected: str) -> None:
    def handler(job: Job) -> Iterator[Message]:
        yield Tick()
        raise error

    with structlog.testing.capture_logs() as logs:
        pool = workers(inbox, look=(handler, 1))
        pool.submit(LOOK)
        assert inbox.next() == Tick(), "what was there before is kept"
        assert inbox.next() == JobFailed(LOOK, expected)
        pool.submit(LOOK)
        assert inbox.next() == Tick(), "the thread lives on"
        assert pool.stop(SOON)
    assert logs[0]["log_level"] == "error"
    assert logs[0]["exc_info"]


def test_stop_lets_running_jobs_finish_and_drops_waiting_ones(inbox: Inbox) -> None:
    gate = Gate()
    pool = workers(inbox, look=(gate, 1))
    for _ in range(3):
        pool.submit(LOOK)
    gate.begun.get(timeout=SOON)
    assert pool.stop(0.01) is False
    pool.submit(LOOK)
    gate.go.release()
    assert pool.stop(SOON) is True
    assert inbox.next() == Tick()
    assert inbox.empty()
    assert gate.begun.empty()


def test_stop_without_any_job(inbox: Inbox) -> None:
    assert workers(inbox, look=(lambda job: [], 1)).stop(0)


def test_submit_never_blocks_and_keeps_the_order(inbox: Inbox) -> None:
    gate = Gate()
    pool = workers(inbox, list=(gate, 1))
    jobs = [PullJob(str(number)) for number in range(1000)]
    for job in jobs:
        pool.submit(job)
        gate.go.release()
    assert [gate.begun.get(timeout=SOON) for _ in jobs] == jobs
    assert pool.stop(SOON)


def test_an_idle_pool_uses_no_processor_time(inbox: Inbox) -> None:
    before = set(threading.enumerate())
    gate = Gate()
    pool = workers(inbox, look=(gate, 4))
    for _ in range(4):
        pool.submit(LOOK)
    for _ in range(4):
        gate.begun.get(timeout=SOON)
    started = set(threading.enumerate()) - before
    assert len(started) == 4
    for _ in range(4):
        gate.go.release()
        inbox.next()
    # A pool that looked round ten times a second would wait a tenth of one at a time.
    until(lambda: all(sleeps_until_told(thread) for thread in started), "every thread waits without a time limit")
    assert set(threading.enumerate()) - before == started
    assert pool.stop(SOON)


def test_a_lane_needs_a_width(inbox: Inbox) -> None:
    with pytest.raises(ValueError, match="look"):
        workers(inbox, look=(lambda job: [], 0))


@pytest.mark.parametrize("threads", [True, False], ids=["in a thread", "where there is none to be had"])
def test_what_is_done_beside_is_waited_for_and_its_error_raised(monkeypatch: pytest.MonkeyPatch, threads: bool) -> None:
    def none_left(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    if not threads:
        monkeypatch.setattr(threading.Thread, "start", none_left)
    done: list[bool] = []
    wait = beside(lambda: done.append(threading.current_thread() is threading.main_thread()))
    wait()
    wait()
    assert done == [not threads]
    failed = beside(lambda: open("/no/such/file").close())
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            failed()


def test_the_system_clock_and_chance() -> None:
    clock, chance = SystemClock(), SystemChance()
    assert abs(clock.now() - time.time()) < 5
    assert clock.monotonic() <= clock.monotonic()
    assert len(chance.token(16)) == 16
    assert chance.token(16) != chance.token(16)
    assert chance.id(clock.now()) != chance.id(clock.now())
    assert chance.id(1.0) < chance.id(1.5) < chance.id(clock.now())
    assert {len(chance.id(now)) for now in (0.0, -1.0, 1e12)} == {16}, "whatever the clock says"
    assert all(2.0 <= chance.between(2.0, 3.0) < 3.0 for _ in range(100))
    assert chance.between(5.0, 5.0) == 5.0
