"""Chunks and manifests over HTTP: frames in and out with bounded memory, and ranged reads to resume one chunk.

Owns how many transfers run at a time and what each may hold. Verification and durability are the hub core's.
"""

import asyncio
import re
import threading
from collections.abc import Iterator
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from syncd.hub.api import HubApi, HubSession, Incoming, sensible
from syncd.hub.api_io import PIECE_SECONDS, Body, Declined, declined_by, fault_reply, hex_path, json_reply, log
from syncd.model import wire
from syncd.model.errors import Outdated, SyncdError
from syncd.model.wire import Fault
from syncd.ports import Remote

STORE_BYTES: Final = 2 << 20
"""Uploaded chunks are written in groups of about this size, while the next group arrives."""

SEND_BYTES: Final = 1 << 20
"""Chunks are read ahead of the network by about this much."""

TRANSFERS: Final = 8
"""Uploads, and downloads, that run at a time; others wait for their turn. Bounds the hub's memory."""

_RANGE: Final = re.compile(r"bytes=(\d{1,12})?-(\d{1,12})?")


class ChunkApi:
    """The binary half of the API."""

    def __init__(self, api: HubApi) -> None:
        self._api = api
        self._uploads = asyncio.Semaphore(TRANSFERS)
        self.downloads = asyncio.Semaphore(TRANSFERS)

    async def missing(self, request: Request) -> Response:
        """Tell which chunks are not here; renews the lease of those that are."""
        session = await self._api.session(request)
        hashes = await self._api.hashes(request, wire.MAX_HASHES)
        return json_reply(
            await self._api.lanes.move(lambda: msgspec.json.encode(wire.MissingReply(tuple(session.missing(hashes)))))
        )

    async def put(self, request: Request) -> Response:
        """Store uploaded chunks, group by group while they arrive."""
        session = await self._api.session(request)
        body = Body(request, wire.MAX_UPLOAD)
        reader = wire.FrameReader(wire.MAX_FRAMES)
        count = 0
        async with self._uploads, _Upload(self._api, session) as upload:
            try:
                while (data := await body.piece()) is not None:
                    with sensible():
                        chunks = list(reader.feed(data))
                    for chunk in chunks:
                        await upload.take(chunk)
                    count += len(chunks)
                if not reader.complete or reader.gone is not None:
                    raise Declined(Fault.NONSENSE, "the chunks end early")
            except SyncdError:
                # A reply to half a request ends its connection, and the next request on it meets that end.
                await body.drain()
                raise
        return json_reply(msgspec.json.encode(wire.StoredReply(count)))

    async def fetch(self, request: Request) -> Response:
        """Send chunks as frames, reading little ahead of the network."""
        session = await self._api.session(request)
        hashes = await self._api.hashes(request, wire.MAX_FRAMES)
        return _Frames(self, self._api, session, hashes)

    async def get(self, request: Request) -> Response:
        """Send one chunk, or a range of it."""
        session = await self._api.session(request)
        chunk_hash = hex_path(request, "hash", wire.HASH_BYTES)
        async with self.downloads:
            found = await self._api.lanes.move(lambda: _group(session.get_chunks((chunk_hash,)), wire.MAX_CHUNK))
        if not found[0]:
            raise Declined(Fault.OUTDATED, "this chunk is not here")
        data = found[0][0][1]
        headers = {"accept-ranges": "bytes", "etag": f'"{chunk_hash.hex()}"'}
        part = _range(request.headers.get("range", ""), len(data))
        if part is None:
            return Response(data, media_type="application/octet-stream", headers=headers)
        start, end = part
        headers["content-range"] = f"bytes {start}-{end - 1}/{len(data)}"
        return Response(data[start:end], 206, media_type="application/octet-stream", headers=headers)

    async def put_manifest(self, request: Request) -> Response:
        """Store an encoded manifest."""
        session = await self._api.session(request)
        manifest_hash = hex_path(request, "hash", wire.HASH_BYTES)
        async with self._uploads:
            encoded = await Body(request, wire.MAX_CHUNK).whole()
            await self._api.lanes.move(lambda: session.put_manifest(manifest_hash, encoded))
        return json_reply(msgspec.json.encode(wire.StoredReply(1)))

    async def get_manifest(self, request: Request) -> Response:
        """Send an encoded manifest."""
        session = await self._api.session(request)
        manifest_hash = hex_path(request, "hash", wire.HASH_BYTES)
        async with self.downloads:
            encoded = await self._api.lanes.move(lambda: session.get_manifest(manifest_hash))
        return Response(encoded, media_type="application/octet-stream")


