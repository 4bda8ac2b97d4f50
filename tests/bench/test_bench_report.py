"""The table of the benchmarks: medians, spread, ratios and verdicts, from figures that are made up here."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from bench.book import FLOOR, OURS, Book, high, middle
from bench.marks import (
    FEW_NODES,
    MANY_NODES,
    NAMES,
    ROWS,
    AtMost,
    Of,
    Row,
    TimesFloor,
    Under,
    Verdict,
    judged,
    ratio,
    shown,
    title,
    words,
)  # fmt: skip
from bench.plan import FULL, SCALES, SMALL
from bench.report import bar, least_most, markdown, show, spark, spread, times
from bench.run import PARTS


def book(scale: str = "full", **times_of: float | list[float]) -> Book:
    """Return a book with one row, "x", and a time for each who; their underscores are spaces."""
    found = Book(scale, SCALES[scale], {"machine": "none"})
    for who, seconds in times_of.items():
        for one in seconds if isinstance(seconds, list) else [seconds]:
            found.add("x", who.replace("_", " "), {"time": one})
    return found


def verdict(mark: AtMost | TimesFloor | Under, of: Book) -> Verdict:
    (one,) = judged(Row("x", "work", (mark,)), of)
    return one.verdict


@pytest.mark.parametrize(
    ("samples", "median", "most"),
    [([3.0], 3.0, 3.0), ([1.0, 9.0, 2.0], 2.0, 9.0), ([float(n) for n in range(1, 101)], 50.5, 95.0)],
)
def test_the_middle_and_what_95_percent_stay_under(samples: list[float], median: float, most: float) -> None:
    assert (middle(samples), high(samples)) == (median, most)


def test_a_ratio_is_of_medians_and_none_without_a_floor() -> None:
    measured = book(floor=[1.0, 2.0, 90.0], syncd=[8.0, 1.0, 9.0])
    ours = measured.find("x", OURS)
    assert ours is not None
    assert ratio(ours, measured) == 4.0
    assert ratio(ours, measured, "cold") is None
    alone = book(syncd=8.0)
    assert ratio(alone.lines[0], alone) is None
    nothing = book(floor=0.0, syncd=8.0)
    assert ratio(nothing.lines[1], nothing) is None


def test_many_nodes_are_compared_with_few() -> None:
    measured = Book("full", FULL, {})
    measured.add("planning", FEW_NODES, {"time": 0.1})
    measured.add("planning", MANY_NODES, {"time": 0.15})
    assert ratio(measured.lines[1], measured) == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("mark", "measured", "expected"),
    [
        pytest.param(TimesFloor(3), book(floor=1.0, syncd=3.0), Verdict.REACHED, id="exactly the mark is reached"),
        pytest.param(TimesFloor(3), book(floor=1.0, syncd=3.1), Verdict.MISSED, id="over it is missed"),
        pytest.param(TimesFloor(3), book(syncd=3.1), Verdict.OPEN, id="no floor, no verdict"),
        pytest.param(TimesFloor(3), book(floor=1.0), Verdict.MISSED, id="a row we could not do is missed"),
        pytest.param(AtMost(2), book(syncd=[1.0, 2.0, 50.0]), Verdict.REACHED, id="the median counts"),
        pytest.param(AtMost(2, of=Of.HIGH), book(syncd=[1.0, 2.0, 50.0]), Verdict.MISSED, id="here the worst do"),
        pytest.param(AtMost(2, "memory"), book(syncd=1.0), Verdict.OPEN, id="a figure that is missing"),
        pytest.param(Under("Unison"), book(syncd=1.0, Unison=1.1), Verdict.REACHED, id="under a peer"),
        pytest.param(Under("Unison"), book(syncd=1.0, Unison=0.9), Verdict.MISSED, id="over a peer"),
        pytest.param(Under("Unison"), book(syncd=1.0), Verdict.OPEN, id="the peer is not installed"),
        pytest.param(Under("x y", 0.25), book(syncd=1.0, x_y=3.9), Verdict.MISSED, id="not four times faster"),
        pytest.param(TimesFloor(3), book("small", floor=1.0, syncd=1.0), Verdict.OPEN, id="marks are for full scale"),
    ],
)  # fmt: skip
def test_verdicts(mark: AtMost | TimesFloor | Under, measured: Book, expected: Verdict) -> None:
    assert verdict(mark, measured) is expected


@pytest.mark.parametrize(
    ("figure", "value", "expected"),
    [
        ("time", 0.00012, "120 µs"), ("time", 0.0602, "60.2 ms"), ("time", 0.3, "0.30 s"), ("time", 14.56, "14.6 s"),
        ("up", 360_000, "360.0 kB"), ("down", 1_100_000, "1.10 MB"), ("wire", 12, "12 B"),
        ("peak memory", 350 << 20, "350 MiB"), ("rows/s", 123456.7, "123,457"), ("wake-ups a second", 0.25, "0.2"),
        ("CPU", 0.05, "50.0 ms"),
    ],
)  # fmt: skip
def test_figures_carry_their_units(figure: str, value: float, expected: str) -> None:
    assert shown(figure, value) == expected


def test_marks_in_words() -> None:
    assert words(TimesFloor(2.5)) == "≤ 2.5 × floor"
    assert words(Under("Syncthing", 0.25)) == "4 × faster than Syncthing"
    assert words(AtMost(0.15, of=Of.HIGH)) == "≤ 0.15 s (95 %)"
    assert words(AtMost(16384, "wire")) == "≤ 16.4 kB on the wire"


def test_spread_and_ratio_as_a_person_reads_them() -> None:
    assert least_most("time", [0.5]) == least_most("time", [0.501, 0.502]) == ""
    assert least_most("time", [0.31, 0.3, 0.4]) == "0.30–0.40\N{NO-BREAK SPACE}s"
    assert spread("time", [0.05, 0.2]) == "0.12 s (50.0\N{NO-BREAK SPACE}ms–0.20\N{NO-BREAK SPACE}s)"
    assert (times(None), times(2.04), times(1234.5)) == ("", "2.0 ×", "1,234 ×")


def test_bars_and_memory_over_time() -> None:
    measured = book(floor=1.0, syncd=2.0, Unison=0.0001)
    assert [bar(line, measured.lines, width=4) for line in measured.lines] == ["██", "████", "▏"]
    assert spark([]) == ""
    assert spark([0, 1, 2, 7], width=4) == "▁▂▃█"
    assert len(spark(list(range(1000)), width=24)) <= 24


def test_a_book_is_the_same_after_it_was_written_and_read(tmp_path: Path) -> None:
    measured = book(floor=1.0, syncd=2.0)
    measured.remember("x", OURS, {"hub": [1, 2]})
    measured.troubles.append("something")
    measured.save(tmp_path / "b.json")
    assert Book.load(tmp_path / "b.json") == measured
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(ValueError, match="no result"):
        Book.load(tmp_path / "c.json")


def test_the_tables_tell_everything() -> None:
    measured = Book("full", FULL, {"cold": "not measured"}, {"Unison": "unison 2.52", "rclone bisync": "not installed"})
    measured.add("small", FLOOR, {"time": 0.3}, "write all", durable=True)
    measured.add("small", OURS, {"time": 1.5, "up": 2_000_000, "down": 3_000_000, "wire": 5_000_000}, durable=True)
    measured.add("small", "Unison", {"time": 2.6})
    measured.troubles.append("small, Syncthing: it ended")
    measured.profiles = "b.profiles"
    terminal = Console(file=io.StringIO(), width=200)
    show(measured, terminal)
    for text in (terminal.file.getvalue(), markdown(measured)):  # type: ignore[attr-defined]
        for wanted in (
            "10,000 files of 4 KiB, A to B", "1.50 s", "5.0 ×", "2.00 MB ↑ 3.00 MB ↓", "≤ 8 × floor", "Unison *",
            "rclone bisync: not installed", "cold: not measured", "it ended", "b.profiles", "write all",
        ):  # fmt: skip
            assert wanted in text, wanted
    assert "≤ 8 × floor: reached" in markdown(measured)
    assert "4 × faster than Syncthing: open" in markdown(measured)


def test_every_row_is_measured_by_a_part_and_titled_at_every_scale() -> None:
    assert frozenset().union(*(rows for rows, _ in PARTS)) == set(NAMES)
    assert SMALL.keys() == FULL.keys()
    for sizes in SCALES.values():
        assert not [title(row, sizes) for row in ROWS if "{" in title(row, sizes)]
