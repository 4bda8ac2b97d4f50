"""A hub that answers whatever a test wants, and every call that may be answered."""

import contextlib
import json
import socket
from base64 import b64encode

from blake3 import blake3

from syncd.adapters.hub_remote import HubRemote
from syncd.model.node import Version
from syncd.model.remote import Delete
from tests.contract.serving import reply, saying


def h(data: bytes) -> bytes:
    return blake3(data).digest()


def b(data: bytes) -> str:
    return b64encode(data).decode()


def fixed(data: bytes):
    return lambda connection, request, count: connection.sendall(data)


def asked(answer, call):
    """Return what *call* gives or raises when the hub answers with *answer*."""
    with saying(answer) as address:
        remote = HubRemote(address, "token")
        try:
            return call(remote)
        finally:
            remote.close()


ENOUGH = 1000

DELETE = Delete(b"k" * 16, b"n" * 16, Version(1, "t"))
NODE = {
    "node_id": b(b"n" * 16),
    "parent_id": b(b"p" * 16),
    "name": "a",
    "kind": "file",
    "version": {"position": 1, "tag": "t"},
}
OUTCOME = {"key": b(b"k" * 16), "verdict": "done", "nodes": [NODE]}
IDENTITY = {"remote_id": "h", "space_id": "s", "space": "home", "device_id": "d", "device": "laptop"}


def js(value: object) -> bytes:
    return reply(json.dumps(value).encode())


def fault(code: str, status: int, *headers: str) -> bytes:
    return reply(json.dumps({"error": code, "detail": "why\u001b[31m"}).encode(), f"{status} X", *headers)


CALLS = {
    "identify": lambda remote: remote.identify(),
    "changes": lambda remote: remote.changes("c", 2),
    "wait": lambda remote: remote.wait("c", 0.1),
    "listing": lambda remote: remote.listing(None, 2),
    "commit": lambda remote: remote.commit([DELETE]),
    "outcomes": lambda remote: remote.outcomes([b"k" * 16]),
    "look": lambda remote: remote.look([b"n" * 16]),
    "history": lambda remote: remote.history(b"n" * 16),
    "missing": lambda remote: remote.missing([h(b"x")]),
    "put_chunks": lambda remote: remote.put_chunks([(h(b"x"), b"x")]),
    "get_chunks": lambda remote: list(remote.get_chunks([h(b"x")])),
    "put_manifest": lambda remote: remote.put_manifest(h(b"x"), b"x"),
    "get_manifest": lambda remote: remote.get_manifest(h(b"x")),
}


class Drops:
    """An answer that comes drop by drop, until *ENOUGH* came or the client hangs up. *sent* counts the drops."""

    def __init__(self, head: bytes, drop: bytes) -> None:
        self._head, self._drop = head, drop
        self.sent = 0

    def __call__(self, connection: socket.socket, request: bytes, count: int) -> None:
        connection.sendall(self._head)
        connection.settimeout(0.02)
        while self.sent < ENOUGH:
            connection.sendall(self._drop)
            self.sent += 1
            with contextlib.suppress(TimeoutError):  # the pace: nothing is said by the client while it waits
                if not connection.recv(1):
                    return
