"""Copies of the project with one bug in each, and pytest run in them. Never writes into the project itself."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from pathlib import Path

from tests.planted.bug import Bug, DoesNotApply

TIME_LIMIT = 180.0
NEEDED = ("syncd", "tests", "pyproject.toml")
PYTEST = ("-B", "-m", "pytest", "-x", "-q", "-rfE", "--tb=no", "--color=no", "-p", "no:cacheprovider", "-p", "no:xdist")
_TOLD = re.compile(r"^(?:FAILED|ERROR) (?P<test>tests/\S+::\w+(?:\[.*?\](?= - |$))?)", re.MULTILINE)
Selection = tuple[tuple[str, ...], tuple[tuple[str, str], ...]]


class Verdict(StrEnum):
    """What became of a planted bug."""

    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    ENDLESS = "OVER THE TIME LIMIT"
    STALE = "DOES NOT APPLY"
    UNFOUNDED = "FAILS WITHOUT THE BUG"
    BROKEN = "COULD NOT BE RUN"
    AWAITS = "not run yet"

    @property
    def fine(self) -> bool:
        """Whether nobody has to do anything about it."""
        return self in (Verdict.CAUGHT, Verdict.AWAITS)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the bug *name*. *told*: the test that caught it, or what went wrong."""

    name: str
    verdict: Verdict
    told: str
    seconds: float


class Nursery:
    """A folder full of copies. Any thread."""

    def __init__(self, project: Path, folder: Path, limit: float = TIME_LIMIT) -> None:
        self._folder = folder
        self._limit = limit
        self._numbers = count()
        self._faults: dict[Selection, str] = {}
        self._clean = self._copy(project)  # once: the project may be worked on meanwhile
        self._require_own_code(self._clean)

    def baseline(self, selections: Sequence[Selection]) -> None:
        """Run selections of the same files together, without any bug, and remember those that do not pass."""
        if len(selections) > 1 and self._pytest(self._clean, together(selections))[0] is Verdict.SURVIVED:
            return
        for selection in selections:
            verdict, told = self._pytest(self._clean, selection)
            if verdict is not Verdict.SURVIVED:
                self._faults[selection] = told

    def run(self, bug: Bug) -> Result:
        """Plant *bug* into a copy of its own and run its tests there; call ``baseline`` before."""
        if bug.selection in self._faults:
            return Result(bug.name, Verdict.UNFOUNDED, self._faults[bug.selection], 0.0)
        tree = self._copy(self._clean)
        began = time.monotonic()
        try:
            bug.plant(tree)
            verdict, told = (Verdict.AWAITS, bug.awaits) if bug.awaits else self._pytest(tree, bug.selection)
        except DoesNotApply as error:
            verdict, told = Verdict.STALE, str(error)
        finally:
            shutil.rmtree(tree, ignore_errors=True)
        return Result(bug.name, verdict, told, round(time.monotonic() - began, 1))

    def _copy(self, project: Path) -> Path:
        tree = self._folder / f"copy{next(self._numbers)}"
        tree.mkdir()
        leave = shutil.ignore_patterns("__pycache__", "*.pyc")
        for name in NEEDED:
            source = project / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=leave)
            else:
                shutil.copy2(source, tree / name)
        return tree

    def _environment(self, tree: Path, more: tuple[tuple[str, str], ...] = ()) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SYNCD_", "COV_"))}
        return kept | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"} | dict(more)

    def _require_own_code(self, tree: Path) -> None:
        """A copy must run its own code, wherever the project is installed from: else every bug would survive."""
        asked = [sys.executable, "-B", "-c", "import syncd; print(syncd.__file__)"]
        said = subprocess.run(asked, cwd=tree, env=self._environment(tree), capture_output=True, text=True, check=True)
        if not Path(said.stdout.strip()).resolve().is_relative_to(tree.resolve()):
            raise RuntimeError(f"a copy in {tree} would run the code of {said.stdout.strip()}")

    def _pytest(self, tree: Path, selection: Selection) -> tuple[Verdict, str]:
        tests, more = selection
        basetemp = self._folder / f"temp{next(self._numbers)}"
        command = [sys.executable, *PYTEST, f"--basetemp={basetemp}", *tests]
        process = subprocess.Popen(
            command,
            cwd=tree,
            env=self._environment(tree, more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,  # whatever the tests started ends with them
        )
        try:
            said, _ = process.communicate(timeout=self._limit)
        except subprocess.TimeoutExpired:
            return Verdict.ENDLESS, f"not over after {self._limit:g} s: {' '.join(tests)}"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
            shutil.rmtree(basetemp, ignore_errors=True)
        return judged(process.returncode, said)


def grouped(selections: Iterable[Selection]) -> list[list[Selection]]:
    """Return distinct selections in groups of the same files and environment: one process can run a group."""
    groups: dict[object, list[Selection]] = {}
    for selection in dict.fromkeys(selections):
        tests, more = selection
        paths = tests[: tests.index("-k")] if "-k" in tests else tests
        groups.setdefault((paths, more), []).append(selection)
    return list(groups.values())


def together(selections: Sequence[Selection]) -> Selection:
    """Return one selection that holds all of a group."""
    tests, more = selections[0]
    if any("-k" not in each for each, _ in selections):
        return next(each for each, _ in selections if "-k" not in each), more
    words = " or ".join(f"({each[each.index('-k') + 1]})" for each, _ in selections)
    return (*tests[: tests.index("-k")], "-k", words), more


def judged(code: int, said: str) -> tuple[Verdict, str]:
    """Return what pytest's exit code means; only failing tests are a catch, a module that cannot be read is none."""
    if code == 0:
        return Verdict.SURVIVED, "every test passes"
    found = _TOLD.search(said)
    if code == 1 and found is not None:
        return Verdict.CAUGHT, found["test"]
    return Verdict.BROKEN, " ".join(said.split())[-300:]
