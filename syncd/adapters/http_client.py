"""One HTTP/1.1 server, spoken to with bounds: on time for each step and for the whole, on sizes, on what is believed.

Owns connections (a keep-alive pool) and turns every failure into the error tree. Follows no redirect, asks no proxy,
accepts no content coding. Knows nothing of the hub. Any thread.
"""

import contextlib
import errno
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpcore

from syncd.model.errors import Corrupt, Offline, OtherRemote

CONNECT_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 30.0
"""How long a server may say nothing in the middle of an exchange."""

IDLE_SECONDS: Final = 60.0
"""How long an idle connection is kept; servers keep theirs a little longer."""

_JOIN_BYTES: Final = 64 * 1024
_SLICE: Final = 256 * 1024
Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A whole reply. Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wrong(Exception):
    """The server's certificate is not the expected one."""


class HttpClient:
    """Connections to one server."""

    def __init__(
        self,
        url: str,
        *,
        context: ssl.SSLContext | None = None,
        proves: Callable[[bytes], bool] | None = None,
        connections: int = 16,
    ) -> None:
        """Speak to *url*. With *context* the server's certificate (DER) is also shown to *proves*, each time."""
        self._url = url.rstrip("/")
        self._network = _Network(proves)
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=IDLE_SECONDS,
            http1=True,
            http2=False,
            retries=0,
            network_backend=self._network,
        )

    def request(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: Sequence[bytes] = (),
        *,
        seconds: float,
        limit: int,
        silence: float = SILENCE_SECONDS,
    ) -> HttpReply:
        """Return the reply, of at most *limit* bytes, within *seconds* in all; *silence* bounds each wait for data.

        Raises Offline (nothing is known about what the server did), Corrupt, OtherRemote."""
        with self.open(method, path, headers, body, seconds=seconds, silence=silence) as stream:
            return HttpReply(stream.status, stream.headers, stream.rest(limit, seconds))

    @contextlib.contextmanager
    def open(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: Sequence[bytes] = (),
        *,
        seconds: float,
        silence: float = SILENCE_SECONDS,
    ) -> "Iterator[HttpStream]":
        """Send a request and yield its reply as a stream; the reply's head arrives within *seconds*."""
        ends = time.monotonic() + seconds
        sent = [("accept-encoding", "identity"), ("user-agent", "syncd"), *headers]
        if body or method in ("POST", "PUT"):
            sent.append(("content-length", str(sum(map(len, body)))))
        request = httpcore.Request(
            method,
            self._url + path,
            headers=[(name.encode("ascii"), value.encode("ascii")) for name, value in sent],
            content=_Content(body),
            extensions={
                "timeout": {
                    "connect": min(CONNECT_SECONDS, seconds),
                    "read": silence,
                    "write": SILENCE_SECONDS,
                    "pool": seconds,
                }
            },
        )
        with _told(self._url):
            request.headers.insert(0, (b"host", request.url.host + _port(request.url)))
            with self._network.until(ends):
                response = self._pool.handle_request(request)
        try:
            yield HttpStream(response, self._network, self._url)
        finally:
            with contextlib.suppress(httpcore.NetworkError, httpcore.TimeoutException, OSError):
                response.close()  # a reply not read to its end costs the connection, nothing else

    def drop(self) -> None:
        """End every exchange and connection now (after a suspend, or to close): waiting calls raise Offline."""
        self._network.drop()

    def close(self) -> None:
        """End every exchange and connection, for good."""
        self.drop()
        with contextlib.suppress(RuntimeError):  # a call is being ended by drop at this moment
            self._pool.close()


class HttpStream:
    """A reply as it arrives."""

    def __init__(self, response: httpcore.Response, network: "_Network", url: str) -> None:
        self.status: int = response.status
        self.headers: dict[str, str] = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
        }
        self._network, self._url = network, url
        with _told(url):
            if self.headers.get("content-encoding", "identity").lower() != "identity":
                raise Corrupt(f"{url} answers in a coding that was not asked for")
        self._pieces: Iterator[bytes] = iter(response.iter_stream())

    def piece(self, seconds: float) -> bytes:
        """Return the next bytes, b"" at the end; within *seconds*."""
        with _told(self._url), self._network.until(time.monotonic() + seconds):
            for data in self._pieces:
                if data:
                    return data
        return b""

    def rest(self, limit: int, seconds: float) -> bytes:
        """Return all that is left, at most *limit* bytes within *seconds*; raises Corrupt for more."""
        ends = time.monotonic() + seconds
        held = bytearray()
        while data := self.piece(ends - time.monotonic()):
            held += data
            if len(held) > limit:
                raise Corrupt(f"{self._url} answers with more than {limit} bytes")
        return bytes(held)


def _port(url: httpcore.URL) -> bytes:
    return b"" if url.port is None else b":%d" % url.port


class _Content:
    """A body in pieces. Large ones are not copied; small ones are joined, for each that is sent costs its way through
    all of HTTP: some 100 µs, of which the thousands of a batch of small files are most of the work."""

    def __init__(self, body: Sequence[bytes]) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        held: list[bytes] = []
        size = 0
        for piece in self._body:
            if held and size + len(piece) > _SLICE:
                yield b"".join(held)
                held, size = [], 0
            if len(piece) >= _JOIN_BYTES and not held:
                yield piece
            else:
                held.append(piece)
                size += len(piece)
        if held:
            yield b"".join(held)

    def close(self) -> None:
        """Nothing is held."""


