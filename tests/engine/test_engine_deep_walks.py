"""Deep walks read every file, and are throttled: nothing a person does waits for them."""

from collections.abc import Callable

import pytest

from syncd.engine import looks
from syncd.engine.desk import EngineSettings
from syncd.model.job import LookJob
from syncd.model.observation import Ask, Hints, Verb
from tests.engine.world import Device, World

Make = Callable[..., World]
DAY = 86400.0


@pytest.fixture
def ann(make_world: Make, monkeypatch: pytest.MonkeyPatch) -> Device:
    monkeypatch.setattr(looks, "DEEP_A_JOB", 100)
    settings = EngineSettings(scan_interval=3600.0, deep_scan_interval=DAY)
    (device,) = make_world("ann", settings=settings).devices
    for number in range(6):
        device.write(f"d{number}/large", b"x" * 90)
    device.wait()
    return device


def deep_jobs(device: Device) -> list[LookJob]:
    return [job for job in device.jobs if isinstance(job, LookJob) and job.deep]


def begin(device: Device, *, asked: bool) -> None:
    """Step until the first job of a deep walk is out."""
    if asked:
        device.engine.step([Ask(900, Verb.SCAN, (("deep", "yes"),))])
    else:
        device.time.ahead += 2 * DAY
    for _ in range(200):
        if deep_jobs(device):
            return
        device.one()
    raise AssertionError(device.doings())


def run_deep(device: Device, seconds: float) -> None:
    """Carry the deep job out, which takes *seconds*."""
    (job,) = deep_jobs(device)
    device.jobs.remove(job)
    messages = device.handle(job)
    device.time.ahead += seconds
    for message in messages:
        device.deadline = device.engine.step([message])


@pytest.mark.parametrize("asked", [True, False], ids=["asked for", "on schedule"])
def test_a_deep_walk_has_one_job_out_and_an_edit_does_not_wait_for_it(ann: Device, asked: bool) -> None:
    begin(ann, asked=asked)
    (job,) = deep_jobs(ann)
    assert len(job.units) < 7, "a job of a deep walk ends with the bytes it reads"
    ann.write("d0/edited", "now")
    ann.engine.step([Hints(((("d0",), "edited"),))])
    names = [unit.names for each in ann.jobs if isinstance(each, LookJob) and not each.deep for unit in each.units]
    assert ("edited",) in names, "it is handed out beside the deep job"


def test_a_deep_walk_on_schedule_rests_as_long_as_it_reads(ann: Device) -> None:
    begin(ann, asked=False)
    run_deep(ann, 5.0)
    assert not deep_jobs(ann)
    assert ann.deadline is not None
    assert 4.0 < ann.deadline - ann.time.monotonic() < 5.5
    ann.time.ahead += 6.0
    ann.engine.step([])
    assert len(deep_jobs(ann)) == 1
    run_deep(ann, 1e6)
    ann.time.ahead += looks.LONGEST_REST + 1.0
    ann.engine.step([])
    assert len(deep_jobs(ann)) == 1


def test_who_waits_for_a_deep_walk_is_not_kept_waiting(ann: Device) -> None:
    begin(ann, asked=True)
    run_deep(ann, 5.0)
    assert len(deep_jobs(ann)) == 1


def test_a_person_who_waits_hurries_a_gentle_walk(ann: Device) -> None:
    begin(ann, asked=False)
    run_deep(ann, 5.0)
    assert not deep_jobs(ann)
    ann.engine.step([Ask(901, Verb.WAIT)])
    assert len(deep_jobs(ann)) == 1
    ann.wait()
