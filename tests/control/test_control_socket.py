"""The control socket round trip, with a hand-written engine behind it: real sockets, real threads, no sleeps."""

import http.client
import json
import os
import queue
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.control import client
from syncd.control.openapi import DESCRIPTION
from syncd.control.server import ControlServer, peer_uid
from syncd.model.errors import Offline, Usage
from syncd.model.observation import Ask, Reply, Verb, Withdraw
from syncd.model.status import LiveStatus, Phase, RunningOp

LIVE = LiveStatus(
    phase=Phase.SYNCING, ops_waiting=3, running=(RunningOp(7, "upload", "a/b.txt", 10, 20),), busy=(("log", 1.0),)
)


class Desk:
    """Stands for the engine: keeps what was posted, answers what a test tells it to."""

    def __init__(self) -> None:
        self.posted: queue.SimpleQueue[Ask | Withdraw] = queue.SimpleQueue()
        self.server: ControlServer | None = None
        self.answer: Reply | None = Reply(0, 3, "waits for you", (("conflicts", "2"),))

    def post(self, message: Ask | Withdraw) -> None:
        self.posted.put(message)
        if isinstance(message, Ask) and self.answer is not None and self.server is not None:
            answer = self.answer
            self.server.reply(Reply(message.ticket, answer.code, answer.text, answer.more))


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="syncd-", dir="/tmp") as path:  # short: pytest's own are too long
        yield Path(path)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def path(folder: Path, desk: Desk) -> Iterator[Path]:
    server = ControlServer(folder / "c.sock", "/home/me/Sync", lambda: LIVE, desk.post)
    desk.server = server
    server.start()
    yield folder / "c.sock"
    server.stop()


def test_p12_status_is_the_live_status(path: Path) -> None:
    status = client.status(path)
    assert status["pid"] == os.getpid()
    assert status["root"] == "/home/me/Sync"
    assert status["live"]["phase"] == "syncing"
    assert status["live"]["running"][0]["path"] == "a/b.txt"


def test_a_question_reaches_the_engine_and_its_answer_comes_back(path: Path, desk: Desk) -> None:
    answer = client.ask(path, "scan", {"deep": "1", "below": "a"}, timeout=10)
    assert answer == client.Answer(3, "waits for you", (("conflicts", "2"),))
    asked = desk.posted.get(timeout=5)
    assert isinstance(asked, Ask)
    assert (asked.verb, asked.arguments) == (Verb.SCAN, (("below", "a"), ("deep", "1")))


def test_every_question_has_a_ticket_of_its_own(path: Path, desk: Desk) -> None:
    for _ in range(3):
        client.ask(path, "pause", timeout=10)
    tickets = [desk.posted.get(timeout=5).ticket for _ in range(3)]
    assert len(set(tickets)) == 3


def test_who_goes_away_withdraws_the_question(path: Path, desk: Desk) -> None:
    desk.answer = None
    with pytest.raises(Offline):
        client.ask(path, "wait", timeout=0.2)
    asked, withdrawn = desk.posted.get(timeout=5), desk.posted.get(timeout=5)
    assert isinstance(asked, Ask)
    assert withdrawn == Withdraw(asked.ticket)


def test_who_waits_is_told_when_the_daemon_stops(folder: Path) -> None:
    desk = Desk()
    server = ControlServer(folder / "d.sock", "/r", lambda: LIVE, desk.post)
    server.start()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(folder / "d.sock"))
    body = b'{"verb":"wait"}'
    connection.sendall(
        b"POST /v1/ask HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body
    )
    desk.posted.get(timeout=5)
    server.stop()
    response = http.client.HTTPResponse(connection)
    response.begin()
    assert "stopping" in json.loads(response.read())["text"]
    connection.close()
    assert not (folder / "d.sock").exists()


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        pytest.param("explode", {}, id="a verb that does not exist"),
        pytest.param("scan", {"a": "x" * 300_000}, id="a request that is too long"),
    ],
)
def test_what_is_not_understood_is_refused_in_one_line(path: Path, desk: Desk, verb: str, arguments: dict) -> None:
    with pytest.raises(Usage) as refused:
        client.ask(path, verb, arguments, timeout=10)
    assert "\n" not in str(refused.value)
    assert desk.posted.empty()


def test_nobody_listening_is_no_daemon(folder: Path) -> None:
    with pytest.raises(client.NoDaemon):
        client.status(folder / "none.sock")
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(folder / "stale.sock"))
    stale.close()
    with pytest.raises(client.NoDaemon):
        client.status(folder / "stale.sock")


def test_a_stale_socket_file_is_taken_over(folder: Path, desk: Desk) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(folder / "c.sock"))
    stale.close()
    server = ControlServer(folder / "c.sock", "/r", lambda: LIVE, desk.post)
    server.start()
    try:
        assert client.status(folder / "c.sock")["root"] == "/r"
    finally:
        server.stop()


def test_the_socket_is_for_this_user_alone(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_peer_of_a_socket_is_told_by_the_kernel() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        assert peer_uid(here) == os.geteuid()


def test_another_users_connection_is_dropped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncd.control.server.peer_uid", lambda _: os.geteuid() + 1)
    with pytest.raises(client.NoDaemon):
        client.status(path, timeout=5)


def test_names_that_are_not_utf8_cross_the_socket(folder: Path, desk: Desk) -> None:
    live = LiveStatus(running=(RunningOp(1, "upload", "bad\udcff", 0, 0),))
    server = ControlServer(folder / "c.sock", "/r", lambda: live, desk.post)
    server.start()
    try:
        assert client.status(folder / "c.sock")["live"]["running"][0]["path"] == "bad\udcff"
    finally:
        server.stop()


def test_openapi_names_every_verb() -> None:
    schema = DESCRIPTION["paths"]["/v1/ask"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["verb"]["enum"] == [str(verb) for verb in Verb]
