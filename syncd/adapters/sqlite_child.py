"""A child process that does one thing to one SQLite database, by SQLite's own rules: copy it, or have it to itself.

Run as a script, with one JSON argument and inherited directory descriptors; says how it went in one line of JSON. A
process of its own, because POSIX locks belong to a process: in the daemon, whoever closes a descriptor of the same file
would drop them. It ends when its standard input does, so it never outlives the daemon, and it imports nothing of syncd.

``copy`` reads a committed state through SQLite's backup interface: read-only, never checkpointing, never making a
sidecar. ``alone`` takes SQLite's exclusive lock, brings what is committed into the main file, removes the sidecars,
which hold nothing any more, and keeps the lock until standard input ends.
"""

import json
import os
import sys
import threading
import time
from typing import Any
from urllib.parse import quote

import apsw

PAGES = 256
"""Pages copied at a time."""

HOLD = 1.0
"""Seconds a rollback-journal database is kept from committing at a time; programs wait some seconds by default."""

REST = 0.1
"""Seconds its program gets in between."""

BUSY_MS = 2000
HEADER = 100
OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
WAL_MAGIC = (0x377F0682, 0x377F0683)
WAL_HEAD, FRAME_HEAD = 32, 24


class Ended(Exception):
    """How it went, and why."""

    def __init__(self, state: str, why: str = "") -> None:
        super().__init__(why)
        self.state, self.why = state, why


def main() -> None:
    job = json.loads(sys.argv[1])
    threading.Thread(target=end_with_parent, daemon=True).start()
    state, why = "done", ""
    try:
        (copy if job["do"] == "copy" else alone)(job)
    except Ended as ended:
        state, why = ended.state, ended.why
    except (apsw.BusyError, apsw.LockedError) as error:
        state, why = "busy", str(error)
    except apsw.NotADBError as error:
        state, why = "foreign", str(error)
    except (apsw.CorruptError, apsw.FormatError) as error:
        state, why = "damaged", str(error)
    except (apsw.FullError, OSError) as error:
        full = isinstance(error, apsw.FullError) or error.errno in (28, 122)
        state, why = "full" if full else "busy", str(error)
    except apsw.Error as error:
        state, why = "busy", f"{type(error).__name__}: {error}"
    sys.stdout.write(json.dumps({"state": state, "why": why}) + "\n")
    sys.stdout.flush()
    if job["do"] == "alone" and state == "done":
        threading.Event().wait()  # the lock is held until standard input ends
    leave()


def end_with_parent() -> None:
    sys.stdin.buffer.read()
    leave()


def leave() -> None:
    # Never by closing connections: by now another file may have the name whose sidecars SQLite would clear away.
    os._exit(0)


def place(directory: int, name: str) -> str:
    """Return the path of *name* now; the directory was opened without following anything (P10)."""
    os.fchdir(directory)
    return os.path.join(os.getcwd(), name)


def connect(path: str, how: str, flags: int) -> apsw.Connection:
    # RACE: the path could lead elsewhere by now; no symlink is followed, and the inode is compared afterwards.
    flags |= apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_NOFOLLOW
    connection = apsw.Connection(f"file:{quote(os.fsencode(path))}?mode={how}", flags=flags)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    return connection


def size_of(directory: int, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False).st_size
    except FileNotFoundError:
        return None


def open_main(job: dict[str, Any]) -> int:
    """Open the main file for raw looks. Never closed: closing would drop SQLite's locks in this process."""
    descriptor = os.open(job["name"], OPEN, dir_fd=job["source"])
    require_same(job, descriptor)
    return descriptor


def require_same(job: dict[str, Any], descriptor: int) -> None:
    named = os.stat(job["name"], dir_fd=job["source"], follow_symlinks=False)
    opened = os.fstat(descriptor)
    if (named.st_dev, named.st_ino) != (opened.st_dev, opened.st_ino) or opened.st_ino != job["ino"]:
        raise Ended("busy", "another file has its name by now")


# --- copying --------------------------------------------------------------------------------------------------------


