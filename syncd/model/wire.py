"""The hub's wire, shared by hub and client: requests and replies around the values of ``model.remote``, binary chunk
frames, fault codes, limits, and the checks neither side skips. Pure; sends and receives nothing.

A frame stream is a count (u32), then for each chunk its hash (32 bytes), length (u32) and data, big-endian.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from struct import Struct as Packed
from typing import Final

import msgspec

from syncd.model.errors import Corrupt
from syncd.model.remote import (
    Content,
    Create,
    Delete,
    Edit,
    Moves,
    Mutation,
    Outcome,
    RemoteIdentity,
    RemoteNode,
    Step,
    VersionInfo,
)

ID_BYTES: Final = 16
HASH_BYTES: Final = 32
MAX_TAG: Final = 64
MAX_NAME: Final = 4096
MAX_CURSOR: Final = 1024
MAX_DEVICE: Final = 64
MAX_INT: Final = (1 << 63) - 1

MAX_CHUNK: Final = 16 << 20
"""Largest chunk, and largest encoded manifest, in bytes."""

MAX_JSON: Final = 8 << 20
"""Largest JSON request, in bytes."""

MAX_REPLY: Final = 64 << 20
"""Largest JSON reply a client reads, in bytes."""

MAX_UPLOAD: Final = 32 << 20
"""Largest body of uploaded chunk frames, in bytes."""

MAX_BATCH: Final = 1_000
"""Most mutations, keys or node ids in one request."""

MAX_HASHES: Final = 10_000
"""Most hashes in one question for what is missing."""

MAX_FRAMES: Final = 1_000
"""Most chunks in one upload or fetch."""

MAX_PAGE: Final = 5_000
"""Most changes or nodes on one page."""

MAX_WAIT: Final = 55.0
"""Longest long poll, in seconds: below the minute after which middleboxes forget a silent connection."""

MAX_STEPS: Final = 10_000
"""Most nodes in one outcome: a place group's steps."""


class Fault(StrEnum):
    """Why a request was not answered as asked; the ``error`` of a fault reply."""

    NONSENSE = "nonsense"
    NOT_AUTHORISED = "not-authorised"
    REFUSED = "refused"
    NO_SUCH_PATH = "no-such-path"
    WRONG_METHOD = "wrong-method"
    TOO_SLOW = "too-slow"
    OUTDATED = "outdated"
    HISTORY_CHANGED = "history-changed"
    CURSOR_EXPIRED = "cursor-expired"
    TOO_LARGE = "too-large"
    BAD_RANGE = "bad-range"
    OTHER_REMOTE = "other-remote"
    CORRUPT = "corrupt"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"
    STOPPING = "stopping"
    NO_SPACE = "no-space"


STATUS: Final[dict[Fault, int]] = {
    Fault.NONSENSE: 400,
    Fault.NOT_AUTHORISED: 401,
    Fault.REFUSED: 403,
    Fault.NO_SUCH_PATH: 404,
    Fault.OUTDATED: 404,
    Fault.WRONG_METHOD: 405,
    Fault.TOO_SLOW: 408,
    Fault.HISTORY_CHANGED: 409,
    Fault.CURSOR_EXPIRED: 410,
    Fault.TOO_LARGE: 413,
    Fault.BAD_RANGE: 416,
    Fault.OTHER_REMOTE: 421,
    Fault.CORRUPT: 422,
    Fault.INTERNAL: 500,
    Fault.UNAVAILABLE: 503,
    Fault.STOPPING: 503,
    Fault.NO_SPACE: 507,
}
"""HTTP status of each fault."""


class FaultReply(msgspec.Struct, frozen=True):
    """What went wrong: a code for programs and one line for people."""

    error: Fault
    detail: str


class EnrollRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An invite's secret, and what the new device wants to be called.

    A device that was here before names the one it *replaces* (its id, hex) with a *proof* (`model.renewal`)."""

    secret: str
    device: str
    replaces: str = ""
    proof: bytes = b""


class Enrolled(msgspec.Struct, frozen=True):
    """A device's token, shown once, and who it is where."""

    token: str
    identity: RemoteIdentity

    def __repr__(self) -> str:  # a token never gets into a log by accident
        return f"Enrolled({self.identity})"


class WaitReply(msgspec.Struct, frozen=True):
    """Whether there may be changes; lossy: come and pull."""

    changed: bool


class CommitRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Mutations, applied in order and each answered by itself."""

    batch: tuple[Mutation, ...]


class CommitReply(msgspec.Struct, frozen=True):
    """An outcome for each mutation, in order."""

    outcomes: tuple[Outcome, ...]


class OutcomesRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Idempotency keys."""

    keys: tuple[bytes, ...]


class OutcomesReply(msgspec.Struct, frozen=True):
    """An outcome for each key, in order; null for a key never seen."""

    outcomes: tuple[Outcome | None, ...]


class LookRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Node ids."""

    node_ids: tuple[bytes, ...]


class LookReply(msgspec.Struct, frozen=True):
    """A node or tombstone for each id, in order; null for an id never seen."""

    nodes: tuple[RemoteNode | None, ...]


class HistoryReply(msgspec.Struct, frozen=True):
    """Versions, newest first."""

    versions: tuple[VersionInfo, ...]


class HashesRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Chunk (or manifest) hashes."""

    hashes: tuple[bytes, ...]


class MissingReply(msgspec.Struct, frozen=True):
    """Those of the asked hashes that are not there."""

    missing: tuple[bytes, ...]


class StoredReply(msgspec.Struct, frozen=True):
    """How many chunks are now durable."""

    stored: int


class HealthReply(msgspec.Struct, frozen=True):
    """The hub answers."""

    status: str


# --- checks: sizes and forms that the types alone do not say --------------------------------------------------------


def check_hashes(hashes: Sequence[bytes], most: int) -> None:
    """Raise Corrupt unless these are at most *most* hashes."""
    _check(len(hashes) <= most, f"more than {most} hashes")
    _check(all(len(item) == HASH_BYTES for item in hashes), "a hash that is not 32 bytes")


def check_ids(ids: Sequence[bytes], most: int) -> None:
    """Raise Corrupt unless these are at most *most* ids or keys."""
    _check(len(ids) <= most, f"more than {most} ids")
    _check(all(len(item) == ID_BYTES for item in ids), "an id that is not 16 bytes")


def check_node(node: RemoteNode) -> None:
    """Raise Corrupt unless *node* is well formed. Its name is judged by who uses it (P10)."""
    check_ids((node.node_id, node.parent_id), 2)
    _check(len(node.name) <= MAX_NAME, "an endless name")
    _check(0 <= node.version.position <= MAX_INT and len(node.version.tag) <= MAX_TAG, "an impossible version")
    _check(abs(node.mtime_ns) <= MAX_INT, "an impossible mtime")
    _check_content(node.content)


def check_outcome(outcome: Outcome) -> None:
    """Raise Corrupt unless *outcome* is well formed."""
    check_ids((outcome.key,), 1)
    check_hashes(outcome.missing, MAX_INT)
    _check(len(outcome.nodes) <= MAX_STEPS, "an endless outcome")
    for node in outcome.nodes:
        check_node(node)


def check_mutation(mutation: Mutation) -> None:
    """Raise Corrupt unless *mutation* is well formed. Names and rules are the hub's to judge, mutation by mutation."""
    check_ids((mutation.key,), 1)
    match mutation:
        case Moves(steps=steps):
            _check(0 < len(steps) <= MAX_STEPS, "a place group without steps, or with too many")
            for step in steps:
                _check_step(step)
        case Create():
            check_ids((mutation.node_id, mutation.parent_id), 2)
            _check(len(mutation.name) <= MAX_NAME, "an endless name")
            _check(abs(mutation.mtime_ns) <= MAX_INT, "an impossible mtime")
            _check_content(mutation.content)
        case Edit():
            check_ids((mutation.node_id,), 1)
            _check(abs(mutation.mtime_ns) <= MAX_INT, "an impossible mtime")
            _check_content(mutation.content)
        case Delete():
            check_ids((mutation.node_id,), 1)


