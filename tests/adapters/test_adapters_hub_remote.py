"""HubRemote against a hub that is down, slow, lies, or breaks off: each ends in one error the engine can act on."""

import json
import socket
import threading
import time
from base64 import b64encode

import pytest
from blake3 import blake3

from syncd.adapters import http_client, hub_remote
from syncd.adapters.hub_faults import MAX_WISH, wish
from syncd.adapters.hub_remote import HubRemote
from syncd.adapters.hub_transfer import RESUME_BYTES
from syncd.model import wire
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
from syncd.model.invite import HubAddress
from syncd.model.node import Version
from syncd.model.remote import Delete
from tests.contract.serving import reply, saying, served


def h(data: bytes) -> bytes:
    return blake3(data).digest()


def b(data: bytes) -> str:
    return b64encode(data).decode()


def fixed(data: bytes):
    return lambda connection, request, count: connection.sendall(data)


def asked(answer, call):
    """Return what *call* gives or raises when the hub answers with *answer*."""
    with saying(answer) as address:
        remote = HubRemote(address, "token")
        try:
            return call(remote)
        finally:
            remote.close()


DELETE = Delete(b"k" * 16, b"n" * 16, Version(1, "t"))
NODE = {
    "node_id": b(b"n" * 16),
    "parent_id": b(b"p" * 16),
    "name": "a",
    "kind": "file",
    "version": {"position": 1, "tag": "t"},
}
OUTCOME = {"key": b(b"k" * 16), "verdict": "done", "nodes": [NODE]}
IDENTITY = {"remote_id": "h", "space_id": "s", "space": "home", "device_id": "d", "device": "laptop"}


def js(value: object) -> bytes:
    return reply(json.dumps(value).encode())


def fault(code: str, status: int, *headers: str) -> bytes:
    return reply(json.dumps({"error": code, "detail": "why\u001b[31m"}).encode(), f"{status} X", *headers)


CALLS = {
    "identify": lambda remote: remote.identify(),
    "changes": lambda remote: remote.changes("c", 2),
    "wait": lambda remote: remote.wait("c", 0.1),
    "listing": lambda remote: remote.listing(None, 2),
    "commit": lambda remote: remote.commit([DELETE]),
    "outcomes": lambda remote: remote.outcomes([b"k" * 16]),
    "look": lambda remote: remote.look([b"n" * 16]),
    "history": lambda remote: remote.history(b"n" * 16),
    "missing": lambda remote: remote.missing([h(b"x")]),
    "put_chunks": lambda remote: remote.put_chunks([(h(b"x"), b"x")]),
    "get_chunks": lambda remote: list(remote.get_chunks([h(b"x")])),
    "put_manifest": lambda remote: remote.put_manifest(h(b"x"), b"x"),
    "get_manifest": lambda remote: remote.get_manifest(h(b"x")),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(reply(b"<html>hello"), Corrupt, id="a web page"),
        pytest.param(reply(b'{"a":'), Corrupt, id="cut JSON"),
        pytest.param(reply(b"[" * 50_000), Corrupt, id="deep nesting"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Corrupt, id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 200_000, Corrupt, id="an endless header"),
        pytest.param(reply(b"", "302 Found", "location: http://127.0.0.1:1/"), Corrupt, id="a redirect"),
        pytest.param(reply(b"", "404 Not Found"), Corrupt, id="a stranger's not found"),
        pytest.param(reply(b"{}", "200 OK", "content-encoding: gzip"), Corrupt, id="a coding not asked for"),
        pytest.param(reply(b"x", "502 Bad Gateway"), Offline, id="a gateway"),
        pytest.param(b"", Offline, id="nothing at all"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n\0\0\0\1", Offline, id="a cut body"),
        pytest.param(fault("not-authorised", 401), NotAuthorised, id="revoked"),
        pytest.param(reply(b"no", "401 Unauthorized"), NotAuthorised, id="a stranger's 401"),
        pytest.param(fault("stopping", 503, "retry-after: 7"), Offline, id="stopping"),
        pytest.param(fault("history-changed", 409), HistoryChanged, id="history changed"),
        pytest.param(fault("cursor-expired", 410), CursorExpired, id="cursor expired"),
        pytest.param(fault("other-remote", 421), OtherRemote, id="another hub"),
        pytest.param(fault("outdated", 404), Outdated, id="outdated"),
        pytest.param(fault("corrupt", 422), Corrupt, id="corrupt"),
        pytest.param(fault("no-space", 507, "retry-after: 60"), Transient, id="a full disk"),
        pytest.param(fault("refused", 403), Refused, id="refused"),
        pytest.param(fault("refused", 401), NotAuthorised, id="a fault that contradicts its status"),
    ],
)
def test_every_call_turns_a_bad_answer_into_the_right_error(call, data, error):
    with pytest.raises(error) as told:
        asked(fixed(data), call)
    assert "\n" not in str(told.value)
    assert "\x1b" not in str(told.value)


