"""The database as the control thread holds it: opening, mending, transactions. Never decides anything about files.

BUSY is not damage (a lost status query must not cost a rebuild), and a damaged file is set aside, never deleted: what
it knew can be found out again by looking (P9).
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Final

import apsw

from syncd.db.activity import Activity, Commands
from syncd.db.chunks import Chunks
from syncd.db.conflicts import Conflicts
from syncd.db.facts import Held
from syncd.db.own import OwnDecisions, OwnMeta, OwnNodes
from syncd.db.own_queue import OwnQueue
from syncd.db.runs import Runs
from syncd.db.schema import (
    Migration,
    apply_cache_size,
    apply_pragmas,
    migrate,
    shipped_migrations,
    sync_path,
    translated,
)
from syncd.model.errors import Refused
from syncd.ports import Clock

BUSY_SECONDS: Final = 10.0
"""How long to wait for another process's lock before giving up for now."""

STATEMENTS: Final = 512
"""Prepared statements kept: all there are. With fewer than a step uses, each would be prepared anew, for 50 µs."""

KEPT_KIB: Final = 1024
"""KiB of pages that are kept at rest."""

_SIDECARS: Final = ("", "-wal", "-shm")


class Database:
    """One root's database, with a repository for each of its parts. Only the control thread uses it (P11)."""

    def __init__(self, connection: apsw.Connection, path: str, clock: Clock, rebuilt: bool, aside: str | None) -> None:
        self._connection = connection
        self._path = path
        self._inside = False
        self._changed_before = 0
        self.rebuilt = rebuilt
        self.set_aside = aside
        self.queue = OwnQueue(connection, clock)
        self.nodes = OwnNodes(connection, self.queue.forget_of)
        self.conflicts = Conflicts(connection)
        self.decisions = OwnDecisions(connection)
        self.runs = Runs(connection)
        self.activity = Activity(connection)
        self.commands = Commands(connection)
        self.meta = OwnMeta(connection)
        self.held = Held(connection)
        self.chunks = Chunks(connection, clock)

    @classmethod
    def open(
        cls,
        path: str,
        *,
        clock: Clock,
        busy_seconds: float = BUSY_SECONDS,
        migrations: Sequence[Migration] | None = None,
        vfs: str | None = None,
    ) -> "Database":
        """Open, create or mend the database at *path*, through SQLite's *vfs* of that name (None: the system's own).

        Raises Transient when another process keeps it locked, NoSpace when the disk is full, Refused when its schema is
        newer than this program or it cannot be opened. A damaged file is set aside (``set_aside``) and an empty one
        begun (``rebuilt``).
        """
        known = shipped_migrations() if migrations is None else migrations
        aside: str | None = None
        with translated(path):
            try:
                connection, empty = _open_checked(path, busy_seconds, known, vfs)
            except (apsw.CorruptError, apsw.NotADBError):
                aside = _set_aside(path, clock)
                connection, empty = _open_checked(path, busy_seconds, known, vfs)
        return cls(connection, path, clock, empty, aside)

    @property
    def changed(self) -> int:
        """How many rows the transaction has changed so far, those that triggers changed included."""
        return self._connection.total_changes() - self._changed_before

    def transaction(self, *, durable: bool = False) -> AbstractContextManager[None]:
        """Return a context in which all writes happen or none do.

        *durable*: the commit, and with it every earlier one, is on disk when the context ends (before a mutation is
        sent; for every decision of a person). Not nestable. An exception inside rolls back and goes on.
        """
        return self._transaction(durable)

    @contextmanager
    def _transaction(self, durable: bool) -> Iterator[None]:
        if self._inside:
            raise RuntimeError("a transaction is open already; transactions do not nest")
        execute = self._connection.execute
        with self.reading():
            if durable:
                execute("PRAGMA synchronous = FULL")
            try:
                execute("BEGIN IMMEDIATE")
                self._inside, self._changed_before = True, self._connection.total_changes()
                try:
                    yield
                    execute("COMMIT")
                except BaseException:
                    self.meta.forget()
                    self.nodes.forget()
                    self.queue.forget()
                    self.decisions.forget()
                    raise
                finally:
                    self._inside = False
                    # Still open after an exception, in the body or in COMMIT itself; SQLite may have ended it already.
                    if self._connection.in_transaction:
                        execute("ROLLBACK")
            finally:
                if durable:
                    execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Return a context for reads outside a transaction, with SQLite's errors turned into ours.

        Damage met here, or in a transaction, is noted: the next start examines the whole file and sets it aside.
        """
        with translated(self._path):
            try:
                yield
            except (apsw.CorruptError, apsw.NotADBError):
                _mark_suspect(self._path)
                raise

    def give_back(self) -> None:
        """Keep nothing of what was read, and few of the pages it was read from: those that every step asks for. To read
        them again would be a write on most disks, of the time of access, in the middle of the night."""
        self.nodes.rest()
        self.queue.forget()
        with self.reading():
            self._connection.execute(f"PRAGMA cache_size = -{KEPT_KIB}")
            apply_cache_size(self._connection)

    def close(self) -> None:
        """Close the file; after this it needs no recovery.

        Raises NoSpace or Transient when its log could not be put into it: then the next opening does that."""
        with translated(self._path):
            self._connection.close()


def _open_checked(
    path: str, busy_seconds: float, migrations: Sequence[Migration], vfs: str | None
) -> tuple[apsw.Connection, bool]:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))  # names of files are private
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # waited out, see ``translated``
        raise Refused(f"{path} cannot be opened ({error.strerror}): check its folder and permissions") from error
    # Only after a crash, or when damage was met: reading a large file whole at every start would be slow.
    examination: str | None = "quick_check" if _size(path + "-wal") > 0 else None
    if os.path.exists(_suspect(path)):
        examination = "integrity_check"
    connection = apsw.Connection(path, vfs=vfs, statementcachesize=STATEMENTS)
    try:
        connection.set_busy_timeout(int(busy_seconds * 1000))
        if examination and (found := connection.execute(f"PRAGMA {examination}(1)").get) != "ok":
            raise apsw.CorruptError(str(found))
        apply_pragmas(connection)
        empty = migrate(connection, path, migrations)
        sync_path(os.path.dirname(path) or ".")
    except BaseException:
        connection.close()
        raise
    if os.path.exists(_suspect(path)):
        os.unlink(_suspect(path))
    return connection, empty


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _suspect(path: str) -> str:
    return path + ".suspect"


def _mark_suspect(path: str) -> None:
    os.close(os.open(_suspect(path), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def _set_aside(path: str, clock: Clock) -> str:
    """Rename the damaged file with its sidecars and return its new name; nothing is ever deleted."""
    stamp = datetime.fromtimestamp(clock.now(), UTC).strftime("%Y%m%dT%H%M%SZ")
    target = f"{path}.damaged-{stamp}"
    number = 1
    while os.path.lexists(target):
        number += 1
        target = f"{path}.damaged-{stamp}-{number}"
    for suffix in _SIDECARS:  # the file first: interrupted in between, an empty one is begun all the same
        if os.path.lexists(path + suffix):
            os.rename(path + suffix, target + suffix)
    sync_path(os.path.dirname(path) or ".")
    return target
