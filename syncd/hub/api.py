"""The hub over HTTP: what each request of the JSON API does. Owns authorisation, stopping, and the long poll.

Every rule of spaces, journal and chunks is the hub core's; here are only bounds, threads and status codes. Chunk
bodies are in api_chunks, the table of paths in api_routes.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from syncd.hub.api_io import Declined, declined_by, fault_reply, hex_path, json_reply, number_query, read_json
from syncd.hub.api_io import text_query as text
from syncd.hub.api_lanes import Lanes
from syncd.model import wire
from syncd.model.errors import Corrupt
from syncd.model.remote import RemoteIdentity
from syncd.model.renewal import Renewal
from syncd.model.wire import Fault
from syncd.ports import Remote

MAX_TOKEN: Final = 512

encode = msgspec.json.encode


class EnrolledDevice(Protocol):
    """What the core says of a device it has just enrolled."""

    @property
    def token(self) -> str: ...
    @property
    def device_id(self) -> str: ...
    @property
    def hub_id(self) -> str: ...
    @property
    def space_id(self) -> str: ...
    @property
    def space(self) -> str: ...
    @property
    def device(self) -> str: ...


class Incoming(Protocol):
    """Chunks of one upload: written as they come, durable and recorded together."""

    def add(self, chunks: Sequence[tuple[bytes, bytes]]) -> None: ...
    def finish(self) -> None: ...
    def close(self) -> None: ...


class HubSession(Remote, Protocol):
    """A device at work: the ``Remote`` protocol, and what uploads and a long poll need."""

    def receiving(self) -> Incoming: ...

    @property
    def space_id(self) -> str: ...
    def changed(self, cursor: str) -> bool: ...


class HubCore(Protocol):
    """What the API needs of the hub core; any thread may call it."""

    def enroll(self, secret: str, device_name: str, renewal: Renewal | None = None) -> EnrolledDevice: ...
    def authenticate(self, token: str) -> HubSession: ...
    def subscribe(self, space_id: str, callback: Callable[[], None]) -> Callable[[], None]: ...


Handler = Callable[[Request], Awaitable[Response]]


class HubApi:
    """The JSON half of the API, and what both halves share."""

    def __init__(self, core: HubCore, lanes: Lanes) -> None:
        self.core = core
        self.lanes = lanes
        self._stopping = asyncio.Event()
        self._enroll = msgspec.json.Decoder(wire.EnrollRequest)
        self._commit = msgspec.json.Decoder(wire.CommitRequest)
        self._outcomes = msgspec.json.Decoder(wire.OutcomesRequest)
        self._look = msgspec.json.Decoder(wire.LookRequest)
        self._hashes = msgspec.json.Decoder(wire.HashesRequest)

    def begin_stop(self) -> None:
        """Answer those who wait, and whoever comes from now on. On the loop's thread."""
        self._stopping.set()

    def guarded(self, handler: Handler) -> Handler:
        """Return *handler* with every error turned into a fault reply."""

        async def guard(request: Request) -> Response:
            try:
                self.refuse_when_stopping()
                return await handler(request)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody is there to read it
            except asyncio.CancelledError:  # the time for a graceful end is over; the task ends with this reply
                return fault_reply(_stopping())
            except Exception as error:  # noqa: BLE001  the client gets one line, the log the rest
                return fault_reply(declined_by(error))

        return guard

    def refuse_when_stopping(self) -> None:
        """Raise the fault that sends a client away while the hub stops."""
        if self._stopping.is_set():
            raise _stopping()

    async def session(self, request: Request) -> HubSession:
        """Return the session of the device whose token the request carries."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN:
            raise Declined(Fault.NOT_AUTHORISED, "this needs a device token: enroll with an invite")
        return await self.lanes.read(lambda: self.core.authenticate(token))

    async def hashes(self, request: Request, most: int) -> tuple[bytes, ...]:
        """Return the hashes a request lists."""
        asked = await read_json(request, self._hashes)
        with sensible():
            wire.check_hashes(asked.hashes, most)
        return asked.hashes

    # --- handlers ---------------------------------------------------------------------------------------------------

    async def health(self, _request: Request) -> Response:
        """Answer without touching the database."""
        return json_reply(encode(wire.HealthReply("ok")))

    async def enroll(self, request: Request) -> Response:
        """Make a device of who holds an invite's secret."""
        asked = await read_json(request, self._enroll, 64 * 1024)
        if not asked.device or len(asked.device) > wire.MAX_DEVICE or len(asked.secret) > MAX_TOKEN:
            raise Declined(Fault.NONSENSE, f"a device needs a name of at most {wire.MAX_DEVICE} characters")
        renewal = Renewal(asked.replaces, asked.proof) if asked.replaces else None
        device = await self.lanes.write(lambda: self.core.enroll(asked.secret, asked.device, renewal))
        identity = RemoteIdentity(device.hub_id, device.space_id, device.space, device.device_id, device.device)
        return json_reply(encode(wire.Enrolled(device.token, identity)))

    async def identify(self, request: Request) -> Response:
        """Say who answers, and as whom."""
        session = await self.session(request)
        return json_reply(await self.lanes.read(lambda: encode(session.identify())))

    async def changes(self, request: Request) -> Response:
        """Give a page of the journal after a cursor."""
        session = await self.session(request)
        cursor, limit = _cursor(request), int(number_query(request, "limit", 500, 1, wire.MAX_PAGE))
        return json_reply(await self.lanes.read(lambda: encode(session.changes(cursor, limit))))

    async def listing(self, request: Request) -> Response:
        """Give a page of everything alive."""
        session = await self.session(request)
        page, limit = text(request, "page", wire.MAX_CURSOR), int(number_query(request, "limit", 500, 1, wire.MAX_PAGE))
        return json_reply(await self.lanes.read(lambda: encode(session.listing(page, limit))))

    async def commit(self, request: Request) -> Response:
        """Apply mutations."""
        session = await self.session(request)
        asked = await read_json(request, self._commit)
        with sensible():
            if len(asked.batch) > wire.MAX_BATCH:
                raise Corrupt(f"more than {wire.MAX_BATCH} mutations in one batch")
            for mutation in asked.batch:
                wire.check_mutation(mutation)
        return json_reply(await self.lanes.write(lambda: encode(wire.CommitReply(tuple(session.commit(asked.batch))))))

    async def outcomes(self, request: Request) -> Response:
        """Tell how mutations ended."""
        session = await self.session(request)
        asked = await read_json(request, self._outcomes)
        with sensible():
            wire.check_ids(asked.keys, wire.MAX_BATCH)
        return json_reply(
            await self.lanes.read(lambda: encode(wire.OutcomesReply(tuple(session.outcomes(asked.keys)))))
        )

    async def look(self, request: Request) -> Response:
        """Tell how nodes are now."""
        session = await self.session(request)
        asked = await read_json(request, self._look)
        with sensible():
            wire.check_ids(asked.node_ids, wire.MAX_BATCH)
        return json_reply(await self.lanes.read(lambda: encode(wire.LookReply(tuple(session.look(asked.node_ids))))))

    async def history(self, request: Request) -> Response:
        """List the versions of a node."""
        session = await self.session(request)
        node_id = hex_path(request, "node_id", wire.ID_BYTES)
        return json_reply(await self.lanes.read(lambda: encode(wire.HistoryReply(tuple(session.history(node_id))))))

    async def wait(self, request: Request) -> Response:
        """Answer when there may be changes after the cursor, or after the time asked for. No thread waits."""
        session = await self.session(request)
        cursor, seconds = _cursor(request), number_query(request, "seconds", wire.MAX_WAIT, 0, wire.MAX_WAIT)
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop ended: nobody waits any more
                loop.call_soon_threadsafe(woken.set)

        # Subscribe first, then look: what is committed in between wakes us.
        unsubscribe = self.core.subscribe(session.space_id, wake)
        try:
            changed = await self.lanes.read(lambda: session.changed(cursor))
            if not changed and seconds > 0:
                changed = await self._rest(request, woken, seconds)
        finally:
            unsubscribe()
        self.refuse_when_stopping()
        return json_reply(encode(wire.WaitReply(changed)))

    async def _rest(self, request: Request, woken: asyncio.Event, seconds: float) -> bool:
        """Sleep until woken, stopping, the client has gone, or *seconds* are over; return whether woken."""
        tasks = [
            asyncio.ensure_future(woken.wait()),
            asyncio.ensure_future(self._stopping.wait()),
            asyncio.ensure_future(_gone(request)),
        ]
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return woken.is_set()


