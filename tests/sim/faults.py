"""One fault of a sweep: who is hit, how, at which of their calls. And how a play counts those calls.

Crash points: a process that dies between two calls that change nothing leaves what it left before the first of them, so
only calls that change something count as *points*: those to the folder, the first write of each database transaction,
each sync of the database, each request to the hub, and for the hub its transactions, syncs and chunks. Failing calls
are counted one by one, reading ones too.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from tests.sim.device import SimDevice
from tests.sim.disk import Policy
from tests.sim.operations import DEVICES
from tests.sim.play import Play
from tests.sim.weather import Crash, HubCrash

HUB: Final = "hub"
VICTIMS: Final = (*DEVICES, HUB)

READING: Final = frozenset(
    {"names", "entries", "stat", "readlink", "child", "open", "read", "writers", "prove", "open_dir", "own",
     "free_bytes", "size", "leftovers"}
)  # fmt: skip
"""Calls that change nothing. What is not listed counts as changing."""

SENDING: Final = frozenset({"commit", "put_chunks", "put_manifest"})
"""Requests that change something at the hub."""

DATABASE: Final = "db."


MOST_ROUNDS: Final = 12


class How(StrEnum):
    """What happens to the victim."""

    KILL = "kill"
    LOSE_ALL = "all"
    LOSE_SOME = "some"
    LOSE_TORN = "torn"
    RAW_ALL = "raw-all"
    RAW_SOME = "raw-some"
    RAW_TORN = "raw-torn"
    UNTOLD = "untold"
    """The process dies after a job's part and before its result is told."""
    REPLY = "reply"
    """The reply to a commit is lost."""
    EIO = "eio"
    EIO_ON = "eio-on"
    FULL = "full"
    FULL_ON = "full-on"
    DB = "db"
    DB_ON = "db-on"
    DB_FULL = "db-full"
    DB_FULL_ON = "db-full-on"

    @property
    def policy(self) -> Policy | None:
        """What a power loss takes; None where no power is lost."""
        name = self.value.removeprefix("raw-")
        return Policy(name) if name in tuple(Policy) else None

    @property
    def raw(self) -> bool:
        """Whether what people did was not durable yet."""
        return self.value.startswith("raw-")

    @property
    def crash(self) -> bool:
        return self is How.KILL or self.policy is not None

    @property
    def fails(self) -> bool:
        """Whether calls fail, and nobody dies."""
        return not self.crash and self not in (How.UNTOLD, How.REPLY)

    @property
    def lasts(self) -> bool:
        """Whether it goes on until a restart."""
        return self.value.endswith("-on")


RAW: Final = (How.RAW_ALL, How.RAW_SOME, How.RAW_TORN)


@dataclass(frozen=True, slots=True)
class Fault:
    """*number* counts from 1; 0 with anything: nothing goes wrong. *draw* chooses what of it a power loss takes."""

    victim: str
    how: How
    number: int
    draw: int = 0

    def __str__(self) -> str:
        return f"{self.victim}:{self.how}:{self.number}" + (f":{self.draw}" if self.draw else "")

    @classmethod
    def parse(cls, text: str) -> Fault:
        victim, how, *numbers = text.split(":")
        return cls(victim, How(how), *map(int, numbers))


CALM: Final = Fault(HUB, How.KILL, 0)


@dataclass
class Counted:
    """What a run did, by victim: points, and which of them may lose something new with all that was not synced; calls
    to storage; and of the run, parts of jobs and commits."""

    points: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VICTIMS, 0))
    fresh: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in VICTIMS})
    calls: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VICTIMS, 0))
    database: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VICTIMS, 0))
    parts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VICTIMS, 0))
    commits: int = 0
    conflicts: int = 0


