"""``python -m tests.sim.sweep``: crash, or fail, at every call of every small workload, and check the promises.

    --workloads 1|2|3      workloads of so many operations
    --sample N --seed S    N of them, chosen by S (0: all; of three operations 20,000)
    --from N               without the first N of them
    --points M             at most M faults of each workload, chosen by S (0: every one)
    --failing              also let every call fail (always so with --workloads 1)
    --turns                one crash at each point, the ways in turns, instead of every way at each
    --jobs J --minutes T   processes; stop after so long
    --ledger FILE          note each workload that is done, and leave out those that are done on this commit
    --only "ann:rename + bob:delete" [--fault bob:kill:17]    one workload, or one case, told at length

A sweep is cut into workloads. For each, a run with nothing going wrong counts the calls; then each case starts from
the same tree in sync (``tests.sim.stage``).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from tests.hunting import commit
from tests.sim import operations
from tests.sim.cases import broken, faults, in_turns, reference
from tests.sim.faults import Fault, How
from tests.sim.operations import Workload, shown
from tests.sim.scenes import place
from tests.sim.stage import Stage

SOURCES = ("syncd", "tests/sim", "tests/engine")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is swept of each workload: *points* faults chosen by *seed* (0: all), with or without *failing* calls; or
    with *turns* one crash at each point."""

    points: int = 0
    failing: bool = False
    seed: int = 0
    turns: bool = False

    def of(self, workload: Workload, found: list[Fault]) -> list[Fault]:
        """Return the faults to try; when not all, then of every kind alike."""
        if not self.points or self.points >= len(found):
            return found
        luck = random.Random(f"{self.seed} {shown(workload)}")
        luck.shuffle(found)
        rounds: Counter[How] = Counter()
        turns = []
        for fault in found:
            rounds[fault.how] += 1
            turns.append((rounds[fault.how], fault))
        turns.sort(key=lambda turn: turn[0])  # one of each kind, whatever their numbers, then the next ones
        return [fault for _, fault in turns[: self.points]]


@dataclass(slots=True)
class Swept:
    """What came of one workload. *cases* counts by what was done; *failures* are cases and what was wrong."""

    workload: str
    void: bool = False
    faults: int = 0
    cases: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0


def sweep(stage: Stage, workload: Workload, plan: Plan) -> Swept:
    """Sweep one workload."""
    began = time.perf_counter()
    out = Swept(shown(workload))
    try:
        counted = reference(stage, workload)
    except AssertionError as error:
        out.failures.append(("nothing went wrong", str(error)))
        return out
    if counted is None:
        out.void = True
        return out
    found = list(in_turns(counted, workload) if plan.turns else faults(counted, workload, failing=plan.failing))
    out.faults = len(found)
    done: Counter[str] = Counter()
    for fault in plan.of(workload, found):
        done[fault.how.value] += 1
        if (why := broken(stage, workload, fault)) is not None:
            out.failures.append((str(fault), why))
    out.cases = dict(sorted(done.items()))
    out.seconds = time.perf_counter() - began
    return out


@contextmanager
def staged() -> Iterator[Stage]:
    """Have a stage for a while."""
    with tempfile.TemporaryDirectory(prefix="syncd-sweep-", dir=place()) as base:
        stage = Stage(Path(base))
        try:
            yield stage
        finally:
            stage.close()


# --- many, with a ledger ---------------------------------------------------------------------------------------------


def done_before(ledger: Path | None, at: str, plan: Plan) -> set[str]:
    """Return the workloads a ledger knows as swept by *plan* on this commit."""
    if ledger is None or not ledger.exists():
        return set()
    lines = [json.loads(line) for line in ledger.read_text("utf-8").splitlines() if line.strip()]
    wanted = (at, plan.points, plan.failing, plan.turns)
    keys = ("commit", "points", "failing", "turns")
    return {line["workload"] for line in lines if tuple(line[key] for key in keys) == wanted}


def note(ledger: Path | None, at: str, plan: Plan, swept: Swept) -> None:
    if ledger is not None:
        line = {"commit": at, "points": plan.points, "failing": plan.failing, "turns": plan.turns, **asdict(swept)}
        with ledger.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class Worker:
    """What each process of the pool has: a stage of its own in the folder of the whole run."""

    stage: Stage

    @classmethod
    def begin(cls, base: str) -> None:
        warnings.simplefilter("ignore")
        cls.stage = Stage(Path(base) / str(os.getpid()))

    @classmethod
    def sweep(cls, workload: Workload, plan: Plan) -> Swept:
        return sweep(cls.stage, workload, plan)


