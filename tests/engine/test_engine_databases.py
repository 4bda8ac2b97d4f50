"""Databases and their sidecars on two devices."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.model.node import Present, Reason, Tree, Unknown
from syncd.model.observation import Hints
from tests.engine.world import Device, World
from tests.programs import Program

NAME = "store.db"


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world("a", "b")


def rows(path: Path) -> int:
    database = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return int(database.execute("SELECT count(*) FROM row").fetchone()[0])
    finally:
        database.close()


def local(device: Device, name: str) -> object:
    key = device.db.nodes.find(Tree.LOCAL, (name,))
    node = None if key is None else device.db.nodes.node(key)
    return None if node is None else node.local


def test_p3_a_database_that_stays_open_settles_and_is_left_alone(world: World) -> None:
    a, b = world.devices
    with Program(a.path(NAME), "wal") as program:
        program.write(3)
        world.settle_all()
        assert rows(b.path(NAME)) == 6
        assert sorted(b.tree()) == [NAME]
        world.check_p3(a)
        world.check_p3(b)
        commits = len(a.wire.commits)
        program.close()  # its checkpoint writes the main file: the same state, and the same content
        world.settle()
        assert len(a.wire.commits) == commits


def test_a_hint_of_the_log_is_a_hint_of_its_database(world: World) -> None:
    a, b = world.devices
    with Program(a.path(NAME), "wal") as program:
        program.write(1)
        world.settle_all()
        before = local(a, NAME)
        program.write(1)
        a.deadline = a.engine.step([Hints((((), f"{NAME}-wal"),))])
        while a.one():
            pass
        after = local(a, NAME)
        assert isinstance(before, Present)
        assert isinstance(after, Present)
        assert after.hash != before.hash
        world.settle_all()
        assert rows(b.path(NAME)) == 4


def test_only_the_changed_parts_of_a_live_database_travel(world: World) -> None:
    a, b = world.devices
    with Program(a.path(NAME), "wal", blob=100_000, wait=0.0) as program:
        program.write(40)
        world.settle_all()
        sent, fetched = a.wire.sent, b.wire.fetched
        assert sent > 8_000_000
        program.write(1)
        world.settle_all()
        assert 200_000 < a.wire.sent - sent < 2_000_000
        assert b.wire.fetched - fetched < 2_000_000
        assert rows(b.path(NAME)) == 82


def test_p1_edits_on_both_sides_of_an_open_database_become_two_whole_ones(world: World) -> None:
    a, b = world.devices
    with Program(a.path(NAME), "wal") as program:
        program.write(3)
        world.settle_all()
        with Program(b.path(NAME), "delete") as other:
            other.write(2)
            other.close()
        program.write(5)
        b.wait()
        program.close()
    world.settle_all()
    (copy,) = [name for name in a.tree() if "conflicted copy" in name]
    for device in (a, b):
        assert rows(device.path(NAME)) == 10
        assert rows(device.path(copy)) == 16
        assert sorted(device.tree()) == sorted([NAME, copy])


def test_a_file_that_becomes_a_sidecar_is_unknown_and_deleted_nowhere(world: World) -> None:
    a, b = world.devices
    a.write(f"{NAME}-wal", "a text")
    world.settle()
    made = a.base / "made.db"
    with Program(made, "delete") as program:
        program.write(1)
        program.close()
    made.rename(a.path(NAME))
    a.wait()
    state = local(a, f"{NAME}-wal")
    assert isinstance(state, Unknown)
    assert (state.reason, state.detail) == (Reason.SIDECAR, f"its content travels inside {NAME}")
    b.wait(expect=3)
    assert b.read(f"{NAME}-wal") == "a text"
    assert not b.path(NAME).exists(), "SQLite would take the text for a part of it: refused, and shown"
    assert "SQLite would take" in b.doings()
    a.remove(NAME)
    world.settle()
    assert sorted(a.tree()) == sorted(b.tree()) == [f"{NAME}-wal"]
