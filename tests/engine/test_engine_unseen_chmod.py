"""A chmod nobody has seen yet, when an op on its file is carried out: an edit of the bit is one, too (P6)."""

from collections.abc import Callable

import pytest

from syncd.model.job import ApplyJob
from syncd.model.observation import Ask, Verb
from tests.engine.world import STEPS, Device, World

OLD, OTHER = "old", "the other one"


def edited(bob: Device) -> None:
    bob.write("a", "edited there")


def deleted(bob: Device) -> None:
    bob.remove("a")


def moved(bob: Device) -> None:
    bob.path("a").rename(bob.path("moved"))


def swapped(bob: Device) -> None:
    for old, new in (("a", "x"), ("b", "a"), ("x", "b")):
        bob.path(old).rename(bob.path(new))
        bob.wait()  # all at once would be two edits


THERE: list[tuple[str, Callable[[Device], None], str, dict[str, str]]] = [
    ("edited there", edited, "a", {"a": "x edited there", "b": OTHER}),
    ("deleted there", deleted, "a", {"a": "x old", "b": OTHER}),
    ("moved there", moved, "a", {"moved": "x old", "b": OTHER}),
    ("swapped there with another", swapped, "a", {"b": "x old", "a": OTHER}),
    ("the other one of a swap", swapped, "b", {"a": f"x {OTHER}", "b": OLD}),
]


def until_something_is_to_be_done_here(device: Device) -> None:
    """Run *device* until it knows of the remote's change and is about to make it here."""
    device.tickets += 1
    device.deadline = device.engine.step([Ask(device.tickets, Verb.WAIT)])
    for _ in range(STEPS):
        if any(isinstance(job, ApplyJob) for job in device.jobs):
            return
        if not device.one() and device.deadline is not None:
            device.time.ahead += max(0.0, device.deadline - device.time.monotonic())
    raise AssertionError(device.doings())


def found(device: Device) -> dict[str, str]:
    """Return name and content of each file, with an ``x`` before that of an executable one."""
    return {
        path.name: ("x " if path.stat().st_mode & 0o100 else "") + path.read_text()
        for path in sorted(device.root.iterdir())
        if path.is_file()
    }


@pytest.mark.parametrize(("there", "name", "wanted"), [pytest.param(*row[1:], id=row[0]) for row in THERE])
def test_p6_a_chmod_nobody_has_seen_yet_is_not_overrun(
    make_world: Callable[..., World], there: Callable[[Device], None], name: str, wanted: dict[str, str]
) -> None:
    two = make_world("ann", "bob")
    ann, bob = two.devices
    ann.write("a", OLD)
    ann.write("b", OTHER)
    two.settle()
    there(bob)
    bob.wait()
    until_something_is_to_be_done_here(ann)
    ann.path(name).chmod(0o755)
    two.settle_all()
    assert found(ann) == wanted
    assert found(bob) == wanted