class SweepPlay(Play):
    """A play in calm weather in which one fault is arranged."""

    def __init__(self, base: Path) -> None:
        self.fault = CALM
        self.counted = Counted()
        self.armed = self.struck = False
        self.while_down: Callable[[SimDevice], None] = lambda device: None
        super().__init__(base, 11, *DEVICES)
        self.new_transaction = dict.fromkeys(VICTIMS, True)
        self._seen: dict[str, tuple[int, int]] = {}
        self._syncs = dict.fromkeys(VICTIMS, 0)

    def arm(self, fault: Fault) -> None:
        """Count from here on, and let *fault* happen."""
        self.fault, self.counted, self.armed, self.struck = fault, Counted(), True, False
        self.vfs.on_call = lambda name, path: self._hub_point(DATABASE + name)
        self.blobs.on_call = self._hub_point
        for device in self.devices:
            device.executed = 0
            if fault.victim == device.name and fault.how is How.UNTOLD:
                device.crash_after = fault.number
            if fault.victim == device.name and fault.how.value.startswith("db"):
                device.database_broken = True
                device.vfs.fail(fault.number, persistent=fault.how.lasts, full="full" in fault.how)
        self.commits = 0
        self.policy, self.weather.power = fault.how.policy, float(fault.how.policy is not None)
        if fault.how is How.REPLY:
            self.lose_commit = fault.number
        if fault.victim == HUB and fault.how.value.startswith("db"):
            self.vfs.fail(fault.number, persistent=fault.how.lasts, full="full" in fault.how)

    def disarm(self) -> None:
        """Nothing goes wrong any more; what was broken is mended when its process is started again."""
        for device in self.devices:
            self.counted.parts[device.name] = device.executed
            device.crash_after = None
            device.vfs.fail(0)
        self.counted.commits = self.commits
        self.policy, self.weather.power = None, 0.0
        self.lose_commit = 0
        self.vfs.fail(0)
        self.vfs.on_call = self.blobs.on_call = None
        self.armed = False

    def finish(self) -> None:
        """Let all settle until a round changes nothing, not in a trash either: what leaves one moves the ctime of its
        hard links. Then one more round must find nothing to do, commit nothing and read nothing but the ignore rules
        (P2, P3)."""
        before = self._shown()
        for _ in range(MOST_ROUNDS):
            self.time.ahead += 5.0  # what was read while it was young is read once more in the next round
            for device in self.devices:
                self.settle_one(device, None)
                while device.one():
                    pass
            now = self._shown()
            here, there = (tree for tree, _ in now)
            if now == before and here == there:
                break
            before = now
        else:
            raise AssertionError(f"P2: there is no rest; the trees differ in {sorted(here.items() ^ there.items())}")
        for device in self.devices:
            commits, opened = len(device.wire.commits), device.fs.opened
            self.settle_one(device, None)
            left = device.db.nodes.disagreeing(0, 10)
            assert not left, f"P2: {[device.db.nodes.node(key) for key in left]}"
            assert len(device.wire.commits) == commits, f"P3: {device.name} commits {device.wire.commits[commits:]}"
            assert device.fs.opened - opened <= 1, f"P3: {device.name} reads what it has read"
            assert device.tree() == here, f"P3: {device.name} changes what was in sync"

    def _shown(self) -> list[tuple[dict[str, str], list[str]]]:
        """Return what is in each device's folder, and in its trash."""
        return [(device.tree(), device.trash_entries()) for device in self.devices]

    def power_lost(self, device: SimDevice, contents: set[bytes]) -> None:
        super().power_lost(device, contents)
        self.while_down(device)

    # --- at a call -----------------------------------------------------------------------------------------------

    def at_call(self, device: SimDevice, name: str) -> None:
        super().at_call(device, name)
        if not self.armed:
            return
        if name.startswith("fs."):
            self._may_fail(device.name, name[3:])
        if self._is_point(device.name, name) and self._is_hit(device.name):
            self.say(f"{device.name}: {self.fault.how} at {name}")
            raise Crash

    def _hub_point(self, name: str) -> None:
        self._may_fail(HUB, name)
        if self._is_point(HUB, name) and self._is_hit(HUB):
            self.say(f"the hub: {self.fault.how} at {name}")
            raise HubCrash

    def _may_fail(self, victim: str, name: str) -> None:
        """Let a call to the folder, or to the hub's chunks, fail."""
        if name.startswith(DATABASE):
            return
        counted, how = self.counted.calls, self.fault.how
        counted[victim] += 1
        if victim != self.fault.victim or how not in (How.EIO, How.EIO_ON, How.FULL, How.FULL_ON):
            return
        number = self.fault.number
        if counted[victim] == number or (how.lasts and counted[victim] > number):
            full = how in (How.FULL, How.FULL_ON)
            if full and name in READING:
                return
            self.struck = True
            self.say(f"{victim}: {name} fails")
            raise OSError(errno.ENOSPC if full else errno.EIO, "the sweep's")

    def _is_point(self, victim: str, name: str) -> bool:
        """Count a call; return whether it is a point."""
        if name.startswith(DATABASE):
            self.counted.database[victim] += 1
            if name == "db.xWrite":
                if not self.new_transaction[victim]:
                    return False
                self.new_transaction[victim] = False
            else:
                self.new_transaction[victim] = True
                if name == "db.xSync":
                    self._syncs[victim] += 1
        elif "hub." in name:
            if name.rpartition(".")[2] not in SENDING:
                return False
        elif name.rpartition(".")[2] in READING:
            return False
        elif name.rpartition(".")[2] in ("sync", "make_durable", "make_all_durable"):
            self._syncs[victim] += 1
        counted = self.counted
        counted.points[victim] += 1
        others = sum(count for who, count in counted.points.items() if who != victim)
        state = (self._syncs[victim], others)
        if self._seen.get(victim) != state:
            self._seen[victim] = state
            counted.fresh[victim].append(counted.points[victim])
        return True

    def _is_hit(self, victim: str) -> bool:
        fault = self.fault
        if self.struck or victim != fault.victim or not fault.how.crash:
            return False
        self.struck = self.counted.points[victim] == fault.number
        if self.struck:
            self.luck.seed(f"{fault} {self.counted.points}")  # what the power takes: another choice in each case
        return self.struck
