"""One daemon a root: an advisory lock on a file in the state directory, holding the owner's process id.

The kernel gives the lock back when its process ends, however it ends; the file itself is never removed, because a
removed name could be locked twice.
"""

import contextlib
import fcntl
import os
import time
from typing import Final

from syncd.model.errors import Refused
from syncd.model.path import shown

_MAX_PID: Final = 32
_TRIES: Final = 20
_MOMENT: Final = 0.05  # seconds between two tries


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

    Raises Refused, naming the owner's process id, when another process (or another Lock of this one) has it. Whoever
    has it without an id has it for a moment only (``acquire_briefly``, or an owner about to write its own): waited for.
    """
    for _ in range(_TRIES):
        lock = _acquired(path, os.getpid())
        if lock is not None:
            return lock
        if _pid_in(path) is not None:
            break
        time.sleep(_MOMENT)
    raise _refusal(path)


def acquire_briefly(path: str) -> Lock:
    """Lock the file at *path* for a moment's work, as nobody in particular; raises Refused when somebody has it."""
    lock = _acquired(path, None)
    if lock is None:
        raise _refusal(path)
    return lock


def _acquired(path: str, pid: int | None) -> Lock | None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)  # what is in it may be of an owner that was killed
        if pid is not None:
            with contextlib.suppress(OSError):  # a full disk: the lock holds all the same, only its owner has no name
                os.pwrite(fd, b"%d\n" % pid, 0)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return Lock(fd)


def _refusal(path: str) -> Refused:
    pid = _pid_in(path)
    # RACE: the owner may hold the lock and not have written its id yet.
    who = "a daemon" if pid is None else f"a daemon with pid {pid}"
    return Refused(f"{who} already runs on this root (lock {shown(path)}); stop it first, or talk to it with status")


def _pid_in(path: str) -> int | None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        text = os.pread(fd, _MAX_PID, 0).strip()
    finally:
        os.close(fd)
    return int(text) if text.isdigit() else None
