"""Small workloads of two devices, broken at every point in turn: a crash after each part of a job, at each call to the
disk or the hub, and the loss of each reply to a commit (P1, P2, P4)."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncd.model.conflict import is_conflicted_copy
from tests.engine.storm import Storm, StormDevice
from tests.engine.storm_people import walk

CASES = int(os.environ.get("SYNCD_CASES", "40"))
"""About how many calls of a workload are broken; 100000: each."""
MOST = 400
Deed = Callable[[StormDevice], None]
Make = Callable[[], Storm]


@pytest.fixture
def make_storm(tmp_path: Path) -> Iterator[Make]:
    storms: list[Storm] = []

    def make() -> Storm:
        while storms:
            storms.pop().close()
        number = len(list(tmp_path.iterdir()))
        storms.append(Storm(tmp_path / f"storm{number}", 7, "ann", "bob"))
        return storms[-1]

    yield make
    for storm in storms:
        storm.close()


def nothing(device: StormDevice) -> None:
    pass


def swap(device: StormDevice, one: str, other: str) -> None:
    device.path(one).rename(device.path("t"))
    device.path(other).rename(device.path(one))
    device.path("t").rename(device.path(other))


def move_and_edit(device: StormDevice) -> None:
    device.path("full/a").rename(device.path("moved"))
    device.write("moved", "edited after it was moved")


def replace_file(device: StormDevice) -> None:
    device.remove("file")
    device.write("file/in it", "a folder now")


def replace_folder(device: StormDevice) -> None:
    device.remove("full")
    device.write("full", "a file now")


def grow(device: StormDevice) -> None:
    device.path("full").rename(device.path("other/full"))
    device.write("other/full/new", "new")
    device.remove("other/c")


WORK: list[tuple[str, Deed, Deed]] = [
    ("a new file", lambda d: void(d.write("new", "new")), nothing),
    ("an edit", lambda d: void(d.write("file", "edited")), nothing),
    ("a new tree", lambda d: void(d.write("x/y/z", "deep")), nothing),
    ("a renamed folder", lambda d: void(d.path("full").rename(d.path("renamed"))), nothing),
    ("moved and edited", move_and_edit, nothing),
    ("a deleted folder", lambda d: d.remove("full"), nothing),
    ("two folders swapped", lambda d: swap(d, "full", "other"), nothing),
    ("two files swapped", lambda d: swap(d, "full/a", "other/c"), nothing),
    ("a file becomes a folder", replace_file, nothing),
    ("a folder becomes a file", replace_folder, nothing),
    ("a folder moved into another", grow, nothing),
    ("made executable", lambda d: d.path("file").chmod(0o755), nothing),
    ("both edit", lambda d: void(d.write("file", "by ann")), lambda d: void(d.write("file", "by bob"))),
    ("one edits, one deletes", lambda d: d.remove("full"), lambda d: void(d.write("full/a", "by bob"))),
    ("both make it", lambda d: void(d.write("new", "by ann")), lambda d: void(d.write("new", "by bob"))),
    (
        "both move it",
        lambda d: void(d.path("full").rename(d.path("by ann"))),
        lambda d: void(d.path("full").rename(d.path("by bob"))),
    ),
    (
        "moves that close a cycle",
        lambda d: void(d.path("full").rename(d.path("other/full"))),
        lambda d: void(d.path("other").rename(d.path("full/other"))),
    ),
]
IDS = [name for name, _, _ in WORK]


def void(_: object) -> None:
    pass


def run(make_storm: Make, ann_does: Deed, bob_does: Deed, arrange: Callable[[Storm], None]) -> Storm:
    """Play a workload with one fault arranged, and check what must hold whatever was broken."""
    storm = make_storm()
    ann, bob = storm.devices
    ann.write("file", "before")
    ann.write("full/a", "one")
    ann.write("full/b", "two")
    ann.write("other/c", "three")
    storm.settle_all()
    ann_does(ann)
    bob_does(bob)
    written = {path.read_bytes() for each in (ann, bob) for path in walk(each.root) if path.is_file()}
    expected = ann.tree()
    storm.calls = storm.commits = ann.executed = 0
    arrange(storm)
    storm.settle_all()
    storm.lose_commit = storm.crash_call = 0
    ann.crash_after = None
    made = (storm.calls, storm.commits, ann.executed)
    storm.settle(expect=None)
    storm.calls, storm.commits, ann.executed = made
    storm.check_queues()
    assert not storm.lost(sorted(written))
    copies = [path for path in ann.tree() if is_conflicted_copy(path.rpartition("/")[2])]
    if bob_does is nothing:
        assert ann.tree() == expected
    else:
        assert len(copies) <= 1, copies
    return storm


@pytest.mark.parametrize(("name", "ann_does", "bob_does"), WORK, ids=IDS)
def test_p4_a_crash_before_each_result_is_told(make_storm: Make, name: str, ann_does: Deed, bob_does: Deed) -> None:
    def crash_after(number: int) -> Callable[[Storm], None]:
        return lambda storm: setattr(storm.devices[0], "crash_after", number)

    for number in range(1, MOST):
        storm = run(make_storm, ann_does, bob_does, crash_after(number))
        if storm.devices[0].executed < number:
            break
    assert number > 3


@pytest.mark.parametrize(("name", "ann_does", "bob_does"), WORK, ids=IDS)
def test_p4_the_reply_to_each_commit_is_lost(make_storm: Make, name: str, ann_does: Deed, bob_does: Deed) -> None:
    for number in range(1, MOST):
        storm = run(make_storm, ann_does, bob_does, lambda storm, n=number: setattr(storm, "lose_commit", n))  # type: ignore[misc]
        if storm.commits < number:
            break
    assert number > 1


@pytest.mark.parametrize(("name", "ann_does", "bob_does"), WORK, ids=IDS)
def test_p4_a_crash_at_calls_to_disk_and_hub(make_storm: Make, name: str, ann_does: Deed, bob_does: Deed) -> None:
    calls = run(make_storm, ann_does, bob_does, lambda storm: None).calls
    step = max(1, calls // max(1, CASES // 8))
    for number in range(1 + len(name) % step, calls, step):
        run(make_storm, ann_does, bob_does, lambda storm, n=number: setattr(storm, "crash_call", n))  # type: ignore[misc]
