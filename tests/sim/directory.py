"""An open directory of a simulated process: ``syncd.ports.Dir``, as ``syncd.adapters.posix_dir`` fills it on Linux.

Same refusals, same errnos, same order. Where the real one makes several system calls in one (and something may come in
between), this one makes several calls with hooks.
"""

from __future__ import annotations

import errno
from typing import Final, Protocol

from syncd.adapters.posix_dir import os_error, single
from syncd.adapters.posix_file import full_disk_is_no_space
from syncd.adapters.posix_metadata import executable_mode
from syncd.model.errors import Outdated
from syncd.model.node import Fingerprint, Kind
from syncd.model.path import RelPath, shown
from syncd.ports import Dir, Entry, Stat
from tests.sim.disk import covered
from tests.sim.features import Flag, fault
from tests.sim.files import SimReadFile, SimWriteFile
from tests.sim.inode import Inode
from tests.sim.process import Handle, SimProcess, call
from tests.sim.volume import Volume

_NOT_REGULAR: Final[dict[Kind | None, int]] = {Kind.DIRECTORY: errno.EISDIR, Kind.SYMLINK: errno.ELOOP}


class Home(Protocol):
    """What a directory must ask of the root it lies in."""

    opened: int
    umask: int

    @property
    def process(self) -> SimProcess: ...
    def staging(self) -> SimDir: ...
    def aside(self) -> str:
        """Return a name nobody else has."""
        ...


