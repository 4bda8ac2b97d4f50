"""The hub as a server: it sleeps when idle, ends in time and loses nothing, and speaks TLS beyond loopback."""

import asyncio
import hashlib
import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pytest
from blake3 import blake3

from syncd.adapters.hub_remote import HubRemote
from syncd.adapters.hub_spread import MOST_BYTES
from syncd.hub.folder_blobs import FolderWriter
from syncd.hub.server import HubServer, Listen, parse_listen
from syncd.hub.tls import FILE, YEARS, certificate
from syncd.model.errors import NoSpace, NotAuthorised, Offline, OtherRemote, Refused, Transient, Usage
from syncd.model.invite import HubAddress, Invite
from syncd.model.node import Kind
from syncd.model.path import ROOT_ID
from syncd.model.remote import Content, Create, Verdict
from tests.asleep import seconds_until_it_wakes, threads, told_by_the_kernel
from tests.contract.serving import served
from tests.hub.conftest import FakeClock
from tests.waiting import until

PROGRAM = """
import sys
from pathlib import Path
from syncd.adapters.system import SystemChance, SystemClock
from syncd.hub.core import Hub
from syncd.hub.server import Listen, serve

folder = Path(sys.argv[1])
clock = SystemClock()
hub = Hub.open(folder, clock, SystemChance())
hub.create_space("home")
secret = hub.invite("home")
def ready(where):
    print(where.port, secret, flush=True)
serve(hub, Listen(), data_dir=folder, clock=clock, on_ready=ready, stop_fd=0)
hub.close()
print("ended well", flush=True)
"""


class Process:
    """A hub in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        port, secret = self.process.stdout.readline().split()
        self.invite = Invite(HubAddress("127.0.0.1", int(port), "home"), secret)

    def device(self) -> HubRemote:
        return HubRemote(self.invite.address, HubRemote.enroll(self.invite, "d").token)

    def ended(self) -> tuple[int, str, str]:
        """Return exit code and output, once it ended: within the five seconds promised."""
        out, err = self.process.communicate(timeout=5)
        return self.process.returncode, out, err


@pytest.fixture
def process(tmp_path):
    made = Process(tmp_path / "hub")
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.communicate()


POLL_WAITS = "the long poll waits at the hub"


def waiting(remote: HubRemote, cursor: str) -> "Future[object]":
    """Start a long poll in a thread; the future has its answer or its error."""
    future: Future[object] = Future()

    def run() -> None:
        try:
            future.set_result(remote.wait(cursor, 50))
        except Exception as error:  # noqa: BLE001  looked at by the test
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def on_loop(server: HubServer, look):
    """Return what *look* sees on the server's own loop."""

    async def run():
        return look()

    return asyncio.run_coroutine_threadsafe(run(), server.loop).result(5)


def timers(server: HubServer) -> list[float]:
    """Return in how many seconds each timer of the server would wake it."""
    return on_loop(
        server,
        lambda: [timer.when() - server.loop.time() for timer in server.loop._scheduled if not timer.cancelled()],
    )


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "the parent's end"])
def test_a_stop_answers_long_polls_at_once_and_ends_well(process, how):
    remote = process.device()
    poll = waiting(remote, remote.listing(None, 1).cursor)
    remote.identify()
    if how == "the parent's end":
        process.process.stdin.close()
        process.process.stdin = None
    else:
        process.process.send_signal(getattr(signal, how))
    code, out, err = process.ended()
    assert (code, out, err) == (0, "ended well\n", "")
    with pytest.raises(Offline):
        poll.result(5)
    with pytest.raises(Offline):
        remote.identify()
    remote.close()


def test_a_stop_tells_those_who_wait_when_to_come_back(tmp_path):
    with served(tmp_path / "hub") as made:
        remote = made.device()
        poll = waiting(remote, remote.listing(None, 1).cursor)
        until(lambda: made.hub.bell._callbacks, POLL_WAITS)
        made.stop()
        with pytest.raises(Offline, match="stopping") as told:
            poll.result(5)
        assert told.value.retry_after == 2
        remote.close()


def test_p4_a_commit_under_way_is_finished_before_the_server_ends(tmp_path):
    with served(tmp_path / "hub") as made:
        remote = made.device()
        key, entered, go = b"k" * 16, threading.Event(), threading.Event()
        authenticate = made.hub.authenticate

        class Slow:
            def authenticate(self, token):
                session = authenticate(token)
                commit = session.commit

                def slow(batch):
                    entered.set()
                    assert go.wait(10)
                    return commit(batch)

                session.commit = slow
                return session

        made.server._api.core = Slow()
        content = Content(blake3(b"").digest(), 0)
        outcomes: list[object] = []
        creation = Create(key, b"n" * 16, ROOT_ID, "a", Kind.FILE, content=content)
        writer = threading.Thread(target=lambda: outcomes.extend(remote.commit([creation])))
        writer.start()
        assert entered.wait(10)
        made.server.stop()
        until(lambda: on_loop(made.server, made.server._api._stopping.is_set), "the server is stopping")
        go.set()
        writer.join(10)
        made.thread.join(10)
        assert [outcome.verdict for outcome in outcomes] == [Verdict.DONE]
        remote.close()


