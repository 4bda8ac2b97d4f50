"""Open files, and what a stat means. Owns the descriptor it is given; never opens anything by name."""

import errno
import os
import stat as st
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from syncd.adapters import posix_syscalls as syscalls
from syncd.model.errors import NoSpace
from syncd.model.node import Fingerprint, Kind
from syncd.ports import Stat

_KINDS: Final = {st.S_IFREG: Kind.FILE, st.S_IFDIR: Kind.DIRECTORY, st.S_IFLNK: Kind.SYMLINK}
_INT64: Final = 1 << 63
_MAX_MTIME: Final = _INT64 - 1
_BEGIN_BYTES: Final = 32 << 20
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def signed(number: int) -> int:
    """Return an inode or device number as a signed 64-bit one: the same bits, and storable everywhere."""
    return number - (1 << 64) if number >= _INT64 else number


def stat_of(raw: os.stat_result) -> Stat:
    """Return *raw* in syncd's terms. Times beyond 1677–2262 are clamped; ctime still tells such files apart."""
    ino, mtime_ns, ctime_ns = raw.st_ino, raw.st_mtime_ns, raw.st_ctime_ns
    if not (ino < _INT64 and -_INT64 <= mtime_ns < _INT64 and -_INT64 <= ctime_ns < _INT64):
        ino, mtime_ns, ctime_ns = signed(ino), clamp_ns(mtime_ns), clamp_ns(ctime_ns)
    mode = raw.st_mode
    return Stat(
        _KINDS.get(mode & 0o170000),
        Fingerprint(raw.st_dev, ino, mtime_ns, ctime_ns, raw.st_size),
        mode & 0o7777,
        raw.st_nlink,
    )


def clamp_ns(value: int) -> int:
    """Return *value* nanoseconds within what 64 bits hold."""
    return max(-_INT64, min(_MAX_MTIME, value))


@contextmanager
def full_disk_is_no_space(what: str) -> Iterator[None]:
    """Turn ENOSPC and EDQUOT into NoSpace, naming *what* was being done."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoSpace(
                f"{what}: {os.strerror(error.errno or 0)}; free some space, then it goes on by itself"
            ) from error
        raise


class _Open:
    """A descriptor that is closed once."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def stat(self) -> Stat:
        return stat_of(os.fstat(self._fd))

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __exit__(self, *exc: object) -> None:
        self.close()


class PosixReadFile(_Open):
    """A regular file open for reading."""

    __slots__ = ()

    def __enter__(self) -> "PosixReadFile":
        return self

    def read(self, offset: int, size: int) -> bytes:
        """Return up to *size* bytes at *offset*; short only at the end of the file."""
        data = os.pread(self._fd, size, offset)
        if not data or len(data) == size:
            return data
        # The kernel may stop early (2 GiB a call, signals, network); only an empty read is the end.
        pieces = [data]
        got = len(data)
        while got < size and (data := os.pread(self._fd, size - got, offset + got)):
            pieces.append(data)
            got += len(data)
        return b"".join(pieces)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill *buffer* with what is at *offset*; fewer bytes only at the end of the file."""
        got = 0
        while got < len(buffer) and (more := os.preadv(self._fd, [buffer[got:]], offset + got)):
            got += more
        return got

    def sync(self) -> None:
        """Make the content durable."""
        syscalls.sync_file(self._fd)


class PosixWriteFile(_Open):
    """A file that was just created, being filled from its beginning."""

    __slots__ = ("_begun", "_umask", "_written")

    def __init__(self, fd: int, umask: int) -> None:
        super().__init__(fd)
        self._umask = umask
        self._written = self._begun = 0

    def __enter__(self) -> "PosixWriteFile":
        return self

    def write(self, data: bytes | memoryview) -> None:
        """Append all of *data*; raises NoSpace when the disk or quota is full."""
        rest = memoryview(data).cast("B")
        while rest:
            with full_disk_is_no_space("writing a file"):
                written = os.write(self._fd, rest)
            if written == 0:  # platform: network file systems that take nothing and report nothing
                raise NoSpace("writing a file: nothing more is accepted; free some space, then it goes on by itself")
            rest = rest[written:]
            self._written += written
        if self._written - self._begun >= _BEGIN_BYTES:
            # The disk works while the next part comes: what waits for the sync at the end is short.
            syscalls.begin_writing(self._fd, self._begun, self._written - self._begun)
            self._begun = self._written

    def finish(self, mtime_ns: int, mode: int) -> Stat:
        """Set mode (less the umask) and mtime, and return the final stat."""
        os.fchmod(self._fd, mode & 0o777 & ~self._umask)
        self._set_mtime(clamp_ns(mtime_ns))
        return self.stat()

    def sync(self) -> None:
        """Make content and inode durable."""
        with full_disk_is_no_space("making a file durable"):
            syscalls.sync_file(self._fd)

    def _set_mtime(self, mtime_ns: int) -> None:
        # Kernels clamp to what the file system holds; those that refuse instead get the range all of them hold.
        atime_ns = os.fstat(self._fd).st_atime_ns
        try:
            os.utime(self._fd, ns=(atime_ns, mtime_ns))
        except (OverflowError, OSError) as error:  # platform: file systems that refuse times they cannot hold
            if isinstance(error, OSError) and error.errno not in (errno.EINVAL, errno.ERANGE, errno.EOVERFLOW):
                raise
            os.utime(self._fd, ns=(atime_ns, max(0, min(mtime_ns, ((1 << 31) - 1) * 10**9))))
