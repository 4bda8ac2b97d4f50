"""An upload that does not come to its end: what came whole stays, nothing is closed while it is written."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from blake3 import blake3

from syncd.hub.api_chunks import STORE_BYTES, _Upload
from syncd.hub.api_lanes import Lanes
from syncd.model import wire
from tests.contract.serving import served
from tests.waiting import until

CHUNKS = [(blake3(data).digest(), data) for data in (bytes([number]) * 700_000 for number in range(11))]


def begun(port: int, token: str) -> socket.socket:
    """Begin an upload of which the end never comes."""
    body = b"".join(wire.encode_frames(CHUNKS))
    head = b"POST /v1/chunks HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\nauthorization: Bearer %s\r\n\r\n"
    upload = socket.create_connection(("127.0.0.1", port), 10)
    upload.sendall(head % (len(body), token.encode()) + body[:-100])
    return upload


def test_p2_of_an_upload_that_is_cut_what_came_whole_stays(tmp_path):
    with served(tmp_path / "hub") as made:
        token = made.hub.enroll(made.invite().secret, "raw").token
        session = made.hub.authenticate(token)
        begun(made.ready.port, token).close()
        hashes = [digest for digest, _ in CHUNKS]
        until(lambda: list(session.missing(hashes)) == hashes[-1:], "all but the last are there")
        assert list(session.get_chunks(hashes[:-1])) == CHUNKS[:-1]


def test_p2_a_hub_that_stops_keeps_what_came_whole(tmp_path, monkeypatch):
    """The server cancels what does not end in time, and then everything there is."""
    with served(tmp_path / "hub") as made:
        token = made.hub.enroll(made.invite().secret, "raw").token
        seen: list[bytes] = []
        feed = wire.FrameReader.feed

        def noted(self: wire.FrameReader, data: bytes) -> Any:
            for chunk in feed(self, data):
                seen.append(chunk[0])
                yield chunk

        monkeypatch.setattr(wire.FrameReader, "feed", noted)
        with begun(made.ready.port, token):
            until(lambda: len(seen) == len(CHUNKS) - 1, "it hangs before its end")
            made.server.stop()
            made.thread.join(30)
        assert list(made.hub.authenticate(token).missing([digest for digest, _ in CHUNKS])) == [CHUNKS[-1][0]]
        assert len([path for path in (tmp_path / "hub" / "chunks").rglob("*") if path.is_file()]) == 1


def test_p5_an_upload_that_is_cancelled_is_closed_when_nobody_writes():
    writing, go = threading.Event(), threading.Event()
    calls: list[str] = []

    class Incoming:
        def add(self, chunks: Sequence[tuple[bytes, bytes]]) -> None:
            calls.append("add")
            writing.set()
            assert go.wait(30)
            calls.append("added")

        def finish(self) -> None:
            calls.append("finish")

        def close(self) -> None:
            calls.append("close")

    lanes = Lanes()
    api: Any = SimpleNamespace(lanes=lanes)
    session: Any = SimpleNamespace(receiving=Incoming)

    async def upload() -> None:
        async with _Upload(api, session) as incoming:
            await incoming.take((b"h" * 32, b"x" * STORE_BYTES))
            await asyncio.Event().wait()

    async def cancelled_twice() -> None:
        task = asyncio.create_task(upload())
        await asyncio.to_thread(writing.wait, 30)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        assert calls == ["add"]
        go.set()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancelled_twice())
    lanes.close()
    assert calls == ["add", "added", "finish", "close"]
