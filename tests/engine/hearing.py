"""A device that hears of changes while what it means to do about them has no time to happen."""

from syncd.model.job import PollJob
from syncd.model.observation import PollEnded
from tests.engine.world import Device


def hear(device: Device) -> None:
    """Pull, and do what can be done before time passes: deletes rest."""
    poll = next(job for job in device.jobs if isinstance(job, PollJob))
    device.jobs.remove(poll)
    device.deadline = device.engine.step([PollEnded(poll, changed=True)])
    while device.one() or device.busy:
        pass
