"""The guard against mass deletes and overwrites (P8)."""

import pytest

from syncd.plan.guard import Marks, Pending, Recent, Totals, judge

GIB = 1024**3


def stakes(count, size=1):
    return Pending(count, count * size)


@pytest.mark.parametrize(
    ("pending", "recent", "totals", "held"),
    [
        pytest.param(stakes(50), Recent(), Totals(5000, GIB), False, id="rm -rf of 50 goes"),
        pytest.param(stakes(5000), Recent(), Totals(20000, GIB), True, id="rm -rf of 5,000 is held"),
        pytest.param(stakes(1000), Recent(), Totals(100000, GIB), False, id="exactly the mark goes"),
        pytest.param(stakes(1001), Recent(), Totals(100000, GIB), True, id="one over the mark is held"),
        pytest.param(stakes(100), Recent(), Totals(100, GIB), False, id="never held under the floor"),
        pytest.param(stakes(101), Recent(), Totals(200, GIB), True, id="over the floor and over the share"),
        pytest.param(stakes(251), Recent(), Totals(1000, GIB), True, id="over a quarter of the root"),
        pytest.param(stakes(250), Recent(), Totals(1000, GIB), False, id="a quarter of the root"),
        pytest.param(stakes(60), Recent(50), Totals(100, GIB), True, id="what was done lately counts"),
        pytest.param(stakes(2, 6 * GIB), Recent(), Totals(1000, 100 * GIB), True, id="over 10 GiB at once"),
        pytest.param(stakes(1, GIB), Recent(3, 10 * GIB), Totals(1000, 100 * GIB), True, id="over 10 GiB by and by"),
        pytest.param(stakes(1, 10 * GIB), Recent(), Totals(1000, 100 * GIB), False, id="exactly 10 GiB goes"),
        pytest.param(stakes(0), Recent(5000), Totals(1, 1), False, id="nothing pending, nothing held"),
    ],
)
def test_p8_judge(pending, recent, totals, held):
    assert bool(judge(pending, recent, totals)) == held


def test_p8_marks_can_be_set():
    assert judge(stakes(3), Recent(), Totals(10, 10), Marks(nodes=2, floor=1)).endswith("over the mark of 2")
