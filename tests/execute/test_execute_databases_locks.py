"""What is changed while SQLite will not say whether it may be: locks refused, and files SQLite does not know."""

import sqlite3
from collections.abc import Callable

import pytest
from execute_world import World

from syncd.execute.databases import alone, require_closed, require_name
from syncd.execute.runner import Runner
from syncd.execute.tools import Tools
from syncd.model.errors import InUse, Refused, Transient
from syncd.model.node import Kind
from syncd.observe.snapshots import Snapshots
from syncd.ports import Alone, Dir, Stat


def database() -> bytes:
    made = sqlite3.connect(":memory:")
    try:
        made.execute("CREATE TABLE row (a)")
        return made.serialize()
    finally:
        made.close()


STORE = database()


class Locks:
    """SQLite as far as these tests need it: it gives a lock, has none to give, or cannot give it now."""

    def __init__(self, answer: Callable[[], Alone | None]) -> None:
        self.answer = answer

    def writing(self, directory: Dir, name: str) -> bool:
        return False

    def copy(self, directory: Dir, name: str, ino: int, to: Dir, copy: str) -> None:
        raise Transient("not in this test")

    def alone(self, directory: Dir, name: str, ino: int) -> Alone | None:
        return self.answer()


def tools(world: World, answer: Callable[[], Alone | None]) -> Tools:
    snapshots = Snapshots(world.real, Locks(answer), world.chance)
    return Runner(
        world.real, world.remote, world.clock, world.chance, lambda: "laptop", None, world.limits,
        world.progress.append, lambda: False, world.ignored, snapshots,
    )._tools  # fmt: skip


def busy() -> Alone | None:
    raise Transient("a program has it")


def unknown() -> Alone | None:
    return None


def stat_of(directory: Dir, name: str) -> Stat:
    found = directory.stat(name)
    assert found is not None
    return found


def test_p6_a_lock_that_cannot_be_had_now_waits_for_the_program(world: World) -> None:
    world.write("store.db", STORE)
    with (
        world.real.open_dir(()) as directory,
        pytest.raises(InUse, match="a program has it"),
        alone(tools(world, busy), directory, "store.db", Kind.FILE),
    ):
        raise AssertionError("nothing may be done without the lock")


def test_p6_what_sqlite_does_not_know_and_is_in_two_files_is_in_use(world: World) -> None:
    world.write("store.db", STORE)
    world.write("store.db-journal", b"hot")
    with (
        world.real.open_dir(()) as directory,
        pytest.raises(InUse, match=r"store\.db-journal"),
        alone(tools(world, unknown), directory, "store.db", Kind.FILE),
    ):
        raise AssertionError("nothing may be done to half a database")


def test_what_sqlite_does_not_know_and_is_in_one_file_may_be_changed(world: World) -> None:
    world.write("store.db", STORE)
    done = []
    with (
        world.real.open_dir(()) as directory,
        alone(tools(world, unknown), directory, "store.db", Kind.FILE),
    ):
        done.append("changed")
    assert done == ["changed"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("text.txt", Kind.FILE), ("missing", Kind.FILE), ("folder", Kind.DIRECTORY)],
    ids=["a text", "a file that went", "a folder"],
)
def test_what_is_no_database_needs_no_lock(world: World, name: str, kind: Kind) -> None:
    world.write("text.txt", b"text")
    (world.root / "folder").mkdir()
    done = []
    with world.real.open_dir(()) as directory, alone(tools(world, busy), directory, name, kind):
        done.append("changed")
    assert done == ["changed"]


def test_without_snapshots_databases_are_files_like_any_other(world: World) -> None:
    world.write("store.db", STORE)
    plain = world.runner(plain=True)._tools
    with world.real.open_dir(()) as directory:
        assert not require_closed(plain, directory, "store.db", stat_of(directory, "store.db"))
        require_name(plain, directory, "store.db-wal", database=False)
        with alone(plain, directory, "store.db", Kind.FILE):
            pass


@pytest.mark.parametrize(
    ("beside", "name", "database", "refused"),
    [
        pytest.param("store.db", "store.db-wal", False, "a part of the database store.db", id="a sidecar's name"),
        pytest.param(
            "store.db-wal", "store.db", True, r"store\.db-wal, which lies there", id="beside a strange sidecar"
        ),
        pytest.param("store.db-wal", "store.db", False, None, id="a text beside a strange sidecar"),
        pytest.param("other.db", "store.db", True, None, id="a name of its own"),
    ],
)
def test_a_name_must_not_change_what_sqlite_makes_of_a_content(
    world: World, beside: str, name: str, database: bool, refused: str | None
) -> None:
    world.write(beside, STORE)
    with world.real.open_dir(()) as directory:
        if refused is None:
            require_name(tools(world, unknown), directory, name, database=database)
            return
        with pytest.raises(Refused, match=refused):
            require_name(tools(world, unknown), directory, name, database=database)


def test_p6_a_program_that_has_it_open_is_asked_to_close_it(world: World) -> None:
    world.write("store.db", STORE)
    with (
        open(world.root / "store.db", "ab"),
        world.real.open_dir(()) as directory,
    ):
        if directory.writers("store.db") is None:
            pytest.skip("nobody can tell here")
        with pytest.raises(InUse, match="close it there"):
            require_closed(tools(world, unknown), directory, "store.db", stat_of(directory, "store.db"))
