"""Situations that generated trees meet seldom: taken names for detours, groups that wait, copies that are going."""

import pytest

from syncd.plan.order import touch
from tests.plan.sentences import build, planned, situations

TABLE = """
two swapped here, and one of the names is not free there yet: the group waits {no case sensitive}
    2 f|1/a v1|1/a v1|1/b v1
    3 f|1/b v2|1/b v2|1/a v2
    4 f|1/B v3|1/B v3|1/z v3
    2: remote move 1/a to 1/b group 2 to 1/b, 3 to 1/a, waits name free 4

a file became a directory with itself inside, there: the name for the detour is taken
    2 f|1/x v1|3/y v1|1/x v1
    3 d|-|1/x d|-
    4 f|1/y (being moved, pc) v4|1/y (being moved, pc) v4|1/y (being moved, pc) v4
    2: local move 1/x to 1/y (being moved, pc) 2

edited on both sides, mine is already there as a conflicted copy that stays
    2 f|1/a v1|1/a v2|1/a v3
    3 f|1/a (OLD) v3|1/a (OLD) v3|1/a (OLD) v3
    2: download 1/a v2 over

edited on both sides, the copy with mine was just edited here
    2 f|1/a v1|1/a v2|1/a v3
    3 f|1/a (OLD) v3|1/a (OLD) v3|1/a (OLD) v4
    2: conflict 1/a v2 over aside a (NOW) [edit/edit]

moved there into a directory that is to go below it, and that one's own parent is not here
    2 d|1/a d|3/a d|1/a d
    3 d|4/q d|2/q d|4/q d
    4 d|1/p d|1/p d|-
    2: local move 1/a to 3/a
"""


@pytest.mark.parametrize(
    ("rows", "key", "traits", "expected"),
    [pytest.param(*case, id=sentence) for sentence, *case in situations(TABLE)],
)
def test_plan_of_what_is_rare(rows, key, traits, expected):
    assert planned(build(*rows, **traits), key) == expected


@pytest.mark.parametrize("parent", ["2 d|1/d d|-t|?unread 1/d", "2 d|1/d d|1/d d|?left 1/d"])
def test_p7_a_directory_that_is_not_known_is_not_taken_for_one_that_a_side_deleted(parent):
    assert touch(build(parent, "3 f|2/a v1|2/a v1|2/a v1"), 3) == (3,)
