"""Devices and a hub on one thread: real folders, the real hub core and executors, a clock that only the test moves.

Every job runs to its end before the next message is taken, so that a run is the same each time.
"""

import contextlib
import hashlib
import os
import random
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from syncd.adapters.posix_fs import PosixFs
from syncd.adapters.posix_marker import tie_root
from syncd.adapters.sqlite_databases import SqliteDatabases
from syncd.db.connection import Database
from syncd.db.views import open_view
from syncd.engine.core import Engine
from syncd.engine.desk import EngineSettings, RootFacts
from syncd.execute.runner import Runner
from syncd.execute.tools import Limits
from syncd.hub.core import Hub
from syncd.model.errors import Offline, RootGone
from syncd.model.job import ApplyJob, Job, LookJob, PollJob, ProveJob, PullJob, RecoverJob, SendJob, SweepJob
from syncd.model.node import Reason, Tree, Version
from syncd.model.observation import Ask, Message, Proven, PullFailed, PullFault, Reply, Unproven, Verb
from syncd.observe.cuts import Cuts
from syncd.observe.listing import Lister
from syncd.observe.scan import Looker
from syncd.observe.snapshots import Snapshots
from syncd.ports import Databases, Remote

STEPS = 5000
MOST_ROUNDS = 12


class Time:
    """Wall and steady clock in one, real time plus what the test added."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        import time

        return time.time() + self.ahead

    def monotonic(self) -> float:
        return self.now()


class Luck:
    """Chance from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def id(self, now: float) -> bytes:
        """Return an id in the order of time, as the system's are, or in none: nobody may rely on it."""
        ordered = (int(now * 1000) % (1 << 48)).to_bytes(6, "big")
        return self._random.choice((ordered, self._random.randbytes(6))) + self._random.randbytes(10)

    def between(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)


