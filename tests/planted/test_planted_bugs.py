"""The list of planted bugs itself: each still applies, parses and names tests that exist; a few are run, by turns.

All of them are run by ``make planted``.
"""

import ast
import os
import random
import re
from functools import cache
from pathlib import Path

import pytest
from blake3 import blake3

from tests.planted.bug import Bug, DoesNotApply
from tests.planted.bugs import BUGS
from tests.planted.nursery import Verdict, grouped, judged, together
from tests.planted.run import ROOT, markdown, run_all

QUICK = ("tests/plan/", "tests/db/")
"""Suites whose single tests take no time worth mentioning."""

X = "tests/a/test_a.py::test_x"
each_bug = pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])


@cache
def text_of(file: str) -> str:
    return (ROOT / file).read_text("utf-8")


@cache
def suite_text(path: str) -> str:
    """Return the text of a test file, or of all in a folder."""
    here = ROOT / path
    files = sorted(here.rglob("test_*.py")) if here.is_dir() else [here]
    return "\n".join(file.read_text("utf-8") for file in files)


@each_bug
def test_each_bug_applies_once_and_parses(bug: Bug) -> None:
    before = text_of(bug.file)
    after = bug.applied_to(before)
    assert after != before
    assert ast.dump(ast.parse(after)) != ast.dump(ast.parse(before)), "only the layout changes"


@each_bug
def test_each_bug_says_what_it_is_and_who_must_catch_it(bug: Bug) -> None:
    assert bug.mistake.endswith((".", "`"))
    assert bug.file.startswith("syncd/")
    assert re.fullmatch(r"P([1-9]|1[0-2])", bug.promise)
    paths = [test for test in bug.tests if test.startswith("tests/")]
    assert paths
    assert all((ROOT / path.partition("::")[0]).exists() for path in paths)
    words = re.findall(r"test_\w+", bug.tests[-1] if "-k" in bug.tests else "")
    everything = "".join(suite_text(path.partition("::")[0]) for path in paths)
    assert [word for word in words if f"def {word}" not in everything] == []


def test_the_names_are_unique_and_the_list_is_as_long_as_it_should_be() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 40
    assert {bug.promise for bug in BUGS} >= {f"P{number}" for number in range(1, 11)}


def turn() -> list[Bug]:
    """Return the bugs whose turn it is: the same ones for the same code, and others once it changes."""
    quick = [bug for bug in BUGS if bug.tests[0].startswith(QUICK) and bug.cases is None and not bug.awaits]
    texts = "".join(text_of(bug.file) for bug in BUGS)
    seed = os.environ.get("SYNCD_SEED") or blake3(texts.encode()).hexdigest()
    return random.Random(seed).sample(quick, 2)


@pytest.mark.slow
def test_the_bugs_whose_turn_it_is_are_caught() -> None:
    for result in run_all(turn(), jobs=1, limit=60.0, tell=False):
        assert result.verdict is Verdict.CAUGHT, result


def bug_of(name: str, new: str, tests: tuple[str, ...], old: str = "    if node is None or key == ROOT:\n") -> Bug:
    return Bug(name, "It.", "P1", "syncd/plan/planner.py", old, new, tests)


@pytest.mark.slow
def test_the_runner_tells_a_survivor_from_what_proves_nothing() -> None:
    guard = ("tests/plan/test_plan_guard.py",)
    same = "    if key == ROOT or node is None:\n"
    bugs = [
        bug_of("changes nothing", same, guard),
        bug_of("does not apply", same, guard, old="no such text"),
        bug_of("no test chosen", same, (*guard, "-k", "nothing_is_called_this")),
    ]
    results = run_all(bugs, jobs=2, limit=60.0, tell=False)
    assert [result.verdict for result in results] == [
        Verdict.SURVIVED, Verdict.STALE, Verdict.BROKEN,
    ]  # fmt: skip
    assert not any(result.verdict.fine for result in results)


@pytest.mark.parametrize(
    ("code", "said", "verdict", "told"),
    [
        pytest.param(0, "3 passed", Verdict.SURVIVED, "every test passes", id="all pass"),
        pytest.param(1, f"F\nFAILED {X}[1 - 2] - assert 1", Verdict.CAUGHT, f"{X}[1 - 2]", id="one fails"),
        pytest.param(1, f"E\nERROR {X}", Verdict.CAUGHT, X, id="a fixture fails"),
        pytest.param(2, "ERROR tests/a.py", Verdict.BROKEN, "ERROR tests/a.py", id="cannot be imported"),
        pytest.param(5, "no tests ran", Verdict.BROKEN, "no tests ran", id="nothing was chosen"),
    ],
)
def test_only_a_failing_test_is_a_catch(code: int, said: str, verdict: Verdict, told: str) -> None:
    assert judged(code, said) == (verdict, told)


def test_selections_of_the_same_files_are_run_together_first() -> None:
    plain, one, two = ("a",), ("a", "-k", "x"), ("a", "-k", "y or z")
    seeded = (("a",), (("SYNCD_SEED", "1"),))
    groups = grouped([(one, ()), (two, ()), seeded, (one, ()), (("b",), ())])
    assert groups == [[(one, ()), (two, ())], [seeded], [(("b",), ())]]
    assert together(groups[0]) == (("a", "-k", "(x) or (y or z)"), ())
    assert together([(one, ()), (plain, ())]) == (plain, ())


def test_a_bug_is_planted_into_the_copy_it_is_given(tmp_path: Path) -> None:
    bug = BUGS[0]
    with pytest.raises(DoesNotApply, match="there is no"):
        bug.plant(tmp_path)
    copy = tmp_path / bug.file
    copy.parent.mkdir(parents=True)
    copy.write_text(text_of(bug.file), "utf-8")
    bug.plant(tmp_path)
    assert copy.read_text("utf-8") == bug.applied_to(text_of(bug.file))
    with pytest.raises(DoesNotApply, match="0 times"):
        bug.plant(tmp_path)


def test_the_table_names_each_result_once_beside_the_suite_that_caught_it() -> None:
    from tests.planted.run import Result, cell

    suites = ("tests/a/test_a.py", "tests/b/test_b.py")
    results = [Result(bug.name, Verdict.CAUGHT, f"{suites[n % 2]}::test_x[{n}]", 1.0) for n, bug in enumerate(BUGS[1:])]
    table = markdown([Result(BUGS[0].name, Verdict.SURVIVED, "", 1.0), *results])
    rows = table.split("\n")[2:]
    assert [row.split("|")[1].strip() for row in rows] == ["**SURVIVED**", "`a/test_a`", "`b/test_b`"]
    assert {row.count("|") - row.count("\\|") for row in rows} == {3}
    assert sum(row.count(cell(f"{bug.name} ({bug.promise})")) for bug in BUGS for row in rows) >= len(BUGS)
    assert BUGS[0].name in rows[0]
    assert BUGS[1].name in rows[1]
    assert BUGS[2].name in rows[2]
