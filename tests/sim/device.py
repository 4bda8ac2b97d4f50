"""A simulated device: the real engine and executors on a simulated disk and database, in whatever order a play chooses.

Jobs start, go on and are answered in any order; results wait in the post of their own job. Its process may die in any
call, and its machine may lose power with it.
"""

import contextlib
import random
import shutil
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
from blake3 import blake3

from syncd.db.connection import Database
from syncd.engine.desk import EngineSettings
from syncd.engine.local_rows import DAMAGED
from syncd.model.errors import RootGone, SyncdError
from syncd.model.job import ApplyJob, Job, LookJob, PollJob, ProveJob, SendJob
from syncd.model.node import Kind, Present, Reason, Tree, Unknown
from syncd.model.observation import Ask, Hints, JobFailed, Message, PullFailed, Reply, Unproven, Verb
from syncd.ports import Databases, Stat
from tests.engine.world import Device, Wire
from tests.sim.clock import SimTime
from tests.sim.databases import SimDatabases
from tests.sim.disk import Dead, Disk, Features, Policy, Volume
from tests.sim.fs import SimFs
from tests.sim.person import Shown, SimPerson
from tests.sim.vfs import SimVfs
from tests.sim.weather import DISK_ERRORS, Crash
from tests.sim.wire import SimWire

if TYPE_CHECKING:
    from tests.sim.play import Play

TICK_NS = 4_000_000
"""How coarse the kernel's times are: a jiffy."""


@dataclass
class Running:
    """A job under way: what is left of it, and what it said that nobody has read yet."""

    job: Job
    parts: Iterator[Message]
    post: list[Message] = field(default_factory=list)
    over: bool = False


