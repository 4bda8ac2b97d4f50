"""Rows about this program alone with very many nodes, and how its cost grows with their number.

One life serves them all: a folder that is indexed with the hub away, sent, looked at again, brought to an empty
device, renamed, and known again after its database was lost."""

import random
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.book import OURS
from bench.marks import FEW_NODES, MANY_NODES
from bench.ours import Syncd
from bench.pairs import soon
from bench.parts_trees import index_of, rescans
from bench.plan import Bench
from bench.rig import LONG, Device, Failed, Hub, resident, until
from bench.trees import count, small_files

ROWS = frozenset({
    "index-million", "upload-million", "rescan-million", "planning", "status", "start", "clone-million",
    "rename-million", "rebuild-million", "growth",
})  # fmt: skip
CHANGES = 20
CALLS = 10
TOP = "all"
"""The folder in which all files are."""


def ours(bench: Bench) -> None:
    """Measure what was asked for of ``ROWS``."""
    if bench.wants("planning"):
        with bench.trying("planning", FEW_NODES), bench.ground.place() as base:
            pair = Syncd(base, bench.ground.wire(), "a")
            small_files(pair.a / TOP, bench.size("few"), 0, each=1000)
            try:
                pair.open()
                pair.sync(lambda: True)
                _planning(bench, FEW_NODES, pair.hub, pair.devices[0])
            finally:
                pair.close()
    million = bench.size("million")
    for files in (bench.size("small"), bench.size("many")) if bench.wants("growth") else ():
        _lived(bench, Life(bench, files))
    if bench.wants(*ROWS - {"planning"}) or bench.wants("planning"):
        _lived(bench, Life(bench, million, million=True))


def _lived(bench: Bench, life: "Life") -> None:
    with bench.trying("growth" if not life.million else "index-million", life.who), bench.ground.place() as base:
        life.pair = Syncd(base, bench.ground.wire(), "ab", bench.profiles)
        try:
            life.live()
        finally:
            life.pair.close()


@dataclass(slots=True)
class Life:
    """What one folder of so many empty files goes through. The *million* has rows of its own."""

    bench: Bench
    files: int
    million: bool = False
    pair: Syncd = None  # type: ignore[assignment]  # once its ground is there

    @property
    def who(self) -> str:
        """What its line of the row about growth is called."""
        return f"{self.files:,} files"

    def live(self) -> None:
        """Go through all of it that is wanted; what comes later needs what comes before."""
        bench, pair = self.bench, self.pair
        small_files(pair.a / TOP, self.files, 0, each=1000)
        bench.heat("time")
        self._index()
        if not self._wants("upload", "rescan", "clone", "rename", "rebuild") and not self._wants_own():
            return
        self._step("upload", self._upload, "from a daemon that has its index")
        if self._wants("rescan"):
            self._rescan()
        if self.million:
            self._own()
        if self._wants("clone", "rename"):
            self._step("clone", self._clone, "to an empty device, until it has all")
        if self._wants("rename"):
            time.sleep(bench.size("settle"))
            self._step("rename", self._rename, "the folder of all of them, until B shows it")
        if self._wants("rebuild"):
            self._step("rebuild", self._rebuild, "from the start without a database until all is known to be in sync")

    def _wants(self, *steps: str) -> bool:
        named = {f"{step}-million" for step in steps} if self.million else set()
        return self.bench.wants("growth", *named)

    def _wants_own(self) -> bool:
        return self.million and self.bench.wants("planning", "status", "start")

    def _step(self, step: str, work: Callable[[], None], note: str) -> None:
        began = time.perf_counter()
        work()
        took = time.perf_counter() - began
        self.bench.say(f"    {self.who}: {step} {took:.1f} s")
        self._grown(step, took)
        if self.million:
            self.bench.book.add(f"{step}-million", OURS, {"time": took, "files/s": self.files / took}, note, True)

    def _grown(self, figure: str, value: float) -> None:
        if self.bench.wants("growth"):
            self.bench.book.add("growth", self.who, {figure: value})

    # --- its steps -----------------------------------------------------------------------------------------------

    def _index(self) -> None:
        bench, row = self.bench, "index-million" if self.million else "growth"
        if self.million:
            index_of(bench, row, self.pair, self.files, "time")
            took = bench.book.line(row, OURS).figures["time"][-1]
        else:
            self.pair.configure()
            began = time.perf_counter()
            self.pair.index(self.files)
            took = time.perf_counter() - began
        self._grown("index", took)

    def _upload(self) -> None:
        self.pair.hub.start()
        self.pair.devices[0].ask("wait", LONG)

    def _rescan(self) -> None:
        if self.million:
            rescans(self.bench, "rescan-million", self.pair)
            self._grown("rescan", statistics.median(self.bench.book.line("rescan-million", OURS).figures["time"]))
            return
        self.pair.rescan()  # the first one may still learn something: files were too young to be trusted
        for _ in range(self.bench.repeat):
            began = time.perf_counter()
            self.pair.rescan()
            self._grown("rescan", time.perf_counter() - began)

    def _own(self) -> None:
        bench, (device, *_) = self.bench, self.pair.devices
        steps: tuple[tuple[str, str, Callable[[], None]], ...] = (
            ("planning", MANY_NODES, lambda: _planning(bench, MANY_NODES, self.pair.hub, device)),
            ("status", OURS, lambda: _status(bench, device)),
            ("start", OURS, lambda: _start(bench, device)),
        )
        for row, who, work in steps:
            if bench.wants(row):
                with bench.trying(row, who):
                    work()

    def _clone(self) -> None:
        device = self.pair.devices[1]
        device.start()
        device.ask("wait", LONG)
        if count(self.pair.b) != self.files:
            raise Failed("B says that it is in sync, but has not all files")
        self._grown("memory of B", resident(device.daemon.pid))

    def _rename(self) -> None:
        (self.pair.a / TOP).rename(self.pair.a / "renamed")
        soon(lambda: not (self.pair.b / TOP).exists(), "the rename does not come to B")
        same_names = {path.name for path in (self.pair.b / "renamed").iterdir()}
        if same_names != {path.name for path in (self.pair.a / "renamed").iterdir()}:
            raise Failed("A and B differ after the rename")

    def _rebuild(self) -> None:
        device = self.pair.devices[0]
        device.daemon.end()
        for path in device.state.glob("syncd.sqlite*"):
            path.unlink()
        device.daemon.start()
        soon(device.answers, "the daemon does not answer", 600)
        device.ask("wait", LONG)


def _planning(bench: Bench, who: str, hub: Hub, device: Device) -> None:
    """Change one file, and see when the change is in the hub's journal: noticed, hashed, planned, sent, committed."""
    chance = random.Random(5)
    for number in range(CHANGES):
        # Another one each time: a file that changes again and again is left to rest on purpose.
        path = device.root / TOP / "folder 0000" / f"file {number:06}.txt"
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