class SimDir(Handle):
    """*path* is where it was opened, below the root; None for a directory of syncd's own."""

    __slots__ = ("_home", "_volume", "path")

    def __init__(self, inode: Inode, home: Home, path: RelPath | None) -> None:
        super().__init__(home.process, inode)
        self._home, self.path = home, path
        self._volume: Volume = inode.volume

    def __repr__(self) -> str:
        return f"<own {self.inode.name}>" if self.path is None else "/".join(self.path) or "."

    @property
    def dev(self) -> int:
        return self._volume.dev

    @property
    def ino(self) -> int:
        return self.inode.ino

    def __enter__(self) -> SimDir:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def close(self) -> None:
        self.release()

    # --- looking ---

    @call
    def names(self) -> list[str]:
        return self._here().names()

    @call
    def entries(self) -> list[Entry]:
        here = self._here()
        assert here.entries is not None
        if not here.mode & 0o100 and not self._volume.superuser:
            return [Entry(name, None) for name in here.names()]  # listed, but none may be looked at
        return [Entry(name, covered(here.entries[name]).stat()) for name in here.names()]

    @call
    def stat(self, name: str) -> Stat | None:
        found = self._found(name)
        return None if found is None else covered(found).stat()

    @call
    def readlink(self, name: str) -> bytes:
        found = self._existing(name)
        if found.kind is not Kind.SYMLINK:
            raise fault(errno.EINVAL, name)
        return found.target

    @call
    def child(self, name: str) -> SimDir:
        below = self._open_below(name)
        if below.volume is not self._volume:
            raise os_error(errno.EXDEV, name, "on another file system")
        return SimDir(below, self._home, None if self.path is None else (*self.path, name))

    @call
    def open(self, name: str) -> SimReadFile:
        inode = self._regular(name)
        self._home.opened += 1
        return SimReadFile(self.process, inode)

    @call
    def writers(self, name: str) -> bool | None:
        try:
            return self._regular(name).writers > 0
        except PermissionError:
            return None

    # --- creating and removing ---

    @full_disk_is_no_space("creating a file")
    @call
    def create(self, name: str) -> SimWriteFile:
        inode = self._volume.make(self._here(), single(name), Kind.FILE, 0o600 & ~self._home.umask)
        return SimWriteFile(self.process, inode, self._home.umask)

    @full_disk_is_no_space("creating a symlink")
    @call
    def symlink(self, name: str, target: bytes) -> None:
        if b"\0" in target:
            raise ValueError("embedded null byte")  # as Python itself
        if not target or len(target) > 4095:
            raise fault(errno.ENOENT if not target else errno.ENAMETOOLONG, name)
        if not self._volume.features.symlinks:
            raise fault(errno.EPERM, name)
        self._volume.make(self._here(), single(name), Kind.SYMLINK, 0o777, target)

    @full_disk_is_no_space("creating a directory")
    @call
    def mkdir(self, name: str) -> Stat:
        return self._mkdir(name, 0o777)

    @full_disk_is_no_space("creating a directory")
    @call
    def mkdir_own(self, name: str) -> Stat:
        return self._mkdir(name, 0o700)

    def _mkdir(self, name: str, mode: int) -> Stat:
        made = self._volume.make(self._here(), single(name), Kind.DIRECTORY, mode & ~self._home.umask)
        return made.stat()

    @call
    def unlink(self, name: str) -> None:
        self._volume.unlink(self._here(), single(name))

    @call
    def rmdir(self, name: str) -> None:
        self._volume.rmdir(self._here(), single(name))

    @call
    def sync(self) -> None:
        self._volume.sync(self._here())

    # --- renaming ---

    @call
    def rename_new(self, name: str, to: Dir, new_name: str) -> None:
        there, name, new_name = _sim(to), single(name), single(new_name)
        if self._volume.features.no_replace:
            self._volume.rename(self._here(), name, there._here(), new_name, Flag.NO_REPLACE)
        else:
            self._rename_checked(name, there, new_name)

    def _rename_checked(self, name: str, there: SimDir, new_name: str) -> None:
        inode = self._existing(name)
        if inode.entries is None:
            self._link(inode, there, new_name)
            self.unlink(name)
            return
        if there.stat(new_name) is not None:
            raise os_error(errno.EEXIST, new_name)
        self._rename(name, there, new_name)

    @call
    def _link(self, inode: Inode, there: SimDir, new_name: str) -> None:
        there._volume.link(inode, there._here(), new_name)

    @call
    def _rename(self, name: str, there: SimDir, new_name: str) -> None:
        self._volume.rename(self._here(), name, there._here(), new_name, Flag.REPLACE)

    @call
    def exchange(self, name: str, other: Dir, other_name: str) -> None:
        there, name, other_name = _sim(other), single(name), single(other_name)
        if self._volume.features.exchange:
            self._volume.rename(self._here(), name, there._here(), other_name, Flag.EXCHANGE)
        else:
            self._exchange_by_renames(name, there, other_name)

    def _exchange_by_renames(self, name: str, there: SimDir, other_name: str) -> None:
        if self.stat(name) is None:
            raise os_error(errno.ENOENT, name)
        with self._home.staging() as staging:
            aside = self._home.aside()
            there.rename_new(other_name, staging, aside)
            try:
                self.rename_new(name, there, other_name)
            except OSError:
                staging._put_back(aside, there, other_name)
                raise
            try:
                staging.rename_new(aside, self, name)
            except OSError:
                there._put_back(other_name, self, name)
                staging._put_back(aside, there, other_name)
                raise

    def _put_back(self, name: str, there: SimDir, old_name: str) -> None:
        try:
            self.rename_new(name, there, old_name)
        except FileExistsError:
            return

    # --- metadata ---

    @call
    def chmod_executable(self, name: str, executable: bool, expected: Fingerprint) -> Stat:
        inode = self._regular(name)
        if (inode.volume.dev, inode.ino) != (expected.dev, expected.ino):
            raise Outdated(f"{shown(name)} is another file than the one that was planned for; looking again")
        mode = inode.stat().mode
        wanted = executable_mode(mode, executable, self._home.umask)
        if wanted != mode:
            self._volume.set_mode(inode, wanted)
            self._volume.sync(inode)
        return inode.stat()

    @call
    def copy_metadata(self, source: str, to: Dir, target: str) -> None:
        there = _sim(to)
        kinds = (self._kind(source), there._kind(target))
        if kinds not in ((Kind.FILE, Kind.FILE), (Kind.DIRECTORY, Kind.DIRECTORY)):
            return
        is_file = kinds[0] is Kind.FILE
        wanted = self._regular(source) if is_file else self._open_below(source)
        changed = there._regular(target) if is_file else there._open_below(target)
        changed.volume.set_mode(changed, wanted.stat().mode)

    # --- what the calls are made of ---

    def _here(self) -> Inode:
        if not self.open_:
            raise os_error(errno.EBADF, "", "the directory was closed")
        return self.inode

    def _found(self, name: str) -> Inode | None:
        return self._volume.find(self._here(), single(name))

    def _existing(self, name: str) -> Inode:
        return self._volume.existing(self._here(), single(name))

    def _kind(self, name: str) -> Kind | None:
        return covered(self._existing(name)).kind

    def _open_below(self, name: str) -> Inode:
        found = covered(self._existing(name))
        if found.entries is None:
            raise fault(errno.ENOTDIR, name)
        require_readable(found, name)
        return found

    def _regular(self, name: str) -> Inode:
        found = self._existing(name)
        if found.kind is not Kind.FILE:
            raise fault(_NOT_REGULAR.get(found.kind, errno.EINVAL), name)
        require_readable(found, name)
        return found


def require_readable(inode: Inode, name: str) -> None:
    """EACCES unless the owner may read *inode*."""
    if not inode.mode & 0o400 and not inode.volume.superuser:
        raise fault(errno.EACCES, name)


def _sim(directory: Dir) -> SimDir:
    if not isinstance(directory, SimDir):
        raise TypeError("directories of two different file system adapters")
    return directory
