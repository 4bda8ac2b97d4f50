"""What a file system can do, found out by really trying, in an empty directory of syncd's own.

Leaves the directory empty. Believes nothing a mount table says; only inode numbers that are known to be made up at
each mount are told by the kind of file system, because no trial within one mount can show it.
"""

import errno
import fcntl
import itertools
import os
import stat as st
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from syncd.adapters import posix_syscalls as syscalls
from syncd.ports import Traits

_FLOOR_NS: Final = 10_000_000 if sys.platform == "linux" else 1_000_000
"""The least time tick ever reported: the kernel's coarse clock goes 100 to 1,000 times a second, and a trial on an idle
machine may see finer steps than a busy one gets."""

_PATIENCE_NS: Final = 50_000_000
_COMPOSED, _DECOMPOSED = "probe-\u00e9", "probe-e\u0301"


def probe(fd: int) -> Traits:
    """Try everything in the directory behind *fd* (removing what an earlier trial left) and return what it can do."""
    _empty(fd)
    try:
        return Traits(
            case_sensitive=_case_sensitive(fd),
            normalises=_normalises(fd),
            executable_bit=_executable_bit(fd),
            symlinks=_symlinks(fd),
            time_tick_ns=_time_tick_ns(fd),
            stable_inodes=_stable_inodes(fd),
            exchange=exchanges(fd),
            no_replace=_no_replace(fd),
        )
    finally:
        _empty(fd)


@contextmanager
def alone(fd: int) -> Iterator[None]:
    """Keep other processes (``doctor`` beside a daemon) from trying things out in the directory behind *fd*."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # given back when the descriptor is closed
    except OSError as error:
        if error.errno not in syscalls.REFUSED and error.errno not in (errno.EBADF, errno.ENOLCK):
            raise  # no locks on folders over NFS: two trials at once would then report an error, and harm nothing
    yield


def exchanges(fd: int) -> bool:
    """Return whether two names can be swapped atomically; tries it with two files of its own."""
    first, second = "exchange-1", "exchange-2"
    _touch(fd, first)
    _touch(fd, second)
    before = _look(fd, first).st_ino
    try:
        syscalls.rename_exchange(fd, first, fd, second)
        return _look(fd, second).st_ino == before
    except OSError as error:
        if error.errno in syscalls.REFUSED:
            return False
        raise
    finally:
        _remove(fd, first)
        _remove(fd, second)


def _no_replace(fd: int) -> bool:
    _touch(fd, "new-1")
    _touch(fd, "new-2")
    try:
        syscalls.rename_no_replace(fd, "new-1", fd, "new-2")
    except FileExistsError:
        return True
    except OSError as error:
        if error.errno not in syscalls.REFUSED:
            raise
    return False


def _case_sensitive(fd: int) -> bool:
    _touch(fd, "Probe-Case")
    return not _exists(fd, "probe-case")


def _normalises(fd: int) -> bool:
    _touch(fd, _COMPOSED)
    return _COMPOSED not in os.listdir(fd) or _exists(fd, _DECOMPOSED)


def _executable_bit(fd: int) -> bool:
    _touch(fd, "mode")
    try:
        os.chmod("mode", 0o700, dir_fd=fd)
        with_bit = _look(fd, "mode").st_mode & st.S_IXUSR
        os.chmod("mode", 0o600, dir_fd=fd)
        without = _look(fd, "mode").st_mode & st.S_IXUSR
    except OSError as error:
        if error.errno in syscalls.REFUSED or error.errno == errno.EPERM:
            return False
        raise
    return bool(with_bit) and not without


def _symlinks(fd: int) -> bool:
    try:
        os.symlink(b"no/where", b"link", dir_fd=fd)
        return os.readlink(b"link", dir_fd=fd) == b"no/where"
    except OSError as error:
        if error.errno in syscalls.REFUSED or error.errno in (errno.EPERM, errno.EACCES):
            return False
        raise


def _stable_inodes(fd: int) -> bool:
    _touch(fd, "inode-1")
    before = _look(fd, "inode-1").st_ino
    os.rename("inode-1", "inode-2", src_dir_fd=fd, dst_dir_fd=fd)
    return before != 0 and _look(fd, "inode-2").st_ino == before and not syscalls.inodes_made_up(fd)


def _time_tick_ns(fd: int) -> int:
    """Return how far apart two writes must be to be told apart by their times, never too small."""
    file = os.open("tick", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=fd)
    try:
        return max(_FLOOR_NS, _stored_step_ns(file), _clock_step_ns(file))
    finally:
        os.close(file)


def _stored_step_ns(file: int) -> int:
    """Return the step to which a given mtime is cut when stored."""
    wanted = 1_600_000_001_987_654_321  # odd seconds: a step of two seconds shows
    os.utime(file, ns=(wanted, wanted))
    lost = abs(os.fstat(file).st_mtime_ns - wanted)
    steps = (1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000)
    return next((step for step in steps if lost < step), 2_000_000_000)


def _clock_step_ns(file: int) -> int:
    """Return the smallest step seen between the ctimes of writes that follow each other at once."""
    began = time.monotonic_ns()
    seen = [os.fstat(file).st_ctime_ns]
    while time.monotonic_ns() - began < _PATIENCE_NS and len(seen) < 8:
        os.pwrite(file, b"x", 0)
        if (now := os.fstat(file).st_ctime_ns) != seen[-1]:
            seen.append(now)
    if len(seen) == 1:
        return 2_000_000_000  # nothing moved while we looked: as coarse as the coarsest known
    return min(abs(later - earlier) for earlier, later in itertools.pairwise(seen))


def _touch(fd: int, name: str) -> None:
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=fd))


def _look(fd: int, name: str) -> os.stat_result:
    return os.stat(name, dir_fd=fd, follow_symlinks=False)


def _exists(fd: int, name: str) -> bool:
    try:
        _look(fd, name)
    except FileNotFoundError:
        return False
    return True


def _remove(fd: int, name: str) -> None:
    os.unlink(name, dir_fd=fd)


def _empty(fd: int) -> None:
    for name in sorted(os.listdir(fd)):
        try:
            _remove(fd, name)
        except FileNotFoundError:
            continue  # two spellings of one name
