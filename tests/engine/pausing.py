"""Stops a device right before a job that a test wants to hold in its hands, and lets it go on without."""

from collections.abc import Callable

from syncd.model.job import ApplyJob, Job, PullJob, RecoverJob
from syncd.model.observation import Ask, Hints, Verb
from tests.engine.world import Device


def stop_at(device: Device, here: Callable[[object], bool]) -> None:
    """Run until a job comes whose turn satisfies *here*; that job is left undone."""
    for _ in range(300):
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


def killed_after_it_acted(device: Device, *, before: Callable[[], object] = lambda: None) -> RecoverJob:
    """Carry an op out here, die before it is told, and start again; *before* that something else happens. Returns the
    job that is to find out."""
    device.deadline = device.engine.step([Ask(700, Verb.WAIT)])
    stop_at(device, lambda job: isinstance(job, ApplyJob))
    device.handle(next(job for job in device.jobs if isinstance(job, ApplyJob)))
    device.crash()
    before()
    device.start()
    return next(job for job in device.jobs if isinstance(job, RecoverJob))


def work_without(device: Device, kind: type[Job], until: Callable[[], bool]) -> list[Job]:
    """Go on until *until*, but do no job of *kind*; returns those that came."""
    held: list[Job] = []
    for _ in range(400):
        for job in [job for job in device.jobs if isinstance(job, kind)]:
            device.jobs.remove(job)
            held.append(job)
        if until():
            return held
        if not device.one() and device.deadline is not None:
            device.time.ahead += max(0.0, device.deadline - device.time.monotonic())
    raise AssertionError("it never came")
