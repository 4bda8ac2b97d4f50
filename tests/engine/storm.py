"""Bad weather for whole engines: every call to the disk or the hub may fail, be late, or be the last of its process.

One thread and one seed decide everything. Jobs start, go on and are answered in any order; results wait in the post of
their own job; a person may act between any two calls; what the watcher saw comes late or never. File times are real,
the clock of the engines is virtual: by default it runs an hour ahead, so that no file ever looks young and a run does
not depend on how fast the machine is. With ``Weather.young`` it starts at the real time, and the racy rule acts.
"""

import contextlib
import os
import random
import shutil
import time as real_time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from blake3 import blake3

from syncd.adapters.posix_fs import PosixFs
from syncd.engine.desk import EngineSettings
from syncd.hub.core import Hub
from syncd.model.errors import NotAuthorised, Offline, RootGone, SyncdError, Transient
from syncd.model.job import ApplyJob, Job, LookJob, PollJob, SendJob
from syncd.model.observation import (
    Ask,
    ClockJumped,
    Hints,
    HintsLost,
    JobFailed,
    Message,
    PullFailed,
    Reply,
    Unproven,
    Verb,
)
from syncd.model.op import OpState
from tests.engine.storm_weather import Crash, StormFs, Weather
from tests.engine.world import Device, Luck, Wire, World


class StormTime:
    """Virtual: moves only when told."""

    def __init__(self, start: float) -> None:
        self.start = start
        self.ahead = 0.0

    def now(self) -> float:
        return self.start + self.ahead

    def monotonic(self) -> float:
        return self.now()


# --- the way to the hub ---------------------------------------------------------------------------------------------


class StormWire(Wire):
    """The way to the hub in a storm: late, cut, or with the reply lost."""

    def __init__(self, device: "StormDevice") -> None:
        self.device = device
        self.cut = self.dead = False
        self.commits = []

    def __getattr__(self, name: str) -> object:
        return lambda *given: self.call(name, given)

    @property
    def capabilities(self) -> object:
        from syncd.hub.session import CAPABILITIES

        return CAPABILITIES

    def close(self) -> None:
        pass

    def call(self, name: str, given: tuple[object, ...]) -> object:
        if self.dead:
            raise Crash
        storm, luck, weather = self.device.storm, self.device.storm.luck, self.device.storm.weather
        storm.at_call(self.device, f"hub.{name}")
        if self.cut or luck.random() < weather.cut:
            raise Offline("the hub cannot be reached") if luck.random() < 0.8 else Transient("busy", 2.0)
        session = storm.hub.authenticate(self.device.enrolled.token)
        out = session.changed(str(given[0])) if name == "wait" else getattr(session, name)(*given)
        if name == "get_chunks":
            out = iter(list(out))
        if name == "commit":
            self.commits.extend(given[0])  # type: ignore[call-overload]
            storm.commits += 1
            if storm.lose_commit == storm.commits:
                storm.say(f"{self.device.name}: the reply to commit {storm.commits} is lost")
                raise Offline("the reply was lost")
        if luck.random() < weather.lost:
            storm.say(f"{self.device.name}: the reply to {name} is lost")
            raise Offline("the reply was lost")
        storm.at_call(self.device, f"after hub.{name}")
        return out


# --- a device -------------------------------------------------------------------------------------------------------


@dataclass
class Running:
    """A job under way: what is left of it, and what it said that nobody has read yet."""

    job: Job
    parts: Iterator[Message]
    post: list[Message] = field(default_factory=list)
    over: bool = False