NONSENSE = [
    pytest.param("identify", {**IDENTITY, "remote_id": ""}, id="nobody"),
    pytest.param("identify", {**IDENTITY, "space": 7}, id="a number for a space"),
    pytest.param("changes", {"changes": [], "cursor": "", "more": False}, id="no cursor"),
    pytest.param("changes", {"changes": [], "cursor": "x" * 2000, "more": False}, id="endless cursor"),
    pytest.param("changes", {"changes": [], "cursor": "d", "more": True}, id="more, but nothing now"),
    pytest.param("changes", {"changes": [{"node": NODE}], "cursor": "c", "more": True}, id="a cursor that stays"),
    pytest.param("changes", {"changes": [{"node": NODE}] * 3, "cursor": "d", "more": False}, id="more than asked"),
    pytest.param(
        "changes",
        {"changes": [{"node": {**NODE, "node_id": b(b"short")}}], "cursor": "d", "more": False},
        id="a short id",
    ),
    pytest.param(
        "changes",
        {"changes": [{"node": {**NODE, "kind": "device"}}], "cursor": "d", "more": False},
        id="an unknown kind",
    ),
    pytest.param(
        "changes",
        {"changes": [{"node": {**NODE, "mtime_ns": 2**70}}], "cursor": "d", "more": False},
        id="an mtime beyond all time",
    ),
    pytest.param("changes", {"changes": [{"node": NODE, "key": "AAAA"}], "cursor": "d", "more": False}, id="short key"),
    pytest.param("listing", {"nodes": [{**NODE, "deleted": True}], "cursor": "c", "next": None}, id="a dead one alive"),
    pytest.param("listing", {"nodes": [NODE] * 3, "cursor": "c", "next": None}, id="more nodes than asked"),
    pytest.param("listing", {"nodes": [], "cursor": "c", "next": ""}, id="an empty next"),
    pytest.param(
        "listing",
        {"nodes": [{**NODE, "content": {"hash": "AAAA", "size": 1}}], "cursor": "c", "next": None},
        id="a short hash",
    ),
    pytest.param(
        "listing",
        {"nodes": [{**NODE, "content": {"hash": b(h(b"")), "size": -1}}], "cursor": "c", "next": None},
        id="a negative size",
    ),
    pytest.param("commit", {"outcomes": []}, id="no outcome"),
    pytest.param("commit", {"outcomes": [{**OUTCOME, "key": b(b"x" * 16)}]}, id="another mutation's outcome"),
    pytest.param("commit", {"outcomes": [{**OUTCOME, "verdict": "perhaps"}]}, id="an unknown verdict"),
    pytest.param("commit", {"outcomes": [None]}, id="null for an outcome"),
    pytest.param("outcomes", {"outcomes": [{**OUTCOME, "key": b(b"x" * 16)}]}, id="another key's outcome"),
    pytest.param("look", {"nodes": [{**NODE, "node_id": b(b"x" * 16)}]}, id="another node"),
    pytest.param("look", {"nodes": [None, None]}, id="two for one"),
    pytest.param("missing", {"missing": [b(h(b"y"))]}, id="lacks what was not asked"),
    pytest.param("put_chunks", {"stored": 0}, id="stored nothing"),
]


