"""The relational store in one SQLite file: connections, pragmas, migrations, transactions.

Owns when and how the file is opened and committed. Never decides what is written (sqlite_reads, sqlite_writes hold
the statements, journal, spaces, blobs and auth the rules). Several processes may use the file at a time.
"""

import contextlib
import fcntl
import os
import re
import threading
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Final

import apsw

from syncd.hub.sqlite_reads import SqliteReads
from syncd.hub.sqlite_writes import SqliteWrites
from syncd.model.errors import Corrupt, NoSpace, Refused, Transient

DATABASE: Final = "hub.sqlite"
"""The file's name in the hub's data folder."""

BUSY_MS: Final = 20_000
"""How long a transaction waits for another process; only `hub invite` and its kin compete, for milliseconds."""

READERS: Final = 8
"""Idle reading connections kept open; more are opened while needed."""

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",  # readers go on while one writes
    "PRAGMA synchronous = FULL",  # a commit that was answered survives a power loss (P4)
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA wal_autocheckpoint = 4000",  # 16 MB: a page is put into the file once for all that changed it in a burst
    "PRAGMA cache_size = -16000",  # 16 MB a connection, whatever the size of the hub
)


class SqliteStore:
    """One hub database. Any thread may read; one writes at a time."""

    def __init__(self, path: Path, vfs: str | None = None) -> None:
        """Open *path*, creating or migrating it; raises Refused for a newer schema and Corrupt for a damaged file.

        *vfs* names the SQLite VFS to go through; None: the system's own.
        """
        self._path, self._vfs = path, vfs
        self._writing = threading.RLock()
        self._idle: list[apsw.Connection] = []
        self._idle_lock = threading.Lock()
        self._closed = False
        with translated():
            self._writer = self._connect()
            try:
                _migrate(self._writer, path)
            except BaseException:
                self._writer.close()
                raise

    @property
    def path(self) -> Path:
        """Where the database is."""
        return self._path

    @contextlib.contextmanager
    def read(self) -> Iterator[SqliteReads]:
        """Yield one consistent view."""
        with translated():
            connection = self._take()
            try:
                connection.execute("BEGIN")
                try:
                    yield SqliteReads(connection)
                finally:
                    connection.execute("ROLLBACK")
            finally:
                self._give(connection)

    @contextlib.contextmanager
    def write(self) -> Iterator[SqliteWrites]:
        """Yield a transaction: durable when the block ends well, undone when it raises."""
        with self._writing, translated():
            self._open()
            # IMMEDIATE: what is read inside is still so at the commit, also against other processes.
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield SqliteWrites(self._writer)
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def maintenance(self) -> Iterator[None]:
        """Hold the right to collect, verify or back up, across processes."""
        descriptor = os.open(self._path.with_name("maintenance.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Transient(
                    "another gc, verify or backup of this hub is running; try again when it ended"
                ) from error
            yield
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close every connection; what was committed stays."""
        with self._writing, self._idle_lock:
            self._closed = True
            for connection in self._idle:
                connection.close()
            self._idle.clear()
            self._writer.close()

    def _open(self) -> None:
        if self._closed:
            raise Transient("the hub is shutting down")

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path), vfs=self._vfs)
        connection.set_busy_timeout(BUSY_MS)
        # Else each new value bound beside a partial index has the statement prepared again, at many times its cost.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        return connection

    def _take(self) -> apsw.Connection:
        with self._idle_lock:
            self._open()
            if self._idle:
                return self._idle.pop()
        connection = self._connect()
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _give(self, connection: apsw.Connection) -> None:
        with self._idle_lock:
            if not self._closed and len(self._idle) < READERS and not connection.in_transaction:
                self._idle.append(connection)
                return
        connection.close()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn SQLite's errors into ours. BUSY is not damage."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
        raise Transient("the hub's database is busy; try again", retry_after=1.0) from error
    except apsw.FullError as error:
        raise NoSpace("the hub's disk is full; free some space there") from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise Corrupt(
            "the hub's database is damaged; stop the hub and serve a backup, or the copy kept beside it"
        ) from error
    except apsw.CantOpenError as error:
        raise Refused("the hub's database cannot be opened; check the data folder and its permissions") from error
    except (apsw.ReadOnlyError, apsw.PermissionsError) as error:
        raise Refused("the hub's database cannot be written; check the data folder's permissions") from error
    except apsw.IOError as error:
        raise Transient(f"the hub's disk failed: {error}") from error


def _migrations() -> list[tuple[int, str]]:
    """Return (number, SQL) of every migration, in order."""
    folder = resources.files("syncd.hub").joinpath("migrations")
    named = ((re.fullmatch(r"(\d{4})_\w+\.sql", file.name), file) for file in folder.iterdir())
    return sorted((int(match[1]), file.read_text("utf-8")) for match, file in named if match)


def _migrate(connection: apsw.Connection, path: Path) -> None:
    """Bring the schema to the newest; each migration is one transaction, and a copy is kept first."""
    migrations = _migrations()
    newest = migrations[-1][0]
    current = _version(connection)
    if current > newest:
        raise Refused(f"the hub's data has schema {current}, this program knows {newest}: use a newer syncd")
    if 0 < current < newest:
        copy_database(connection, path.with_name(f"{path.name}.before-{current + 1}"))
    for number, statements in migrations:
        if number <= current:
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection) < number:  # another process may have been first
                connection.execute(statements)
                connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _version(connection: apsw.Connection) -> int:
    return int(connection.pragma("user_version"))


def copy_database(source: apsw.Connection, target: Path) -> None:
    """Copy one committed state of *source* to *target*, durable and complete before it has that name."""
    partial = target.with_name(target.name + ".partial")
    for suffix in ("", "-wal", "-shm", "-journal"):
        partial.with_name(partial.name + suffix).unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    copy = apsw.Connection(str(partial))
    try:
        with copy.backup("main", source, "main") as backup:
            backup.step(-1)  # all pages in one step: a writer in between cannot make it start again
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, no sidecars
    finally:
        copy.close()
    descriptor = os.open(partial, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    partial.rename(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
