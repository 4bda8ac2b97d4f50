"""The rows of the table and their marks, and whether a mark is reached. Pure: reads a book, measures nothing."""

from dataclasses import dataclass
from enum import Enum
from typing import Final, assert_never

from bench.book import FLOOR, OURS, Book, Line, high, middle

MB: Final = 1_000_000
MIB: Final = 1 << 20
KIB: Final = 1 << 10

MANY_NODES: Final = "syncd, many nodes"
FEW_NODES: Final = "syncd, few nodes"


class Verdict(Enum):
    """What became of a mark. OPEN: what it compares with was not measured."""

    REACHED = "reached"
    MISSED = "missed"
    OPEN = "open"


class Of(Enum):
    """Which of the samples counts."""

    MIDDLE = "median"
    HIGH = "95 %"

    def __call__(self, samples: list[float]) -> float:
        return middle(samples) if self is Of.MIDDLE else high(samples)


@dataclass(frozen=True, slots=True)
class AtMost:
    """A figure may not exceed *limit*."""

    limit: float
    figure: str = "time"
    of: Of = Of.MIDDLE


@dataclass(frozen=True, slots=True)
class TimesFloor:
    """The time may be *factor* times the floor of the same run."""

    factor: float


@dataclass(frozen=True, slots=True)
class Under:
    """The time must be under *share* of the time of a peer of the same run."""

    peer: str
    share: float = 1.0


Mark = AtMost | TimesFloor | Under


@dataclass(frozen=True, slots=True)
class Row:
    """One row. *title* may name sizes of the scale; *who*: whose figures are judged."""

    name: str
    title: str
    marks: tuple[Mark, ...] = ()
    who: str = OURS


ROWS: Final[tuple[Row, ...]] = (
    Row("rescan", "look at {many:,} files, nothing changed", (TimesFloor(2.5),)),
    Row("rescan-million", "look at {million:,} files, nothing changed", (TimesFloor(2.5),)),
    Row("index", "first index of {many:,} files of 1 KiB", (TimesFloor(3),)),
    Row(
        "index-million",
        "first index of {million:,} empty files",
        (TimesFloor(3), AtMost(350 * MIB, "peak memory"), AtMost(150 * MIB, "memory at rest")),
    ),
    Row("small", "{small:,} files of 4 KiB, A to B", (TimesFloor(8), Under("Unison"), Under("Syncthing", 0.25))),
    Row("many", "{many:,} files of 1 KiB, A to B", (AtMost(25),)),
    Row("large", "a file of {large:bytes}, A to B", (Under("Unison"), Under("Syncthing"))),
    Row(
        "insert",
        "insert 1 byte in the middle of {large:bytes}",
        (TimesFloor(10), AtMost(2 * MB, "up"), AtMost(2 * MB, "down")),
    ),
    Row(
        "overwrite",
        "overwrite {patch:bytes} of {large:bytes}",
        (TimesFloor(10), AtMost(3 * MB, "up"), AtMost(3 * MB, "down")),
    ),
    Row("rename", "rename a folder of {small:,} files", (AtMost(0.3), AtMost(16 * KIB, "wire"))),
    Row("latency", "save a small file in A, complete in B", (AtMost(0.060), AtMost(0.150, of=Of.HIGH))),
    Row(
        "idle",
        "{idle} s of nothing with {many:,} files",
        (
            AtMost(0.05, "CPU"),
            AtMost(0.05, "CPU of the hub"),
            AtMost(120 * MIB, "memory"),
            AtMost(0, "written"),
            AtMost(1, "wake-ups a second"),
        ),
    ),
    Row("planning", "one change among {few:,} and {million:,} nodes: at the hub", (TimesFloor(1.5),), MANY_NODES),
    Row("status", "`syncd status` while {million:,} files are scanned", (AtMost(0.150),)),
    Row("start", "cold start with {million:,} nodes"),
    Row("upload-million", "{million:,} empty files, A to the hub"),
    Row("clone-million", "{million:,} empty files, the hub to an empty device"),
    Row("rename-million", "rename the folder of {million:,} files"),
    Row("rebuild-million", "know {million:,} files again after the database was lost"),
    Row("growth", "how cost grows with the number of (empty) files", who=""),
    Row(
        "link", "{link:,} files of 4 KiB and one of {link file:bytes}, A to the hub, over a far link", (TimesFloor(2),)
    ),
    Row("database", "rows of the device's database"),
    Row("hub", "the hub alone: commits and content"),
    Row("devices", "the hub with {devices} devices that wait: a commit, until all of them have it"),
)
NAMES: Final = tuple(row.name for row in ROWS)


