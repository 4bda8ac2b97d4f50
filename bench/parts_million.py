"""Rows about this program alone with very many nodes: index, upload, looks, planning, status, cold start.

One setting serves them all: a folder that is indexed with the hub away, then sent, then left in sync."""

import random
import statistics
import threading
import time
from functools import partial

from bench.book import OURS
from bench.marks import FEW_NODES, MANY_NODES
from bench.ours import Syncd
from bench.pairs import soon
from bench.parts_trees import index_of, rescans
from bench.plan import Bench
from bench.rig import LONG, Device, Failed, Hub, until
from bench.trees import small_files

ROWS = frozenset({"index-million", "upload-million", "rescan-million", "planning", "status", "start"})
CHANGES = 20
CALLS = 10


def ours(bench: Bench) -> None:
    """Measure what was asked for of ``ROWS``."""
    if bench.wants("planning"):
        with bench.trying("planning", FEW_NODES), bench.ground.place() as base:
            pair = _alone(bench, Syncd(base, bench.ground.wire(), "a"), bench.size("few"))
            try:
                pair.open()
                pair.sync(lambda: True)
                _planning(bench, FEW_NODES, pair.hub, pair.devices[0])
            finally:
                pair.close()
    if not bench.wants(*ROWS):
        return
    with bench.trying("index-million", OURS), bench.ground.place() as base:
        pair = _alone(bench, Syncd(base, bench.ground.wire(), "a", bench.profiles), bench.size("million"))
        try:
            bench.heat("time")
            index_of(bench, "index-million", pair, bench.size("million"), "time")
            _upload(bench, pair)
            _in_sync(bench, pair)
        finally:
            pair.close()


def _alone(bench: Bench, pair: Syncd, files: int) -> Syncd:
    fill = partial(small_files, files=files, size=0, each=1000)
    fill(pair.a)
    return pair


def _upload(bench: Bench, pair: Syncd) -> None:
    with bench.trying("upload-million", OURS):
        began = time.perf_counter()
        pair.hub.start()
        pair.sync(lambda: True)
        took = time.perf_counter() - began
        figures = {"time": took, "files/s": bench.size("million") / took}
        bench.book.add("upload-million", OURS, figures, "from a daemon that has its index", durable=True)


def _in_sync(bench: Bench, pair: Syncd) -> None:
    (device,) = pair.devices
    if bench.wants("rescan-million"):
        with bench.trying("rescan-million", OURS):
            rescans(bench, "rescan-million", pair)
    if bench.wants("planning"):
        with bench.trying("planning", MANY_NODES):
            _planning(bench, MANY_NODES, pair.hub, device)
    if bench.wants("status"):
        with bench.trying("status", OURS):
            _status(bench, device)
    if bench.wants("start"):
        with bench.trying("start", OURS):
            _start(bench, device)


def _planning(bench: Bench, who: str, hub: Hub, device: Device) -> None:
    """Change one file, and see when the change is in the hub's journal: noticed, hashed, planned, sent, committed."""
    chance = random.Random(5)
    for number in range(CHANGES):
        # Another one each time: a file that changes again and again is left to rest on purpose.
        path = device.root / "folder 0000" / f"file {number:06}.txt"
        time.sleep(chance.uniform(0.3, 0.7))
        before = hub.newest
        began = time.perf_counter()
        path.write_bytes(chance.randbytes(100))
        deadline = began + 60
        while hub.newest == before:
            if time.perf_counter() > deadline:
                raise Failed("the change does not come to the hub")
            time.sleep(0.001)
        took = time.perf_counter() - began
        bench.book.add("planning", who, {"time": took}, "from the save until the hub has it", durable=True)


def _status(bench: Bench, device: Device) -> None:
    """Call `syncd status` while all files are read again."""
    scan = threading.Thread(target=lambda: device.ask("scan", LONG, deep="yes"), daemon=True)
    scan.start()
    until(lambda: _phase(device) == "scanning" or not scan.is_alive(), 60, lambda: "the scan does not begin")
    ended = False
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        device.cli("status", codes=(0, 3))
        times.append(time.perf_counter() - began)
        ended = ended or not scan.is_alive()
    scan.join(LONG)
    note = f"{CALLS} calls" + (", the scan ended before the last" if ended else "")
    for took in times:
        bench.book.add("status", OURS, {"time": took}, note)
    bench.say(f"    median {statistics.median(times) * 1000:.0f} ms")


def _phase(device: Device) -> str:
    return str(device.status()["live"]["phase"])


def _start(bench: Bench, device: Device) -> None:
    """Stop the daemon, start it again, and see when it answers and when it knows that all is in sync."""
    for _ in range(bench.repeat):
        for temperature in bench.temperatures():
            device.daemon.end()
            bench.heat(temperature)
            began = time.perf_counter()
            device.daemon.start()
            soon(device.answers, "the daemon does not answer", 600)
            answers = time.perf_counter() - began
            device.ask("wait", LONG)
            suffix = ", cold" if temperature == "cold" else ""
            took = {temperature: time.perf_counter() - began, f"until it answers{suffix}": answers}
            bench.book.add("start", OURS, took, "from its start until all is known to be in sync")
