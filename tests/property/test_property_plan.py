"""One tree, changed twice, brought together in any order: plans end (P2), nothing is lost (P1, P7) or redone (P3).

``SYNCD_CASES`` is the number of cases, ``SYNCD_SEED`` replays one of them and tells its story.
"""

import pytest

from tests.property.case import case_of, read
from tests.property.cells import Table
from tests.property.run import run_seeds
from tests.property.seeds import CASES, blocks, name
from tests.property.shrink import failure, shrink, story

BLOCK = 1000
ALL_CELLS = 20_000
"""So many cases from seed 0 on visit every cell of the decision table."""


@pytest.mark.parametrize("block", blocks(CASES, BLOCK), ids=name)
def test_p1_p2_p3_p7_two_perturbations_of_one_tree_meet(block: range) -> None:
    outcome = run_seeds(block.start, len(block))
    if outcome.failures:
        seed, why = outcome.failures[0]
        pytest.fail(f"{len(outcome.failures)} failed; SYNCD_SEED={seed}: {why}\n\n{story(shrink(case_of(seed)))}")
    if len(block) == 1:
        print(story(case_of(block.start)))


@pytest.mark.slow
@pytest.mark.skipif(CASES < ALL_CELLS, reason="fewer cases were asked for")
def test_every_cell_of_the_decision_table_is_visited() -> None:
    table = Table()
    for first in range(0, ALL_CELLS, BLOCK):
        table.add(run_seeds(first, BLOCK).table)
        if not table.missing():
            break
    assert not table.missing(), "\n".join(table.missing())
    assert not table.unlisted(), "\n".join(table.unlisted())


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(
            "twins:0:0:31159aab.24c6e07c.2f1635f9:1dee0435:27118435.34250d78.878d428::",
            id="who made way for a circle made way again, for ever",
        ),
        pytest.param(
            "twins:2:0:30284fa3.3664c632.1d943f88.4d8e1f0.3b15ae0c:5916786:1b3a5030.5b12786::",
            id="a directory cannot move out of one that gives way: what is held has its name",
        ),
    ],
)
def test_p2_a_case_that_failed_once_ends(told: str) -> None:
    assert failure(read(told)) is None
