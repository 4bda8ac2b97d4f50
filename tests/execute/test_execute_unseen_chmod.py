"""A chmod that nobody has seen yet: compared by itself, for a fingerprint tells it by nothing but ctime (P6)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from syncd.model.job import Assignment
from syncd.model.observation import Ending
from tests.execute.execute_world import World, endings


def bit(world: World) -> bool:
    return bool((world.root / "a.txt").stat().st_mode & 0o100)


def expecting_no_bit(assignment: Assignment) -> Assignment:
    return replace(assignment, op=replace(assignment.op, expected_executable=False))


def over(world: World) -> Assignment:
    return expecting_no_bit(world.download("a.txt", b"new"))


def conflict(world: World) -> Assignment:
    return expecting_no_bit(world.conflict("a.txt", b"new", "a copy.txt"))


def delete(world: World) -> Assignment:
    return expecting_no_bit(world.delete("a.txt"))


def before(world: World, call: str, nth: int) -> None:
    """Have the file made executable before the *nth* call of that name."""
    seen = [0]

    def made(name: str) -> None:
        seen[0] += name == call
        if name == call and seen[0] == nth:
            (world.root / "a.txt").chmod(0o755)

    world.fs.before = made


OPS = [pytest.param(over, id="overwritten"), pytest.param(conflict, id="conflict"), pytest.param(delete, id="deleted")]


@pytest.mark.parametrize("op", OPS)
def test_p6_an_op_planned_before_a_chmod_changes_nothing(world: World, op: Callable[[World], Assignment]) -> None:
    world.write("a.txt", b"old")
    assignment = op(world)
    (world.root / "a.txt").chmod(0o755)
    assert endings(world.apply(assignment)) == [Ending.STALE]
    assert world.tree() == {"a.txt": b"old"}
    assert bit(world)


def test_p6_a_chmod_before_the_exchange_holds_for_what_came(world: World) -> None:
    world.write("a.txt", b"old")
    assignment = over(world)
    before(world, "exchange", 1)
    (result,) = world.apply(assignment)
    assert (result.ending, result.displaced) == (Ending.DONE, ())
    assert world.tree() == {"a.txt": b"new"}
    assert bit(world)
    assert result.local is not None
    assert result.local.executable, "L has what the remote has not heard of"


def test_p6_a_chmod_in_the_last_moment_beats_a_delete(world: World) -> None:
    world.write("a.txt", b"old")
    assignment = delete(world)
    before(world, "rename_new", 2)  # the first one puts the info in its place
    assert endings(world.apply(assignment)) == [Ending.STALE]
    assert world.tree() == {"a.txt": b"old"}
    assert bit(world)
