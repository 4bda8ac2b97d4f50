"""Databases among the ops: never displaced while a program has them open, whole wherever they go, sent as committed."""

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from execute_world import PAST_NS, World, digest, endings

from syncd.adapters.sqlite_databases import SqliteDatabases
from syncd.execute.runner import Runner
from syncd.execute.trashcan import trash_list, trash_restore
from syncd.model.job import Assignment
from syncd.model.node import Fingerprint
from syncd.model.observation import Ending
from syncd.observe.databases import whole
from syncd.observe.snapshots import Snapshots
from tests.programs import Program

NAME = "store.db"


class Stores(World):
    """A root in which databases are known."""

    def runner(self, *, plain: bool = False) -> Runner:
        self.snapshots = Snapshots(self.real, SqliteDatabases(), self.chance)
        return Runner(
            self.real, self.remote, self.clock, self.chance, lambda: "laptop", None, self.limits, self.progress.append,
            lambda: self.cancelled, self.ignored, self.snapshots,
        )  # fmt: skip

    def fingerprint(self, path: str) -> Fingerprint:
        """Return what a look would know."""
        at = Path(path)
        with self.real.open_dir(at.parts[:-1]) as directory:
            stat = directory.stat(at.name)
            assert stat is not None
            return whole(directory, at.name, stat).fingerprint

    def program(self, mode: str = "wal", name: str = NAME) -> Program:
        return Program(self.root / name, mode)

    def snapshot(self, name: str = NAME) -> bytes:
        """Copy the database as a look would, and return the content."""
        self.runner()
        with self.real.open_dir(()) as directory:
            stat = directory.stat(name)
            assert stat is not None
            made = self.snapshots.take(directory, name, whole(directory, name, stat))
        return (self.root / ".syncd" / "snapshots" / made.name).read_bytes()


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores(tmp_path / "root")


def closed(stores: Stores, commits: int, name: str = NAME, mode: str = "delete") -> bytes:
    """Make a database that nobody has open; returns its content."""
    with stores.program(mode, name) as program:
        program.write(commits)
        program.close()
    path = stores.root / name
    os.utime(path, ns=(PAST_NS, PAST_NS))
    return path.read_bytes()


def elsewhere(tmp_path: Path, commits: int) -> bytes:
    """Return a database of another device."""
    path = tmp_path / "elsewhere.db"
    path.unlink(missing_ok=True)
    with Program(path, "delete") as program:
        program.write(commits)
        program.close()
    return path.read_bytes()


def rows(path: Path) -> int:
    database = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return int(database.execute("SELECT count(*) FROM row").fetchone()[0])
    finally:
        database.close()


def prepared(stores: Stores, tmp_path: Path, what: str) -> Assignment:
    content = elsewhere(tmp_path, 9)
    match what:
        case "download":
            return stores.download(NAME, content)
        case "conflict":
            return stores.conflict(NAME, content, "aside.db")
        case "delete":
            return stores.delete(NAME)
        case "move":
            return stores.move(NAME, "moved.db")
        case _:
            stores.write("other.txt", b"text")
            return stores.swap(NAME, "other.txt")


WHATS = ["download", "conflict", "delete", "move", "swap"]


@pytest.mark.parametrize("what", WHATS)
@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_p6_what_a_program_has_open_waits_and_is_done_once_it_is_closed(
    stores: Stores, tmp_path: Path, what: str, mode: str
) -> None:
    with stores.program(mode) as program:
        program.write(3)
        program.run("PRAGMA wal_checkpoint(TRUNCATE)")  # at rest, and open
        assignment = prepared(stores, tmp_path, what)
        inode = (stores.root / NAME).stat().st_ino
        (result,) = stores.apply(assignment)
        assert (result.ending, result.error_class) == (Ending.RETRY, "in use")
        assert f"has the database {NAME} open" in result.error
        assert (stores.root / NAME).stat().st_ino == inode
        assert program.write(1) == 8, "the program notices nothing"
        program.run("DELETE FROM row WHERE id > 6")
        program.close()
    assignment = prepared(stores, tmp_path, what)
    assert endings(stores.apply(assignment)) == [Ending.DONE]
    assert not list(stores.root.glob("*-wal")) + list(stores.root.glob("*-shm"))
    where = {"download": NAME, "conflict": "aside.db", "delete": None, "move": "moved.db", "swap": "other.txt"}[what]
    if where is not None:
        assert rows(stores.root / where) == (18 if what == "download" else 6)


@pytest.mark.parametrize("what", ["download", "delete"])
def test_p1_what_was_committed_only_in_the_log_is_whole_in_the_trash(stores: Stores, tmp_path: Path, what: str) -> None:
    with stores.program("wal") as program:
        program.write(4)
        program.kill()
    content = stores.snapshot()
    assert (stores.root / f"{NAME}-wal").stat().st_size > 0
    first = prepared(stores, tmp_path, what)
    (result,) = stores.apply(first)
    assert result.ending is Ending.STALE, "brought to rest first: another fingerprint, the same content"
    assert (stores.root / NAME).read_bytes() == content
    assert not (stores.root / f"{NAME}-wal").exists()
    assert endings(stores.apply(prepared(stores, tmp_path, what))) == [Ending.DONE]
    (entry,) = trash_list(stores.real)
    if what == "download":
        (stores.root / NAME).unlink()
    assert trash_restore(stores.real, entry.id) == (NAME,)
    assert rows(stores.root / NAME) == 8