@pytest.mark.parametrize(
    "failing", [1, 2, 4, 5], ids=["the first group", "one that came meanwhile", "the last", "the end"]
)
def test_p4_an_upload_is_answered_only_when_all_of_it_is_stored(tmp_path, monkeypatch, failing):
    """Groups arrive while the one before is written, and become durable together: one that fails fails the upload."""
    with served(tmp_path / "hub") as made:
        remote = made.device()
        add, finish, calls = FolderWriter.add, FolderWriter.finish, []

        def called():
            calls.append(len(calls) + 1)
            if len(calls) == failing:
                raise NoSpace("the hub's disk is full; free some space there")

        monkeypatch.setattr(FolderWriter, "add", lambda self, blobs: (called(), add(self, blobs))[1])
        monkeypatch.setattr(FolderWriter, "finish", lambda self: (called(), finish(self))[1])
        remote._transfer._up.pace.part_bytes = MOST_BYTES  # a fast link's: one request
        chunks = [(blake3(data).digest(), data) for data in (bytes([n]) * (1 << 20) for n in range(8))]
        with pytest.raises(Transient, match="full"):
            remote.put_chunks(chunks)
        assert calls[-1] == failing, "nothing is added to what failed"
        assert [path for path in (tmp_path / "hub" / "chunks").rglob("*") if path.is_file()] == []
        monkeypatch.undo()
        remote.put_chunks(chunks)
        assert remote.missing([digest for digest, _ in chunks]) == []
        remote.close()


def test_transfers_that_hang_do_not_hold_up_the_end(tmp_path, caplog):
    with served(tmp_path / "hub") as made:
        remote = made.device()
        chunks = [(blake3(data).digest(), data) for data in (bytes([n]) * (4 << 20) for n in range(8))]
        remote.put_chunks(chunks)
        taken = remote.get_chunks([chunk_hash for chunk_hash, _ in chunks])
        next(taken)
        token = made.hub.enroll(made.invite().secret, "raw").token
        with socket.create_connection(("127.0.0.1", made.ready.port), 10) as upload:
            upload.sendall(
                b"POST /v1/commit HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n"
                b"authorization: Bearer %s\r\n\r\n{" % token.encode()
            )
            tasks = made.server._server.server_state.tasks
            until(lambda: on_loop(made.server, lambda: len(tasks)) == 2, "both requests are under way")
            made.stop(within=5)
            assert upload.recv(65536).startswith(b"HTTP/1.1 503 ")
        taken.close()
        assert [record for record in caplog.records if record.exc_info] == []
        remote.close()


def test_idle_with_a_long_poll_nothing_is_scheduled_but_its_end(tmp_path):
    with served(tmp_path / "hub") as made:
        remote = made.device()
        cursor = remote.listing(None, 1).cursor
        poll = waiting(remote, cursor)
        until(lambda: made.hub.bell._callbacks, POLL_WAITS)
        soon = sorted(timers(made.server))
        # What is left: the ends of connections that idle, and of the poll; nothing in the next half minute.
        assert soon
        assert soon[0] > 30
        made.stop()
        with pytest.raises(Offline):
            poll.result(5)
        remote.close()


@told_by_the_kernel
def test_idle_with_a_long_poll_the_process_never_wakes(process):
    remote = process.device()
    cursor = remote.listing(None, 1).cursor
    pid = process.process.pid
    opened = len(os.listdir(f"/proc/{pid}/fd"))
    poll = waiting(remote, cursor)
    until(lambda: len(os.listdir(f"/proc/{pid}/fd")) > opened, "the connection of the poll")
    # Were there a tick of ten a second, some thread would always sleep a tenth of one at most.
    until(lambda: min(seconds_until_it_wakes(pid, each) for each in threads(pid)) > 25, "all threads sleep for long")
    assert not poll.done()
    process.process.send_signal(signal.SIGTERM)
    with pytest.raises(Offline):
        poll.result(5)
    remote.close()


def test_a_poll_whose_client_went_away_is_forgotten(tmp_path):
    with served(tmp_path / "hub") as made:
        remote = made.device()
        poll = waiting(remote, remote.listing(None, 1).cursor)
        until(lambda: made.hub.bell._callbacks, POLL_WAITS)
        remote.close()  # also: closing ends a call that waits in another thread
        with pytest.raises(Offline):
            poll.result(5)
        until(lambda: not made.hub.bell._callbacks, "the poll is forgotten")


# --- TLS ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def sealed(tmp_path):
    with served(tmp_path / "hub", Listen("0.0.0.0")) as made:
        yield made


