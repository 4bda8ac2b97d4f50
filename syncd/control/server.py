"""The control socket's server: HTTP/1.1 on a Unix socket, in a thread of its own, for this user alone.

Owns the socket file, who may speak, and the wire's shape. Knows the engine only as "read the live status" and "post a
message"; decides nothing and never touches the database.
"""

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn._types import ASGI3Application

import syncd
from syncd.control.openapi import DESCRIPTION
from syncd.model.errors import Refused
from syncd.model.observation import Ask, Reply, Verb, Withdraw
from syncd.model.status import LiveStatus
from syncd.quiet import QuietProtocol, QuietServer

MAX_BODY: Final = 256 * 1024
START_SECONDS: Final = 10.0


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /v1/ask."""

    verb: Verb
    arguments: dict[str, str] = {}


def peer_uid(sock: Any) -> int | None:
    """Return the user id of the process at the other end of a Unix socket, or None where it cannot be told."""
    uid: int | None = None
    if sys.platform == "linux":
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        uid = struct.unpack("3i", credentials)[1]
    if sys.platform == "darwin":
        local_peercred, level = 0x001, 0  # <sys/un.h>; struct xucred begins with version and uid
        uid = struct.unpack_from("II", sock.getsockopt(level, local_peercred, 76))[1]
    return uid


class _OwnUserOnly(QuietProtocol):
    """Drops connections of other users at once, whatever the permissions of the socket's folder became."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if peer_uid(transport.get_extra_info("socket")) not in (os.geteuid(), 0, None):
            transport.abort()


class ControlServer:
    """Answers questions about one root until stopped.

    *live* returns the current status from any thread; *post* puts a message into the engine's inbox from any thread.
    """

    def __init__(
        self,
        path: Path,
        root: str,
        live: Callable[[], LiveStatus],
        post: Callable[[Ask | Withdraw], None],
    ) -> None:
        self._path, self._root, self._live, self._post = path, root, live, post
        self._tickets = count(1)
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._ready = threading.Event()
        self._server = QuietServer(
            cast(ASGI3Application, self._application()),
            grace=1,
            keep_alive=5,
            connections=64,
            on_ready=self._ready.set,
            on_stopping=self._dismiss,
        )
        self._server.config.http = _OwnUserOnly
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._sock: socket.socket | None = None

    def start(self) -> None:
        """Listen; returns once questions are answered. The caller holds the root's lock, so a socket file is stale."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.bind(str(self._path))  # its folder is 0700, so nobody else gets in before the next line
        self._path.chmod(0o600)
        self._sock.listen(64)
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            raise Refused("the control socket does not start: look at the log; is the machine out of memory?")

    def stop(self) -> None:
        """Answer those who wait, stop listening and remove the socket file."""
        self._server.stop()
        if self._thread.ident is not None:
            self._thread.join(5.0)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    def reply(self, reply: Reply) -> None:
        """Hand the engine's answer to whoever asked; from any thread. Those who went away are forgotten."""
        loop = self._server.loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop ended meanwhile: nobody waits any more
                loop.call_soon_threadsafe(self._resolve, reply)

    # --- on the loop ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        assert self._sock is not None
        self._server.serve_forever([self._sock])

    def _application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/status", self._status, methods=["GET"]),
                Route("/v1/ask", self._ask, methods=["POST"]),
                Route("/openapi.json", self._openapi, methods=["GET"]),
            ]
        )

    def _resolve(self, reply: Reply) -> None:
        future = self._waiting.pop(reply.ticket, None)
        if future is not None and not future.done():
            future.set_result(reply)

    def _dismiss(self) -> None:
        for ticket in list(self._waiting):
            self._resolve(Reply(ticket, 1, "the daemon is stopping: ask again once it runs"))

    async def _status(self, _: Request) -> Response:
        live = msgspec.to_builtins(self._live())
        return _json({"pid": os.getpid(), "version": syncd.__version__, "root": self._root, "live": live})

    async def _openapi(self, _: Request) -> Response:
        return JSONResponse(DESCRIPTION)

    async def _ask(self, request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY:
                return _json({"detail": "the request is too long"}, 400)
        try:
            question = msgspec.json.decode(body, type=Question)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _json({"detail": f"not a question this daemon understands: {error}"}, 400)
        reply = await self._answer(question, request)
        if reply is None:
            return Response(status_code=204)  # nobody is there to read it
        return _json({"code": reply.code, "text": reply.text, "more": [list(pair) for pair in reply.more]})

    async def _answer(self, question: Question, request: Request) -> Reply | None:
        """Post the question and wait for the reply; withdraw it when the person goes away first."""
        ticket = next(self._tickets)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = future
        gone: asyncio.Future[None] = asyncio.ensure_future(_disconnected(request))
        self._post(Ask(ticket, question.verb, tuple(sorted(question.arguments.items()))))
        try:
            both: list[asyncio.Future[Any]] = [future, gone]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting.pop(ticket, None)
            gone.cancel()
            if not future.done():
                self._post(Withdraw(ticket))
        return future.result() if future.done() else None


async def _disconnected(request: Request) -> None:
    """Return once the client has closed its end."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(value: object, status: int = 200) -> Response:
    """Return *value* as JSON in ASCII: names that are not UTF-8 cross as escapes."""
    return Response(json.dumps(value), status, media_type="application/json")
