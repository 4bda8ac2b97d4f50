"""Databases that programs have open: what travels is a committed state, and the program never notices (P1, P5, P6)."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.harness import Device, World
from tests.end_to_end.processes import until
from tests.programs import SIDECARS, Program

Pair = tuple[World, Device, Device]


@contextmanager
def program(device: Device, name: str, mode: str, blob: int = 200, wait: float = 0.01) -> Iterator[Program]:
    running = Program(device.path(name), mode, blob, wait)
    device.touched = True
    try:
        yield running
    finally:
        running.kill()


def rows(path: Path, aside: Path) -> int:
    """Return how many rows the database at *path* holds, looked at in a copy; fails unless it is whole."""
    shutil.copyfile(path, aside)
    database = sqlite3.connect(f"file:{aside}?mode=rw", uri=True)
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        count, last = database.execute("SELECT count(*), coalesce(max(id), 0) FROM row").fetchone()
        assert count == last, "a committed state has all rows up to one"
        assert count % 2 == 0, "a transaction is there as a whole or not at all"
        return int(count)
    finally:
        database.close()
        for suffix in SIDECARS:
            aside.with_name(aside.name + suffix).unlink(missing_ok=True)


def sidecars(world: World) -> list[str]:
    """Return every sidecar that anybody was told of."""
    told = [row[0] for row in world.hub.rows("SELECT DISTINCT name FROM entry ORDER BY name")]
    return [name for name in told if name.endswith(SIDECARS)]


@pytest.mark.parametrize(
    ("mode", "blob", "wait"),
    [
        pytest.param("wal", 20_000, 0.05, id="an application store in WAL mode"),
        pytest.param("delete", 20_000, 0.2, id="an application store with a rollback journal"),
        pytest.param("delete", 5_000_000, 0.3, id="a document store with large pages"),
    ],
)
def test_p5_a_database_written_all_the_time_arrives_as_committed_states(
    pair: Pair, tmp_path: Path, mode: str, blob: int, wait: float
) -> None:
    world, a, b = pair
    there, aside = b.path("store.db"), tmp_path / "aside.db"
    with program(a, "store.db", mode, blob, wait) as application:
        application.loop()
        until(there.exists, "the database is in b's folder while a writes it")
        first = rows(there, aside)
        until(lambda: rows(there, aside) > first, "a later state arrives while a still writes it")
        written = application.rest()
        world.settle()
        assert rows(there, aside) == written, "everything is there although the program still has it open"
        assert sidecars(world) == []
        assert not [name for name in b.names() if name.endswith(SIDECARS)]
        application.close()
    world.settle()
    assert rows(there, aside) == written
    assert sidecars(world) == []
    assert a.copies() == b.copies() == []
    world.check_all()


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_p6_a_remote_edit_of_an_open_database_waits_until_it_is_closed(pair: Pair, tmp_path: Path, mode: str) -> None:
    world, a, b = pair
    aside = tmp_path / "aside.db"
    with program(a, "store.db", mode) as application:
        application.write(3)
        world.settle()
        with program(b, "store.db", mode) as other:
            assert other.write(2) == 10
            other.close()
        b.wait()
        until(lambda: "has the database" in a.cli("status").out, "a says what it waits for")
        inode = a.path("store.db").stat().st_ino
        assert a.path("store.db").stat().st_ino == inode
        assert rows(a.path("store.db"), aside) == 6 if mode == "delete" else True
        application.close()
    until(lambda: rows(a.path("store.db"), aside) == 10, "the edit is applied once the program closed it")
    world.settle()
    assert a.copies() == b.copies() == []
    assert sidecars(world) == []
    world.check_all()


def test_p7_a_database_deleted_elsewhere_stays_while_it_is_open(pair: Pair, tmp_path: Path) -> None:
    world, a, b = pair
    with program(a, "store.db", "wal") as application:
        application.write(3)
        world.settle()
        b.remove("store.db")
        b.wait()
        until(lambda: "has the database" in a.cli("status").out, "a says what it waits for")
        assert rows_of(a.path("store.db")) == 6
        application.close()
    until(lambda: not a.path("store.db").exists(), "the delete is done once the program closed it")
    assert a.names() == [], "no sidecar is left behind"
    world.settle()
    world.check_all()


def rows_of(path: Path) -> int:
    """Return the rows as another program on the same machine sees them."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return int(database.execute("SELECT count(*) FROM row").fetchone()[0])
    finally:
        database.close()


def test_p1_what_a_killed_program_had_committed_arrives(pair: Pair, tmp_path: Path) -> None:
    world, a, b = pair
    a.stop()
    with program(a, "store.db", "wal") as application:
        assert application.write(4) == 8
    assert a.path("store.db-wal").stat().st_size > 0
    before = a.path("store.db-wal").read_bytes()
    a.start()
    world.settle()
    assert rows(b.path("store.db"), tmp_path / "aside.db") == 8
    assert a.path("store.db-wal").read_bytes() == before, "reading it never checkpoints"
    b.write("store.db", a_database(tmp_path / "new.db", 3))
    world.settle()
    assert rows(a.path("store.db"), tmp_path / "aside.db") == 6
    assert not a.path("store.db-wal").exists(), "or it would be taken for a part of what arrived"
    assert sidecars(world) == []
    world.check_all()


def a_database(path: Path, commits: int) -> bytes:
    """Return the content of a database made elsewhere."""
    other = Program(path, "delete")
    other.write(commits)
    other.close()
    return path.read_bytes()
