"""System calls Python does not offer: renames with flags, syncfs, full fsync, read leases. Owns no state and no policy.

Every function raises OSError as the kernel reports it. What to do when a file system refuses a call is the caller's.
"""

import ctypes
import errno
import fcntl
import os
import signal
import sys
from typing import Final

REFUSED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""How a file system or kernel says that it does not know a call, or a flag of it."""

_libc = ctypes.CDLL(None, use_errno=True)

_AT_FDCWD: Final = -2 if sys.platform == "darwin" else -100
_NO_REPLACE: Final = 4 if sys.platform == "darwin" else 1  # RENAME_EXCL, RENAME_NOREPLACE
_EXCHANGE: Final = 2  # RENAME_SWAP, RENAME_EXCHANGE
_RENAME: Final = getattr(_libc, "renameatx_np" if sys.platform == "darwin" else "renameat2", None)
_SYNCFS: Final = None if sys.platform == "darwin" else getattr(_libc, "syncfs", None)
_SYNC_RANGE: Final = None if sys.platform == "darwin" else getattr(_libc, "sync_file_range", None)
_RANGE_WRITE: Final = 2  # SYNC_FILE_RANGE_WRITE
_FSTATFS: Final = None if sys.platform == "darwin" else getattr(_libc, "fstatfs", None)

# File systems on which syncfs is known to make everything durable. FUSE is left out on purpose: there the call
# writes dirty pages to the server process and never asks it to sync.
_EXT, _XFS, _BTRFS, _F2FS, _TMPFS, _ZFS, _BCACHEFS = (
    0xEF53,
    0x58465342,
    0x9123683E,
    0xF2F52010,
    0x01021994,
    0x2FC12FC1,
    0xCA451A4E,
)
_SYNCFS_IS_DURABLE: Final = frozenset({_EXT, _XFS, _BTRFS, _F2FS, _TMPFS, _ZFS, _BCACHEFS})

# File systems that make inode numbers up as they go: a number may belong to another file after a remount.
_MSDOS, _EXFAT, _FUSE = 0x4D44, 0x2011BAB0, 0x65735546
_INODES_UNSTABLE: Final = frozenset({_MSDOS, _EXFAT, _FUSE})


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def _rename(from_fd: int, name: str, to_fd: int, new_name: str, flags: int) -> None:
    if _RENAME is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name)
    _check(_RENAME(from_fd, os.fsencode(name), to_fd, os.fsencode(new_name), ctypes.c_uint(flags)), new_name)


def rename_no_replace(from_fd: int, name: str, to_fd: int, new_name: str) -> None:
    """Rename atomically unless the target exists (then FileExistsError)."""
    _rename(from_fd, name, to_fd, new_name, _NO_REPLACE)


def rename_exchange(fd: int, name: str, other_fd: int, other_name: str) -> None:
    """Swap two existing names atomically."""
    _rename(fd, name, other_fd, other_name, _EXCHANGE)


def sync_file(fd: int) -> None:
    """Make a file's content and inode durable: fsync, and F_FULLFSYNC where fsync stops at the drive's cache."""
    if sys.platform == "darwin":  # platform: macOS
        try:
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        except OSError as error:
            if error.errno not in REFUSED:  # network volumes know only fsync
                raise
        else:
            return
    os.fsync(fd)


def begin_writing(fd: int, offset: int, size: int) -> None:
    """Ask the kernel to begin writing a part of a file to the disk, and wait for nothing; promises nothing."""
    if _SYNC_RANGE is not None:  # platform else: macOS
        _SYNC_RANGE(fd, ctypes.c_int64(offset), ctypes.c_int64(size), ctypes.c_uint(_RANGE_WRITE))


def sync_directory(fd: int) -> None:
    """Make a directory's entries durable. File systems without a notion of it (some FUSE) refuse with EINVAL; there
    nothing more can be asked for."""
    try:
        sync_file(fd)
    except OSError as error:
        if error.errno not in REFUSED:
            raise


def file_system_type(fd: int) -> int | None:
    """Return the magic number of the file system behind *fd*; None where the platform has none."""
    if _FSTATFS is None:
        return None
    buffer = ctypes.create_string_buffer(512)  # struct statfs is at most 120 bytes; its first member is a long f_type
    _check(_FSTATFS(fd, buffer), "fstatfs")
    return ctypes.c_ulong.from_buffer(buffer).value & 0xFFFFFFFF


def sync_all(fd: int) -> bool:
    """Make everything on the file system behind *fd* durable at once; False where that is not known to work."""
    if _SYNCFS is None or file_system_type(fd) not in _SYNCFS_IS_DURABLE:
        return False
    try:
        _check(_SYNCFS(fd), "syncfs")
    except OSError as error:
        if error.errno in REFUSED:
            return False
        raise
    return True


def inodes_made_up(fd: int) -> bool:
    """Return whether the file system behind *fd* is one that invents inode numbers at each mount."""
    return file_system_type(fd) in _INODES_UNSTABLE


def open_for_writing_elsewhere(fd: int) -> bool | None:
    """Return whether anybody holds the file behind *fd* (opened read-only) open for writing, or None when the
    platform, the file system or the file's owner does not let us know.

    A read lease is granted only when there is no writer; it is given back at once. A writer who comes in between is
    made to wait that long, and the kernel signals us: with SIGURG, which does nothing, because SIGIO would end the
    process.
    """
    if sys.platform == "linux":
        return _lease_is_refused(fd)
    else:  # noqa: RET505  # platform: macOS - the type checker skips a platform's branch only where it is one
        return None


if sys.platform == "linux":  # platform else: macOS

    def _lease_is_refused(fd: int) -> bool | None:
        try:
            fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return True
            if error.errno in REFUSED or error.errno in (errno.EACCES, errno.EPERM, errno.ENOLCK):
                return None
            raise
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False


def process_umask() -> int:
    """Return the umask without changing it where the platform tells; else by setting it and setting it back.

    # RACE: elsewhere than on Linux a file another thread creates in between would be 0600; called once, early.
    """
    if sys.platform == "linux":  # platform else: macOS
        try:
            with open("/proc/self/status", encoding="utf-8", errors="replace") as status:
                for line in status:  # platform else: Linux before 4.7
                    if line.startswith("Umask:"):
                        return int(line.split()[1], 8)
        except FileNotFoundError:  # platform: Linux without /proc, as in some containers
            pass
    return set_back_umask()  # platform: macOS, Linux without /proc


def set_back_umask() -> int:
    """Return the umask by setting it, and set it back at once."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
