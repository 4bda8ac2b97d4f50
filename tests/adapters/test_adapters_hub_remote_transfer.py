"""HubRemote and content: downloads that break off, and requests that stay under the limits."""

import json
import random

import pytest

from syncd.adapters import http_client, hub_remote
from syncd.adapters.hub_transfer import RESUME_BYTES
from syncd.model import wire
from syncd.model.errors import Corrupt, Offline, Outdated, Refused
from syncd.model.node import Version
from syncd.model.remote import Delete
from tests.adapters.hub_answers import CALLS, OUTCOME, asked, b, fixed, h, js
from tests.contract.serving import reply, served

# --- downloads that break off ------------------------------------------------------------------------------------


def fetched(request: bytes) -> list[bytes]:
    return list(json.loads(request.partition(b"\r\n\r\n")[2])["hashes"])


def stream_of(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"".join(wire.encode_frames(chunks))


def head(length: int = 1 << 30, status: str = "200 OK", *more: str) -> bytes:
    return ("\r\n".join([f"HTTP/1.1 {status}", f"content-length: {length}", *more]) + "\r\n\r\n").encode()


CHUNKS = [(h(data), data) for data in (b"1" * 1000, b"2" * 2000, b"3" * (RESUME_BYTES * 3))]
HASHES = [chunk_hash for chunk_hash, _ in CHUNKS]


def test_p5_a_wrong_chunk_is_never_handed_on():
    bad = [(CHUNKS[0][0], b"0" * 1000), CHUNKS[1]]
    with pytest.raises(Corrupt, match="does not match"):
        asked(fixed(reply(stream_of(*bad))), lambda remote: list(remote.get_chunks(HASHES[:2])))


def test_chunks_in_another_order_are_nonsense():
    with pytest.raises(Corrupt, match="another chunk"):
        asked(fixed(reply(stream_of(CHUNKS[1], CHUNKS[0]))), lambda remote: list(remote.get_chunks(HASHES[:2])))


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(wire.frames_start(2**32 - 1), id="an endless count"),
        pytest.param(wire.frames_start(1) + wire.frame_head(HASHES[0], wire.MAX_CHUNK + 1), id="an endless chunk"),
        pytest.param(stream_of(CHUNKS[0]) + b"x", id="more than it says"),
    ],
)
def test_impossible_frames_are_nonsense(stream):
    with pytest.raises(Corrupt):
        asked(fixed(reply(stream)), lambda remote: list(remote.get_chunks(HASHES[:1])))


def test_a_gone_chunk_in_the_middle_is_outdated():
    stream = wire.frames_start(2) + stream_of(CHUNKS[0])[4:] + wire.gone_frame(HASHES[1])
    got = []
    with pytest.raises(Outdated, match=HASHES[1].hex()):
        asked(fixed(reply(stream)), lambda remote: got.extend(iter(remote.get_chunks(HASHES[:2]))))
    assert got == CHUNKS[:1] or got == []


def test_a_cut_between_chunks_goes_on_with_what_is_left():
    asked_for = []

    def cutting(connection, request, count):
        asked_for.append(fetched(request))
        connection.sendall(head() + wire.frames_start(3 - count + 1) + stream_of(CHUNKS[count - 1])[4:])

    got = asked(cutting, lambda remote: list(remote.get_chunks(HASHES)))
    assert got == CHUNKS
    assert asked_for == [[b(item) for item in HASHES[start:]] for start in range(3)]


def test_a_cut_inside_a_large_chunk_goes_on_inside_it():
    data = CHUNKS[2][1]
    kept = RESUME_BYTES + 17
    requests = []

    def cutting(connection, request, count):
        requests.append(request)
        if count == 1:
            connection.sendall(head() + stream_of(CHUNKS[2])[: 4 + wire.FRAME_HEAD + kept])
        else:
            size = len(data)
            ranged = f"content-range: bytes {kept}-{size - 1}/{size}"
            connection.sendall(head(size - kept, "206 Partial Content", ranged) + data[kept:])

    assert asked(cutting, lambda remote: list(remote.get_chunks(HASHES[2:]))) == CHUNKS[2:]
    assert f"range: bytes={kept}-\r\n".encode() in requests[1].lower()
    assert len(requests) == 2


