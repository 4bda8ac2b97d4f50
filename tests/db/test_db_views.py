"""Read-only views: beside a writer, after it ended, in a folder nobody may write, and on files that are no good."""

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from syncd.db.activity import ActivityRow
from syncd.db.connection import Database
from syncd.db.decisions import GroupKind, Item
from syncd.db.facts import HeldEntry
from syncd.db.runs import RunKind
from syncd.db.views import View, open_view
from syncd.model.conflict import ConflictKind
from syncd.model.errors import Refused
from syncd.model.node import Kind, Place, Present, Reason, Tree, Unknown
from syncd.model.op import Op, OpState, OpType, Side
from syncd.model.path import ROOT
from syncd.ports import Clock


@pytest.fixture
def view(db: Database, path: str) -> Iterator[View]:
    with open_view(path) as opened:
        yield opened


def add_file(db: Database, name: str) -> int:
    return db.nodes.insert(Kind.FILE, local=Present(Place(ROOT, name), bytes(32), size=3))


def put(db: Database, node: int, state: OpState = OpState.READY) -> int:
    op = Op(node, OpType.UPLOAD, Kind.FILE, Place(ROOT, "a"))
    return db.queue.put(op, state=state, key=node.to_bytes(16, "big"), not_before=None, now=1.0)


def test_p11_a_view_reads_while_the_daemon_writes_and_sees_only_what_is_committed(db: Database, view: View) -> None:
    with db.transaction():
        add_file(db, "a")
        assert view.summary().counts.local.files == 0
    assert view.summary().counts.local.files == 1


def test_a_moment_does_not_move(db: Database, view: View) -> None:
    with view.moment():
        before = view.summary()
        add_file(db, "a")
        assert view.summary() == before
    assert view.summary() != before


def test_a_view_never_writes(view: View) -> None:
    with pytest.raises(apsw.ReadOnlyError):
        view._connection.execute("DELETE FROM node")


def test_p12_the_summary_says_what_is_not_in_sync_and_why(db: Database, view: View) -> None:
    a, b = add_file(db, "a"), add_file(db, "b")
    db.nodes.insert(Kind.FILE, local=Unknown(Reason.UNREADABLE, Place(ROOT, "c")))
    put(db, a)
    db.queue.park(put(db, b), "Refused", "over quota")
    db.conflicts.add(a, ConflictKind.EDIT_EDIT, "a", "a 2", 1.0)
    group = db.decisions.open(GroupKind.HELD, Side.REMOTE, "many deletes", 1.0)
    db.decisions.add(group, [Item(a), Item(b)])
    db.held.replace(ROOT, [HeldEntry("pipe", "is a FIFO")])
    db.meta.set("cursor", "c1")
    summary = view.summary()
    assert summary.disagreeing == 2
    assert summary.unknown_local == {Reason.UNREADABLE: 1}
    assert (summary.ops[OpState.READY], summary.ops[OpState.FAILED]) == (1, 1)
    assert (summary.conflicts_open, summary.groups_undecided, summary.items_undecided) == (1, 1, 2)
    assert summary.held_entries == 1
    assert summary.meta["cursor"] == "c1"


def test_p12_what_does_not_go_on_by_itself_is_listed_with_its_reason(db: Database, view: View) -> None:
    parked, blocked, again, running = (put(db, add_file(db, name)) for name in ("p", "b", "r", "x"))
    db.queue.park(parked, "Refused", "over quota")
    db.queue.block(blocked, "", "waits for a decision")
    db.queue.retry(again, 50.0, "Offline", "no route")
    db.queue.start([running], [b""])
    assert [(op.path, op.queued.last_error, op.queued.next_at) for op in view.blocked()] == [
        ("p", "over quota", None),
        ("b", "waits for a decision", None),
        ("r", "no route", 50.0),
    ]
    assert [op.path for op in view.ops(OpState.RUNNING)] == ["x"]
    assert [op.path for op in view.ops()] == ["p", "b", "r", "x"]
    assert len(view.ops(limit=2)) == 2


def test_p12_a_path_tells_its_snapshots_its_op_and_its_conflicts(db: Database, view: View) -> None:
    here = add_file(db, "a")
    there = db.nodes.insert(Kind.FILE, remote=Present(Place(ROOT, "a"), bytes(32)))
    put(db, here)
    db.conflicts.add(there, ConflictKind.NAME, "a", "", 1.0)
    first, second = view.at_path(("a",))
    assert (first.node.id, second.node.id) == (here, there)
    assert first.queued is not None
    assert second.queued is None
    assert [c.kind for c in second.conflicts] == [ConflictKind.NAME]
    assert view.at_path(("nothing",)) == []


