"""Whole devices in bad weather, from a seed: nothing is lost, all agree in the end, and nobody invents a conflict."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncd.observe.ignore import Rules
from tests.engine.storm import Storm, StormDevice, Weather
from tests.engine.storm_people import Hand

CASES = int(os.environ.get("SYNCD_CASES", "40"))
FIRST = int(os.environ.get("SYNCD_SEED", "0"))
Make = Callable[..., Storm]


@pytest.fixture
def make_storm(tmp_path: Path) -> Iterator[Make]:
    storms: list[Storm] = []

    def make(seed: int, *names: str, weather: Weather | None = None) -> Storm:
        storms.append(Storm(tmp_path / f"storm{len(storms)}", seed, *names, weather=weather))
        return storms[-1]

    yield make
    for storm in storms:
        storm.close()


def seeds(share: int = 1) -> range:
    return range(FIRST, FIRST + max(1, CASES // share))


def blow(storm: Storm, hand: Hand, editors: list[StormDevice], turns: int) -> None:
    """Let people and weather have their way."""
    for _ in range(turns):
        device = storm.luck.choice(storm.devices)
        if storm.luck.random() < 0.12:
            for _ in range(storm.luck.choice([1, 1, 2, 5])):
                hand.act(storm.luck.choice(editors))
        device.turn()
        storm.gust()


def tell(storm: Storm) -> str:
    return f"seed {storm.seed}, weather: {storm.weather}\n" + "\n".join(storm.trace[-40:])


@pytest.mark.parametrize("seed", seeds())
def test_p1_p2_p3_nothing_is_lost_in_a_storm(make_storm: Make, seed: int) -> None:
    luck = random.Random(seed)
    weather = Weather.chosen(luck, memory=True)
    storm = make_storm(seed, *("ann", "bob", "cleo")[: 2 + seed % 2], weather=weather)
    hand = Hand(seed)
    storm.meddler = hand.act
    blow(storm, hand, storm.devices, luck.choice([100, 300, 800]))
    storm.heal()
    storm.settle(expect=None, rounds=12)
    storm.check_queues()
    assert not storm.lost(content for content, wanted in hand.wanted.items() if wanted), tell(storm)
    assert not storm.failed_jobs, storm.failed_jobs


@pytest.mark.parametrize("seed", seeds())
def test_p4_one_person_in_a_storm_finds_her_folder_as_she_left_it(make_storm: Make, seed: int) -> None:
    luck = random.Random(seed + 1_000_000)
    storm = make_storm(seed, "ann", "bob", weather=Weather.chosen(luck, memory=False))
    hand, ann = Hand(seed), storm.devices[0]
    storm.meddler = lambda device: hand.act(ann)
    blow(storm, hand, [ann], luck.choice([100, 300, 800]))
    storm.heal()
    expected = ann.tree()
    storm.settle(expect=None, rounds=12)
    storm.check_queues()
    made = [path for path in ann.tree() if path not in expected]
    gone = [path for path in expected if path not in ann.tree()]
    assert ann.tree() == expected, (made, gone, tell(storm))
    assert not storm.failed_jobs, storm.failed_jobs


@pytest.mark.parametrize("seed", seeds(3))
def test_p1_p2_ignore_rules_that_change_in_a_storm(make_storm: Make, seed: int) -> None:
    luck = random.Random(seed + 2_000_000)
    storm = make_storm(seed, "ann", "bob", weather=Weather.chosen(luck, memory=True))
    hand = Hand(seed, rules=True)
    storm.meddler = hand.act
    blow(storm, hand, storm.devices, luck.choice([100, 300]))
    storm.heal()
    storm.settle_all(rounds=12)
    storm.check_queues()
    trees = [synced(device) for device in storm.devices]
    assert trees[0] == trees[1], (set(trees[0].items()) ^ set(trees[1].items()), tell(storm))
    assert not storm.lost(content for content, wanted in hand.wanted.items() if wanted), tell(storm)
    assert not storm.failed_jobs, storm.failed_jobs


def synced(device: StormDevice) -> dict[str, str]:
    """The device's files without what is ignored; a folder may stay on one side only, for what is ignored in it."""
    text = device.path(".syncignore").read_text() if device.path(".syncignore").is_file() else ""
    rules, kept = Rules.parse(text), {}
    for path, what in device.tree().items():
        parts = tuple(path.split("/"))
        if what != "directory" and not any(rules.ignored(parts[:n], n < len(parts)) for n in range(1, len(parts) + 1)):
            kept[path] = what
    return kept
