"""Databases over a power loss, a kill and a failing disk: what was promised to be durable is, and nothing is torn."""

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from syncd.db.connection import Database
from syncd.hub.sqlite_store import DATABASE, SqliteStore
from syncd.model.errors import SyncdError
from tests.sim.journal import Policy
from tests.sim.vfs import CALLS, FAULTS, SimVfs

SEEDS = range(12)


class Stop(BaseException):
    """The simulation ends the process here."""


class At:
    """A clock that stands still."""

    def now(self) -> float:
        return 1_800_000_000.0

    def monotonic(self) -> float:
        return 1_800_000_000.0


@pytest.fixture
def vfs() -> Iterator[SimVfs]:
    made = SimVfs()
    yield made
    made.unregister()


def opened(path: Path, vfs: SimVfs, synchronous: str, journal: str = "WAL", checkpoint: int = 1000) -> apsw.Connection:
    connection = apsw.Connection(str(path), vfs=vfs.name)
    for pragma in (f"journal_mode = {journal}", f"synchronous = {synchronous}", f"wal_autocheckpoint = {checkpoint}"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def begun(path: Path, vfs: SimVfs, synchronous: str, journal: str = "WAL", checkpoint: int = 1000) -> apsw.Connection:
    connection = opened(path, vfs, durable(journal), journal, checkpoint)
    connection.execute("CREATE TABLE IF NOT EXISTS t (number INTEGER PRIMARY KEY, filling BLOB)")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    return connection


def durable(journal: str) -> str:
    """Return the setting with which a commit is durable: a journal's deletion is synced only with EXTRA."""
    return "EXTRA" if journal == "DELETE" else "FULL"


def add(connection: apsw.Connection, number: int) -> None:
    connection.execute("INSERT INTO t VALUES (?, randomblob(2000))", (number,))


def rows(path: Path) -> list[int]:
    """Return what the database holds, opened as any program opens it; it must be sound."""
    connection = apsw.Connection(str(path))
    try:
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        return [number for (number,) in connection.execute("SELECT number FROM t ORDER BY number")]
    finally:
        connection.close()


# --- the power goes ---


@pytest.mark.parametrize("checkpoint", [1000, 4], ids=["no checkpoint", "checkpoints all the time"])
@pytest.mark.parametrize("journal", ["WAL", "DELETE", "TRUNCATE"])
@pytest.mark.parametrize("policy", Policy)
def test_p4_what_was_committed_with_full_survives(
    tmp_path: Path, vfs: SimVfs, policy: Policy, journal: str, checkpoint: int
) -> None:
    for seed in SEEDS:
        path = tmp_path / f"{seed}.db"
        connection = begun(path, vfs, durable(journal), journal, checkpoint)
        for number in range(10):
            add(connection, number)
        connection.execute("BEGIN")
        add(connection, 99)
        with vfs.power_loss(policy, random.Random(seed)):
            connection.close()
        assert rows(path) == list(range(10)), "all that was committed, and nothing that was not"


@pytest.mark.parametrize("checkpoint", [1000, 4], ids=["no checkpoint", "checkpoints all the time"])
@pytest.mark.parametrize("policy", Policy)
def test_p4_what_was_committed_with_normal_may_be_lost_and_is_never_torn(
    tmp_path: Path, vfs: SimVfs, policy: Policy, checkpoint: int
) -> None:
    counts = set()
    for seed in range(30):
        path = tmp_path / f"{seed}.db"
        connection = begun(path, vfs, "NORMAL", "WAL", checkpoint)
        for number in range(10):
            add(connection, number)
        with vfs.power_loss(policy, random.Random(seed)):
            connection.close()
        found = rows(path)
        assert found == list(range(len(found))), "the last ones are lost, none in between"
        counts.add(len(found))
    assert min(counts) < 10, "the simulated disk loses nothing"


def test_a_journal_deleted_without_a_sync_of_its_folder_comes_back(tmp_path: Path, vfs: SimVfs) -> None:
    """As SQLite says of FULL with a rollback journal: the last commit may be undone, and only that one."""
    connection = begun(tmp_path / "a.db", vfs, "FULL", "DELETE")
    for number in range(5):
        add(connection, number)
    with vfs.power_loss(Policy.ALL, random.Random(0)):
        connection.close()
    assert rows(tmp_path / "a.db") == [0, 1, 2, 3]


@pytest.mark.parametrize("policy", [Policy.SOME, Policy.TORN])
def test_the_simulated_disk_tears_what_nobody_syncs(tmp_path: Path, vfs: SimVfs, policy: Policy) -> None:
    """So that the tests above can fail: without syncs the same workload is ruined now and then."""
    ruined = 0
    for seed in range(40):
        path = tmp_path / f"{seed}.db"
        connection = begun(path, vfs, "OFF", "DELETE")
        for number in range(30):
            add(connection, number)
        with vfs.power_loss(policy, random.Random(seed)):
            connection.close()
        try:
            rows(path)
        except (AssertionError, apsw.Error):
            ruined += 1
    assert ruined


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
@pytest.mark.parametrize("policy", [None, *Policy], ids=lambda policy: policy or "killed")
def test_p4_a_crash_at_every_call(tmp_path: Path, vfs: SimVfs, policy: Policy | None, journal: str) -> None:
    at, stopped = 0, True
    while stopped:
        at += 1
        path = tmp_path / f"{at}.db"
        connection = begun(path, vfs, durable(journal), journal, 4)
        committed: list[int] = []
        left = [at]

        def stop(name: str, path: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Stop

        vfs.on_call = stop
        try:
            for number in range(6):
                add(connection, number)
                committed.append(number)
            stopped = False
        except Stop:
            pass
        vfs.on_call = None
        with vfs.killed() if policy is None else vfs.power_loss(policy, random.Random(at)):
            connection.close()
        found = rows(path)
        assert found in (committed, [*committed, len(committed)]), "the last commit is there or not, no other is lost"
    assert at > 15


def test_a_kill_loses_nothing_that_was_committed(tmp_path: Path, vfs: SimVfs) -> None:
    path = tmp_path / "a.db"
    connection = begun(path, vfs, "NORMAL")
    add(connection, 0)
    connection.execute("BEGIN")
    add(connection, 1)
    with vfs.killed():
        connection.close()
    connection = opened(path, vfs, "NORMAL")
    assert connection.execute("SELECT number FROM t").fetchall() == [(0,)]
    add(connection, 2)
    with vfs.power_loss(Policy.ALL, random.Random(0)):
        connection.close()
    assert rows(path) == [], "what a killed process never synced is lost with the power"


def test_a_closed_database_is_whole_and_may_be_replaced(tmp_path: Path, vfs: SimVfs) -> None:
    path = tmp_path / "a.db"
    connection = begun(path, vfs, "NORMAL")
    add(connection, 0)
    connection.close()
    kept = path.read_bytes()
    connection = opened(path, vfs, "FULL")
    add(connection, 1)
    connection.close()
    path.write_bytes(kept)  # somebody put an older copy back
    connection = opened(path, vfs, "FULL")
    add(connection, 2)
    with vfs.power_loss(Policy.ALL, random.Random(0)):
        connection.close()
    assert rows(path) == [0, 2]


# --- the disk fails ---


@pytest.mark.parametrize("full", [False, True], ids=["I/O error", "disk full"])
@pytest.mark.parametrize("persistent", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_p4_every_call_may_fail(tmp_path: Path, vfs: SimVfs, journal: str, persistent: bool, full: bool) -> None:
    at, failed = 0, True
    while failed:
        at += 1
        path = tmp_path / f"{at}.db"
        connection = begun(path, vfs, "FULL", journal, 4)
        vfs.fail(at, persistent=persistent, full=full)
        committed, doubtful = [], set()
        for number in range(6):
            try:
                add(connection, number)
                committed.append(number)
            except apsw.Error:
                doubtful.add(number)
        failed = vfs.calls >= at
        vfs.fail(0)
        with contextlib.suppress(apsw.Error):
            connection.close()
        found = rows(path)
        assert set(committed) <= set(found) <= set(committed) | doubtful
        assert len(doubtful) <= 1 or persistent
    assert at > 15


@pytest.mark.parametrize("call", CALLS)
def test_each_call_fails_with_its_own_error(tmp_path: Path, vfs: SimVfs, call: str) -> None:
    path = tmp_path / "a.db"

    def work() -> None:
        connection = opened(path, vfs, "FULL", "TRUNCATE")
        connection.execute("CREATE TABLE t (x)")
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        connection.execute("INSERT INTO t VALUES (1)")

    told: list[str] = []
    vfs.on_call = lambda name, path: told.append(name)
    vfs.fail(1, only=call)
    with pytest.raises((apsw.IOError, apsw.CantOpenError)) as failed:
        work()
    assert call in told
    assert failed.value.extendedresult in (apsw.SQLITE_CANTOPEN, FAULTS[call])


# --- syncd's own databases ---


def use_database(path: Path, vfs: SimVfs) -> Callable[[int], None]:
    database = Database.open(str(path), clock=At(), vfs=vfs.name)
    HELD.append(database.close)

    def put(number: int) -> None:
        with database.transaction(durable=True):
            database.meta.set(f"number-{number}", str(number))

    return put


def use_hub(path: Path, vfs: SimVfs) -> Callable[[int], None]:
    store = SqliteStore(path, vfs=vfs.name)
    HELD.append(store.close)

    def put(number: int) -> None:
        with store.write() as change:
            change.add_space(number.to_bytes(16, "big"), f"space-{number}", 0.0, f"{number:032x}")

    return put


HELD: list[Callable[[], None]] = []


def abandon() -> None:
    while HELD:
        with contextlib.suppress(apsw.Error, SyncdError):
            HELD.pop()()


def there(path: Path, use: object) -> list[int]:
    sql = (
        "SELECT CAST(value AS INTEGER) FROM meta WHERE key LIKE 'number-%' ORDER BY 1"
        if use is use_database
        else "SELECT CAST(substr(name, 7) AS INTEGER) FROM space ORDER BY 1"
    )
    connection = apsw.Connection(str(path))
    try:
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        return [number for (number,) in connection.execute(sql)]
    finally:
        connection.close()


@pytest.mark.parametrize("use", [use_database, use_hub], ids=["device", "hub"])
@pytest.mark.parametrize("policy", Policy)
def test_p4_durable_transactions_survive_the_power(tmp_path: Path, vfs: SimVfs, policy: Policy, use) -> None:
    for seed in range(3):
        path = tmp_path / f"{seed}" / DATABASE
        path.parent.mkdir()
        put = use(path, vfs)
        for number in range(5):
            put(number)
        with vfs.power_loss(policy, random.Random(seed)):
            abandon()
        assert there(path, use) == list(range(5))
        use(path, vfs)(5)  # and it opens and goes on
        abandon()
        assert there(path, use) == list(range(6))


@pytest.mark.parametrize("use", [use_database, use_hub], ids=["device", "hub"])
def test_p4_a_transaction_that_fails_at_any_call_leaves_old_or_new(tmp_path: Path, vfs: SimVfs, use) -> None:
    path = tmp_path / DATABASE
    put = use(path, vfs)
    committed: list[int] = []
    number, failures = 0, 0
    for at in range(1, 12):
        for persistent in (False, True):
            number += 1
            vfs.fail(at, persistent=persistent)
            try:
                put(number)
                committed.append(number)
            except SyncdError:
                failures += 1
            vfs.fail(0)
            found = there(path, use)
            assert set(committed) <= set(found) <= {*committed, number}
            committed = found
    assert failures > 4
    with vfs.power_loss(Policy.ALL, random.Random(0)):
        abandon()
    assert set(there(path, use)) >= set(committed[:-1])