class _Upload:
    """The chunks of one request, written while more arrive and durable when the last one is there. Where a request is
    cut, what came whole stays, and need not come again."""

    def __init__(self, api: HubApi, session: HubSession) -> None:
        self._api, self._session = api, session
        self._group: list[tuple[bytes, bytes]] = []
        self._held = 0
        self._writing: asyncio.Task[None] | None = None
        self._lock = threading.Lock()  # a request that is cancelled does not wait for its thread
        self._receiving: Incoming | None = None
        self._over = False

    async def take(self, chunk: tuple[bytes, bytes]) -> None:
        """Have a chunk written; the next group arrives while this one is."""
        self._group.append(chunk)
        self._held += len(chunk[1])
        if self._held >= STORE_BYTES:
            group, self._group, self._held = self._group, [], 0
            await self._written()
            self._writing = asyncio.create_task(self._api.lanes.move(lambda: self._add(group)))

    async def __aenter__(self) -> "_Upload":
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            await self._written()
        finally:
            await self._api.lanes.finish(self._end)  # a hub that stops cancels a request, and then all there is

    async def _written(self) -> None:
        """Return when what is being written is; raises what went wrong."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    def _add(self, group: list[tuple[bytes, bytes]]) -> None:
        with self._lock:
            self._add_alone(group)

    def _add_alone(self, group: list[tuple[bytes, bytes]]) -> None:
        if self._over:
            return
        self._over = True  # unless all goes well: what was begun and failed cannot be gone on with
        if self._receiving is None:
            self._receiving = self._session.receiving()
        self._receiving.add(group)
        self._over = False

    def _end(self) -> None:
        """Record what came whole, and let go of what did not."""
        with self._lock:
            try:
                if self._group:
                    self._add_alone(self._group)
                if self._receiving is not None and not self._over:
                    self._receiving.finish()
            finally:
                self._over = True
                if self._receiving is not None:
                    self._receiving.close()


class _Frames(Response):
    """A frame stream, produced while it is sent. A chunk that is gone ends it with a frame that says so."""

    def __init__(self, chunks: ChunkApi, api: HubApi, session: Remote, hashes: tuple[bytes, ...]) -> None:
        super().__init__(media_type="application/octet-stream")
        self._chunks, self._api, self._session, self._hashes = chunks, api, session, hashes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._stream(scope, receive, send)
        except (TimeoutError, asyncio.CancelledError):
            # The server closes what was begun and not ended; the client resumes with what is left.
            log.info("a download was cut: its client took nothing, or the hub is stopping")

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._chunks.downloads:
            try:
                source = await self._api.lanes.move(lambda: self._session.get_chunks(self._hashes))
                group, gone = await self._next(source)
            except Exception as error:  # noqa: BLE001  nothing is sent yet: the client gets one line, the log the rest
                await fault_reply(declined_by(error))(scope, receive, send)
                return
            headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            parts, sent = [wire.frames_start(len(self._hashes))], 0
            while True:
                for chunk_hash, data in group:
                    parts += (wire.frame_head(chunk_hash, len(data)), data)
                sent += len(group)
                if gone and sent < len(self._hashes):
                    parts.append(wire.gone_frame(self._hashes[sent]))
                more = sent < len(self._hashes) and not gone and bool(group)
                await self._send(send, b"".join(parts), more)
                if not more:
                    return
                parts = []
                group, gone = await self._next(source)

    async def _next(self, source: Iterator[tuple[bytes, bytes]]) -> tuple[list[tuple[bytes, bytes]], bool]:
        return await self._api.lanes.move(lambda: _group(source, SEND_BYTES))

    async def _send(self, send: Send, data: bytes, more: bool) -> None:
        # A client that takes nothing for long is let go: it resumes with what is left.
        async with asyncio.timeout(PIECE_SECONDS * 2):
            await send({"type": "http.response.body", "body": data, "more_body": more})


def _group(source: Iterator[tuple[bytes, bytes]], size: int) -> tuple[list[tuple[bytes, bytes]], bool]:
    """Return the next chunks, until they reach *size* bytes, and whether the one after them is gone."""
    group: list[tuple[bytes, bytes]] = []
    held = 0
    try:
        for item in source:
            group.append(item)
            held += len(item[1])
            if held >= size:
                return group, False
    except Outdated:
        return group, True
    return group, False


def _range(header: str, size: int) -> tuple[int, int] | None:
    """Return (start, end) of a single byte range, or None for the whole. Other forms may be ignored (RFC 9110)."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if match[1] is None:
        start, end = max(0, size - int(match[2])), size
    else:
        start, end = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
    if start >= size or start >= end:
        raise Declined(Fault.BAD_RANGE, f"the chunk has {size} bytes")
    return start, end
