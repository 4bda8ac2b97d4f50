"""The guard against mass changes (P8): judges what may go and what a person must allow.

It counts; it never decides what is right.
"""

from dataclasses import dataclass

from syncd.model import words


@dataclass(frozen=True, slots=True)
class Pending:
    """Deletes and overwrites that are about to be released in one direction, and the bytes they would displace."""

    count: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Recent:
    """What was released in this direction within the window."""

    count: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """The size of the root."""

    nodes: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Marks:
    """Where mass changes begin: *nodes*, or *share* of the root but never under *floor*, or *bytes*."""

    nodes: int = 1000
    share: float = 0.25
    floor: int = 100
    bytes: int = 10 * 1024**3

    def count(self, totals: Totals) -> int:
        """Return how many nodes may change in the window without a person."""
        return min(self.nodes, max(self.floor, int(totals.nodes * self.share)))


def judge(pending: Pending, recent: Recent, totals: Totals, marks: Marks = Marks()) -> str:
    """Return why the pending deletes and overwrites of one direction must be held, in plain words; "" when they may go.

    Over a mark, all that is pending is held: half of a mass delete is not what anybody wants to find.
    """
    if not pending.count:
        return ""
    count = recent.count + pending.count
    at_stake = recent.bytes + pending.bytes
    limit = marks.count(totals)
    if count > limit:
        return f"{count} deletes and overwrites within the window, over the mark of {limit}"
    if at_stake > marks.bytes:
        mark = words.size(marks.bytes)
        return f"{words.size(at_stake)} deleted or overwritten within the window, over the mark of {mark}"
    return ""
