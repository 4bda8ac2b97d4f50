"""`syncd plan`: what would be done, as of now, and nothing of it done (P12)."""

import json
import os
import sqlite3
from pathlib import Path

from tests.end_to_end.harness import Device, World

Pair = tuple[World, Device, Device]


def planned(device: Device, *more: str) -> set[tuple[str, str]]:
    """Return (op, path) of everything `syncd plan` shows."""
    said = json.loads(device.fine("plan", "--json", *more).out)
    return {(op["op"], op["path"]) for op in said["ops"]}


def traces(device: Device) -> dict[str, tuple[object, ...]]:
    """Return everything on a device's disk that a look must not change: state, folder, trash, to the nanosecond."""
    found = {}
    for start in (device.root, device.base / "state"):
        for folder, names, files in os.walk(start):
            for name in [*names, *files]:
                path = Path(folder, name)
                stat = path.lstat()
                content = path.read_bytes() if path.is_file() else b""
                # A reader of SQLite's makes -wal and -shm, which hold nothing, and so touches the folder they are in.
                touched = stat.st_mtime_ns if start == device.root or path.is_file() else 0
                if not name.endswith(("-shm", "-wal")):
                    found[str(path)] = (stat.st_ino, stat.st_mode, touched, content)
    return found


def work_on_both_sides(a: Device, b: Device) -> set[tuple[str, str]]:
    """Change something of each kind; return what a is to do about it."""
    a.write("edited.txt", "edited while nobody looked")
    a.write("new/file.txt", "new")
    a.remove("removed.txt")
    a.rename("old name.txt", "new name.txt")
    b.write("from b.txt", "from b")
    return {
        ("upload", "edited.txt"),
        ("remote_mkdir", "new"),
        ("upload", "new/file.txt"),
        ("remote_delete", "removed.txt"),
        ("remote_move", "new name.txt"),
        ("download", "from b.txt"),
    }


def begun(a: Device) -> None:
    for name in ("edited.txt", "removed.txt", "old name.txt"):
        a.write(name, f"content of {name}")


def test_p12_plan_without_a_daemon_looks_and_changes_nothing(pair: Pair) -> None:
    world, a, b = pair
    begun(a)
    world.settle()
    a.stop()
    expected = work_on_both_sides(a, b)
    b.wait()
    before, head = traces(a), world.hub.head()
    assert planned(a) == expected
    assert "no daemon runs" in a.fine("plan").out
    assert traces(a) == before
    assert world.hub.head() == head
    assert planned(a, "--queue") == set(), "the queue itself knows nothing of it yet"
    a.start()
    world.settle()
    assert b.read("new/file.txt") == "new"
    assert planned(a) == set()
    world.check_all()


def test_p12_plan_asks_a_paused_daemon_to_look(pair: Pair) -> None:
    world, a, b = pair
    begun(a)
    world.settle()
    a.fine("pause")
    expected = work_on_both_sides(a, b)
    b.wait()
    head = world.hub.head()
    assert planned(a) == expected
    assert not a.path("from b.txt").exists()
    assert world.hub.head() == head
    a.fine("resume")
    world.settle()
    world.check_all()


def test_p12_plan_reads_an_open_database_as_the_daemon_does_and_leaves_no_copy(pair: Pair) -> None:
    world, a, _ = pair
    store = sqlite3.connect(a.path("store.db"), isolation_level=None)
    try:
        store.execute("PRAGMA journal_mode = WAL")
        store.execute("CREATE TABLE t (x)")
        world.settle()
        a.stop()
        before = traces(a)
        assert planned(a) == set()
        assert traces(a) == before
        store.execute("INSERT INTO t VALUES (1)")
        assert planned(a) == {("upload", "store.db")}
        a.start()
    finally:
        store.close()
    world.check_all()


def test_p12_plan_before_the_first_sync_is_the_union(pair: Pair) -> None:
    world, a, _ = pair
    a.write("both.txt", "the same on both sides")
    a.write("only a.txt", "only a")
    world.settle()
    c = world.bare("c")
    c.write("both.txt", "the same on both sides")
    c.write("only c.txt", "only c")
    c.init(world.hub.invite())
    before = traces(c)
    # What is equal on both sides still has to be recognised as such; that moves nothing.
    assert {op for op in planned(c) if "both" not in op[1]} == {("upload", "only c.txt"), ("download", "only a.txt")}
    assert traces(c) == before
    c.start()
    world.settle()
    world.check_all()


def test_p12_plan_says_what_it_could_not_look_at(pair: Pair) -> None:
    world, a, _ = pair
    a.write("file.txt", "content")
    world.settle()
    c = world.bare("c")
    c.write("new.txt", "new")
    c.init(world.hub.invite())
    a.stop()
    world.hub.stop()
    ran = c.cli("plan")
    assert ran.code == 1
    assert "before the remote was listed once" in ran.out
    a.write("file.txt", "edited")
    ran = a.fine("plan")
    assert "what changed on the remote is not known" in ran.out
    assert "file.txt" in ran.out
    away = a.base / "away"
    a.root.rename(away)
    ran = a.cli("plan")
    assert ran.code == 1
    assert "cannot be planned" in ran.out
    assert str(a.root) in ran.out
    away.rename(a.root)
    world.hub.start()
    a.start()
    c.start()
    world.check_all()
