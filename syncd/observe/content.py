"""Reading the content of one name: a file that changes while it is read has no content yet (P5).

The content of a database is what its programs have committed: its main file when it is at rest, else a copy of a
committed state (``snapshots``).
"""

import errno
from typing import Final

from syncd.model.errors import Corrupt, Refused, Transient
from syncd.model.node import Kind, Reason
from syncd.model.observation import Seen, Unhashed, Unseen
from syncd.observe.cuts import Cut, Cuts, NotDurable
from syncd.observe.databases import HEADER, is_header, live_sidecars, may_be, together
from syncd.observe.durable import CANNOT
from syncd.observe.fingerprint import is_racy
from syncd.observe.hashing import hash_bytes, hash_file
from syncd.observe.snapshots import Snapshots
from syncd.ports import Dir, ReadFile, Stat

SMALL: Final = 64 * 1024
"""Bytes: a file that is no larger is read at once."""

# The name was listed as a file or symlink and is something else, or gone, when it is opened: somebody is at it.
_MOVED_ON: Final = frozenset((errno.ENOENT, errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.EISDIR, errno.ESTALE))


def why(error: OSError) -> str:
    """Return the system's own words for *error*, without a path."""
    return (error.strerror or type(error).__name__).lower()


def read_content(
    directory: Dir,
    name: str,
    stat: Stat,
    read_ns: int,
    tick_ns: int,
    snapshots: Snapshots | None = None,
    cuts: Cuts | None = None,
) -> Seen | Unhashed | Unseen:
    """Hash the file or symlink *name*, last seen as *stat*.

    *read_ns* is the wall clock (ns) before this call. What is returned is Seen only if the fingerprint was the same
    before and after reading and the name still leads to what was read. Of a database with live sidecars it is Seen as
    it was before reading: the content is of that moment or later, and whatever is written since shows as a change.
    Without *snapshots* databases are files like any other. How a large file is cut is noted in *cuts*.
    """
    noted: Cut | None = None
    try:
        if stat.kind is Kind.SYMLINK:
            found, digest = _symlink(directory, name, stat)
        else:
            found, digest, database, noted = _file(directory, name, tick_ns, snapshots, cuts)
            if database and digest is None and snapshots is not None:
                return _snapshot(directory, name, found, snapshots, read_ns, tick_ns)
        named = directory.stat(name)
    except NotDurable:
        return Unhashed(name, stat.fingerprint, True, CANNOT)
    except OSError as error:
        if error.errno in _MOVED_ON:
            return Unhashed(name, stat.fingerprint, busy=True)
        return Unseen(name, stat.kind, Reason.UNREADABLE, why(error))
    if digest is None or named is None or named.kind is not stat.kind or named.fingerprint != found.fingerprint:
        return Unhashed(name, found.fingerprint, busy=True)
    executable = found.kind is Kind.FILE and bool(found.mode & 0o100)
    assert stat.kind is not None, "only files and symlinks are read"
    racy = is_racy(found.fingerprint, read_ns if noted is None else noted.began_ns, tick_ns)
    return Seen(name, stat.kind, found.fingerprint, digest, executable, racy=racy)


def _file(
    directory: Dir, name: str, tick_ns: int, snapshots: Snapshots | None, cuts: Cuts | None
) -> tuple[Stat, bytes | None, bool, Cut | None]:
    """Return the stat and hash of a file, whether it is a database, and how it is cut; no hash when it changed
    meanwhile, or when it is a database that is not at rest."""
    with directory.open(name) as file:
        before = file.stat()
        size = before.fingerprint.size
        data = file.read(0, size) if size <= SMALL else None  # most files, in one call
        if snapshots is not None and may_be(before):
            head = file.read(0, HEADER) if data is None else data[:HEADER]
            if is_header(head):
                return *_main_file(directory, name, file, before, snapshots), None
        found = None
        if data is not None:
            digest = hash_bytes(data) if len(data) == size else None
        elif cuts is not None and cuts.takes(size):
            found = cuts.read(file, before, tick_ns)
            digest = None if found is None else found.hash
        else:
            digest = hash_file(file, size)
        after = file.stat()
    return after, digest if before.fingerprint == after.fingerprint else None, False, found


def _main_file(
    directory: Dir, name: str, file: ReadFile, before: Stat, snapshots: Snapshots
) -> tuple[Stat, bytes | None, bool]:
    """Read a database that is at rest: then its main file is the committed state, and SQLite need not be asked.

    A program that writes without any journal shows by its lock; who begins after that is seen by the fingerprint."""
    live = live_sidecars(directory, name)
    if live or snapshots.databases.writing(directory, name):
        return together(before, live), None, True
    digest = hash_file(file, before.fingerprint.size)
    after = file.stat()
    live = live_sidecars(directory, name)
    if live or before.fingerprint != after.fingerprint:
        return together(after, live), None, True
    return after, digest, True


def _snapshot(
    directory: Dir, name: str, stat: Stat, snapshots: Snapshots, read_ns: int, tick_ns: int
) -> Seen | Unhashed | Unseen:
    """Copy a committed state of a database that is in use, and hash that."""
    try:
        snapshot = snapshots.take(directory, name, stat)
    except Corrupt as error:
        return Unseen(name, Kind.FILE, Reason.HELD, str(error))
    except (Transient, Refused) as error:
        return Unhashed(name, stat.fingerprint, busy=True, detail=str(error))
    racy = is_racy(stat.fingerprint, read_ns, tick_ns)
    return Seen(name, Kind.FILE, stat.fingerprint, snapshot.hash, bool(stat.mode & 0o100), racy=racy)


def _symlink(directory: Dir, name: str, stat: Stat) -> tuple[Stat, bytes | None]:
    """Return a symlink's stat and the hash of its target's bytes. A symlink never changes: another target is another
    inode, and then the name's fingerprint differs afterwards."""
    return stat, hash_bytes(directory.readlink(name))
