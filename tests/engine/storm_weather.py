"""The weather, and a disk in it: every call may fail, be the last of its process, or find other hands at work."""

import errno
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from syncd.adapters.posix_fs import PosixFs
from syncd.model.errors import NoSpace

if TYPE_CHECKING:
    from tests.engine.storm import StormDevice

DISK_ERRORS = (errno.EIO, errno.EIO, errno.EACCES, errno.EBUSY, errno.ENOSPC)


class Crash(BaseException):
    """The process is gone, in the middle of a call."""


@dataclass
class Weather:
    """How likely each evil is, per call or per turn."""

    crash: float = 0.0  # at a call to the disk or the hub
    disk: float = 0.0  # an OSError at a call
    full: float = 0.0  # NoSpace at a write
    cut: float = 0.0  # a call to the hub fails before it had an effect
    lost: float = 0.0  # a call to the hub fails after it had its effect
    meddle: float = 0.0  # the person acts in the middle of a call
    restart: float = 0.0  # a crash between turns
    amnesia: float = 0.0  # ... after which the database is gone, or an older copy of it is there
    outage: float = 0.0  # the hub goes away, or comes back
    reopen: float = 0.0  # the hub is stopped and started
    restore: float = 0.0  # the hub goes back to an older backup
    expire: float = 0.0  # the journal is trimmed
    revoke: float = 0.0  # the token is revoked, or renewed
    unreadable: float = 0.0  # a file cannot be read for a while
    jump: float = 0.0  # the clock jumps
    drop_hints: float = 0.0  # the watcher misses a change
    lose_hints: float = 0.0  # the watcher says that it missed some
    young: bool = False  # file times and clock agree: the racy rule is at work

    @classmethod
    def chosen(cls, luck: random.Random, *, memory: bool) -> "Weather":
        """Some evils at a time, so that none hides another. *memory* False: no amnesia, and no hub from a backup."""
        rates = {
            "crash": 0.004, "disk": 0.01, "full": 0.02, "cut": 0.04, "lost": 0.06, "meddle": 0.01, "restart": 0.01,
            "amnesia": 0.4, "outage": 0.03, "reopen": 0.01, "restore": 0.006, "expire": 0.01, "revoke": 0.01,
            "unreadable": 0.02, "jump": 0.01, "drop_hints": 0.3, "lose_hints": 0.02,
        }  # fmt: skip
        picked = {name: rate * luck.choice([0.5, 1, 3]) for name, rate in rates.items() if luck.random() < 0.4}
        if not memory:
            picked.pop("amnesia", None)
            picked.pop("restore", None)
        return cls(**picked, young=luck.random() < 0.25)

    def calm(self) -> None:
        for each in fields(self):
            if each.name != "young":
                setattr(self, each.name, 0.0)

    def __str__(self) -> str:
        return " ".join(f"{f.name}={getattr(self, f.name):g}" for f in fields(self) if getattr(self, f.name))


class StormFile:
    """An open file whose every call may fail."""

    def __init__(self, inner: object, storm: "StormFs") -> None:
        self._inner, self._storm = inner, storm

    def write(self, data: bytes) -> None:
        self._storm.call("write", None, ())
        self._inner.write(data)  # type: ignore[attr-defined]

    def read(self, offset: int, size: int) -> bytes:
        self._storm.call("read", None, ())
        return self._inner.read(offset, size)  # type: ignore[attr-defined, no-any-return]

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def __enter__(self) -> "StormFile":
        self._inner.__enter__()  # type: ignore[attr-defined]
        return self

    def __exit__(self, *exc: object) -> None:
        self._inner.__exit__(*exc)  # type: ignore[attr-defined]


CHANGES = frozenset({"rename_new", "exchange", "mkdir", "symlink", "unlink", "rmdir", "create", "chmod_executable"})


class StormDir:
    """An open directory whose every call may fail; tells the watcher what it changes. *path* None: one of ours."""

    def __init__(self, inner: object, storm: "StormFs", path: tuple[str, ...] | None) -> None:
        self.inner, self._storm, self.path = inner, storm, path

    def __getattr__(self, name: str) -> object:
        found = getattr(self.inner, name)
        if not callable(found) or name == "close":
            return found

        def call(*given: object, **more: object) -> object:
            self._storm.call(name, self.path, given)
            bare = [each.inner if isinstance(each, StormDir) else each for each in given]
            out = found(*bare, **more)
            if name in CHANGES:
                self._tell(given)
            if name == "child":
                return StormDir(out, self._storm, None if self.path is None else (*self.path, str(given[0])))
            return StormFile(out, self._storm) if name in ("open", "create") else out

        return call

    def _tell(self, given: tuple[object, ...]) -> None:
        if self.path is not None:
            self._storm.device.saw(self.path, str(given[0]))
        if len(given) > 2 and isinstance(given[1], StormDir) and given[1].path is not None:
            self._storm.device.saw(given[1].path, str(given[2]))

    def __enter__(self) -> "StormDir":
        self.inner.__enter__()  # type: ignore[attr-defined]
        return self

    def __exit__(self, *exc: object) -> None:
        self.inner.__exit__(*exc)  # type: ignore[attr-defined]


class StormFs:
    """The root's file system in a storm. After a crash, whatever still holds it cannot do anything any more."""

    def __init__(self, inner: PosixFs, device: "StormDevice") -> None:
        self.inner, self.device = inner, device
        self.dead = False
        self.traits = inner.traits

    def call(self, name: str, path: tuple[str, ...] | None, given: tuple[object, ...]) -> None:
        """Let the weather at one call."""
        if self.dead:
            raise Crash
        storm, luck = self.device.storm, self.device.storm.luck
        weather = storm.weather
        storm.at_call(self.device, f"fs.{name}")
        if name == "open" and path is not None and str(given[0]) in self.device.unreadable:
            raise PermissionError(errno.EACCES, "unreadable for a while")
        if luck.random() < weather.disk:
            number = luck.choice(DISK_ERRORS)
            storm.say(f"{self.device.name}: {name} fails with {errno.errorcode[number]}")
            raise OSError(number, os.strerror(number))
        if name in ("write", "create", "finish") and luck.random() < weather.full:
            raise NoSpace("the disk is full")

    @property
    def opened(self) -> int:
        return self.inner.opened

    def prove(self) -> object:
        self.call("prove", None, ())
        return self.inner.prove()

    def open_dir(self, path: tuple[str, ...]) -> StormDir:
        self.call("open_dir", path, ())
        return StormDir(self.inner.open_dir(path), self, path)

    def own(self, *names: str) -> StormDir:
        self.call("own", None, ())
        return StormDir(self.inner.own(*names), self, None)

    def make_durable(self, files: Sequence[StormFile | StormDir]) -> None:
        self.call("make_durable", None, ())
        bare = [each.inner if isinstance(each, StormDir) else each._inner for each in files]
        self.inner.make_durable(bare)  # type: ignore[arg-type]

    def free_bytes(self) -> int:
        self.call("free_bytes", None, ())
        return self.inner.free_bytes()
