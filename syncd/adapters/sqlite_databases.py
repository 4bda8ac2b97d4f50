"""SQLite databases through a child process each (``sqlite_child``): see ``syncd.ports.Databases``.

Owns the child's life: what it inherits, how long it may take, and its end, by its own process id. Holds no SQLite lock
in this process, where a look that closes the same file would drop it.
"""

import fcntl
import json
import os
import select
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from syncd.adapters.posix_dir import posix
from syncd.model.errors import Corrupt, NoSpace, Refused, Transient
from syncd.model.path import shown
from syncd.ports import Dir

CHILD: Final = str(Path(__file__).with_name("sqlite_child.py"))
COPY_SECONDS: Final = 30.0
"""Seconds a copy may take, besides the time for its size."""

COPY_BYTES_A_SECOND: Final = 10 << 20
ALONE_SECONDS: Final = 30.0
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# SQLite's lock bytes: PENDING, then (after RESERVED) the range that readers share and a writer has alone.
_LOCKS: Final = ((0x40000000, 1), (0x40000002, 510))
_FLOCK: Final = struct.Struct("@hhqqi4x") if sys.platform == "linux" else struct.Struct("@qqihh")


class SqliteDatabases:
    """See ``syncd.ports.Databases``. May be used from several threads at once."""

    def __init__(self, *, seconds: float | None = None) -> None:
        """*seconds* limits every child, whatever it does (tests)."""
        self._seconds = seconds

    def writing(self, directory: Dir, name: str) -> bool:
        """Return whether another process holds SQLite's lock for writing the main file. Asks only, takes nothing."""
        fd = os.open(name, _READ, dir_fd=posix(directory).descriptor)
        try:
            return any(_is_locked(fd, start, length) for start, length in _LOCKS)
        finally:
            os.close(fd)

    def copy(self, directory: Dir, name: str, ino: int, to: Dir, copy: str) -> None:
        """See the port."""
        source, target = posix(directory).descriptor, posix(to).descriptor
        wal = directory.stat(name + "-wal")
        main = directory.stat(name)
        size = sum(stat.fingerprint.size for stat in (main, wal) if stat is not None)
        patience = self._seconds or COPY_SECONDS + size / COPY_BYTES_A_SECOND
        job = {"do": "copy", "source": source, "name": name, "ino": ino, "target": target, "copy": copy}
        child = _Child(job | {"patience": patience}, (source, target))
        try:
            state, why = child.answer(patience + 5.0)
        finally:
            child.close()
        match state:
            case "done":
                return
            case "full":
                raise NoSpace(f"copying {shown(name)} to read it: {why}; free some space, then it goes on by itself")
            case "damaged":
                raise Corrupt(f"SQLite cannot read it: {why}")
            case "foreign":
                raise Refused(f"SQLite cannot read it ({why}), and it is in use; it is synced once it is closed")
        raise Transient(f"its program is writing it: {why}")

    def alone(self, directory: Dir, name: str, ino: int) -> "_Child | None":
        """See the port."""
        source = posix(directory).descriptor
        child = _Child({"do": "alone", "source": source, "name": name, "ino": ino}, (source,))
        try:
            state, why = child.answer(self._seconds or ALONE_SECONDS)
        except BaseException:
            child.close()
            raise
        if state == "done":
            return child
        child.close()
        if state in ("foreign", "damaged"):
            return None
        raise Transient(f"a program has the database {shown(name)} open ({why}); close it there, then it goes on")


class _Child:
    """One child process. While it lives it holds what it took."""

    def __init__(self, job: dict[str, Any], descriptors: tuple[int, ...]) -> None:
        # -P: modules beside the script are no library of its own.
        self._process = subprocess.Popen(
            [sys.executable, "-P", CHILD, json.dumps(job)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=sorted({*descriptors}),
        )  # fmt: skip

    def answer(self, seconds: float) -> tuple[str, str]:
        """Wait for the child's line. Raises Transient when none comes in time, or none at all."""
        until = time.monotonic() + seconds
        line = b""
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while not line.endswith(b"\n"):
            if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
                raise Transient(f"SQLite took longer than {seconds:.0f} s")
            data = os.read(fd, 4096)
            if not data:
                raise Transient("the process that was to read the database ended early")
            line += data
        said = json.loads(line)
        return str(said["state"]), str(said["why"])

    def close(self) -> None:
        """End the child, whatever it is doing."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def __enter__(self) -> "_Child":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _is_locked(fd: int, start: int, length: int) -> bool:
    """Return whether another process keeps readers out of these bytes."""
    if sys.platform == "linux":
        asked = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, start, length, 0)
        found = int(_FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, asked))[0])
    else:
        asked = _FLOCK.pack(start, length, 0, fcntl.F_RDLCK, os.SEEK_SET)
        found = int(_FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, asked))[3])
    return found != fcntl.F_UNLCK