def copy(job: dict[str, Any]) -> None:
    source, name = job["source"], job["name"]
    main_file = open_main(job)
    wal, shm = size_of(source, name + "-wal"), size_of(source, name + "-shm")
    target = place(job["target"], job["copy"])
    if wal is not None or os.pread(main_file, 1, 18) == b"\2":  # SQLite would open it in WAL mode
        if wal and shm is None:
            copy_unattended(job, main_file, target)
            return
        if wal is None or shm is None:
            raise Ended("busy", "it was opened or closed just now")
        # RACE: should its last program close it before the next line, SQLite makes an empty -wal and -shm here.
    path = place(source, name)
    try:
        connection = connect(path, "ro", apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(BUSY_MS)
        header, cookie = backup(job, connection, main_file, target)
    except (apsw.ReadOnlyError, apsw.CantOpenError) as error:
        if size_of(source, name + "-journal"):
            raise Ended("damaged", "it has an unfinished transaction; open it once with its program") from error
        raise
    require_same(job, main_file)
    dress(target, header, cookie)


def backup(job: dict[str, Any], connection: apsw.Connection, main_file: int, target: str) -> tuple[bytes | None, int]:
    """Copy all pages of one committed state. Returns the header of its page 1, if that is certain, and its cookie."""
    until = time.monotonic() + job["patience"]
    rollback = os.pread(main_file, 1, 18) != b"\2"
    copied = connect(target, "rw", apsw.SQLITE_OPEN_READWRITE)
    copied.execute("PRAGMA journal_mode = OFF")
    copied.execute("PRAGMA synchronous = OFF")
    with copied.backup("main", connection, "main") as steps:
        while True:
            before = first_page(job, main_file)
            connection.execute("BEGIN")
            cookie = int(connection.execute("PRAGMA schema_version").get)
            after = first_page(job, main_file)
            since = time.monotonic()
            while not steps.step(PAGES) and not steps.done:
                if time.monotonic() > until:
                    raise Ended("busy", "it is written all the time")
                if rollback and time.monotonic() - since > HOLD:
                    break
            connection.execute("COMMIT")
            if steps.done:
                break
            time.sleep(REST)  # a program that waits to commit comes first; SQLite begins anew if it does
    copied.close()
    return (after if before == after else None), cookie


def first_page(job: dict[str, Any], main_file: int) -> bytes | None:
    """Return the header on the newest committed page 1: of the -wal, or else of the main file."""
    try:
        log = os.open(job["name"] + "-wal", OPEN, dir_fd=job["source"])
    except FileNotFoundError:
        return os.pread(main_file, HEADER, 0)
    try:
        return first_in_log(log) or os.pread(main_file, HEADER, 0)
    finally:
        os.close(log)  # SQLite keeps no POSIX lock on it


def first_in_log(log: int) -> bytes | None:
    head = os.pread(log, WAL_HEAD, 0)
    if len(head) < WAL_HEAD or int.from_bytes(head[:4], "big") not in WAL_MAGIC:
        return None
    page, salts = int.from_bytes(head[8:12], "big"), head[16:24]
    at, committed, newest = WAL_HEAD, None, None
    while len(frame := os.pread(log, FRAME_HEAD, at)) == FRAME_HEAD and frame[8:16] == salts:
        if frame[:4] == b"\0\0\0\1":
            newest = at + FRAME_HEAD
        if frame[4:8] != b"\0\0\0\0":  # it ends a transaction
            committed = newest
        at += FRAME_HEAD + page
    return os.pread(log, HEADER, committed) if committed is not None else None


def dress(target: str, header: bytes | None, cookie: int) -> None:
    """Undo the counters a backup sets in the copy's header: the copy of a state is, byte by byte, what its program's
    next checkpoint makes of the main file, so that one state is one content (P3)."""
    descriptor = os.open(target, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    wanted = cookie.to_bytes(4, "big", signed=cookie < 0)
    os.pwrite(descriptor, wanted, 40)
    if header is not None and header[40:44] == wanted and header[24:28] == header[92:96]:
        os.pwrite(descriptor, header[24:28], 24)
        os.pwrite(descriptor, header[92:100], 92)
    os.close(descriptor)


def copy_unattended(job: dict[str, Any], main_file: int, target: str) -> None:
    """Copy a database that nobody has open and whose -wal was left behind. To read it in place SQLite would make an
    -shm; so both files are copied, and the copy is brought together."""
    if size_of(job["source"], job["name"] + "-journal"):
        raise Ended("damaged", "it has two logs; open it once with its program")
    log = os.open(job["name"] + "-wal", OPEN, dir_fd=job["source"])
    before = (stamp(main_file), stamp(log))
    copy_bytes(main_file, target)
    copy_bytes(log, target + "-wal")
    if before != (stamp(main_file), stamp(log)) or size_of(job["source"], job["name"] + "-shm") is not None:
        os.unlink(target + "-wal")
        raise Ended("busy", "it was opened just now")
    copied = connect(target, "rw", apsw.SQLITE_OPEN_READWRITE)
    copied.execute("PRAGMA locking_mode = EXCLUSIVE")
    copied.execute("PRAGMA synchronous = OFF")
    copied.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    copied.close()
    if size_of(job["target"], job["copy"] + "-wal") is not None:
        os.unlink(target + "-wal")
    require_same(job, main_file)


def stamp(descriptor: int) -> tuple[int, int, int]:
    raw = os.fstat(descriptor)
    return raw.st_size, raw.st_mtime_ns, raw.st_ctime_ns


def copy_bytes(descriptor: int, target: str) -> None:
    out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    at = 0
    while data := os.pread(descriptor, 1 << 20, at):
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(out, rest) :]
        at += len(data)
    os.close(out)


# --- having it alone ------------------------------------------------------------------------------------------------


def alone(job: dict[str, Any]) -> None:
    source, name = job["source"], job["name"]
    main_file = open_main(job)
    if not os.access(name, os.W_OK, dir_fd=source):
        raise Ended("foreign", "it may not be written, so nobody can be asked to wait")
    path = place(source, name)
    connection = connect(path, "rw", apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(0)
    KEPT.append(connection)
    # Set before the first access: then WAL mode needs no -shm, and any other connection, idle or not, is in the way.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    if os.pread(main_file, 1, 18) == b"\2":
        connection.execute("COMMIT")  # the lock stays
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        connection.execute("BEGIN EXCLUSIVE")
    os.fsync(main_file)
    require_same(job, main_file)
    clear(source, name)


def clear(directory: int, name: str) -> None:
    """Remove the sidecars: under the exclusive lock, and only when they hold nothing."""
    if size_of(directory, name + "-wal"):
        raise Ended("busy", "its log could not be emptied")
    if size_of(directory, name + "-journal"):
        journal = os.open(name + "-journal", OPEN, dir_fd=directory)
        if os.pread(journal, 1, 0) not in (b"", b"\0"):
            raise Ended("busy", "it has an unfinished transaction; open it once with its program")
    for suffix in ("-wal", "-shm", "-journal"):
        if size_of(directory, name + suffix) is not None:
            os.unlink(name + suffix, dir_fd=directory)
    os.fsync(directory)


KEPT: list[apsw.Connection] = []
"""Connections that must not be closed by the collector: that would drop their locks."""

if __name__ == "__main__":
    main()
