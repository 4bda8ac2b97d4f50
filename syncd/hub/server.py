"""Serves a hub: listening sockets, TLS beyond loopback, and an end that loses nothing. Owns no rule of the hub.

Idle, it sleeps: no timer runs but those of waiting requests, and no thread wakes.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from syncd.hub.api import HubApi, HubCore
from syncd.hub.api_lanes import Lanes
from syncd.hub.api_routes import build
from syncd.hub.tls import certificate
from syncd.model.errors import Usage
from syncd.model.invite import is_loopback
from syncd.ports import Clock
from syncd.quiet import QuietServer

GRACE_SECONDS: Final = 3
"""How long running requests may go on once a stop began; commits end whatever happens."""

_BACKLOG: Final = 512


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen. *port* 0 lets the system choose."""

    host: str = "127.0.0.1"
    port: int = 0


@dataclass(frozen=True, slots=True)
class Ready:
    """Where a hub listens now. *pin* is None for plain HTTP."""

    host: str
    port: int
    pin: str | None


def parse_listen(text: str, default_port: int = 0) -> Listen:
    """Return what ``HOST:PORT``, ``[IPV6]:PORT`` or ``HOST`` says; raises Usage."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise Usage(f"{text!r} is not HOST:PORT: an IPv6 address looks like [::1]:8383")
        port = rest[1:]
    elif text.count(":") > 1:
        raise Usage(f"{text!r} is not HOST:PORT: an IPv6 address needs brackets, [{text}]:8383")
    else:
        host, _, port = text.partition(":")
    if not host:
        raise Usage(f"{text!r} names no host to listen on: use 0.0.0.0 for every address")
    if not port:
        return Listen(host, default_port)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise Usage(f"{port!r} is not a port (0 to 65535)")
    return Listen(host, int(port))


class HubServer:
    """One hub, served. ``run`` blocks; ``stop`` ends it from any thread. SIGTERM and SIGINT do too, in a process's
    main thread, and so does the end of *stop_fd* (a pipe whose other end a parent holds)."""

    def __init__(
        self,
        core: HubCore,
        listen: Listen,
        *,
        data_dir: Path,
        clock: Clock,
        insecure: bool = False,
        on_ready: Callable[[Ready], None] = lambda _ready: None,
        stop_fd: int | None = None,
    ) -> None:
        """Bind *listen* at once; raises Usage when that is not possible or not safe without *insecure*."""
        sealed = None
        if not insecure and not is_loopback(listen.host):
            sealed = certificate(data_dir, clock)
        self._sockets = _bind(listen)
        self._stop_fd = stop_fd
        self._lanes = Lanes()
        self._api = HubApi(core, self._lanes)
        self.ready = Ready(listen.host, self._sockets[0].getsockname()[1], sealed.pin if sealed else None)

        def ready() -> None:
            self._watch_parent()
            on_ready(self.ready)

        self._server = QuietServer(
            build(self._api),
            certificate=str(sealed.path) if sealed else None,
            key=str(sealed.path) if sealed else None,
            grace=GRACE_SECONDS,
            on_ready=ready,
            on_stopping=self._api.begin_stop,
        )

    def run(self) -> None:
        """Serve until stopped. When this returns every accepted commit has ended and the sockets are closed."""
        try:
            self._server.serve_forever(self._sockets)
        finally:
            self._lanes.close()
            for listener in self._sockets:
                listener.close()

    def stop(self) -> None:
        """Begin to stop; from any thread."""
        self._server.stop()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop it runs on, while it runs."""
        return self._server.loop

    def _watch_parent(self) -> None:
        descriptor = self._stop_fd
        if descriptor is None:
            return
        loop = asyncio.get_running_loop()

        def look() -> None:
            with contextlib.suppress(BlockingIOError, InterruptedError):
                if not os.read(descriptor, 4096):
                    loop.remove_reader(descriptor)
                    self.stop()

        loop.add_reader(descriptor, look)


def serve(
    core: HubCore,
    listen: Listen,
    *,
    data_dir: Path,
    clock: Clock,
    insecure: bool = False,
    on_ready: Callable[[Ready], None] = lambda _ready: None,
    stop_fd: int | None = None,
) -> None:
    """Serve *core* until a signal, or the end of *stop_fd*, stops it."""
    HubServer(core, listen, data_dir=data_dir, clock=clock, insecure=insecure, on_ready=on_ready, stop_fd=stop_fd).run()


def _bind(listen: Listen) -> Sequence[socket.socket]:
    try:
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise Usage(f"cannot listen on {listen.host!r}: it is not an address of this machine") from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if listen.host == "::" else 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise Usage(f"cannot listen on {listen.host}:{listen.port}: {error.strerror}") from None
    return [listener]
