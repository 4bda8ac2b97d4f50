"""What a database file must be before it is used: its pragmas, its schema version, and how it gets there.

Owns migrations and the copy kept before one. Never reads or writes a row of the trees.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import apsw

from syncd.model.errors import Corrupt, NoSpace, Refused, Transient

APPLICATION_ID: Final = 0x53594E43  # "SYNC": a file of another program is never taken for ours

# Each with its reason; set on every connection of the writer, in this order.
PRAGMAS: Final[tuple[tuple[str, str, str], ...]] = (
    ("journal_mode", "WAL", "readers (status, command line) never wait for the writer, nor it for them"),
    ("synchronous", "NORMAL", "observations may be lost with the power, never torn; durable commits say FULL"),
    ("fullfsync", "ON", "on macOS fsync does not reach the platter, F_FULLFSYNC does (P4)"),
    ("checkpoint_fullfsync", "ON", "the same for the moment the WAL goes into the file"),
    ("foreign_keys", "ON", "waits, items and past versions go with what they belong to"),
    ("temp_store", "MEMORY", "sorting leaves no files behind"),
    ("cache_size", "-32768", "32 MiB: the working set of a busy hour, however many files the root has"),
    ("mmap_size", "0", "an I/O error must be an error we can name, not a signal that ends the process"),
    ("wal_autocheckpoint", "2000", "8 MiB: a checkpoint short enough to fit between two transactions (P11)"),
    ("journal_size_limit", "67108864", "after a burst the WAL gives its space back"),
    ("trusted_schema", "OFF", "a damaged or planted schema may run no function with side effects"),
    ("cell_size_check", "ON", "damage is found when a page is read, not when it has spread"),
)

NO_ROOM: Final = 64 * 1024
"""Bytes: with less, an error of the disk is taken to come from its being full."""


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn SQLite's errors into ours, sorted by what the caller does next."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
        raise Transient(f"{path} is locked by another process: trying again ({error})") from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise Corrupt(f"{path} is damaged ({error}): restart to rebuild it") from error
    except apsw.FullError as error:
        raise NoSpace(_full(path)) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NoSpace(_full(path)) from error  # root.json, or a mark beside the database, written in a transaction
    except (apsw.CantOpenError, apsw.PermissionsError, apsw.ReadOnlyError, apsw.AuthError) as error:
        if _no_room(path):
            raise NoSpace(_full(path)) from error  # its log could not be made
        raise Refused(f"{path} cannot be opened ({error}): check its folder and permissions") from error
    except apsw.IOError as error:
        if _no_room(path):
            raise NoSpace(_full(path)) from error  # SQLite has a code of its own for write() only
        raise Transient(f"{path} cannot be read or written just now ({error})") from error


def _full(path: str) -> str:
    return f"no space left for {path}: free some space, then it goes on by itself"


def _no_room(path: str) -> bool:
    """Return whether the disk of *path* has hardly a block or a name left for this user."""
    try:
        found = os.statvfs(os.path.dirname(path) or ".")
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < NO_ROOM or (found.f_files > 0 and found.f_favail == 0)


Migration = tuple[int, str]


@cache
def shipped_migrations() -> tuple[Migration, ...]:
    """Return (number, SQL) of every migration in this package, in order."""
    folder = Path(__file__).parent / "migrations"  # importlib.resources takes longer than all else `syncd status` does
    named = sorted((item.name, item.read_text("utf-8")) for item in folder.iterdir() if item.name.endswith(".sql"))
    return tuple((int(name.split("_", 1)[0]), sql) for name, sql in named)


def apply_cache_size(connection: apsw.Connection) -> None:
    """Let the connection keep as many pages as it may, again."""
    (value,) = (value for name, value, _ in PRAGMAS if name == "cache_size")
    connection.execute(f"PRAGMA cache_size = {value}")


def apply_pragmas(connection: apsw.Connection) -> None:
    """Set every pragma; refuses a file system on which WAL cannot work."""
    # Else each new value bound beside a partial index has the statement prepared again: 50 µs a lookup instead of 8.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    for name, value, _ in PRAGMAS:
        answer = connection.execute(f"PRAGMA {name} = {value}").fetchall()
        if name == "journal_mode" and answer != [("wal",)]:
            raise Refused("the state directory's file system cannot hold the database (no WAL): use a local disk")


def schema_version(connection: apsw.Connection) -> int:
    """Return the number of the last migration applied; 0 for an empty file."""
    return int(connection.pragma("user_version"))


def check_ours(connection: apsw.Connection, path: str, newest: int) -> int:
    """Return the schema version; refuses a newer one, and a database that is not syncd's."""
    version = schema_version(connection)
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    if connection.pragma("application_id") != APPLICATION_ID and (version or tables):
        raise Refused(f"{path} is a database of another program: move it away")
    if version > newest:
        raise Refused(
            f"{path} was written by a newer syncd (schema {version}, this one knows {newest}): update syncd here"
        )
    return version


def migrate(connection: apsw.Connection, path: str, migrations: Sequence[Migration]) -> bool:
    """Bring the schema up to date, one transaction each, a copy kept first. Returns whether the file was empty."""
    newest = migrations[-1][0]
    version = check_ours(connection, path, newest)
    if 0 < version < newest:
        keep_copy(connection, f"{path}.schema-{version}")
    for number, sql in migrations:
        if number <= version:
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Looked at again under the lock: another process may have been first.
            if schema_version(connection) < number:
                connection.execute(sql)
                connection.execute(
                    "INSERT OR REPLACE INTO meta (key, value) VALUES ('schema_version', ?)", (str(number),)
                )
                connection.execute(f"PRAGMA user_version = {number}")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    return version == 0


def keep_copy(connection: apsw.Connection, to: str) -> None:
    """Write a durable copy of the database to *to* (0600), replacing an older one only once it is whole."""
    partial = to + ".partial"
    os.close(os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600))
    target = apsw.Connection(partial)
    try:
        with target.backup("main", connection, "main") as backup:
            while not backup.done:
                backup.step(1000)
    finally:
        target.close()
    sync_path(partial)
    os.replace(partial, to)
    sync_path(os.path.dirname(to) or ".")


def sync_path(path: str) -> None:
    """Make a file, or a directory's entries, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
