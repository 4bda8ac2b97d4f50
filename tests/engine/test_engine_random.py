"""Random people on two or three devices, with cuts and crashes: nothing is lost and all converge (P1, P2)."""

import os
import random
from collections.abc import Callable

import pytest

from syncd.model.conflict import is_conflicted_copy
from tests.engine.world import Device, World

CASES = int(os.environ.get("SYNCD_CASES", "60"))
FIRST = int(os.environ.get("SYNCD_SEED", "0"))


class Person:
    """Edits folders at random and remembers every content that must not get lost."""

    def __init__(self, seed: int) -> None:
        self.luck = random.Random(seed)
        self.written: dict[bytes, bool] = {}  # content → still wanted (not replaced or removed by its own person)
        self.count = 0

    def act(self, device: Device) -> None:
        paths = [path for path in device.tree() if is_file(device, path)]
        folders = ["", *(path for path in device.tree() if device.path(path).is_dir())]
        kind = self.luck.choice(["write", "write", "edit", "edit", "move", "move", "delete", "mkdir", "rmtree", "swap"])
        if kind == "write" or not paths:
            self.write(device, self.inside(folders, f"f{self.luck.randrange(6)}"))
        elif kind == "edit":
            self.write(device, self.luck.choice(paths))
        elif kind == "move":
            self.move(device, self.luck.choice(paths + folders[1:]), self.inside(folders, f"m{self.luck.randrange(6)}"))
        elif kind == "delete":
            self.gone(device, self.luck.choice(paths))
        elif kind == "mkdir":
            target = device.path(self.inside(folders, f"d{self.luck.randrange(4)}"))
            if not os.path.lexists(target):
                target.mkdir()
        elif kind == "rmtree" and len(folders) > 1:
            self.gone(device, self.luck.choice(folders[1:]))
        elif kind == "swap" and len(folders) > 2:
            self.swap(device, *self.luck.sample(folders[1:], 2))

    def inside(self, folders: list[str], name: str) -> str:
        folder = self.luck.choice(folders)
        return f"{folder}/{name}" if folder else name

    def write(self, device: Device, name: str) -> None:
        path = device.path(name)
        if path.is_dir():
            return
        if path.exists():
            self.written[path.read_bytes()] = False
        self.count += 1
        content = f"{device.name} {self.count} ".encode() * self.luck.choice([1, 1, 500])
        path.write_bytes(content)
        self.written[content] = True

    def gone(self, device: Device, name: str) -> None:
        path = device.path(name)
        for file in [path] if path.is_file() else path.rglob("*"):
            if file.is_file():
                self.written[file.read_bytes()] = False
        device.remove(name)

    def move(self, device: Device, source: str, target: str) -> None:
        if not os.path.lexists(device.path(target)) and not f"{target}/".startswith(f"{source}/"):
            device.path(source).rename(device.path(target))

    def swap(self, device: Device, one: str, other: str) -> None:
        if f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/"):
            return
        aside = device.path("aside while swapping")
        device.path(one).rename(aside)
        device.path(other).rename(device.path(one))
        aside.rename(device.path(other))


def is_file(device: Device, path: str) -> bool:
    return device.path(path).is_file()


def play(world: World, seed: int, *, rough: bool) -> Person:
    person = Person(seed)
    luck = random.Random(seed * 7919 + 1)
    for _ in range(luck.randrange(3, 9)):
        for device in world.devices:
            for _ in range(luck.randrange(0, 5)):
                person.act(device)
            for _ in range(luck.choice([0, 1, 3, 8, 20])):
                if not device.one() and device.deadline is not None:
                    world.time.ahead += min(3.0, max(0.0, device.deadline - world.time.monotonic()))
            if rough and luck.random() < 0.25:
                device.crash()
                device.start()
            if rough and luck.random() < 0.15:
                device.wire.cut = not device.wire.cut
        if luck.random() < 0.4:
            for device in world.devices:
                device.wire.cut = False
            world.settle(expect=None)
    for device in world.devices:
        device.wire.cut = False
    world.settle(expect=None)
    return person


def check_p1(world: World, person: Person) -> None:
    kept = set().union(*(device.everything() for device in world.devices))
    lost = [content[:40] for content, wanted in person.written.items() if wanted and content not in kept]
    assert not lost, f"lost: {lost}"


@pytest.mark.parametrize("seed", range(FIRST, FIRST + CASES))
def test_p1_p2_random_people_with_cuts_and_crashes(make_world: Callable[..., World], seed: int) -> None:
    world = make_world(*("ann", "bob", "cleo")[: 2 + seed % 2])
    check_p1(world, play(world, seed, rough=True))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + CASES // 3))
def test_p4_one_person_at_one_device_never_sees_a_conflicted_copy(make_world: Callable[..., World], seed: int) -> None:
    world = make_world("ann", "bob")
    person, luck = Person(seed), random.Random(seed)
    for _ in range(12):
        person.act(world.devices[0])
        for device in world.devices:
            for _ in range(luck.choice([0, 1, 2, 5, 13])):
                if not device.one() and device.deadline is not None:
                    world.time.ahead += min(3.0, max(0.0, device.deadline - world.time.monotonic()))
            if luck.random() < 0.2:
                device.crash()
                device.start()
    world.settle()
    check_p1(world, person)
    for device in world.devices:
        assert not [path for path in device.tree() if is_conflicted_copy(path.rsplit("/", 1)[-1])]
