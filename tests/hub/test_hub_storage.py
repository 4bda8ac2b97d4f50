"""The database file and the backup: schema, busy, damage, copies that can be served."""

import shutil
import sqlite3
import time

import apsw
import pytest

from syncd.hub import sqlite_store
from syncd.hub.core import Hub
from syncd.hub.sqlite_writes import SqliteWrites
from syncd.model.errors import Corrupt, HistoryChanged, Refused, Transient, Usage


def test_a_newer_schema_is_refused_and_left_alone(world):
    world.hub.close()
    database = world.folder / "hub.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    before = database.read_bytes()
    with pytest.raises(Refused, match="999"):
        Hub.open(world.folder, world.clock, world.chance)
    assert database.read_bytes() == before


def test_a_copy_is_kept_before_migrating(world, one, monkeypatch):
    node = one.file("a", b"1")
    world.hub.close()
    more = [*sqlite_store._migrations(), (3, "CREATE TABLE third (id INTEGER PRIMARY KEY) STRICT;")]
    monkeypatch.setattr(sqlite_store, "_migrations", lambda: more)
    world.hub = Hub.open(world.folder, world.clock, world.chance)
    assert world.again(one).tree() == {node.node_id: node}
    copy = apsw.Connection(str(world.folder / "hub.sqlite.before-3"))
    assert copy.pragma("user_version") == 2
    assert list(copy.execute("SELECT name FROM node")) == [("a",)]
    copy.close()


def test_p4_a_migration_that_fails_changes_nothing(world, one, monkeypatch):
    world.hub.close()
    real = sqlite_store._migrations()
    bad = [*real, (3, "CREATE TABLE third (id INTEGER PRIMARY KEY) STRICT; SELECT nonsense;")]
    monkeypatch.setattr(sqlite_store, "_migrations", lambda: bad)
    with pytest.raises(apsw.SQLError):
        Hub.open(world.folder, world.clock, world.chance)
    monkeypatch.setattr(sqlite_store, "_migrations", lambda: real)
    world.hub = Hub.open(world.folder, world.clock, world.chance)
    assert world.again(one).tree() == {}


