"""Carries a group of ops out on this folder: stage all, make durable, act, make durable, judge.

Owns the order of these phases, in which every crash leaves either the old state or the new one (P4). One op's fault
ends that op alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

from syncd.execute.deleting import Deleting, Removing
from syncd.execute.dirs import Dirs
from syncd.execute.download import Staged, Want, stage_many
from syncd.execute.ending import ended, unsure
from syncd.execute.placed import write_placed
from syncd.execute.placing import Placing
from syncd.execute.recover import recover_local
from syncd.execute.staging import STAGING
from syncd.execute.tools import Tools
from syncd.execute.trash import TRASH, exists
from syncd.execute.tree import Making, Marking, Moving, Swapping
from syncd.model.errors import Outdated, SyncdError
from syncd.model.job import Assignment
from syncd.model.node import Kind
from syncd.model.observation import Ending, OpResult
from syncd.model.op import OpType
from syncd.ports import ReadFile


class Work(Protocol):
    """One op on its way through the phases. *acted* tells whether the user's tree was changed."""

    assignment: Assignment
    acted: bool

    def check(self, dirs: Dirs) -> Want | None:
        """Raise Outdated when the op no longer fits; return what content it needs."""
        ...

    def record(self, dirs: Dirs) -> list[ReadFile]:
        """Write down what is about to be done; return the files that must be durable first, besides what was staged."""
        ...

    def act(self, dirs: Dirs) -> None:
        """Make the one change the op is about."""
        ...

    def settle(self, dirs: Dirs) -> OpResult:
        """Judge what was found, once the change is durable."""
        ...

    def give_up(self, dirs: Dirs, *, keep_parts: bool) -> None:
        """Remove what was prepared for an op that changed nothing."""
        ...


def work_for(tools: Tools, assignment: Assignment) -> Work:
    """Return the work an op on this folder asks for."""
    match assignment.op.type:
        case OpType.DOWNLOAD | OpType.CONFLICT:
            return Placing(tools, assignment)
        case OpType.LOCAL_MKDIR:
            return Making(tools, assignment)
        case OpType.LOCAL_MOVE | OpType.SET_ASIDE:
            return Moving(tools, assignment)
        case OpType.LOCAL_SWAP:
            return Swapping(tools, assignment)
        case OpType.LOCAL_CHMOD:
            return Marking(tools, assignment)
        case OpType.LOCAL_DELETE:
            deleter = Removing if assignment.op.kind is Kind.DIRECTORY else Deleting
            return deleter(tools, assignment)
        case _:
            raise ValueError(f"{assignment.op.type} is no op on this folder")


def groups_of(tools: Tools, assignments: Sequence[Assignment]) -> Iterator[list[Assignment]]:
    """Split a job, in order, into groups that are staged and made durable together."""
    group: list[Assignment] = []
    total = 0
    for assignment in assignments:
        size = assignment.op.size if assignment.op.type in (OpType.DOWNLOAD, OpType.CONFLICT) else 0
        if group and (len(group) >= tools.limits.group_ops or total + size > tools.limits.group_bytes):
            yield group
            group, total = [], 0
        group.append(assignment)
        total += size
    if group:
        yield group


