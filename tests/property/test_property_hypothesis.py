"""The same stories, chosen by Hypothesis: it looks elsewhere than seeds do, and makes small what fails."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.case import KINDS, Case, play
from tests.property.generator import WEIGHTS, step_of
from tests.property.seeds import CASES
from tests.property.shrink import story

byte = st.integers(0, 255)
steps = st.builds(step_of, st.integers(0, len(WEIGHTS) - 1), byte, byte, byte)


def some(least: int, most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(steps, min_size=least, max_size=most).map(tuple)


cases = st.builds(
    Case,
    kind=st.sampled_from(list(KINDS)),
    traits=st.integers(0, 31),
    order=st.integers(0, 2**30 - 1),
    base=some(0, 8),
    here=some(0, 5),
    there=some(0, 5),
    again_here=some(0, 2),
    again_there=some(0, 2),
)


@given(cases)
@settings(max_examples=min(CASES // 10, 5000), deadline=None, database=None, derandomize=True, print_blob=False)
def test_p1_p2_p3_p7_any_story_ends_well(case: Case) -> None:
    try:
        play(case)
    except Exception as why:
        raise AssertionError(story(case)) from why