def _check_step(step: Step) -> None:
    check_ids((step.node_id, step.parent_id), 2)
    _check(len(step.name) <= MAX_NAME, "an endless name")


def _check_content(content: Content | None) -> None:
    if content is not None:
        check_hashes((content.hash,), 1)
        _check(0 <= content.size <= MAX_INT, "an impossible size")
        if content.manifest is not None:
            check_hashes((content.manifest,), 1)


def _check(fine: bool, fault: str) -> None:
    if not fine:
        raise Corrupt(fault)


# --- chunk frames ---------------------------------------------------------------------------------------------------

_COUNT: Final = Packed(">I")
_FRAME: Final = Packed(">32sI")
FRAME_HEAD: Final = _FRAME.size
_GONE: Final = 0xFFFFFFFF


def frames_start(count: int) -> bytes:
    """Return what begins a stream of *count* frames."""
    return _COUNT.pack(count)


def frame_head(chunk_hash: bytes, size: int) -> bytes:
    """Return what goes before a chunk's data."""
    return _FRAME.pack(chunk_hash, size)


def gone_frame(chunk_hash: bytes) -> bytes:
    """Return the frame that ends a stream early: this chunk is not there any more."""
    return _FRAME.pack(chunk_hash, _GONE)


def encode_frames(chunks: Sequence[tuple[bytes, bytes]]) -> Iterator[bytes]:
    """Yield the stream of *chunks*, without copying their data."""
    yield frames_start(len(chunks))
    for chunk_hash, data in chunks:
        yield frame_head(chunk_hash, len(data))
        yield data


class FrameReader:
    """Takes a frame stream apart as it arrives; holds at most one chunk that is not complete.

    Raises Corrupt for a count over *most*, a length over ``MAX_CHUNK``, or data after the last frame.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = bytearray()
        self._count: int | None = None
        self._seen = 0
        self._head: tuple[bytes, int] | None = None
        self.gone: bytes | None = None
        """The hash of the chunk whose absence ended the stream."""

    @property
    def complete(self) -> bool:
        """Whether the whole stream was seen."""
        return self.gone is not None or self._count == self._seen

    @property
    def partial(self) -> tuple[bytes, int, bytes] | None:
        """Hash, size and first bytes of the chunk that is not complete."""
        return (self._head[0], self._head[1], bytes(self._held)) if self._head else None

    def feed(self, data: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Take *data* and return the (hash, data) that are now complete, not verified."""
        self._held += data
        done: list[tuple[bytes, bytes]] = []
        if self._count is None:
            if len(self._held) < _COUNT.size:
                return done
            (self._count,) = _COUNT.unpack(self._take(_COUNT.size))
            _check(self._count <= self._most, f"more than {self._most} chunks at once")
        while not self.complete:
            if self._head is None:
                if len(self._held) < FRAME_HEAD:
                    return done
                chunk_hash, size = _FRAME.unpack(self._take(FRAME_HEAD))
                if size == _GONE:
                    self.gone = chunk_hash
                    break
                _check(size <= MAX_CHUNK, f"a chunk of {size} bytes")
                self._head = (chunk_hash, size)
            if len(self._held) < self._head[1]:
                return done
            done.append((self._head[0], self._take(self._head[1])))
            self._head = None
            self._seen += 1
        _check(not self._held, "data after the last chunk")
        return done

    def _take(self, size: int) -> bytes:
        taken = bytes(memoryview(self._held)[:size])
        del self._held[:size]
        return taken
