"""The weather: how likely each evil is, per call to disk or hub, or per turn. Values only."""

import errno
import random
from dataclasses import dataclass, fields

DISK_ERRORS = (errno.EIO, errno.EIO, errno.EACCES, errno.EBUSY, errno.ENOSPC)


class Crash(BaseException):
    """A device's process is gone, in the middle of a call."""


class HubCrash(BaseException):
    """The hub's process is gone, in the middle of a request."""


@dataclass
class Weather:
    """How likely each evil is, per call or per turn."""

    # At a call of syncd's to its disk, its database or the hub:
    crash: float = 0.0  # the process dies, or its machine loses power
    disk: float = 0.0  # an OSError
    cut: float = 0.0  # a request fails before it had an effect
    lost: float = 0.0  # ... after it had its effect
    hub_crash: float = 0.0  # the hub dies in the middle of a request, or its machine loses power
    meddle: float = 0.0  # a person acts in the middle of a call
    # Between turns:
    restart: float = 0.0  # the process dies, or its machine loses power
    amnesia: float = 0.0  # ... after which the database is gone, or an older copy of it is there
    broken_database: float = 0.0  # a call of the database fails, once or from now on until a restart
    full: float = 0.0  # the disk fills up, or is emptied
    unmount: float = 0.0  # the root's file system goes away, or comes back
    outage: float = 0.0  # the hub goes away, or comes back
    reopen: float = 0.0  # the hub is stopped and started
    restore: float = 0.0  # the hub goes back to an older backup
    expire: float = 0.0  # the journal is trimmed
    revoke: float = 0.0  # the token is revoked, or renewed
    unreadable: float = 0.0  # a file cannot be read for a while
    jump: float = 0.0  # the clock jumps
    drop_hints: float = 0.0  # the watcher misses a change
    lose_hints: float = 0.0  # the watcher says that it missed some
    # Of each crash:
    power: float = 0.0  # it takes what was not durable

    @classmethod
    def chosen(cls, luck: random.Random, *, memory: bool) -> "Weather":
        """Some evils at a time, so that none hides another. *memory* False: no amnesia, and no hub from a backup."""
        rates = {
            "crash": 0.004, "disk": 0.01, "cut": 0.04, "lost": 0.06, "hub_crash": 0.004, "meddle": 0.01,
            "restart": 0.01, "amnesia": 0.4, "broken_database": 0.006, "full": 0.01, "unmount": 0.01, "outage": 0.03,
            "reopen": 0.01, "restore": 0.006, "expire": 0.01, "revoke": 0.01, "unreadable": 0.02, "jump": 0.01,
            "drop_hints": 0.3, "lose_hints": 0.02,
        }  # fmt: skip
        picked = {name: rate * luck.choice([0.5, 1, 3]) for name, rate in rates.items() if luck.random() < 0.4}
        if not memory:
            picked.pop("amnesia", None)
            picked.pop("restore", None)
        return cls(**picked, power=luck.choice([0.0, 0.5, 1.0]))

    def calm(self) -> None:
        for each in fields(self):
            setattr(self, each.name, 0.0)

    def evils(self) -> list[str]:
        """Return the names of those that can happen."""
        return [each.name for each in fields(self) if getattr(self, each.name)]

    def __str__(self) -> str:
        return " ".join(f"{name}={getattr(self, name):g}" for name in self.evils())
