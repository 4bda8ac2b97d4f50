"""Copies of live databases in ``.syncd/snapshots``: made to be hashed, kept until they were uploaded.

A database that is written all the time has changed again before its content can be sent. So what was hashed is kept,
and that is what travels. Owns that folder: ``<hash>.<inode>.<token>``, or ``new.<inode>.<token>`` while it is made. All
in it may be removed at any time, at the price of copying again.
"""

import re
from dataclasses import dataclass
from typing import Final

from syncd.model.errors import NoSpace, Transient
from syncd.observe.hashing import hash_file
from syncd.ports import Chance, Databases, Dir, LocalFs, Stat

SNAPSHOTS: Final = "snapshots"
KEPT: Final = 2
"""Snapshots of one database: the newest, and the one that may be on its way just now."""

_NAME: Final = re.compile(r"(?P<content>[0-9a-f]{64}|new)\.(?P<ino>-?[0-9]{1,20})\.(?P<token>[0-9a-f]{16})")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One committed state, by its name in the folder."""

    name: str
    hash: bytes
    size: int


class Snapshots:
    """Makes and keeps copies. One for a root, used by all workers at once. *floor* (bytes) is never written into."""

    def __init__(self, fs: LocalFs, databases: Databases, chance: Chance, floor: int = 0) -> None:
        self._fs = fs
        self._chance = chance
        self._floor = floor
        self.databases = databases

    def take(self, directory: Dir, name: str, stat: Stat) -> Snapshot:
        """Copy a committed state of the database *name*, seen as *stat* (of all its files).

        Raises what ``Databases.copy`` raises, and OSError."""
        ino = stat.fingerprint.ino
        with self._fs.own(SNAPSHOTS) as folder:
            self._require_space(stat.fingerprint.size)
            making = f"new.{ino}.{self._chance.token(8).hex()}"
            folder.create(making).close()
            try:
                self.databases.copy(directory, name, ino, folder, making)
                with folder.open(making) as file:
                    size = file.stat().fingerprint.size
                    digest = hash_file(file, size)
                if digest is None:
                    raise Transient("the copy was cut short; trying again")
                made = f"{digest.hex()}.{ino}.{self._chance.token(8).hex()}"
                folder.rename_new(making, folder, made)
            except BaseException:
                _drop(folder, making)
                raise
            self._drop_older(folder, ino)
        return Snapshot(made, digest, size)

    def find(self, content: bytes, ino: int) -> Snapshot | None:
        """Return a kept copy of that content of the database with inode *ino*."""
        with self._fs.own(SNAPSHOTS) as folder:
            for name in folder.names():
                match = _NAME.fullmatch(name)
                if match and match["content"] == content.hex() and int(match["ino"]) == ino:
                    stat = folder.stat(name)
                    if stat is not None:
                        return Snapshot(name, content, stat.fingerprint.size)
        return None

    def open_folder(self) -> Dir:
        """Open the folder the snapshots are in."""
        return self._fs.own(SNAPSHOTS)

    def drop(self, snapshot: Snapshot) -> None:
        """Remove a copy that is needed no more."""
        with self._fs.own(SNAPSHOTS) as folder:
            _drop(folder, snapshot.name)

    def _require_space(self, size: int) -> None:
        free = self._fs.free_bytes()
        if free - size < self._floor:
            raise NoSpace(
                f"{size} bytes are needed to copy the database and {free} are free, of which {self._floor} are kept "
                "free; free some space, then it goes on by itself"
            )

    def _drop_older(self, folder: Dir, ino: int) -> None:
        found: list[tuple[int, str]] = []
        for entry in folder.entries():
            match = _NAME.fullmatch(entry.name)
            if match and int(match["ino"]) == ino and match["content"] != "new" and entry.stat is not None:
                found.append((entry.stat.fingerprint.ctime_ns, entry.name))
        for _, name in sorted(found, reverse=True)[KEPT:]:
            _drop(folder, name)


def sweep_snapshots(folder: Dir, older_than: float) -> int:
    """Remove what a crash left, or what nobody came for, last changed before *older_than* (seconds since the epoch);
    returns how many. All here is syncd's own."""
    dropped = 0
    for entry in folder.entries():
        if entry.stat is not None and entry.stat.fingerprint.ctime_ns / 1e9 < older_than:
            _drop(folder, entry.name)
            dropped += 1
    return dropped


def _drop(folder: Dir, name: str) -> None:
    try:
        folder.unlink(name)
    except FileNotFoundError:
        return
