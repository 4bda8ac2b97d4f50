"""What may stand between a device and its hub: a loopback HTTP proxy that is busy, slow, cut or silent when a test
wants it, and that swallows replies after the hub has done what was asked."""

import contextlib
import http.client
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

UPSTREAM_SECONDS = 70.0
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass
class Weather:
    """How the proxy behaves. *refusals* are the times (monotonic) of what was refused, *passed* of what went on."""

    busy: int = 0  # an HTTP status: everything new is answered with it
    retry_after: str = ""
    drip: float = 0.0  # seconds between the pieces of an answer
    delay: float = 0.0  # seconds before a request is passed on
    down: bool = False  # every exchange ends at once, without an answer
    silent: bool = False  # nothing is passed on and nothing is said, but connections stay open: a half-open line
    swallow: int = 0  # so many answers to requests that change something are kept back: the hub has done it
    cut_answers: int = 0  # so many answers end in the middle
    cut_requests: int = 0  # so many requests with a body reach the hub only in part
    refusals: list[float] = field(default_factory=list)
    passed: list[float] = field(default_factory=list)


class Proxy(http.server.ThreadingHTTPServer):
    """Forwards each request to the hub on *upstream*, as the weather allows."""

    daemon_threads = True

    def __init__(self, upstream: int) -> None:
        super().__init__(("127.0.0.1", 0), _Forwarder)
        self.upstream = upstream
        self.weather = Weather()
        self._lines: set[socket.socket] = set()
        self._guard = threading.Lock()  # for the lines and for what the weather counts down

    @property
    def port(self) -> int:
        return self.server_address[1]

    def sever(self) -> None:
        """Cut every connection of the device, whatever it is in the middle of."""
        with self._guard:
            lines = list(self._lines)
        for line in lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def clear(self) -> None:
        """Have good weather from now on. Who is in a silence now never gets an answer."""
        self.weather = Weather(refusals=self.weather.refusals, passed=self.weather.passed)

    def take(self, mishap: str) -> bool:
        """Return whether *mishap*, one of the weather's counts, happens now; it happens that much less often then."""
        with self._guard:
            left: int = getattr(self.weather, mishap)
            setattr(self.weather, mishap, max(0, left - 1))
            return left > 0

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._lines.add(request)
        try:
            super().finish_request(request, client_address)
        finally:
            with self._guard:
                self._lines.discard(request)

    def handle_error(self, *_: object) -> None:
        """A device or the hub went away in the middle: what is left of the exchange ends."""


class _Forwarder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _forward(self) -> None:
        weather = self.server.weather
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if weather.down or self._unheard(weather):
            self.close_connection = True
            return
        if weather.busy:
            weather.refusals.append(time.monotonic())
            self._answer(weather.busy, [("retry-after", weather.retry_after)], b"the hub is busy")
            return
        weather.passed.append(time.monotonic())
        time.sleep(weather.delay)
        hub = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=UPSTREAM_SECONDS)
        try:
            kept = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
            if body and self.server.take("cut_requests"):
                self._send_half(hub, body, kept)
                return
            hub.request(self.command, self.path, body, kept)
            reply = hub.getresponse()
            answer = reply.read()
            if self.command != "GET" and self.server.take("swallow"):
                self.close_connection = True
                return
            self._answer(reply.status, reply.getheaders(), answer)
        finally:
            hub.close()

    def _unheard(self, weather: Weather) -> bool:
        """Return whether the line is silent; it stays open meanwhile."""
        unheard = weather.silent
        while weather.silent and self.server.weather is weather:
            time.sleep(0.02)
        return unheard

    def _send_half(self, hub: http.client.HTTPConnection, body: bytes, headers: dict[str, str]) -> None:
        """Pass on a request that ends in the middle of its body, and end the device's connection, too."""
        hub.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            hub.putheader(name, value)
        hub.putheader("content-length", str(len(body)))
        hub.endheaders()
        hub.send(body[: len(body) // 2])
        self.close_connection = True

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if body and self.server.take("cut_answers"):
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        drip = self.server.weather.drip
        step = max(1, len(body) // 4) if drip else max(1, len(body))
        for at in range(0, len(body), step):
            time.sleep(drip)
            self.wfile.write(body[at : at + step])

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _forward  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def proxied(upstream: int) -> Iterator[Proxy]:
    """Serve a proxy in front of the hub on port *upstream*."""
    proxy = Proxy(upstream)
    thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
