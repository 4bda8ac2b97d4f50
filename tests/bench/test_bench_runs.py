"""The benchmarks themselves, with real processes at a size that is over in a moment: every figure must come about."""

import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from bench import floors
from bench.book import FLOOR, OURS, Book
from bench.ground import Ground
from bench.pairs import Pair, Tool
from bench.plan import FULL, Bench
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
