"""The hub's API as a stranger sees it: bounds, faults, ranges, and a description that does not lie."""

import contextlib
import http.client
import json
import random
import re
import socket
import struct
import time
from base64 import b64encode

import pytest

from syncd.hub import api_chunks, api_io, api_routes
from syncd.hub.api import HubApi
from syncd.hub.api_chunks import ChunkApi
from syncd.hub.api_lanes import Lanes
from syncd.model import wire
from syncd.model.errors import NoSpace, Transient
from syncd.quiet import MAX_HEAD
from tests.contract.serving import served
from tests.hub.conftest import h


class Client:
    """Plain HTTP, with the token of a device."""

    def __init__(self, made):
        self.made = made
        self.token = made.hub.enroll(made.invite().secret, "raw").token

    def ask(self, method, path, body=None, token=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.made.ready.port, timeout=10)
        try:
            sent = {"authorization": f"Bearer {token or self.token}"} if token != "" else {}
            connection.request(method, path, body, {**sent, **headers})
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        finally:
            connection.close()

    def fault(self, *args, **more):
        status, headers, body = self.ask(*args, **more)
        said = json.loads(body)
        assert set(said) == {"error", "detail"}
        assert "\n" not in said["detail"]
        assert "Traceback" not in said["detail"]
        assert wire.STATUS[wire.Fault(said["error"])] == status
        return status, said["error"], headers


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with served(tmp_path_factory.mktemp("api") / "hub") as made:
        yield Client(made)


def frames(*chunks):
    return b"".join(wire.encode_frames(chunks))


JSON_POSTS = ["/v1/commit", "/v1/outcomes", "/v1/look", "/v1/chunks/missing", "/v1/chunks/fetch"]
NEED_TOKEN = [
    *[("POST", path) for path in (*JSON_POSTS, "/v1/chunks")],
    ("GET", "/v1/space"),
    ("GET", "/v1/changes?cursor=x"),
    ("GET", "/v1/wait?cursor=x"),
    ("GET", "/v1/listing"),
    ("GET", f"/v1/history/{'0' * 32}"),
    ("GET", f"/v1/chunks/{'0' * 64}"),
    ("GET", f"/v1/manifests/{'0' * 64}"),
    ("PUT", f"/v1/manifests/{'0' * 64}"),
]


