"""The guard against mass changes (P8): judges what may go and what a person must allow.

It counts; it never decides what is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stake:
    """One pending delete or overwrite and the bytes it would displace."""

    op_id: int
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


@dataclass(frozen=True, slots=True)
class Judgement:
    """Ops to release and ops to hold as one group; *reason* says why, in plain words ("" when nothing is held)."""

    release: tuple[int, ...]
    hold: tuple[int, ...]
    reason: str = ""


def judge(
    pending: Sequence[Stake],
    recent: Recent,
    totals: Totals,
    marks: Marks = Marks(),
) -> Judgement:
    """Return whether the pending deletes and overwrites of one direction may go.

    Over a mark, all that is pending is held: half of a mass delete is not what anybody wants to find.
    """
    if not pending:
        return Judgement((), ())
    ids = tuple(sorted(stake.op_id for stake in pending))
    count = recent.count + len(pending)
    at_stake = recent.bytes + sum(stake.bytes for stake in pending)
    limit = marks.count(totals)
    if count > limit:
        return Judgement((), ids, f"{count} deletes and overwrites within the window, over the mark of {limit}")
    if at_stake > marks.bytes:
        return Judgement((), ids, f"{at_stake} bytes deleted or overwritten within the window, over {marks.bytes}")
    return Judgement(ids, ())
