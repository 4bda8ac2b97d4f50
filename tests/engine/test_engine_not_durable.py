"""P4: of a folder whose names a power loss might take nothing is concluded; it is shown, and looked at again."""

import errno
from collections.abc import Callable, Sequence

import pytest

from syncd.adapters.posix_dir import PosixDir
from syncd.model.observation import Ask, Hints, UnitFault, Verb
from syncd.ports import Durable
from tests.engine.world import Device, World

Make = Callable[..., World]


@pytest.fixture
def two(make_world: Make) -> World:
    return make_world("ann", "bob")


def names_fail(device: Device) -> Callable[[], None]:
    """Let no directory of a look become durable; returns what mends it. Contents do."""
    honest = device.fs.make_durable

    def refuse(opened: Sequence[Durable]) -> None:
        if any(isinstance(each, PosixDir) for each in opened):
            raise OSError(errno.EIO, "input/output error")
        honest(opened)

    device.fs.make_durable = refuse  # type: ignore[method-assign]

    def mend() -> None:
        device.fs.make_durable = honest  # type: ignore[method-assign]

    return mend


def go_on(device: Device, seconds: float) -> None:
    """Let *device* do all that comes up within some seconds."""
    until = device.time.monotonic() + seconds
    while device.time.monotonic() < until:
        if device.busy:
            device.one()
        else:
            due = device.deadline if device.deadline is not None else until
            device.time.ahead += min(max(0.0, due - device.time.monotonic()), 1.0) + 0.001
            device.step([])


def shown(device: Device) -> dict[str, str]:
    return {entry.name: entry.reason for _, entry in device.db.held.list()}


def test_p4_a_delete_that_a_power_loss_may_take_back_is_none_yet(two: World) -> None:
    ann, bob = two.devices
    ann.path("link").symlink_to("anywhere")
    ann.write("a", "content")
    two.settle()
    mend = names_fail(ann)
    ann.remove("link")
    ann.remove("a")
    ann.step([Hints((((), "link"), ((), "a")))])
    go_on(ann, 20.0)
    bob.wait()
    assert bob.tree().keys() == {"a", "link"}, "it may be there again after the next power loss"
    assert shown(ann) == dict.fromkeys(("a", "link"), UnitFault.NOT_DURABLE.value)
    mend()
    two.settle()
    assert bob.tree() == {}
    assert shown(ann) == {}


def test_p4_a_name_that_a_power_loss_may_take_is_not_in_sync_yet(two: World) -> None:
    """A symlink made alike on both sides is only recorded; lost afterwards, it would be a delete."""
    ann, bob = two.devices
    two.settle()
    mend = names_fail(ann)
    for device in (ann, bob):
        device.path("link").symlink_to("anywhere")
    bob.wait()
    ann.step([Ask(900, Verb.WAIT)])
    go_on(ann, 40.0)
    assert 900 not in ann.replies, "nobody is told that it is in sync"
    mend()
    two.settle()
    assert 900 in ann.replies
    assert ann.tree() == bob.tree() == {"link": "-> anywhere"}
