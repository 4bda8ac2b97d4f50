"""SQLite files that lose what was not synced: a VFS over the real one, for the databases of one device or hub.

The files lie in a real folder and are read and written as ever. Beside that, the VFS keeps what the medium would have:
what each file was at its last xSync, and the writes since. ``power_loss`` leaves the files so, by ``Policy``: all
writes since are lost; a random part of their 512-byte sectors arrives; or the first few arrive and the next one in
part. A file's name is durable with the folder: SQLite syncs that with the first sync of a log or journal it made, and
where it deletes with "syncdir"; a database's own name counts as durable at once, because whoever makes one syncs its
folder.

What differs from a real disk: a write that was overtaken by a later one to the same place may still be lost alone only
in parts of sectors' size; the shared-memory file is not kept over a crash (it never counts); connections that do not
name this VFS (read-only views, copies) write past it, and what they wrote counts as durable at the next opening.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import apsw

from tests.sim.inode import Write
from tests.sim.journal import SECTOR, Policy, torn_length

CALLS: Final = ("xOpen", "xWrite", "xSync", "xTruncate", "xDelete")
"""The calls that change something: counted, hooked, and made to fail."""

FAULTS: Final = {
    "xOpen": apsw.SQLITE_CANTOPEN,
    "xWrite": apsw.SQLITE_IOERR_WRITE,
    "xSync": apsw.SQLITE_IOERR_FSYNC,
    "xTruncate": apsw.SQLITE_IOERR_TRUNCATE,
    "xDelete": apsw.SQLITE_IOERR_DELETE,
}
_numbers = itertools.count(1)


@dataclass
class Kept:
    """One path. *old* is what the medium has under this name (None: nothing) as long as the name of the present file is
    not durable (*named*); *base* is what the present file was when it was synced, *since* what came after."""

    path: str
    exists: bool = True
    named: bool = True
    old: bytes | None = None
    base: bytearray = field(default_factory=bytearray)
    since: list[Write] = field(default_factory=list)

    def now(self) -> bytearray:
        """Return the present file's content, to look at only."""
        return _applied(self.base.copy(), self.since) if self.since else self.base

    def synced(self) -> None:
        _applied(self.base, self.since)
        self.since.clear()

    def name_synced(self) -> None:
        """The folder was synced: the name means the present file, or nothing."""
        self.named, self.old = True, None

    def surviving(self, policy: Policy, luck: random.Random) -> bytes | None:
        """Return what is under the name after the power came back, None for nothing."""
        if not self.named and (policy is Policy.ALL or luck.random() < 0.5):
            return self.old
        if not self.exists:
            return None
        match policy:
            case Policy.ALL:
                arrived: list[Write] = []
            case Policy.SOME:
                arrived = _some(self.since, luck)
            case Policy.TORN:
                count = luck.randint(0, len(self.since))
                arrived = [*self.since[:count], *_torn(self.since[count : count + 1], luck)]
        return bytes(_applied(self.base.copy(), arrived))


def _applied(image: bytearray, writes: list[Write]) -> bytearray:
    """Do *writes* to *image* and return it; gaps read as zeros."""
    for place, data in writes:
        if place > len(image):
            image.extend(bytes(place - len(image)))
        if data is None:
            del image[place:]
        else:
            image[place : place + len(data)] = data
    return image


def _some(writes: list[Write], luck: random.Random) -> list[Write]:
    share = luck.choice((0.1, 0.5, 0.9))
    arrived: list[Write] = []
    for place, data in writes:
        if data is None:
            arrived += [(place, data)] if luck.random() < share else []
            continue
        ends = [*range(SECTOR - place % SECTOR, len(data), SECTOR), len(data)]
        for start, end in itertools.pairwise([0, *ends]):
            if luck.random() < share:
                arrived.append((place + start, data[start:end]))
    return arrived


def _torn(writes: list[Write], luck: random.Random) -> list[Write]:
    return [(place, data and data[: torn_length(place, len(data), luck)]) for place, data in writes if data]


