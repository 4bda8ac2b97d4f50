"""What the doctor finds: every trouble a sync can have, each with its mend (P12)."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from syncd.adapters import posix_fs
from syncd.adapters.posix_marker import tie_root
from syncd.adapters.system import SystemClock
from syncd.control import client
from syncd.db.connection import Database
from syncd.db.decisions import GroupKind, Item
from syncd.db.facts import HeldEntry
from syncd.model.node import Kind, Place, Present, Reason, Unknown
from syncd.model.op import Op, OpState, OpType, Side
from syncd.model.path import ROOT
from syncd.service import health, known_traits
from syncd.service.health import Finding, Grade
from syncd.service.roots import RootRecord, Roots, new_root_id


@pytest.fixture
def record(tmp_path: Path) -> RootRecord:
    (tmp_path / "a").mkdir()
    made = RootRecord(
        id=new_root_id(), path=os.path.realpath(tmp_path / "a"), remote="syncd://127.0.0.1:1/files", hub_id="h",
        space_id="s", device_id="d", device="laptop",
    )  # fmt: skip
    Roots().save(made)
    return made


@pytest.fixture
def db(record: RootRecord) -> Iterator[Database]:
    database = Database.open(str(Roots().folder(record.id).database), clock=SystemClock())
    yield database
    database.close()


def found(record: RootRecord, what: str, grade: Grade) -> list[str]:
    findings: list[Finding] = [one for one in health.examine(remotes=False) if one.about == record.path]
    return [one.says for one in findings if (one.what, one.grade) == (what, grade)]


def download(db: Database, name: str) -> int:
    node = db.nodes.insert(Kind.FILE, remote=Present(Place(ROOT, name), bytes(32)))
    op = Op(node, OpType.DOWNLOAD, Kind.FILE, Place(ROOT, name))
    return db.queue.put(op, state=OpState.READY, key=node.to_bytes(16, "big"), not_before=None, now=1.0)


def test_p12_ops_given_up_are_found_with_their_mend(record: RootRecord, db: Database) -> None:
    for name in ("x", "y", "z"):
        db.queue.park(download(db, name), "not permitted", "Permission denied")
    (says,) = found(record, "queue", Grade.WAITS)
    for part in ("3 ops given up", "Permission denied", f"chmod u+rwx {record.path}", "syncd retry"):
        assert part in says


def test_p12_downloads_that_wait_for_space_are_found(record: RootRecord, db: Database) -> None:
    for name in ("x", "y"):
        op = download(db, name)
        for _ in range(3):
            db.queue.retry(op, 9e9, "no space", "5 MiB are needed: free some space")
    (says,) = found(record, "queue", Grade.WAITS)
    assert says.startswith("2 ops cannot go on")
    assert "free some space" in says


def test_p12_what_waits_for_a_decision_is_found(record: RootRecord, db: Database) -> None:
    node = db.nodes.insert(Kind.FILE)
    db.decisions.add(db.decisions.open(GroupKind.HELD, Side.REMOTE, "many", 1.0), [Item(node, "x")])
    (says,) = found(record, "queue", Grade.WAITS)
    assert "1 change held until you decide: `syncd approve`" in says


def test_p12_a_fifo_in_the_way_waits_and_one_elsewhere_is_a_note(record: RootRecord, db: Database) -> None:
    local = Unknown(Reason.HELD, Place(ROOT, "x"), "is no file")
    db.nodes.insert(Kind.FILE, local=local, remote=Present(Place(ROOT, "x"), bytes(32)))
    db.held.replace(ROOT, [HeldEntry("pipe", "held", "is no file")])
    (waits,) = found(record, "names", Grade.WAITS)
    assert "x: held (is no file): rename or remove it here" in waits
    (note,) = found(record, "names", Grade.NOTE)
    assert "pipe" in note


@pytest.mark.parametrize("which", ["root", "state"])
def test_p12_folders_that_cannot_be_written_are_faults(
    record: RootRecord, db: Database, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    path = Path(record.path) if which == "root" else Roots().folder(record.id).base
    true_access = os.access
    # Also for root, whom no mode hinders.
    monkeypatch.setattr(os, "access", lambda at, mode: Path(at) != path and true_access(at, mode))
    about = "folder" if which == "root" else "state"
    (says,) = [one for one in found(record, about, Grade.BAD) if "cannot be written" in one]
    assert "chmod u+rwx" in says


@pytest.mark.parametrize(("free", "grade"), [(0, Grade.BAD), (1 << 30, Grade.GOOD)])
def test_p12_the_disk_of_the_state_is_looked_at(
    record: RootRecord, db: Database, monkeypatch: pytest.MonkeyPatch, free: int, grade: Grade
) -> None:
    base = Roots().folder(record.id).base
    disk = SimpleNamespace(f_bavail=free // 4096, f_frsize=4096, f_flag=0)
    true_statvfs = os.statvfs
    monkeypatch.setattr(os, "statvfs", lambda at: disk if at == base else true_statvfs(at))
    (says,) = found(record, "state", grade)
    assert "free" in says


def test_p12_a_database_deleted_under_its_daemon_is_a_fault(
    record: RootRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "not there yet" in found(record, "database", Grade.NOTE)[0]
    monkeypatch.setattr(client, "status", lambda path: {"pid": 4321})
    (says,) = found(record, "database", Grade.BAD)
    assert "4321" in says
    assert "start it again" in says


@pytest.mark.parametrize(
    ("trait", "has", "says"),
    [
        ("exchange", False, "cannot exchange two names at once"),
        ("no_replace", False, "cannot refuse to replace a name"),
        ("symlinks", False, "no symlinks"),
        ("executable_bit", False, "no executable bit"),
        ("case_sensitive", False, "takes A and a for one name"),
        ("normalises", True, "changes the form of accented names"),
        ("stable_inodes", False, "no stable inodes"),
    ],
)
def test_p12_what_the_file_system_cannot_do_is_told(
    record: RootRecord, monkeypatch: pytest.MonkeyPatch, trait: str, has: bool, says: str
) -> None:
    tie_root(record.path, record.id)
    monkeypatch.setattr(posix_fs, "probe", lambda _descriptor: known_traits.LIKELY)
    assert found(record, "file system", Grade.NOTE) == []
    lacking = dataclasses.replace(known_traits.LIKELY, **{trait: has})
    monkeypatch.setattr(posix_fs, "probe", lambda _descriptor: lacking)
    (told,) = found(record, "file system", Grade.NOTE)
    assert says in told
