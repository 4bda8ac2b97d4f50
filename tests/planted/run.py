"""Plants one bug at a time into a copy of the project and runs the tests that must catch it.

    python -m tests.planted.run                       all of them, two at a time
    python -m tests.planted.run --only NAME           one of them (may be given several times)
    python -m tests.planted.run --markdown            the table for docs/testing.md after the run
    python -m tests.planted.run --results FILE        also as JSON; --from FILE tells an earlier run again

Each bug gets a copy of its own; this work tree is only read. Every distinct selection is run once without a bug first:
a suite that fails anyway catches nothing. Ends with 1 unless every bug was caught.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tests.planted.bugs import BUGS, Bug
from tests.planted.nursery import TIME_LIMIT, Nursery, Result, Verdict, grouped

ROOT = Path(__file__).resolve().parents[2]


def run_all(bugs: Sequence[Bug], jobs: int, limit: float, tell: bool = True) -> list[Result]:
    """Run *bugs*, *jobs* at a time, and return what became of each, in their order."""
    with tempfile.TemporaryDirectory(prefix="syncd-planted-") as folder, ThreadPoolExecutor(jobs) as pool:
        nursery = Nursery(ROOT, Path(folder), limit)
        groups = grouped(bug.selection for bug in bugs if not bug.awaits)
        if tell:
            print(f"{len(bugs)} bugs; what must catch them is run without any bug first", flush=True)
        list(pool.map(nursery.baseline, groups))
        results = []
        for result in pool.map(nursery.run, bugs):
            results.append(result)
            if tell:
                print(line(result), flush=True)
        return results


def line(result: Result) -> str:
    """Return one result as a person reads it."""
    return f"{result.seconds:6.1f} s  {result.verdict.value:<24}  {result.name}: {result.told}"


def markdown(results: Iterable[Result]) -> str:
    """Return the table of docs/testing.md: by suite, what it caught; what nobody caught comes first."""
    known = {bug.name: bug for bug in BUGS}
    caught: dict[str, list[str]] = {}
    for result in results:
        bug = known.get(result.name)
        if bug is not None:
            suite = suite_of(result.told) if result.verdict is Verdict.CAUGHT else f"**{result.verdict.value}**"
            caught.setdefault(suite, []).append(cell(f"{bug.name} ({bug.promise})"))
    rows = [f"| {suite} | {'; '.join(caught[suite])} |" for suite in sorted(caught)]
    return "\n".join(["| suite | what it caught, and which promise that breaks |", "| --- | --- |", *rows])


def cell(text: str) -> str:
    """Return *text* so that it stays in its cell."""
    return text.replace("|", "\\|")


def suite_of(test: str) -> str:
    """Return which suite a test's id is of: its file, without the folder that all are in."""
    path, _, name = test.partition("::")
    return f"`{path.removeprefix('tests/').removesuffix('.py')}`" if name else test


def chosen(names: Sequence[str]) -> list[Bug]:
    """Return the bugs with these names, or all; ends the program for one that is not known."""
    known = {bug.name: bug for bug in BUGS}
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"there is no planted bug {unknown[0]!r}")
    return [known[name] for name in names] if names else list(BUGS)


def load(path: Path) -> list[Result]:
    """Return the results of an earlier run."""
    return [Result(**{**row, "verdict": Verdict(row["verdict"])}) for row in json.loads(path.read_text("utf-8"))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as told; return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.planted.run", description="Are planted bugs caught?")
    parser.add_argument("--jobs", type=int, default=2, help="bugs at a time (2)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only this bug")
    parser.add_argument(
        "--limit", type=float, default=TIME_LIMIT, help=f"seconds a selection may take ({TIME_LIMIT:g})"
    )
    parser.add_argument("--results", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument("--from", type=Path, dest="earlier", metavar="FILE", help="run nothing, read earlier results")
    parser.add_argument("--markdown", action="store_true", help="print the table for docs/testing.md")
    given = parser.parse_args(arguments)
    told = load(given.earlier) if given.earlier is not None else None
    results = run_all(chosen(given.only), given.jobs, given.limit) if told is None else told
    if given.results is not None:
        rows = [{**asdict(result), "verdict": result.verdict.value} for result in results]
        given.results.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    if given.markdown:
        print(markdown(results))
    bad = [result for result in results if not result.verdict.fine]
    caught = sum(result.verdict is Verdict.CAUGHT for result in results)
    waiting = sum(result.verdict is Verdict.AWAITS for result in results)
    print(f"{caught} of {len(results)} planted bugs caught" + (f", {waiting} not run yet" if waiting else ""))
    for result in bad:
        print(line(result))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
