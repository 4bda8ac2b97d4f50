"""Small files that a look has read for it tell what they would tell if it read each by itself."""

import os
import sqlite3
import sys
import time

import pytest
from blake3 import blake3

from syncd.adapters.posix_fs import PosixFs
from syncd.adapters.sqlite_databases import SqliteDatabases
from syncd.adapters.system import SystemChance
from syncd.model.job import LookJob, LookUnit
from syncd.observe import scan
from syncd.observe.content import SMALL
from syncd.observe.scan import Looker
from syncd.observe.snapshots import Snapshots
from tests.observe.conftest import known_of
from tests.readers import eager_readers


@pytest.fixture
def readers():
    with eager_readers() as readers:
        yield readers


@pytest.fixture
def looked(root, clock, readers):
    """Look at everything with and without; returns the former, and by how many processes."""

    def look(paths=((),), known=None, **how):
        units = tuple(LookUnit(7, path, None, tuple((known or {}).get(path, ()))) for path in paths)
        told = []
        assert PosixFs(os.fspath(root)).traits  # trying that out leaves a folder
        for fs in (PosixFs(os.fspath(root), readers=readers), PosixFs(os.fspath(root))):
            looker = Looker(fs, clock, Snapshots(fs, SqliteDatabases(), SystemChance()))
            told.append(looker.look(LookJob(units, began=1, **how)).units)
        assert told[0] == told[1]
        return told[0]

    return look


def a_tree(root):
    (root / "sub").mkdir()
    for number in range(5):
        (root / f"file {number}").write_bytes(b"x" * number)
        (root / "sub" / f"{number}").write_bytes(b"y" * number)
    (root / "run").write_bytes(b"#!")
    (root / "run").chmod(0o755)
    (root / "large").write_bytes(b"z" * (SMALL + 1))
    (root / "limit").write_bytes(b"z" * SMALL)
    (root / "link").symlink_to("run")
    os.mkfifo(root / "fifo")
    with sqlite3.connect(root / "database") as database:
        database.execute("CREATE TABLE t (x)")


def test_all_directories_of_a_job(root, looked):
    a_tree(root)
    top, sub = looked(((), ("sub",)))
    assert [seen.name for seen in top.seen] == sorted(seen.name for seen in top.seen)
    assert {seen.name for seen in top.seen} == {name.name for name in root.iterdir()} - {"fifo", ".syncd"}
    assert [seen.hash for seen in sub.seen] == [blake3(b"y" * number).digest() for number in range(5)]
    again = looked(((), ("sub",)), {(): known_of(top), ("sub",): known_of(sub)})
    assert not any(unit.seen for unit in again)


def test_not_more_directories_are_open_than_may_be(root, looked, monkeypatch):
    monkeypatch.setattr(scan, "OPEN_AT_ONCE", 3)
    opened = []
    for number in range(8):
        (root / f"d{number}").mkdir()
        (root / f"d{number}" / "file").write_bytes(b"%d" % number)
    whole = PosixFs.contents

    def counted(fs, asked, limit, unless):
        opened.append(len(asked))
        return whole(fs, asked, limit, unless)

    monkeypatch.setattr(PosixFs, "contents", counted)
    units = looked([(f"d{number}",) for number in range(8)])
    assert [unit.seen[0].hash for unit in units] == [blake3(b"%d" % number).digest() for number in range(8)]
    assert opened == [3, 3, 2] * 2


def test_a_young_file_is_racy(root, looked, clock, monkeypatch):
    a_tree(root)
    now = time.time()  # both looks begin in the moment in which the last file was written
    monkeypatch.setattr(clock, "now", lambda: now)
    os.utime(root / "file 2")
    (unit,) = looked()
    assert next(seen for seen in unit.seen if seen.name == "file 2").racy


def test_no_more_is_read_than_a_job_may(root, looked):
    a_tree(root)
    (unit,) = looked(hash_limit=7)
    assert {what.name for what in unit.unhashed} == {"file 4", "large", "limit", "link", "run", "database"}


@pytest.mark.skipif(sys.platform != "linux", reason="only here a file's times can be what they were")
def test_a_deep_look_tells_damage_from_an_edit(root, looked):
    a_tree(root)
    (unit,) = looked()
    known = [entry for entry in known_of(unit) if entry.name != "file 3"]
    was = next(entry for entry in known_of(unit) if entry.name == "file 3")
    damaged = [*known, type(was)(was.name, was.kind, was.fingerprint, was.racy, True, b"?" * 32)]
    (again,) = looked(known={(): damaged}, deep=True)
    assert [(seen.name, seen.corrupt) for seen in again.seen] == [("file 3", True)]
