"""``python -m tests.soak.chaos``: real daemons, a real hub, real folders, people at work, and all that can happen.

A seed repeats what people do and what happens; real time is not repeated. After every round everything is healed and
must come to rest: nothing lost (P1), all alike (P2), nothing more to do (P3), and no conflicted copy of what only one
person edits. A ledger is a file of JSON lines: which code ran, what happened, where every content ended.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.end_to_end.conftest import opened
from tests.end_to_end.harness import Device, World
from tests.end_to_end.trees import contents
from tests.soak.deeds import FROM_SHARED, Busy, busy
from tests.soak.mishaps import Director, Mishap, Stage, mishaps, staged
from tests.soak.people import SHARED, Load
from tests.soak.recorder import Place, Recorder, table
from tests.waiting import until

PROJECT = Path(__file__).resolve().parents[2]
A_ROUND = 25
UNHURRIED = (0.0, 0.05, 0.2, 0.5)
"""Seconds between what people do: much of it travels before it is done over."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. It ends after *events*, or at the end of the round in which *minutes* are over.

    *editors* is how many devices have people: with one, no conflicted copy may ever appear. So it is for the first
    *alone* events, when only the first of them works."""

    seed: int
    devices: int = 2
    editors: int = 2
    events: int = 100
    minutes: float = float("inf")
    only: tuple[Mishap, ...] = tuple(Mishap)
    alone: int = 0


@dataclass
class Outcome:
    """What came of a run."""

    happened: Counter[str] = field(default_factory=Counter)
    deeds: int = 0
    hindered: int = 0
    copies: int = 0
    places: Counter[Place] = field(default_factory=Counter)

    @property
    def kills(self) -> int:
        return self.happened["kill daemon"] + self.happened["kill hub"]

    def told(self) -> str:
        """Return it for a person, with the table of where every content ended."""
        what = ", ".join(f"{name} {number}" for name, number in sorted(self.happened.items()))
        people = f"{self.deeds} deeds, {self.hindered} of them hindered, {self.copies} conflicted copies"
        return f"{self.happened.total()} events ({self.kills} kills): {what}\n{people}\n{table(self.places)}"


def perform(world: World, plan: Plan, outcome: Outcome) -> None:
    """Play a whole run in a world with a hub and no devices; raises AssertionError for the first promise broken."""
    luck = random.Random(f"{plan.seed} director")
    ends = time.monotonic() + plan.minutes * 60
    with staged(world, plan.devices, disk=Mishap.FILL in plan.only) as stage:
        people = [busy(device, plan.seed, shares=plan.editors > 1) for device in world.devices[: plan.editors]]
        director = Director(stage, luck, plan.only, outcome.happened)
        done = 0
        while done < plan.events and time.monotonic() < ends:
            began = time.monotonic()
            working = people[:1] if done < plan.alone else people
            this_round = min(A_ROUND, (plan.alone if done < plan.alone else plan.events) - done)
            done += this_round
            with Load(working, random.Random(luck.random()), UNHURRIED) as load:
                for _ in range(this_round):
                    director.event()
            outcome.deeds += load.done
            outcome.hindered = sum(person.hindered for person in people)
            for person in people:
                person.close()
            director.heal()
            worked = time.monotonic() - began
            come_to_rest(stage, working)
            outcome.copies = sum(len(device.copies()) for device in world.devices)
            outcome.places = recorder(world).ended(world)
            print(f"{done} events, {load.done} deeds in {worked:.0f} s, at rest and checked in "
                  f"{time.monotonic() - began - worked:.0f} s", flush=True)  # fmt: skip
        look_again(world)
        assert world.hub.command("verify").code == 0
        assert not outcome.places[Place.LOST], table(outcome.places)


def come_to_rest(stage: Stage, people: list[Busy]) -> None:
    """Have all settle, and check every promise."""
    world = stage.world
    world.settle()
    if recorder(world).only_in_trash(world):
        # Written late into a file that syncd had displaced. It comes back when the trash is tended: seconds after a
        # displacement or a start, but up to an hour after its writer closed it, were nobody to start again.
        for device in world.devices:
            device.stop()
            device.start()
    until(lambda: not recorder(world).only_in_trash(world), "late writes come back from the trash")
    world.settle()
    check_copies(world, people)
    world.check_all(waits=[device for device in world.devices if device.status()["conflicts"]])
    check_copies(world, people)
    for device in world.devices:
        recorder(world).rests(contents(device.root))


def check_copies(world: World, people: list[Busy]) -> None:
    """Only what two people edit can clash (P4), or stand twice: where one moved it and where another put it."""
    for device in world.devices:
        copies = device.copies()
        if len(people) > 1:
            copies = [copy for copy in copies if not shared(copy)]
        assert not copies, f"{device.name}: conflicted copies of what only one person edits: {copies}"
        twice = [paths for paths in recorder(world).twice(device.root) if not any(map(shared, paths))]
        assert not twice, f"{device.name}: kept more than once: {twice}"


def shared(path: str) -> bool:
    """Return whether a path is, or is a conflicted copy of, something that several people edit."""
    return path.startswith(f"{SHARED}/") or path.rpartition("/")[2].startswith(FROM_SHARED)


def look_again(world: World) -> None:
    """A second pass of `run --once` changes nothing and opens no file (P3)."""
    for device in world.devices:
        device.stop()
    for device in world.devices:
        once(device)  # what was read while it was young is read once more here
    head, trees = world.hub.head(), [device.tree() for device in world.devices]
    for device in world.devices:
        settled = once(device)
        assert settled["opened"] == 0, f"P3: {device.name} read again what it knew: {settled}"
    assert world.hub.head() == head, "P3: looking again committed something"
    assert [device.tree() for device in world.devices] == trees, "P3: looking again changed a folder"


def once(device: Device) -> dict[str, object]:
    """Run `syncd run --once` and return what it says."""
    ran = device.fine("run", "--once", "--json", "--timeout", "60", codes=(0, 3))
    said: list[dict[str, object]] = json.loads(ran.out)
    return said[0]


def recorder(world: World) -> Recorder:
    assert isinstance(world.ledger, Recorder)
    return world.ledger


# --- the ledger -----------------------------------------------------------------------------------------------------


def code() -> str:
    """Return the commit that runs, and a digest of the program as it is, which may differ from it."""
    digest = hashlib.sha256()
    for path in sorted((PROJECT / "syncd").rglob("*.py")):
        digest.update(path.read_bytes())
    try:
        head = subprocess.run(
            ("git", "-C", str(PROJECT), "rev-parse", "--short=12", "HEAD"), capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        head = "unknown"
    return f"{head}+{digest.hexdigest()[:12]}"


def note(ledger: Path, plan: Plan, code: str, outcome: Outcome, seconds: float, failure: str) -> None:
    """Append one line to a ledger."""
    line = {
        "code": code, "seed": plan.seed, "devices": plan.devices, "editors": plan.editors,
        "seconds": round(seconds), "events": outcome.happened.total(), "kills": outcome.kills,
        "happened": dict(sorted(outcome.happened.items())), "deeds": outcome.deeds, "copies": outcome.copies,
        "contents": {place.name.lower(): outcome.places[place] for place in Place}, "failure": failure,
    }  # fmt: skip
    with ledger.open("a") as file:
        file.write(json.dumps(line) + "\n")


# --- the command ----------------------------------------------------------------------------------------------------


def arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no round after so long")
    parser.add_argument("--devices", type=int, default=3, choices=(2, 3, 4))
    parser.add_argument("--editors", type=int, help="devices with people at work (default: all)")
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--only", default="", metavar="A,B", help=", ".join(one.value for one in Mishap))
    parser.add_argument("--ledger", type=Path, help="a file to append what ran and what came of it to")
    return parser.parse_args(given)


def main(given: list[str]) -> int:
    """Run once, print the table, and return 1 when a promise was broken; the world is then kept."""
    said = arguments(given)
    plan = Plan(said.seed, said.devices, said.editors or said.devices, said.events, said.minutes, mishaps(said.only))
    outcome, began, failure, runs = Outcome(), time.monotonic(), "", code()
    try:
        with opened() as world:
            try:
                perform(world, plan, outcome)
            except BaseException:
                print(f"{world.logs()}\nkept in {world.base}", file=sys.stderr)
                os.environ["SYNCD_KEEP"] = "1"
                raise
    except Exception as error:  # noqa: BLE001 - any way of failing is one, and it is noted
        failure = f"{type(error).__name__}: {error}"
    print(outcome.told())
    if said.ledger is not None:
        note(said.ledger, plan, runs, outcome, time.monotonic() - began, failure[:2000])
    if failure:
        print(f"seed {plan.seed} failed: {failure}", file=sys.stderr)
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
