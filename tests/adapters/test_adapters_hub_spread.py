"""How many connections a transfer is spread over: found by trying, on links that are only reckoned with."""

import threading
from collections.abc import Callable, Iterator

import pytest

from syncd.adapters.hub_spread import (
    AGAIN_SECONDS,
    FAST,
    FAST_STREAMS,
    FIRST_BYTES,
    HELD_BYTES,
    MOST,
    MOST_BYTES,
    Pace,
    Spread,
)
from syncd.model.errors import Offline

LONG = 30.0


class Link:
    """One connection carries *each* bytes a second, all together *most*; a reply is *away* seconds away."""

    def __init__(self, each: float, most: float, away: float = 0.0) -> None:
        self.each, self.most, self.away, self.now = each, most, away, 0.0

    def carry(self, pace: Pace, seconds: float) -> None:
        """Use it for so long, with as many connections as *pace* says."""
        ends = self.now + seconds
        pace.begin(self.now)
        while self.now < ends:
            number, size = pace.streams, pace.part_bytes
            took = self.away + size / min(self.each, self.most / number)
            self.now += took
            for _ in range(number):
                pace.learn(size, took, number, self.now)


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        pytest.param(Link(90e3, 1e6, 0.2), MOST, id="loss far away"),
        pytest.param(Link(2e6, 100e6, 0.3), MOST, id="only far away"),
        pytest.param(Link(1e6, 1e6, 0.03), 1, id="a thin line"),
        pytest.param(Link(500e3, 1e6, 0.03), 4, id="loss on a thin line"),
        pytest.param(Link(100e6, 100e6), FAST_STREAMS, id="next door"),
    ],
)
def test_as_many_connections_as_get_more_done(link: Link, expected: int) -> None:
    pace = Pace()
    link.carry(pace, 60)
    assert pace.streams == expected
    assert (pace.part_bytes == MOST_BYTES) == (link.each > FAST)
    assert FIRST_BYTES <= pace.part_bytes <= MOST_BYTES
    assert pace.part_bytes * pace.streams <= HELD_BYTES


def test_a_link_that_changes_is_tried_again() -> None:
    pace = Pace()
    link = Link(1e6, 1e6, 0.03)
    link.carry(pace, 60)
    assert pace.streams == 1
    link.each, link.most = 90e3, 1e6
    link.carry(pace, AGAIN_SECONDS)
    assert pace.streams == MOST
    link.each, link.most = 100e6, 1e9
    link.carry(pace, 10)
    assert (pace.streams, pace.part_bytes) == (FAST_STREAMS, MOST_BYTES)


def test_one_fast_request_is_no_proof_of_a_fast_link() -> None:
    pace = Pace()
    pace.learn(1 << 20, 0.01, 1, 0.0)  # what lay in a buffer
    assert pace.streams == FAST_STREAMS
    link = Link(90e3, 1e6, 0.2)
    link.carry(pace, 200)  # the first requests are large, and slow
    assert pace.streams == MOST


def test_many_fast_connections_hold_no_more_than_few() -> None:
    pace = Pace()
    pace.streams = MOST
    pace.learn(MOST_BYTES, 0.1, MOST, 1.0)
    assert pace.streams == MOST // 2
    assert FIRST_BYTES < pace.part_bytes * pace.streams <= HELD_BYTES


def test_small_requests_tell_nothing_of_the_link() -> None:
    pace = Pace()
    for _ in range(100):
        pace.learn(5000, 1.0, 1, 100.0)
    assert (pace.streams, pace.part_bytes) == (1, FIRST_BYTES)


def test_too_few_at_once_are_no_proof_that_more_are_useless() -> None:
    pace = Pace()
    for at in (1.5, 3.0):
        pace.learn(FIRST_BYTES, 1.5, 1, at)
    assert pace.streams == 4
    for at in range(20):
        pace.learn(FIRST_BYTES, 1.5, 1, 4.0 + at)  # nobody had more to send
    assert pace.streams == 4


def numbered(count: int, work: Callable[[int], None] = lambda _: None) -> Iterator[Callable[[], tuple[int, int]]]:
    def one(number: int) -> tuple[int, int]:
        work(number)
        return 0, number

    for number in range(count):
        yield lambda number=number: one(number)  # type: ignore[misc]


def test_results_come_in_order_while_several_run_at_once() -> None:
    spread = Spread()
    spread.pace.streams = 3
    together = threading.Barrier(3)  # passes only when three run at once

    def work(_number: int) -> None:
        together.wait(LONG)

    assert list(spread.run(numbered(9, work))) == list(range(9))
    spread.close()


def test_one_at_a_time_needs_no_thread() -> None:
    spread, ran_by = Spread(), set()
    assert list(spread.run(numbered(5, lambda _: ran_by.add(threading.current_thread())))) == [0, 1, 2, 3, 4]
    assert ran_by == {threading.current_thread()}


@pytest.mark.parametrize("streams", [1, 2, MOST])
def test_a_single_request_needs_no_thread(streams: int) -> None:
    spread, ran_by = Spread(), set()
    spread.pace.streams = streams
    for _ in range(3):
        assert list(spread.run(numbered(1, lambda _: ran_by.add(threading.current_thread())))) == [0]
    assert ran_by == {threading.current_thread()}


def test_nothing_to_do_is_done() -> None:
    spread = Spread()
    spread.pace.streams = 2
    assert list(spread.run(numbered(0))) == []


def test_no_more_are_begun_than_may_be_held() -> None:
    spread = Spread()
    spread.pace.streams = 2
    begun: list[int] = []
    results = spread.run(numbered(50, begun.append))
    assert next(results) == 0
    assert len(begun) <= 4
    results.close()
    spread.close()


@pytest.mark.parametrize("streams", [1, 3])
def test_what_goes_wrong_is_raised_in_its_turn(streams: int) -> None:
    spread = Spread()
    spread.pace.streams = streams

    def work(number: int) -> None:
        if number == 2:
            raise Offline("cut")

    results = spread.run(numbered(6, work))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(Offline, match="cut"):
        next(results)
    spread.close()


def test_a_closed_one_keeps_nobody_waiting() -> None:
    spread = Spread()
    spread.pace.streams = MOST
    held = threading.Event()

    def work(number: int) -> None:
        if number:
            held.wait(LONG)

    def end() -> None:
        spread.close()
        held.set()

    results = spread.run(numbered(2 * MOST, work))
    assert next(results) == 0
    threading.Timer(0.0, end).start()
    with pytest.raises(Offline):
        list(results)
