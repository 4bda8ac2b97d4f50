"""``syncd.ports.Databases`` on a simulated disk: whoever has a file open for writing is a program at work in it.

Knows no SQLite: a database's committed state is the content of its main file, and it has no sidecars of its own making.
"""

from __future__ import annotations

import errno

from syncd.model.errors import NoSpace, Transient
from syncd.model.node import Kind
from syncd.ports import Dir
from tests.sim.directory import SimDir
from tests.sim.features import fault
from tests.sim.inode import Inode


class SimAlone:
    """Nobody else writes, as long as this is held: nothing else runs meanwhile unless a hook lets it."""

    def close(self) -> None:
        """Let others in again."""

    def __enter__(self) -> SimAlone:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class SimDatabases:
    """See ``syncd.ports.Databases``; for directories of a ``SimFs`` only."""

    def writing(self, directory: Dir, name: str) -> bool:
        """Return whether a program has the main file open for writing."""
        return _file(directory, name).writers > 0

    def copy(self, directory: Dir, name: str, ino: int, to: Dir, copy: str) -> None:
        """Write the database's content into the empty file *copy*, through the same volume as every other write."""
        source, target = _file(directory, name), _file(to, copy)
        if source.ino != ino:
            raise Transient(f"{name} is another file than the one that was seen; trying again")
        try:
            written = target.volume.write(target, 0, source.data) if source.size else 0
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise NoSpace("copying a database: the disk is full") from error
        if written < source.size:
            raise NoSpace("copying a database: the disk is full")

    def alone(self, directory: Dir, name: str, ino: int) -> SimAlone | None:
        """Raise Transient while a program has it open; None for another file than *ino*."""
        found = _file(directory, name)
        if found.ino != ino:
            return None
        if found.writers:
            raise Transient(f"{name} is in use by a program; trying again")
        return SimAlone()


def _file(directory: Dir, name: str) -> Inode:
    if not isinstance(directory, SimDir):
        raise TypeError("directories of two different file system adapters")
    found = directory.inode.volume.existing(directory.inode, name)
    if found.kind is not Kind.FILE:
        raise fault(errno.EINVAL, name, "not a regular file")
    return found
