"""Local deletes: into the trash, and only what was in sync and is unchanged (P7).

Never removes content. An empty directory is removed by the one call that refuses a directory with anything in it.
"""

from syncd.execute.databases import alone
from syncd.execute.dirs import Dirs, here, is_marked_anew, require_expected, require_planned
from syncd.execute.placing import YOUNG, is_known, set_aside
from syncd.execute.tools import Tools
from syncd.execute.trash import DATA, Info, clear, entry_of, info_for, open_info, write_info
from syncd.execute.tree import Change
from syncd.model.errors import Outdated
from syncd.model.job import Assignment
from syncd.model.node import Kind
from syncd.model.observation import Displaced, Ending, OpResult
from syncd.model.path import RelPath, name_fault, shown
from syncd.ports import Dir, ReadFile, Stat


class Deleting(Change):
    """Move one file or symlink into its op's trash entry."""

    def __init__(self, tools: Tools, assignment: Assignment) -> None:
        super().__init__(tools, assignment)
        self._info: Info | None = None
        self._doubt = False

    def record(self, dirs: Dirs) -> list[ReadFile]:
        ref, name = here(self.assignment)
        require_planned(dirs.proven(ref), name, self.assignment.op, self.traits)
        entry = entry_of(dirs, self.assignment.key)
        self._info = delete_info(self.tools, self.assignment)
        write_info(entry, self._info)
        return [open_info(entry)]

    def act(self, dirs: Dirs) -> None:
        op = self.assignment.op
        ref, name = here(self.assignment)
        directory = dirs.proven(ref)
        require_planned(directory, name, op, self.traits)
        with alone(self.tools, directory, name, op.kind):
            before = require_planned(directory, name, op, self.traits)
            now_ns = int(self.tools.clock.now() * 1e9)
            young = before.fingerprint.mtime_ns > now_ns - int(YOUNG * 1e9)
            self._doubt = young or before.fingerprint != op.expected
            # RACE: an edit may slip in before the rename. What was moved is looked at afterwards (settle).
            directory.rename_new(name, entry_of(dirs, self.assignment.key), DATA)
            self.acted = True

    def settle(self, dirs: Dirs) -> OpResult:
        info = self._info if self._info is not None else delete_info(self.tools, self.assignment)
        return settle_deleted(self.tools, dirs, self.assignment, info, doubt=self._doubt)


def delete_info(tools: Tools, assignment: Assignment) -> Info:
    """Return the info of a delete's entry."""
    ref, name = here(assignment)
    path = (*(ref.path if ref is not None else assignment.path[:-1]), name)
    keeps = tools.remote.capabilities.history
    return info_for(assignment, path, tools.clock.now(), None, remote_keeps=keeps)


def settle_deleted(tools: Tools, dirs: Dirs, assignment: Assignment, info: Info, *, doubt: bool) -> OpResult:
    """Judge what a delete moved: an edit beats it (P7) and goes back to its name, or beside it if that is taken."""
    entry = entry_of(dirs, assignment.key)
    data = entry.stat(DATA)
    unmarked = data is None or not is_marked_anew(data, assignment.op, tools.fs.traits)
    if unmarked and (data is None or is_known(entry, data, info, doubt=doubt)):
        return OpResult(assignment.op_id, Ending.DONE)  # the entry is durable with the rest of the group
    ref, name = here(assignment)
    directory = dirs.proven(ref)
    displaced: tuple[Displaced, ...] = ()
    try:
        entry.rename_new(DATA, directory, name)
    except FileExistsError:
        copy = set_aside(tools, entry, directory, name, None)
        displaced = (Displaced(copy, (*(ref.path if ref is not None else ()), copy)),)
    directory.sync()
    entry.sync()
    clear(dirs, assignment.key)
    return OpResult(
        assignment.op_id,
        Ending.STALE,
        displaced=displaced,
        error_class="outdated",
        error=f"{shown(name)} was edited at the last moment; the edit stays",
    )


class Removing(Change):
    """Remove a directory that is empty, but for what operating systems leave in it."""

    def __init__(self, tools: Tools, assignment: Assignment) -> None:
        super().__init__(tools, assignment)
        self._leftover = False

    def act(self, dirs: Dirs) -> None:
        op = self.assignment.op
        ref, name = here(self.assignment)
        parent = dirs.proven(ref)
        require_expected(parent, name, Kind.DIRECTORY, op.expected, self.traits)
        path = (*(ref.path if ref is not None else ()), name)
        with parent.child(name) as directory:
            rest = [child for child in directory.names() if not self.tools.litter(child)]
            if rest:
                if not all(self._stays(directory, child, (*path, child)) for child in rest):
                    raise Outdated(f"{shown(name)} is not empty; looking again")
                self._leftover = True
                return
            if litter := directory.names():
                self._clean(dirs, directory, litter)
        parent.rmdir(name)  # refuses when anything came in meanwhile: nothing is lost, and it is planned again
        self.acted = True

    def settle(self, dirs: Dirs) -> OpResult:
        return self.done(None)

    def leftover(self) -> OpResult | None:
        """Return the result when the directory stays for what is never synced in it."""
        if not self._leftover:
            return None
        return OpResult(self.assignment.op_id, Ending.LEFTOVER, error="it holds only what is never synced")

    def _stays(self, parent: Dir, name: str, path: RelPath) -> bool:
        """Return whether *name* is never synced (ignored, a pipe, a name that cannot travel), or a directory in which
        everything is: no look will ever free the directory of it."""
        stat: Stat | None = parent.stat(name)
        if stat is None:
            return True  # gone since the listing
        if stat.kind is None or name_fault(name) is not None:
            return True
        is_directory = stat.kind is Kind.DIRECTORY
        if self.tools.ignored(path, is_directory):
            return True
        if not is_directory:
            return False
        with parent.child(name) as directory:
            names = directory.names()
            return bool(names) and all(
                self.tools.litter(child) or self._stays(directory, child, (*path, child)) for child in names
            )

    def _clean(self, dirs: Dirs, directory: Dir, litter: list[str]) -> None:
        """Move litter into the trash entry, one by one, so that nothing else can be taken along unseen."""
        entry = entry_of(dirs, self.assignment.key)
        if entry.stat(DATA) is None:
            write_info(entry, delete_info(self.tools, self.assignment))
            with open_info(entry) as info:
                info.sync()
            entry.mkdir(DATA)
            entry.sync()
        with entry.child(DATA) as bin_:
            for name in litter:
                directory.rename_new(name, bin_, name)
            bin_.sync()
        directory.sync()
