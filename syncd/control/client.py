"""The client of the control socket. Only the standard library, so that `syncd status` answers at once.

Owns how a question crosses the socket. Replies are read with bounds; what they say is shown, never executed.
"""

import http.client
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from syncd.model.errors import Corrupt, Offline, Usage

MAX_REPLY: Final = 8 * 1024 * 1024
HOST: Final = "localhost"


class NoDaemon(Offline):
    """Nothing listens on the control socket: no daemon runs for this root."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the daemon answered; *code* is the exit code to use."""

    code: int
    text: str
    more: tuple[tuple[str, str], ...] = ()


class _UnixConnection(http.client.HTTPConnection):
    """HTTP/1.1 over a Unix socket."""

    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__(HOST, timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect; raises NoDaemon when nobody listens."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            self.sock.close()
            raise NoDaemon("no daemon runs for this folder: start one with `syncd run`") from None


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
    connection = _UnixConnection(path, timeout)
    try:
        encoded = None if body is None else json.dumps(body).encode()
        connection.request(method, target, encoded, {"Content-Type": "application/json", "Connection": "close"})
        response = connection.getresponse()
        data = response.read(MAX_REPLY + 1)
        if len(data) > MAX_REPLY:
            raise Corrupt("the daemon's answer is too long")
        reply = json.loads(data)
        if not isinstance(reply, dict):
            raise Corrupt("the daemon's answer makes no sense: it may be of another version; restart it")
        return response.status, reply
    except TimeoutError:
        raise Offline("the daemon does not answer: look at its log, or restart it") from None
    except (ConnectionError, http.client.HTTPException):
        raise NoDaemon("the daemon ended before it answered: look at its log") from None
    except ValueError:
        raise Corrupt("the daemon's answer is not JSON: it may be of another version; restart it") from None
    finally:
        connection.close()