@pytest.mark.parametrize("token", ["", "wrong", "00" * 16 + ".wrong", "x" * 600])
@pytest.mark.parametrize(("method", "path"), NEED_TOKEN)
def test_without_a_good_token_nothing_is_answered(client, method, path, token):
    assert client.fault(method, path, token=token)[:2] == (401, "not-authorised")


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        pytest.param("GET", "/", None, (404, "no-such-path"), id="no such path"),
        pytest.param("GET", "/v1/commit", None, (405, "wrong-method"), id="wrong method"),
        pytest.param("GET", "/v1/changes", None, (400, "nonsense"), id="no cursor"),
        pytest.param("GET", "/v1/changes?cursor=nonsense", None, None, id="a cursor nobody made"),
        pytest.param("GET", "/v1/changes?cursor=" + "x" * 2000, None, (400, "nonsense"), id="endless cursor"),
        pytest.param("GET", "/v1/listing?limit=many", None, (400, "nonsense"), id="a limit that is no number"),
        pytest.param("GET", "/v1/wait?cursor=x&seconds=nan", None, (400, "nonsense"), id="not a time"),
        pytest.param("GET", "/v1/history/zz", None, (400, "nonsense"), id="an id that is not hex"),
        pytest.param("GET", "/v1/chunks/00", None, (400, "nonsense"), id="a short hash"),
        pytest.param("POST", "/v1/commit", b"{", (400, "nonsense"), id="cut JSON"),
        pytest.param("POST", "/v1/commit", b"\xff", (400, "nonsense"), id="not UTF-8"),
        pytest.param("POST", "/v1/commit", b'{"batch":{}}', (400, "nonsense"), id="wrong type"),
        pytest.param("POST", "/v1/commit", b'{"batch":[],"force":true}', (400, "nonsense"), id="unknown field"),
        pytest.param("POST", "/v1/commit", b'{"batch":[{"type":"wipe"}]}', (400, "nonsense"), id="unknown mutation"),
        pytest.param("POST", "/v1/commit", b"[" * 100_000, (400, "nonsense"), id="deep nesting"),
        pytest.param("POST", "/v1/look", b'{"node_ids":["AAAA"]}', (400, "nonsense"), id="a short id"),
        pytest.param("POST", "/v1/outcomes", b'{"keys":[7]}', (400, "nonsense"), id="a number for a key"),
        pytest.param("POST", "/v1/chunks/missing", b'{"hashes":["AAAA"]}', (400, "nonsense"), id="not a hash"),
        pytest.param("POST", "/v1/chunks", b"", (400, "nonsense"), id="no frames"),
        pytest.param("POST", "/v1/chunks", b"\0\0\0\2" + b"x" * 40, (400, "nonsense"), id="cut frames"),
        pytest.param("POST", "/v1/chunks", frames((h(b"a"), b"a")) + b"?", (400, "nonsense"), id="more than it says"),
        pytest.param("POST", "/v1/chunks", b"\xff" * 40, (400, "nonsense"), id="endless count"),
        pytest.param("POST", "/v1/chunks", frames((h(b"b"), b"a")), (422, "corrupt"), id="a wrong hash"),
        pytest.param("PUT", f"/v1/manifests/{'0' * 64}", b"?", (422, "corrupt"), id="not a manifest"),
        pytest.param("POST", "/v1/enroll", b'{"secret":"x"}', (400, "nonsense"), id="no device name"),
        pytest.param("POST", "/v1/enroll", b'{"secret":"x","device":"d"}', (401, "not-authorised"), id="no invite"),
    ],
)
def test_nonsense_is_answered_with_one_line(client, method, path, body, expected):
    status, error, _ = client.fault(method, path, body)
    assert expected is None or (status, error) == expected
    assert status < 500


def test_an_invite_is_good_once(client):
    body = json.dumps({"secret": client.made.invite().secret, "device": "d"})
    assert client.ask("POST", "/v1/enroll", body, token="")[0] == 200
    assert client.fault("POST", "/v1/enroll", body, token="")[:2] == (401, "not-authorised")


@pytest.mark.parametrize(
    ("path", "limit"),
    [("/v1/commit", wire.MAX_JSON), ("/v1/chunks", wire.MAX_UPLOAD), ("/v1/enroll", 65536)],
)
def test_a_body_over_the_limit_is_refused_by_its_head(client, path, limit):
    status, error, _ = client.fault("POST", path, b"", **{"content-length": str(limit + 1)})
    assert (status, error) == (413, "too-large")


def raw(made, head, body_pieces, seconds=10):
    """Send a request piece by piece until the server answers; return all it says."""
    with socket.create_connection(("127.0.0.1", made.ready.port), seconds) as connection:
        connection.sendall(head)
        sent = 0
        try:
            for piece in body_pieces:
                connection.sendall(piece)
                sent += len(piece)
        except OSError:
            pass
        connection.settimeout(seconds)
        said = b""
        while data := connection.recv(65536):
            said += data
        return said, sent


def test_an_endless_body_without_a_length_is_refused_while_it_is_read(client):
    head = (
        f"POST /v1/commit HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {client.token}\r\n"
        "transfer-encoding: chunked\r\n\r\n"
    ).encode()
    piece = b"%x\r\n%s\r\n" % (1 << 20, b"[" * (1 << 20))
    said, _ = raw(client.made, head, (piece for _ in range(10)))
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b'"too-large"' in said


def slowly(pieces, pause):
    for piece in pieces:
        time.sleep(pause)
        yield piece


