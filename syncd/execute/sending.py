"""Carries a group of ops out on the remote: read, send what is missing, make durable, look once more, commit.

Owns the mutations and what their answers mean. A write whose reply was lost may have happened: it is looked up by its
key, never repeated blindly.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress

from syncd.chunks.manifest import located
from syncd.execute.dirs import Dirs, is_executable, present, require_expected
from syncd.execute.ending import ended
from syncd.execute.recover import recover_remote
from syncd.execute.tools import Tools
from syncd.execute.upload import SMALL, Source, open_source, read_small, send_again, send_large, send_small
from syncd.model.errors import Corrupt, NotAuthorised, Outdated, Refused, SyncdError, Transient
from syncd.model.job import Assignment
from syncd.model.node import Kind, Version
from syncd.model.observation import Ending, OpResult
from syncd.model.op import OpType
from syncd.model.path import shown
from syncd.model.remote import Cause, Create, Delete, Edit, Moves, Mutation, Outcome, Step, Verdict

ROUNDS = 3
"""How often chunks that went missing before the commit are sent again."""


def send_groups_of(tools: Tools, assignments: Sequence[Assignment]) -> Iterator[list[Assignment]]:
    """Split a job, in order: large uploads alone, all else in groups that commit together."""
    group: list[Assignment] = []
    total = 0
    for assignment in assignments:
        size = assignment.op.size if assignment.op.type is OpType.UPLOAD else 0
        full = len(group) >= tools.limits.group_ops or total + size > tools.limits.group_bytes or size > SMALL
        if group and (full or total > SMALL):
            yield group
            group, total = [], 0
        group.append(assignment)
        total += size
    if group:
        yield group


def mutation_for(assignment: Assignment, source: Source | None) -> Mutation:
    """Return what to ask of the remote. The same op always asks the same: its key stands for it."""
    op = assignment.op
    match op.type:
        case OpType.UPLOAD if op.source is not None and source is not None:
            executable = op.executable if op.kind is Kind.FILE else None
            return Edit(
                assignment.key,
                assignment.node_id,
                _base(op.base),
                source.content,
                executable,
                op.mtime_ns,
                _cause(op.conflict),
            )
        case OpType.UPLOAD | OpType.REMOTE_MKDIR:
            cause = Cause.REVIVE if op.base is not None else _cause(op.conflict)
            return Create(
                assignment.key,
                assignment.node_id,
                _parent(assignment),
                op.place.name,
                op.kind,
                op.base,
                source.content if source is not None else None,
                op.executable,
                op.mtime_ns if source is not None else 0,
                cause,
            )
        case OpType.REMOTE_MOVE:
            steps = tuple(
                Step(s.node_id, Version(s.base_position, s.base_tag), s.parent_id, s.name) for s in assignment.steps
            )
            single = Step(assignment.node_id, _base(op.base), _parent(assignment), op.place.name) if not steps else None
            return Moves(assignment.key, steps if single is None else (single,))
        case OpType.REMOTE_CHMOD:
            return Edit(assignment.key, assignment.node_id, _base(op.base), executable=op.executable)
        case OpType.REMOTE_DELETE:
            return Delete(assignment.key, assignment.node_id, _base(op.base))
        case _:
            raise ValueError(f"{op.type} is no op on the remote")


def _base(version: Version | None) -> Version:
    if version is None:
        raise Outdated("which version the remote has is not known; looking again")
    return version


def _parent(assignment: Assignment) -> bytes:
    if assignment.parent_id is None:
        raise Outdated("the remote does not have the directory yet; looking again")
    return assignment.parent_id


def _cause(conflict: object) -> Cause:
    return Cause.EDIT if conflict is None else Cause.CONFLICT


class SendGroup:
    """One group of ops on the remote, and how each of them ended."""

    def __init__(self, tools: Tools, assignments: Sequence[Assignment], *, prove: bool) -> None:
        self._tools = tools
        self._assignments = assignments
        self._prove = prove
        self._results: dict[int, OpResult] = {}
        self._sources: dict[int, Source] = {}
        self._stale: list[Assignment] = []

    def run(self) -> tuple[OpResult, ...]:
        """Carry all of it out; every op has a result."""
        with ExitStack() as stack, Dirs(self._tools.fs) as dirs:
            try:
                self._each(lambda assignment: self._read(dirs, stack, assignment))
                self._send()
                self._make_durable(dirs)
                self._each(lambda assignment: self._look(dirs, assignment))
                if self._prove:
                    self._tools.fs.prove()
                self._commit()
            except (SyncdError, OSError) as error:
                for assignment in self._left():
                    self._results[assignment.op_id] = ended(assignment, error)
        self._look_up_stale()
        return tuple(self._results[assignment.op_id] for assignment in self._assignments)

    def _left(self) -> list[Assignment]:
        return [assignment for assignment in self._assignments if assignment.op_id not in self._results]

    def _each(self, call: Callable[[Assignment], None]) -> None:
        for assignment in self._left():
            try:
                call(assignment)
            except (SyncdError, OSError) as error:
                result = ended(assignment, error)
                self._results[assignment.op_id] = result
                if result.ending is Ending.STALE:
                    self._stale.append(assignment)

    # --- before the commit ---------------------------------------------------------------------------------------

    def _read(self, dirs: Dirs, stack: ExitStack, assignment: Assignment) -> None:
        if assignment.op.type is not OpType.UPLOAD:
            self._look(dirs, assignment)
            return
        source = open_source(self._tools, dirs.proven(assignment.target), assignment)
        stack.callback(source.close)
        if source.file is None or source.before.fingerprint.size <= SMALL:
            read_small(source)
        else:
            send_large(self._tools, source)
        self._sources[assignment.op_id] = source

    def _send(self) -> None:
        self._tools.stop_if_cancelled()
        small = [source for a in self._left() if (source := self._sources.get(a.op_id)) is not None and source.held]
        send_small(self._tools, small)

    def _make_durable(self, dirs: Dirs) -> None:
        """The local side is durable before the remote is told: S must never know more than this disk (P4)."""
        files = [
            file for a in self._left() if (source := self._sources.get(a.op_id)) is not None for file in source.durable
        ]
        if files:
            self._tools.fs.make_durable(files)
        dirs.sync()

    def _look(self, dirs: Dirs, assignment: Assignment) -> None:
        """Look at the local place again, immediately before the commit.

        # RACE: what a person does between this look and the commit is seen as a change after it.
        """
        op = assignment.op
        traits = self._tools.fs.traits
        match op.type:
            case OpType.UPLOAD:
                self._sources[assignment.op_id].require_untouched()
            case OpType.REMOTE_DELETE:
                self._require_gone(dirs, assignment)
            case OpType.REMOTE_MOVE if assignment.target is not None and op.expected is not None:
                require_expected(dirs.proven(assignment.target), op.place.name, op.kind, None, traits)
                stat = dirs.proven(assignment.target).stat(op.place.name)
                if stat is None or stat.fingerprint.ino != op.expected.ino:
                    raise Outdated(f"{shown(op.place.name)} is another one by now; looking again")
            case OpType.REMOTE_MKDIR:
                require_expected(dirs.proven(assignment.target), op.place.name, op.kind, op.expected, traits)
            case OpType.REMOTE_CHMOD if assignment.origin is not None and op.source is not None:
                stat = present(dirs.proven(assignment.origin), op.source.name, traits)
                if stat is None or is_executable(stat, traits, op.executable) != op.executable:
                    raise Outdated(f"{shown(op.source.name)} is not as it was when this was planned; looking again")
            case _:
                return

    def _require_gone(self, dirs: Dirs, assignment: Assignment) -> None:
        """Raise Outdated when anything is at the local place again: an edit beats a delete (P7)."""
        source = assignment.op.source
        if source is None or assignment.origin is None:
            return
        try:
            directory = dirs.proven(assignment.origin)
        except (FileNotFoundError, NotADirectoryError):
            return  # the directory itself went; the root is proven before the commit
        if source.name in directory.names():
            raise Outdated(f"{shown(source.name)} is there again; looking again")

    # --- the commit ----------------------------------------------------------------------------------------------

    def _commit(self) -> None:
        mutations: dict[int, Mutation] = {}

        def make(assignment: Assignment) -> None:
            mutations[assignment.op_id] = mutation_for(assignment, self._sources.get(assignment.op_id))

        self._each(make)
        for _ in range(ROUNDS):
            batch = self._left()
            if not batch:
                return
            self._answer(batch, [mutations[assignment.op_id] for assignment in batch])
        for assignment in self._left():
            error = Transient("the remote keeps losing chunks that were just sent; trying again later")
            self._results[assignment.op_id] = ended(assignment, error)

    def _answer(self, batch: Sequence[Assignment], mutations: Sequence[Mutation]) -> None:
        try:
            outcomes = self._tools.remote.commit(mutations)
        except Transient as error:
            self._look_up(batch, error)
            return
        except NotAuthorised:
            raise
        except Refused as error:
            if len(batch) == 1:
                self._results[batch[0].op_id] = ended(batch[0], error)
                return
            for assignment, mutation in zip(batch, mutations, strict=True):
                self._answer([assignment], [mutation])  # one bad path stops nothing else
            return
        if len(outcomes) != len(batch):
            raise Corrupt("the remote did not answer every mutation")
        for assignment, outcome in zip(batch, outcomes, strict=True):
            self._take(assignment, outcome)

    def _look_up(self, batch: Sequence[Assignment], error: Transient) -> None:
        """The reply was lost: what was done is done; the rest is tried again later under the same keys."""
        for assignment, result in zip(batch, recover_remote(self._tools.remote, batch), strict=True):
            self._results[assignment.op_id] = result if result.ending is Ending.DONE else ended(assignment, error)

    def _take(self, assignment: Assignment, outcome: Outcome) -> None:
        op_id = assignment.op_id
        source = self._sources.get(op_id)
        match outcome.verdict:
            case Verdict.DONE:
                moved = source.moved if source is not None else 0
                pieces = located(source.pieces) if source is not None and source.manifest is not None else ()
                self._results[op_id] = OpResult(
                    op_id, Ending.DONE, remote=outcome.nodes, bytes_moved=moved, pieces=pieces
                )
                self._drop_snapshot(source)
            case Verdict.CHUNKS_MISSING if source is not None:
                try:
                    send_again(self._tools, source, outcome.missing)
                except (SyncdError, OSError) as error:
                    self._results[op_id] = ended(assignment, error)
            case Verdict.REFUSED | Verdict.CHUNKS_MISSING:
                text = outcome.detail or "the remote refuses this"
                self._results[op_id] = OpResult(op_id, Ending.REFUSED, error_class="refused", error=text)
            case _:
                text = outcome.detail or f"the remote says: {outcome.verdict}"
                self._results[op_id] = OpResult(
                    op_id, Ending.STALE, remote=outcome.nodes, error_class="outdated", error=text
                )

    def _drop_snapshot(self, source: Source | None) -> None:
        if source is not None and source.snapshot is not None and self._tools.snapshots is not None:
            with suppress(SyncdError, OSError):  # what stays is swept
                self._tools.snapshots.drop(source.snapshot)

    def _look_up_stale(self) -> None:
        """An op that no longer fits here may have been committed by an attempt whose reply was lost."""
        if not self._stale:
            return
        for assignment, result in zip(self._stale, recover_remote(self._tools.remote, self._stale), strict=True):
            if result.ending is not Ending.NOT_DONE:
                self._results[assignment.op_id] = result
