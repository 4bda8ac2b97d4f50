"""One daemon a root: an advisory lock on a file in the state directory, holding the owner's process id.

The kernel gives the lock back when its process ends, however it ends; the file itself is never removed, because a
removed name could be locked twice.
"""

import fcntl
import os
from typing import Final

from syncd.model.errors import Refused
from syncd.model.path import shown

_MAX_PID: Final = 32


class Lock:
    """A lock that is held until ``release``, the end of the ``with`` block, or the end of the process."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the lock back; more than once does no harm."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.ftruncate(fd, 0)  # the pid is nobody's any more
            os.close(fd)


def acquire(path: str) -> Lock:
    """Lock the file at *path* (created 0600) and write this process's id into it.

    Raises Refused, naming the owner's process id, when another process (or another Lock of this one) has it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _refusal(fd, path) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
    except BaseException:
        os.close(fd)
        raise
    return Lock(fd)


def _refusal(fd: int, path: str) -> Refused:
    pid = _read_pid(fd)
    # RACE: the owner may hold the lock and not have written its id yet.
    who = "a daemon" if pid is None else f"a daemon with pid {pid}"
    return Refused(f"{who} already runs on this root (lock {shown(path)}); stop it first, or talk to it with status")


def _read_pid(fd: int) -> int | None:
    text = os.pread(fd, _MAX_PID, 0).strip()
    return int(text) if text.isdigit() else None