@contextlib.contextmanager
def _told(url: str) -> Iterator[None]:
    """Turn what httpcore raises into the error tree."""
    try:
        yield
    except Wrong:
        raise _not_the_hub(url) from None
    except httpcore.TimeoutException as error:
        raise Offline(f"{url} does not answer in time: it is overloaded, or the network is slow") from error
    except httpcore.RemoteProtocolError as error:
        if "disconnected" in str(error) or "closed connection" in str(error):
            raise Offline(f"{url} ended the connection: it stopped, or it speaks TLS by now") from error
        raise Corrupt(f"{url} does not speak HTTP as expected ({error}): check the address") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ConnectionNotAvailable, OSError) as error:
        if isinstance(_root(error), ssl.SSLCertVerificationError):
            raise _not_the_hub(url) from error
        if isinstance(_root(error), ssl.SSLError) and isinstance(error, httpcore.ConnectError):
            raise Corrupt(f"{url} does not speak TLS as expected ({_root(error)}): check the address") from error
        raise Offline(f"{url} cannot be reached: {why_unreachable(error)}") from error


def _not_the_hub(url: str) -> OtherRemote:
    return OtherRemote(
        f"{url} shows another certificate than the hub's: it is not the hub this device was invited to; check the "
        "address, or run `syncd init` with a new invite"
    )


def why_unreachable(error: BaseException) -> str:
    """Return why no connection came about, and what to do."""
    found = _root(error)
    if isinstance(found, socket.gaierror):
        return "its name is not known here; check the address, and this machine's network"
    match getattr(found, "errno", None):
        case errno.ECONNREFUSED:
            return "nothing listens there; start the hub, or check the address"
        case errno.ENETUNREACH | errno.EHOSTUNREACH | errno.ENETDOWN | errno.EADDRNOTAVAIL:
            return "no network leads there; check this machine's network"
    words = found.strerror if isinstance(found, OSError) and found.strerror else str(found) or type(found).__name__
    return f"{words[:1].lower()}{words[1:]}; check the address, and that the hub runs"


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


class _Network(httpcore.NetworkBackend):
    """Sockets with a deadline for the whole exchange, that can be ended from another thread."""

    def __init__(self, proves: Callable[[bytes], bool] | None) -> None:
        self.proves = proves
        self._inner = httpcore.SyncBackend()
        self._local = threading.local()
        self._lock = threading.Lock()
        self._open: dict[int, _Stream] = {}

    @contextlib.contextmanager
    def until(self, ends: float) -> Iterator[None]:
        """Bound everything this thread does on the network inside the block."""
        before = getattr(self._local, "ends", None)
        self._local.ends = ends
        try:
            yield
        finally:
            self._local.ends = before

    def left(self, timeout: float | None, late: type[Exception]) -> float:
        """Return how long this thread may wait now; raises *late* when the deadline has passed."""
        ends = getattr(self._local, "ends", None)
        wait = SILENCE_SECONDS if timeout is None else timeout
        if ends is not None:
            wait = min(wait, ends - time.monotonic())
        if wait <= 0:
            raise late("the deadline has passed")
        return wait

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        wait = self.left(timeout, httpcore.ConnectTimeout)
        return self.keep(self._inner.connect_tcp(host, port, wait, local_address, socket_options))

    def sleep(self, seconds: float) -> None:
        raise httpcore.ConnectError("nobody here waits by sleeping")  # retries are the queue's

    def keep(self, inner: httpcore.NetworkStream) -> "_Stream":
        """Return *inner* with bounds, known to ``drop``."""
        stream = _Stream(inner, self)
        with self._lock:
            self._open[id(stream)] = stream
        return stream

    def forget(self, stream: "_Stream") -> None:
        with self._lock:
            self._open.pop(id(stream), None)

    def drop(self) -> None:
        """Shut every connection down; whoever waits on one is told by its end."""
        with self._lock:
            streams = list(self._open.values())
        for stream in streams:
            stream.shut_down()


class _Stream(httpcore.NetworkStream):
    """One connection. Joins a request's head and body in one segment: two could cost a delayed acknowledgement."""

    def __init__(self, inner: httpcore.NetworkStream, network: _Network) -> None:
        self._inner, self._network = inner, network
        self._held = bytearray()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        # A server that answers early may stop reading: its answer counts, not that we could not send.
        with contextlib.suppress(httpcore.WriteError):
            self._flush(timeout)
        return self._inner.read(max_bytes, self._network.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if len(buffer) < _JOIN_BYTES:
            self._held += buffer
            if len(self._held) >= _JOIN_BYTES:
                self._flush(timeout)
            return
        self._flush(timeout)
        view = memoryview(buffer)
        for start in range(0, len(buffer), _SLICE):
            self._send(bytes(view[start : start + _SLICE]), timeout)

    def _flush(self, timeout: float | None) -> None:
        if self._held:
            held, self._held = bytes(self._held), bytearray()
            self._send(held, timeout)

    def _send(self, data: bytes, timeout: float | None) -> None:
        self._inner.write(data, self._network.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._network.forget(self)
        self._inner.close()

    def shut_down(self) -> None:
        """End the connection under whoever uses it."""
        found = self._inner.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):  # closed meanwhile
            socket.socket.shutdown(found, socket.SHUT_RDWR)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        wait = self._network.left(timeout, httpcore.ConnectTimeout)
        inner = self._inner.start_tls(ssl_context, server_hostname, wait)
        self._network.forget(self)
        stream = self._network.keep(inner)
        if self._network.proves is not None:
            shown = inner.get_extra_info("socket").getpeercert(binary_form=True)
            if not shown or not self._network.proves(shown):
                stream.close()
                raise Wrong
        return stream

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
