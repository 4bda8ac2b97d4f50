"""What a hub's refusal means to the daemon. Owns the way from status and fault code to the error tree; raises only."""

import math
from email.utils import parsedate_to_datetime
from time import time
from typing import Final, NoReturn

import msgspec

from syncd.model.errors import (
    Corrupt,
    CursorExpired,
    HistoryChanged,
    NotAuthorised,
    Offline,
    OtherRemote,
    Outdated,
    Refused,
    Transient,
)
from syncd.model.path import shown
from syncd.model.wire import STATUS, Fault, FaultReply

MAX_WISH: Final = 3600.0
"""Longest wait a server can ask for, in seconds."""

_DECODER: Final = msgspec.json.Decoder(FaultReply)


def raise_for(url: str, status: int, headers: dict[str, str], body: bytes) -> NoReturn:
    """Raise what a reply that is not 200 means.

    An unavailable hub is Offline: whatever stands between may have lost what was asked after it was done."""
    try:
        reply = _DECODER.decode(body) if len(body) <= 65536 else None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        reply = None
    if reply is not None and STATUS[reply.error] == status:
        _raise_fault(reply.error, shown(reply.detail)[:300], wish(headers))
    if status == 401:
        raise NotAuthorised(f"{url} does not accept this device; tie the folder again with a new invite: syncd init")
    if status == 429 or status >= 500:
        why = "it is overloaded, or being restarted" if status in (429, 502, 503, 504) else "look at its log"
        raise Offline(f"{url} is not available now (HTTP {status}): {why}", wish(headers))
    what = "sends us elsewhere" if 300 <= status < 400 else "answers"
    raise Corrupt(f"{url} {what} as no hub does (HTTP {status}): check the address")


def _raise_fault(fault: Fault, detail: str, wait: float | None) -> NoReturn:
    match fault:
        case Fault.NOT_AUTHORISED:
            raise NotAuthorised(detail)
        case Fault.HISTORY_CHANGED:
            raise HistoryChanged(detail)
        case Fault.CURSOR_EXPIRED:
            raise CursorExpired(detail)
        case Fault.OTHER_REMOTE:
            raise OtherRemote(detail)
        case Fault.OUTDATED:
            raise Outdated(detail)
        case Fault.CORRUPT:
            raise Corrupt(detail)
        case Fault.NO_SPACE:
            raise Transient(detail, wait)  # the hub's disk, not ours: NoSpace would stop downloads
        case Fault.TOO_SLOW | Fault.INTERNAL | Fault.UNAVAILABLE | Fault.STOPPING:
            raise Offline(detail, wait)
        case _:
            raise Refused(f"the hub declined: {detail}")


def wish(headers: dict[str, str]) -> float | None:
    """Return how long the server asks to be left alone, in seconds, bounded; None when it does not say."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), MAX_WISH) if math.isfinite(seconds) else None
