"""Opening, mending, transactions: what happens to the file when things go wrong."""

import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import apsw
import pytest

from syncd.db.connection import Database
from syncd.db.schema import PRAGMAS, shipped_migrations
from syncd.db.views import open_view
from syncd.model.errors import Corrupt, NoSpace, Refused, Transient
from syncd.model.node import Kind, Place, Present
from syncd.model.path import ROOT
from syncd.ports import Clock

THERE = Present(Place(ROOT, "a"))


def test_a_new_database_is_empty_private_and_says_so(path: str, clock: Clock) -> None:
    db = Database.open(path, clock=clock)
    assert db.rebuilt
    assert db.set_aside is None
    assert db.meta.get("schema_version") == str(shipped_migrations()[-1][0])
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    db.close()
    again = Database.open(path, clock=clock)
    assert not again.rebuilt
    again.close()


def test_pragmas_are_in_force_and_have_reasons(db: Database) -> None:
    for name, value, reason in PRAGMAS:
        found = str(db._connection.pragma(name)).lower()
        assert found == {"on": "1", "off": "0", "normal": "1", "memory": "2"}.get(value.lower(), value.lower()), name
        assert len(reason) > 20


def test_p4_a_durable_transaction_is_synchronous_full_and_others_are_not(db: Database) -> None:
    def level() -> object:
        return db._connection.pragma("synchronous")

    with db.transaction(durable=True):
        assert level() == 2
    assert level() == 1
    with db.transaction():
        assert level() == 1
    with pytest.raises(LookupError), db.transaction(durable=True):
        raise LookupError
    assert level() == 1


def test_an_exception_rolls_back_and_the_next_transaction_works(db: Database) -> None:
    def fail() -> None:
        with db.transaction():
            db.nodes.insert(Kind.FILE, local=THERE)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert db.nodes.counts().local.nodes == 0
    with db.transaction():
        db.nodes.insert(Kind.FILE, local=THERE)
    assert db.nodes.counts().local.nodes == 1


def test_transactions_do_not_nest_and_the_outer_one_is_undone(db: Database) -> None:
    def nest() -> None:
        with db.transaction():
            db.meta.set("a", "1")
            with db.transaction():
                pass

    with pytest.raises(RuntimeError, match="nest"):
        nest()
    assert db.meta.get("a") is None


def test_busy_is_not_damage(path: str, clock: Clock) -> None:
    db = Database.open(path, clock=clock, busy_seconds=0.05)
    db.meta.set("kept", "yes")
    other = apsw.Connection(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Transient, match="locked"), db.transaction():
        pytest.fail("the body must not run without the lock")
    other.execute("ROLLBACK")
    with db.transaction():
        db.meta.set("more", "yes")
    db.close()
    other.close()
    assert [name for name in os.listdir(os.path.dirname(path)) if "damaged" in name] == []


def test_a_database_locked_by_another_process_is_neither_set_aside_nor_rebuilt(path: str, clock: Clock) -> None:
    db = Database.open(path, clock=clock)
    db.meta.set("kept", "yes")
    db.close()
    script = (
        "import apsw, sys; c = apsw.Connection(sys.argv[1]); c.execute('PRAGMA locking_mode=EXCLUSIVE');"
        "c.execute('BEGIN EXCLUSIVE'); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "locked\n"
        with pytest.raises(Transient):
            Database.open(path, clock=clock, busy_seconds=0.05)
        child.communicate("")
    again = Database.open(path, clock=clock)
    assert again.meta.get("kept") == "yes"
    assert again.set_aside is None
    again.close()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: b"not a database, but long enough to be one" * 50, id="other bytes"),
        pytest.param(lambda data: data[:16] + os.urandom(len(data) - 16), id="a header and noise"),
        pytest.param(lambda data: data[:100], id="cut short"),
    ],
)
def test_p9_a_damaged_file_is_set_aside_and_an_empty_one_begun(path: str, clock: Clock, damage) -> None:  # type: ignore[no-untyped-def]
    Database.open(path, clock=clock).close()
    broken = damage(Path(path).read_bytes())
    for _ in range(2):  # a second time within the same second needs another name
        Path(path).write_bytes(broken)
        db = Database.open(path, clock=clock)
        assert db.rebuilt
        assert db.set_aside is not None
        assert db.set_aside.startswith(path + ".damaged-20231114T221320Z")
        assert Path(db.set_aside).read_bytes() == broken
        assert db.nodes.node(ROOT) is not None
        db.close()


