"""Changing databases in this folder: only one that nobody has open, that is at rest, and alone under its name.

Owns the lock while a database is replaced, deleted or moved, and the names SQLite gives a meaning to. A database with a
live sidecar is never displaced: SQLite brings it to rest first, and what then goes to the trash, or aside, is whole.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from syncd.execute.tools import Tools
from syncd.model.errors import InUse, Refused, Transient
from syncd.model.node import Kind
from syncd.model.path import shown
from syncd.observe.databases import in_the_way, is_database, is_header, may_be, owned
from syncd.ports import Dir, Stat


def require_closed(tools: Tools, directory: Dir, name: str, stat: Stat) -> bool:
    """Return whether *name* is a database; raises InUse while a program has it open for writing."""
    if not is_one(tools, directory, name, stat):
        return False
    if directory.writers(name):
        raise InUse(f"a program has the database {shown(name)} open; close it there, then it goes on by itself")
    return True


def is_one(tools: Tools, directory: Dir, name: str, stat: Stat, head: bytes | None = None) -> bool:
    """Return whether *name* is a database, where databases are known at all. *head*: how it begins, if known."""
    if tools.snapshots is None:
        return False
    return is_database(directory, name, stat) if head is None else may_be(stat) and is_header(head)


@contextmanager
def alone(tools: Tools, directory: Dir, name: str, kind: Kind) -> Iterator[None]:
    """Have *name* alone while it is displaced, if it is a database: SQLite's exclusive lock, no sidecars.

    Raises InUse while a program has it open. Taking the lock may bring it to rest, which changes its fingerprint: look
    at it again inside. What SQLite does not know has no lock; then it must at least be in one file.

    # RACE: a program that opens the database between the look for writers and the lock holds the displaced file
    # afterwards. SQLite tells it so at its next write (the file was moved), and the trash is watched for late writes.
    """
    stat = directory.stat(name) if kind is Kind.FILE else None
    if stat is None or tools.snapshots is None or not require_closed(tools, directory, name, stat):
        yield
        return
    try:
        lock = tools.snapshots.databases.alone(directory, name, stat.fingerprint.ino)
    except Transient as error:
        raise InUse(str(error)) from error
    if lock is None:
        beside = in_the_way(directory, name)
        if beside is not None:
            raise InUse(f"{shown(name)} is in use, as {shown(beside)} beside it shows; close its program")
        yield
        return
    with lock:
        yield


def require_name(tools: Tools, directory: Dir, name: str, *, database: bool) -> None:
    """Raise Refused when SQLite would give a new file at *name* a meaning its content does not have: a sidecar of a
    database beside it, or a *database* with a strange sidecar."""
    if tools.snapshots is None:
        return
    owner = owned(directory, name)
    if owner is not None:
        raise Refused(
            f"SQLite would take {shown(name)} for a part of the database {shown(owner)} beside it; rename one of them"
        )
    beside = in_the_way(directory, name) if database else None
    if beside is not None:
        raise Refused(
            f"SQLite would take {shown(beside)}, which lies there, for a part of the database {shown(name)}; rename "
            f"{shown(beside)} or move it away, then `syncd retry`"
        )
