"""An edit nobody has seen yet that kept size and mtime, when an op on its file is carried out: ctime alone tells of it,
and the op moves that, too (P1)."""

import os
from collections.abc import Callable

import pytest

from syncd.model.job import ApplyJob, RecoverJob
from syncd.model.observation import Ask, Verb
from tests.engine.world import STEPS, Device, World

OLD, OTHER, EDITED = "old content", "another one", "edited here"


def moved(bob: Device) -> None:
    bob.path("a").rename(bob.path("moved"))


def marked(bob: Device) -> None:
    bob.path("a").chmod(0o755)


def swapped(bob: Device) -> None:
    for old, new in (("a", "x"), ("b", "a"), ("x", "b")):
        bob.path(old).rename(bob.path(new))
        bob.wait()  # all at once would be two edits


THERE: list[tuple[str, Callable[[Device], None], str, dict[str, str]]] = [
    ("moved there", moved, "a", {"moved": EDITED, "b": OTHER}),
    ("marked there", marked, "a", {"a": EDITED, "b": OTHER}),
    ("swapped there with another", swapped, "a", {"b": EDITED, "a": OTHER}),
    ("the other one of a swap", swapped, "b", {"a": EDITED, "b": OLD}),
]


def until(device: Device, job: type) -> None:
    """Run *device* until a job of this kind is to be done."""
    device.tickets += 1
    device.deadline = device.engine.step([Ask(device.tickets, Verb.WAIT)])
    for _ in range(STEPS):
        if any(isinstance(each, job) for each in device.jobs):
            return
        if not device.one() and device.deadline is not None:
            device.time.ahead += max(0.0, device.deadline - device.time.monotonic())
    raise AssertionError(device.doings())


def edit_unseen(device: Device, name: str) -> None:
    stat = device.path(name).stat()
    device.write(name, EDITED)
    os.utime(device.path(name), ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (device.path(name).stat().st_size, device.path(name).stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)


@pytest.mark.parametrize("killed", [False, True], ids=["it runs on", "it is killed before it is told"])
@pytest.mark.parametrize(("there", "name", "wanted"), [pytest.param(*row[1:], id=row[0]) for row in THERE])
def test_p1_an_edit_that_only_ctime_tells_of_is_seen_after_an_op_on_its_file(
    make_world: Callable[..., World],
    there: Callable[[Device], None],
    name: str,
    wanted: dict[str, str],
    killed: bool,
) -> None:
    two = make_world("ann", "bob")
    ann, bob = two.devices
    ann.write("a", OLD)
    ann.write("b", OTHER)
    two.settle()
    there(bob)
    bob.wait()
    until(ann, ApplyJob)
    edit_unseen(ann, name)
    if killed:
        while any(isinstance(job, ApplyJob) for job in ann.jobs):
            job = ann.jobs.popleft()
            if isinstance(job, ApplyJob):
                list(ann.runner.apply(job))
        ann.crash()
        ann.start()
        assert any(isinstance(job, RecoverJob) for job in ann.jobs)
    two.settle()
    for device in two.devices:
        assert {path.name: path.read_text() for path in device.root.iterdir() if path.is_file()} == wanted


@pytest.mark.parametrize("there", ["made", "edited"])
def test_p1_an_edit_that_only_ctime_tells_of_is_seen_after_a_crash_of_the_download(
    make_world: Callable[..., World], there: str
) -> None:
    """Recovery found the inode it had placed, with that size and mtime, and took its content on trust."""
    two = make_world("ann", "bob")
    ann, bob = two.devices
    if there == "edited":
        bob.write("a", OTHER)
        two.settle()
    bob.write("a", OLD)
    bob.wait()
    until(ann, ApplyJob)
    while any(isinstance(job, ApplyJob) for job in ann.jobs):
        job = ann.jobs.popleft()
        if isinstance(job, ApplyJob):
            list(ann.runner.apply(job))
    assert ann.read("a") == OLD
    edit_unseen(ann, "a")
    ann.crash()
    ann.start()
    assert any(isinstance(job, RecoverJob) for job in ann.jobs)
    two.settle()
    assert [device.read("a") for device in two.devices] == [EDITED, EDITED]
