"""The client of the control socket. Only the standard library, so that `syncd status` answers at once.

Owns how a question crosses the socket. Replies are read with bounds; what they say is shown, never executed.
"""

import json
import socket
from pathlib import Path
from typing import Any, Final, NamedTuple

from syncd.model.errors import Corrupt, Offline, Usage

MAX_REPLY: Final = 8 * 1024 * 1024


class NoDaemon(Offline):
    """Nothing listens on the control socket: no daemon runs for this root."""


class Answer(NamedTuple):
    """What the daemon answered; *code* is the exit code to use."""

    code: int
    text: str
    more: tuple[tuple[str, str], ...] = ()


def status(path: Path, timeout: float = 5.0) -> dict[str, Any]:
    """Return the daemon's live status as the server wrote it; raises NoDaemon."""
    code, reply = _request(path, "GET", "/v1/status", None, timeout)
    if code != 200:
        raise Corrupt(f"the daemon answered {code} to a status request: it may be of another version; restart it")
    return reply


def ask(path: Path, verb: str, arguments: dict[str, str] | None = None, timeout: float | None = None) -> Answer:
    """Ask something of the daemon and wait for its answer; raises NoDaemon, Usage for what it does not understand.

    *timeout* in seconds bounds the silence; None waits as long as the daemon works on it.
    """
    code, reply = _request(path, "POST", "/v1/ask", {"verb": verb, "arguments": arguments or {}}, timeout)
    if code == 400:
        raise Usage(str(reply.get("detail", "the daemon did not understand the request")))
    try:
        more = tuple((str(name), str(value)) for name, value in reply.get("more", []))
        return Answer(int(reply["code"]), str(reply["text"]), more)
    except (KeyError, TypeError, ValueError):
        raise Corrupt(
            f"the daemon's answer ({code}) makes no sense: it may be of another version; restart it"
        ) from None


def _request(path: Path, method: str, target: str, body: object, timeout: float | None) -> tuple[int, dict[str, Any]]:
    encoded = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(encoded)}\r\n\r\n"
    )
    try:
        data = _exchange(path, head.encode() + encoded, timeout)
    except TimeoutError:
        raise Offline("the daemon does not answer: look at its log, or restart it") from None
    except ConnectionError:
        raise NoDaemon("the daemon ended before it answered: look at its log") from None
    if len(data) > MAX_REPLY:
        raise Corrupt("the daemon's answer is too long")
    return _parsed(data)


def _exchange(path: Path, request: bytes, timeout: float | None) -> bytes:
    """Send *request* and return what comes until the server closes. http.client would cost more than all the rest."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            raise NoDaemon("no daemon runs for this folder: start one with `syncd run`") from None
        sock.sendall(request)
        parts, size = [], 0
        while size <= MAX_REPLY and (part := sock.recv(65536)):
            parts.append(part)
            size += len(part)
        return b"".join(parts)


def _parsed(data: bytes) -> tuple[int, dict[str, Any]]:
    """Return status and body of an HTTP/1.1 response that is not chunked (the server sends lengths)."""
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        raise NoDaemon("the daemon ended before it answered: look at its log")
    try:
        version, code, *_ = head.split(b"\r\n", 1)[0].split(b" ", 2)
        reply = json.loads(body)
        if not version.startswith(b"HTTP/1.") or not isinstance(reply, dict):
            raise ValueError
        return int(code), reply
    except ValueError:
        raise Corrupt("the daemon's answer makes no sense: it may be of another version; restart it") from None