def test_a_busy_database_is_waited_for_and_is_not_damage(world, one, monkeypatch):
    monkeypatch.setattr(sqlite_store, "BUSY_MS", 50)
    world.reopened()
    one = world.again(one)
    other = apsw.Connection(str(world.folder / "hub.sqlite"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Transient, match="busy"):
        one.file("a")
    assert one.tree() == {}  # readers go on
    other.execute("ROLLBACK")
    other.close()
    one.file("a")


def test_a_damaged_database_is_named_and_left_alone(world):
    world.hub.close()
    database = world.folder / "hub.sqlite"
    database.write_bytes(b"not a database" * 1000)
    with pytest.raises(Corrupt, match="backup"):
        Hub.open(world.folder, world.clock, world.chance)
    assert database.read_bytes() == b"not a database" * 1000


def test_only_one_upkeep_runs_at_a_time(world, tmp_path):
    second = Hub.open(world.folder, world.clock, world.chance)
    with second.store.maintenance():
        for work in (world.hub.gc, world.hub.verify, lambda: world.hub.backup(tmp_path / "b")):
            with pytest.raises(Transient, match="running"):
                work()
    second.close()
    world.hub.gc()


def test_a_closed_hub_answers_transiently(world, one):
    world.hub.close()
    with pytest.raises(Transient):
        one.session.identify()
    world.hub = Hub.open(world.folder, world.clock, world.chance)


# --- backup -----------------------------------------------------------------------------------------------------


def test_a_backup_can_be_served_as_it_is(world, one, tmp_path):
    nodes = [one.file("small", b"1"), one.file("large", bytes(range(256)) * 40, pieces=7)]
    (world.folder / "tls").mkdir()
    (world.folder / "tls" / "key.pem").write_text("private")
    (world.folder / "tls" / "key.pem").chmod(0o600)
    report = world.hub.backup(tmp_path / "b")
    assert report.lost == ()
    later = one.file("later")
    cursor = one.cursor()
    restored = Hub.open(tmp_path / "b", world.clock, world.chance)
    copy = type(one)(restored.authenticate(one.token), one.chance, one.token, one.device_id)
    assert copy.tree() == {node.node_id: node for node in nodes}
    assert [copy.content(node) for node in nodes] == [b"1", bytes(range(256)) * 40]
    assert restored.verify().faults == ()
    with pytest.raises(HistoryChanged):
        copy.session.changes(cursor, 1)
    assert copy.file("other").version.position == later.version.position
    restored.close()
    assert (tmp_path / "b" / "tls" / "key.pem").read_text() == "private"
    assert (tmp_path / "b" / "tls" / "key.pem").stat().st_mode & 0o777 == 0o600


def test_a_backup_is_brought_up_to_date(world, one, tmp_path):
    gone = one.file("gone", b"gone" * 100)
    world.hub.backup(tmp_path / "b")
    served = Hub.open(tmp_path / "b", world.clock, world.chance)  # which leaves a write-ahead log
    served.create_space("only in the copy")
    served.close()
    one.delete(gone)
    kept = one.file("kept", b"kept" * 100)
    world.clock.at += 100 * 86_400
    world.hub.gc()
    world.hub.backup(tmp_path / "b")
    copied = sorted(path.name for path in (tmp_path / "b" / "chunks").rglob("*") if path.is_file())
    assert copied == [path.name for path in world.containers()]
    restored = Hub.open(tmp_path / "b", world.clock, world.chance)
    copy = type(one)(restored.authenticate(one.token), one.chance, one.token, one.device_id)
    assert copy.content(kept) == b"kept" * 100
    assert [space.name for space in restored.spaces()] == ["home"]
    assert restored.verify().faults == ()
    restored.close()


def test_an_unchanged_chunk_is_copied_once(world, one, tmp_path):
    one.file("a", b"1")
    first, second = world.hub.backup(tmp_path / "b"), world.hub.backup(tmp_path / "b")
    assert first.files == second.files + 1


def test_a_backup_tells_how_far_it_is(world, one, tmp_path):
    for number in range(3):
        one.file(f"f{number}", bytes(1000) + bytes([number]))
    told: list[int] = []
    report = world.hub.backup(tmp_path / "b", told.append)
    assert len(told) == len(world.containers())
    assert told == sorted(told)
    assert 0 < told[-1] < report.bytes_copied


def test_a_backup_of_a_damaged_hub_says_what_is_lost_and_keeps_the_rest(world, one, tmp_path):
    one.file("lost", b"lost")
    (container,) = world.containers()
    kept = one.file("kept", b"kept")
    container.unlink()
    report = world.hub.backup(tmp_path / "b")
    assert report.lost == (container.name,)
    restored = Hub.open(tmp_path / "b", world.clock, world.chance)
    copy = type(one)(restored.authenticate(one.token), one.chance, one.token, one.device_id)
    assert copy.content(kept) == b"kept"
    restored.close()


def test_a_backup_goes_nowhere_else(world, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("mine")
    other = Hub.open(tmp_path / "other", world.clock, world.chance)
    other.close()
    for target in (world.folder, world.folder / "in", tmp_path, tmp_path / "full", tmp_path / "other"):
        with pytest.raises(Usage):
            world.hub.backup(target)
    assert (tmp_path / "full" / "letter").read_text() == "mine"


def test_a_damaged_backup_is_named_and_not_taken_for_a_damaged_hub(world, one, tmp_path):
    one.file("a", b"1")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "hub.sqlite").write_bytes(b"garbage" * 1000)
    with pytest.raises(Usage, match=f"{tmp_path / 'b'}.*damaged"):
        world.hub.backup(tmp_path / "b")
    assert (tmp_path / "b" / "hub.sqlite").read_bytes() == b"garbage" * 1000


def test_an_interrupted_backup_is_not_taken_for_one_and_goes_on(world, one, tmp_path):
    one.file("a", b"1")
    world.hub.backup(tmp_path / "b")
    shutil.move(tmp_path / "b" / "hub.sqlite", tmp_path / "b" / "hub.sqlite.new")  # as before the last step
    world.hub.backup(tmp_path / "b")
    restored = Hub.open(tmp_path / "b", world.clock, world.chance)
    assert restored.verify().faults == ()
    restored.close()


@pytest.mark.slow
def test_ten_thousand_small_commits_take_seconds(one):
    from syncd.model.node import Kind
    from syncd.model.path import ROOT_ID
    from syncd.model.remote import Create

    content = one.store(b"x")
    began = time.monotonic()
    for batch in range(50):
        one.session.commit(
            [
                Create(one.key(), one.key(), ROOT_ID, f"{batch}-{number}", Kind.FILE, content=content)
                for number in range(200)
            ]
        )
    assert time.monotonic() - began < 20  # two busy cores; about two seconds when idle
    assert len(one.tree()) == 10_000


class Explained:
    """Stands in for a connection: asks how SQLite would run each statement, and runs none."""

    def __init__(self, connection):
        self._connection = connection
        self.plans = {}

    def execute(self, statement, values=()):
        rows = self._connection.execute("EXPLAIN QUERY PLAN " + statement, values)
        self.plans[statement] = [row[3] for row in rows]
        return iter(())

    def changes(self):
        return 0


def test_no_statement_walks_a_whole_space(world):
    connection = apsw.Connection(str(world.folder / "hub.sqlite"))
    explained = Explained(connection)
    sql, key = SqliteWrites(explained), bytes(16)
    for ask in (
        lambda: sql.tag_at(1, 1),
        lambda: sql.changes_after(1, 1, 1),
        lambda: sql.alive_after(1, key, 1),
        lambda: sql.node(1, key),
        lambda: sql.occupant(1, key, "a"),
        lambda: sql.has_children(1, key),
        lambda: sql.history(1, key, 1),
        lambda: sql.request(1, key),
        lambda: sql.chunk_in(1, key),
        lambda: sql.manifest_lacks(1, key, 1),
        lambda: sql.contents_after(1, 1, 1),
        lambda: sql.unreferenced_after(1, 1, 1.0, 1),
        lambda: sql.unreferenced(1, 1, 1.0),
        lambda: sql.first_since(1, 1, 1.0),
        lambda: sql.drop_versions(1, 1, 1.0, 1),
        lambda: sql.drop_tombstones(1, 1, 1.0, 1),
        lambda: sql.drop_requests(1.0, 1),
        lambda: sql.drop_presence(1, 1),
        lambda: sql.container_in_use("a"),
    ):
        ask()
    connection.close()
    assert len(explained.plans) >= 19
    for statement, plan in explained.plans.items():
        for step in plan:
            assert not step.startswith("SCAN"), statement
            assert not (step.startswith("SEARCH") and step.endswith("(space=?)")), statement


def test_p10_the_hubs_folders_are_private(world):
    assert world.folder.stat().st_mode & 0o777 == 0o700
    assert (world.folder / "chunks").stat().st_mode & 0o777 == 0o700
