"""What may stand between a device and its hub: a loopback HTTP proxy that is busy, or slow, when a test wants it."""

import http.client
import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

UPSTREAM_SECONDS = 70.0
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass
class Weather:
    """How the proxy behaves. *refusals* are the times (monotonic) of what was refused, *passed* of what went on."""

    busy: int = 0  # an HTTP status: everything new is answered with it
    retry_after: str = ""
    drip: float = 0.0  # seconds between the pieces of an answer
    refusals: list[float] = field(default_factory=list)
    passed: list[float] = field(default_factory=list)


class Proxy(http.server.ThreadingHTTPServer):
    """Forwards each request to the hub on *upstream*, as the weather allows."""

    daemon_threads = True

    def __init__(self, upstream: int) -> None:
        super().__init__(("127.0.0.1", 0), _Forwarder)
        self.upstream = upstream
        self.weather = Weather()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def handle_error(self, *_: object) -> None:
        """A device or the hub went away in the middle: what is left of the exchange ends."""


class _Forwarder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _forward(self) -> None:
        weather = self.server.weather
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if weather.busy:
            weather.refusals.append(time.monotonic())
            self._answer(weather.busy, [("retry-after", weather.retry_after)], b"the hub is busy")
            return
        weather.passed.append(time.monotonic())
        hub = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=UPSTREAM_SECONDS)
        try:
            kept = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
            hub.request(self.command, self.path, body, kept)
            reply = hub.getresponse()
            self._answer(reply.status, reply.getheaders(), reply.read())
        finally:
            hub.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
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