@contextlib.contextmanager
def sensible() -> Iterator[None]:
    """Turn a failed check of a request into the fault *nonsense*."""
    try:
        yield
    except Corrupt as error:
        raise Declined(Fault.NONSENSE, f"the request makes no sense: {error}") from None


async def _gone(request: Request) -> None:
    """Return when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _stopping() -> Declined:
    return Declined(Fault.STOPPING, "the hub is stopping; try again shortly", 2)


def _cursor(request: Request) -> str:
    cursor = text(request, "cursor", wire.MAX_CURSOR)
    if not cursor:
        raise Declined(Fault.NONSENSE, "this needs a cursor: it comes with every page")
    return cursor


async def no_such_path(_request: Request, error: Exception) -> Response:
    """Answer what the router declines."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    if status == 405:
        return fault_reply(Declined(Fault.WRONG_METHOD, "this path takes other methods: see /openapi.json"))
    return fault_reply(Declined(Fault.NO_SUCH_PATH, "there is no such path: see /openapi.json"))


async def failed(_request: Request, error: Exception) -> Response:
    """Answer what nothing else caught."""
    return fault_reply(declined_by(error))


def application(routes: list[object]) -> Starlette:
    """Return the ASGI application of *routes*."""
    return Starlette(
        routes=routes,  # type: ignore[arg-type]
        exception_handlers={404: no_such_path, 405: no_such_path, Exception: failed},
    )
