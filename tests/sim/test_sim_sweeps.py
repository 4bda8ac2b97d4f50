"""Crash, or fail, at calls of small workloads, on storage that loses what was not synced (P1, P2, P3, P4).

The short form of ``python -m tests.sim.sweep``: every workload of one operation, some of two, with a few faults each,
chosen by ``SYNCD_SEED``; and of some workloads every result that is never told and every reply that is lost.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim import operations
from tests.sim.cases import broken, faults, in_turns, reference
from tests.sim.disk import Policy
from tests.sim.faults import How
from tests.sim.operations import Workload, shown, workloads
from tests.sim.stage import Stage
from tests.sim.sweep import Plan, main, staged, sweep

FIRST = int(os.environ.get("SYNCD_SEED", "0"))
FAULTS = 4
TOGETHER = (
    "ann:overwrite + bob:overwrite",
    "ann:delete a folder + bob:overwrite below",
    "ann:create + bob:create",
    "ann:rename a folder + bob:move a folder in",
    "ann:move a folder in + bob:move the other in",
    "ann:swap files + bob:delete below",
    "ann:file to folder + bob:append",
)
TOLD = ("ann:move and edit", "ann:folder to file", TOGETHER[1])
ALL = [*workloads(1), *map(operations.parse, TOGETHER)]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged() as made:
        yield made


@pytest.mark.parametrize("workload", ALL, ids=shown)
def test_p1_p2_p3_p4_a_fault_at_any_call_of_a_workload(stage: Stage, workload: Workload) -> None:
    swept = sweep(stage, workload, Plan(FAULTS, failing=True, seed=FIRST))
    assert not swept.void
    assert sum(swept.cases.values()) == FAULTS
    assert not swept.failures, "\n".join(f"{shown(workload)} {name}: {why}" for name, why in swept.failures)


@pytest.mark.parametrize("text", TOLD)
def test_p4_a_crash_before_each_result_is_told_and_each_lost_reply(stage: Stage, text: str) -> None:
    workload = operations.parse(text)
    counted = reference(stage, workload)
    assert counted is not None
    tried = [each for each in faults(counted, workload, failing=False) if each.how in (How.UNTOLD, How.REPLY)]
    assert len(tried) > 10
    wrong = {str(fault): why for fault in tried if (why := broken(stage, workload, fault)) is not None}
    assert not wrong, wrong


@pytest.mark.parametrize("text", ["ann:overwrite"])
def test_p4_killed_at_each_point(stage: Stage, text: str) -> None:
    workload = operations.parse(text)
    counted = reference(stage, workload)
    assert counted is not None
    tried = [each for each in faults(counted, workload, failing=False) if each.how is How.KILL]
    assert len(tried) > 40
    wrong = {str(fault): why for fault in tried if (why := broken(stage, workload, fault)) is not None}
    assert not wrong, wrong


def test_in_turns_every_point_is_hit_once_and_workloads_differ_in_how(stage: Stage) -> None:
    ways = {}
    for text in ("ann:overwrite", "ann:rename"):
        workload = operations.parse(text)
        counted = reference(stage, workload)
        assert counted is not None
        crashes = [fault for fault in in_turns(counted, workload) if fault.how is not How.REPLY]
        assert len(crashes) == sum(counted.points.values()) == len({(each.victim, each.number) for each in crashes})
        ways[text] = [str(fault) for fault in crashes if fault.number < 5]
        assert {fault.how.policy for fault in crashes} == {None, *Policy}
    assert ways["ann:overwrite"] != ways["ann:rename"]


def test_a_case_that_breaks_a_promise_is_told_with_what_happened(stage: Stage) -> None:
    """The sweep can fail, and a failure in a case's process reaches this one."""
    well, told = stage.apart(lambda play: play.devices[0].person.delete("never there"))
    assert not well
    assert "FileNotFoundError" in str(told)


def test_every_kind_of_call_is_hit(stage: Stage) -> None:
    """Points and calls are counted at folders, databases, requests and chunks, of both devices and of the hub."""
    workload = operations.parse("ann:overwrite")
    counted = reference(stage, workload)
    assert counted is not None
    assert min(counted.points.values()) > 3
    assert min(counted.calls.values()) > 2
    assert min(counted.database.values()) > 10
    assert {fault.how for fault in faults(counted, workload, failing=True)} == set(How)


def test_the_command_goes_on_where_it_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = tmp_path / "ledger"
    words = ["--workloads", "2", "--points", "1", "--jobs", "1", "--seed", "3", "--ledger", str(ledger)]
    assert main([*words, "--sample", "1"]) == 0
    assert len(ledger.read_text().splitlines()) == 1
    assert main([*words, "--sample", "2"]) == 0
    assert len(ledger.read_text().splitlines()) == 2
    assert "1 workloads, 1 done before" in capsys.readouterr().out
