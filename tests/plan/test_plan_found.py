"""What generated cases found: the smallest situation of each, with the line that replays the case."""

import pytest

from tests.plan.sentences import build, planned, situations

# The second was found by
# again:0:1:158abf48.291089b4:1d5aac29.1b1ce7ef.1ad152b0:1d5aac29.1ad152b0.cf0019:c382914.2e007b6f:2da1a51f.2cd190b5
TABLE = """
renamed here, deleted there, its new name taken there: set aside, which is still a rename (P7)
    2 f|1/a v1|-t|1/b v1
    3 d|-|1/b d|-
    2: set aside 1/b to 1/b (NOW) [type]

set aside again: not to the name it had in sync, where it would count as unchanged and be deleted (P7)
    2 f|1/b (NOW) v1|-t|1/b v1
    3 d|-|1/b d|-
    2: set aside 1/b to 1/b (NOW) 2 [type]
"""


@pytest.mark.parametrize(
    ("rows", "key", "traits", "expected"),
    [pytest.param(*case, id=sentence) for sentence, *case in situations(TABLE)],
)
def test_plan_of_what_was_found(rows, key, traits, expected):
    assert planned(build(*rows, **traits), key) == expected
