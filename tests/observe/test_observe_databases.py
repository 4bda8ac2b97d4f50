"""What a look makes of databases and of the files beside them."""

import os
import sqlite3
from dataclasses import replace

import pytest
from blake3 import blake3
from msgspec.structs import replace as changed

from syncd.adapters.posix_fs import PosixFs, tie_root
from syncd.adapters.sqlite_databases import SqliteDatabases
from syncd.adapters.system import SystemChance
from syncd.model.job import KnownEntry, LookJob, LookUnit
from syncd.model.node import Fingerprint, Kind, Reason
from syncd.observe.databases import is_header, owner_of, together, with_owners
from syncd.observe.scan import Looker
from syncd.observe.snapshots import KEPT, Snapshots, sweep_snapshots
from syncd.ports import Stat
from tests.observe.conftest import known_of
from tests.programs import Program

NAME = "store.db"


@pytest.fixture
def fs(root):
    return PosixFs(os.fspath(root), expected=tie_root(os.fspath(root), "0" * 32))


@pytest.fixture
def snapshots(fs):
    return Snapshots(fs, SqliteDatabases(), SystemChance())


@pytest.fixture
def look(fs, clock, snapshots):
    looker = Looker(fs, clock, snapshots)

    def one(known=(), names=None, **how):
        (unit,) = looker.look(LookJob((LookUnit(7, (), names, tuple(known)),), began=1, **how)).units
        return unit

    return one


@pytest.fixture
def store(root):
    return root / NAME


def h(data):
    return blake3(data).digest()


def rows(data, aside):
    aside.write_bytes(data)
    database = sqlite3.connect(f"file:{aside}?immutable=1", uri=True)
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return database.execute("SELECT count(*) FROM row").fetchone()[0]
    finally:
        database.close()


def kept(root):
    return {path.name: path.read_bytes() for path in (root / ".syncd" / "snapshots").iterdir()}


# --- looks ----------------------------------------------------------------------------------------------------------


def test_sidecars_beside_a_database_are_no_files_of_their_own(store, look):
    with Program(store, "wal") as program:
        program.write(1)
        unit = look()
        assert [seen.name for seen in unit.seen] == [NAME]
        assert unit.unseen == unit.unhashed == ()
        known = [*known_of(unit), *(KnownEntry(NAME + s, Kind.FILE, None, False, False) for s in ("-wal", "-shm"))]
        unit = look(known=known)
        assert [(u.name, u.reason, u.detail) for u in unit.unseen] == [
            (f"{NAME}-shm", Reason.SIDECAR, f"its content travels inside {NAME}"),
            (f"{NAME}-wal", Reason.SIDECAR, f"its content travels inside {NAME}"),
        ], "what was a node once is unknown, and never gone"
        assert unit.gone == ()


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize(
    "beside", [pytest.param(None, id="nothing"), b"a text", b"SQLite format 3", b"SQLite format 3\0" + bytes(4080)]
)
def test_a_name_like_a_sidecars_beside_anything_else_is_a_file(root, store, look, fs, suffix, beside):
    (root / f"{NAME}{suffix}").write_bytes(b"mine")
    if beside is not None:
        store.write_bytes(beside)
    unit = look()
    assert {seen.name: seen.hash for seen in unit.seen} == {
        f"{NAME}{suffix}": h(b"mine"),
        **({NAME: h(beside)} if beside is not None else {}),
    }
    opened = fs.opened
    assert look(known=known_of(unit)).seen == ()
    assert fs.opened == opened, "P3: an idle look opens nothing"


def test_a_sidecar_whose_database_is_gone_is_a_file(store, look):
    with Program(store, "wal") as program:
        program.write(1)
        unit = look()
        program.kill()
    log = store.with_name(f"{NAME}-wal")
    store.unlink()
    unit = look(known=known_of(unit), names=(NAME,))
    assert unit.gone == (NAME,)
    assert h(log.read_bytes()) in [seen.hash for seen in unit.seen], "what was committed in it is not lost (P1)"


