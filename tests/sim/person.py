"""Everybody but syncd at work in a simulated folder: people, their editors, their shells.

Goes through the same volume operations as syncd does, with the same errors. Paths are relative to the folder and
separated by slashes; ``""`` is the folder itself. Nothing here syncs, as most programs do not.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from syncd.model.node import Kind
from syncd.model.path import RESERVED
from syncd.ports import Stat
from tests.sim.disk import Disk, covered, parts
from tests.sim.features import Flag, fault
from tests.sim.inode import Inode

Shown = tuple[str, bool, bytes]
"""Kind, executable bit, content (a symlink's target; nothing for directories)."""


class OpenFile:
    """A file somebody holds open for writing. Writes go to the file, wherever it is moved, until it is closed."""

    def __init__(self, inode: Inode, at: int) -> None:
        self._inode, self._at, self._boot = inode, at, inode.volume.boot
        self._open = True
        inode.volume.opened(inode, writing=True)

    def write(self, data: bytes) -> None:
        """Write where the last write ended; EBADF after a close or a power loss, ENOSPC."""
        self._require_open()
        while data:
            written = self._inode.volume.write(self._inode, self._at, data)
            self._at += written
            data = data[written:]

    def sync(self) -> None:
        """fsync."""
        self._require_open()
        self._inode.volume.sync(self._inode)

    def close(self) -> None:
        if self._open and self._boot == self._inode.volume.boot:
            self._inode.volume.closed(self._inode, writing=True)
        self._open = False

    def _require_open(self) -> None:
        if not self._open or self._boot != self._inode.volume.boot:
            raise fault(errno.EBADF)


class SimPerson:
    """Somebody at work in the folder at *path* of *disk*. *umask* is theirs."""

    def __init__(self, disk: Disk, path: str, umask: int = 0o022) -> None:
        self.disk, self.path, self._umask = disk, path, umask
        self._saves = 0

    # --- files ---

    def write(self, path: str, data: bytes) -> None:
        """Truncate, or create, and write: what most programs do."""
        with self.writing(path, truncate=True) as file:
            file.write(data)

    def append(self, path: str, data: bytes) -> None:
        with self.writing(path) as file:
            file.write(data)

    def save(self, path: str, data: bytes) -> None:
        """Write beside it and rename over it: what careful editors do."""
        self._saves += 1
        beside = f"{path}.save-{self._saves}~"
        self.write(beside, data)
        self.rename(beside, path)

    def open(self, path: str, *, truncate: bool = False) -> OpenFile:
        """Open for writing at the end, creating what is missing, until the file is closed."""
        directory, name = self._place(path)
        volume = directory.volume
        inode = volume.find(directory, name)
        if inode is None:
            inode = volume.make(directory, name, Kind.FILE, 0o666 & ~self._umask)
        elif inode.kind is Kind.SYMLINK:
            raise fault(errno.ELOOP, name)
        elif inode.kind is not Kind.FILE:
            raise fault(errno.EISDIR if inode.entries is not None else errno.ENXIO, name)
        elif not inode.mode & 0o200 and not volume.superuser:
            raise fault(errno.EACCES, name)
        elif truncate and inode.size:
            volume.truncate(inode, 0)
            self._saw(directory, name)
        return OpenFile(inode, inode.size)

    @contextmanager
    def writing(self, path: str, *, truncate: bool = False) -> Iterator[OpenFile]:
        """Hold a file open for writing for a while."""
        file = self.open(path, truncate=truncate)
        try:
            yield file
        finally:
            file.close()
            directory, name = self._place(path)
            self._saw(directory, name)

    def read(self, path: str) -> bytes:
        inode = self._inode(path)
        if inode.kind is not Kind.FILE:
            raise fault(errno.EISDIR if inode.entries is not None else errno.EINVAL, path)
        if not inode.mode & 0o400 and not inode.volume.superuser:
            raise fault(errno.EACCES, path)
        return inode.data

    def sync(self, path: str) -> None:
        """fsync a file or directory."""
        inode = self._inode(path)
        inode.volume.sync(inode)

    # --- names ---

    def mkdir(self, path: str, *, parents: bool = False) -> None:
        if parents:
            for count in range(1, len(parts(path))):
                above = "/".join(parts(path)[:count])
                if not self.exists(above):
                    self.mkdir(above)
        directory, name = self._place(path)
        directory.volume.make(directory, name, Kind.DIRECTORY, 0o777 & ~self._umask)

    def symlink(self, path: str, target: str | bytes) -> None:
        directory, name = self._place(path)
        if not directory.volume.features.symlinks:
            raise fault(errno.EPERM, name)
        raw = target.encode("utf-8", "surrogateescape") if isinstance(target, str) else target
        directory.volume.make(directory, name, Kind.SYMLINK, 0o777, raw)

    def fifo(self, path: str) -> None:
        directory, name = self._place(path)
        directory.volume.make(directory, name, None, 0o666 & ~self._umask)

    def hard_link(self, path: str, new_path: str) -> None:
        directory, name = self._place(new_path)
        directory.volume.link(self._inode(path), directory, name)

    def rename(self, path: str, new_path: str) -> None:
        """Move, replacing what is there, as ``mv -T`` and editors do."""
        self._rename(path, new_path, Flag.REPLACE)

    def swap(self, path: str, other: str) -> None:
        """Exchange two names in one step."""
        self._rename(path, other, Flag.EXCHANGE)

    def delete(self, path: str) -> None:
        """Remove a name, and everything below it: ``rm -r``."""
        directory, name = self._place(path)
        inode = covered(directory.volume.existing(directory, name))
        if inode.entries is None:
            directory.volume.unlink(directory, name)
            return
        for child in inode.names():
            self.delete(f"{path}/{child}")
        directory.volume.rmdir(directory, name)

    def chmod(self, path: str, mode: int) -> None:
        inode = self._inode(path)
        if inode.kind is Kind.SYMLINK:
            raise fault(errno.ELOOP, path)
        inode.volume.set_mode(inode, mode)
        if path:
            self._saw(*self._place(path))

    def set_mtime(self, path: str, mtime_ns: int) -> None:
        inode = self._inode(path)
        inode.volume.set_mtime(inode, mtime_ns)
        self._saw(*self._place(path))

    # --- looking ---

    def rot(self, path: str, data: bytes) -> None:
        """No person's deed: the disk gives back *data* from now on, and no time moves."""
        inode = self._inode(path)
        inode.replace(data, inode.attributes)

    def names(self, path: str = "") -> list[str]:
        inode = self._inode(path)
        if inode.entries is None:
            raise fault(errno.ENOTDIR, path)
        return inode.names()

    def exists(self, path: str) -> bool:
        """Return whether there is anything at *path* (a symlink that leads nowhere counts)."""
        try:
            self._inode(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def stat(self, path: str) -> Stat:
        return self._inode(path).stat()

    def snapshot(self) -> dict[str, Shown]:
        """Return everything but what is syncd's own, sorted by path."""
        out: dict[str, Shown] = {}
        stack = [("", self.disk.resolve(self.path))]
        while stack:
            prefix, directory = stack.pop()
            assert directory.entries is not None
            for name, found in directory.entries.items():
                if name == RESERVED:
                    continue
                inode, path = covered(found), prefix + name
                executable = inode.kind is Kind.FILE and bool(inode.stat().mode & 0o100)
                content = inode.data if inode.kind is Kind.FILE else inode.target
                out[path] = (inode.kind.value if inode.kind is not None else "fifo", executable, content)
                if inode.entries is not None:
                    stack.append((path + "/", inode))
        return dict(sorted(out.items()))

    def contents(self) -> set[bytes]:
        """Return every file's content in the folder, also below ``.syncd``."""
        out: set[bytes] = set()
        stack = [self.disk.resolve(self.path)]
        while stack:
            for found in (stack.pop().entries or {}).values():
                inode = covered(found)
                if inode.entries is not None:
                    stack.append(inode)
                elif inode.kind is Kind.FILE:
                    out.add(inode.data)
        return out

    # --- the way there ---

    def _place(self, path: str) -> tuple[Inode, str]:
        *above, last = parts(path)
        return self._inode("/".join(above)), last

    def _inode(self, path: str) -> Inode:
        here = self.disk.resolve(self.path)
        for name in parts(path):
            here = covered(here.volume.existing(here, name))
        return here

    def _rename(self, path: str, new_path: str, flag: Flag) -> None:
        (here, name), (there, new_name) = self._place(path), self._place(new_path)
        here.volume.rename(here, name, there, new_name, flag)

    @staticmethod
    def _saw(directory: Inode, name: str) -> None:
        for listener in directory.volume.on_change:
            listener(directory, name)
