"""A far link on loopback: each byte comes late, each connection is as slow as loss makes it, all share one rate.

For machines whose kernel cannot delay packets itself. What TCP makes of loss is taken from Mathis, Semke, Mahdavi and
Ott, "The Macroscopic Behavior of the TCP Congestion Avoidance Algorithm" (1997): a connection carries at most
MSS / RTT * sqrt(3/2) / sqrt(loss). A new one may say nothing for one round trip. Slow start is not modelled. Owns its
thread; changes no byte.
"""

import asyncio
import contextlib
import math
import threading
import time
from dataclasses import dataclass, field
from typing import Final

SEGMENT: Final = 1448
SLICE: Final = 8192


@dataclass(slots=True)
class Far:
    """See ``bench.wire.Wire``. *round_trip* in seconds; *loss*: the share of packets; *rate* in bytes a second and
    direction, for all connections together."""

    round_trip: float
    loss: float
    rate: float
    up: int = 0
    down: int = 0
    connections: int = 0  # that were open at once, at most
    _open: int = 0
    _target: int = 0
    _free: dict[str, float] = field(default_factory=lambda: {"up": 0.0, "down": 0.0})  # when the link is free again
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread | None = None

    @property
    def connection_rate(self) -> float:
        """Bytes a second that one connection carries."""
        return SEGMENT / self.round_trip * math.sqrt(1.5 / self.loss)

    def dial(self, target: int) -> int:
        """Listen, and pass on to *target*."""
        self._target = target
        server = self._loop.run_until_complete(asyncio.start_server(self._carry, "127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return int(server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Take no more connections, and let go of those that are open."""
        if self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._thread = None

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            if tasks:
                self._loop.run_until_complete(asyncio.wait(tasks))
            self._loop.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        self.connections = max(self.connections, self._open)
        try:
            hub_reader, hub_writer = await asyncio.open_connection("127.0.0.1", self._target)
            first = time.monotonic() + self.round_trip
            await asyncio.gather(
                self._one_way("up", reader, hub_writer, first), self._one_way("down", hub_reader, writer, first)
            )
        except (OSError, asyncio.CancelledError):  # one of both sides is gone, or all of it ends
            pass
        finally:
            self._open -= 1
            writer.close()

    async def _one_way(self, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, free: float) -> None:
        """Pass on what is read when it would have come. At most one round trip's worth is under way."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(
            max(2, int(self.connection_rate * self.round_trip / SLICE) + 1)
        )
        arriving = asyncio.create_task(self._arrive(under_way, writer))
        try:
            while True:
                data = await reader.read(SLICE)
                now = time.monotonic()
                if data:
                    free = max(now, free) + len(data) / self.connection_rate
                    self._free[way] = max(now, self._free[way]) + len(data) / self.rate
                    setattr(self, way, getattr(self, way) + len(data))
                await under_way.put((max(free, self._free[way], now) + self.round_trip / 2, data))
                if not data:
                    return
        except OSError:
            arriving.cancel()
        finally:
            with contextlib.suppress(asyncio.CancelledError):
                await arriving

    async def _arrive(self, under_way: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = await under_way.get()
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()
