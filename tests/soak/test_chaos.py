"""Whatever happens to real devices and a real hub while people work: nothing is lost, all become alike (P1-P4).

The short form is a fixed seed; `python -m tests.soak.chaos` goes on for as long as told. SYNCD_SEED and SYNCD_EVENTS
choose the seed and the length of the long form.
"""

import os

import pytest

from tests.end_to_end.harness import World
from tests.soak.chaos import Outcome, Plan, perform
from tests.soak.mishaps import mishaps

FIXED = 1
SEED = int(os.environ.get("SYNCD_SEED", "1"))
EVENTS = int(os.environ.get("SYNCD_EVENTS", "200"))
FEW = 12
"""Events: half of them while one device edits, half of them while both do."""

KILLS = 8

pytestmark = pytest.mark.slow


def test_p1_p4_kills_and_other_mishaps_while_one_device_edits_and_then_both(world: World) -> None:
    """As long as only one does, no conflicted copy may appear at all."""
    outcome = Outcome()
    only = mishaps("kill,network,lock")
    perform(world, Plan(seed=FIXED, events=FEW, alone=FEW // 2, only=only), outcome)
    print(outcome.told())
    assert outcome.kills >= KILLS, "the seed no longer draws what this is about"


@pytest.mark.soak
@pytest.mark.parametrize("editors", [pytest.param(1, id="one edits"), pytest.param(3, id="three edit")])
def test_p1_p4_many_mishaps(world: World, editors: int) -> None:
    outcome = Outcome()
    perform(world, Plan(seed=SEED, devices=3, editors=editors, events=EVENTS, only=mishaps("")), outcome)
    print(outcome.told())
