"""Worker threads: one bounded pool a lane. Owns the waiting jobs; what a job does is its handler's.

Never polls: an idle thread sleeps until a job comes. Never swallows: a handler that breaks is logged with its
traceback and told to the engine as JobFailed, which puts the job's work back.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

import structlog

from syncd.model.errors import SyncdError
from syncd.model.job import Job, Lane
from syncd.model.observation import JobFailed, Message
from syncd.model.path import shown

Handler = Callable[[Job], Iterable[Message]]
"""Carries a job out and yields messages, each posted as soon as it is there."""

_log = structlog.get_logger(__name__)


class ThreadWorkers:
    """See ``syncd.ports.Workers``. Threads are daemons, started when first needed."""

    def __init__(
        self, handlers: Mapping[Lane, Handler], widths: Mapping[Lane, int], post: Callable[[Message], None]
    ) -> None:
        for lane in handlers:
            if widths.get(lane, 0) < 1:
                raise ValueError(f"lane {lane} needs a width of at least 1")
        self._pools = {lane: _Pool(lane, handler, widths[lane], post) for lane, handler in handlers.items()}

    def submit(self, job: Job) -> None:
        """Queue *job* on its lane; never blocks. After ``stop`` it is dropped: the database still has its work."""
        self._pools[job.lane].submit(job)

    def stop(self, timeout: float) -> bool:
        """Drop what waits, let what runs finish, and return whether all of it did within *timeout* seconds."""
        for pool in self._pools.values():
            pool.drain()
        deadline = time.monotonic() + timeout
        return [pool.join(deadline) for pool in self._pools.values()].count(False) == 0


class _Pool:
    """The threads and waiting jobs of one lane."""

    def __init__(self, lane: Lane, handler: Handler, width: int, post: Callable[[Message], None]) -> None:
        self._lane, self._handler, self._width, self._post = lane, handler, width, post
        self._jobs: deque[Job] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._stopping = False
        self._changed = threading.Condition()

    def submit(self, job: Job) -> None:
        with self._changed:
            if self._stopping:
                return
            self._jobs.append(job)
            # A thread that was woken counts as idle until it runs, but so does its job as waiting.
            if len(self._jobs) > self._idle and len(self._threads) < self._width:
                name = f"syncd-{self._lane.value}-{len(self._threads) + 1}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                thread.start()
                self._threads.append(thread)
            self._changed.notify()

    def drain(self) -> None:
        with self._changed:
            self._stopping = True
            self._jobs.clear()
            self._changed.notify_all()

    def join(self, deadline: float) -> bool:
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            self._run(job)

    def _next(self) -> Job | None:
        with self._changed:
            self._idle += 1
            while not (self._jobs or self._stopping):
                self._changed.wait()
            self._idle -= 1
            return None if self._stopping else self._jobs.popleft()

    def _run(self, job: Job) -> None:
        try:
            for message in self._handler(job):
                self._post(message)
        except Exception as error:  # noqa: BLE001 - a worker outlives any job; the engine is told
            _log.exception("a job failed unexpectedly", lane=self._lane.value, job=type(job).__name__)
            self._post(JobFailed(job, one_line(error)))


def one_line(error: BaseException) -> str:
    """Return *error* in one line a terminal can show (P10)."""
    text = shown(" ".join(str(error).split()))[:500]
    if isinstance(error, SyncdError) and text:
        return text  # written for people already
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def beside(work: Callable[[], None]) -> Callable[[], None]:
    """Begin *work* in a thread of its own; return what waits for its end and raises what it raised. Where there is no
    thread to be had, it is done at once."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 – it is raised where the end is waited for
            failed.append(error)

    thread = threading.Thread(target=run, name="syncd-beside", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        run()

    def wait() -> None:
        if thread.ident is not None:
            thread.join()
        if failed:
            raise failed[0]

    return wait
