"""Seeds without end: ranges of them on several processes, and a ledger of what ran on which commit.

A ledger is a file of JSON lines: what ran, commit, the seeds, how many, seconds, failures. The next run of the same
thing on the same commit goes on where the last one ended. ``python -m tests.hunting LEDGER...`` says what ledgers hold
in all; ``--into tests/ledger.jsonl`` adds it to the project's own.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
AHEAD = 4
"""Ranges that are given out for each process: one that takes long must not leave the others without work."""


@dataclass(slots=True)
class Outcome:
    """What came of a range of seeds: *failures* are seeds and why, in one line."""

    first: int
    count: int
    failures: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Hunt:
    """What is hunted: *run* plays the seeds of a range (in any process), *chunk* of them at a time. *sources* are the
    folders whose files make it what it is, when they are not as committed."""

    name: str
    sources: tuple[str, ...]
    chunk: int
    run: Callable[[int, int], Outcome]
    unit: str = "seeds"


def commit(sources: Sequence[str]) -> str:
    """Return the commit that runs; where files differ from it, also a digest of what the hunt is made of."""
    try:
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--", *sources)
    except (OSError, subprocess.CalledProcessError):
        head, changed = "unknown", "unknown"
    if not changed:
        return head
    digest = hashlib.sha256()
    for path in sorted(path for source in sources for path in (PROJECT / source).rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{head}+{digest.hexdigest()[:12]}"


def _git(*words: str) -> str:
    done = subprocess.run(("git", "-C", str(PROJECT), *words), capture_output=True, text=True, check=True)
    return done.stdout.strip()


# --- the ledger -----------------------------------------------------------------------------------------------------


def past(ledger: Path, name: str, at: str) -> list[dict[str, object]]:
    """Return the lines of a ledger that are about *name* on commit *at*."""
    if not ledger.exists():
        return []
    lines = [json.loads(line) for line in ledger.read_text().splitlines() if line.strip()]
    return [line for line in lines if (line["what"], line["commit"]) == (name, at)]


def next_seed(ledger: Path, name: str, at: str, first: int) -> int:
    """Return the first seed, from *first* on, behind all that ran on this commit."""
    ends = [int(str(line["first"])) + int(str(line["count"])) for line in past(ledger, name, at)]
    return max([first, *ends])


def note(ledger: Path, name: str, at: str, seconds: float, outcome: Outcome) -> None:
    """Append one line."""
    line = {
        "what": name,
        "commit": at,
        "first": outcome.first,
        "count": outcome.count,
        "seconds": round(seconds, 1),
        "failures": [{"seed": seed, "why": why} for seed, why in outcome.failures],
    }
    with ledger.open("a") as file:
        file.write(json.dumps(line) + "\n")


def merged(lines: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    """Return one line for all neighbouring ranges of a thing on a commit; what two lines tell of one range counts
    once."""
    found: list[dict[str, object]] = []
    for line in sorted(lines, key=lambda line: (str(line["commit"]), str(line["what"]), _number(line, "first"))):
        last = found[-1] if found else None
        same = last is not None and (last["what"], last["commit"]) == (line["what"], line["commit"])
        if last is None or not same or _number(line, "first") > _end(last):
            found.append(dict(line))
        elif _end(line) > _end(last):
            last["count"] = _end(line) - _number(last, "first")
            last["seconds"] = round(float(str(last["seconds"])) + float(str(line["seconds"])), 1)
            last["failures"] = [*_failures(last), *_failures(line)]
    return found


def _number(line: dict[str, object], what: str) -> int:
    return int(str(line[what]))


def _end(line: dict[str, object]) -> int:
    return _number(line, "first") + _number(line, "count")


def _failures(line: dict[str, object]) -> list[object]:
    failures = line["failures"]
    assert isinstance(failures, list)
    return failures


def read(ledger: Path) -> list[dict[str, object]]:
    """Return the lines of a ledger; none when there is none."""
    return [json.loads(line) for line in ledger.read_text().splitlines() if line] if ledger.exists() else []


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hunting", description=__doc__)
    parser.add_argument("ledgers", nargs="+", type=Path, metavar="LEDGER")
    parser.add_argument("--into", type=Path, metavar="LEDGER", help="add them to this one")
    told = parser.parse_args(words)
    lines = [line for ledger in told.ledgers for line in read(ledger)]
    if told.into is not None:
        lines = merged([*read(told.into), *lines])
        told.into.write_text("".join(json.dumps(line) + "\n" for line in lines))
    sums: dict[tuple[str, str], list[int]] = {}
    for line in merged(lines):
        total = sums.setdefault((str(line["what"]), str(line["commit"])), [0, 0])
        total[0] += _number(line, "count")
        total[1] += len(_failures(line))
    for (what, at), (count, failed) in sums.items():
        print(f"{what:<20} {at[:10]}{'+' if '+' in at else ' '} {count:>12,}   {failed} failed")
    return 0


# --- running --------------------------------------------------------------------------------------------------------


def options(parser: argparse.ArgumentParser, count: int) -> None:
    """Add what every hunt can be told."""
    parser.add_argument("--cases", type=int, default=count, help=f"how many seeds ({count:,})")
    parser.add_argument("--seed", type=int, default=0, help="the first one (0); a ledger may be further")
    parser.add_argument("--minutes", type=float, help="stop after so many, too")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("--ledger", type=Path, help="JSON lines of what ran on which commit; gone on with")


def follow(hunt: Hunt, told: argparse.Namespace, each: Callable[[Outcome], None] = lambda outcome: None) -> Outcome:
    """Play what ``options`` asked for; say how it goes, and write the ledger as it goes. Returns the sum."""
    at = commit(hunt.sources)
    first = told.seed if told.ledger is None else next_seed(told.ledger, hunt.name, at, told.seed)
    total = Outcome(first, 0)
    began = last = time.monotonic()
    until = None if told.minutes is None else began + told.minutes * 60
    print(f"commit {at}, from seed {first}", flush=True)
    for outcome in outcomes(hunt, first, told.cases, until, max(1, told.jobs)):
        now = time.monotonic()
        total.count += outcome.count
        total.failures.extend(outcome.failures)
        each(outcome)
        if told.ledger is not None:
            note(told.ledger, hunt.name, at, now - last, outcome)
        rate = total.count / max(now - began, 1e-9)
        for seed, why in outcome.failures:
            print(f"seed {seed}: {why}", flush=True)
        print(f"{total.count:>12,} {hunt.unit}, {rate:,.1f} a second, {len(total.failures)} failed", flush=True)
        last = now
    return total


def _chunks(size: int, first: int, cases: int, until: float | None) -> Iterator[tuple[int, int]]:
    for at in range(first, first + cases, size):
        if until is not None and time.monotonic() >= until:
            return
        yield at, min(size, first + cases - at)


def outcomes(hunt: Hunt, first: int, cases: int, until: float | None, jobs: int) -> Iterator[Outcome]:
    """Yield outcomes in the order of their seeds."""
    ranges = _chunks(hunt.chunk, first, cases, until)
    if jobs == 1:
        for each in ranges:
            yield hunt.run(*each)
        return
    with ProcessPoolExecutor(jobs) as pool:
        waiting: list[Future[Outcome]] = [pool.submit(hunt.run, *each) for each in islice(ranges, jobs * AHEAD)]
        while waiting:
            yield waiting.pop(0).result()
            waiting.extend(pool.submit(hunt.run, *each) for each in islice(ranges, 1))


if __name__ == "__main__":
    sys.exit(main())
