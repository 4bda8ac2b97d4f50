"""The small model: every interleaving of two devices and a hub within bounds, and proof that it finds mistakes.

``python -m tests.exhaustive.run`` goes further; ``docs/testing.md`` says how far it went."""

import pytest

from tests.exhaustive.run import main
from tests.exhaustive.search import Search
from tests.exhaustive.values import Mistake, base

BUDGETS = {  # files in sync, edits, crashes, lost replies, most states
    "one edit, with a crash and a lost reply": (1, 1, 1, 1, None),
    "one edit among two files, with a crash": (2, 1, 1, 0, None),
    "two edits, the first states": (1, 2, 0, 0, 4_000),
    "two edits, a crash and a lost reply, the first states": (1, 2, 1, 1, 4_000),
}

MISTAKES = {  # files, edits, crashes and lost replies that are enough, and the promise that breaks
    Mistake.EARLY_S: (1, 1, 0, 0, "P4"),
    Mistake.FORGOTTEN_KEY: (1, 2, 1, 0, "P4"),
    Mistake.NEW_KEY: (1, 2, 0, 1, "P4"),
    Mistake.LATE_LOOKS: (1, 1, 0, 0, "P2"),
    Mistake.CURSOR_FIRST: (1, 1, 1, 0, "P2"),
    Mistake.BLIND_HUB: (1, 2, 0, 0, "P1"),
    Mistake.BLIND_DISK: (1, 2, 0, 0, "P1"),
    Mistake.OLD_ARRIVALS: (1, 2, 0, 0, "P2"),
    Mistake.ARRIVING_BY_R: (0, 2, 0, 0, "P3"),
}


@pytest.mark.parametrize("bounds", BUDGETS.values(), ids=BUDGETS)
def test_p1_p2_p4_hold_in_every_state_and_each_comes_to_rest(bounds: tuple[int, int, int, int, int | None]) -> None:
    files, edits, crashes, lost, most = bounds
    search = Search(base(files, edits, crashes, lost), most=most)
    found = search.run()
    assert found is None, str(found)
    assert search.exhausted == (most is None)
    assert search.states > 1_000


def test_every_mistake_is_listed() -> None:
    assert set(MISTAKES) == set(Mistake)


@pytest.mark.parametrize("mistake", Mistake, ids=[mistake.value for mistake in Mistake])
def test_a_mistake_in_the_protocol_is_found(mistake: Mistake) -> None:
    files, edits, crashes, lost, promise = MISTAKES[mistake]
    search = Search(base(files, edits, crashes, lost), frozenset({mistake}), most=20_000)
    found = search.run()
    assert found is not None, f"not found in {search.states} states"
    assert found.why.startswith(promise), str(found)
    assert found.steps, "a counterexample is a list of steps"


def test_the_command_prints_what_it_went_through(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--edits", "1", "--crashes", "0", "--lost", "0", "--quiet"]) == 0
    assert "(all of them)" in capsys.readouterr().out
    assert main(["--edits", "2", "--crashes", "0", "--lost", "0", "--depth", "3", "--quiet"]) == 0
    assert "not gone on from" in capsys.readouterr().out


def test_the_command_prints_a_counterexample_as_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--edits", "1", "--crashes", "1", "--lost", "0", "--mistake", "cursor_first", "--quiet"]) == 1
    said = capsys.readouterr().out
    assert "  1. pc1: a person " in said
    assert "the cursor 2 is saved" in said