@pytest.mark.parametrize("inside", [True, False], ids=["in a transaction", "while reading"])
def test_p9_damage_met_while_running_is_found_at_the_next_start(path: str, clock: Clock, inside: bool) -> None:
    db = Database.open(path, clock=clock)
    with db.transaction():
        for number in range(3000):
            db.nodes.insert(Kind.FILE, local=Present(Place(ROOT, f"{number:0100}")))
    db.close()
    data = bytearray(Path(path).read_bytes())
    page = 4096
    for at in range(len(data) // page // 2 * page, len(data), page):  # what opening reads lies in the first half
        data[at : at + page] = b"\xff" * page
    Path(path).write_bytes(data)
    db = Database.open(path, clock=clock)
    assert not db.rebuilt, "a closed database is not read whole at every start"
    context = db.transaction() if inside else db.reading()
    with pytest.raises(Corrupt, match="damaged"), context:
        db._connection.execute("SELECT count(*) FROM node WHERE l_size > 5").fetchall()
    with open_view(path) as view, pytest.raises(Corrupt, match="damaged"), view.moment():
        view._connection.execute("SELECT count(*) FROM node WHERE l_size > 5").fetchall()
    db.close()
    mended = Database.open(path, clock=clock)
    assert mended.rebuilt
    assert mended.set_aside is not None
    mended.close()
    calm = Database.open(path, clock=clock)
    assert not calm.rebuilt
    calm.close()


def test_corrupt_content_of_others_casts_no_doubt_on_the_database(db: Database, path: str) -> None:
    with pytest.raises(Corrupt, match="manifest"), db.transaction():
        raise Corrupt("a manifest makes no sense")
    assert not os.path.exists(path + ".suspect")


def test_a_newer_schema_is_refused_and_untouched(path: str, clock: Clock) -> None:
    Database.open(path, clock=clock).close()
    raw = apsw.Connection(path)
    raw.execute("PRAGMA user_version = 999")
    raw.close()
    before = Path(path).read_bytes()
    with pytest.raises(Refused, match="newer syncd"):
        Database.open(path, clock=clock)
    assert Path(path).read_bytes() == before
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def test_another_programs_database_is_refused(path: str, clock: Clock) -> None:
    raw = apsw.Connection(path)
    raw.execute("CREATE TABLE theirs (a)")
    raw.close()
    with pytest.raises(Refused, match="another program"):
        Database.open(path, clock=clock)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(Refused, match="cannot be opened"):
        Database.open(str(tmp_path / "no" / "root.db"), clock=clock)


NEXT = [*shipped_migrations(), (1000, "CREATE TABLE later (a INTEGER) STRICT; INSERT INTO later VALUES (1);")]
BROKEN = [*shipped_migrations(), (1000, "CREATE TABLE later (a INTEGER) STRICT; INSERT INTO nowhere VALUES (1);")]


def test_a_migration_keeps_a_copy_first(path: str, clock: Clock) -> None:
    first = Database.open(path, clock=clock)
    first.meta.set("of", "before")
    first.close()
    db = Database.open(path, clock=clock, migrations=NEXT)
    assert not db.rebuilt
    assert db.meta.all() == {"of": "before", "schema_version": "1000"}
    db.close()
    copy = apsw.Connection(f"{path}.schema-{shipped_migrations()[-1][0]}", flags=apsw.SQLITE_OPEN_READONLY)
    assert copy.execute("SELECT value FROM meta WHERE key = 'of'").get == "before"
    assert copy.pragma("user_version") == shipped_migrations()[-1][0]
    copy.close()


def test_a_migration_that_fails_changes_nothing(path: str, clock: Clock) -> None:
    Database.open(path, clock=clock).close()
    with pytest.raises(apsw.SQLError):
        Database.open(path, clock=clock, migrations=BROKEN)
    db = Database.open(path, clock=clock)
    assert db._connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'later'").get == 0
    db.close()


def test_p4_a_crash_inside_a_transaction_leaves_what_was_committed(path: str, clock: Clock) -> None:
    script = """
        import os, sys
        from syncd.db.connection import Database
        from syncd.model.node import Kind, Place, Present

        class Clock:
            def now(self): return 0.0
            def monotonic(self): return 0.0

        db = Database.open(sys.argv[1], clock=Clock())
        with db.transaction():
            db.nodes.insert(Kind.FILE, local=Present(Place(1, "committed")))
        with db.transaction():
            for number in range(20000):
                db.nodes.insert(Kind.FILE, local=Present(Place(1, f"lost {number}")))
            os._exit(9)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script), path], check=False)
    assert ended.returncode == 9
    db = Database.open(path, clock=clock)
    assert not db.rebuilt
    assert db.nodes.counts().local.nodes == 1
    assert [entry.name for entry in db.nodes.known(ROOT)] == ["committed"]
    db.close()


def test_a_full_disk_is_said_and_loses_nothing(db: Database) -> None:
    pages = db._connection.pragma("page_count")
    db._connection.execute(f"PRAGMA max_page_count = {pages}")

    def fill() -> None:
        with db.transaction():
            for number in range(5000):
                db.nodes.insert(Kind.FILE, local=Present(Place(ROOT, f"{number:0100}")))

    with pytest.raises(NoSpace):
        fill()
    assert db.nodes.counts().local.nodes == 0
    db._connection.execute("PRAGMA max_page_count = 1000000")
    with db.transaction():
        db.nodes.insert(Kind.FILE, local=THERE)
