"""``python -m tests.property.run``: planner cases without end, a ledger of what ran on which commit, and the table.

A ledger is a file of JSON lines: commit, the seeds, how many, seconds, failures. The next run on the same commit
goes on where the last one ended.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tests.property.case import Case, case_of, play, read
from tests.property.cells import Table
from tests.property.shrink import failure, shrink, story

CHUNK = 5_000
MOST_SHRUNK = 5
PROJECT = Path(__file__).resolve().parents[2]
SOURCES = ("syncd/plan", "syncd/model", "tests/property")


@dataclass(slots=True)
class Outcome:
    """What came of a range of seeds: *failures* are seeds and why, in one line."""

    first: int
    count: int
    table: Table = field(default_factory=Table)
    failures: list[tuple[int, str]] = field(default_factory=list)


def run_seeds(first: int, count: int) -> Outcome:
    """Play the cases of *count* seeds from *first* on."""
    outcome = Outcome(first, count)
    for seed in range(first, first + count):
        case = case_of(seed)
        try:
            play(case, outcome.table)
        except Exception as why:  # noqa: BLE001 - any way of failing is one, and the next seed is played all the same
            outcome.failures.append((seed, f"{type(why).__name__}: {why}".splitlines()[0]))
    return outcome


def commit() -> str:
    """Return the commit that runs; where files differ from it, also a digest of what planner and cases are made of."""
    try:
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--", *SOURCES)
    except (OSError, subprocess.CalledProcessError):
        head, changed = "unknown", "unknown"
    if not changed:
        return head
    digest = hashlib.sha256()
    for path in sorted(path for source in SOURCES for path in (PROJECT / source).rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{head}+{digest.hexdigest()[:12]}"


def _git(*words: str) -> str:
    done = subprocess.run(("git", "-C", str(PROJECT), *words), capture_output=True, text=True, check=True)
    return done.stdout.strip()


# --- the ledger -----------------------------------------------------------------------------------------------------


def past(ledger: Path, at: str) -> list[dict[str, object]]:
    """Return the lines of a ledger that are about commit *at*."""
    if not ledger.exists():
        return []
    lines = [json.loads(line) for line in ledger.read_text().splitlines() if line.strip()]
    return [line for line in lines if line["commit"] == at]


def next_seed(ledger: Path, at: str, first: int) -> int:
    """Return the first seed, from *first* on, behind all that ran on this commit."""
    ends = [int(str(line["first"])) + int(str(line["count"])) for line in past(ledger, at)]
    return max([first, *ends])


def note(ledger: Path, at: str, first: int, seconds: float, outcome: Outcome) -> None:
    """Append one line."""
    line = {
        "commit": at,
        "first": first,
        "count": outcome.count,
        "seconds": round(seconds, 1),
        "failures": [{"seed": seed, "why": why} for seed, why in outcome.failures],
    }
    with ledger.open("a") as file:
        file.write(json.dumps(line) + "\n")


# --- running --------------------------------------------------------------------------------------------------------


def chunks(first: int, cases: int, until: float | None) -> Iterator[tuple[int, int]]:
    """Yield ranges of seeds while there are cases and minutes left."""
    for at in range(first, first + cases, CHUNK):
        if until is not None and time.monotonic() >= until:
            return
        yield at, min(CHUNK, first + cases - at)


def outcomes(first: int, cases: int, until: float | None, jobs: int) -> Iterator[Outcome]:
    """Yield outcomes in the order of their seeds."""
    ranges = chunks(first, cases, until)
    if jobs == 1:
        for each in ranges:
            yield run_seeds(*each)
        return
    with ProcessPoolExecutor(jobs) as pool:
        waiting: list[Future[Outcome]] = [pool.submit(run_seeds, *each) for each in islice(ranges, jobs)]
        while waiting:
            yield waiting.pop(0).result()
            waiting.extend(pool.submit(run_seeds, *each) for each in islice(ranges, 1))


def run(first: int, cases: int, minutes: float | None, jobs: int, ledger: Path | None) -> Outcome:
    """Play cases, say how it goes, and write the ledger as it goes."""
    at = commit()
    if ledger is not None:
        first = next_seed(ledger, at, first)
    total = Outcome(first, 0)
    began = last = time.monotonic()
    print(f"commit {at}, from seed {first}", flush=True)
    for outcome in outcomes(first, cases, None if minutes is None else began + minutes * 60, jobs):
        now = time.monotonic()
        total.count += outcome.count
        total.table.add(outcome.table)
        total.failures.extend(outcome.failures)
        for seed, why in outcome.failures:
            print(f"seed {seed}: {why}", flush=True)
        if ledger is not None:
            note(ledger, at, outcome.first, now - last, outcome)
        rate = total.count / (now - began)
        print(f"{total.count:>12,} cases, {rate:,.0f} a second, {len(total.failures)} failed", flush=True)
        last = now
    return total


def tell(total: Outcome, full: bool) -> None:
    """Print the table and what failed, the first few made small."""
    for line in total.table.lines() if full else [line for line in total.table.lines() if not line.startswith(" ")]:
        print(line)
    for words in (*total.table.missing(), *total.table.unlisted()):
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
    parser.add_argument("--cases", type=int, default=20_000, help="how many (20,000)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (0); a ledger may be further")
    parser.add_argument("--minutes", type=float, help="stop after so many, too")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("--ledger", type=Path, help="JSON lines of what ran on which commit; gone on with")
    parser.add_argument("--table", action="store_true", help="print every cell with its count")
    parser.add_argument("--replay", help="play one case, a seed or the line a failure printed, and tell its story")
    said = parser.parse_args(words)
    if said.replay is not None:
        return 0 if explain(case_of(int(said.replay)) if said.replay.isdigit() else read(said.replay)) else 1
    total = run(said.seed, said.cases, said.minutes, max(1, said.jobs), said.ledger)
    tell(total, said.table)
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main())