class SimDevice(Device):
    """One device of a play."""

    time: SimTime  # type: ignore[assignment]

    def __init__(self, play: "Play", base: Path, name: str, seed: int, settings: EngineSettings | None = None) -> None:
        self.play = play
        self.disk = Disk(play.time.nanoseconds)
        self.volume = self.disk.add("root", Features(tick_ns=TICK_NS))
        self.disk.watch("root", self.saw)
        self.person = SimPerson(self.disk, "root")
        self.vfs = SimVfs()
        self.vfs.on_call = lambda name, path: play.at_call(self, f"db.{name}")
        self.root_identity = SimFs.tie(self.disk, "root", f"root-{name}")
        self.unmounted: Volume | None = None
        self.unreadable: set[str] = set()
        self.under_way: list[Running] = []
        self.hints: list[tuple[tuple[str, ...], str]] = []
        self.asking: int | None = None
        self.executed = 0
        self.crash_after: int | None = None
        self.database_broken = self.opened = False
        super().__init__(base, name, play.hub, play.time, seed, settings)
        self.keeper.identity = (self.root_identity.dev, self.root_identity.ino)

    # --- what the engine stands on -------------------------------------------------------------------------------

    def open_fs(self) -> SimFs:  # type: ignore[override]
        return SimFs(self.disk, "root", expected=self.root_identity, on_call=self._disk_call)

    def open_db(self) -> Database:
        db = Database.open(str(self.base / "syncd.db"), clock=self.time, vfs=self.vfs.name)
        self.opened = True
        return db

    def open_databases(self) -> Databases:
        return SimDatabases()

    def open_wire(self) -> Wire:
        return SimWire(self)  # type: ignore[return-value]

    def _disk_call(self, name: str) -> None:
        play = self.play
        play.at_call(self, f"fs.{name}")
        if name == "open" and self.fs.given and str(self.fs.given[0]) in self.unreadable:
            raise PermissionError(13, "unreadable for a while")
        if play.luck.random() < play.weather.disk:
            number = play.luck.choice(DISK_ERRORS)
            play.say(f"{self.name}: {name} fails with errno {number}")
            raise OSError(number, "broken for once")

    def saw(self, directory: tuple[str, ...], name: str) -> None:
        """What a watcher would tell: some of it is lost."""
        if self.play.luck.random() >= self.play.weather.drop_hints:
            self.hints.append((directory, name))

    def _some_whole(self, hint: tuple[tuple[str, ...], str]) -> tuple[tuple[str, ...], str]:
        """What a watcher tells of a folder that is new to it: look at all that is in it."""
        return (hint[0], "") if self.play.luck.random() < 0.1 else hint

    # --- living and dying ----------------------------------------------------------------------------------------

    def start(self) -> None:
        tickets = getattr(self, "tickets", 0)
        while True:
            self.under_way = []
            try:
                super().start()
                break
            except Crash:
                self._die(power=False)
            except (SyncdError, OSError, apsw.Error) as error:
                if not (self.play.weather.evils() or self.database_broken):
                    raise
                self.play.say(f"{self.name}: cannot start ({error})")  # its service manager tries again
                self._die(power=False)
        self.tickets = tickets
        if self.asking is not None:
            self.step([Ask(self.asking, Verb.WAIT)])  # whoever waited waits for the new process

    def restart(self, *, calm: bool = False) -> None:
        """Die, perhaps with the machine, and come back, perhaps with another database."""
        play = self.play
        cut = self.wire.cut
        self._die(power=not calm and play.luck.random() < play.weather.power)
        if not calm:
            self._forget_some()
        play.say(f"{self.name}: restarts")
        self.start()
        self.wire.cut = cut

    def _die(self, *, power: bool) -> None:
        luck = self.play.luck
        self.mount()
        policy = (self.play.policy or luck.choice(list(Policy))) if power else None
        before, files = (self._files(), self.person.contents()) if power else ({}, set())
        self.disk.kill()
        if self.opened:
            self.wire.dead = True
        for running in self.under_way:
            with contextlib.suppress(Crash, Dead, SyncdError, OSError):
                running.parts.close()  # type: ignore[attr-defined]
        self.under_way = []
        dying = self.vfs.killed() if policy is None else self.vfs.power_loss(policy, luck)
        with dying, contextlib.suppress(SyncdError, apsw.Error):
            if self.opened:
                self.db.close()
        self.opened = False
        self.vfs.fail(0)
        self.database_broken = False
        if policy is not None:
            self.play.say(f"{self.name}: loses power ({policy})")
            self.disk.power_loss(policy, luck)
            self.play.power_lost(self, files - self.person.contents())
            self._check_database_is_not_ahead(before)

    def _files(self) -> dict[str, tuple[Stat, Shown]]:
        shown = self.person.snapshot()
        return {path: (self.person.stat(path), what) for path, what in shown.items() if what[0] == Kind.FILE}

    def _check_database_is_not_ahead(self, before: dict[str, tuple[Stat, Shown]]) -> None:
        """P4: what S calls synced, and nobody touched since, was durable here before S said so."""
        kept = {content for _, _, content in self.person.snapshot().values()}
        hook, self.vfs.on_call = self.vfs.on_call, None
        db = self.open_db()
        for path, (stat, (_, _, content)) in before.items():
            for node in db.nodes.by_inode(stat.fingerprint.dev, stat.fingerprint.ino):
                synced, local = node.synced, node.local
                if not isinstance(synced, Present) or not isinstance(local, Present) or synced.place != local.place:
                    continue
                if node.fingerprint == stat.fingerprint and synced.hash == blake3(content).digest():
                    assert content in kept, f"P4: {self.name}: the power took {path}, which S called synced"
        db.close()
        self.opened = False
        self.vfs.on_call = hook

    def _forget_some(self) -> None:
        """Another database than the one that was left: none, or an older one."""
        play, luck, kept = self.play, self.play.luck, self.base / "older"
        if luck.random() < play.weather.amnesia:
            what = luck.choice(["lost", "older"])
            play.say(f"{self.name}: the database is {what}")
            self.lose_database()
            if what == "older" and kept.exists():
                for path in kept.iterdir():
                    shutil.copy2(path, self.base / path.name)
            self.vfs.kept.clear()
        elif play.weather.amnesia and luck.random() < 0.3:
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir()
            for path in self.base.glob("syncd.db*"):
                shutil.copy2(path, kept / path.name)

    # --- its folder, as the world does things to it -----------------------------------------------------------------

    def unmount(self) -> None:
        if self.unmounted is None:
            self.unmounted = self.disk.unmount("root")

    def mount(self) -> None:
        if self.unmounted is not None:
            self.disk.mount("root", self.unmounted)
            self.unmounted = None

    def fill(self, luck: random.Random) -> None:
        """Leave hardly any room on the disk, or all there is."""
        full = self.volume.capacity is not None
        self.volume.capacity = None if full else self.volume.used + luck.choice([0, 500, 20_000])

    def break_database(self, luck: random.Random) -> None:
        """One of the database's next calls fails; perhaps all after it, too."""
        self.database_broken = True
        only = luck.choice([None, "xWrite", "xSync"])
        self.vfs.fail(luck.randint(1, 30), persistent=luck.random() < 0.5, full=luck.random() < 0.5, only=only)

    # --- turns ---------------------------------------------------------------------------------------------------

    def step(self, messages: list[Message]) -> None:
        try:
            self.deadline = self.engine.step(messages)
        except Crash:
            self.play.say(f"{self.name}: dies in a step")
            self.restart()
        except (SyncdError, apsw.Error) as error:
            if not self.database_broken:
                raise
            self.play.say(f"{self.name}: the database fails ({error}); it stops")
            self.restart()

    def turn(self) -> None:
        """Do one thing, any that could happen now."""
        luck = self.play.luck
        chosen = luck.random()
        if self.hints and chosen < 0.15:
            told = [luck.random() < 0.7 for _ in self.hints]
            some = [self._some_whole(hint) for hint, now in zip(self.hints, told, strict=True) if now]
            self.hints = [hint for hint, now in zip(self.hints, told, strict=True) if not now]
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
        if isinstance(answer, PullFailed) or answer.changed or self.play.luck.random() < 0.1:
            self.step([answer])
        else:
            self.jobs.append(job)

    def _parts(self, job: Job) -> Iterator[Message]:
        """A worker's loop, as the real workers and the daemon have it."""
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
            yield Unproven(str(error)) if isinstance(job, ProveJob) else JobFailed(job, repr(error))
        except Exception as error:  # noqa: BLE001 - a worker outlives any job; the engine is told
            if not isinstance(error, SyncdError):
                self.play.failed_jobs.append(f"{type(job).__name__}: {error!r} {traceback.format_exc()[-600:]}")
            yield JobFailed(job, repr(error))

    def go_on(self, running: Running) -> None:
        """Let a job do its next part; what it says waits."""
        try:
            message = next(running.parts, None)
        except (Crash, Dead):
            self.play.say(f"{self.name}: dies in {type(running.job).__name__}")
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
            self.play.say(f"{self.name}: dies before {type(running.job).__name__} is told")
            self.restart()

    def deliver(self, running: Running) -> None:
        """Tell the engine something a job said; several at once now and then."""
        count = self.play.luck.choice([1, 1, 2])
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

    def rest(self, most: int) -> None:
        """In calm weather: do what waits, *most* things at most. Nothing waits, and no step is due: then there is
        nothing to come but time, and every further step would be the same one (``sleep`` asserts that)."""
        for _ in range(most):
            if not self.one() and not self.busy and (self.deadline is None or self.deadline > self.time.monotonic()):
                return

    @property
    def busy(self) -> bool:
        return bool(self.under_way) or super().busy

    def wait(self, *, expect: int = 0) -> Reply:
        self.asking = self.tickets + 1
        try:
            return super().wait(expect=expect)
        finally:
            self.asking = None

    # --- looking -------------------------------------------------------------------------------------------------

    def tree(self) -> dict[str, str]:
        """Return every path but syncd's own and what is ignored by default: kind, executable bit and content."""
        return {
            path: f"{kind}{' x' if executable else ''} {content[:40]!r} {len(content)} {blake3(content).hexdigest(6)}"
            for path, (kind, executable, content) in self.person.snapshot().items()
            if not any(name.endswith((".swp", "~")) for name in path.split("/"))
        }

    def damaged(self) -> tuple[str, ...]:
        """Return the paths that are held and shown because the disk gives back something else than was written."""
        nodes = self.db.nodes
        held = [nodes.node(key) for key in nodes.unknown(Tree.LOCAL, Reason.HELD, 0, 1000)]
        rotten = [node.id for node in held if node and isinstance(node.local, Unknown) and node.local.detail == DAMAGED]
        return tuple("/".join(path) for key in rotten if (path := self.engine.desk.local_path(key)) is not None)

    def everything(self) -> set[bytes]:
        """Return every content in the folder, trash included."""
        return self.person.contents()

    def close(self) -> None:
        """End it for good."""
        self.vfs.on_call = None
        with contextlib.suppress(SyncdError, apsw.Error):
            if self.opened:
                self.db.close()
        self.vfs.unregister()