def run(chosen: Sequence[Workload], plan: Plan, jobs: int, until: float) -> Iterator[Swept]:
    """Sweep workloads on *jobs* processes until *until* (steady seconds), and yield what came of each."""
    left = iter(chosen)
    with (
        tempfile.TemporaryDirectory(prefix="syncd-sweep-", dir=place()) as base,
        ProcessPoolExecutor(jobs, initializer=Worker.begin, initargs=(base,)) as pool,
    ):
        waiting = {pool.submit(Worker.sweep, workload, plan) for workload in islice(left, jobs * 2)}
        while waiting:
            ended = next(as_completed(waiting))
            waiting.discard(ended)
            yield ended.result()
            workload = next(left, None) if time.monotonic() < until else None
            if workload is not None:
                waiting.add(pool.submit(Worker.sweep, workload, plan))


def explain(text: str, fault: str | None, plan: Plan) -> int:
    """Do one workload, or one case of it, and tell what was wrong."""
    workload = operations.parse(text)
    with staged() as stage:
        if fault is not None:
            why = broken(stage, workload, Fault.parse(fault))
            print(why or "all holds")
            return 1 if why else 0
        swept = sweep(stage, workload, plan)
    for name, why in swept.failures:
        print(f"--- {name}\n{why}")
    print(f"{sum(swept.cases.values())} cases, {len(swept.failures)} failed")
    return 1 if swept.failures else 0


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.sweep", description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", type=int, choices=(1, 2, 3), default=1, help="operations of a workload")
    parser.add_argument("--sample", type=int, default=0, help="how many workloads (0: all; of three 20,000)")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SYNCD_SEED", "0")))
    parser.add_argument("--from", type=int, default=0, dest="first", help="leave out so many, the first ones")
    parser.add_argument("--points", type=int, default=0, help="faults of each workload (0: all)")
    parser.add_argument("--failing", action="store_true", help="also failing calls, with more than one operation")
    parser.add_argument("--turns", action="store_true", help="one crash at each point, the ways in turns")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=0.0, help="stop after so long (0: when all is done)")
    parser.add_argument("--ledger", type=Path, help="file that remembers what was swept")
    parser.add_argument("--only", help="one workload, as the ledger writes it")
    parser.add_argument("--fault", help="with --only: one case")
    told = parser.parse_args(words)
    warnings.simplefilter("ignore")
    plan = Plan(told.points, told.failing or (told.workloads == 1 and not told.turns), told.seed, told.turns)
    if told.only:
        return explain(told.only, told.fault, plan)
    at = commit(SOURCES)
    before = done_before(told.ledger, at, plan)
    found = operations.sampled(told.workloads, told.sample, told.seed)[told.first :]
    chosen = [each for each in found if shown(each) not in before]
    print(f"{len(chosen)} workloads, {len(before)} done before, on {at}", flush=True)
    until = time.monotonic() + told.minutes * 60 if told.minutes else float("inf")
    return follow(run(chosen, plan, told.jobs, until), len(chosen), told.ledger, at, plan)


def follow(swept: Iterator[Swept], total: int, ledger: Path | None, at: str, plan: Plan) -> int:
    """Note and tell what comes; return the exit code."""
    began, done, void, cases, failed, told = time.monotonic(), 0, 0, 0, 0, 0.0
    for each in swept:
        note(ledger, at, plan, each)
        done, void = done + 1, void + each.void
        cases, failed = cases + sum(each.cases.values()), failed + len(each.failures)
        for name, why in each.failures[:3]:
            print(f'FAILED --only "{each.workload}" --fault {name}\n{why}\n', flush=True)
        spent = time.monotonic() - began
        if spent - told > 10 or done == total:
            told = spent
            print(
                f"{done} of {total} workloads ({void} void), {cases} cases, {failed} failed, "
                f"{cases / max(spent, 1e-9):.1f} cases/s, {spent:.0f} s",
                flush=True,
            )
    print(f"swept {done} workloads ({void} void), {cases} cases, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
