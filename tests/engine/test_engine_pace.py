"""What status says of speed: totals never go back, rates are of the last seconds, and nothing is promised too early."""

import pytest

from syncd.engine.pace import WINDOW, Pace
from syncd.model.job import ApplyJob, SendJob
from syncd.model.node import Kind, Version
from syncd.model.observation import Ending, OpResult, OpsEnded, Progress
from syncd.model.path import ROOT_ID
from syncd.model.remote import RemoteNode

NODE = RemoteNode(b"n" * 16, ROOT_ID, "a", Kind.FILE, Version(1, "t"))


def sent(op_id: int, size: int, ending: Ending = Ending.DONE) -> OpsEnded:
    nodes = (NODE,) if ending is Ending.DONE else ()
    return OpsEnded(SendJob(()), (OpResult(op_id, ending, remote=nodes, bytes_moved=size),))


def received(op_id: int, size: int) -> OpsEnded:
    return OpsEnded(ApplyJob((), prove=False), (OpResult(op_id, Ending.DONE, bytes_moved=size),))


def test_p12_totals_and_rates_by_direction() -> None:
    pace = Pace()
    pace.now(0.0)
    pace.ended(sent(1, 1000))
    pace.ended(received(2, 300))
    moment = pace.now(2.0)
    assert (moment.up, moment.down) == (1000, 300)
    assert pace.rates() == (500.0, 150.0)


def test_p12_a_transfer_under_way_counts_and_is_not_counted_twice() -> None:
    pace = Pace()
    pace.now(0.0)
    pace.progress(Progress(1, 800, 1000, sent=500))
    assert pace.now(1.0).up == 500
    assert pace.left(1, [(800, 1000)]) == pytest.approx(0.25)
    pace.ended(sent(1, 600))
    assert pace.now(2.0).up == 600


def test_p12_what_a_failed_transfer_moved_has_travelled() -> None:
    pace = Pace()
    pace.progress(Progress(1, 800, 1000, sent=500))
    pace.ended(sent(1, 0, Ending.RETRY))
    assert pace.now(1.0).up == 500


def test_p12_rates_forget_what_is_long_ago() -> None:
    pace = Pace()
    pace.now(0.0)
    pace.ended(sent(1, 10_000))
    for second in range(1, int(WINDOW) * 3):
        pace.now(float(second))
    assert pace.rates() == (0.0, 0.0)
    assert pace.left(5, []) is None


def test_p12_the_rest_is_estimated_by_the_slower_of_ops_and_bytes() -> None:
    pace = Pace()
    pace.now(0.0)
    assert pace.left(10, []) is None
    pace.ended(sent(1, 1))
    pace.ended(sent(2, 1))
    pace.now(1.0)
    assert pace.left(10, []) == pytest.approx(5.0)
    assert pace.left(0, []) is None