def test_p6_a_commit_in_the_log_alone_outdates_an_op(stores: Stores, tmp_path: Path) -> None:
    with stores.program("wal") as program:
        program.write(2)
        program.close()
    assignment = prepared(stores, tmp_path, "download")
    with stores.program("wal") as program:
        program.write(1)
        program.kill()
    (result,) = stores.apply(assignment)
    assert result.ending is Ending.STALE
    assert stores.snapshot()
    assert (stores.root / f"{NAME}-wal").exists(), "nothing was touched"


def test_p1_a_database_is_not_restored_beside_a_file_that_would_become_a_part_of_it(stores: Stores) -> None:
    content = closed(stores, 2)
    assert endings(stores.apply(stores.delete(NAME))) == [Ending.DONE]
    stores.write(f"{NAME}-journal", b"mine")
    (entry,) = trash_list(stores.real)
    assert trash_restore(stores.real, entry.id) == ("store (restored).db",)
    assert (stores.root / "store (restored).db").read_bytes() == content


@pytest.mark.parametrize("suffix", ["-wal", "-journal", "-shm"])
def test_p10_a_file_that_sqlite_would_take_for_a_part_of_a_database_is_refused(stores: Stores, suffix: str) -> None:
    before = closed(stores, 2)
    (result,) = stores.apply(stores.download(NAME + suffix, b"from somebody's remote"))
    assert result.ending is Ending.REFUSED
    assert "SQLite would take" in result.error
    assert not (stores.root / (NAME + suffix)).exists()
    stores.write("text", b"text")
    (result,) = stores.apply(stores.move("text", NAME + suffix))
    assert result.ending is Ending.REFUSED
    assert (stores.root / NAME).read_bytes() == before


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_p10_a_database_is_not_put_beside_a_file_that_would_become_a_part_of_it(
    stores: Stores, tmp_path: Path, suffix: str
) -> None:
    content = elsewhere(tmp_path, 2)
    stores.write(NAME + suffix, b"mine")
    (result,) = stores.apply(stores.download(NAME, content))
    assert result.ending is Ending.REFUSED
    stores.write(NAME, b"a text")
    (result,) = stores.apply(stores.download(NAME, content))
    assert result.ending is Ending.REFUSED
    assert (stores.root / NAME).read_bytes() == b"a text"
    assert endings(stores.apply(stores.download(NAME, b"another text"))) == [Ending.DONE]
    closed(stores, 1, "moved")
    assert endings(stores.apply(stores.move("moved", "x"))) == [Ending.DONE]
    stores.write("y" + suffix, b"mine")
    (result,) = stores.apply(stores.move("x", "y"))
    assert result.ending is Ending.REFUSED


def sent(stores: Stores, content: bytes, **more: object) -> Assignment:
    assignment = stores.upload(NAME)
    op = replace(assignment.op, hash=digest(content), expected_hash=digest(content), **more)  # type: ignore[arg-type]
    return replace(assignment, op=op)


def test_p5_what_was_hashed_is_sent_although_the_program_goes_on_writing(stores: Stores) -> None:
    with stores.program("wal") as program:
        program.write(3)
        content = stores.snapshot()
        assignment = sent(stores, content)
        program.write(3)
        (result,) = stores.send(assignment)
        assert result.ending is Ending.DONE
        assert stores.remote.nodes[assignment.node_id].content.hash == digest(content)
    assert not list((stores.root / ".syncd" / "snapshots").iterdir()), "it is needed no more"


def test_p5_a_copy_that_was_swept_is_made_again_if_nothing_changed(stores: Stores) -> None:
    with stores.program("wal") as program:
        program.write(3)
        content = stores.snapshot()
        assignment = sent(stores, content)
        for path in (stores.root / ".syncd" / "snapshots").iterdir():
            path.unlink()
        assert endings(stores.send(assignment)) == [Ending.DONE]
        program.write(1)
        (result,) = stores.send(stores.renewed(assignment))
        assert result.ending is Ending.STALE


def test_p6_a_copy_of_a_database_that_was_replaced_is_not_sent(stores: Stores) -> None:
    with stores.program("wal") as program:
        program.write(3)
        assignment = sent(stores, stores.snapshot())
        program.kill()
    os.rename(stores.root / NAME, stores.root / "old.db")
    stores.write(NAME, b"a text")
    (result,) = stores.send(assignment)
    assert result.ending is Ending.STALE


def test_p6_a_copy_of_a_database_that_is_replaced_while_it_is_sent_is_not_committed(stores: Stores) -> None:
    with stores.program("wal") as program:
        program.write(3)
        assignment = sent(stores, stores.snapshot())
        program.kill()
    missing = stores.remote.missing

    def replaced(hashes: Sequence[bytes]) -> Sequence[bytes]:
        os.rename(stores.root / NAME, stores.root / "old.db")
        closed(stores, 1)
        return missing(hashes)

    stores.remote.missing = replaced  # type: ignore[method-assign]
    (result,) = stores.send(assignment)
    assert result.ending is Ending.STALE
    assert not stores.remote.nodes


def test_old_copies_are_swept(stores: Stores) -> None:
    with stores.program("wal") as program:
        program.write(1)
        stores.snapshot()
    folder = stores.root / ".syncd" / "snapshots"
    stores.clock.time = max(path.stat().st_ctime for path in folder.iterdir()) + 10
    stores.sweep(after=0.0)
    assert list(folder.iterdir())
    stores.sweep(after=stores.limits.staged_kept)
    assert not list(folder.iterdir())
