"""Stops a device right before a job that a test wants to hold in its hands, and lets it go on without."""

from collections.abc import Callable

from syncd.model.job import PullJob
from syncd.model.observation import Hints
from tests.engine.world import Device


def stop_at(device: Device, here: Callable[[object], bool]) -> None:
    """Run until a job comes whose turn satisfies *here*; that job is left undone."""
    for _ in range(200):
        if any(here(job) for job in device.jobs):
            return
        if not device.one() and device.deadline is not None:
            device.time.ahead += max(0.0, device.deadline - device.time.monotonic())
    raise AssertionError("it never came")


def hold_listing(device: Device) -> PullJob:
    """Have the device list everything again, as after an expired cursor; returns what it asks, still on its way."""
    with device.db.transaction():
        device.db.meta.delete("cursor")
    stop_at(device, lambda job: isinstance(job, PullJob) and job.cursor is None)
    job = next(job for job in device.jobs if isinstance(job, PullJob))
    device.jobs.remove(job)
    return job


def work_on(device: Device, *names: str) -> None:
    """Let the device see *names* in its root, and do what it would about them, deletes too."""
    device.step([Hints(tuple(((), name) for name in names))])
    for _ in range(60):
        if not device.one():
            device.time.ahead += 0.1