def test_an_empty_database_with_its_first_transaction_under_way_keeps_its_journal_to_itself(store, look):
    with Program(store, "wal") as program:
        program.close()
    store.unlink()
    database = sqlite3.connect(store, isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    database.execute("CREATE TABLE t (x)")
    assert store.with_name(f"{NAME}-journal").exists()
    assert store.stat().st_size == 0
    assert f"{NAME}-journal" not in [seen.name for seen in look().seen]
    database.close()


def test_p5_the_content_of_a_database_in_use_is_what_was_committed(root, store, look, tmp_path):
    with Program(store, "wal") as program:
        program.write(3)
        program.begin()
        (seen,) = look().seen
        (data,) = kept(root).values()
        assert seen.hash == h(data)
        assert rows(data, tmp_path / "aside") == 6


def test_p3_one_state_is_one_content_open_or_closed(root, store, look):
    with Program(store, "wal") as program:
        program.write(3)
        (opened,) = look().seen
        program.close()
    (closed,) = look().seen
    assert opened.hash == closed.hash == h(store.read_bytes())
    assert opened.fingerprint != closed.fingerprint


def test_a_commit_that_touches_only_the_log_is_a_change(store, look):
    with Program(store, "wal") as program:
        program.write(1)
        unit = look()
        main = os.stat(store)
        program.write(1)
        now = os.stat(store)
        assert (main.st_mtime_ns, main.st_size) == (now.st_mtime_ns, now.st_size)
        (seen,) = look(known=known_of(unit)).seen
        assert seen.hash != unit.seen[0].hash
        (seen,) = look(known=known_of(unit), names=with_owners((f"{NAME}-wal",))).seen
        assert seen.name == NAME, "the watcher tells of the log only"


@pytest.mark.parametrize("mode", ["wal", "persist", "delete"])
def test_p3_an_idle_look_at_a_database_that_is_open_opens_nothing(root, store, look, fs, mode):
    with Program(store, mode) as program:
        program.write(2)
        unit = look()
        before, opened = kept(root) if mode != "delete" else {}, fs.opened
        again = look(known=known_of(unit))
        assert (again.seen, again.unhashed, again.unseen, again.gone) == ((), (), (), ())
        assert fs.opened == opened
        assert (kept(root) if mode != "delete" else {}) == before


def test_p3_an_open_database_with_an_empty_log_is_opened_once_for_its_header(store, look, fs):
    with Program(store, "wal") as program:
        program.run("PRAGMA wal_checkpoint(TRUNCATE)")
        assert store.with_name(f"{NAME}-wal").stat().st_size == 0
        unit = look()
        (seen,) = unit.seen
        assert seen.fingerprint.size == store.stat().st_size
        look(known=known_of(unit))
        opened = fs.opened
        assert look(known=known_of(unit)).seen == ()
        assert fs.opened == opened


def test_a_database_that_is_locked_is_busy_and_says_so(store, look):
    with Program(store, "delete") as program:
        program.write(1)
        program.begin()
        unit = look()
        assert unit.seen == ()
        (unhashed,) = unit.unhashed
        assert (unhashed.name, unhashed.busy) == (NAME, True)
        assert "its program is writing it" in unhashed.detail


def test_p5_a_transaction_without_a_journal_is_not_taken_for_content(store, look):
    with Program(store, "memory") as program:
        program.write(1)
        whole = h(store.read_bytes())
        program.begin()
        unit = look()
        assert unit.seen == ()
        assert unit.unhashed[0].busy
        program.run("ROLLBACK")
        assert whole


def test_an_unfinished_transaction_holds_the_database_with_its_reason(store, look):
    with Program(store, "delete") as program:
        program.write(1)
        program.begin()
        program.kill()
    unit = look()
    assert unit.seen == unit.unhashed == ()
    (unseen,) = unit.unseen
    assert (unseen.name, unseen.reason) == (NAME, Reason.HELD)
    assert "open it once with its program" in unseen.detail


def test_what_only_looks_like_a_database_is_a_file(store, look):
    content = b"SQLite format 3\0" + os.urandom(4080)
    store.write_bytes(content)
    assert [seen.hash for seen in look().seen] == [h(content)]


def test_a_deep_look_hashes_the_committed_state_and_finds_all_well(store, look):
    with Program(store, "wal") as program:
        program.write(2)
        unit = look()
        assert look(known=known_of(unit), deep=True).seen == ()
        known = [replace(entry, hash=h(b"something else")) for entry in known_of(unit)]
        assert [seen.corrupt for seen in look(known=known, deep=True).seen] == [True]


# --- the fingerprint of all together ----------------------------------------------------------------------------------

MAIN = Stat(Kind.FILE, Fingerprint(1, 10, 5_000_000_000, 6_000_000_000, 4096), 0o644, 1)
LOG = Stat(Kind.FILE, Fingerprint(1, 11, 7_000_000_000, 8_000_000_000, 100), 0o644, 1)


def test_at_rest_the_fingerprint_is_the_main_files():
    assert together(MAIN, ()) is MAIN


def test_together_it_keeps_the_identity_and_has_the_newest_times():
    found = together(MAIN, (LOG,)).fingerprint
    assert (found.dev, found.ino, found.mtime_ns, found.size) == (1, 10, 7_000_000_000, 4196)
    assert 7_000_000_000 <= found.ctime_ns < 7_001_000_000


@pytest.mark.parametrize(
    ("which", "field"),
    [
        *(("main", f) for f in ("mtime_ns", "ctime_ns", "size", "ino")),
        *(("log", f) for f in ("mtime_ns", "size", "ino")),
    ],
)
def test_any_change_of_any_file_changes_it_even_with_the_clock_set_back(field, which):
    before = together(MAIN, (LOG,)).fingerprint

    def earlier(stat):
        value = getattr(stat.fingerprint, field)
        return changed(stat, fingerprint=changed(stat.fingerprint, **{field: value - 3}))

    after = together(earlier(MAIN), (LOG,)) if which == "main" else together(MAIN, (earlier(LOG),))
    assert after.fingerprint != before


def test_p3_a_sidecar_whose_owner_was_set_by_reading_it_is_unchanged():
    later = changed(LOG, fingerprint=changed(LOG.fingerprint, ctime_ns=9_000_000_000))
    assert together(MAIN, (LOG,)) == together(MAIN, (later,))


@pytest.mark.parametrize(
    ("name", "owner"),
    [("a-wal", "a"), ("a.db-journal", "a.db"), ("a-shm", "a"), ("-wal", None), ("a-wal2", None), ("a", None)],
)
def test_whose_sidecar_a_name_would_be(name, owner):
    assert owner_of(name) == owner
    assert with_owners((name,)) == ((name, owner) if owner else (name,))


@pytest.mark.parametrize(
    ("at", "value"), [(0, b"s"), (16, b"\0\3"), (16, b"\1\0"), (18, b"\3"), (19, b"\0"), (21, b"\0"), (22, b"\0")]
)
def test_a_header_is_one_only_when_sqlite_would_take_it(at, value, store):
    with Program(store, "delete") as program:
        program.close()
    header = bytearray(store.read_bytes()[:100])
    assert is_header(bytes(header))
    header[at : at + len(value)] = value
    assert not is_header(bytes(header))


# --- snapshots --------------------------------------------------------------------------------------------------------


def test_only_the_newest_copies_are_kept_and_the_old_are_swept(root, store, look, fs, snapshots):
    with Program(store, "wal") as program:
        for _ in range(KEPT + 2):
            program.write(1)
            (seen,) = look().seen
        assert len(kept(root)) == KEPT
        found = snapshots.find(seen.hash, store.stat().st_ino)
        assert found is not None
        assert h(kept(root)[found.name]) == seen.hash
        assert snapshots.find(seen.hash, store.stat().st_ino + 1) is None
        assert snapshots.find(h(b"other"), store.stat().st_ino) is None
    with fs.own("snapshots") as folder:
        assert sweep_snapshots(folder, 0.0) == 0
        assert sweep_snapshots(folder, 1e12) == KEPT
    assert kept(root) == {}


def test_a_copy_that_failed_leaves_nothing(root, store, look):
    with Program(store, "delete") as program:
        program.write(1)
        program.begin()
        look()
        assert kept(root) == {}


def test_without_room_the_database_waits_and_nothing_is_copied(root, store, fs, clock):
    full = Snapshots(fs, SqliteDatabases(), SystemChance(), floor=1 << 62)
    with Program(store, "wal") as program:
        program.write(1)
        (unit,) = Looker(fs, clock, full).look(LookJob((LookUnit(7, (), None, ()),), began=1)).units
    assert "free some space" in unit.unhashed[0].detail
    assert kept(root) == {}