class Wire:
    """The way to the hub: can be cut."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self.cut = False
        self.commits: list[object] = []
        self.sent = self.fetched = 0

    def __getattr__(self, name: str) -> object:
        if self.cut:
            raise Offline("the hub cannot be reached")
        if name == "commit":
            return self._commit
        if name in ("put_chunks", "get_chunks"):
            return getattr(self, f"_{name}")
        return getattr(self._remote, name)

    def _put_chunks(self, chunks: Iterable[tuple[bytes, bytes]]) -> None:
        taken = list(chunks)
        self.sent += sum(len(data) for _, data in taken)
        self._remote.put_chunks(taken)

    def _get_chunks(self, hashes: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for content, data in self._remote.get_chunks(hashes):
            self.fetched += len(data)
            yield content, data

    def _commit(self, batch: object) -> object:
        self.commits.extend(batch)  # type: ignore[call-overload]
        return self._remote.commit(batch)  # type: ignore[arg-type]


class Keeper:
    """What outlives the database."""

    def __init__(self) -> None:
        self.paused = False
        self.holds: dict[str, list[str]] = {}
        self.identity: tuple[int, int] | None = None

    def keep_paused(self, paused: bool) -> None:
        self.paused = paused

    def keep_holds(self, holds: dict[str, list[str]]) -> None:
        self.holds = holds

    def kept_holds(self) -> dict[str, list[str]]:
        return self.holds

    def keep_identity(self, dev: int, ino: int) -> None:
        self.identity = (dev, ino)


class Device:
    """One device: a folder, its database, an engine whose workers run when the test says so."""

    def __init__(
        self, base: Path, name: str, hub: Hub, time: Time, seed: int, settings: EngineSettings | None = None
    ) -> None:
        self.name, self.hub, self.time, self.base = name, hub, time, base / name
        self.root = self.base / "root"
        self.root.mkdir(parents=True)
        self.luck = Luck(seed)
        self.identity = tie_root(str(self.root), f"root-{name}")
        self.settings = settings or EngineSettings()
        self.keeper = Keeper()
        self.enrolled = hub.enroll(hub.invite("home"), name)
        self.log: list[tuple[str, dict[str, object]]] = []
        self.start()

    def start(self) -> None:
        """Start the device's engine; what a former one had in memory is gone."""
        self.fs = self.open_fs()
        self.wire = self.open_wire()
        self.db = self.open_db()
        self.snapshots = Snapshots(self.fs, self.open_databases(), self.luck)
        self.cuts = Cuts(self.time, least=0)
        self.looker = Looker(self.fs, self.time, self.snapshots, self.cuts)
        self.lister = Lister(self.wire)  # type: ignore[arg-type]
        self.runner = Runner(
            self.fs,
            self.wire,  # type: ignore[arg-type]
            self.time,
            self.luck,
            lambda: self.name,
            self,
            Limits(free_floor_bytes=0),
            lambda progress: None,
            lambda: False,
            ignored=self._ignored,
            snapshots=self.snapshots,
            cuts=self.cuts,
        )
        self.jobs: deque[Job] = deque()
        self.replies: dict[int, Reply] = {}
        self.tickets = 0
        facts = RootFacts(
            self.name, self.fs.traits, self.enrolled.hub_id, self.enrolled.space_id, paused=self.keeper.paused
        )
        self.engine = Engine(
            self.db, self.time, self.luck, self, self.settings, facts, self.keeper, self._reply, self._log
        )
        self.deadline = self.engine.start()

    def open_fs(self) -> PosixFs:
        return PosixFs(str(self.root), expected=self.identity)

    def open_db(self) -> Database:
        return Database.open(str(self.base / "syncd.db"), clock=self.time)

    def open_databases(self) -> Databases:
        return SqliteDatabases()

    def open_wire(self) -> Wire:
        return Wire(self.hub.authenticate(self.enrolled.token))

    def _ignored(self, path: tuple[str, ...], directory: bool) -> bool:
        return self.engine.decider.rules.ignored(path, directory)

    def _log(self, event: str, **details: object) -> None:
        self.log.append((event, details))

    def _reply(self, reply: Reply) -> None:
        self.replies[reply.ticket] = reply

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def locate(self, hashes: Sequence[bytes]) -> dict[bytes, tuple[tuple[str, ...], int, int]]:
        with open_view(str(self.base / "syncd.db")) as view:
            return view.locate(hashes)

    def crash(self) -> None:
        """The process is gone: jobs, memory and connection with it."""
        self.db.close()

    def lose_database(self) -> None:
        for path in self.base.glob("syncd.db*"):
            path.unlink()

    # --- running -------------------------------------------------------------------------------------------------

    def one(self) -> bool:
        """Run one job, or one step; returns whether there was a job."""
        for _ in range(len(self.jobs)):
            job = self.jobs.popleft()
            if isinstance(job, PollJob):
                self.jobs.append(job)  # answered only when the test ends it
                continue
            for message in self.handle(job):
                self.step([message])
            return True
        self.step([])
        return False

    def step(self, messages: list[Message]) -> None:
        """Let the engine take *messages* in."""
        self.deadline = self.engine.step(messages)

    @property
    def busy(self) -> bool:
        """Whether jobs are to be done: the long poll is none, a test ends it."""
        return any(not isinstance(job, PollJob) for job in self.jobs)

    def sleep(self) -> None:
        """Let the time pass until a step is due. One that is not due yet must find nothing to do: on a real device it
        would come only with the next message or timer, however late."""
        engine, jobs, replies, due = self.engine, len(self.jobs), len(self.replies), self.deadline
        self.step([])
        if self.engine is engine and (due is None or due > self.time.monotonic()):
            assert (len(self.jobs), len(self.replies)) == (jobs, replies), (
                f"no step was due until {due}: {self.doings()}"
            )
            if self.deadline is not None:
                self.time.ahead += max(0.0, self.deadline - self.time.monotonic())

    def handle(self, job: Job) -> list[Message]:
        match job:
            case ProveJob():
                try:
                    found = self.fs.prove()
                except RootGone as error:
                    return [Unproven(str(error))]
                same = (found.dev, found.ino) == (self.keeper.identity or (self.identity.dev, self.identity.ino))
                return [Proven(same, found.dev, found.ino)]
            case LookJob():
                return [self.looker.look(job)]
            case PullJob():
                try:
                    return [self.lister.pull(job)]
                except Offline as error:
                    return [PullFailed(job, PullFault.OFFLINE, str(error))]
            case ApplyJob():
                return list(self.runner.apply(job))
            case SendJob():
                return list(self.runner.send(job))
            case RecoverJob():
                return [self.runner.recover(job)]
            case SweepJob():
                return [self.runner.sweep(job)]
        raise AssertionError(job)

    def wait(self, *, expect: int = 0) -> Reply:
        """Run until all that is on disk and at the remote now is in sync."""
        self.tickets += 1
        ticket = self.tickets
        self.step([Ask(ticket, Verb.WAIT)])
        for _ in range(STEPS):
            if ticket in self.replies:
                break
            if self.busy:
                self.one()
            else:
                self.sleep()
        reply = self.replies.get(ticket)
        assert reply is not None, f"{self.name} does not settle: {self.doings()}"
        assert reply.code == expect, f"{self.name}: {reply.text}; {self.doings()}"
        return reply

    def ask(self, verb: Verb, **arguments: str) -> Reply:
        self.tickets += 1
        self.deadline = self.engine.step([Ask(self.tickets, verb, tuple(sorted(arguments.items())))])
        return self.replies[self.tickets]

    def doings(self) -> str:
        ops = [
            (q.op.type.value, q.state.value, q.op.place, q.error_class, q.last_error, q.op.waits)
            for q in self.db.queue.in_state(None, 10)
        ]
        looks = self.engine.looks
        return (
            f"ops={ops} jobs={[type(j).__name__ for j in self.jobs]} quiet={looks.quiet}"
            f" pulls={self.engine.pulls.quiet}"
            f" detail={self.engine.pulls.detail} plan={self.engine._planning()} live={self.engine.live}"
            f" log={self.log[-5:]} walks={looks.walks} coalescer={looks.coalescer.next_due()}"
            f" running={self.engine.desk.running} deadline={self.deadline} hashing={looks.hashing}"
        )

    # --- the folder ----------------------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        return self.root / name

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def read(self, name: str) -> str:
        return self.path(name).read_text()

    def remove(self, name: str) -> None:
        path = self.path(name)
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def tree(self) -> dict[str, str]:
        """Return every path but syncd's own: kind, executable bit and content."""
        out: dict[str, str] = {}
        for directory, directories, files in os.walk(self.root):
            with contextlib.suppress(ValueError):
                directories.remove(".syncd")
            for name in directories + files:
                path = Path(directory) / name
                key = str(path.relative_to(self.root))
                if path.is_symlink():
                    out[key] = "-> " + os.readlink(path)
                elif path.is_dir():
                    out[key] = "directory"
                else:
                    mark = "x " if os.access(path, os.X_OK) and path.stat().st_mode & 0o100 else ""
                    out[key] = mark + hashlib.blake2s(path.read_bytes()).hexdigest()[:12]
        return dict(sorted(out.items()))

    def everything(self) -> set[bytes]:
        """Return every content in the folder, trash included."""
        return {path.read_bytes() for path in self.root.rglob("*") if path.is_file() and not path.is_symlink()}

    def trash(self) -> set[bytes]:
        folder = self.root / ".syncd" / "trash"
        return {path.read_bytes() for path in folder.glob("*/data") if path.is_file()} if folder.exists() else set()

    def trash_entries(self) -> list[str]:
        with self.fs.own("trash") as folder:
            return folder.names()


