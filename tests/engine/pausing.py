"""Stops a device right before a job that a test wants to hold in its hands."""

from collections.abc import Callable

from tests.engine.world import Device


def stop_at(device: Device, here: Callable[[object], bool]) -> None:
    """Run until a job comes whose turn satisfies *here*; that job is left undone."""
    for _ in range(200):
        if any(here(job) for job in device.jobs):
            return
        if not device.one() and device.deadline is not None:
            device.time.ahead += max(0.0, device.deadline - device.time.monotonic())
    raise AssertionError("it never came")