class StormDevice(Device):
    """A device in a storm."""

    storm: "Storm"

    def __init__(self, storm: "Storm", base: Path, name: str, seed: int, settings: EngineSettings | None) -> None:
        self.storm = storm
        self.unreadable: set[str] = set()
        self.under_way: list[Running] = []
        self.hints: list[tuple[tuple[str, ...], str]] = []
        self.asking: int | None = None
        self.executed = 0
        self.crash_after: int | None = None
        super().__init__(base, name, storm.hub, storm.time, seed, settings)

    def open_fs(self) -> PosixFs:
        return StormFs(super().open_fs(), self)  # type: ignore[return-value]

    def open_wire(self) -> Wire:
        return StormWire(self)

    def start(self) -> None:
        self.under_way = []
        tickets = getattr(self, "tickets", 0)
        super().start()
        self.tickets = tickets
        if self.asking is not None:
            self.step([Ask(self.asking, Verb.WAIT)])  # whoever waited waits for the new process

    def wait(self, *, expect: int = 0) -> Reply:
        self.asking = self.tickets + 1
        try:
            return super().wait(expect=expect)
        finally:
            self.asking = None

    def crash(self) -> None:
        self.fs.dead = self.wire.dead = True  # type: ignore[attr-defined]
        for running in self.under_way:
            with contextlib.suppress(BaseException):
                running.parts.close()  # type: ignore[attr-defined]
        self.under_way = []
        super().crash()

    def restart(self) -> None:
        """Die and come back, perhaps with another database."""
        storm, luck = self.storm, self.storm.luck
        self.crash()
        cut = self.wire.cut
        kept = self.base / "older"
        if luck.random() < storm.weather.amnesia:
            what = luck.choice(["lost", "older"])
            storm.say(f"{self.name}: the database is {what}")
            self.lose_database()
            if what == "older" and kept.exists():
                for path in kept.iterdir():
                    shutil.copy2(path, self.base / path.name)
        elif storm.weather.amnesia and luck.random() < 0.3:
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir()
            for path in self.base.glob("syncd.db*"):
                shutil.copy2(path, kept / path.name)
        storm.say(f"{self.name}: restarts")
        self.start()
        self.wire.cut = cut

    def saw(self, directory: tuple[str, ...], name: str) -> None:
        """What a watcher would tell: some of it is lost."""
        if ".syncd" not in (*directory[:1], name) and self.storm.luck.random() >= self.storm.weather.drop_hints:
            self.hints.append((directory, name))

    # --- turns ---------------------------------------------------------------------------------------------------

    def step(self, messages: list[Message]) -> None:
        self.deadline = self.engine.step(messages)

    def turn(self) -> None:
        """Do one thing, any that could happen now."""
        luck = self.storm.luck
        chosen = luck.random()
        if self.hints and chosen < 0.15:
            some = [hint for hint in self.hints if luck.random() < 0.7]
            self.hints = [hint for hint in self.hints if hint not in some]
            self.step([Hints(tuple(some))])
        elif any(running.post for running in self.under_way) and chosen < 0.45:
            self.deliver(luck.choice([running for running in self.under_way if running.post]))
        elif any(not running.over for running in self.under_way) and chosen < 0.75:
            self.go_on(luck.choice([running for running in self.under_way if not running.over]))
        elif self.jobs and chosen < 0.95:
            self.begin(luck.randrange(len(self.jobs)))
        else:
            self.step([])
            if not self.jobs and not self.under_way and self.deadline is not None:
                wait = max(0.0, self.deadline - self.time.monotonic())
                self.time.ahead += min(luck.choice([0.1, 3.0, 30.0]), wait)

    def begin(self, number: int) -> None:
        """Start a job, whichever; its first part may run at once, or not."""
        self.jobs.rotate(-number)
        job = self.jobs.popleft()
        self.jobs.rotate(number)
        if isinstance(job, PollJob):
            self._poll(job)
        else:
            self.under_way.append(Running(job, self._parts(job)))

    def _poll(self, job: PollJob) -> None:
        """The long poll: ends when there is something, or now and then."""
        try:
            answer = self.lister.poll(job)
        except Crash:
            self.restart()
            return
        if isinstance(answer, PullFailed) or answer.changed or self.storm.luck.random() < 0.1:
            self.step([answer])
        else:
            self.jobs.append(job)

    def _parts(self, job: Job) -> Iterator[Message]:
        """A worker's loop, as ThreadWorkers and the daemon have it."""
        try:
            match job:
                case ApplyJob():
                    yield from self.runner.apply(job)
                case SendJob():
                    yield from self.runner.send(job)
                case LookJob():
                    yield self.looker.look(job)
                case _:
                    yield from self.handle(job)
        except (RootGone, OSError) as error:
            yield Unproven(str(error)) if type(job).__name__ == "ProveJob" else JobFailed(job, repr(error))
        except Exception as error:  # noqa: BLE001 - a worker outlives any job; the engine is told
            if not isinstance(error, SyncdError):
                self.storm.failed_jobs.append(f"{type(job).__name__}: {error!r} {traceback.format_exc()[-600:]}")
            yield JobFailed(job, repr(error))

    def go_on(self, running: Running) -> None:
        """Let a job do its next part; what it says waits."""
        try:
            message = next(running.parts, None)
        except Crash:
            self.storm.say(f"{self.name}: dies in {type(running.job).__name__}")
            self.restart()
            return
        if message is None:
            running.over = True
            if not running.post:
                self.under_way.remove(running)
            return
        running.post.append(message)
        self.executed += 1
        if self.executed == self.crash_after:
            self.storm.say(f"{self.name}: dies before {type(running.job).__name__} is told")
            self.restart()

    def deliver(self, running: Running) -> None:
        """Tell the engine something a job said; several at once now and then."""
        count = self.storm.luck.choice([1, 1, 2])
        messages, running.post = running.post[:count], running.post[count:]
        if running.over and not running.post:
            self.under_way.remove(running)
        self.step(messages)

    def one(self) -> bool:
        """In calm weather: whatever waits longest."""
        for running in self.under_way:
            if running.post:
                self.deliver(running)
            elif not running.over:
                self.go_on(running)
            else:
                self.under_way.remove(running)
            return True
        for number, job in enumerate(self.jobs):
            if not isinstance(job, PollJob):
                self.begin(number)
                return True
        self.step([])
        return False