@dataclass(frozen=True, slots=True)
class Judged:
    """A mark, in words, with its verdict."""

    words: str
    verdict: Verdict


def judged(row: Row, book: Book) -> list[Judged]:
    """Return what became of each mark. Marks are about the full scale: at any other only ratios are told."""
    return [Judged(words(mark), _verdict(mark, row, book)) for mark in row.marks]


def _verdict(mark: Mark, row: Row, book: Book) -> Verdict:
    if book.scale != "full":
        return Verdict.OPEN
    ours = book.find(row.name, row.who)
    if ours is None or not ours.figures:
        return Verdict.MISSED
    match mark:
        case AtMost(limit, figure, of):
            samples = ours.figures.get(figure)
            if not samples:
                return Verdict.OPEN
            return Verdict.REACHED if of(samples) <= limit else Verdict.MISSED
        case TimesFloor(factor):
            found = ratio(ours, book)
            return _compared(found, factor)
        case Under(peer, share):
            return _compared(_against(ours, book.find(row.name, peer)), share)
        case _:
            assert_never(mark)


def _compared(found: float | None, limit: float) -> Verdict:
    if found is None:
        return Verdict.OPEN
    return Verdict.REACHED if found <= limit else Verdict.MISSED


def ratio(line: Line, book: Book, figure: str = "time") -> float | None:
    """Return how many times the floor's *figure* this is, by the medians; None where either is missing."""
    floor = book.find(line.row, FEW_NODES) if line.who == MANY_NODES else book.find(line.row, FLOOR)
    return _against(line, floor, figure)


def _against(line: Line, other: Line | None, figure: str = "time") -> float | None:
    if other is None or not other.figures.get(figure) or not line.figures.get(figure):
        return None
    base = middle(other.figures[figure])
    return middle(line.figures[figure]) / base if base > 0 else None


def words(mark: Mark) -> str:
    """Return a mark as a person would say it."""
    match mark:
        case AtMost(limit, figure, of):
            said = {"time": "", "up": " up", "down": " down", "wire": " on the wire"}.get(figure, f" {figure}")
            return f"≤ {shown(figure, limit)}{said}" + (" (95 %)" if of is Of.HIGH else "")
        case TimesFloor(factor):
            return f"≤ {factor:g} × floor"
        case Under(peer, share):
            return f"under {peer}" if share == 1 else f"{1 / share:g} × faster than {peer}"
        case _:
            assert_never(mark)


def title(row: Row, sizes: dict[str, int]) -> str:
    """Return the row's title with the sizes of the run."""
    text = row.title
    for name, value in sizes.items():
        text = text.replace(f"{{{name}:,}}", f"{value:,}").replace(f"{{{name}:bytes}}", _binary(value))
        text = text.replace(f"{{{name}}}", f"{value:g}")
    return text


# --- figures in words ---------------------------------------------------------------------------------------------


def shown(figure: str, value: float) -> str:
    """Return a figure with its unit: its name says what it is measured in."""
    if figure in ("up", "down", "wire", "written"):
        return _decimal(value)
    if "memory" in figure:
        return f"{value / MIB:.0f} MiB"
    if figure.endswith("/s") or "a second" in figure:
        return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"
    if figure == "connections":
        return f"{value:.0f}"
    if figure == "bytes a node":
        return f"{value:,.0f} B"
    return _seconds(value)


def _seconds(value: float) -> str:
    if value < 0.001:
        return f"{value * 1e6:.0f} µs"
    if value < 0.1:
        return f"{value * 1000:.1f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:,.1f} s"


def _decimal(value: float) -> str:
    if value < 1000:
        return f"{value:.0f} B"
    return f"{value / 1000:.1f} kB" if value < MB else f"{value / MB:.2f} MB"


def _binary(value: float) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", MIB), ("KiB", KIB)):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g} B"
