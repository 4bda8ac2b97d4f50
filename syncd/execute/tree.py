"""Changes of structure in this folder: make, move, swap, set aside, chmod. Content stays what it is.

Every change verifies the inode it is about to move, and looks again at what it moved. Nothing is ever replaced.
"""

from contextlib import ExitStack, suppress

from syncd.execute.databases import alone, is_one, require_name
from syncd.execute.dirs import Dirs, here, is_executable, is_expected, present, require_expected
from syncd.execute.download import Want
from syncd.execute.placing import set_aside
from syncd.execute.tools import Tools
from syncd.execute.trash import DATA, clear, entry_of, info_for, open_info, write_info
from syncd.model.errors import Outdated
from syncd.model.job import Assignment
from syncd.model.node import Fingerprint, Kind
from syncd.model.observation import Displaced, Ending, LocalAfter, OpResult
from syncd.model.path import shown
from syncd.observe.databases import whole
from syncd.ports import Dir, ReadFile, Stat, Traits


class Change:
    """What the changes of structure have in common: nothing is staged, nothing is left to take back."""

    def __init__(self, tools: Tools, assignment: Assignment) -> None:
        self.tools = tools
        self.assignment = assignment
        self.acted = False

    @property
    def traits(self) -> Traits:
        return self.tools.fs.traits

    def check(self, dirs: Dirs) -> Want | None:
        return None

    def record(self, dirs: Dirs) -> list[ReadFile]:
        return []

    def give_up(self, dirs: Dirs, *, keep_parts: bool) -> None:
        clear(dirs, self.assignment.key)

    def after(self, stat: Stat, expected: Fingerprint | None, before: Stat | None = None) -> LocalAfter:
        """Return L of a node that was moved or marked, *before* as it was found."""
        op = self.assignment.op
        fingerprint = left(stat, expected, before)
        return LocalAfter(fingerprint, op.expected_hash or op.hash, is_executable(stat, self.traits, op.executable))

    def done(self, local: LocalAfter | None, partner: LocalAfter | None = None) -> OpResult:
        return OpResult(self.assignment.op_id, Ending.DONE, local=local, partner_local=partner)


def left(stat: Stat, expected: Fingerprint | None, before: Stat | None) -> Fingerprint:
    """Return the fingerprint of L for what was moved or marked.

    An edit that nobody has seen yet must be seen by the next look: then the fingerprint stays the expected one, and
    differs. One that kept size and mtime shows in ctime alone, and that is moved by our own change, too: so ctime must
    have been the expected one *before*.
    """
    if expected is None or stat.kind is Kind.DIRECTORY:
        return stat.fingerprint
    # RACE: such an edit between the look before and our change leaves no trace; it takes a program that sets the time
    # back within these two calls.
    untouched = before is not None and before.fingerprint == expected and is_expected(stat, expected)
    return stat.fingerprint if untouched else expected


class Making(Change):
    """Make a directory. One that is there already is adopted: the result is what was asked for."""

    def act(self, dirs: Dirs) -> None:
        op = self.assignment.op
        directory = dirs.proven(self.assignment.target)
        try:
            directory.mkdir(op.place.name)
        except FileExistsError:
            stat = present(directory, op.place.name, self.traits)
            if stat is None or stat.kind is not Kind.DIRECTORY:
                raise Outdated(f"{shown(op.place.name)} is there already and is no directory; looking again") from None
        self.acted = True

    def settle(self, dirs: Dirs) -> OpResult:
        name = self.assignment.op.place.name
        stat = require_expected(dirs.proven(self.assignment.target), name, Kind.DIRECTORY, None, self.traits)
        return self.done(self.after(stat, None))


class Moving(Change):
    """Move or rename one node, a set-aside included; a case-only rename goes through the trash entry."""

    before: Stat | None = None

    def act(self, dirs: Dirs) -> None:
        op = self.assignment.op
        source, name = self._from(dirs)
        target = dirs.proven(self.assignment.target)
        require_expected(source, name, op.kind, op.expected, self.traits)
        with alone(self.tools, source, name, op.kind):
            before = self.before = require_expected(source, name, op.kind, op.expected, self.traits)
            if op.kind is Kind.FILE:
                require_name(self.tools, target, op.place.name, database=is_one(self.tools, source, name, before))
            try:
                # RACE: what is at the source may be replaced before this rename; what was moved is looked at below.
                source.rename_new(name, target, op.place.name)
            except FileExistsError:
                if not self._same_entry(source, target, before):
                    raise Outdated(f"{shown(op.place.name)} is there already; looking again") from None
                self._through_trash(dirs, source, name, target, before)
            self.acted = True
        moved = target.stat(op.place.name)
        if moved is None or moved.fingerprint.ino != before.fingerprint.ino:
            self._move_back(source, name, target)

    def settle(self, dirs: Dirs) -> OpResult:
        op = self.assignment.op
        stat = dirs.proven(self.assignment.target).stat(op.place.name)
        if stat is None or stat.kind is not op.kind:
            raise Outdated(f"{shown(op.place.name)} was changed while it was moved; looking again")
        clear(dirs, self.assignment.key)
        return self.done(self.after(stat, op.expected, self.before))

    def _from(self, dirs: Dirs) -> tuple[Dir, str]:
        ref, name = here(self.assignment)
        return dirs.proven(ref), name

    def _same_entry(self, source: Dir, target: Dir, before: Stat) -> bool:
        """Return whether the new name is the old one in another case or normal form (P10: by the listing)."""
        place = self.assignment.op.place
        if (source.dev, source.ino) != (target.dev, target.ino):
            return False
        found = target.stat(place.name)
        return (
            found is not None and found.fingerprint.ino == before.fingerprint.ino and place.name not in target.names()
        )

    def _through_trash(self, dirs: Dirs, source: Dir, name: str, target: Dir, before: Stat) -> None:
        entry = entry_of(dirs, self.assignment.key)
        path = (*(self.assignment.origin.path if self.assignment.origin else ()), name)
        write_info(entry, info_for(self.assignment, path, self.tools.clock.now(), None, remote_keeps=False))
        with open_info(entry) as info:
            info.sync()
        entry.sync()
        source.rename_new(name, entry, DATA)
        finish_through_trash(self.tools, entry, target, self.assignment)

    def _move_back(self, source: Dir, name: str, target: Dir) -> None:
        """Something else took the source's name at the last moment and was moved: its person's name comes first."""
        place = self.assignment.op.place
        # Should both names be taken or empty by now, nothing is lost where things are: the next look sees them.
        with suppress(FileExistsError, FileNotFoundError):
            target.rename_new(place.name, source, name)
        raise Outdated(f"{shown(name)} was replaced while it was moved; looking again")


