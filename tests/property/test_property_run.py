"""The command around the cases: seeds repeat, lines replay, failures shrink, and a ledger is gone on with."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests import hunting
from tests.property import run
from tests.property.case import KINDS, Case, case_of, read
from tests.property.generator import ACTS
from tests.property.shrink import failure, shrink, story


@pytest.mark.parametrize("seed", range(40))
def test_a_seed_is_one_case_that_plays_alike(seed: int) -> None:
    once: list[str] = []
    again: list[str] = []
    failure(case_of(seed), once.append)
    failure(read(case_of(seed).text), again.append)
    assert once == again


def test_every_kind_of_case_comes_up() -> None:
    assert {case_of(seed).kind for seed in range(400)} == set(KINDS)


def edits_and_deletes(case: Case) -> str | None:
    """Fail, as a bug would, whenever something is edited here and deleted there."""
    here, there = ({ACTS[step & 63] for step in steps} for steps in (case.here, case.there))
    return "lost 7" if "edit" in here and "delete" in there else None


def test_a_failing_case_shrinks_to_what_it_takes() -> None:
    seed = next(seed for seed in range(1000) if edits_and_deletes(case_of(seed)))
    small = shrink(case_of(seed), edits_and_deletes)
    assert [ACTS[step & 63] for step in small.here] == ["edit"]
    assert [ACTS[step & 63] for step in small.there] == ["delete"]
    assert (small.base, small.again_here, small.again_there, small.traits, small.order) == ((), (), (), 0, 0)


def test_a_story_says_what_happened_and_how_to_hear_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    case = replace(case_of(0), kind="two")
    told = story(case)
    assert "--- perturbed" in told
    assert told.splitlines()[-1] == f"python -m tests.property.run --replay '{case.text}'"
    assert run.main(["--replay", case.text]) == 0
    assert capsys.readouterr().out.strip() == told


def test_a_ledger_is_gone_on_with_on_the_same_commit_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "ledger.jsonl"
    for at in ("one", "one", "two"):
        monkeypatch.setattr(hunting, "commit", lambda sources, at=at: at)
        assert run.main(["--cases", "7", "--seed", "3", "--ledger", str(ledger)]) == 0
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert [(line["commit"], line["first"], line["count"]) for line in lines] == [
        ("one", 3, 7),
        ("one", 10, 7),
        ("two", 3, 7),
    ]
    assert all(line["failures"] == [] for line in lines)
    assert "7 cases" in capsys.readouterr().out


def test_two_processes_play_each_seed_once() -> None:
    hunt = hunting.Hunt("cases", (), 3, run.run_seeds)
    found = [(outcome.first, outcome.count) for outcome in hunting.outcomes(hunt, 5, 10, None, 2)]
    assert found == [(5, 3), (8, 3), (11, 3), (14, 1)]


def test_ledgers_are_added_up_and_no_seed_counts_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two, whole = tmp_path / "one.jsonl", tmp_path / "two.jsonl", tmp_path / "whole.jsonl"
    for at, first, failures in (("a", 0, []), ("a", 10, [(12, "why")]), ("b", 10, [])):
        hunting.note(one, "plays", at, 1.5, hunting.Outcome(first, 10, failures))
    hunting.note(two, "plays", "a", 1.0, hunting.Outcome(40, 10))
    assert hunting.main([str(one), str(two), "--into", str(whole)]) == 0
    assert hunting.main([str(one), "--into", str(whole)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split() for line in said] == [
        ["plays", "a", "30", "1", "failed"],
        ["plays", "b", "10", "0", "failed"],
    ] * 2
    assert [(line["first"], line["count"]) for line in hunting.read(whole)] == [(0, 20), (40, 10), (10, 10)]
    assert hunting.next_seed(whole, "plays", "a", 0) == 50
