"""Rows about many files at rest: first index, the way from A to B, a look where nothing changed, doing nothing."""

import os
import time
from functools import partial
from pathlib import Path

from bench import floors
from bench.book import FLOOR
from bench.pairs import Pair
from bench.plan import Bench, is_ours, same
from bench.rig import Memory, peak, resident, usage
from bench.trees import count, small_files

LOOK = "scandir and stat of each, one thread"
HASH = "open, read, BLAKE3, one thread"
KIB = 1 << 10
SETTLED_SECONDS = 5.0


def index(bench: Bench) -> None:
    """The first look at a folder: all is read and hashed, nothing is sent."""
    fill = partial(small_files, files=bench.size("many"), size=KIB)
    with bench.ground.place() as base, bench.trying("index", FLOOR):
        fill(base / "tree")
        for _ in range(bench.repeat):
            for temperature in bench.temperatures():
                bench.heat(temperature)
                bench.book.add("index", FLOOR, {temperature: floors.hash_tree(base / "tree")}, HASH)
    for kind in bench.kinds():
        with bench.trying("index", kind.name):
            for _ in range(bench.repeat):
                for temperature in bench.temperatures():
                    with bench.open(kind, fill, both=not kind.daemon) as pair:
                        index_of(bench, "index", pair, bench.size("many"), temperature)


def index_of(bench: Bench, row: str, pair: Pair, files: int, temperature: str) -> None:
    """Let it index what is there; write down the time and the memory of its first process."""
    pair.configure()
    bench.heat(temperature)
    with Memory(pair.pids) as memory:
        bench.timed(row, pair, lambda: pair.index(files), temperature)
    line = bench.line(row, type(pair))
    for name in ("up", "down", "wire"):  # greetings of tools: nothing of the files is sent
        line.figures.pop(name, None)
    if pair.pids():
        first = next(iter(pair.pids().values()))
        bench.book.add(row, pair.name, {"peak memory": peak(first)})
        if temperature == "time":
            time.sleep(min(SETTLED_SECONDS, bench.size("settle")))
            bench.book.add(row, pair.name, {"memory at rest": resident(first)})
            bench.book.remember(row, pair.name, memory.seen)


def settled(bench: Bench) -> None:
    """Many files from A to B; then, while all is in sync, looks that find nothing, and a minute of nothing."""
    files = bench.size("many")
    with bench.ground.place() as base:
        small_files(base / "tree", files, KIB)
        if bench.wants("many"):
            with bench.trying("many", FLOOR):
                bench.heat("time")
                took = floors.copy_tree(base / "tree", base / "copy")
                bench.book.add("many", FLOOR, {"time": took}, "write all, one syncfs, rename all", durable=True)
        if bench.wants("rescan"):
            with bench.trying("rescan", FLOOR):
                _look_floor(bench, "rescan", base / "tree")
    for kind in bench.kinds():
        if not bench.wants("many", "rescan") and not kind.daemon:
            continue
        with bench.trying("many", kind.name), bench.open(kind) as pair:
            _many(bench, pair, files)
            if bench.wants("rescan"):
                with bench.trying("rescan", kind.name):
                    rescans(bench, "rescan", pair)
            if bench.wants("idle") and kind.daemon:
                with bench.trying("idle", kind.name):
                    _idle(bench, pair)


def _look_floor(bench: Bench, row: str, tree: Path) -> None:
    for _ in range(bench.repeat):
        for temperature in bench.temperatures():
            bench.heat(temperature)
            bench.book.add(row, FLOOR, {temperature: floors.look(tree)}, LOOK)


def _many(bench: Bench, pair: Pair, files: int) -> None:
    small_files(pair.a.parent / "stage", files, KIB)
    pair.open()
    bench.heat("time")

    def work() -> None:
        (pair.a.parent / "stage").rename(pair.a / "many")
        pair.sync(lambda: count(pair.b) == files)

    with Memory(pair.pids) as memory:
        bench.timed("many", pair, work)
    bench.book.remember("many", pair.name, memory.seen)
    same(pair)


def rescans(bench: Bench, row: str, pair: Pair) -> None:
    """Let it look again and again, where nothing changed."""
    pair.rescan()  # the first one may still learn something: files were too young to be trusted
    for _ in range(bench.repeat):
        for temperature in bench.temperatures():
            bench.heat(temperature)
            bench.timed(row, pair, pair.rescan, temperature)
    for name in ("up", "down", "wire"):
        bench.line(row, type(pair)).figures.pop(name, None)


def _idle(bench: Bench, pair: Pair) -> None:
    """Let it rest, then watch it do nothing. Of several processes of a kind the busiest counts."""
    seconds = bench.size("idle")
    time.sleep(bench.size("settle"))
    os.sync()
    pids = pair.pids()
    before = {name: usage(pid) for name, pid in pids.items()}
    time.sleep(seconds)  # what is measured is this very time of doing nothing
    used = {name: usage(pid).since(before[name]) for name, pid in pids.items()}
    hub = used.pop("hub", None)
    figures = {
        "CPU": max(one.cpu for one in used.values()),
        "wake-ups a second": max(one.switches for one in used.values()) / seconds,
        "written": sum(one.written for one in used.values()) + (hub.written if hub else 0),
        "memory": max(resident(pid) for name, pid in pids.items() if name != "hub"),
    }
    if hub is not None:
        figures |= {
            "CPU of the hub": hub.cpu,
            "wake-ups a second of the hub": hub.switches / seconds,
            "memory of the hub": resident(pids["hub"]),
        }
    bench.book.add("idle", pair.name, figures, durable=pair.durable)


def million_floor(bench: Bench) -> None:
    """The floors of the rows with a million files."""
    with bench.ground.place() as base:
        small_files(base / "tree", bench.size("million"), 0, each=1000)
        if bench.wants("index-million"):
            with bench.trying("index-million", FLOOR):
                for _ in range(bench.repeat):
                    bench.heat("time")
                    bench.book.add("index-million", FLOOR, {"time": floors.hash_tree(base / "tree")}, HASH)
        if bench.wants("rescan-million"):
            with bench.trying("rescan-million", FLOOR):
                _look_floor(bench, "rescan-million", base / "tree")


def million(bench: Bench) -> None:
    """A million files of each: indexed once, then looked at again and again. Ours goes on in ``parts_million``."""
    million_floor(bench)
    files = bench.size("million")
    fill = partial(small_files, files=files, size=0, each=1000)
    for kind in bench.kinds():
        if is_ours(kind) or not bench.wants("index-million", "rescan-million"):
            continue
        with bench.trying("index-million", kind.name), bench.open(kind, fill, both=not kind.daemon) as pair:
            with bench.trying("index-million", kind.name):
                index_of(bench, "index-million", pair, files, "time")
            if not kind.indexes:
                pair.open()
            if bench.wants("rescan-million"):
                with bench.trying("rescan-million", kind.name):
                    rescans(bench, "rescan-million", pair)
