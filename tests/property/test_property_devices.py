"""Two devices and a hub: they come to rest on one tree (P2), nothing is lost (P1), one editor makes no conflict."""

import os

import pytest

from tests.property.devices import play

CASES = int(os.environ.get("SYNCD_CASES", "2000")) // 4
BLOCK = 100


def seeds() -> list[range]:
    one = os.environ.get("SYNCD_SEED")
    if one is not None:
        return [range(int(one), int(one) + 1)]
    return [range(first, min(first + BLOCK, CASES)) for first in range(0, CASES, BLOCK)]


@pytest.mark.parametrize("block", seeds(), ids=lambda block: f"{block.start}-{block.stop - 1}")
def test_p1_p2_two_devices_come_to_rest_on_one_tree(block: range) -> None:
    trace = print if len(block) == 1 else lambda line: None
    for seed in block:
        try:
            play(seed, trace)
        except Exception as why:
            raise AssertionError(f"SYNCD_SEED={seed}: {why}") from why
