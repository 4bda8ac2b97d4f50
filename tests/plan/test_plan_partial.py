"""What is seen while observations still arrive: rows without their parents, directories in circles, two on one name."""

import pytest

from syncd.model.path import ROOT
from syncd.plan.planner import join
from tests.plan.sentences import build, planned, situations

TABLE = """
moved here into a directory that is on neither side any more
    2 d|1/d d|-t|-
    3 f|1/x v1|1/x v1|2/x v1
    3: remote move 1/x to 2/x, waits parent exists 2

what has the name at the remote is not known
    2 f|-|-|1/a v1
    3 f|-|?held 1/a|-
    2: upload 1/a v1 new, waits name free 3

moved there into directories that are in each other here
    2 d|1/a d|3/a d|1/a d
    3 d|1/p d|1/p d|4/p d
    4 d|1/q d|1/q d|3/q d
    2: local move 1/a to 3/a

moved here into directories that are in each other on both sides
    2 d|1/a d|1/a d|3/a d
    3 d|4/b d|4/b d|4/b d
    4 d|3/c d|3/c d|3/c d
    2: remote move 1/a to 3/a

deleted here, and in each other there
    2 d|3/a d|3/a d|-
    3 d|2/b d|2/b d|-
    2: remote delete 3/a, waits directory empty 3

two exchanged their names there, and their case: a detour, no exchange {no case sensitive}
    2 f|1/a v1|1/B v1|1/a v1
    3 f|1/b v2|1/A v2|1/b v2
    2: local move 1/a to 1/B (being moved, pc)
"""


@pytest.mark.parametrize(
    ("rows", "key", "traits", "expected"),
    [pytest.param(*case, id=sentence) for sentence, *case in situations(TABLE)],
)
def test_plan_of_what_is_partly_seen(rows, key, traits, expected):
    assert planned(build(*rows, **traits), key) == expected


@pytest.mark.parametrize("key", [ROOT, 99], ids=["the root", "a row that went"])
def test_nothing_joins(key):
    assert join(build("2 d|-|1/a d|-"), key) is None
