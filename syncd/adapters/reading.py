"""Many small files are read by processes of their own (``reader_child``).

In the daemon each call to the system would hand the interpreter's lock to whoever computes, and back: with two cores
that cost more than the reading itself. Owns the processes: started when there is much to read, ended when there was
nothing for a while. Concludes nothing: what a process cannot say is read by the look itself.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from syncd.adapters.posix_file import signed
from syncd.adapters.reader_child import HEAD, RECORD
from syncd.model.node import Fingerprint, Kind
from syncd.ports import Content, Stat

CHILD: Final = str(Path(__file__).with_name("reader_child.py"))

MANY: Final = 256
"""Files for which it is worth starting a process, which costs what reading about so many does."""

FEW: Final = 32
"""Files for which it is worth asking one that is there."""

AT_ONCE: Final = 512
"""Files of one request: what it answers is turned into objects while the next one is not asked for yet."""

DIRECTORIES: Final = 64
"""Descriptors sent with one request; the system takes 253."""

IDLE: Final = 2.0
"""Seconds after which a process that nobody asked ends."""

Named = tuple[int, bytes]
"""An open directory's descriptor, and a name in it."""


class Readers:
    """The processes of one daemon. May be used from several threads at once, each of which then has one to itself."""

    def __init__(self) -> None:
        self._idle: list[_Reader] = []
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def read(self, names: Sequence[Named], limit: int, unless: bytes) -> list[Content | None]:
        """Return what is said of each of *names*; those of one directory lie together. See ``LocalFs.contents``."""
        reader = self._take(len(names))
        if reader is None:
            return [None] * len(names)
        found: list[Content | None] = []
        try:
            for some in _requests(names):
                found += reader.ask(some, limit, unless)
        except (OSError, EOFError):  # somebody ended it: what it did not say is read by the look
            reader.close()
            return found + [None] * (len(names) - len(found))
        self._give_back(reader)
        return found

    def close(self) -> None:
        """End all that nobody is asking."""
        with self._lock:
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()

    def _take(self, count: int) -> "_Reader | None":
        with self._lock:
            if count >= FEW and self._idle:
                return self._idle.pop()
        try:
            return _Reader() if count >= MANY else None
        except OSError:  # no more processes or descriptors just now
            return None

    def _give_back(self, reader: "_Reader") -> None:
        with self._lock:
            reader.since = time.monotonic()
            if self._timer is not None or self._wait(IDLE):
                self._idle.append(reader)
                return
        reader.close()

    def _wait(self, seconds: float) -> bool:
        """See that idle processes end after so long; returns whether there is a thread to be had for that."""
        timer = threading.Timer(seconds, self._end_idle)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:
            return False
        self._timer = timer
        return True

    def _end_idle(self) -> None:
        with self._lock:
            until = time.monotonic() - IDLE
            over = [reader for reader in self._idle if reader.since <= until]
            self._idle = [reader for reader in self._idle if reader.since > until]
            self._timer = None
            if self._idle and not self._wait(min(reader.since for reader in self._idle) - until):
                over, self._idle = over + self._idle, []
        for reader in over:
            reader.close()


class _Reader:
    """One process, asked one thing at a time."""

    def __init__(self) -> None:
        self._channel, other = socket.socketpair()
        self.since = 0.0
        try:
            # -P: modules beside the script are no library of its own. A group of its own: Ctrl-C is for the daemon.
            self._process = subprocess.Popen(
                [sys.executable, "-P", CHILD],
                stdin=other.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0,
            )  # fmt: skip
        except BaseException:
            self._channel.close()
            raise
        finally:
            other.close()

    def ask(self, names: Sequence[Named], limit: int, unless: bytes) -> Iterator[Content | None]:
        """Raises OSError or EOFError when it has ended."""
        directories = list(dict.fromkeys(directory for directory, _ in names))
        parts: list[bytes] = []
        for at, (directory, name) in enumerate(names):
            if at and directory != names[at - 1][0]:
                parts.append(b"/")
            parts.append(name)
        text = b"\0".join(parts)
        head = HEAD.pack(len(text), limit, len(unless), len(directories))
        sent = socket.send_fds(self._channel, [head], directories)
        self._channel.sendall(b"".join((head[sent:], unless, text)))
        answer = memoryview(bytearray(len(names) * RECORD.size))
        got = 0
        while got < len(answer):
            more = self._channel.recv_into(answer[got:])
            if not more:
                raise EOFError
            got += more
        return map(_content, RECORD.iter_unpack(answer))

    def close(self) -> None:
        self._channel.close()
        self._process.kill()
        self._process.wait()


def _requests(names: Sequence[Named]) -> Iterator[Sequence[Named]]:
    """Cut *names* into what one request may have."""
    begin, directories, last = 0, 0, -1
    for at, (directory, _) in enumerate(names):
        directories += directory != last
        last = directory
        if at - begin == AT_ONCE or directories > DIRECTORIES:
            yield names[begin:at]
            begin, directories = at, 1
    if begin < len(names):
        yield names[begin:]


def _content(record: tuple[int, int, int, int, int, int, int, int, bytes]) -> Content | None:
    known, dev, ino, mtime_ns, ctime_ns, size, mode, links, digest = record
    if not known:
        return None
    return Content(
        Stat(Kind.FILE, Fingerprint(dev, signed(ino), mtime_ns, ctime_ns, size), mode & 0o7777, links), digest
    )


def named(asked: Sequence[tuple[int, Sequence[str]]]) -> list[Named]:
    """Return names by directory as a request has them."""
    return list(chain.from_iterable(((fd, os.fsencode(name)) for name in names) for fd, names in asked))
