"""Scan runs: an interrupted one goes on only under what it was begun under, and never concludes from a mixture."""

import json
from collections.abc import Callable

import pytest

from syncd.db.runs import RunKind, RunStatus
from syncd.model.job import LookJob
from syncd.model.node import Tree
from syncd.model.observation import Ask, Verb
from tests.engine.world import Device, World

Make = Callable[..., World]
DEEP = (("deep", "yes"),)


@pytest.fixture
def ann(make_world: Make) -> Device:
    world = make_world("ann")
    (device,) = world.devices
    for name in ("d/a", "e/f/b", "g/h/i/c"):
        device.write(name, name)
    world.settle()
    return device


def deep_scan(device: Device) -> int:
    device.tickets += 1
    device.deadline = device.engine.step([Ask(device.tickets, Verb.SCAN, DEEP)])
    return device.tickets


def finish(device: Device, ticket: int) -> None:
    for _ in range(500):
        if ticket in device.replies:
            return
        if not device.one() and device.deadline is not None:
            device.time.ahead += max(0.0, device.deadline - device.time.monotonic())
    raise AssertionError(device.doings())


def interrupted(device: Device, parameters: str) -> int:
    """Leave a deep run that a stop interrupted, with only ``d`` left to visit."""
    with device.db.transaction():
        run = device.db.runs.start(RunKind.DEEP, parameters, device.time.now())
        device.db.runs.progress(run, 7, 0, json.dumps([device.db.nodes.find(Tree.LOCAL, ("d",))]))
    return run


def test_an_interrupted_run_goes_on_under_the_same_parameters(ann: Device) -> None:
    run = interrupted(ann, ann.engine.looks.parameters(RunKind.DEEP))
    finish(ann, deep_scan(ann))
    found = ann.db.runs.get(run)
    assert (found.status, found.processed) == (RunStatus.COMPLETED, 1)  # only what was left


@pytest.mark.parametrize("what", ["rules", "hash", "root"])
def test_an_interrupted_run_under_other_parameters_is_begun_anew(ann: Device, what: str) -> None:
    """It went on from where it was, and was called complete for folders that the former rules had left out."""
    frozen = json.loads(ann.engine.looks.parameters(RunKind.DEEP))
    run = interrupted(ann, json.dumps(frozen | {what: "other"}, sort_keys=True))
    finish(ann, deep_scan(ann))
    assert ann.db.runs.get(run).status is RunStatus.CANCELLED
    anew = ann.db.runs.recent(1)[0]
    assert (anew.kind, anew.status) == (RunKind.DEEP, RunStatus.COMPLETED)
    assert anew.processed >= 9


def test_rules_that_change_while_it_was_stopped_are_noticed_by_the_run_that_goes_on(ann: Device) -> None:
    run = interrupted(ann, ann.engine.looks.parameters(RunKind.DEEP))
    ann.crash()
    ann.write(".syncignore", "*.log\n")
    ann.start()
    ann.engine.looks.asked = RunKind.DEEP  # the first walk after this start is the deep one
    finish(ann, deep_scan(ann))
    assert ann.db.runs.get(run).status is RunStatus.CANCELLED
    deep = [each for each in ann.db.runs.recent(5) if each.kind is RunKind.DEEP and each.id != run]
    assert RunStatus.COMPLETED in [each.status for each in deep]


def test_a_run_ends_when_the_rules_change_under_it_and_another_looks_at_everything(ann: Device) -> None:
    ticket = deep_scan(ann)
    for _ in range(100):
        looks = [job for job in ann.jobs if isinstance(job, LookJob) and job.run]
        if looks and looks[0].units[0].path:
            break
        ann.one()
    (first,) = ann.db.runs.active()
    ann.write(".syncignore", "*.log\n")
    finish(ann, ticket)
    assert ann.db.runs.get(first.id).status is RunStatus.CANCELLED
    last = next(each for each in ann.db.runs.recent(5) if each.kind is RunKind.DEEP and each.id != first.id)
    assert last.status is RunStatus.COMPLETED
    assert last.processed >= 10
    ann.wait()
