"""The plays there are, each from one seed: people and weather have their way, then all is mended, and what must hold
is checked."""

import os
import random
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.hunting import PROJECT
from tests.sim.device import SimDevice
from tests.sim.hand import Hand
from tests.sim.play import Play
from tests.sim.weather import Weather

DEVICES = ("ann", "bob", "cleo")


@dataclass(frozen=True)
class Cuts:
    """What is left out of a play, to find the least that still fails: evils, deeds by number, turns past a number.

    *devices* is how many there are; None: two or three, as the seed says."""

    devices: int | None = None
    evils: frozenset[str] = frozenset()
    deeds: frozenset[int] = frozenset()
    turns: int | None = None

    def of(self, weather: Weather) -> Weather:
        return replace(weather, **dict.fromkeys(self.evils, 0.0))


@dataclass
class Told:
    """How a play went, also when it failed."""

    play: Play | None = None
    hand: Hand | None = None

    @property
    def trace(self) -> list[str]:
        return [] if self.play is None else self.play.trace

    @property
    def digest(self) -> str:
        """Return a hash of all that happened: every call to disk, database and hub, and every deed."""
        return "" if self.play is None else self.play.digest.hexdigest()


Scene = Callable[[Path, int, Cuts, Told], None]


def everybody(base: Path, seed: int, cuts: Cuts, told: Told) -> None:
    """P1, P2, P3, P4: everybody edits everywhere, and everything goes wrong."""
    luck = random.Random(seed)
    weather = Weather.chosen(luck, memory=True)
    play = _stage(told, base, seed, cuts, 2 + seed % 2, weather)
    hand = told.hand = Hand(seed, skip=cuts.deeds)
    play.meddler = hand.act
    begin(play, hand, play.devices)
    blow(play, hand, play.devices, luck.choice([100, 300, 800]), cuts)
    play.heal()
    play.settle(expect=None, rounds=12)
    play.check_queues()
    check_nothing_lost(play, hand)


def one_person(base: Path, seed: int, cuts: Cuts, told: Told) -> None:
    """P4: with one device editing, its person finds the folder as she left it, whatever died in between."""
    luck = random.Random(seed + 1_000_000)
    weather = Weather.chosen(luck, memory=False)
    play = _stage(told, base, seed, cuts, 2 + seed % 2, weather)
    hand, ann = Hand(seed, skip=cuts.deeds), play.devices[0]
    told.hand = hand
    play.meddler = lambda device: hand.act(ann)
    begin(play, hand, [ann])
    blow(play, hand, [ann], luck.choice([100, 300, 800]), cuts)
    play.heal()
    expected = ann.tree()
    play.settle(expect=None, rounds=12)
    play.check_queues()
    found = ann.tree()
    made = [path for path in found if path not in expected]
    gone = [path for path in expected if path not in found]
    assert found == expected, (
        f"made: {made}, gone: {gone}, other: {[p for p in expected if found.get(p) != expected[p]]}"
    )
    check_nothing_lost(play, hand)


def changing_rules(base: Path, seed: int, cuts: Cuts, told: Told) -> None:
    """P1, P2: the ignore rules change while everything goes wrong."""
    luck = random.Random(seed + 2_000_000)
    weather = Weather.chosen(luck, memory=True)
    play = _stage(told, base, seed, cuts, 2, weather)
    hand = told.hand = Hand(seed, rules=True, skip=cuts.deeds)
    play.meddler = hand.act
    begin(play, hand, play.devices)
    blow(play, hand, play.devices, luck.choice([100, 300]), cuts)
    play.heal()
    play.settle_all(rounds=12)
    play.check_queues()
    check_nothing_lost(play, hand)


SCENES: dict[str, Scene] = {"everybody": everybody, "one": one_person, "rules": changing_rules}


def scene_of(seed: int) -> Scene:
    """Return the play of a seed: of five, two with everybody, two with one person, one with changing rules."""
    return (everybody, one_person, everybody, one_person, changing_rules)[seed % 5]


def place() -> str | None:
    """Return a folder in memory, where there is one: what a play keeps in files need not outlive it."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def perform(seed: int, cuts: Cuts | None = None, scene: Scene | None = None, told: Told | None = None) -> Told:
    """Play *seed* in a folder of its own; returns how it went (*told*, filled). Raises AssertionError with what
    broke and where, seed, weather and the end of the trace when a promise was broken."""
    told = told or Told()
    with tempfile.TemporaryDirectory(prefix="syncd-play-", dir=place()) as base:
        try:
            (scene or scene_of(seed))(Path(base), seed, cuts or Cuts(), told)
        except Exception as error:
            raise AssertionError(f"{what_broke(error)}\n{describe(told)}") from error
        finally:
            if told.play is not None:
                told.play.close()
    return told


def what_broke(error: Exception) -> str:
    """Return where *error* was raised and what it says; a bare assertion says nothing, and is shown itself."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    path = Path(frame.filename)
    where = path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path.name
    return f"{type(error).__name__} at {where}:{frame.lineno}: {str(error) or frame.line}"


def describe(told: Told) -> str:
    """Return what a reader of a failure needs first."""
    play = told.play
    if play is None:
        return "it failed before it began"
    return f"seed {play.seed}, weather: {play.chosen}\n" + "\n".join(play.trace[-40:])


def _stage(told: Told, base: Path, seed: int, cuts: Cuts, devices: int, weather: Weather) -> Play:
    names = DEVICES[: cuts.devices or devices]
    play = told.play = Play(base, seed, *names, weather=cuts.of(weather))
    return play


def begin(play: Play, hand: Hand, editors: list[SimDevice]) -> None:
    """In good weather first: a tree that is in sync, in two of three plays."""
    if play.luck.random() < 0.67:
        play.weather = Weather()
        for _ in range(play.luck.choice([5, 15, 40])):
            hand.act(play.luck.choice(editors))
        play.settle_all(rounds=3)
        play.weather = play.chosen


def blow(play: Play, hand: Hand, editors: list[SimDevice], turns: int, cuts: Cuts) -> None:
    """Let people and weather have their way."""
    for _ in range(turns if cuts.turns is None else min(turns, cuts.turns)):
        device = play.luck.choice(play.devices)
        if play.luck.random() < 0.12:
            for _ in range(play.luck.choice([1, 1, 2, 5])):
                hand.act(play.luck.choice(editors))
        device.turn()
        play.gust()


def check_nothing_lost(play: Play, hand: Hand) -> None:
    """P1 by the ledger; and no job failed in a way nobody foresaw."""
    lost = play.lost(content for content, wanted in hand.wanted.items() if wanted)
    assert not lost, f"P1: lost {lost}"
    assert not play.failed_jobs, play.failed_jobs
