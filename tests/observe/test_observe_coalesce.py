"""Hints become looks: at once the first time, less and less often while somebody keeps writing."""

from itertools import pairwise

import pytest

from syncd.observe.coalesce import LONGEST_INTERVAL, REMEMBERED, WHOLE_ABOVE, Coalescer

D = ("folder",)


def test_the_first_hint_is_released_at_once():
    hints = Coalescer()
    assert hints.next_due() is None
    hints.add(D, "a", 100.0)
    assert hints.next_due() == 100.0
    assert hints.due(100.0) == [(D, ("a",))]
    assert hints.next_due() is None
    assert hints.due(200.0) == []


def test_repeats_come_at_growing_intervals_and_the_last_hint_is_never_lost():
    hints = Coalescer()
    now, releases = 0.0, []
    while now < 200.0:  # an application that writes four times a second, and stops
        hints.add(D, "log", now)
        releases += [now for _ in hints.due(now)]
        now += 0.25
    gaps = [round(b - a, 2) for a, b in pairwise(releases)]
    assert gaps[:7] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
    assert set(gaps[7:]) == {LONGEST_INTERVAL}
    last = hints.next_due()
    assert last is not None
    assert hints.due(last) == [(D, ("log",))]
    assert hints.next_due() is None


def test_after_a_rest_a_hint_counts_as_the_first_again():
    hints = Coalescer()
    for now in (0.0, 0.25, 0.75):
        hints.add(D, "a", now)
        assert hints.due(now)
    hints.add(D, "a", 60.0)
    assert hints.next_due() == 60.0


def test_busy_since_tells_when_unrest_began():
    hints = Coalescer()
    hints.add(D, "a", 5.0)
    assert hints.busy_since(D, "a") is None
    hints.due(5.0)
    assert hints.busy_since(D, "a") is None
    hints.add(D, "a", 5.1)
    assert hints.busy_since(D, "a") == 5.0
    assert hints.busy_since(D, "other") is None
    assert hints.busy_since(("elsewhere",), "a") is None


def test_names_of_one_directory_travel_together_and_sorted():
    hints = Coalescer()
    for directory, name in ((D, "b"), ((), "x"), (D, "a"), (D, "b")):
        hints.add(directory, name, 1.0)
    assert hints.due(1.0) == [((), ("x",)), (D, ("a", "b"))]


def test_many_names_become_one_look_at_the_whole_directory():
    hints = Coalescer()
    for number in range(WHOLE_ABOVE + 1):
        hints.add(D, str(number), 1.0)
    hints.add((), "x", 1.0)
    assert hints.due(1.0) == [((), ("x",)), (D, None)]
    assert hints.next_due() is None


def test_whole_looks_are_paced_too():
    hints = Coalescer()
    releases = []
    for step in range(100):
        now = step / 10
        for number in range(WHOLE_ABOVE + 1):
            hints.add(D, f"{step}-{number}", now)
        releases += [now for _, names in hints.due(now) if names is None]
    assert releases[0] == 0.0
    assert len(releases) < 8


@pytest.mark.parametrize("step", [0.0, 0.001])
def test_memory_is_bounded(step):
    hints = Coalescer()
    for number in range(REMEMBERED + 5000):
        hints.add(D, str(number), number * step)
        if number % 100 == 0:
            hints.due(number * step)
    assert len(hints._directories[D].names) <= REMEMBERED
    hints.sweep(1e9)
    assert hints._pace(D, "0") is None


def test_what_rests_is_forgotten():
    hints = Coalescer()
    for number in range(5000):
        hints.add((f"folder {number}",), "a", float(number))
        hints.due(float(number))
    assert len(hints._directories) < 2500
