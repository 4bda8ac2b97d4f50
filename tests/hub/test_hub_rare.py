"""What a hub seldom meets: odd cursors and pages, a database that fails, migrations that somebody else made first."""

from pathlib import Path
from typing import Any

import apsw
import pytest

from syncd.hub import sqlite_store
from syncd.hub.session import MAX_ASKED
from syncd.hub.sqlite_store import READERS, SqliteStore, translated
from syncd.model.errors import Corrupt, NoSpace, Refused, SyncdError, Transient


def at_position(cursor: str, position: str) -> str:
    """Return *cursor* moved to another position."""
    form, hub, space, _, tag = cursor.split(".")
    return ".".join((form, hub, space, position, tag))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda cursor: at_position(cursor, "9" * 19), id="beyond any position"),
        pytest.param(lambda cursor: at_position(cursor, "9" * 20), id="longer than any position"),
        pytest.param(lambda cursor: "", id="empty"),
        pytest.param(lambda cursor: cursor[::-1], id="backwards"),
        pytest.param(lambda cursor: "x" + cursor, id="with something before it"),
    ],
)
def test_an_odd_cursor_is_refused_in_one_line(one, spoil: Any) -> None:
    one.file("a")
    with pytest.raises(SyncdError) as refused:
        one.session.changes(spoil(one.cursor()), 10)
    assert "\n" not in str(refused.value)


def test_an_odd_page_of_a_listing_is_refused(one) -> None:
    for number in range(4):
        one.file(f"{number}")
    page = one.session.listing(None, 2).next
    assert page is not None
    with pytest.raises(Refused, match="page"):
        one.session.listing(page[:-1] + "?", 2)


def test_a_session_says_who_it_is_and_what_it_can_do(one) -> None:
    assert one.session.device_id == one.device_id
    assert one.session.capabilities.history


def test_a_question_is_bounded(one) -> None:
    with pytest.raises(Refused, match="at most"):
        one.session.look([bytes(16)] * (MAX_ASKED + 1))


# --- the database ---

FAILURES = [
    (apsw.BusyError, Transient),
    (apsw.LockedError, Transient),
    (apsw.FullError, NoSpace),
    (apsw.CorruptError, Corrupt),
    (apsw.NotADBError, Corrupt),
    (apsw.CantOpenError, Refused),
    (apsw.ReadOnlyError, Refused),
    (apsw.PermissionsError, Refused),
    (apsw.IOError, Transient),
]


@pytest.mark.parametrize(("sqlite", "ours"), FAILURES, ids=[sqlite.__name__ for sqlite, _ in FAILURES])
def test_what_sqlite_says_is_said_in_our_words(sqlite: type[Exception], ours: type[SyncdError]) -> None:
    with pytest.raises(ours), translated():
        raise sqlite("it failed")


def test_p4_a_transaction_that_sqlite_undid_by_itself_is_not_undone_again(world, one) -> None:
    store = SqliteStore(world.folder / "other.sqlite")

    def fill_the_disk() -> None:
        store._writer.execute("ROLLBACK")  # as SQLite does by itself
        raise apsw.FullError("full")

    with pytest.raises(NoSpace), store.write():
        fill_the_disk()
    with store.write():
        pass
    store.close()
    with pytest.raises(Transient, match="shutting down"), store.read():
        pass


def test_a_view_that_outlives_the_store_is_closed_with_it(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "hub.sqlite")
    with store.read():
        store.close()
    assert store._idle == []


def test_only_so_many_idle_readers_are_kept(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "hub.sqlite")
    views = [store.read() for _ in range(READERS + 1)]
    for view in views:
        view.__enter__()
    for view in views:
        view.__exit__(None, None, None)
    assert len(store._idle) == READERS
    store.close()


def test_one_tends_a_hub_at_a_time(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "hub.sqlite")
    with store.maintenance(), pytest.raises(Transient, match="another gc"), store.maintenance():
        raise AssertionError("two at once")
    with store.maintenance():
        store.close()


class Overtaken:
    """A connection before whose first transaction something happens, and whose migrations may fail."""

    def __init__(self, real: apsw.Connection, before: Any, fails: bool = False) -> None:
        self._real, self._before, self._fails = real, before, fails

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def execute(self, sql: str) -> Any:
        if sql == "BEGIN IMMEDIATE":
            self._before()
        if self._fails and sql.lstrip().upper().startswith(("CREATE", "--")):
            self._real.execute("ROLLBACK")
            raise apsw.FullError("full")
        return self._real.execute(sql)


def test_p4_a_migration_another_process_made_first_is_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "hub.sqlite"
    connection = apsw.Connection(str(path))
    sqlite_store._migrate(Overtaken(connection, lambda: SqliteStore(path).close()), path)  # type: ignore[arg-type]
    assert connection.pragma("user_version") > 0
    connection.close()


@pytest.mark.parametrize("sqlite_undid_it", [True, False])
def test_p4_a_migration_that_fails_leaves_the_schema_as_it_was(tmp_path: Path, sqlite_undid_it: bool) -> None:
    path = tmp_path / "hub.sqlite"
    connection = apsw.Connection(str(path))

    def table_in_the_way() -> None:
        if not sqlite_undid_it:
            connection.execute("CREATE TABLE IF NOT EXISTS space (a)")

    with pytest.raises(apsw.Error):
        sqlite_store._migrate(Overtaken(connection, table_in_the_way, sqlite_undid_it), path)  # type: ignore[arg-type]
    assert connection.pragma("user_version") == 0
    assert not connection.in_transaction
    connection.close()


def test_a_newer_schema_is_refused_and_the_file_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "hub.sqlite"
    SqliteStore(path).close()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 9999)
    connection.close()
    with pytest.raises(Refused, match="newer syncd"):
        SqliteStore(path)