# --- the whole ------------------------------------------------------------------------------------------------------


class Storm(World):
    """A hub and its devices in a storm."""

    def __init__(self, base: Path, seed: int, *names: str, weather: Weather | None = None) -> None:
        self.seed, self.luck = seed, random.Random(seed)
        self.weather = replace(weather) if weather is not None else Weather()
        self.base = base
        self.time = StormTime(real_time.time() + (0.0 if self.weather.young else 3600.0))  # type: ignore[assignment]
        self.trace: list[str] = []
        self.failed_jobs: list[str] = []
        self.meddler: Callable[[StormDevice], None] = lambda device: None
        self.calls = self.commits = 0
        self.lose_commit = self.crash_call = 0
        self.opened_hubs = 0
        self.inside = False
        self.hub = self._open_hub()
        self.hub.create_space("home")
        self.devices: list[StormDevice] = []  # type: ignore[assignment]
        for number, name in enumerate(names):
            self.devices.append(StormDevice(self, base, name, seed * 31 + number, None))

    def _open_hub(self) -> Hub:
        self.opened_hubs += 1
        return Hub.open(self.base / "hub", self.time, Luck(self.seed * 101 + self.opened_hubs))

    def say(self, what: str) -> None:
        self.trace.append(f"{self.calls} {what}")
        if os.environ.get("SYNCD_TRACE"):
            print(self.trace[-1])

    def at_call(self, device: StormDevice, name: str) -> None:
        """What may happen at any call: the process dies, or somebody edits."""
        self.calls += 1
        if self.crash_call == self.calls or self.luck.random() < self.weather.crash:
            self.say(f"{device.name}: dies at {name}")
            device.fs.dead = device.wire.dead = True  # type: ignore[attr-defined]
            raise Crash
        if self.luck.random() < self.weather.meddle and not self.inside:
            self.inside = True
            self.say(f"{device.name}: in the middle of {name}:")
            self.meddler(device)
            self.inside = False

    # --- between turns -------------------------------------------------------------------------------------------

    def gust(self) -> None:
        """Whatever may happen between turns."""
        luck, weather = self.luck, self.weather
        device = luck.choice(self.devices)
        happens = {
            "restart": device.restart,
            "outage": lambda: setattr(device.wire, "cut", not device.wire.cut),
            "reopen": self.reopen,
            "restore": lambda: self.restore_hub() if luck.random() < 0.5 else self.backup_hub(),
            "expire": lambda: self.hub.gc(0.0),
            "revoke": lambda: self.renew(device) if self._revoked(device) else self.revoke(device),
            "unreadable": lambda: self.lock(device),
            "jump": lambda: self.jump(device),
            "lose_hints": lambda: self._lose_hints(device),
        }
        for name, act in happens.items():
            if luck.random() < getattr(weather, name):
                self.say(f"{device.name}: {name}")
                act()

    def reopen(self) -> None:
        self.hub.close()
        self.hub = self._open_hub()

    def backup_hub(self) -> None:
        self.hub.close()
        shutil.rmtree(self.base / "backup", ignore_errors=True)
        shutil.copytree(self.base / "hub", self.base / "backup")
        self.hub = self._open_hub()

    def restore_hub(self) -> None:
        if not (self.base / "backup").exists():
            return
        self.say("the hub goes back to its backup")
        self.hub.close()
        shutil.rmtree(self.base / "hub")
        shutil.copytree(self.base / "backup", self.base / "hub")
        self.hub = self._open_hub()

    def _revoked(self, device: StormDevice) -> bool:
        try:
            self.hub.authenticate(device.enrolled.token)
        except NotAuthorised:
            return True
        return False

    def revoke(self, device: StormDevice) -> None:
        self.hub.revoke(device.enrolled.device_id)

    def renew(self, device: StormDevice) -> None:
        device.enrolled = self.hub.enroll(self.hub.invite("home"), device.name)
        device.restart()

    def lock(self, device: StormDevice) -> None:
        if device.unreadable:
            device.unreadable.clear()
        else:
            device.unreadable = set(self.luck.sample(["f0", "f1", "f2", "f3", "m0", "m1", ".syncignore"], 2))

    def jump(self, device: StormDevice) -> None:
        seconds = self.luck.choice([40.0, 4000.0, 86400.0])
        self.time.ahead += seconds
        for each in self.devices:
            each.step([ClockJumped(seconds)])

    def _lose_hints(self, device: StormDevice) -> None:
        device.hints.clear()
        device.step([HintsLost((), "overflow")])

    # --- after the storm -----------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Mend everything, and try what was parked again."""
        self.weather.calm()
        self.say("the storm is over")
        for device in self.devices:
            device.unreadable.clear()
            device.wire.cut = False
            if self._revoked(device):
                self.renew(device)
            if self.luck.random() < 0.3:
                device.restart()
        self.time.ahead += 15.0  # a root that could not be proven is tried again by now
        for device in self.devices:
            for _ in range(200):  # what was under way may end badly yet
                device.one()
            device.tickets += 1
            device.step([Ask(device.tickets, Verb.RETRY)])

    def lost(self, contents: Iterable[bytes]) -> list[bytes]:
        """P1: return which of these are neither in a folder, nor in a trash, nor in a version the hub keeps."""
        kept: set[bytes] = set().union(*(device.everything() for device in self.devices))
        gone = [content for content in contents if content not in kept]
        return [content[:40] for content in gone if self.devices[0].wire.missing([blake3(content).digest()])]

    def check_queues(self) -> None:
        """Nothing is left to do, and nothing was given up."""
        for device in self.devices:
            counts = device.db.queue.counts()
            left = [state for state in OpState if state is not OpState.DONE and counts.get(state, 0)]
            assert not left, device.doings()
