"""A hub served on loopback in a thread of the test, and one that says whatever a test wants."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from syncd.adapters.hub_remote import HubRemote
from syncd.hub.core import Hub
from syncd.hub.server import HubServer, Listen, Ready
from syncd.model.invite import HubAddress, Invite
from tests.hub.conftest import FakeClock, SeededChance


@dataclass
class Served:
    """A running server and its hub."""

    hub: Hub
    clock: FakeClock
    server: HubServer
    ready: Ready
    thread: threading.Thread

    def address(self, space: str = "home", host: str = "127.0.0.1") -> HubAddress:
        return HubAddress(host, self.ready.port, space, self.ready.pin)

    def invite(self, space: str = "home") -> Invite:
        self.hub.create_space(space)
        return Invite(self.address(space), self.hub.invite(space))

    def device(self, name: str = "laptop", space: str = "home") -> HubRemote:
        enrolled = HubRemote.enroll(self.invite(space), name)
        return HubRemote(self.address(space), enrolled.token)

    def stop(self, within: float = 10) -> None:
        """Stop it; fail when it has not ended *within* so many seconds."""
        self.server.stop()
        self.thread.join(within)
        assert not self.thread.is_alive()


@contextlib.contextmanager
def served(folder: Path, listen: Listen | None = None, **options: object) -> Iterator[Served]:
    clock = FakeClock()
    hub = Hub.open(folder, clock, SeededChance())
    up = threading.Event()
    readies: list[Ready] = []

    def on_ready(ready: Ready) -> None:
        readies.append(ready)
        up.set()

    server = HubServer(hub, listen or Listen(), data_dir=folder, clock=clock, on_ready=on_ready, **options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert up.wait(10)
        yield Served(hub, clock, server, readies[0], thread)
    finally:
        server.stop()
        thread.join(10)
        hub.close()


@contextlib.contextmanager
def saying(answer: Callable[[socket.socket, bytes, int], None]) -> Iterator[HubAddress]:
    """Serve raw sockets: *answer* gets the connection, the request's head and body, and the number of the request."""
    listener = socket.create_server(("127.0.0.1", 0))
    count = 0

    def run() -> None:
        nonlocal count
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                request = _request(connection)
                if request:
                    count += 1
                    answer(connection, request, count)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield HubAddress("127.0.0.1", listener.getsockname()[1], "home")
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def _request(connection: socket.socket) -> bytes:
    held = b""
    while b"\r\n\r\n" not in held:
        if not (data := connection.recv(65536)):
            return b""
        held += data
    head, _, body = held.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def reply(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return a whole HTTP reply."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
