"""P1: what the sweep must leave alone: parts of ops at work, content only this device has, and late writes."""

import os

import pytest
from execute_world import PAST_NS, World, endings, noise
from msgspec.structs import replace

from syncd.model.observation import Ending


@pytest.mark.parametrize("runs", [True, False], ids=["at work", "forgotten"])
def test_p4_the_parts_of_an_op_at_work_stay_however_old_they_are(world: World, runs: bool) -> None:
    assignment = world.download("big", noise(3_000_000))
    world.remote.fail_fetch_after = 15
    assert endings(world.apply(assignment)) == [Ending.RETRY]
    world.sweep(after=2 * 86400.0, running=(assignment.key,) if runs else ())
    assert bool(world.trash()) == runs


def test_p1_a_late_write_that_leaves_size_and_time_is_not_dropped_with_the_rest(world: World) -> None:
    """The remote keeps what was displaced; what was written into it afterwards, nobody keeps."""
    world.write("a.txt", b"old")
    assignment = world.download("a.txt", b"new")
    assert endings(world.apply(assignment)) == [Ending.DONE]
    displaced = world.root / ".syncd" / "trash" / assignment.key.hex() / "data"
    displaced.write_bytes(b"OLD")
    os.utime(displaced, ns=(PAST_NS, PAST_NS))
    world.sweep()
    world.sweep(after=86400.0)
    assert b"OLD" in (*world.trash(), *world.tree().values())


@pytest.mark.parametrize("history", [True, False], ids=["the remote keeps versions", "the remote keeps none"])
@pytest.mark.parametrize("how", ["replaced", "deleted"])
def test_p1_what_the_remote_does_not_keep_stays_in_the_trash(world: World, how: str, history: bool) -> None:
    world.remote.capabilities = replace(world.remote.capabilities, history=history)
    world.write("a.txt", b"old")
    assignment = world.download("a.txt", b"new") if how == "replaced" else world.delete("a.txt")
    assert endings(world.apply(assignment)) == [Ending.DONE]
    world.sweep()
    assert world.trash() == ([] if history else [b"old"])


def test_p1_what_only_a_listing_did_not_show_stays_in_the_trash(world: World) -> None:
    """There is no tombstone: nobody knows whether the remote has a version of it, or ever had."""
    world.write("a.txt", b"old")
    assert endings(world.apply(world.delete("a.txt", base=None))) == [Ending.DONE]
    world.sweep()
    assert world.trash() == [b"old"]
