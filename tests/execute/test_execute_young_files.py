"""P6: the fingerprint of a file that was written a moment ago proves nothing: its next write may leave it as it is."""

import os
from dataclasses import replace

import pytest
from execute_world import NOW, World, digest, endings

from syncd.model.job import Assignment
from syncd.model.observation import Ending

YOUNG_NS = int((NOW - 0.5) * 1e9)


def unnoticed(world: World, assignment: Assignment) -> Assignment:
    """Write the file again within the tick of its time stamps: its fingerprint is as it was, its content is not."""
    os.utime(world.root / "a.txt", ns=(YOUNG_NS, YOUNG_NS))
    world.write("a.txt", b"two", YOUNG_NS)
    return replace(assignment, op=replace(assignment.op, expected=world.fingerprint("a.txt")))


@pytest.mark.parametrize("how", ["replaced", "deleted"])
def test_p6_a_write_within_the_tick_of_the_last_one_survives(world: World, how: str) -> None:
    world.write("a.txt", b"one", YOUNG_NS)
    assignment = world.download("a.txt", b"new") if how == "replaced" else world.delete("a.txt")
    assert assignment.op.expected_hash == digest(b"one")
    results = world.apply(unnoticed(world, assignment))
    assert endings(results) == [Ending.DONE if how == "replaced" else Ending.STALE]
    assert b"two" in world.tree().values()
