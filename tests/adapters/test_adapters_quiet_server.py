"""The quiet server by itself: unix sockets, pipelined requests, no tick."""

import signal
import socket
import threading

import pytest

from syncd import quiet
from syncd.quiet import QuietServer


async def echo(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    said = scope["path"].encode() + b":" + body
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})


@pytest.fixture
def listening(tmp_path):
    path = str(tmp_path / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    up = threading.Event()
    server = QuietServer(echo, on_ready=up.set)
    thread = threading.Thread(target=server.serve_forever, args=([listener],))
    thread.start()
    assert up.wait(10)
    yield path
    server.stop()
    thread.join(10)
    assert not thread.is_alive()


def exchange(path, *pieces, until=None):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    with connection:
        connection.connect(path)
        for piece in pieces:
            connection.sendall(piece)
        said = b""
        while until is None or until not in said:
            if not (data := connection.recv(65536)):
                break
            said += data
        return said


def test_a_unix_socket_is_served_without_any_date(listening):
    said = exchange(listening, b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n", b"hi", until=b"/a:hi")
    head, _, body = said.partition(b"\r\n\r\n")
    assert body == b"/a:hi"
    assert b"date:" not in head.lower()
    assert b"server:" not in head.lower()


def test_pipelined_requests_are_answered_in_order(listening):
    requests = b"".join(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % number for number in range(5))
    said = exchange(listening, requests, until=b"/4:")
    assert [said.index(b"/%d:" % number) for number in range(5)] == sorted(
        said.index(b"/%d:" % number) for number in range(5)
    )


def test_a_head_that_is_never_finished_is_dropped(listening, monkeypatch):
    monkeypatch.setattr(quiet, "HEAD_SECONDS", 0.1)
    assert exchange(listening, b"GET / HTTP/1.1\r\nx: ") == b""
    assert exchange(listening) == b""


def test_a_large_reply_arrives_whole(listening):
    body = bytes(3_000_000)
    said = exchange(
        listening, b"POST /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3000000\r\n\r\n", body
    )
    assert said.endswith(b"/a:" + body)


def test_a_stop_before_the_start_is_a_stop():
    server = QuietServer(echo)
    server.stop()
    listener = socket.create_server(("127.0.0.1", 0))
    server.serve_forever([listener])
    assert listener.fileno() == -1


def test_a_signal_that_another_thread_gets_stops_it():
    """As one that comes just before the main thread falls asleep: it interrupts nothing."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    done, up = threading.Event(), threading.Event()
    other = threading.Thread(target=done.wait, daemon=True)
    other.start()

    helped = []

    def later():
        assert up.wait(10)
        signal.pthread_kill(other.ident, signal.SIGTERM)
        if not stopped.wait(10):
            helped.append("it slept on")
            server.stop()  # or the test would never end

    server, stopped = QuietServer(echo, on_ready=up.set), threading.Event()
    killer = threading.Thread(target=later)
    killer.start()
    server.serve_forever([socket.create_server(("127.0.0.1", 0))])
    stopped.set()
    killer.join()
    done.set()
    assert not helped
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
