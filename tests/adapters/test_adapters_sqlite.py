"""Databases through the child process: copies are committed states, byte for byte what a checkpoint makes; and the lock
is refused while anybody has the database open."""

import os
import signal
import sqlite3
import threading
from pathlib import Path

import pytest

from syncd.adapters.posix_fs import PosixFs, tie_root
from syncd.adapters.sqlite_databases import SqliteDatabases
from syncd.model.errors import Corrupt, Refused, Transient
from tests.programs import SIDECARS, Program

NAME = "store.db"


class Place:
    """A root with a database in it, and what the port does to it."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root
        self.fs = PosixFs(os.fspath(root), expected=tie_root(os.fspath(root), "0" * 32))
        self.path = root / NAME
        self.databases = SqliteDatabases()
        self._count = 0

    def copy(self, databases: SqliteDatabases | None = None) -> Path:
        """Copy the database as the port does; returns where the copy is."""
        self._count += 1
        name = f"copy{self._count}"
        with self.fs.open_dir(()) as directory, self.fs.own("snapshots") as folder:
            folder.create(name).close()
            (databases or self.databases).copy(directory, NAME, self.path.stat().st_ino, folder, name)
        return self.root / ".syncd" / "snapshots" / name

    def alone(self):
        with self.fs.open_dir(()) as directory:
            return self.databases.alone(directory, NAME, self.path.stat().st_ino)

    def writing(self) -> bool:
        with self.fs.open_dir(()) as directory:
            return self.databases.writing(directory, NAME)

    def files(self) -> dict[str, bytes]:
        """Return the database's files but the -shm, which is a cache."""
        found = {path.name: path.read_bytes() for path in self.root.iterdir() if path.is_file()}
        return {name: data for name, data in found.items() if not name.endswith("-shm")}

    def names(self) -> list[str]:
        return sorted(path.name for path in self.root.iterdir() if path.is_file())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "root")


def rows(path: Path) -> int:
    """Return the rows of a whole database that nobody else has open."""
    database = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return int(database.execute("SELECT count(*) FROM row").fetchone()[0])
    finally:
        database.close()


@pytest.mark.parametrize("mode", ["wal", "delete", "truncate", "persist", "memory"])
def test_p3_a_copy_is_byte_for_byte_what_its_program_leaves_when_it_closes(place: Place, mode: str) -> None:
    with Program(place.path, mode) as program:
        program.write(5)
        program.run("CREATE TABLE another (x)")
        program.run("DELETE FROM row WHERE id % 3 = 0")
        program.run("CREATE INDEX found ON row (data)")
        before = place.files()
        copied = place.copy()
        assert place.files() == before, "reading changes nothing beside it"
        again = place.copy()
        program.close()
    assert copied.read_bytes() == again.read_bytes() == place.path.read_bytes()
    assert rows(copied) == 7


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_p5_a_copy_has_nothing_of_a_transaction_that_is_not_committed(place: Place, mode: str) -> None:
    with Program(place.path, mode) as program:
        program.write(3)
        program.begin()
        if mode == "wal":
            assert rows(place.copy()) == 6
        else:
            assert place.writing()
            with pytest.raises(Transient, match="its program is writing it"):
                place.copy()
        program.run("COMMIT")
        assert rows(place.copy()) == 46


def test_p1_the_log_of_a_killed_program_is_read_without_touching_it(place: Place) -> None:
    with Program(place.path, "wal") as program:
        program.write(4)
        program.kill()
    before = place.files()
    assert rows(place.copy()) == 8
    (place.root / f"{NAME}-shm").unlink()
    unattended = place.copy()
    assert rows(unattended) == 8
    assert place.files() == before
    assert place.names() == [NAME, f"{NAME}-wal"], "no sidecar is made"
    assert [path.name for path in unattended.parent.glob(f"{unattended.name}-*")] == []
    with place.alone():
        assert place.names() == [NAME]
        assert place.path.read_bytes() == unattended.read_bytes()


