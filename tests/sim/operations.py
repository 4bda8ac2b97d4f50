"""A small alphabet of what people do to a small tree, and the workloads made of it (after ACE, OSDI 2018).

Every name occurs in several operations, so that two or three of them meet: on one file, in one folder, one inside what
another moves. What cannot be done any more after the ones before it makes a workload void.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.sim.person import SimPerson

BASE: Final[dict[str, bytes | None]] = {
    "keep": b"nobody ever touches this " * 30,
    "a": b"content of a " * 60,
    "d": None,
    "d/b": b"content of b " * 50,
    "d/c": b"content of c",
    "e": None,
    "e/z": b"content of z " * 20,
    "f": None,
}
"""The tree before: None is a folder."""

DEVICES: Final = ("ann", "bob")
Deed = Callable[[SimPerson, bytes], None]


def kind_to_folder(who: SimPerson, new: bytes) -> None:
    who.delete("a")
    who.mkdir("a")
    who.write("a/in", new)


def kind_to_file(who: SimPerson, new: bytes) -> None:
    who.delete("d")
    who.write("d", new)


def swap_files(who: SimPerson, new: bytes) -> None:
    who.rename("a", "a-t")
    who.rename("d/b", "a")
    who.rename("a-t", "d/b")


def swap_folders(who: SimPerson, new: bytes) -> None:
    who.rename("d", "t")
    who.rename("e", "d")
    who.rename("t", "e")


def symlink_over(who: SimPerson, new: bytes) -> None:
    who.delete("a")
    who.symlink("a", "d/b")


def move_and_edit(who: SimPerson, new: bytes) -> None:
    who.rename("d/b", "e/b")
    who.write("e/b", new)


def new_folder(who: SimPerson, new: bytes) -> None:
    who.mkdir("m")
    who.mkdir("m/n")
    who.write("m/n/new", new)


def backup_and_write(who: SimPerson, new: bytes) -> None:
    """Some editors keep the old file under another name and write a new one."""
    who.rename("a", "a.old")
    who.write("a", new)


OPERATIONS: Final[dict[str, Deed]] = {
    "create": lambda who, new: who.write("new", new),
    "create in a folder": lambda who, new: who.write("d/new", new),
    "create empty": lambda who, new: who.write("f/empty", b""),
    "overwrite": lambda who, new: who.write("a", new),
    "overwrite below": lambda who, new: who.write("d/b", new),
    "save by rename": lambda who, new: who.save("a", new),
    "save with a backup": backup_and_write,
    "append": lambda who, new: who.append("d/b", new),
    "truncate": lambda who, new: who.write("a", b""),
    "rename": lambda who, new: who.rename("a", "a2"),
    "rename over": lambda who, new: who.rename("a", "d/b"),
    "move into a folder": lambda who, new: who.rename("a", "e/a"),
    "move out": lambda who, new: who.rename("d/b", "b"),
    "move and edit": move_and_edit,
    "mkdir": lambda who, new: who.mkdir("g"),
    "new tree": new_folder,
    "delete": lambda who, new: who.delete("a"),
    "delete below": lambda who, new: who.delete("d/b"),
    "delete a folder": lambda who, new: who.delete("d"),
    "rmdir": lambda who, new: who.delete("f"),
    "rename a folder": lambda who, new: who.rename("d", "d2"),
    "move a folder in": lambda who, new: who.rename("d", "e/d"),
    "move the other in": lambda who, new: who.rename("e", "d/e"),
    "swap files": swap_files,
    "swap folders": swap_folders,
    "chmod": lambda who, new: who.chmod("a", 0o755),
    "symlink": lambda who, new: who.symlink("l", "a"),
    "symlink over": symlink_over,
    "hard link": lambda who, new: who.hard_link("a", "e/h"),
    "file to folder": kind_to_folder,
    "folder to file": kind_to_file,
    "same content twice": lambda who, new: who.write("copy", BASE["keep"] or b""),
}
NAMES: Final = tuple(OPERATIONS)


@dataclass(frozen=True, slots=True)
class Step:
    """One operation by the person at one device."""

    device: int
    operation: str

    def do(self, who: SimPerson, number: int) -> None:
        """Do it; OSError where it cannot be done any more. *number* makes what it writes its own."""
        OPERATIONS[self.operation](who, f"{DEVICES[self.device]} step {number} {self.operation} ".encode() * 9)

    def __str__(self) -> str:
        return f"{DEVICES[self.device]}:{self.operation}"


Workload = tuple[Step, ...]


def workloads(length: int) -> Iterator[Workload]:
    """Yield every workload of so many operations, the first one by ann (devices are alike)."""
    devices = itertools.product([0], *[[0, 1]] * (length - 1))
    for who in devices:
        for what in itertools.product(NAMES, repeat=length):
            yield tuple(Step(device, operation) for device, operation in zip(who, what, strict=True))


def sampled(length: int, count: int, seed: int) -> list[Workload]:
    """Return *count* different workloads (or all there are), in an order that *seed* decides."""
    luck = random.Random(f"{length} {seed}")
    if length < 3:
        everyone = list(workloads(length))
        luck.shuffle(everyone)
        return everyone[:count] if count else everyone
    chosen: dict[Workload, None] = {}
    while len(chosen) < (count or 20_000):
        who = (0, *(luck.randrange(2) for _ in range(length - 1)))
        chosen[tuple(Step(device, luck.choice(NAMES)) for device in who)] = None
    return list(chosen)


def parse(text: str) -> Workload:
    """Return the workload that ``shown`` wrote."""
    steps = []
    for part in text.split(" + "):
        device, _, operation = part.partition(":")
        steps.append(Step(DEVICES.index(device), operation))
    return tuple(steps)


def shown(workload: Workload) -> str:
    return " + ".join(map(str, workload))