def test_beyond_loopback_the_hub_speaks_tls_with_the_pin_of_its_invite(sealed):
    assert sealed.ready.pin is not None
    remote = sealed.device()
    assert remote.identify().space == "home"
    chunk = (blake3(b"x" * 500_000).digest(), b"x" * 500_000)
    remote.put_chunks([chunk])
    assert list(remote.get_chunks([chunk[0]])) == [chunk]
    poll = waiting(remote, remote.listing(None, 1).cursor)
    until(lambda: sealed.hub.bell._callbacks, POLL_WAITS)
    remote.close()
    with pytest.raises(Offline):
        poll.result(5)


def test_a_pin_of_another_certificate_is_refused_before_any_secret_is_sent(sealed):
    address = HubAddress("127.0.0.1", sealed.ready.port, "home", "0" * 64)
    with pytest.raises(OtherRemote, match="certificate"):
        HubRemote.enroll(Invite(address, sealed.invite().secret), "d")
    with pytest.raises(OtherRemote):
        HubRemote(address, "token").identify()


def test_a_certificate_that_changes_later_is_refused_on_the_next_connection(sealed, tmp_path):
    remote = sealed.device()
    remote.identify()
    port = sealed.ready.port
    sealed.stop()
    (tmp_path / "other").mkdir()
    with served(tmp_path / "other", Listen("0.0.0.0", port)), pytest.raises(OtherRemote, match="certificate"):
        remote.identify()
    remote.close()


def test_plain_http_to_a_sealed_hub_and_tls_to_a_plain_one_fail_clearly(sealed, tmp_path):
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        HubRemote(HubAddress("127.0.0.1", sealed.ready.port, "home"), "token").identify()
    with served(tmp_path / "plain") as plain, pytest.raises(Refused, match="TLS"):
        HubRemote(HubAddress("127.0.0.1", plain.ready.port, "home", "0" * 64), "token").identify()


def test_plain_http_beyond_loopback_needs_to_be_asked_for(tmp_path):
    with served(tmp_path / "hub", Listen("0.0.0.0"), insecure=True) as made:
        assert made.ready.pin is None
        connection = http.client.HTTPConnection("127.0.0.1", made.ready.port, timeout=5)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()


def test_the_certificate_is_made_once_kept_private_and_lasts(tmp_path):
    clock = FakeClock(time.time())
    first = certificate(tmp_path, clock)
    assert certificate(tmp_path, clock) == first
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / FILE]
    pem = (tmp_path / FILE).read_text()
    der = ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERTIFICATE") :])
    assert hashlib.sha256(der).hexdigest() == first.pin
    from cryptography import x509

    parsed = x509.load_der_x509_certificate(der)
    assert parsed.not_valid_after_utc.timestamp() - clock.now() > (YEARS - 1) * 365 * 86400


def test_a_damaged_certificate_is_refused_and_never_replaced(tmp_path):
    (tmp_path / FILE).write_text("nonsense")
    with pytest.raises(Refused, match="damaged"):
        certificate(tmp_path, FakeClock())
    assert (tmp_path / FILE).read_text() == "nonsense"


# --- where to listen -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8383", Listen("127.0.0.1", 8383)),
        ("[::1]:0", Listen("::1", 0)),
        ("localhost", Listen("localhost", 7)),
        ("[::]", Listen("::", 7)),
    ],
)
def test_parse_listen(text, expected):
    assert parse_listen(text, 7) == expected


@pytest.mark.parametrize("text", ["", ":80", "::1", "::1:80", "[::1", "[::1]80", "h:x", "h:65536", "h:-1"])
def test_parse_listen_declines(text):
    with pytest.raises(Usage):
        parse_listen(text)


def test_a_taken_port_and_an_impossible_address_are_one_line(tmp_path):
    with served(tmp_path / "hub") as made:
        for listen in (Listen("127.0.0.1", made.ready.port), Listen("203.0.113.1", 0), Listen("no.such.host.invalid")):
            with pytest.raises(Usage, match="cannot listen on"):
                HubServer(made.hub, listen, data_dir=tmp_path, clock=FakeClock(), insecure=True)


def test_ipv6_loopback_works_like_the_other(tmp_path):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with served(tmp_path / "hub", Listen("::1")) as made:
        made.hub.create_space("home")
        address = made.address(host="::1")
        enrolled = HubRemote.enroll(Invite(address, made.hub.invite("home")), "d")
        remote = HubRemote(address, enrolled.token)
        assert remote.identify() == enrolled.identity
        remote.close()
    assert os.listdir(tmp_path / "hub").count(FILE) == 0  # loopback needs no certificate


def test_a_wrong_token_is_refused(tmp_path):
    with served(tmp_path / "hub") as made:
        remote = HubRemote(made.address(), "wrong")
        with pytest.raises(NotAuthorised):
            remote.identify()
        remote.close()
    with pytest.raises(NotAuthorised):
        HubRemote(made.address(), "with\nnewline")
