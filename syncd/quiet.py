"""A uvicorn server that sleeps until something happens. Owns the serving loop, its stop, and the bounds of a request's
head; knows nothing of syncd. The hub and the daemon's control socket both serve with it.

uvicorn wakes ten times a second to look at flags; an idle syncd may not wake at all. Reply head and body leave in one
segment, and a client that still sends when it is refused can read why.
"""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Generator, Sequence
from types import FrameType
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD: Final = 64 * 1024
"""Bytes of request line and headers that are accepted."""

HEAD_SECONDS: Final = 30.0
"""How long a client may take to send a request's head, from its first byte (or from connecting)."""

_CORK_BYTES: Final = 64 * 1024
_LINGER_SECONDS: Final = 1.0
_LINGER_BYTES: Final = 64 * 1024 * 1024


class _CorkedTransport(asyncio.Transport):
    """Joins what is written within one turn of the loop, so that head and body are one segment (two could cost a
    delayed acknowledgement); closes gently while the peer still sends, so that a refusal is not lost to a reset."""

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._inner = inner
        self._loop = loop
        self._held: list[bytes | bytearray | memoryview] = []
        self._size = 0
        self.lingering = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not data:
            return
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)
        self._size += len(data)
        if self._size >= _CORK_BYTES:  # bounded: flow control is the inner transport's
            self._flush()

    def _flush(self) -> None:
        if self._held:
            held, self._held, self._size = self._held, [], 0
            self._inner.write(held[0] if len(held) == 1 else b"".join(held))

    def close(self) -> None:
        self._flush()
        if not self.lingering:
            self._inner.close()

    def close_gently(self) -> None:
        """Send what is held and the end of the stream, then drop what the peer still sends for at most a second."""
        self._flush()
        if self._inner.is_closing() or not self._inner.can_write_eof():
            self._inner.close()
            return
        self.lingering = True
        self._inner.resume_reading()
        with contextlib.suppress(OSError):  # the peer is gone already: then the close below is all there is to do
            self._inner.write_eof()
        self._loop.call_later(_LINGER_SECONDS, self._inner.close)

    def drop(self) -> None:
        """Close now, whatever the peer does."""
        self._inner.abort()

    def is_closing(self) -> bool:
        return self.lingering or self._inner.is_closing()

    def abort(self) -> None:
        self._inner.abort()

    def get_write_buffer_size(self) -> int:
        return self._size + self._inner.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._inner.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        self._inner.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._inner.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._inner.get_protocol()


class QuietProtocol(HttpToolsProtocol):
    """HTTP/1.1 with bounded heads: size and time. No timer runs for a connection that waits for its reply."""

    _corked: _CorkedTransport
    _in_head = True
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _discarded = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._corked = _CorkedTransport(transport, self.loop)
        super().connection_made(self._corked)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._corked.drop)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        if self._corked.lingering:
            self._discarded += len(data)
            if self._discarded > _LINGER_BYTES:
                self._corked.drop()
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self.parser is None or self._corked.is_closing():
            return
        if not self._in_head:
            return
        if self._head_bytes > MAX_HEAD:
            self.send_400_response("the request head is too large")
        elif self._head_timer is None and self._head_bytes:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._corked.drop)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        self._stop_head_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._head_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self.cycle.more_body and not self._corked.is_closing():
            self._corked.close_gently()  # answered before it was all said: nothing more is wanted from this peer
        super().on_response_complete()

    def shutdown(self) -> None:
        # An idle TLS connection would wait for the peer's goodbye, which an idle peer does not send.
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self.scheme == "https" and self._corked.get_write_buffer_size() == 0:
            self._corked.abort()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        body = b'{"error":"nonsense","detail":"%s"}' % msg.encode("ascii", "replace").replace(b'"', b"'")
        head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self._corked.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        self._corked.close_gently()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class QuietServer(uvicorn.Server):
    """Serves an ASGI application on given listening sockets until stopped; idle, it does not wake.

    *app* is an ASGI 3 application. *on_ready* is called on the loop once connections are accepted; *on_stopping* when
    a stop begins, so that the application can answer those who wait. A stop lasts at most *grace* seconds, then running
    requests are cancelled. SIGTERM and SIGINT stop it when it runs in the main thread; they are not raised again
    afterwards.
    """

    def __init__(
        self,
        app: Any,
        *,
        certificate: str | None = None,
        key: str | None = None,
        grace: int = 4,
        keep_alive: int = 75,
        connections: int = 4096,
        on_ready: Callable[[], None] = lambda: None,
        on_stopping: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=QuietProtocol,
                loop="asyncio",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,  # a date would need a clock that ticks
                timeout_keep_alive=keep_alive,
                timeout_graceful_shutdown=grace,
                limit_concurrency=connections,
                ssl_certfile=certificate,
                ssl_keyfile=key,
            )
        )
        self._on_ready, self._on_stopping = on_ready, on_stopping
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop this server runs on, while it runs."""
        return self._loop

    def stop(self) -> None:
        """Begin to stop; from any thread, or a signal handler."""
        self.should_exit = True
        loop, wake = self._loop, self._wake
        if loop is not None and wake is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile: stopped is what was wanted
                loop.call_soon_threadsafe(wake.set)

    def serve_forever(self, sockets: Sequence[socket.socket]) -> None:
        """Serve in this thread until stopped. Closes *sockets*."""
        asyncio.run(self.serve(list(sockets)))

    async def main_loop(self) -> None:
        """Sleep until a stop is asked for: no tick."""
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()  # set after _wake: stop() may look from another thread
        self.server_state.default_headers = list(self.config.encoded_headers)
        self._on_ready()
        while not self.should_exit:
            await self._wake.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stopping()
        await super().shutdown(sockets)
        self._loop = None

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # The loop's own handlers wake it the moment a signal comes; one of ``signal.signal`` runs only once the loop
        # comes back from its sleep, which a signal that comes just before that, or to another thread, does not end.
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self.stop()
