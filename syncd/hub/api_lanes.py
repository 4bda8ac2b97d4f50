"""Where the hub's blocking work runs: one thread that commits, a few that read, a few that move chunks.

The loop itself never waits for a disk. Owns the threads; knows nothing of the work.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final, TypeVar

READERS: Final = 4
MOVERS: Final = 4

T = TypeVar("T")


class Lanes:
    """Three pools. Idle threads sleep without waking."""

    def __init__(self) -> None:
        self._writer = ThreadPoolExecutor(1, "hub-writer")
        self._readers = ThreadPoolExecutor(READERS, "hub-reader")
        self._movers = ThreadPoolExecutor(MOVERS, "hub-chunks")

    async def write(self, work: Callable[[], T]) -> T:
        """Run *work* on the one writing thread, in the order asked: an fsync there holds nobody else up."""
        return await _run(self._writer, work)

    async def read(self, work: Callable[[], T]) -> T:
        """Run *work* on a reading thread."""
        return await _run(self._readers, work)

    async def move(self, work: Callable[[], T]) -> T:
        """Run *work* that reads or writes chunks."""
        return await _run(self._movers, work)

    async def finish(self, work: Callable[[], T]) -> T:
        """Run *work* that moves chunks, to its end: also when whoever waits for it is cancelled."""
        future = asyncio.get_running_loop().run_in_executor(self._movers, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else looks
            raise

    def close(self) -> None:
        """Let what runs or was accepted end, then end the threads. A commit is never cut short."""
        for pool in (self._writer, self._movers, self._readers):
            pool.shutdown(wait=True)


async def _run(pool: Executor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, work)
