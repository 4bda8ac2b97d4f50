"""A program that keeps writing into a file that was displaced: what it writes comes back after it closed it (P6)."""

from collections.abc import Callable

from syncd.model.conflict import is_conflicted_copy
from tests.engine.world import Device, World


def pass_time(device: Device, seconds: float) -> None:
    """Let the device do all that is due in the next seconds."""
    until = device.time.ahead + seconds
    while device.time.ahead < until:
        if not device.one():
            due = until if device.deadline is None else device.deadline - device.time.now() + device.time.ahead
            device.time.ahead = max(device.time.ahead + 0.1, min(until, due))


def test_p6_what_is_written_late_comes_back_minutes_after_the_file_is_closed(make_world: Callable[..., World]) -> None:
    """The trash was tended once while the file was open, and then not for an hour."""
    world = make_world("ann", "bob")
    ann, bob = world.devices
    ann.write("a", "one")
    world.settle()
    with bob.path("a").open("ab") as held:
        ann.write("a", "another one")
        world.settle()
        pass_time(bob, 120)
        held.write(b" and what was written late")
    pass_time(bob, 300)
    copies = [name for name in bob.tree() if is_conflicted_copy(name)]
    assert [bob.read(name) for name in copies] == ["one and what was written late"]
