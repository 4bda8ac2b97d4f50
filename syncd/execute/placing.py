"""Downloads and conflicts: staged content takes its place, and what it displaced is judged (P5, P6).

Owns the moment of exchange. A path never goes missing, and displaced content is never removed here.
"""

from contextlib import suppress
from typing import Final

from syncd.execute.databases import alone, is_one, require_closed, require_name
from syncd.execute.dirs import (
    Dirs,
    hash_of,
    here,
    is_executable,
    is_marked_anew,
    present,
    require_planned,
    same_content_inode,
)
from syncd.execute.download import Staged, Want
from syncd.execute.staging import STAGING
from syncd.execute.tools import Tools
from syncd.execute.trash import DATA, Info, clear, entry_of, info_for, open_info, take_back, write_info
from syncd.model.conflict import conflicted_name
from syncd.model.errors import Outdated
from syncd.model.job import Assignment
from syncd.model.node import Fingerprint, Kind
from syncd.model.observation import Displaced, Ending, LocalAfter, OpResult
from syncd.model.op import OpType
from syncd.model.path import RelPath, shown
from syncd.ports import Dir, ReadFile, Stat

YOUNG: Final = 2.0
"""Seconds: a file written this recently may change again without its fingerprint showing it."""

MOST_NUMBERS: Final = 1000


class Placing:
    """One download or conflict on its way: check, stage (download.py), record, act, settle."""

    def __init__(self, tools: Tools, assignment: Assignment) -> None:
        self.tools = tools
        self.assignment = assignment
        self.staged: Staged | None = None
        self.info: Info | None = None
        self.acted = False
        self.recorded = False
        self._doubt = False

    def check(self, dirs: Dirs) -> Want | None:
        """Look before anything is fetched: an op that is outdated by now costs no transfer."""
        op = self.assignment.op
        directory, name = self._place(dirs)
        if op.hash is None:
            raise Outdated("the content to bring here is not known; looking again")
        if op.expected is None:
            if present(directory, name, self.tools.fs.traits) is not None:
                raise Outdated(f"{shown(name)} is there already; looking again")
            require_name(self.tools, directory, name, database=False)
            return Want(self.assignment, None, name)
        stat = require_planned(directory, name, op, self.tools.fs.traits)
        if op.kind is Kind.FILE:
            require_closed(self.tools, directory, name, stat)
        return Want(self.assignment, directory if op.kind is Kind.FILE else None, name)

    def record(self, dirs: Dirs) -> list[ReadFile]:
        """Write the entry's info; a replacement also moves the staged content into it. Returns what must be durable."""
        staged = self._require_staged()
        op = self.assignment.op
        if op.expected is None:
            self.recorded = True  # by the group, in one file for all (placed.py)
            return []
        directory, name = self._place(dirs)
        path = (*self._ref_path(), name)
        self.info = info_for(
            self.assignment, path, self.tools.clock.now(), staged.stat.fingerprint, remote_keeps=self._remote_keeps()
        )
        entry = entry_of(dirs, self.assignment.key)
        durable: list[ReadFile] = []
        if op.kind is Kind.FILE:
            self._dress(dirs, directory, name, staged)
            if staged.file is None:
                durable.append(dirs.own(STAGING).open(staged.name))
        write_info(entry, self.info)
        durable.append(open_info(entry))
        dirs.own(STAGING).rename_new(staged.name, entry, DATA)
        return durable  # the entry itself becomes durable with the others of the group

    def act(self, dirs: Dirs) -> None:
        """Put the content in its place, if that is still as expected."""
        op = self.assignment.op
        directory, name = self._place(dirs)
        staged = self._require_staged()
        if op.expected is None:
            database = is_one(self.tools, dirs.own(STAGING), staged.name, staged.stat, staged.head)
            require_name(self.tools, directory, name, database=database)
            dirs.own(STAGING).rename_new(staged.name, directory, name)
            self.acted = True
            return
        traits = self.tools.fs.traits
        require_planned(directory, name, op, traits)
        entry = entry_of(dirs, self.assignment.key)
        with alone(self.tools, directory, name, op.kind):
            before = require_planned(directory, name, op, traits)
            if op.kind is Kind.FILE:
                database = is_one(self.tools, entry, DATA, staged.stat, staged.head)
                require_name(self.tools, directory, name, database=database)
            now_ns = int(self.tools.clock.now() * 1e9)
            young = op.expected.mtime_ns > now_ns - int(YOUNG * 1e9)
            self._doubt = young or before.fingerprint != op.expected
            # RACE: somebody may write here before the exchange. What is displaced is looked at afterwards (settle).
            entry.exchange(DATA, directory, name)
            self.acted = True

    def settle(self, dirs: Dirs) -> OpResult:
        """Judge what was displaced, and say how this folder was left. Both directories are durable by now."""
        directory, name = self._place(dirs)
        staged = self._require_staged()
        displaced: tuple[Displaced, ...] = ()
        if self.assignment.op.expected is not None and self.info is not None:
            displaced = settle_displaced(self.tools, dirs, self.assignment, self.info, directory, doubt=self._doubt)
        return OpResult(
            self.assignment.op_id,
            Ending.DONE,
            local=local_after(self.tools, self.assignment, directory, name, staged.stat),
            displaced=displaced,
            bytes_moved=staged.moved,
            pieces=staged.pieces,
        )

    def give_up(self, dirs: Dirs, *, keep_parts: bool) -> None:
        """Take our own content back after an op that had no effect. What the group recorded stays in staging, as the
        evidence that it was not placed."""
        if self.recorded:
            return
        take_back(dirs, self.assignment.key, self.tools.chance, keep_parts=keep_parts)

    def _dress(self, dirs: Dirs, directory: Dir, name: str, staged: Staged) -> None:
        """Give the staged file what the file it replaces has: mode, owner, ACL, extended attributes."""
        staging = dirs.own(STAGING)
        directory.copy_metadata(name, staging, staged.name)
        stat = staging.stat(staged.name)
        if stat is not None and self.tools.fs.traits.executable_bit:
            staging.chmod_executable(staged.name, self.assignment.op.executable, stat.fingerprint)

    def _place(self, dirs: Dirs) -> tuple[Dir, str]:
        ref, name = here(self.assignment)
        return dirs.proven(ref), name

    def _ref_path(self) -> RelPath:
        ref, _ = here(self.assignment)
        return ref.path if ref is not None else self.assignment.path[:-1]

    def _remote_keeps(self) -> bool:
        return self.tools.remote.capabilities.history

    def _require_staged(self) -> Staged:
        if self.staged is None:
            raise Outdated("nothing was staged for this op")
        return self.staged


