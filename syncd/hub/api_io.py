"""How the hub's API takes requests and gives replies: bounded bodies, strict decoding, faults as one line of JSON.

Owns every limit that is enforced while reading. Knows nothing of what a request means.
"""

import asyncio
import logging
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from syncd.model import wire
from syncd.model.errors import (
    Corrupt,
    CursorExpired,
    HistoryChanged,
    NoSpace,
    NotAuthorised,
    OtherRemote,
    Outdated,
    Refused,
    SyncdError,
    Transient,
    Usage,
)
from syncd.model.path import shown
from syncd.model.wire import Fault

log = logging.getLogger("syncd.hub")

PIECE_SECONDS: Final = 30.0
"""How long a client may leave the next piece of a body, or room for a reply, waiting."""

SLOWEST: Final = 4096
"""Bytes a second below which a body is not worth a connection."""

T = TypeVar("T")


class Declined(Exception):
    """A request that is answered with a fault."""

    def __init__(self, fault: Fault, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.fault, self.detail, self.retry_after = fault, detail, retry_after


def json_reply(encoded: bytes, status: int = 200) -> Response:
    """Return a reply of encoded JSON."""
    return Response(encoded, status, media_type="application/json")


def fault_reply(declined: Declined) -> Response:
    """Return the reply for *declined*."""
    headers = {"content-type": "application/json"}
    if declined.retry_after is not None:
        headers["retry-after"] = str(max(1, round(declined.retry_after)))
    if declined.fault is Fault.NOT_AUTHORISED:
        headers["www-authenticate"] = "Bearer"
    line = shown(declined.detail)[:500]
    return Response(
        msgspec.json.encode(wire.FaultReply(declined.fault, line)), wire.STATUS[declined.fault], headers=headers
    )


def declined_by(error: Exception) -> Declined:
    """Return how *error* is told to the client. What is not meant for it stays in the log: never a traceback."""
    detail = str(error)
    match error:
        case Declined():
            return error
        case NotAuthorised():
            return Declined(Fault.NOT_AUTHORISED, detail)
        case OtherRemote():
            return Declined(Fault.OTHER_REMOTE, detail)
        case Corrupt():
            return Declined(Fault.CORRUPT, detail)
        case Refused():
            return Declined(Fault.REFUSED, detail)
        case CursorExpired():
            return Declined(Fault.CURSOR_EXPIRED, detail)
        case HistoryChanged():
            return Declined(Fault.HISTORY_CHANGED, detail)
        case Outdated():
            return Declined(Fault.OUTDATED, detail)
        case NoSpace():
            return Declined(Fault.NO_SPACE, detail, error.retry_after or 60)
        case Transient():
            return Declined(Fault.UNAVAILABLE, detail, error.retry_after or 5)
        case Usage():
            return Declined(Fault.NONSENSE, detail)
        case SyncdError():
            return Declined(Fault.REFUSED, detail)
        case _:
            log.error("a request failed inside the hub", exc_info=error)
            return Declined(Fault.INTERNAL, "the hub failed inside: its log says more", 30)


class Body:
    """A request's body, read piece by piece: never more than *limit* bytes, whatever its head promised."""

    def __init__(self, request: Request, limit: int) -> None:
        self._request, self._limit = request, limit
        declared = request.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared) > limit:
            raise self._too_large()
        self._pieces = request.stream()
        self._size = 0
        loop = asyncio.get_running_loop()
        self._ends = loop.time() + PIECE_SECONDS + limit / SLOWEST

    async def piece(self) -> bytes | None:
        """Return the next bytes, or None at the end."""
        try:
            async with asyncio.timeout_at(min(self._ends, asyncio.get_running_loop().time() + PIECE_SECONDS)):
                data = await anext(self._pieces, None)
        except TimeoutError:
            raise Declined(Fault.TOO_SLOW, "the request's body came too slowly") from None
        self._size += len(data or b"")
        if self._size > self._limit:
            raise self._too_large()
        return data

    async def whole(self) -> bytes:
        """Return all of it."""
        held = bytearray()
        while (data := await self.piece()) is not None:
            held += data
        return bytes(held)

    async def drain(self) -> None:
        """Take the rest in, and drop it."""
        while await self.piece() is not None:
            pass

    def _too_large(self) -> Declined:
        return Declined(Fault.TOO_LARGE, f"the request is larger than {self._limit} bytes")


async def read_json(request: Request, decoder: msgspec.json.Decoder[T], limit: int = wire.MAX_JSON) -> T:
    """Return the request's JSON, strictly of the decoder's type."""
    data = await Body(request, limit).whole()
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Declined(Fault.NONSENSE, f"the request makes no sense: {error}") from None


def text_query(request: Request, name: str, most: int) -> str | None:
    """Return a query parameter, or None; at most *most* characters."""
    value = request.query_params.get(name)
    if value is not None and len(value) > most:
        raise Declined(Fault.NONSENSE, f"{name} is too long")
    return value


def number_query(request: Request, name: str, default: float, low: float, high: float) -> float:
    """Return a numeric query parameter, brought into [low, high]."""
    text = text_query(request, name, 32)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        raise Declined(Fault.NONSENSE, f"{name} is not a number") from None
    if value != value:  # NaN compares with nothing
        raise Declined(Fault.NONSENSE, f"{name} is not a number")
    return min(max(value, low), high)


def hex_path(request: Request, name: str, size: int) -> bytes:
    """Return a path parameter of *size* bytes in hex."""
    try:
        value = bytes.fromhex(request.path_params[name])
    except ValueError:
        value = b""
    if len(value) != size:
        raise Declined(Fault.NONSENSE, f"{name} is not {size} bytes in hex")
    return value
