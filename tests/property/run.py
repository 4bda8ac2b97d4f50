"""``python -m tests.property.run``: planner cases without end, a ledger of what ran on which commit, and the table."""

import argparse
import sys
from dataclasses import dataclass, field

from tests.hunting import Hunt, Outcome, follow, options
from tests.property.case import Case, case_of, play, read
from tests.property.cells import Table
from tests.property.shrink import failure, shrink, story

CHUNK = 5_000
MOST_SHRUNK = 5
SOURCES = ("syncd/plan", "syncd/model", "tests/property")


@dataclass(slots=True)
class Cases(Outcome):
    """What came of a range of seeds, and which cells of the decision table they visited."""

    table: Table = field(default_factory=Table)


def run_seeds(first: int, count: int) -> Cases:
    """Play the cases of *count* seeds from *first* on."""
    outcome = Cases(first, count)
    for seed in range(first, first + count):
        case = case_of(seed)
        try:
            play(case, outcome.table)
        except Exception as why:  # noqa: BLE001 - any way of failing is one, and the next seed is played all the same
            outcome.failures.append((seed, f"{type(why).__name__}: {why}".splitlines()[0]))
    return outcome


def tell(total: Outcome, table: Table, full: bool) -> None:
    """Print the table and what failed, the first few made small."""
    for line in table.lines() if full else [line for line in table.lines() if not line.startswith(" ")]:
        print(line)
    for words in (*table.missing(), *table.unlisted()):
        print(f"never visited, or not in the table: {words}")
    for seed, _ in total.failures[:MOST_SHRUNK]:
        print(f"\nseed {seed}, made small:")
        explain(case_of(seed))


def explain(case: Case) -> bool:
    """Print the story of a case, made small where it fails; returns whether it passes."""
    passes = failure(case) is None
    print(story(case if passes else shrink(case)))
    return passes


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.property.run", description=__doc__)
    options(parser, 20_000)
    parser.add_argument("--table", action="store_true", help="print every cell with its count")
    parser.add_argument("--replay", help="play one case, a seed or the line a failure printed, and tell its story")
    said = parser.parse_args(words)
    if said.replay is not None:
        return 0 if explain(case_of(int(said.replay)) if said.replay.isdigit() else read(said.replay)) else 1
    table = Table()

    def each(outcome: Outcome) -> None:
        assert isinstance(outcome, Cases)
        table.add(outcome.table)

    total = follow(Hunt("cases", SOURCES, CHUNK, run_seeds, unit="cases"), said, each)
    tell(total, table, said.table)
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main())
