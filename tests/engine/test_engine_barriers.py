"""What `syncd wait` and `syncd run --once` promise: all that was here and at the hub at the call is in sync (P12)."""

from collections.abc import Callable

from tests.engine.world import World


def test_p12_the_first_wait_of_a_new_device_returns_when_all_is_uploaded(make_world: Callable[..., World]) -> None:
    world = make_world("ann")
    (ann,) = world.devices
    for number in range(40):
        ann.write("/".join(["top", *"abcdef"[: number % 6], str(number)]), f"content {number}")
    ann.wait()
    assert len(ann.wire.commits) == 46


def test_p12_the_first_wait_of_a_second_device_returns_when_all_is_here(make_world: Callable[..., World]) -> None:
    world = make_world("ann", "bob")
    ann, bob = world.devices
    for number in range(40):
        ann.write("/".join(["top", *"abcdef"[: number % 6], str(number)]), f"content {number}")
    ann.wait()
    ann.wait()
    bob.wait()
    assert bob.tree() == ann.tree()