def test_a_strange_file_with_the_logs_name_is_neither_read_nor_touched(place: Place) -> None:
    with Program(place.path, "delete") as program:
        program.write(2)
        program.close()
    (place.root / f"{NAME}-wal").write_bytes(b"a text")
    before = place.files()
    assert rows(place.copy()) == 4
    with pytest.raises(Transient):
        place.alone()
    assert place.files() == before
    assert place.names() == [NAME, f"{NAME}-wal"]


def test_a_killed_transaction_is_told_and_left_to_its_program(place: Place) -> None:
    with Program(place.path, "delete") as program:
        program.write(3)
        program.begin()
        program.kill()
    before = place.files()
    assert f"{NAME}-journal" in before
    with pytest.raises(Corrupt, match="unfinished transaction"):
        place.copy()
    assert place.files() == before


@pytest.mark.parametrize(
    ("content", "error"),
    [
        pytest.param(b"SQLite format 3\0" + bytes(4080), Refused, id="only the first bytes are a database's"),
        pytest.param(None, Corrupt, id="cut short"),
    ],
)
def test_what_sqlite_cannot_read_is_told_apart(place: Place, content: bytes | None, error: type[Exception]) -> None:
    with Program(place.path, "delete") as program:
        program.write(50)
        program.close()
    place.path.write_bytes(place.path.read_bytes()[:8192] if content is None else content)
    with pytest.raises(error):
        place.copy()


def test_a_copy_that_takes_too_long_is_ended(place: Place) -> None:
    with Program(place.path, "delete") as program:
        program.run("BEGIN EXCLUSIVE")
        with pytest.raises(Transient):
            place.copy(SqliteDatabases(seconds=-5.0))
        program.run("ROLLBACK")
    assert rows(place.path) == 0


@pytest.mark.parametrize("mode", ["wal", "delete", "persist"])
def test_p6_a_database_is_alone_only_when_no_program_uses_it(place: Place, mode: str) -> None:
    with Program(place.path, mode) as program:
        program.write(2)
        if mode != "wal":
            program.run("BEGIN")
        with pytest.raises(Transient, match="has the database"):
            place.alone()
        if mode != "wal":
            program.run("ROLLBACK")
        program.write(1)
        program.close()
    whole = place.path.read_bytes()
    lock = place.alone()
    with lock:
        assert place.names() == [NAME], "its sidecars hold nothing, and are gone"
        assert place.path.read_bytes() == whole
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            sqlite3.connect(place.path, timeout=0).execute("SELECT count(*) FROM row").fetchall()
    with Program(place.path, mode) as program:
        assert program.write(1) == 8, "the lock is gone when it is let go"


def test_what_is_done_to_the_name_meanwhile_stays_when_the_lock_is_let_go(place: Place) -> None:
    with Program(place.path, "wal") as program:
        program.write(2)
        program.close()
    with place.alone():
        place.path.rename(place.root / "aside.db")
        with Program(place.path, "wal") as other:
            other.write(1)
            there = place.files()
    assert place.files() == there
    assert {NAME, f"{NAME}-wal", f"{NAME}-shm"} <= set(place.names())


def test_a_file_sqlite_does_not_know_has_no_lock(place: Place) -> None:
    place.path.write_bytes(b"SQLite format 3\0" + bytes(4080))
    assert place.alone() is None


def test_p10_a_symlink_in_place_of_the_database_is_not_followed(place: Place, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.db"
    with Program(elsewhere, "delete") as program:
        program.write(1)
        program.close()
    place.path.symlink_to(elsewhere)
    with pytest.raises(Transient):
        place.copy()


def test_children_end_with_the_daemon(place: Place) -> None:
    with Program(place.path, "delete") as program:
        program.write(1)
        program.close()
    lock = place.alone()
    assert lock is not None
    child = lock._process
    ended = threading.Thread(target=child.wait, args=(10,))
    ended.start()
    child.stdin.close()  # what the kernel does when the daemon is gone
    ended.join(10)
    assert child.returncode == 0
    assert child.returncode != -signal.SIGKILL
    lock.close()
    assert not any((place.root / (NAME + suffix)).exists() for suffix in SIDECARS)
