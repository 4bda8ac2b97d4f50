"""Rows about what travels: many small files, a renamed folder, a large file and small changes in it, a saved file."""

import random
import time
from pathlib import Path

from bench import floors
from bench.book import FLOOR
from bench.pairs import Check, Pair, soon
from bench.plan import Bench, same
from bench.trees import count, inserted, large, overwrite, read_at, size_of, small_files

EACH = "floor, fsync each"
DURABLE_COPY = "floor, cp and fsync"
REST = 5.0
"""Seconds between two changes of one file: what changes again and again is left to rest by syncd, longer each time, and
some tell by size and whole seconds whether a file changed."""
PASS = "one hash pass, one thread"


def small(bench: Bench) -> None:
    """Many small files from A to B; then the folder that holds them gets another name."""
    files = bench.size("small")
    with bench.trying("small", FLOOR):
        for _ in range(bench.repeat):
            with bench.ground.place() as base:
                _small_floors(bench, base, files)
    for kind in bench.kinds():
        with bench.trying("small", kind.name):
            for _ in range(bench.repeat):
                with bench.open(kind) as pair:
                    _small(bench, pair, files)
                    if bench.wants("rename"):
                        with bench.trying("rename", kind.name):
                            _rename(bench, pair, files)


def _small_floors(bench: Bench, base: Path, files: int) -> None:
    small_files(base / "tree", files, 4096)
    bench.heat("time")
    took = floors.copy_tree(base / "tree", base / "copy")
    bench.book.add("small", FLOOR, {"time": took}, "write all, one syncfs, rename all", durable=True)
    took = floors.copy_tree(base / "tree", base / "each", each=True)
    bench.book.add("small", EACH, {"time": took}, "write, fsync and rename one after the other", durable=True)
    took = floors.rename(base / "copy", base / "renamed")
    bench.book.add("rename", FLOOR, {"time": took}, "rename, fsync the folder", durable=True)


def _small(bench: Bench, pair: Pair, files: int) -> None:
    small_files(pair.a.parent / "stage", files, 4096)
    pair.open()
    bench.heat("time")

    def work() -> None:
        (pair.a.parent / "stage").rename(pair.a / "many")
        pair.sync(lambda: count(pair.b) == files)

    bench.timed("small", pair, work)
    same(pair)


def _rename(bench: Bench, pair: Pair, files: int) -> None:
    bench.heat("time")
    time.sleep(bench.size("settle") / 2)  # what the daemons do after the last row has ended

    def work() -> None:
        (pair.a / "many").rename(pair.a / "renamed")
        _arrived(pair, lambda: not (pair.b / "many").exists() and count(pair.b / "renamed") == files)

    bench.timed("rename", pair, work)
    pair.sync(lambda: True)
    same(pair)


def _arrived(pair: Pair, done: Check) -> None:
    """Return when B shows it: daemons act by themselves, tools are called."""
    if pair.daemon:
        soon(done, f"{pair.name}: it does not come to B")
    else:
        pair.sync(done)


def large_file(bench: Bench) -> None:
    """One large file from A to B; then small changes in it, each of which must not cost the whole."""
    size = bench.size("large")
    with bench.trying("large", FLOOR), bench.ground.place() as base:
        for _ in range(bench.repeat):
            _large_floors(bench, base, size)
    for kind in bench.kinds():
        with bench.trying("large", kind.name):
            for number in range(bench.repeat):  # fresh ones: what is replaced fills trash and guard
                with bench.open(kind) as pair:
                    _large_once(bench, pair, number)


def _large_once(bench: Bench, pair: Pair, number: int) -> None:
    pair.open()
    _large(bench, pair, number)
    same(pair)
    for row, act in (("insert", _insert), ("overwrite", _overwrite)):
        if bench.wants(row):
            with bench.trying(row, pair.name):
                act(bench, pair)
                pair.sync(lambda: True)
                same(pair)