class World:
    """A hub and its devices."""

    def __init__(self, base: Path, *names: str, settings: EngineSettings | None = None) -> None:
        self.base, self.time = base, Time()
        self.hub = Hub.open(base / "hub", self.time, Luck(0))
        self.hub.create_space("home")
        self.devices = [Device(base, name, self.hub, self.time, 10 + i, settings) for i, name in enumerate(names)]

    def settle(self, *, expect: int | None = 0, rounds: int = 8) -> None:
        """Let every device settle, until a whole round changes nothing (P2), then check P2 and P3."""
        self.settle_all(expect=expect, rounds=rounds)
        for device in self.devices[1:]:
            assert device.tree() == self.devices[0].tree()
        for device in self.devices:
            self.check_p3(device)

    def settle_all(self, *, expect: int | None = None, rounds: int = 8) -> None:
        """Let every device settle, until a whole round changes nothing."""
        before: tuple[Version, list[dict[str, str]]] | None = None
        for _ in range(rounds):
            for device in self.devices:
                self.settle_one(device, expect)
            # What the last device told the hub may be no change of its own folder: the others have it to fetch yet.
            now = self._head(), [device.tree() for device in self.devices]
            if now == before:
                break
            before = now

    def _head(self) -> Version:
        with self.hub.store.read() as view:
            return view.head(1)  # the only space

    def settle_one(self, device: Device, expect: int | None) -> None:
        """Let one device settle; with *expect* None also to where something waits for a person."""
        if expect is None:
            device.tickets += 1
            reply = None
            try:
                reply = device.wait(expect=0)
            except AssertionError:
                reply = device.replies.get(device.tickets)
                if reply is None or reply.code != 3:
                    raise
        else:
            device.wait(expect=expect)

    def check_p3(self, device: Device) -> None:
        """Looking and listing again finds nothing to do, and reads no file."""
        code = 3 if device.db.conflicts.open_count() or device.db.decisions.undecided() else 0
        self._rest(device, code)
        commits, opened = len(device.wire.commits), device.fs.opened
        left = [device.db.nodes.node(key) for key in device.db.nodes.disagreeing(0, 10)]
        assert not left, f"P3: {device.name} is not in sync: {left}"
        device.wait(expect=code)
        assert len(device.wire.commits) == commits, f"P3: {device.name} commits {device.wire.commits[commits:]}"
        held = len(device.db.nodes.unknown(Tree.LOCAL, Reason.HELD, 0, 100))  # read, and made durable, at each look
        again = device.fs.opened - opened
        assert again <= 1 + 2 * held, f"P3: {device.name} opens {again} files that it has read"  # 1: the ignore rules

    def _rest(self, device: Device, code: int) -> None:
        """Let *device* read once more what it read while it was young (the racy rule), and look a last time at what was
        displaced, for late writers. What then leaves the trash moves the ctime of its other names (hard links), which
        are read once more, too."""
        for _ in range(MOST_ROUNDS):
            trash = device.trash_entries()
            self.time.ahead += 5.0
            device.wait(expect=code)
            while device.one():
                pass
            if device.trash_entries() == trash:
                return
        raise AssertionError(f"P3: the trash of {device.name} does not come to rest")

    def close(self) -> None:
        for device in self.devices:
            device.db.close()
        self.hub.close()
