"""The benchmarks themselves, with real processes at a size that is over in a moment: every figure must come about."""

import os
import socket
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from bench import floors, parts_devices
from bench.book import FLOOR, OURS, Book
from bench.far import Far
from bench.ground import Ground
from bench.pairs import Pair, Tool
from bench.plan import FULL, Bench
from bench.plot import plot
from bench.rig import Failed, until
from bench.run import measure
from bench.sampled import Sampler
from bench.trees import count, insert_byte, large, overwrite, small_files, tree
from bench.wire import Relay, Tap, Wire

SIZES = {**FULL, "small": 30, "large": 1 << 20, "patch": 1 << 10, "saves": 3, "settle": 0}


class Broken(Tool):
    """A peer that never does anything."""

    name: ClassVar[str] = "broken"
    note: ClassVar[str] = "does nothing"

    @staticmethod
    def version() -> str | None:
        return "1"

    def open(self) -> None:
        pass

    def call(self) -> None:
        pass

    def index(self, files: int) -> None:
        raise Failed("no")


@pytest.fixture
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:  # short: it will hold sockets
        yield Path(folder)


def bench(scratch: Path, *rows: str, peers: tuple[type[Pair], ...] = ()) -> Bench:
    ground = Ground(scratch, plain=True)
    return Bench(ground, Book("small", SIZES, ground.conditions()), frozenset(rows), peers, 1, say=lambda _: None)


def test_small_files_and_the_renamed_folder_from_end_to_end(scratch: Path) -> None:
    run = bench(scratch, "small", "rename", peers=(Broken,))
    measure(run)
    book = run.book
    assert [line.who for line in book.of_row("small")] == [FLOOR, "floor, fsync each", OURS, "broken"]
    assert [line.who for line in book.of_row("rename")] == [FLOOR, OURS]
    for row, least in (("small", 30 * 4096), ("rename", 100)):
        ours = book.find(row, OURS)
        assert ours is not None
        assert set(ours.figures) == {"time", "up", "down", "wire"}
        assert all(len(samples) == 1 for samples in ours.figures.values())
        assert 0 < ours.figures["time"][0] < 60
        assert ours.figures["up"][0] > least
        assert ours.figures["down"][0] > least
    assert book.troubles == ["small, broken: broken ended, but its work is not done"]
    assert not list(scratch.iterdir()), "places are not taken away"


def test_saves_from_end_to_end(scratch: Path) -> None:
    run = bench(scratch, "latency")
    measure(run)
    assert run.book.troubles == []
    for who in (FLOOR, OURS):
        line = run.book.find("latency", who)
        assert line is not None
        assert len(line.figures["time"]) == SIZES["saves"]
        assert all(0 < took < 30 for took in line.figures["time"])


def test_a_life_of_three_sizes_from_end_to_end(scratch: Path, tmp_path: Path) -> None:
    run = bench(scratch, "growth", "rename-million", "upload-million")
    run.book.sizes |= {"small": 10, "many": 20, "million": 30, "few": 5}
    measure(run)
    assert run.book.troubles == []
    for files in (10, 20, 30):
        line = run.book.find("growth", f"{files} files")
        assert line is not None
        assert set(line.figures) == {"index", "upload", "rescan", "clone", "memory of B", "rename", "rebuild"}
    for row in ("rename-million", "upload-million"):
        ours = run.book.find(row, OURS)
        assert ours is not None
        assert 0 < ours.figures["time"][0] < 60
    plot(run.book, tmp_path / "growth.svg")
    assert {"index", "clone", "30"} <= set(ET.parse(tmp_path / "growth.svg").getroot().itertext())


def test_many_devices_from_end_to_end(scratch: Path) -> None:
    run = bench(scratch, "devices")
    run.book.sizes |= {"devices": 4, "idle": 1}
    measure(run)
    assert run.book.troubles == []
    ours = run.book.find("devices", OURS)
    assert ours is not None
    assert len(ours.figures["time"]) == len(ours.figures["until one of them knows"]) == parts_devices.WAVES
    assert all(0 < took < 30 for took in ours.figures["time"])
    assert ours.figures["commits/s"][0] > 0


