"""Directories an op acts in, opened and proven (P10), and looks at single names in them.

Owns no file and changes none; closes every directory it opened.
"""

from blake3 import blake3

from syncd.model.errors import Outdated
from syncd.model.job import Assignment, DirRef
from syncd.model.node import Fingerprint, Kind
from syncd.model.op import Op
from syncd.model.path import shown, shown_path
from syncd.observe.databases import whole
from syncd.ports import Dir, LocalFs, ReadFile, Stat, Traits

READ_SIZE = 1 << 20


class Nowhere(Outdated):
    """The directory is not known to be anywhere in this folder."""


class Dirs:
    """Directories open for one phase of one group of ops, each opened once and closed together.

    *by_inode* leaves the device out of the proof: after a restart the same file system may have another number.
    """

    def __init__(self, fs: LocalFs, *, by_inode: bool = False) -> None:
        self._fs = fs
        self._by_inode = by_inode
        self._open: dict[DirRef, Dir] = {}
        self._own: dict[tuple[str, ...], Dir] = {}

    def proven(self, ref: DirRef | None) -> Dir:
        """Return the directory *ref*; raises Outdated when another one is at its path, OSError when none is."""
        if ref is None:
            raise Nowhere("the directory it lies in is not known here; looking again")
        known = self._open.get(ref)
        if known is not None:
            return known
        directory = self._fs.open_dir(ref.path)
        if directory.ino != ref.ino or (directory.dev != ref.dev and not self._by_inode):
            directory.close()
            raise Outdated(f"another directory is at {shown_path(ref.path)}; looking again")
        self._open[ref] = directory
        return directory

    def own(self, *names: str) -> Dir:
        """Return a directory of syncd's own, created when missing."""
        known = self._own.get(names)
        if known is None:
            known = self._own[names] = self._fs.own(*names)
        return known

    def forget_own(self, *names: str) -> None:
        """Close one of syncd's own directories (it is about to be removed)."""
        known = self._own.pop(names, None)
        if known is not None:
            known.close()

    def sync(self) -> None:
        """Make the entries of every directory that is open here durable, all at once where there are many."""
        opened = [self._open[ref] for ref in sorted(self._open, key=_path_of)]
        self._fs.make_durable([*opened, *(self._own[names] for names in sorted(self._own))])

    def close(self) -> None:
        for directory in [*self._open.values(), *self._own.values()]:
            directory.close()
        self._open.clear()
        self._own.clear()

    def __enter__(self) -> "Dirs":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _path_of(ref: DirRef) -> tuple[tuple[str, ...], int]:
    return ref.path, ref.ino


def here(assignment: Assignment) -> tuple[DirRef | None, str]:
    """Return the directory and name where the op's node is now, for ops on this folder."""
    op = assignment.op
    if op.source is not None and assignment.origin is not None:
        return assignment.origin, op.source.name
    return assignment.target, op.place.name


def present(directory: Dir, name: str, traits: Traits) -> Stat | None:
    """Return the stat of exactly *name*, or None when the directory does not have it.

    Where the file system folds case or normal forms, a lookup also finds twins: there only the listing tells (P10).
    """
    stat = directory.stat(name)
    if stat is None or (traits.case_sensitive and not traits.normalises):
        return stat
    return stat if name in directory.names() else None


def require_expected(directory: Dir, name: str, kind: Kind, expected: Fingerprint | None, traits: Traits) -> Stat:
    """Return the stat of *name* if it is what the op expects; raises Outdated otherwise (P6).

    ctime may differ (a rename, our own chmod); of a directory only the identity counts; a database is all its files
    together. *expected* None asks only for the kind.
    """
    stat = present(directory, name, traits)
    if stat is None:
        raise Outdated(f"{shown(name)} is no longer there; looking again")
    if kind is Kind.FILE and expected is not None:
        stat = whole(directory, name, stat)
    if stat.kind is not kind or (expected is not None and not is_expected(stat, expected)):
        raise Outdated(f"{shown(name)} is not as it was when this was planned; looking again")
    return stat


def require_planned(directory: Dir, name: str, op: Op, traits: Traits) -> Stat:
    """Return the stat of the file *op* overwrites or deletes if it is as planned; raises Outdated otherwise (P6).

    A chmod moves nothing of a fingerprint but ctime, as our own renames do: the bit is compared by itself.
    """
    stat = require_expected(directory, name, op.kind, op.expected, traits)
    if is_marked_anew(stat, op, traits):
        raise Outdated(f"{shown(name)} is not as it was when this was planned; looking again")
    return stat


def is_marked_anew(stat: Stat, op: Op, traits: Traits) -> bool:
    """Return whether the executable bit is another than *op* expects."""
    return op.expected_executable not in (None, is_executable(stat, traits, bool(op.expected_executable)))


def is_expected(stat: Stat, expected: Fingerprint) -> bool:
    """Return whether *stat* is what *expected* describes, ctime left out."""
    if stat.kind is Kind.DIRECTORY:
        return (stat.fingerprint.dev, stat.fingerprint.ino) == (expected.dev, expected.ino)
    return stat.fingerprint.same_but_ctime(expected)


def same_content_inode(one: Fingerprint, other: Fingerprint) -> bool:
    """Return whether both describe the same inode with the same size and mtime, whatever number the device has."""
    return (one.ino, one.mtime_ns, one.size) == (other.ino, other.mtime_ns, other.size)


def hash_of(directory: Dir, name: str, kind: Kind) -> bytes:
    """Return the BLAKE3 of a file's content or of a symlink's target; raises OSError."""
    if kind is Kind.SYMLINK:
        return blake3(directory.readlink(name)).digest()
    with directory.open(name) as file:
        return hash_open(file)


def hash_open(file: ReadFile) -> bytes:
    """Return the BLAKE3 of an open file's content."""
    hasher = blake3()
    offset = 0
    while data := file.read(offset, READ_SIZE):
        hasher.update(data)
        offset += len(data)
    return hasher.digest()


def is_executable(stat: Stat, traits: Traits, otherwise: bool) -> bool:
    """Return the executable bit as this folder has it, *otherwise* where it cannot hold one."""
    if stat.kind is not Kind.FILE:
        return False
    return bool(stat.mode & 0o100) if traits.executable_bit else otherwise