class SimVfs(apsw.VFS):
    """Give ``vfs.name`` to whatever opens the databases. ``on_call(name, path)`` runs before each of ``CALLS``: it
    may raise, to end the process there (no Exception: then nothing after it has an effect), or an apsw error.

    ``calls`` counts those that ``fail`` counts, since it was called.
    """

    def __init__(self) -> None:
        self.name = f"simulated-{next(_numbers)}"
        self.on_call: Callable[[str, str], None] | None = None
        self.calls = 0
        self.frozen = False
        self._fault: tuple[int, bool, bool] | None = None
        self._only: str | None = None
        self.kept: dict[str, Kept] = {}
        self._open: dict[str, int] = {}
        super().__init__(self.name, "unix", maxpathname=4096)

    # --- what a simulation does with it ---

    def fail(self, at: int, *, persistent: bool = False, full: bool = False, only: str | None = None) -> None:
        """Let call number *at* from now on fail, and with *persistent* every later one: an I/O error of its kind, or
        with *full* SQLITE_FULL where something is written. *only*: one of ``CALLS``, the others are not counted.
        0: no faults any more."""
        self.calls, self._only = 0, only
        self._fault = (at, persistent, full) if at else None

    def freeze(self) -> None:
        """The process is dead: nothing it does from here on has an effect."""
        self.frozen = True

    @contextmanager
    def killed(self) -> Iterator[None]:
        """The process dies here: close, inside, what it had open. Nothing that was written is lost."""
        self.freeze()
        yield
        self.frozen = False
        self._remove_shared()

    @contextmanager
    def power_loss(self, policy: Policy, luck: random.Random) -> Iterator[None]:
        """The power goes here: close, inside, what was open. Afterwards the files are what *policy* left."""
        self.freeze()
        left = {path: self.kept[path].surviving(policy, luck) for path in sorted(self.kept)}
        yield
        self._remove_shared()
        for path, data in left.items():
            if data is not None:
                with open(path, "wb") as file:
                    file.write(data)
            elif os.path.exists(path):
                os.unlink(path)
        self.kept.clear()
        self.frozen = False

    def _remove_shared(self) -> None:
        for path in self.kept:
            if os.path.exists(path + "-shm"):
                os.unlink(path + "-shm")

    # --- what SQLite asks ---

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None:
            return apsw.VFSFile("unix", name, flags)  # a temporary file: gone with its process
        self.before("xOpen", path)
        new = not os.path.exists(path)
        if new and self.frozen:
            raise apsw.exception_for(apsw.SQLITE_CANTOPEN)
        file = SimFile(self, path, name, flags)
        self._opened(path, new, database=bool(flags[0] & apsw.SQLITE_OPEN_MAIN_DB))
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.before("xDelete", filename)
        if self.frozen:
            return
        super().xDelete(filename, syncdir)
        kept = self.kept.setdefault(filename, Kept(filename))
        if kept.named:
            kept.old, kept.named = bytes(kept.base), False
        kept.exists, kept.base = False, bytearray()
        kept.since.clear()
        if syncdir:
            self.folder_synced(filename)

    def before(self, name: str, path: str) -> None:
        if self.frozen:
            return
        if self.on_call is not None:
            self._hook(self.on_call, name, path)
        if self._only not in (None, name):
            return
        self.calls += 1
        if self._fault is not None:
            at, persistent, full = self._fault
            if self.calls == at or (persistent and self.calls > at):
                raise apsw.exception_for(apsw.SQLITE_FULL if full and name == "xWrite" else FAULTS[name])

    def _hook(self, hook: Callable[[str, str], None], name: str, path: str) -> None:
        try:
            hook(name, path)
        except Exception:
            raise
        except BaseException:
            self.freeze()
            raise

    def _opened(self, path: str, new: bool, *, database: bool) -> None:
        held = self._open.get(path, 0)
        self._open[path] = held + 1
        kept = self.kept.get(path)
        if held and kept is not None:
            return
        if new:
            if kept is None:
                kept = self.kept[path] = Kept(path)
            kept.exists, kept.base, kept.named = True, bytearray(), database
            kept.since.clear()
            return
        with open(path, "rb") as file:
            present = file.read()
        if kept is None or not kept.exists or kept.now() != present:
            self.kept[path] = Kept(path, base=bytearray(present))  # somebody else put it there

    def closed(self, path: str) -> None:
        self._open[path] -= 1

    def folder_synced(self, path: str) -> None:
        """Names in the folder of *path* are durable."""
        folder = os.path.dirname(path)
        for kept in self.kept.values():
            if os.path.dirname(kept.path) == folder:
                kept.name_synced()


class SimFile(apsw.VFSFile):
    """A database file or its log: writes are noted on their way."""

    def __init__(self, vfs: SimVfs, path: str, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._vfs, self._path = vfs, path

    def xWrite(self, data: bytes, offset: int) -> None:
        vfs = self._vfs
        vfs.before("xWrite", self._path)
        if not vfs.frozen:
            apsw.VFSFile.xWrite(self, data, offset)
            vfs.kept[self._path].since.append((offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        self._vfs.before("xTruncate", self._path)
        if not self._vfs.frozen:
            super().xTruncate(newsize)
            self._vfs.kept[self._path].since.append((newsize, None))

    def xSync(self, flags: int) -> None:
        self._vfs.before("xSync", self._path)
        if self._vfs.frozen:
            return
        kept = self._vfs.kept[self._path]
        kept.synced()  # and no real fsync: nothing here is meant to outlive this machine
        if not kept.named:
            self._vfs.folder_synced(self._path)

    def xClose(self) -> None:
        super().xClose()
        self._vfs.closed(self._path)