@pytest.mark.parametrize(
    ("body", "pause"),
    [pytest.param((), 0.0, id="none comes"), pytest.param([b"["] * 60, 0.05, id="it dribbles")],
)
def test_a_body_that_comes_too_slowly_is_refused(client, monkeypatch, body, pause):
    """Else a few clients that say nothing hold every place for uploads."""
    monkeypatch.setattr(api_io, "PIECE_SECONDS", 0.3)
    monkeypatch.setattr(api_io, "SLOWEST", 1 << 40)
    head = (
        f"POST /v1/commit HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {client.token}\r\ncontent-length: 100\r\n\r\n"
    ).encode()
    said, sent = raw(client.made, head, slowly(body, pause), seconds=5)
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b'"too-slow"' in said
    assert sent < 60


def test_a_download_whose_client_takes_nothing_is_let_go(client, monkeypatch):
    monkeypatch.setattr(api_chunks, "PIECE_SECONDS", 0.1)
    chunks = [random.Random(number).randbytes(1 << 20) for number in range(32)]
    client.made.hub.authenticate(client.token).put_chunks([(h(data), data) for data in chunks])
    body = json.dumps({"hashes": [b64encode(h(data)).decode() for data in chunks]}).encode()
    head = (
        f"POST /v1/chunks/fetch HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {client.token}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", client.made.ready.port), 10) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(head + body)
        time.sleep(1.0)
        taken = 0
        with contextlib.suppress(OSError):
            while data := connection.recv(1 << 20):
                taken += len(data)
    assert taken < sum(map(len, chunks)), "it was cut: the client resumes with what is left"


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /" + b"x" * (MAX_HEAD + 1), id="endless path"),
        pytest.param(b"GET / HTTP/1.1\r\nx: " + b"y" * (MAX_HEAD + 1), id="endless header"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000, id="endless headers"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", id="TLS where there is none"),
        pytest.param(b"nonsense\r\n\r\n", id="not HTTP"),
    ],
)
def test_a_head_that_never_ends_or_makes_no_sense_is_refused(client, head):
    said, _ = raw(client.made, head, ())
    assert said.startswith(b"HTTP/1.1 400 ")
    assert b'"nonsense"' in said


