"""Chunks and manifests between this device and a hub: batches up, a verified stream down that survives cuts.

Owns how transfers are cut into requests and taken up again. Decides nothing about which chunks are needed.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol, TypeVar

import msgspec
from blake3 import blake3

from syncd.adapters.http_client import HttpClient, HttpStream
from syncd.adapters.hub_faults import raise_for
from syncd.model import wire
from syncd.model.errors import Corrupt, Offline, Outdated, Refused
from syncd.model.invite import HubAddress

PUT_BYTES: Final = 16 << 20
"""Chunks are sent in requests of about this size; the hub stores a part of it while the next one arrives."""

_BLOCK: Final = 1 << 20
"""Frames go to the connection in blocks of about this size: a block costs calls on its way, a chunk does not."""

TRIES: Final = 3
"""How often a cut download is taken up again without having got any further."""

RESUME_BYTES: Final = 256 * 1024
"""From this much on, the first part of a cut chunk is kept and only the rest is asked for."""

SLOWEST: Final = 8 * 1024
"""Bytes a second below which a transfer counts as hanging."""

_HEAD_SECONDS: Final = 60.0

T = TypeVar("T")


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

    def put_chunks(self, chunks: Sequence[tuple[bytes, bytes]]) -> None:
        """Store chunks in as few requests as the limits allow."""
        part: list[tuple[bytes, bytes]] = []
        size = 0
        for chunk in chunks:
            if len(chunk[1]) > wire.MAX_CHUNK:
                raise Refused(f"a chunk of {len(chunk[1])} bytes is larger than a hub takes")
            if part and (size + len(chunk[1]) > PUT_BYTES or len(part) >= wire.MAX_FRAMES):
                self._put(part)
                part, size = [], 0
            part.append(chunk)
            size += len(chunk[1])
        if part:
            self._put(part)

    def _put(self, part: Sequence[tuple[bytes, bytes]]) -> None:
        stored = self._send("POST", "/v1/chunks", _blocks(wire.encode_frames(part)))
        if stored != len(part):
            raise Corrupt("the hub's reply makes no sense: it stored another number of chunks than were sent")

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
        """Yield verified chunks in the order asked."""
        for start in range(0, len(hashes), wire.MAX_FRAMES):
            yield from self._fetch(hashes[start : start + wire.MAX_FRAMES])

    def _fetch(self, hashes: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
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
                for chunk_hash, data in self._stream(hashes[done:], reader):
                    if chunk_hash != hashes[done]:
                        raise Corrupt("the hub's reply makes no sense: another chunk than asked for")
                    done, tries = done + 1, 0
                    yield chunk_hash, _verified(chunk_hash, data)
            except Offline as error:
                tries += 1
                if tries >= TRIES or error.retry_after is not None:
                    raise
                partial = _kept(reader, hashes[done]) if done < len(hashes) else None

    def _stream(self, hashes: Sequence[bytes], reader: wire.FrameReader) -> Iterator[tuple[bytes, bytes]]:
        """Yield one stream's chunks, not verified; raises Offline when it is cut."""
        body = msgspec.json.encode(wire.HashesRequest(tuple(hashes)))
        headers = [*self._link.headers, ("content-type", "application/json")]
        client = self._link.client()
        with client.open("POST", "/v1/chunks/fetch", headers, [body], seconds=_HEAD_SECONDS) as stream:
            if stream.status != 200:
                raise_for(self._link.address.url, stream.status, stream.headers, stream.rest(65536, _HEAD_SECONDS))
            seen, received, spent = 0, 0, 0.0
            while True:
                # Only time spent waiting for the hub counts, not what the caller does with the chunks.
                asked = time.monotonic()
                data = stream.piece(_HEAD_SECONDS + received / SLOWEST - spent)
                spent += time.monotonic() - asked
                received += len(data)
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