@pytest.mark.parametrize(("name", "said"), NONSENSE)
def test_p10_a_reply_that_makes_no_sense_is_corrupt(name, said):
    with pytest.raises(Corrupt):
        asked(fixed(js(said)), CALLS[name])


def test_a_sensible_reply_is_believed():
    assert asked(fixed(js({"outcomes": [OUTCOME]})), CALLS["commit"])[0].nodes[0].name == "a"
    assert asked(fixed(js(IDENTITY)), CALLS["identify"]).space == "home"


def test_another_hub_than_the_one_expected_is_told():
    with saying(fixed(js(IDENTITY))) as address:
        assert HubRemote(address, "token", expect=("h", "s")).identify().device == "laptop"
        for other in (("x", "s"), ("h", "x")):
            with pytest.raises(OtherRemote):
                HubRemote(address, "token", expect=other).identify()


def test_an_endless_reply_is_cut_off(monkeypatch):
    monkeypatch.setattr(wire, "MAX_REPLY", 1 << 20)
    sent = 0

    def endless(connection, request, count):
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
            sent += 0x10000

    with pytest.raises(Corrupt, match="more than"):
        asked(endless, CALLS["identify"])
    assert sent < 64 << 20


def test_a_reply_that_dribbles_ends_at_the_deadline_of_the_whole(monkeypatch):
    monkeypatch.setattr(hub_remote, "CALL_SECONDS", 0.3)

    def dribble(connection, request, count):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while True:
            connection.sendall(b" ")
            time.sleep(0.02)

    begun = time.monotonic()
    with pytest.raises(Offline, match="in time"):
        asked(dribble, CALLS["identify"])
    assert time.monotonic() - begun < 5


def test_a_head_that_dribbles_ends_at_the_deadline_of_the_whole(monkeypatch):
    monkeypatch.setattr(hub_remote, "CALL_SECONDS", 0.3)

    def dribble(connection, request, count):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"x: y\r\n")
            time.sleep(0.02)

    begun = time.monotonic()
    with pytest.raises(Offline, match="in time"):
        asked(dribble, CALLS["identify"])
    assert time.monotonic() - begun < 5


def test_a_hub_that_is_down_is_offline_at_once():
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    for call in CALLS.values():
        with pytest.raises(Offline, match="cannot be reached"):
            call(HubRemote(HubAddress("127.0.0.1", port, "home"), "token"))


def test_a_host_that_does_not_exist_is_offline():
    with pytest.raises(Offline, match="cannot be reached"):
        HubRemote(HubAddress("no.such.host.invalid", 1, "home"), "token").identify()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", None), ("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("99999", MAX_WISH), ("nan", None), ("soon", None)],
)
def test_a_retry_after_is_honoured_within_reason(text, expected):
    assert wish({"retry-after": text}) == expected
    assert wish({}) is None
    assert wish({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}) == 0.0
    with pytest.raises(Offline) as told:
        asked(fixed(fault("unavailable", 503, "retry-after: 7")), CALLS["commit"])
    assert told.value.retry_after == 7


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


def test_a_closed_remote_is_offline():
    remote = HubRemote(HubAddress("127.0.0.1", 1, "home"), "token")
    remote.close()
    with pytest.raises(Offline, match="closed"):
        remote.identify()


def test_doubted_connections_end_what_waits_and_the_next_call_connects_anew(tmp_path):
    with served(tmp_path / "hub") as made:
        remote = made.device()
        cursor = remote.listing(None, 1).cursor
        failures: list[BaseException] = []

        def run() -> None:
            try:
                remote.wait(cursor, 50)
            except Offline as error:
                failures.append(error)

        waiter = threading.Thread(target=run)
        waiter.start()
        ends = time.monotonic() + 10
        while not made.hub.bell._callbacks and time.monotonic() < ends:
            time.sleep(0.005)
        remote.drop_connections()
        waiter.join(5)
        assert len(failures) == 1
        assert remote.wait(cursor, 0) is False
        remote.close()