def finish_through_trash(tools: Tools, entry: Dir, target: Dir, assignment: Assignment) -> tuple[Displaced, ...]:
    """Do the second half of a rename through the trash entry; a name taken meanwhile leads to a conflicted copy."""
    name = assignment.op.place.name
    try:
        entry.rename_new(DATA, target, name)
    except FileExistsError:
        copy = set_aside(tools, entry, target, name, None)
        return (Displaced(copy, (*(assignment.target.path if assignment.target else ()), copy)),)
    return ()


class Swapping(Change):
    """Exchange two nodes' places, atomically: ``source`` is where this node is, ``place`` where its partner is."""

    before: Stat | None = None
    partner_before: Stat | None = None

    def act(self, dirs: Dirs) -> None:
        op = self.assignment.op
        if op.source is None:
            raise Outdated("where the node to swap is now is not known; looking again")
        source, target = dirs.proven(self.assignment.origin), dirs.proven(self.assignment.target)
        require_expected(source, op.source.name, op.kind, op.expected, self.traits)
        self._require_partner(target)
        with ExitStack() as held:
            held.enter_context(alone(self.tools, source, op.source.name, op.kind))
            held.enter_context(alone(self.tools, target, op.place.name, op.kind))
            self.before = require_expected(source, op.source.name, op.kind, op.expected, self.traits)
            self.partner_before = self._require_partner(target)
            # RACE: either may be replaced before the exchange. Nothing is lost by it, and settle looks at both.
            source.exchange(op.source.name, target, op.place.name)
            self.acted = True

    def _require_partner(self, target: Dir) -> Stat:
        op = self.assignment.op
        there = present(target, op.place.name, self.traits)
        if there is not None and op.kind is Kind.FILE:
            there = whole(target, op.place.name, there)
        if there is None or (op.partner_expected is not None and not is_expected(there, op.partner_expected)):
            raise Outdated(f"{shown(op.place.name)} is not as it was when this was planned; looking again")
        return there

    def settle(self, dirs: Dirs) -> OpResult:
        op = self.assignment.op
        source, target = dirs.proven(self.assignment.origin), dirs.proven(self.assignment.target)
        mine = target.stat(op.place.name)
        partner = source.stat(op.source.name) if op.source is not None else None
        if mine is None or partner is None or not (_same(mine, op.expected) and _same(partner, op.partner_expected)):
            raise Outdated(f"{shown(op.place.name)} was changed while it was moved; looking again")
        return self.done(self.after(mine, op.expected, self.before), self._partner_after(partner))

    def _partner_after(self, stat: Stat) -> LocalAfter:
        fingerprint = left(stat, self.assignment.op.partner_expected, self.partner_before)
        return LocalAfter(fingerprint, None, is_executable(stat, self.traits, False))


def _same(stat: Stat, expected: Fingerprint | None) -> bool:
    return expected is None or stat.fingerprint.ino == expected.ino


class Marking(Change):
    """Set or clear the executable bit, by descriptor."""

    before: Stat | None = None

    def act(self, dirs: Dirs) -> None:
        op = self.assignment.op
        ref, name = here(self.assignment)
        directory = dirs.proven(ref)
        if op.expected is None:
            raise Outdated(f"which file {shown(name)} was is not known; looking again")
        self.before = require_expected(directory, name, op.kind, op.expected, self.traits)
        directory.chmod_executable(name, op.executable, op.expected)
        self.acted = True

    def settle(self, dirs: Dirs) -> OpResult:
        op = self.assignment.op
        ref, name = here(self.assignment)
        stat = require_expected(dirs.proven(ref), name, op.kind, op.expected, self.traits)
        return self.done(self.after(stat, op.expected, self.before))
