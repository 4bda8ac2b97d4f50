"""P4: a crash at any call to the file system, then recovery and a fresh plan, ends as if nothing had happened."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from execute_world import Crash, World, endings, noise

from syncd.model.job import Assignment
from syncd.model.node import Kind
from syncd.model.observation import Ending
from syncd.model.op import OpType

BIG = noise(700_000)
OLD_BIG = BIG[:300_000] + b"inserted" + BIG[300_000:600_000]
MANY: "Tree" = {"renamed": b"moved", "new": b"new", "replaced": b"fresh", "empty": b""}
COPY = "a (conflicted copy, laptop, 2027-01-15 080000).txt"
Tree = dict[str, bytes | None]
Scenario = tuple[Callable[[World], list[Assignment]], Tree]


def one(make: Callable[[World], Assignment]) -> Callable[[World], list[Assignment]]:
    return lambda world: [make(world)]


def with_file(make: Callable[[World], Assignment], data: bytes = b"old") -> Callable[[World], list[Assignment]]:
    def build(world: World) -> list[Assignment]:
        world.write("a.txt", data)
        return [make(world)]

    return build


def with_symlink(world: World) -> list[Assignment]:
    os.symlink("before", world.root / "link")
    return [world.download("link", b"after", kind=Kind.SYMLINK)]


def with_two(world: World) -> list[Assignment]:
    world.write("a.txt", b"a")
    world.write("sub/b.txt", b"b")
    return [world.swap("a.txt", "sub/b.txt")]


def with_folder(world: World) -> list[Assignment]:
    world.write("from/x", b"x")
    (world.root / "to").mkdir()
    return [world.move("from", "to/moved", Kind.DIRECTORY)]


def with_empty_folder(world: World) -> list[Assignment]:
    (world.root / "empty").mkdir()
    return [world.delete("empty", Kind.DIRECTORY)]


def with_litter(world: World) -> list[Assignment]:
    world.write("littered/.DS_Store", b"litter")
    return [world.delete("littered", Kind.DIRECTORY)]


def chmod(world: World) -> Assignment:
    op = world.op(OpType.LOCAL_CHMOD, executable=True, expected=world.fingerprint("a.txt"))
    return world.assign(op, "a.txt", "a.txt")


def many(world: World) -> list[Assignment]:
    for name in ("gone", "replaced", "moved"):
        world.write(name, name.encode())
    return [
        world.move("moved", "renamed"),
        world.download("new", b"new"),
        world.download("replaced", b"fresh"),
        world.delete("gone"),
        world.download("empty", b""),
    ]


SCENARIOS: list[tuple[str, Callable[[World], list[Assignment]], Tree, list[bytes]]] = [
    ("a new file", one(lambda w: w.download("a.txt", b"new")), {"a.txt": b"new"}, []),
    ("a new empty file", one(lambda w: w.download("a.txt", b"")), {"a.txt": b""}, []),
    ("a new large file", one(lambda w: w.download("a.txt", BIG)), {"a.txt": BIG}, []),
    ("a new symlink", one(lambda w: w.download("l", b"../x", kind=Kind.SYMLINK)), {"l": b"-> ../x"}, []),
    ("new content", with_file(lambda w: w.download("a.txt", b"new")), {"a.txt": b"new"}, [b"old"]),
    ("new large content", with_file(lambda w: w.download("a.txt", BIG), OLD_BIG), {"a.txt": BIG}, [OLD_BIG]),
    ("a symlink led elsewhere", with_symlink, {"link": b"-> after"}, []),
    ("a conflict", with_file(lambda w: w.conflict("a.txt", b"new", COPY)), {"a.txt": b"new", COPY: b"old"}, []),
    ("a new folder", one(lambda w: w.assign(w.op(OpType.LOCAL_MKDIR, Kind.DIRECTORY), "d")), {"d": None}, []),
    ("a move", with_file(lambda w: w.move("a.txt", "b.txt")), {"b.txt": b"old"}, []),
    ("a set-aside", with_file(lambda w: w.move("a.txt", COPY, type_=OpType.SET_ASIDE)), {COPY: b"old"}, []),
    ("a folder moved", with_folder, {"to": None, "to/moved": None, "to/moved/x": b"x"}, []),
    ("a swap", with_two, {"a.txt": b"b", "sub": None, "sub/b.txt": b"a"}, []),
    ("the executable bit", with_file(chmod), {"a.txt": b"old"}, []),
    ("a delete", with_file(lambda w: w.delete("a.txt")), {}, [b"old"]),
    ("an empty folder deleted", with_empty_folder, {}, []),
    ("a folder of litter deleted", with_litter, {}, [b"litter"]),
    (
        "many at once",
        many,
        {"renamed": b"moved", "new": b"new", "replaced": b"fresh", "empty": b""},
        [b"gone", b"replaced"],
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("build", "after", "kept"), [pytest.param(*s[1:], id=s[0]) for s in SCENARIOS])
@pytest.mark.parametrize("same_key", [pytest.param(True, id="same op"), pytest.param(False, id="planned again")])
def test_p1_p4_a_crash_at_any_call_changes_nothing(
    memory_path: Path, build: Callable[[World], list[Assignment]], after: Tree, kept: list[bytes], same_key: bool
) -> None:
    for crash_at in range(1, 2000):
        world = World(memory_path / f"{crash_at}", crash_at)
        assignments = build(world)
        try:
            results = world.apply(*assignments)
        except Crash:
            results = None
        if results is None:
            recovered = world.recover(*assignments)
            assert set(endings(recovered)) <= {Ending.DONE, Ending.NOT_DONE}, (crash_at, recovered)
            assert recovered == [r for r in recovered if not r.displaced or "conflicted" in r.displaced[0].name]
            # What was recovered stays so: looking twice changes nothing (P3).
            state = world.tree()
            assert endings(world.recover(*assignments)) == endings(recovered), crash_at
            assert world.tree() == state
            left = [a for a, r in zip(assignments, recovered, strict=True) if r.ending is Ending.NOT_DONE]
            again = left if same_key else [world.renewed(each) for each in left]
            results = world.apply(*again, plain=True)
            assert {Ending.DONE} >= set(endings(results)), (crash_at, results)
        else:
            assert endings(results) == [Ending.DONE] * len(assignments), results
        assert world.tree() == after, crash_at
        for content in kept:
            assert content in world.trash(), crash_at
        world.sweep()
        assert world.tree() == after, crash_at
        if results is not None and world.fs.calls < crash_at:
            return
    pytest.fail("it never ran without a crash")


@pytest.mark.slow
@pytest.mark.parametrize(("build", "kept"), [pytest.param(s[1], s[3], id=s[0]) for s in SCENARIOS])
def test_p1_a_sweep_after_a_crash_without_database_loses_nothing(
    memory_path: Path, build: Callable[[World], list[Assignment]], kept: list[bytes]
) -> None:
    for crash_at in range(1, 2000):
        world = World(memory_path / f"{crash_at}", crash_at)
        assignments = build(world)
        before = {content for content in world.tree().values() if content}
        try:
            world.apply(*assignments)
        except Crash:
            world.sweep()
            world.sweep()
            left = {content for content in world.tree().values() if content} | set(world.trash())
            swept = {content for content in before if not content.startswith(b"-> ")} - left
            # What was in sync and is displaced may be dropped: the remote keeps it as a version. Nothing else may.
            assert swept <= set(kept), crash_at
            continue
        return
    pytest.fail("it never ran without a crash")
