"""A real root, and a file system port whose calls can be made to go wrong or to be interrupted."""

import os
import time
from dataclasses import dataclass, field

import pytest

from syncd.adapters.posix_fs import PosixFs
from syncd.model.job import KnownEntry, LookJob, LookUnit
from syncd.observe.scan import Looker


class SteppingClock:
    """Wall time that is what the test says; far enough ahead that nothing written before is racy."""

    def __init__(self):
        self.ahead = 60.0

    def now(self):
        return time.time() + self.ahead

    def monotonic(self):
        return time.monotonic()


@dataclass
class Faults:
    """What goes wrong: *errors* by (call, name), *before* runs just before a call of that name."""

    errors: dict = field(default_factory=dict)
    before: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)

    def at(self, call, name):
        self.calls.append((call, name))
        if action := self.before.pop((call, name), None):
            action()
        if error := self.errors.get((call, name)):
            raise error


class FaultyFile:
    def __init__(self, inner, name, faults):
        self._inner, self._name, self._faults = inner, name, faults

    def __getattr__(self, attribute):
        return getattr(self._inner, attribute)

    def read(self, offset, size):
        self._faults.at("read", self._name)
        return self._inner.read(offset, size)

    def read_into(self, offset, buffer):
        self._faults.at("read", self._name)
        return self._inner.read_into(offset, buffer)

    def sync(self):
        self._faults.at("sync", self._name)
        self._inner.sync()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._inner.close()


class FaultyDir:
    def __init__(self, inner, faults):
        self._inner, self._faults = inner, faults

    def __getattr__(self, attribute):
        return getattr(self._inner, attribute)

    def names(self):
        self._faults.at("names", "")
        return self._inner.names()

    def sync(self):
        self._faults.at("sync", "")
        self._inner.sync()

    def entries(self):
        entries = self._inner.entries()
        self._faults.at("entries", "")
        return entries

    def stat(self, name):
        self._faults.at("stat", name)
        return self._inner.stat(name)

    def open(self, name):
        self._faults.at("open", name)
        return FaultyFile(self._inner.open(name), name, self._faults)

    def readlink(self, name):
        self._faults.at("readlink", name)
        return self._inner.readlink(name)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._inner.close()


class FaultyFs:
    """PosixFs with faults."""

    def __init__(self, root, faults):
        self._inner, self._faults = PosixFs(root), faults

    def __getattr__(self, attribute):
        return getattr(self._inner, attribute)

    def open_dir(self, path):
        self._faults.at("open_dir", path)
        return FaultyDir(self._inner.open_dir(path), self._faults)


@pytest.fixture
def faults():
    return Faults()


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def fs(root, faults):
    return FaultyFs(os.fspath(root), faults)


@pytest.fixture
def clock():
    return SteppingClock()


@pytest.fixture
def looker(fs, clock):
    return Looker(fs, clock)


@pytest.fixture
def look(looker):
    """Look at one directory; *known* is what an earlier look saw of it."""

    def one(path=(), names=None, known=(), digest=None, **how):
        (unit,) = looker.look(LookJob((LookUnit(7, path, names, tuple(known), digest),), began=1, **how)).units
        return unit

    return one


def known_of(unit):
    """What L holds after *unit* was taken in."""
    return [KnownEntry(s.name, s.kind, s.fingerprint, s.racy, True, s.hash) for s in unit.seen]
