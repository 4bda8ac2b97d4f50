"""What a play that fails says of it, and what counts as the same failure when it is made small."""

from pathlib import Path

from tests.sim.play import Play
from tests.sim.scenes import Cuts, Told
from tests.sim.shrink import failure, shrink

HERE = "tests/sim/test_sim_failures.py"


def silent(base: Path, seed: int, cuts: Cuts, told: Told) -> None:
    """Fails without a word; with fewer turns, elsewhere."""
    told.play = Play(base, seed, "ann")
    if cuts.turns is not None:
        raise AssertionError
    raise AssertionError  # as a bare assertion does


def broken(base: Path, seed: int, cuts: Cuts, told: Told) -> None:
    raise ValueError("2 of [3]\nand more")


def test_an_assertion_without_words_is_shown_and_where_it_stands() -> None:
    found = failure(1, scene=silent)
    assert found is not None
    code = "raise AssertionError  # as a bare assertion does"
    line = Path(__file__).read_text("utf-8").splitlines().index(f"    {code}") + 1
    assert found.why == f"AssertionError at {HERE}:{line}: {code}"


def test_any_error_says_where_it_came_from() -> None:
    found = failure(1, scene=broken)
    assert found is not None
    assert found.why.startswith(f"ValueError at {HERE}:")
    assert found.why.endswith(": 2 of [3]")


def test_another_assertion_is_another_failure() -> None:
    found = failure(1, scene=silent)
    assert found is not None
    assert shrink(found).cuts.turns is None
