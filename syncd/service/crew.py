"""The workers of one engine: which threads carry out which jobs, and with what.

Owns the threads of one life of an engine. Posts results to that engine's inbox; never touches the database.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, assert_never

from syncd.adapters.threads import Handler, ThreadWorkers
from syncd.db.views import open_view
from syncd.engine.desk import EngineSettings
from syncd.execute.runner import Runner
from syncd.model.errors import RootGone, SyncdError
from syncd.model.job import (
    ApplyJob,
    Job,
    Lane,
    LookJob,
    PollJob,
    ProveJob,
    PullJob,
    RecoverJob,
    SendJob,
    SweepJob,
)
from syncd.model.observation import JobFailed, Message, Unproven
from syncd.model.path import RelPath
from syncd.observe.listing import Lister
from syncd.observe.scan import Looker
from syncd.service.watched import WatchedRoot


class KnownPieces:
    """The chunk cache as workers see it: a read-only view, opened for each question."""

    def __init__(self, database: Path) -> None:
        self._database = str(database)

    def locate(self, hashes: Any) -> dict[bytes, tuple[RelPath, int, int]]:
        """Return where chunks may be found locally; nothing when the database cannot be read just now."""
        try:
            with open_view(self._database) as view:
                return view.locate(hashes)
        except SyncdError:
            return {}  # a hint that is not given: the chunk comes from the remote


class Crew:
    """Two sets of worker threads: the long poll waits on the network for a minute, and no stop waits for it."""

    def __init__(
        self,
        settings: EngineSettings,
        looker: Looker,
        lister: Lister,
        runner: Runner,
        root: WatchedRoot,
        post: Callable[[Message], None],
    ) -> None:
        self._looker, self._lister, self._runner, self._root = looker, lister, runner, root
        widths = {
            Lane.LOOK: settings.look_width,
            Lane.LIST: 1,
            Lane.APPLY: settings.apply_width,
            Lane.SEND: settings.send_width,
        }
        handlers: dict[Lane, Handler] = dict.fromkeys(widths, self.carry_out)
        self._workers = ThreadWorkers(handlers, widths, post)
        self._poller = ThreadWorkers({Lane.POLL: self.carry_out}, {Lane.POLL: 1}, post)

    def submit(self, job: Job) -> None:
        """See ``syncd.ports.Workers``."""
        (self._poller if job.lane is Lane.POLL else self._workers).submit(job)

    def stop(self, timeout: float) -> bool:
        """Take no more jobs; return whether all but the long poll ended within *timeout* seconds."""
        self._poller.stop(0.0)
        return self._workers.stop(timeout)

    def carry_out(self, job: Job) -> Iterable[Message]:
        """Carry *job* out. A root found to be gone is told at once, not at the next proof: everything stops (P8)."""
        try:
            yield from self._results(job)
        except RootGone as error:
            yield JobFailed(job, str(error))
            yield Unproven(str(error), proving=False)

    def _results(self, job: Job) -> Iterable[Message]:
        match job:
            case LookJob():
                return [self._looker.look(job)]
            case ProveJob():
                return self._root.prove(job.watcher)
            case PullJob():
                return [self._lister.pull(job)]
            case PollJob():
                return [self._lister.poll(job)]
            case ApplyJob():
                return self._runner.apply(job)
            case SendJob():
                return self._runner.send(job)
            case RecoverJob():
                return [self._runner.recover(job)]
            case SweepJob():
                return [self._runner.sweep(job)]
        assert_never(job)
