"""The simulated disk as one more root on which the suite of LocalFs runs: what the simulator fakes must be true."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from syncd.ports import LocalFs
from tests.contract.local_worlds import LocalWorld, MakeWorld
from tests.sim.disk import Disk, Features
from tests.sim.fs import SimFs
from tests.sim.person import SimPerson


class SimulatedPerson(SimPerson):
    """A person as the suite knows one, whose paths are those of one folder, and who deletes no folders."""

    def __init__(self, disk: Disk, path: str) -> None:
        super().__init__(disk, path)
        self._elsewhere = SimPerson(disk, "home/outside")
        disk.make_folder("home/outside")
        self._elsewhere.write("secret", b"secret")

    def outside(self) -> str:
        return "/home/outside"

    def outside_is_untouched(self) -> bool:
        return self._elsewhere.snapshot() == {"secret": ("file", False, b"secret")}

    def replace_root(self) -> None:
        SimPerson(self.disk, "home").rename("root", "moved away")
        SimPerson(self.disk, "home").mkdir("root")

    def delete(self, path: str) -> None:
        directory, name = self._place(path)
        directory.volume.unlink(directory, name)

    def lose_marker(self) -> None:
        self.delete(".syncd/root.json")

    def bits_count(self) -> bool:
        return True

    @contextmanager
    def elsewhere(self) -> Iterator[LocalFs]:
        self.disk.add("other")
        yield SimFs(self.disk, "other", expected=SimFs.tie(self.disk, "other", "cd" * 16))


def simulated(features: Features) -> MakeWorld:
    """Return what makes a world on a disk with *features*."""

    @contextmanager
    def make(folder: Path) -> Iterator[LocalWorld]:
        disk = Disk(ticking())
        disk.add("home", features)
        disk.make_folder("home/root")
        fs = SimFs(disk, "home/root", expected=SimFs.tie(disk, "home/root", "ab" * 16))
        yield LocalWorld(fs, SimulatedPerson(disk, "home/root"))

    return make


def ticking() -> Callable[[], int]:
    """Return a clock that goes on a millisecond each time it is read, from now."""
    at = time.time_ns()

    def now() -> int:
        nonlocal at
        at += 1_000_000
        return at

    return now


WITHOUT_RENAME_FLAGS = simulated(Features(exchange=False, no_replace=False))

SIM_WORLDS: dict[str, MakeWorld] = {
    "simulated": simulated(Features()),
    "simulated without rename flags": WITHOUT_RENAME_FLAGS,
    "simulated with coarse times": simulated(Features(tick_ns=2_000_000_000)),
    "simulated without executable bit": simulated(Features(executable_bit=False)),
    "simulated, case and normal forms folded": simulated(Features(case_sensitive=False, normalises=True)),
}
