"""What becomes of a transfer over several connections when they are cut, or the hub goes, in the middle of it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from blake3 import blake3

from syncd.adapters.hub_remote import HubRemote
from syncd.adapters.hub_spread import FIRST_BYTES, MOST_BYTES, Spread
from syncd.hub.blobs import Receiving
from syncd.model.errors import Offline
from tests.contract.serving import Served, served
from tests.end_to_end.proxy import Proxy
from tests.waiting import until

LONG = 20.0
STREAMS = 4
SIZE = 32 << 10
CHUNKS = [(blake3(data).digest(), data) for data in (number.to_bytes(2, "big") * (SIZE // 2) for number in range(96))]
HASHES = [chunk_hash for chunk_hash, _ in CHUNKS]
AWAY = 0.05
"""Seconds to the hub: so a connection carries too little to be enough by itself."""


@pytest.fixture
def far_hub(tmp_path: Path) -> Iterator[tuple[Proxy, HubRemote]]:
    with served(tmp_path / "hub") as made, between(made.ready.port) as proxy:
        remote = beyond(made, proxy)
        proxy.weather.delay = AWAY
        for spread in (remote._transfer._up, remote._transfer._down):
            several(spread)
        yield proxy, remote
        remote.close()


def beyond(hub: Served, proxy: Proxy) -> HubRemote:
    """Return a device of *hub* that speaks to it through *proxy*."""
    token = HubRemote.enroll(hub.invite(), "far away").token
    return HubRemote(replace(hub.address(), port=proxy.port), token)


@contextmanager
def between(port: int) -> Iterator[Proxy]:
    proxy = Proxy(port)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        thread.join(LONG)
        proxy.server_close()


def several(spread: Spread) -> None:
    """It is known to be far: four connections, and requests of a few chunks."""
    spread.pace.streams, spread.pace.part_bytes, spread.pace._growing = STREAMS, FIRST_BYTES, False
    spread.pace._settled_at = time.monotonic()


def when(proxy: Proxy, passed: int, act: Callable[[], None]) -> threading.Thread:
    """Do it as soon as so many requests more went on to the hub."""
    before = len(proxy.weather.passed)

    def wait() -> None:
        until(lambda: len(proxy.weather.passed) >= before + passed, "the requests are under way")
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_what_is_sent_is_taken_as_there_is_room_for_it(tmp_path, monkeypatch):
    """A file of 100 GB is never in memory, however slow the hub is."""
    with served(tmp_path / "hub") as made:
        remote = HubRemote(made.address(), HubRemote.enroll(made.invite(), "near").token)
        remote._transfer._up.pace.streams, remote._transfer._up.pace.part_bytes = 2, MOST_BYTES
        go, adding, taken, add = threading.Event(), [], [], Receiving.add

        def late(self, chunks):
            adding.append(chunks)
            assert go.wait(30)
            add(self, chunks)

        def chunks():
            for number in range(80):
                data = number.to_bytes(2, "big") * (1 << 19)
                taken.append(number)
                yield blake3(data).digest(), data

        monkeypatch.setattr(Receiving, "add", late)
        sender = threading.Thread(target=remote.put_chunks, args=(chunks(),))
        sender.start()
        until(lambda: len(adding) == 2 and len(taken) > 16, "two requests are under way, and the next is made")
        assert len(taken) <= 4 * (MOST_BYTES >> 20)
        go.set()
        sender.join(60)
        assert len(taken) == 80
        remote.close()


def test_an_upload_of_which_one_request_is_cut_fails_and_goes_on_with_what_is_missing(far_hub):
    proxy, remote = far_hub
    proxy.weather.cut_requests = 1
    with pytest.raises(Offline):
        remote.put_chunks(CHUNKS)
    missing = remote.missing(HASHES)
    assert 0 < len(missing) < len(CHUNKS)
    remote.put_chunks([chunk for chunk in CHUNKS if chunk[0] in missing])
    assert remote.missing(HASHES) == []
    assert list(remote.get_chunks(HASHES)) == CHUNKS


def test_an_upload_whose_connections_are_all_cut_at_once(far_hub):
    proxy, remote = far_hub
    cutter = when(proxy, STREAMS + 1, proxy.sever)
    with pytest.raises(Offline):
        remote.put_chunks(CHUNKS)
    cutter.join()
    remote.put_chunks([chunk for chunk in CHUNKS if chunk[0] in remote.missing(HASHES)])
    assert list(remote.get_chunks(HASHES)) == CHUNKS


def test_a_reply_that_is_lost_is_an_upload_that_happened(far_hub):
    proxy, remote = far_hub
    proxy.weather.swallow = 1
    with pytest.raises(Offline):
        remote.put_chunks(CHUNKS[:16])
    until(lambda: not remote.missing(HASHES[:16]), "what other connections brought is stored as well")


@pytest.mark.parametrize("cuts", [1, 3])
def test_a_download_is_taken_up_where_its_connections_were_cut(far_hub, cuts):
    proxy, remote = far_hub
    remote.put_chunks(CHUNKS)
    several(remote._transfer._down)
    proxy.weather.cut_answers = cuts
    assert list(remote.get_chunks(HASHES)) == CHUNKS
    assert proxy.weather.cut_answers == 0


def test_a_download_whose_connections_are_all_cut_at_once(far_hub):
    proxy, remote = far_hub
    remote.put_chunks(CHUNKS)
    several(remote._transfer._down)
    cutter = when(proxy, STREAMS + 1, proxy.sever)
    assert list(remote.get_chunks(HASHES)) == CHUNKS
    cutter.join()


def test_the_hub_goes_and_another_one_comes_from_the_same_folder(tmp_path):
    with served(tmp_path / "hub") as first, between(first.ready.port) as proxy:
        remote = beyond(first, proxy)
        proxy.weather.delay = AWAY
        several(remote._transfer._up)
        gone = when(proxy, STREAMS + 1, first.server.stop)
        with pytest.raises(Offline):
            remote.put_chunks(CHUNKS)
        gone.join()
        first.stop(LONG)
        with served(tmp_path / "hub") as second:
            proxy.upstream = second.ready.port
            remote.put_chunks([chunk for chunk in CHUNKS if chunk[0] in remote.missing(HASHES)])
            assert list(remote.get_chunks(HASHES)) == CHUNKS
            remote.close()