def _large_floors(bench: Bench, base: Path, size: int) -> None:
    source, target = base / "large.bin", base / "copy.bin"
    if not source.exists():
        large(source, size)
    for temperature in bench.temperatures():
        bench.heat(temperature)
        bench.book.add("large", FLOOR, {temperature: floors.copy_file(source, target)}, "cp, left to the kernel")
        target.unlink()
        bench.heat(temperature)
        for row in ("insert", "overwrite"):
            bench.heat(temperature)
            bench.book.add(row, FLOOR, {temperature: floors.hash_file(source)}, PASS)
    bench.heat("time")
    took = floors.copy_file(source, target, durable=True)
    bench.book.add("large", DURABLE_COPY, {"time": took}, "until it is on the disk", durable=True)
    target.unlink()


def _large(bench: Bench, pair: Pair, number: int) -> None:
    """One file for each temperature; large.bin stays for the rows that change it."""
    size, stage = bench.size("large"), pair.a.parent / "stage.bin"
    for temperature in bench.temperatures() if bench.wants("large") else ("time",):
        name = "large.bin" if temperature == "time" else "cold.bin"
        large(stage, size, seed=2 * number + (temperature == "cold"))
        bench.heat(temperature)

        def work(name: str = name) -> None:
            ends = read_at(stage, size - 4096, 4096)
            stage.rename(pair.a / name)
            pair.sync(lambda: read_at(pair.b / name, size - 4096, 4097) == ends)

        bench.timed("large", pair, work, temperature)


def _insert(bench: Bench, pair: Pair) -> None:
    """As an editor saves: the new file is written beside it, and the clock starts when it takes its place."""
    path, stage = pair.a / "large.bin", pair.a.parent / "stage.bin"
    for temperature in bench.temperatures():
        inserted(path, stage, path.stat().st_size // 2)
        bench.heat(temperature)
        time.sleep(REST)
        size = stage.stat().st_size

        def work(size: int = size) -> None:
            stage.rename(path)
            pair.sync(lambda: size_of(pair.b / "large.bin") == size)

        bench.timed("insert", pair, work, temperature)


def _overwrite(bench: Bench, pair: Pair) -> None:
    path = pair.a / "large.bin"
    for temperature in bench.temperatures():
        data = random.Random(temperature).randbytes(bench.size("patch"))
        at = path.stat().st_size // 3
        bench.heat(temperature)
        time.sleep(REST)

        def work(data: bytes = data, at: int = at) -> None:
            overwrite(path, at, data)
            pair.sync(lambda: read_at(pair.b / "large.bin", at, len(data)) == data)

        bench.timed("overwrite", pair, work, temperature)


def latency(bench: Bench) -> None:
    """A small file is saved again and again; each time until B shows the new content."""
    saves = bench.size("saves")
    with bench.trying("latency", FLOOR), bench.ground.place() as base:
        for took in floors.notice(base, saves):
            bench.book.add("latency", FLOOR, {"time": took}, "inotify")
    for kind in bench.kinds():
        if not kind.daemon:
            continue
        with bench.trying("latency", kind.name), bench.open(kind) as pair:
            pair.open()
            _saves(bench, pair, saves)
            same(pair)


def _saves(bench: Bench, pair: Pair, saves: int) -> None:
    chance = random.Random(4)
    names = [f"note {number:03}.txt" for number in range(saves)]
    for name in names:
        (pair.a / name).write_bytes(b"first")
    soon(lambda: count(pair.b) == saves, f"{pair.name}: nothing comes to B", 60)
    time.sleep(bench.size("settle"))
    for name in names:  # another one each time: a file that changes again and again is left to rest on purpose
        time.sleep(chance.uniform(0.3, 0.7))  # never in step with anybody's timer
        data = chance.randbytes(1000)

        def work(name: str = name, data: bytes = data) -> None:
            (pair.a / name).write_bytes(data)
            soon(lambda: read_at(pair.b / name, 0, 1001) == data, f"{pair.name}: the save does not come to B", 60)

        bench.timed("latency", pair, work)
