"""A disk with one root, for the simulator's own tests."""

from tests.sim.disk import Disk, Features
from tests.sim.fs import SimFs
from tests.sim.person import SimPerson

MTIME = 1_700_000_000_123_456_789


class Stop(BaseException):
    """The simulation ends the process here."""


class World:
    """A disk with a root on a volume of its own, and a clock that stands still unless told."""

    def __init__(self, features: Features | None = None, **limits: int) -> None:
        self.at = 10**18
        self.disk = Disk(lambda: self.at)
        self.volume = self.disk.add("home/root", features, **limits)
        self.identity = SimFs.tie(self.disk, "home/root", "ab" * 16)
        self.person = SimPerson(self.disk, "home/root")
        self.fs = self.process()

    def process(self) -> SimFs:
        return SimFs(self.disk, "home/root", expected=self.identity)
