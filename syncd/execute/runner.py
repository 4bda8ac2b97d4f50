"""The executors' front: takes jobs from any worker thread, gives results back as observations.

Owns no state of its own; never reads the database, and never decides what should be done.
"""

from collections.abc import Callable, Iterator

from syncd.execute.applying import Group, groups_of
from syncd.execute.recover import recover_all
from syncd.execute.sending import SendGroup, send_groups_of
from syncd.execute.sweep import Sweep
from syncd.execute.tools import Limits, Tools, Wait, at_once
from syncd.model.job import ApplyJob, RecoverJob, SendJob, SweepJob
from syncd.model.observation import OpsEnded, Progress, Swept
from syncd.model.path import RelPath
from syncd.observe.cuts import Cuts
from syncd.observe.snapshots import Snapshots
from syncd.ports import Chance, ChunkCache, Clock, LocalFs, Remote


def _nothing_ignored(path: RelPath, directory: bool) -> bool:
    return False


class Runner:
    """Carries jobs out. *device* names this device in conflicted copies; *cancelled* is asked between windows;
    *ignored* tells whether a path (and whether it is a directory) is ignored here; *beside* does work beside its
    caller."""

    def __init__(
        self,
        fs: LocalFs,
        remote: Remote,
        clock: Clock,
        chance: Chance,
        device: Callable[[], str],
        cache: ChunkCache | None,
        limits: Limits,
        progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
        ignored: Callable[[RelPath, bool], bool] = _nothing_ignored,
        snapshots: Snapshots | None = None,
        cuts: Cuts | None = None,
        beside: Callable[[Callable[[], None]], Wait] = at_once,
    ) -> None:
        self._tools = Tools(
            fs,
            remote,
            clock,
            chance,
            device,
            cache,
            limits,
            progress,
            cancelled,
            ignored,
            snapshots=snapshots,
            cuts=cuts,
            beside=beside,
        )

    def apply(self, job: ApplyJob) -> Iterator[OpsEnded]:
        """Carry ops out on this folder; results come group by group, the last part with ``last``."""
        groups = list(groups_of(self._tools, job.assignments))
        for number, group in enumerate(groups):
            results = Group(self._tools, group, prove=job.prove).run()
            yield OpsEnded(job, results, last=number == len(groups) - 1)
        if not groups:
            yield OpsEnded(job, ())

    def send(self, job: SendJob) -> Iterator[OpsEnded]:
        """Carry ops out on the remote; results come group by group, the last part with ``last``."""
        groups = list(send_groups_of(self._tools, job.assignments))
        for number, group in enumerate(groups):
            results = SendGroup(self._tools, group, prove=job.prove).run()
            yield OpsEnded(job, results, last=number == len(groups) - 1)
        if not groups:
            yield OpsEnded(job, ())

    def recover(self, job: RecoverJob) -> OpsEnded:
        """Find out how ops that were running at a crash ended, and finish what had begun."""
        return OpsEnded(job, recover_all(self._tools, job.local, job.remote))

    def sweep(self, job: SweepJob) -> Swept:
        """Tend the trash and the staging folder."""
        return Sweep(self._tools, job).run()


__all__ = ["Limits", "Runner"]