def test_a_reply_is_one_segment(client):
    with socket.create_connection(("127.0.0.1", client.made.ready.port), 10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connection.recv(65536).endswith(b'{"status":"ok"}')


def test_too_many_things_in_one_request_are_refused(client):
    ids = [b64encode(number.to_bytes(16, "big")).decode() for number in range(wire.MAX_BATCH + 1)]
    assert client.fault("POST", "/v1/look", json.dumps({"node_ids": ids}))[0] == 400
    hashes = [b64encode(number.to_bytes(32, "big")).decode() for number in range(wire.MAX_FRAMES + 1)]
    assert client.fault("POST", "/v1/chunks/fetch", json.dumps({"hashes": hashes}))[0] == 400


DATA = bytes(range(256)) * 40
SIZE = len(DATA)


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [
        pytest.param("bytes=0-99", 206, 0, 100, id="the beginning"),
        pytest.param("bytes=100-", 206, 100, SIZE, id="the rest"),
        pytest.param("bytes=-10", 206, SIZE - 10, SIZE, id="the end"),
        pytest.param("bytes=5-5", 206, 5, 6, id="one byte"),
        pytest.param("bytes=100-999999", 206, 100, SIZE, id="more than there is"),
        pytest.param(None, 200, 0, SIZE, id="no range"),
        pytest.param("lines=1-2", 200, 0, SIZE, id="another unit is ignored"),
        pytest.param("bytes=0-1,5-6", 200, 0, SIZE, id="several ranges are ignored"),
    ],
)
def test_ranges_of_a_chunk(client, asked, status, start, end):
    assert client.ask("POST", "/v1/chunks", frames((h(DATA), DATA)))[0] == 200
    headers = {} if asked is None else {"range": asked}
    got = client.ask("GET", f"/v1/chunks/{h(DATA).hex()}", **headers)
    assert (got[0], got[2]) == (status, DATA[start:end])
    if status == 206:
        assert got[1]["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"


@pytest.mark.parametrize("asked", ["bytes=99999-", "bytes=9-8", "bytes=-0"])
def test_a_range_outside_a_chunk_is_refused(client, asked):
    client.ask("POST", "/v1/chunks", frames((h(DATA), DATA)))
    assert client.fault("GET", f"/v1/chunks/{h(DATA).hex()}", range=asked)[:2] == (416, "bad-range")


def test_a_chunk_that_vanishes_during_a_download_ends_the_stream_with_its_hash(client, monkeypatch):
    class Vanishing:
        space_id = "s"

        def get_chunks(self, hashes):
            from syncd.model.errors import Outdated

            yield hashes[0], b"1"
            raise Outdated("collected")

    core = type("Core", (), {"authenticate": lambda self, token: Vanishing()})()
    monkeypatch.setattr(client.made.server._api, "core", core)
    body = json.dumps({"hashes": [b64encode(h(data)).decode() for data in (b"1", b"2", b"3")]})
    status, _, said = client.ask("POST", "/v1/chunks/fetch", body)
    reader = wire.FrameReader(9)
    assert (status, reader.feed(said)) == (200, [(h(b"1"), b"1")])
    assert reader.gone == h(b"2")


@pytest.mark.parametrize(
    ("error", "expected", "wait"),
    [
        pytest.param(RuntimeError("secret inside"), (500, "internal"), "30", id="a bug"),
        pytest.param(OSError(5, "I/O error"), (500, "internal"), "30", id="a disk that fails"),
        pytest.param(NoSpace("the hub's disk is full"), (507, "no-space"), "60", id="a full disk"),
        pytest.param(Transient("busy", 7), (503, "unavailable"), "7", id="busy"),
    ],
)
def test_a_failing_hub_says_so_without_a_traceback(client, monkeypatch, error, expected, wait):
    class Failing:
        def authenticate(self, token):
            raise error

    monkeypatch.setattr(client.made.server._api, "core", Failing())
    status, code, headers = client.fault("GET", "/v1/space")
    assert ((status, code), headers["retry-after"]) == (expected, wait)
    assert b"secret" not in client.ask("GET", "/v1/space")[2]


def test_the_description_lists_every_route_and_every_type(client):
    status, _, body = client.ask("GET", "/openapi.json", token="")
    said = json.loads(body)
    assert (status, said["openapi"]) == (200, "3.1.0")
    application = client.made.server._server.config.app
    served_paths = {(path.path, method.lower()) for path in application.routes for method in path.methods - {"HEAD"}}
    described = {(path, method) for path, methods in said["paths"].items() for method in methods}
    assert described == served_paths
    assert len(described) == 17
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', body.decode()))
    assert references <= set(said["components"]["schemas"])
    assert {"Create", "Edit", "Moves", "Delete", "Outcome", "RemoteNode", "FaultReply"} <= references
    commit = said["paths"]["/v1/commit"]["post"]
    assert "413" in commit["responses"]
    assert said["paths"]["/v1/changes"]["get"]["parameters"][0]["required"] is True
    assert "206" in said["paths"]["/v1/chunks/{hash}"]["get"]["responses"]


def test_every_fault_has_a_status_and_every_status_is_described():
    assert set(wire.STATUS) == set(wire.Fault)
    lanes = Lanes()
    api = HubApi(None, lanes)
    described = api_routes.describe(api_routes.endpoints(api, ChunkApi(api)))
    statuses = {int(code) for item in described["paths"].values() for op in item.values() for code in op["responses"]}
    lanes.close()
    # 405 and the 404 of an unknown path belong to no path.
    assert {wire.STATUS[fault] for fault in wire.Fault} - {405} <= statuses


def test_the_health_check_needs_no_token(client):
    assert client.ask("GET", "/healthz", token="")[::2] == (200, b'{"status":"ok"}')


def test_frames_are_taken_apart_however_they_arrive():
    chunks = [(h(data), data) for data in (b"", b"a", b"b" * 5000)]
    stream = frames(*chunks)
    for step in (1, 7, 4096, len(stream)):
        reader, found = wire.FrameReader(9), []
        for start in range(0, len(stream), step):
            assert not reader.complete
            found += reader.feed(stream[start : start + step])
        assert (found, reader.complete) == (chunks, True)
    assert struct.unpack(">I", stream[:4]) == (3,)
