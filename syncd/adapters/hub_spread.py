"""Spreads a transfer over several connections where one does not fill the link.

With loss, a TCP connection carries at most some MSS / RTT * sqrt(3/2) / sqrt(loss), whatever the link could: 90 kB/s at
200 ms and 1 % (Mathis, Semke, Mahdavi and Ott, "The Macroscopic Behavior of the TCP Congestion Avoidance Algorithm",
1997). So the number of connections is found by trying: more of them as long as all together get more done, and no more
than that, since each takes its share from whoever else uses the link. On a fast link there are two, and large requests:
what one brought is stored while the other brings more. A single request needs no other thread.

Owns the threads of one direction. Knows nothing of what travels.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Generic, TypeVar, cast

from syncd.model.errors import Offline

MOST: Final = 12
"""Connections of one direction, at most. The pool has a few more, for calls."""

FAST: Final = 4 << 20
"""Bytes a second of one connection from which on the link is no reason for more."""

FAST_STREAMS: Final = 2
"""Connections on a fast link: both ends compute, and wait for their disks, by turns."""

FIRST_BYTES: Final = 128 * 1024
"""The first request on an unknown link, in bytes: large enough to tell a rate, over in two seconds on a slow one."""

PART_SECONDS: Final = 2.0
"""A request on a slow link takes about this long: the round trip it waits for is a small share of it."""

MOST_BYTES: Final = 8 << 20
"""A request on a fast link."""

HELD_BYTES: Final = 32 << 20
"""About what is on its way over all connections of one transfer, at most."""

LEAST_TOLD: Final = 64 * 1024
ROUNDS: Final = 2
"""Requests of each connection after which it is judged what all of them carry."""

GAIN: Final = 1.2
"""More connections are kept when all together carry so many times as much."""

AGAIN_SECONDS: Final = 120.0
"""A link changes: after so long, the number is looked for again."""

PAUSE: Final = 0.25
"""Seconds without a request after which what is carried is counted anew."""

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Task(Generic[T]):
    """One request, and what came of it."""

    work: Callable[[], tuple[int, T]]
    done: bool = False
    _result: T | None = None
    _error: BaseException | None = None

    def end(self, result: T | None = None, error: BaseException | None = None) -> None:
        del self.work  # with what it sends
        self._result, self._error, self.done = result, error, True

    def outcome(self) -> T:
        if self._error is not None:
            raise self._error
        return cast(T, self._result)


class _Ahead(Generic[T]):
    """An iterator of which one can ask whether there is more. The next is made when that matters, and not before."""

    def __init__(self, works: Iterable[T]) -> None:
        self._left = iter(works)
        self._held: deque[T] = deque()

    def _holds(self, count: int) -> bool:
        self._held.extend(islice(self._left, max(0, count - len(self._held))))
        return len(self._held) >= count

    @property
    def some(self) -> bool:
        return self._holds(1)

    @property
    def one(self) -> bool:
        return not self._holds(2)

    def take(self) -> T:
        return self._held.popleft()


class Pace:
    """How many connections are best, found by trying. Pure: times are arguments, in steady seconds."""

    def __init__(self, part_bytes: int = FIRST_BYTES) -> None:
        """*part_bytes*: how large the first request should be, when nothing is known of the link."""
        self.streams, self.part_bytes = 1, part_bytes
        self._growing, self._settled_at = True, 0.0
        self._before: tuple[int, float] | None = None  # how many there were before, and what they carried
        self._began = 0.0  # since when is counted what the present number carries
        self._bytes = self._parts = 0

    def begin(self, now: float) -> None:
        """Count anew what the present number carries: there was less to do than they could."""
        self._began, self._bytes, self._parts = now, 0, 0

    def learn(self, size: int, seconds: float, active: int, now: float) -> None:
        """A request of *size* bytes took so long; *active* were under way, itself included."""
        if size < LEAST_TOLD:
            return  # that tells how far it is to the remote, not how much the link carries
        rate = size / max(seconds, 1e-6)
        if rate >= FAST:
            if self.streams > FAST_STREAMS:
                self._settle(max(self.streams // 2, FAST_STREAMS), now)
            elif self.streams < FAST_STREAMS:  # one fast request is no proof of a fast link: more may be tried yet
                self.streams, self._before = FAST_STREAMS, None
                self.begin(now)
            self.part_bytes = self._most()
            return
        self.part_bytes = min(max(int(rate * PART_SECONDS), FIRST_BYTES), self._most())
        if not self._growing and now - self._settled_at > AGAIN_SECONDS:
            self._growing, self._before = True, None
            self.begin(now)
        if not self._growing:
            return
        if 4 * active < 3 * self.streams:
            self.begin(now)
            return
        self._bytes, self._parts = self._bytes + size, self._parts + 1
        if self._parts >= ROUNDS * self.streams:
            self._judge(self._bytes / max(now - self._began, 1e-6), now)

    def _most(self) -> int:
        """How large a request may be: of many connections each holds its share."""
        return min(MOST_BYTES, HELD_BYTES // self.streams)

    def _judge(self, carried: float, now: float) -> None:
        """Enough was carried by so many: try more, or leave it at what was enough."""
        if self._before is not None and carried < GAIN * self._before[1]:
            self._settle(self._before[0], now)
        elif self.streams == MOST:
            self._settle(MOST, now)
        else:
            self._before = self.streams, carried
            self.streams = min(MOST, self.streams * (2 if self.streams > 1 else 4))
            self.begin(now)

    def _settle(self, streams: int, now: float) -> None:
        self.streams, self._growing, self._settled_at = streams, False, now


class Spread:
    """How one direction of one remote is used. Any thread."""

    def __init__(self, part_bytes: int = FIRST_BYTES) -> None:
        """See ``Pace``."""
        self.pace = Pace(part_bytes)
        self._changed = threading.Condition()
        self._tasks: deque[_Task[Any]] = deque()
        self._idle = self._threads = self._active = 0
        self._ended = 0.0  # when the last request was over
        self._closed = False

    def run(self, works: Iterable[Callable[[], tuple[int, T]]]) -> Generator[T, None, None]:
        """Do *works*, several at a time when that helps, and yield what they return in their order.

        Each returns how many bytes it moved, and its result. The next one is asked for when it is due: how large it is
        may depend on what was learnt so far. At most twice as many are begun or kept as there are connections. What
        one raises is raised in its turn; what was begun by then goes on by itself, and is not waited for."""
        waiting: deque[_Task[T]] = deque()
        left = _Ahead(works)
        try:
            while left.some or waiting:
                if waiting and waiting[0].done:
                    yield waiting.popleft().outcome()
                elif left.some and not waiting and (self.pace.streams == 1 or left.one):
                    yield self._measured(left.take())  # in this thread: most transfers need no other
                elif left.some and self._room(waiting):
                    waiting.append(self._submit(left.take()))
                else:
                    self._wait(waiting, left.some)
        finally:
            with self._changed:
                for task in waiting:
                    if task in self._tasks:
                        self._tasks.remove(task)

    def note(self, size: int, seconds: float) -> None:
        """Learn from a request that was made elsewhere."""
        with self._changed:
            self.pace.learn(size, seconds, max(1, self._active), time.monotonic())

    def close(self) -> None:
        """Let go of the threads; what they do ends with its connection."""
        with self._changed:
            self._closed = True
            for task in self._tasks:
                task.end(error=Offline("the connection to the hub was closed here"))
            self._tasks.clear()
            self._changed.notify_all()

    def _wait(self, waiting: "deque[_Task[T]]", more: bool) -> None:
        """Until the oldest is done, or something new may be begun."""
        with self._changed:
            self._changed.wait_for(lambda: waiting[0].done or (more and self._room(waiting)))

    # --- doing ---------------------------------------------------------------------------------------------------

    def _room(self, waiting: "deque[_Task[T]]") -> bool:
        under_way = sum(not task.done for task in waiting)
        return under_way < self.pace.streams and len(waiting) < 2 * self.pace.streams

    def _measured(self, work: Callable[[], tuple[int, T]]) -> T:
        with self._changed:
            self._active += 1
            began = time.monotonic()
            if self._active == 1 and began - self._ended > PAUSE:
                self.pace.begin(began)
        size = 0
        try:
            size, result = work()
        finally:
            with self._changed:
                now = time.monotonic()
                self.pace.learn(size, now - began, self._active, now)
                self._active -= 1
                self._ended = now
        return result

    def _submit(self, work: Callable[[], tuple[int, T]]) -> "_Task[T]":
        task = _Task(work)
        with self._changed:
            if self._closed:
                raise Offline("the connection to the hub was closed here")
            self._tasks.append(task)
            if self._idle < len(self._tasks) and self._threads < MOST:
                self._threads += 1
                threading.Thread(target=self._serve, name="syncd-transfer", daemon=True).start()
            self._changed.notify_all()
        return task

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                self._changed.wait_for(lambda: self._tasks or self._closed)
                self._idle -= 1
                if self._closed:
                    return
                task = self._tasks.popleft()
            try:
                result = self._measured(task.work)
            except BaseException as error:  # noqa: BLE001 – it is raised where the result is asked for
                task.end(error=error)
            else:
                task.end(result)
            with self._changed:
                self._changed.notify_all()
            result = None  # an idle thread holds nothing
            del task
