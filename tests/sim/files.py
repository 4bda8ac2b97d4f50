"""Open files of a simulated process: ``syncd.ports.ReadFile`` and ``WriteFile``, as ``syncd.adapters.posix_file``."""

from __future__ import annotations

import errno

from syncd.adapters.posix_file import clamp_ns, full_disk_is_no_space
from syncd.ports import Stat
from tests.sim.features import fault
from tests.sim.inode import Inode
from tests.sim.process import Handle, SimProcess, call


class _Open(Handle):
    __slots__ = ()

    @call
    def stat(self) -> Stat:
        self._require_open()
        return self.inode.stat()

    def close(self) -> None:
        self.release()

    def __exit__(self, *exc: object) -> None:
        self.release()

    def _require_open(self) -> None:
        if not self.open_:
            raise fault(errno.EBADF)


class SimReadFile(_Open):
    """A regular file open for reading."""

    __slots__ = ()

    def __enter__(self) -> SimReadFile:
        return self

    @call
    def read(self, offset: int, size: int) -> bytes:
        self._require_open()
        if offset < 0 or size < 0:
            raise fault(errno.EINVAL)
        data = self.inode.data
        if offset == 0 and size >= len(data):
            return data  # whole, and not a copy
        return data[offset : offset + size]

    def read_into(self, offset: int, buffer: memoryview) -> int:
        data = self.read(offset, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    @call
    def sync(self) -> None:
        self._require_open()
        self.inode.volume.sync(self.inode)


class SimWriteFile(_Open):
    """A file that was just created, being filled from its beginning."""

    __slots__ = ("_at", "_umask")

    def __init__(self, process: SimProcess, inode: Inode, umask: int) -> None:
        super().__init__(process, inode, writing=True)
        self._umask, self._at = umask, 0

    def __enter__(self) -> SimWriteFile:
        return self

    # The hooks run inside, so that a full disk they bring is turned into ours like a real one.

    @full_disk_is_no_space("writing a file")
    @call
    def write(self, data: bytes | memoryview) -> None:
        self._require_open()
        rest = data if isinstance(data, bytes) else bytes(data)
        while rest:
            written = self.inode.volume.write(self.inode, self._at, rest)
            self._at += written
            rest = rest[written:]

    @call
    def finish(self, mtime_ns: int, mode: int) -> Stat:
        self._require_open()
        volume = self.inode.volume
        volume.set_mode(self.inode, mode & 0o777 & ~self._umask)
        volume.set_mtime(self.inode, clamp_ns(mtime_ns))
        return self.inode.stat()

    @full_disk_is_no_space("making a file durable")
    @call
    def sync(self) -> None:
        self._require_open()
        self.inode.volume.sync(self.inode)
