"""``make coverage``: runs the tests that exercise what costs files, and demands every branch of it.

``python -m tests.coverage_check`` runs two processes of tests and then reports; with ``report`` it only reports what
was measured last. tests/coverage.toml lists the modules. A branch that only another platform takes has the mark
``# platform: <which>`` on its first line; those are listed with every report.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import coverage

HERE = Path(__file__).resolve().parent
CONFIG = HERE / "coverage.toml"
DATA = Path(os.environ.get("COVERAGE_FILE", HERE.parent / ".coverage"))
MARK = re.compile(r"# (platform(?: else)?: .+)$")
PARTS = (
    ("tests/execute", "tests/hub"),
    (
        "tests/plan",
        "tests/property",
        "tests/model",
        "tests/db",
        "tests/engine",
        "tests/contract",
        "tests/adapters/test_adapters_posix*.py",
    ),
)
"""What runs side by side: two halves that take about as long as each other."""
LEFT_OUT = (
    "storm", "random", "p11", "upkeep", "absences", "engine_databases", "runs", "pace", "freshness", "wakefulness",
)  # fmt: skip
"""Engine tests that play at length what the others show by name."""


def main() -> int:
    """Run unless told only to report; return the exit code."""
    if sys.argv[1:] != ["report"]:
        failed = run()
        if failed:
            return failed
    return report()


def run() -> int:
    """Run both halves under coverage and put their data together; return the exit code of the first that failed."""
    with tempfile.TemporaryDirectory(prefix="syncd-coverage-") as folder:
        environment = {**os.environ, "SYNCD_CASES": "1000", "COVERAGE_FILE": str(Path(folder, "data"))}
        begin = [sys.executable, "-m", "coverage"]
        tests = ["-m", "pytest", "-q", "-m", "not soak"]
        halves = [
            subprocess.Popen(
                [*begin, "run", f"--rcfile={CONFIG}", *tests, *chosen(part)], cwd=HERE.parent, env=environment
            )
            for part in PARTS
        ]
        codes = [half.wait() for half in halves]
        DATA.unlink(missing_ok=True)
        together = coverage.Coverage(data_file=str(DATA), config_file=str(CONFIG))
        together.combine([str(path) for path in sorted(Path(folder).iterdir()) if is_whole(path)], strict=True)
        together.save()
    return next((code for code in codes if code), 0)


def is_whole(path: Path) -> bool:
    """Return whether a file of measurements can be read. A child that was killed, as some tests do, leaves one that
    cannot: that says nothing of the rest."""
    try:
        coverage.CoverageData(str(path)).read()
    except coverage.exceptions.DataError:
        return False
    return True


def chosen(part: tuple[str, ...]) -> list[str]:
    """Return the test files of *part*."""
    found: list[Path] = []
    for pattern in part:
        found += sorted(HERE.parent.glob(pattern if pattern.endswith(".py") else f"{pattern}/test_*.py"))
    return [str(path) for path in found if not any(word in path.name for word in LEFT_OUT)]


def report() -> int:
    """Say of each module what is missing, list the marks; return 1 when anything is missing."""
    measured = coverage.Coverage(data_file=str(DATA), config_file=str(CONFIG))
    measured.load()
    missing = 0
    for path in modules():
        found = measured._analyze(str(path))  # the public calls count branches of lines, not of the whole file
        lines = sorted(found.missing)
        branches = [(a, b) for a, ends in sorted(found.missing_branch_arcs().items()) for b in ends if a not in lines]
        numbers = found.numbers
        missing += len(lines) + len(branches)
        name = path.relative_to(HERE.parent)
        print(
            f"{name!s:36} {numbers.n_statements:5} lines {numbers.n_branches:4} branches  {numbers.pc_covered:6.1f} %"
        )
        for line in lines:
            print(f"    never ran: {name}:{line}: {text(path, line)}")
        for start, end in branches:
            where = "out of the function" if end < 0 else f"to line {end}"
            print(f"    never went {where}: {name}:{start}: {text(path, start)}")
    print("\nonly on another platform:")
    for path in modules():
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            mark = MARK.search(line)
            if mark:
                print(f"    {path.relative_to(HERE.parent)}:{number}: {mark[1]}")
    print(f"\n{missing} lines and branches are missing" if missing else "\nevery branch was taken")
    return 1 if missing else 0


def modules() -> list[Path]:
    """Return the modules of which every branch is demanded."""
    listed = tomllib.loads(CONFIG.read_text("utf-8"))["tool"]["coverage"]["run"]["include"]
    found = [path for pattern in listed for path in sorted(HERE.parent.glob(pattern))]
    return [path for path in found if path.name != "__init__.py"]


def text(path: Path, line: int) -> str:
    """Return a line of a module."""
    return path.read_text("utf-8").splitlines()[line - 1].strip()


if __name__ == "__main__":
    sys.exit(main())
