"""What `syncd run` would do now, found out without doing any of it.

The engine looks, lists and plans on a throw-away copy of the database; no executor is there to carry anything out.
Nothing is written to the folder, to the remote, or to the root's own state. Owns that copy and the loop around it.
"""

import contextlib
import os
import queue
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from syncd.adapters.hub_remote import HubRemote
from syncd.adapters.posix_dir import PosixDir
from syncd.adapters.posix_fs import PosixFs
from syncd.adapters.sqlite_databases import SqliteDatabases
from syncd.adapters.system import SystemChance, SystemClock
from syncd.db.connection import Database
from syncd.db.views import open_view
from syncd.engine.core import Engine
from syncd.engine.desk import EngineSettings, RootFacts
from syncd.model.errors import RootGone
from syncd.model.job import Job, LookJob, ProveJob, PullJob, RecoverJob
from syncd.model.observation import Ask, JobFailed, Message, Proven, Reply, Unproven, Verb
from syncd.observe.listing import Lister
from syncd.observe.scan import Looker
from syncd.observe.snapshots import Snapshots
from syncd.ports import RootIdentity, Traits
from syncd.service import known_traits
from syncd.service.roots import RootRecord, Roots
from syncd.service.tokens import Tokens
from syncd.settings import Settings

_TICKET: Final = 1


@dataclass(frozen=True, slots=True)
class Preview:
    """A look that is over, or was cut short. *database* holds the plan; *code* and *text* are the engine's answer."""

    database: Path
    code: int
    text: str


@contextlib.contextmanager
def previewed(roots: Roots, record: RootRecord, settings: Settings, timeout: float) -> Iterator[Preview]:
    """Look, list and plan, for at most *timeout* seconds; the plan's database is there while inside.

    Raises RootGone, NotAuthorised and their like, each with one clear line.
    """
    remote = HubRemote(record.address, Tokens(roots).get(record.id), expect=(record.hub_id, record.space_id))
    folder = Path(tempfile.mkdtemp(prefix="syncd-plan-"))
    try:
        database = folder / "syncd.sqlite"
        original = roots.folder(record.id).database
        if original.exists():
            with open_view(os.fspath(original)) as view:
                view.copy_to(os.fspath(database))
        yield _Trial(roots, record, settings, database, remote).run(timeout)
    finally:
        remote.close()
        shutil.rmtree(folder)


class _UntouchedFs(PosixFs):
    """A root in which nothing is written: what belongs into its ``.syncd`` goes to *scratch*, and its traits, which
    are tried out by writing, are known."""

    def __init__(self, record: RootRecord, known: Traits, scratch: Path) -> None:
        super().__init__(record.path, expected=RootIdentity(record.id, record.dev, record.ino))
        self._known, self._scratch = known, scratch

    def own(self, *names: str) -> PosixDir:
        """Return a directory that ends with the preview."""
        path = self._scratch.joinpath(*names)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return PosixDir(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), self)

    @property
    def traits(self) -> Traits:
        """What the daemon last found."""
        return self._known


class _Forgetful:
    """A keeper whose decisions end with it: root.json stays as it is."""

    def __init__(self, record: RootRecord) -> None:
        self._holds = dict(record.holds)

    def keep_paused(self, paused: bool) -> None:
        """Nothing is paused but this trial."""

    def keep_holds(self, holds: dict[str, list[str]]) -> None:
        """See ``syncd.engine.desk.Keeper``."""
        self._holds = holds

    def kept_holds(self) -> dict[str, list[str]]:
        """Return the holds of root.json."""
        return self._holds

    def keep_identity(self, dev: int, ino: int) -> None:
        """A restored copy is a copy for the next run, too."""


class _Trial:
    """One run of the engine with eyes and no hands, in the caller's thread."""

    def __init__(self, roots: Roots, record: RootRecord, settings: Settings, database: Path, remote: HubRemote) -> None:
        self._record, self._settings, self._path = record, settings, database
        self._clock = SystemClock()
        traits = known_traits.recall(roots.folder(record.id).base)
        self._fs = _UntouchedFs(record, traits, database.parent / "own")
        snapshots = Snapshots(self._fs, SqliteDatabases(), SystemChance())
        self._looker, self._lister = Looker(self._fs, self._clock, snapshots), Lister(remote)
        self._jobs: deque[Job] = deque()
        self._answers: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        # Paused: everything is looked at and planned, and nothing is handed to an executor.
        self._facts = RootFacts(record.device, traits, record.hub_id, record.space_id, paused=True)

    def submit(self, job: Job) -> None:
        """See ``syncd.ports.Workers``: keep what only looks; what would act, or wait for news, is never answered."""
        if isinstance(job, (LookJob, ProveJob, PullJob, RecoverJob)):
            self._jobs.append(job)

    def run(self, timeout: float) -> Preview:
        """Step the engine until it has looked at both sides and planned."""
        ends = self._clock.monotonic() + timeout
        database = Database.open(os.fspath(self._path), clock=self._clock)
        try:
            engine = Engine(
                database, self._clock, SystemChance(), self, EngineSettings.of(self._settings), self._facts,
                _Forgetful(self._record), self._answers.put, _say_nothing,
            )  # fmt: skip
            due = engine.start()
            asked: list[Message] = [Ask(_TICKET, Verb.SCAN, (("remote", "yes"),))]
            due = engine.step(asked)
            while self._answers.empty():
                if self._clock.monotonic() > ends:
                    return Preview(self._path, 4, "the look is not over: what is shown is what was found so far")
                due = engine.step(self._next(due, ends))
            reply = self._answers.get()
            return Preview(self._path, reply.code, reply.text)
        finally:
            database.close()

    def _next(self, due: float | None, ends: float) -> list[Message]:
        """Return what the next job saw; without one, nothing as soon as the engine wants to be called again."""
        if self._jobs:
            return self._seen(self._jobs.popleft())
        until = ends if due is None else min(due, ends)
        time.sleep(max(0.0, until - self._clock.monotonic()))
        return []

    def _seen(self, job: Job) -> list[Message]:
        try:
            match job:
                case LookJob():
                    return [self._looker.look(job)]
                case ProveJob():
                    return [self._prove()]
                case PullJob():
                    return [self._lister.pull(job)]
        except RootGone as error:
            return [JobFailed(job, str(error)), Unproven(str(error), proving=False)]
        # How interrupted work ended is found out by mending it, which is the next run's: here it counts as open.
        return [JobFailed(job, "only looking")]

    def _prove(self) -> Message:
        try:
            found = self._fs.prove()
        except (RootGone, OSError) as error:
            return Unproven(str(error))
        return Proven(self._record.ino in (0, found.ino), found.dev, found.ino)


def _say_nothing(_event: str, **_values: Any) -> None:
    """A trial leaves no trace in the log."""
