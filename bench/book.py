"""What was measured, as plain data: who needed how much for which row. Never judges and never prints.

A *row* is a piece of work; *who* did it: the floor, this program or a peer. A *figure* is one property of that work
with its unit, and holds one sample a try.
"""

import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

FLOOR: Final = "floor"
OURS: Final = "syncd"
FORMAT: Final = 1


@dataclass(slots=True)
class Line:
    """What one did in one row. *note*: how, or why not. *durable*: it is on the disk when the time ends."""

    row: str
    who: str
    note: str = ""
    durable: bool = False
    figures: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, list[int]] = field(default_factory=dict)


def middle(samples: list[float]) -> float:
    """Return the median."""
    return statistics.median(samples)


def high(samples: list[float]) -> float:
    """Return the value that 95 % of the samples do not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, -(-len(ordered) * 95 // 100) - 1)]


@dataclass(slots=True)
class Book:
    """All lines of a run, in the order they were first written, and what must be known to read them."""

    scale: str
    sizes: dict[str, int]
    conditions: dict[str, str]
    peers: dict[str, str] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    profiles: str = ""

    def line(self, row: str, who: str, note: str = "", durable: bool = False) -> Line:
        """Return the line, made when new."""
        found = self.find(row, who)
        if found is None:
            found = Line(row, who, note, durable)
            self.lines.append(found)
        return found

    def find(self, row: str, who: str) -> Line | None:
        """Return the line, or None."""
        return next((line for line in self.lines if (line.row, line.who) == (row, who)), None)

    def of_row(self, row: str) -> list[Line]:
        """Return the lines of a row."""
        return [line for line in self.lines if line.row == row]

    def add(self, row: str, who: str, figures: Mapping[str, float], note: str = "", durable: bool = False) -> None:
        """Write down one sample of each of *figures*."""
        line = self.line(row, who, note, durable)
        for name, value in figures.items():
            line.figures.setdefault(name, []).append(value)

    def remember(self, row: str, who: str, seen: dict[str, list[int]]) -> None:
        """Keep the memory of processes over the time of this work (of the last try)."""
        self.line(row, who).memory = seen

    def save(self, path: Path) -> None:
        """Write all of it as JSON."""
        path.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Book":
        """Read what ``save`` wrote; raises ValueError for anything else."""
        told: dict[str, Any] = json.loads(path.read_text())
        if not isinstance(told, dict) or told.pop("format", None) != FORMAT:
            raise ValueError(f"{path} holds no result of this version")
        told["lines"] = [Line(**line) for line in told["lines"]]
        return cls(**told)