class Group:
    """One group of ops, and how each of them ended."""

    def __init__(self, tools: Tools, assignments: Sequence[Assignment], *, prove: bool) -> None:
        self._tools = tools
        self._assignments = assignments
        self._prove = prove
        self._results: dict[int, OpResult] = {}
        self._works = [work_for(tools, assignment) for assignment in assignments]

    def run(self) -> tuple[OpResult, ...]:
        """Carry all of it out; every op has a result."""
        keys = [assignment.key for assignment in self._assignments]
        self._tools.busy.update(keys)
        try:
            self._prepare()
            self._change()
        except (SyncdError, OSError) as error:  # what concerns all of them: the root itself, or syncd's own folder
            for work in self._works:
                self._results.setdefault(work.assignment.op_id, self._ended(work, error))
        finally:
            self._tools.busy.difference_update(keys)
        return tuple(self._results[assignment.op_id] for assignment in self._assignments)

    def _left(self) -> list[Work]:
        return [work for work in self._works if work.assignment.op_id not in self._results]

    def _each(self, dirs: Dirs, call: Callable[[Work], None]) -> None:
        for work in self._left():
            try:
                call(work)
            except (SyncdError, OSError) as error:
                self._fail(dirs, work, error)

    def _ended(self, work: Work, error: SyncdError | OSError) -> OpResult:
        told = not work.acted or isinstance(error, Outdated)  # raised by itself after it acted: it knows what it left
        return (ended if told else unsure)(work.assignment, error)

    def _fail(self, dirs: Dirs, work: Work, error: SyncdError | OSError) -> None:
        result = self._results[work.assignment.op_id] = self._ended(work, error)
        if not work.acted:
            # What cannot be taken back now is ours by name or by inode: the sweep finds it.
            with suppress(SyncdError, OSError):
                work.give_up(dirs, keep_parts=result.ending is Ending.RETRY)

    # --- before anything is changed ------------------------------------------------------------------------------

    def _prepare(self) -> None:
        with Dirs(self._tools.fs) as dirs:
            self._each(dirs, lambda work: self._look_back(dirs, work))
            wants: list[Want] = []

            def check(work: Work) -> None:
                want = work.check(dirs)
                if want is not None:
                    wants.append(want)

            self._each(dirs, check)
            self._stage(dirs, wants)
        try:
            with Dirs(self._tools.fs) as dirs:
                self._record(dirs)
        finally:
            for staged in self._staged(self._works):
                staged.close()

    def _staged(self, works: Sequence[Work]) -> list[Staged]:
        return [work.staged for work in works if isinstance(work, Placing) and work.staged is not None]

    def _look_back(self, dirs: Dirs, work: Work) -> None:
        """An earlier attempt of this very op may have had its effect already: find out before doing it again."""
        if exists(dirs, work.assignment.key):
            result = recover_local(self._tools, dirs, work.assignment)
            if result.ending is not Ending.NOT_DONE:
                self._results[work.assignment.op_id] = result

    def _stage(self, dirs: Dirs, wants: Sequence[Want]) -> None:
        staged = stage_many(self._tools, dirs, wants)
        for work in self._left():
            outcome = staged.get(work.assignment.op_id)
            if outcome is None or not isinstance(work, Placing):
                continue
            if isinstance(outcome, SyncdError | OSError):
                self._fail(dirs, work, outcome)
            else:
                work.staged = outcome

    def _record(self, dirs: Dirs) -> None:
        """What was staged and written down is durable before the tree is touched: else a power loss leaves half a file
        (P5), or riddles (P4). One wait for all of the group."""
        durable: list[ReadFile] = []
        try:
            if any(isinstance(work, Placing) for work in self._left()):
                dirs.own(STAGING).sync()
            self._each(dirs, lambda work: durable.extend(work.record(dirs)))
            if durable:
                dirs.own(TRASH)  # open, so that the names of the new entries become durable with what is in them
            placed = {
                work.assignment.key: work.staged.stat.fingerprint
                for work in self._left()
                if isinstance(work, Placing) and work.recorded and work.staged is not None
            }
            if placed:
                durable.append(write_placed(dirs, placed, self._tools.clock.now(), self._tools.chance))
            contents = [staged.file for staged in self._staged(self._left()) if staged.file is not None]
            if durable or contents:
                self._tools.fs.make_durable([*contents, *durable])
                dirs.sync()
        finally:
            for file in durable:
                file.close()

    # --- the change ----------------------------------------------------------------------------------------------

    def _change(self) -> None:
        if not self._left():
            return
        if self._prove:
            self._tools.fs.prove()
        with Dirs(self._tools.fs) as dirs:
            self._each(dirs, lambda work: self._act(dirs, work))
            if self._left():
                dirs.sync()
            self._each(dirs, lambda work: self._settle(dirs, work))

    def _act(self, dirs: Dirs, work: Work) -> None:
        work.act(dirs)
        if isinstance(work, Removing) and (kept := work.leftover()) is not None:
            self._results[work.assignment.op_id] = kept

    def _settle(self, dirs: Dirs, work: Work) -> None:
        self._results[work.assignment.op_id] = work.settle(dirs)
