"""Chunks and manifests between this device and a hub: batches up, a verified stream down that survives cuts.

Owns how transfers are cut into requests and taken up again. Decides nothing about which chunks are needed.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Final, Protocol, TypeVar

import msgspec
from blake3 import blake3

from syncd.adapters.http_client import HttpClient, HttpStream
from syncd.adapters.hub_faults import raise_for
from syncd.adapters.hub_spread import FAST_STREAMS, MOST_BYTES, Spread
from syncd.model import wire
from syncd.model.errors import Corrupt, Offline, Outdated, Refused, SyncdError
from syncd.model.invite import HubAddress

_BLOCK: Final = 1 << 20
"""Frames go to the connection in blocks of about this size: a block costs calls on its way, a chunk does not."""

TRIES: Final = 3
"""How often a cut download is taken up again without having got any further."""

RESUME_BYTES: Final = 256 * 1024
"""From this much on, the first part of a cut chunk is kept and only the rest is asked for."""

SLOWEST: Final = 8 * 1024
"""Bytes a second below which a transfer counts as hanging."""

MUCH: Final = 4 * MOST_BYTES
"""Bytes from which on also a fast link gets several requests at a time."""

_HEAD_SECONDS: Final = 60.0
TOLD_SECONDS: Final = 1.0
"""How often it is told how fast a stream is."""

T = TypeVar("T")
Note = Callable[[int, float], None]


class Link(Protocol):
    """Authorised connections to one hub."""

    @property
    def address(self) -> HubAddress: ...
    @property
    def headers(self) -> list[tuple[str, str]]: ...
    def client(self, poll: bool = False) -> HttpClient: ...
    def ask(
        self, method: str, path: str, reply: type[T], body: bytes | None = None, poll: float | None = None
    ) -> T: ...


class Transfer:
    """The chunk half of ``HubRemote``. Any thread."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._up, self._down = Spread(), Spread(MOST_BYTES)  # a stream can be left, a request that is sent cannot
        self._mean = 0.0  # of the chunks that came down lately, in bytes

    def close(self) -> None:
        """Let go of what waits for a connection."""
        self._up.close()
        self._down.close()

    def missing(self, hashes: Sequence[bytes]) -> list[bytes]:
        """Return which of *hashes* the hub lacks, in the order asked."""
        lacking: list[bytes] = []
        for start in range(0, len(hashes), wire.MAX_HASHES):
            part = tuple(hashes[start : start + wire.MAX_HASHES])
            body = msgspec.json.encode(wire.HashesRequest(part))
            reply = self._link.ask("POST", "/v1/chunks/missing", wire.MissingReply, body)
            if not set(reply.missing) <= set(part):
                raise Corrupt("the hub's reply makes no sense: it lacks what it was not asked for")
            lacking.extend(reply.missing)
        return lacking

    def put_chunks(self, chunks: Iterable[tuple[bytes, bytes]]) -> None:
        """Store chunks, over as many connections as the link needs; on a fast one in as few requests as may be."""
        for _ in self._up.run(partial(self._put, part) for part in self._parts(chunks)):
            pass

    def _parts(self, chunks: Iterable[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield what one request takes, by what is known of the link when it begins."""
        part: list[tuple[bytes, bytes]] = []
        size = 0
        for chunk in chunks:
            if len(chunk[1]) > wire.MAX_CHUNK:
                raise Refused(f"a chunk of {len(chunk[1])} bytes is larger than a hub takes")
            if part and (size + len(chunk[1]) > self._up.pace.part_bytes or len(part) >= wire.MAX_FRAMES):
                yield part
                part, size = [], 0
            part.append(chunk)
            size += len(chunk[1])
        if part:
            yield part

    def _put(self, part: Sequence[tuple[bytes, bytes]]) -> tuple[int, None]:
        stored = self._send("POST", "/v1/chunks", _blocks(wire.encode_frames(part)))
        if stored != len(part):
            raise Corrupt("the hub's reply makes no sense: it stored another number of chunks than were sent")
        return sum(len(data) for _, data in part), None

    def put_manifest(self, manifest_hash: bytes, encoded: bytes) -> None:
        """Store an encoded manifest."""
        if len(encoded) > wire.MAX_CHUNK:
            raise Refused(f"a manifest of {len(encoded)} bytes is larger than a hub takes")
        self._send("PUT", f"/v1/manifests/{manifest_hash.hex()}", [encoded])

    def _send(self, method: str, path: str, body: Sequence[bytes]) -> int:
        seconds = _HEAD_SECONDS + sum(map(len, body)) / SLOWEST
        headers = [*self._link.headers, ("content-type", "application/octet-stream")]
        reply = self._link.client().request(
            method, path, headers, body, seconds=seconds, limit=65536, silence=_HEAD_SECONDS
        )
        if reply.status != 200:
            raise_for(self._link.address.url, reply.status, reply.headers, reply.body)
        try:
            return msgspec.json.decode(reply.body, type=wire.StoredReply).stored
        except (msgspec.DecodeError, UnicodeError) as error:
            raise Corrupt(f"the hub's reply makes no sense: {error}") from error

    def get_manifest(self, manifest_hash: bytes) -> bytes:
        """Return an encoded manifest, verified."""
        path = f"/v1/manifests/{manifest_hash.hex()}"
        reply = self._link.client().request(
            "GET", path, self._link.headers, seconds=_HEAD_SECONDS + wire.MAX_CHUNK / SLOWEST, limit=wire.MAX_CHUNK
        )
        if reply.status != 200:
            raise_for(self._link.address.url, reply.status, reply.headers, reply.body)
        return _verified(manifest_hash, reply.body)

    def get_chunks(self, hashes: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Yield verified chunks in the order asked: each as it comes, or on a far link over several connections."""
        at = 0
        while at < len(hashes):
            left = hashes[at:]
            for chunk in self._spread(left) if self._is_split(len(left)) else self._near(left):
                at += 1
                yield chunk

    def _is_split(self, count: int) -> bool:
        """Whether so many chunks are worth several requests: on a far link any, on a fast one much."""
        pace = self._down.pace
        if pace.streams > FAST_STREAMS or pace.part_bytes < MOST_BYTES:
            return True
        return pace.streams > 1 and count * self._mean >= MUCH

    def _near(self, hashes: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Yield chunks as they come, as long as one connection is fast enough."""
        with closing(self._fetch(hashes[: wire.MAX_FRAMES], self._down.note)) as stream:
            received = 0
            for number, chunk in enumerate(stream, 1):
                received += len(chunk[1])
                self._mean = received / number
                yield chunk
                if self._is_split(len(hashes) - number):
                    return

    def _spread(self, hashes: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        with closing(self._down.run(partial(self._whole, part) for part in self._asked(hashes))) as parts:
            for chunks, error in parts:
                yield from chunks
                if error is not None:
                    raise error
                if not self._is_split(len(hashes)):
                    return

    def _asked(self, hashes: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
        """Yield what one request asks for: a hash says nothing of a size, but chunks of late are much like others."""
        at = 0
        while at < len(hashes):
            number = int(self._down.pace.part_bytes / self._mean) if self._mean else 1
            part = hashes[at : at + min(max(number, 1), wire.MAX_FRAMES)]
            at += len(part)
            yield part

    def _whole(self, hashes: Sequence[bytes]) -> tuple[int, tuple[list[tuple[bytes, bytes]], SyncdError | None]]:
        """Fetch them all; what came before something went wrong is not asked for again."""
        chunks: list[tuple[bytes, bytes]] = []
        error: SyncdError | None = None
        try:
            chunks.extend(self._fetch(hashes))
        except SyncdError as failed:
            error = failed
        size = sum(len(data) for _, data in chunks)
        if chunks:
            self._mean = size / len(chunks)
        return size if error is None else 0, (chunks, error)

    def _fetch(self, hashes: Sequence[bytes], note: Note | None = None) -> Generator[tuple[bytes, bytes], None, None]:
        """Yield verified chunks, from one connection at a time; *note* is told how fast they came."""
        done, tries = 0, 0
        partial: tuple[int, bytes] | None = None
        while done < len(hashes):
            reader = wire.FrameReader(wire.MAX_FRAMES)
            try:
                if partial is not None:
                    # The rest of the chunk the cut went through; what was kept is verified with it.
                    size, kept = partial
                    partial = None
                    data = _verified(hashes[done], kept + self._range(hashes[done], len(kept), size))
                    done, tries = done + 1, 0
                    yield hashes[done - 1], data
                    continue
                for chunk_hash, data in self._stream(hashes[done:], reader, note):
                    if chunk_hash != hashes[done]:
                        raise Corrupt("the hub's reply makes no sense: another chunk than asked for")
                    done, tries = done + 1, 0
                    yield chunk_hash, _verified(chunk_hash, data)
            except Offline as error:
                tries += 1
                if tries >= TRIES or error.retry_after is not None:
                    raise
                partial = _kept(reader, hashes[done]) if done < len(hashes) else None

    def _stream(
        self, hashes: Sequence[bytes], reader: wire.FrameReader, note: Note | None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield one stream's chunks, not verified; raises Offline when it is cut."""
        body = msgspec.json.encode(wire.HashesRequest(tuple(hashes)))
        headers = [*self._link.headers, ("content-type", "application/json")]
        client = self._link.client()
        with client.open("POST", "/v1/chunks/fetch", headers, [body], seconds=_HEAD_SECONDS) as stream:
            if stream.status != 200:
                raise_for(self._link.address.url, stream.status, stream.headers, stream.rest(65536, _HEAD_SECONDS))
            seen, received, spent = 0, 0, 0.0
            told = 0, 0.0
            while True:
                # Only time spent waiting for the hub counts, not what the caller does with the chunks.
                asked = time.monotonic()
                data = stream.piece(_HEAD_SECONDS + received / SLOWEST - spent)
                spent += time.monotonic() - asked
                received += len(data)
                if note is not None and (spent - told[1] > TOLD_SECONDS or not data):
                    note(received - told[0], spent - told[1])
                    told = received, spent
                if not data:
                    break
                for chunk in reader.feed(data):
                    seen += 1
                    yield chunk
            if reader.gone is not None:
                raise Outdated(f"the hub no longer has chunk {reader.gone.hex()}")
            if not reader.complete or seen < len(hashes):
                raise Offline("the hub ended a download early")

    def _range(self, chunk_hash: bytes, start: int, size: int) -> bytes:
        """Return a chunk's bytes from *start* on."""
        headers = [*self._link.headers, ("range", f"bytes={start}-")]
        path = f"/v1/chunks/{chunk_hash.hex()}"
        with self._link.client().open("GET", path, headers, seconds=_HEAD_SECONDS) as stream:
            if stream.status != 206:
                _no_range(self._link.address.url, stream)
            if stream.headers.get("content-range") != f"bytes {start}-{size - 1}/{size}":
                raise Corrupt("the hub's reply makes no sense: another range than asked for")
            return stream.rest(size - start, _HEAD_SECONDS + (size - start) / SLOWEST)


def _blocks(parts: Iterable[bytes]) -> list[bytes]:
    """Return *parts*, joined to blocks."""
    blocks: list[bytes] = []
    held: list[bytes] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= _BLOCK:
            blocks.append(b"".join(held))
            held, size = [], 0
    return [*blocks, b"".join(held)] if held else blocks


def _no_range(url: str, stream: HttpStream) -> None:
    if stream.status == 200:
        raise Corrupt("the hub's reply makes no sense: the whole chunk for a range of it")
    raise_for(url, stream.status, stream.headers, stream.rest(65536, _HEAD_SECONDS))


def _kept(reader: wire.FrameReader, chunk_hash: bytes) -> tuple[int, bytes] | None:
    """Return (size, first bytes) of the chunk a cut went through, where keeping them is worth a request."""
    partial = reader.partial
    if partial is None or partial[0] != chunk_hash or len(partial[2]) < RESUME_BYTES:
        return None
    return partial[1], partial[2]


def _verified(expected: bytes, data: bytes) -> bytes:
    if blake3(data).digest() != expected:
        raise Corrupt(f"the hub sent content that does not match its hash {expected.hex()}")
    return data