def test_p10_shown_paths_are_escaped(db: Database, view: View) -> None:
    put(db, add_file(db, "evil\x1b[31m"))
    db.held.replace(ROOT, [HeldEntry("bad \udcff", "is not UTF-8")])
    assert [op.path for op in view.ops()] == ["evil\\x1b[31m"]
    assert view.held() == [(".", HeldEntry("bad \\xff", "is not UTF-8"))]


def test_the_rest_is_listed_too(db: Database, view: View) -> None:
    key = db.nodes.insert(Kind.FILE, local=Unknown(Reason.BUSY, Place(ROOT, "busy")))
    run = db.runs.start(RunKind.QUICK, "{}", 1.0)
    db.activity.add([ActivityRow(1.0, key, "busy", "upload", "edited here", "done", Side.REMOTE)])
    command = db.commands.add("scan", [], 1.0)
    group = db.decisions.open(GroupKind.CONFLICTS, Side.LOCAL, "x", 1.0)
    db.decisions.add(group, [Item(key)])
    conflict = db.conflicts.add(key, ConflictKind.CASE, "busy", "", 1.0)
    db.chunks.put_many(key, [(bytes(32), 5, 6)])
    assert [(path, node.id) for path, node in view.unknown(Tree.LOCAL, Reason.BUSY)] == [("busy", key)]
    assert [r.id for r in view.runs()] == [run]
    assert [row.what for row in view.activity()] == [row.what for row in view.activity_of("busy")] == ["upload"]
    assert [c.id for c in view.commands()] == [command]
    assert [g.id for g in view.groups()] == [g.id for g in view.groups(decided_too=True)] == [group]
    assert [item.node for item in view.items(group)] == [key]
    assert [c.id for c in view.conflicts()] == [c.id for c in view.conflicts(resolved_too=True)] == [conflict]
    assert view.locate([bytes(32), b"none"]) == {bytes(32): (("busy",), 5, 6)}
    assert view.meta("none") is None


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_view_opens_after_the_daemon_ended(path: str, clock: Clock) -> None:
    db = Database.open(path, clock=clock)
    add_file(db, "a")
    db.close()
    assert not os.path.exists(path + "-wal")
    with open_view(path) as view:
        assert view.summary().counts.local.files == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(None, "no database", id="missing"),
        pytest.param(b"", "still empty", id="not begun"),
        pytest.param(b"nonsense" * 1000, "damaged", id="damaged"),
    ],
)
def test_a_view_says_why_it_cannot_be_opened(tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "root.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Refused, match=why):
        open_view(str(path))
    assert [p.name for p in tmp_path.iterdir() if p.name != "root.db"] == []


@pytest.mark.parametrize(("version", "why"), [(999, "newer syncd"), (0, "another program")])
def test_a_view_refuses_another_schema(path: str, clock: Clock, version: int, why: str) -> None:
    Database.open(path, clock=clock).close()
    raw = apsw.Connection(path)
    raw.execute(f"PRAGMA user_version = {version}")
    if version == 0:
        raw.execute("PRAGMA application_id = 7")
    raw.close()
    with pytest.raises(Refused, match=why):
        open_view(path)


def read_as_nobody(path: str) -> "subprocess.CompletedProcess[str]":
    script = """
        import os, sys
        from syncd.db.schema import shipped_migrations
        from syncd.db.views import open_view
        from syncd.model.errors import Refused
        shipped_migrations()
        if os.getuid() == 0:  # for whom permissions mean nothing
            os.setgid(65534)
            os.setuid(65534)
        try:
            with open_view(sys.argv[1]) as view:
                print(view.summary().counts.local.files)
        except Refused as refused:
            print("refused", refused)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), path]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.fixture
def open_folder() -> Iterator[str]:
    """A folder every user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        yield folder
        os.chmod(folder, 0o755)


def test_a_view_opens_in_a_folder_it_cannot_write(open_folder: str, clock: Any) -> None:
    path = os.path.join(open_folder, "root.db")
    db = Database.open(path, clock=clock)
    add_file(db, "a")
    db.close()
    os.chmod(path, 0o444)
    os.chmod(open_folder, 0o555)
    assert read_as_nobody(path).stdout == "1\n"


def test_a_view_there_never_shows_an_older_state_as_the_present(open_folder: str, clock: Any) -> None:
    path = os.path.join(open_folder, "root.db")
    db = Database.open(path, clock=clock)
    add_file(db, "a")  # is in the WAL only
    for name in (path, path + "-wal", path + "-shm"):
        os.chmod(name, 0o444)
    os.chmod(open_folder, 0o555)
    assert read_as_nobody(path).stdout == "1\n"
    os.chmod(open_folder, 0o755)
    os.rename(path + "-shm", path + "-kept")
    os.chmod(open_folder, 0o555)
    assert read_as_nobody(path).stdout.startswith("refused")
    db.close()