def local_after(tools: Tools, assignment: Assignment, directory: Dir, name: str, staged: Stat) -> LocalAfter:
    """Return L as the op left it. Should somebody have replaced it already, then as it was left all the same: the
    next look sees the difference."""
    op = assignment.op
    now = directory.stat(name)
    ours = now is not None and same_content_inode(now.fingerprint, staged.fingerprint)
    stat = now if ours and now is not None else staged
    executable = is_executable(stat, tools.fs.traits, op.executable)
    return LocalAfter(stat.fingerprint, op.hash, executable)


def settle_displaced(
    tools: Tools, dirs: Dirs, assignment: Assignment, info: Info, directory: Dir, *, doubt: bool
) -> tuple[Displaced, ...]:
    """Judge displaced content: what was expected stays in the trash, all else becomes a conflicted copy (P1).

    Never an exchange back: that would be one more blind write. *doubt* asks for the hash even where the fingerprint
    is as expected.
    """
    op = assignment.op
    entry = entry_of(dirs, assignment.key)
    data = entry.stat(DATA)
    if data is None:
        clear(dirs, assignment.key)
        return ()
    if op.type is OpType.CONFLICT:
        stays = data.kind is op.kind and data.fingerprint.size == op.size and _hash(entry, data) == op.hash
    else:
        stays = is_known(entry, data, info, doubt=doubt)
    ref, name = here(assignment)
    if stays:
        if op.type is OpType.DOWNLOAD and info.staged is not None and is_marked_anew(data, op, tools.fs.traits):
            _mark(directory, name, not op.expected_executable, info.staged)
        return ()
    copy = set_aside(tools, entry, directory, name, op.aside)
    directory.sync()
    entry.sync()
    clear(dirs, assignment.key)
    return (Displaced(copy, (*(ref.path if ref is not None else ()), copy)),)


def _mark(directory: Dir, name: str, executable: bool, staged: Fingerprint) -> None:
    """A chmod of the last moment holds for the content that came, too (P6), unless somebody replaced that already."""
    with suppress(Outdated, FileNotFoundError):
        directory.chmod_executable(name, executable, staged)


def is_known(entry: Dir, data: Stat, info: Info, *, doubt: bool) -> bool:
    """Return whether ``data`` is content the op expected to displace (or equal to what it brought)."""
    if data.kind is not info.kind:
        return False
    as_expected = info.expected is not None and same_content_inode(data.fingerprint, info.expected)
    if as_expected and (not doubt or not info.expected_hash):
        return True
    if data.kind is Kind.DIRECTORY:
        return False
    known = [hexed for hexed in (info.expected_hash, info.hash) if hexed]
    return bool(known) and _hash(entry, data).hex() in known


def _hash(entry: Dir, data: Stat) -> bytes:
    return hash_of(entry, DATA, data.kind) if data.kind in (Kind.FILE, Kind.SYMLINK) else b""


def set_aside(tools: Tools, entry: Dir, directory: Dir, name: str, first: str | None) -> str:
    """Move ``data`` into *directory* as a conflicted copy of *name*; returns the name it got. Never replaces."""
    now = tools.clock.now()
    for number in range(0 if first else 1, MOST_NUMBERS):
        copy = first if first and number == 0 else conflicted_name(name, tools.device(), now, number)
        try:
            entry.rename_new(DATA, directory, copy)
        except FileExistsError:
            continue
        return copy
    raise Outdated(f"a thousand conflicted copies of {shown(name)} are there already")