def test_a_far_link_from_end_to_end(scratch: Path) -> None:
    run = bench(scratch, "link")
    run.book.sizes |= {"link": 3, "link file": 3_000_000}
    measure(run)
    assert run.book.troubles == []
    ours, floor = run.book.find("link", OURS), run.book.find("link", FLOOR)
    assert ours is not None
    assert floor is not None
    assert ours.figures["time"][0] > floor.figures["time"][0]
    assert ours.figures["connections"][0] > 5, "a far link is used with several connections"


def test_a_far_link_delays_and_shares_its_rate() -> None:
    """Two connections get what each may carry, or a half of the link's rate."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = Far(0.2, 0.01, 120_000)
        port = far.dial(server.getsockname()[1])
        assert 80_000 < far.connection_rate < 100_000
        threads = [threading.Thread(target=_answer, args=(server,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        clients = [socket.create_connection(("127.0.0.1", port), 10) for _ in threads]
        began = time.monotonic()
        for client in clients:
            client.sendall(b"u" * 100_000)
        got = 0
        for client in clients:
            while data := client.recv(65536):
                got += len(data)
        took = time.monotonic() - began
        for thread in threads:
            thread.join(10)
        for client in clients:
            client.close()
        far.close()
    assert got == 100_000
    assert (far.up, far.down, far.connections) == (200_000, 100_000, 2)
    assert took > 200_000 / 120_000 + 100_000 / 120_000


def test_the_floor_of_many_files_copies_them(tmp_path: Path) -> None:
    small_files(tmp_path / "a", 25, 100, each=10)
    assert floors.copy_tree(tmp_path / "a", tmp_path / "b") > 0
    assert floors.copy_tree(tmp_path / "a", tmp_path / "c", each=True) > 0
    assert tree(tmp_path / "a") == tree(tmp_path / "b") == tree(tmp_path / "c")
    assert count(tmp_path / "a") == 25
    assert len(tree(tmp_path / "a")) == 28
    assert floors.look(tmp_path / "a") > 0
    assert floors.hash_tree(tmp_path / "a") > 0


def test_trees_and_files_are_the_same_each_time(tmp_path: Path) -> None:
    for name in "ab":
        small_files(tmp_path / name, 12, 50)
        large(tmp_path / name / "large", 2_500_000, seed=3)
        insert_byte(tmp_path / name / "large", 1_000_000)
        overwrite(tmp_path / name / "large", 10, b"written")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    data = (tmp_path / "a" / "large").read_bytes()
    assert (len(data), data[10:17], data[1_000_000:1_000_001]) == (2_500_001, b"written", b"x")


@pytest.mark.parametrize(
    "make",
    [
        Relay,
        pytest.param(Tap, marks=pytest.mark.skipif(os.geteuid() != 0, reason="packets are for root")),
    ],
)
def test_a_wire_counts_each_direction(make: type[Wire]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        wire = make()
        port = wire.dial(server.getsockname()[1])
        thread = threading.Thread(target=_answer, args=(server,))
        thread.start()
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(b"u" * 100_000)
            got = 0
            while data := client.recv(65536):
                got += len(data)
        thread.join(10)
        until(lambda: wire.up >= 100_000 and wire.down >= 50_000, 5, lambda: f"{wire.up} up, {wire.down} down")
        wire.close()
    assert got == 50_000
    assert 100_000 <= wire.up < 110_000
    assert 50_000 <= wire.down < 60_000


def _answer(server: socket.socket) -> None:
    """Read 100,000 bytes, then say 50,000: a relay ends both ways when one ends."""
    client, _ = server.accept()
    with client:
        left = 100_000
        while left:
            left -= len(client.recv(left))
        client.sendall(b"d" * 50_000)


def test_a_profile_names_who_computes(tmp_path: Path) -> None:
    sampler = Sampler()
    sampler.start()
    _compute_for(0.5)
    sampler.end(tmp_path / "p")
    assert "_compute_for" in (tmp_path / "p.folded").read_text()
    assert "_compute_for" in (tmp_path / "p.txt").read_text()


def _compute_for(seconds: float) -> int:
    total, ends = 0, time.thread_time() + seconds
    while time.thread_time() < ends:
        total += sum(range(100))
    return total
