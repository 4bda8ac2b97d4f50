"""HubRemote against a hub that is down, slow, lies, or breaks off: each ends in one error the engine can act on."""

import socket
import threading

import pytest

from syncd.adapters import hub_remote
from syncd.adapters.hub_faults import MAX_WISH, wish
from syncd.adapters.hub_remote import HubRemote
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
from tests.adapters.hub_answers import CALLS, ENOUGH, IDENTITY, NODE, OUTCOME, Drops, asked, b, fault, fixed, h, js
from tests.contract.serving import reply, saying, served
from tests.waiting import until


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

    drops = Drops(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", b" ")
    with pytest.raises(Offline, match="in time"):
        asked(drops, CALLS["identify"])
    assert 1 < drops.sent < ENOUGH, "it was given up while every wait for the next drop was short"


def test_a_head_that_dribbles_ends_at_the_deadline_of_the_whole(monkeypatch):
    monkeypatch.setattr(hub_remote, "CALL_SECONDS", 0.3)

    drops = Drops(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n")
    with pytest.raises(Offline, match="in time"):
        asked(drops, CALLS["identify"])
    assert 1 < drops.sent < ENOUGH, "it was given up while every wait for the next drop was short"


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
        until(lambda: made.hub.bell._callbacks, "the poll is waiting at the hub")
        remote.drop_connections()
        waiter.join(5)
        assert len(failures) == 1
        assert remote.wait(cursor, 0) is False
        remote.close()