@pytest.mark.parametrize(
    ("status", "ranged"),
    [
        pytest.param("200 OK", "", id="the whole for a range"),
        pytest.param("206 Partial Content", "content-range: bytes 0-9/10", id="another range"),
        pytest.param("206 Partial Content", "x: y", id="no range named"),
    ],
)
def test_a_wrong_answer_to_a_range_is_nonsense(status, ranged):
    def wrong(connection, request, count):
        if count == 1:
            connection.sendall(head() + stream_of(CHUNKS[2])[: RESUME_BYTES * 2])
        else:
            connection.sendall(head(10, status, *([ranged] if ranged else [])) + b"x" * 10)

    with pytest.raises(Corrupt):
        asked(wrong, lambda remote: list(remote.get_chunks(HASHES[2:])))


def test_a_download_that_gets_nowhere_ends_after_a_few_tries():
    counts = []

    def cutting(connection, request, count):
        counts.append(count)
        connection.sendall(head() + wire.frames_start(1))

    with pytest.raises(Offline):
        asked(cutting, lambda remote: list(remote.get_chunks(HASHES[:1])))
    assert counts == [1, 2, 3]


def test_a_download_given_up_costs_only_its_connection(tmp_path):
    with served(tmp_path / "hub") as made:
        remote = made.device()
        chunks = [(h(data), data) for data in (bytes([number]) * (1 << 20) for number in range(9))]
        remote.put_chunks(chunks)
        taken = remote.get_chunks([chunk_hash for chunk_hash, _ in chunks])
        assert next(taken) == chunks[0]
        taken.close()
        assert remote.identify().space == "home"
        remote.close()


# --- requests under the limits ------------------------------------------------------------------------------------


def test_a_large_batch_is_sent_in_parts_in_order(monkeypatch):
    batch = [Delete(number.to_bytes(16, "big"), b"n" * 16, Version(1, "t")) for number in range(wire.MAX_BATCH + 5)]
    sizes = []

    def answering(connection, request, count):
        keys = [item["key"] for item in json.loads(request.partition(b"\r\n\r\n")[2])["batch"]]
        sizes.append(len(keys))
        connection.sendall(js({"outcomes": [{"key": key, "verdict": "stale"} for key in keys]}))

    outcomes = asked(answering, lambda remote: remote.commit(batch))
    assert sizes == [wire.MAX_BATCH, 5]
    assert [outcome.key for outcome in outcomes] == [mutation.key for mutation in batch]
    sizes.clear()
    monkeypatch.setattr(hub_remote, "COMMIT_BYTES", 1000)
    assert len(asked(answering, lambda remote: remote.commit(batch[:20]))) == 20
    assert len(sizes) > 1


def test_a_chunk_larger_than_a_hub_takes_is_not_sent():
    data = bytes(wire.MAX_CHUNK + 1)
    with pytest.raises(Refused):
        asked(fixed(b""), lambda remote: remote.put_chunks([(h(data), data)]))


def test_the_largest_chunk_travels(tmp_path):
    with served(tmp_path / "hub") as made:
        remote = made.device()
        data = bytes(wire.MAX_CHUNK)
        remote.put_chunks([(h(data), data), (h(b"x"), b"x")])
        assert list(remote.get_chunks([h(data), h(b"x")])) == [(h(data), data), (h(b"x"), b"x")]
        remote.close()


def test_head_and_body_of_a_request_leave_in_one_segment():
    seen = []

    def looking(connection, request, count):
        connection.sendall(js({"outcomes": [OUTCOME]}))

    original = http_client._Stream._send

    def counting(self, data, timeout):
        seen.append(data)
        return original(self, data, timeout)

    http_client._Stream._send = counting
    try:
        asked(looking, CALLS["commit"])
    finally:
        http_client._Stream._send = original
    assert len(seen) == 1
    assert seen[0].startswith(b"POST /v1/commit")
    assert b"accept-encoding: identity" in seen[0].lower()


@pytest.mark.parametrize("seed", range(10))
def test_small_pieces_of_a_body_are_joined_and_large_ones_are_not_copied(seed):
    chance = random.Random(seed)
    sizes = [chance.choice((0, 1, 40, 4096, 65535, 65536, 300_000)) for _ in range(200)]
    body = [chance.randbytes(size) for size in sizes]
    parts = list(http_client._Content(body))
    assert b"".join(parts) == b"".join(body)
    large = [piece for piece in body if len(piece) > http_client._SLICE]
    assert sum(any(part is piece for piece in large) for part in parts) == len(large)
    assert len(parts) <= 2 * (len(large) + 1) + sum(sizes) // (http_client._SLICE - http_client._JOIN_BYTES)
    small = [b"x" * 4096] * 1000
    assert len(list(http_client._Content(small))) <= 17
