"""A simulated machine's storage: volumes, where they are mounted, who has files open, and how all that ends.

Start here. ``Disk`` holds volumes; ``SimFs`` (tests.sim.fs) is syncd's way to one of their folders, ``SimPerson``
(tests.sim.person) everybody else's. Deterministic: times come from the clock given, chance from the luck given, inode
numbers are the lowest free ones, as on ext4. What survives a power loss is told in ``tests.sim.journal``.

What differs from a real system: one user, who owns everything (permission bits of the owner count, unless
``Volume.superuser``); no extended attributes or ACLs; access times are not kept; a directory takes no space; a path to
a root leads through no symlinks.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from typing import Final, Protocol

from syncd.model.node import Kind
from syncd.model.path import RESERVED, RelPath
from tests.sim.features import Features, Flag, fault
from tests.sim.inode import Inode
from tests.sim.journal import Policy
from tests.sim.volume import Volume

__all__ = ["Dead", "Disk", "Features", "Flag", "Inode", "Policy", "Volume"]

_FIRST_DEV: Final = 0x800


class Dead(BaseException):
    """The process that makes this call is gone; not an Exception, so that nothing takes it for an error."""


class Process(Protocol):
    """Something with open handles."""

    def kill(self) -> None:
        """Close every handle, and let no call through any more."""
        ...


class Disk:
    """All storage of one device. *clock* tells the time in nanoseconds."""

    def __init__(self, clock: Callable[[], int], features: Features | None = None) -> None:
        self._clock = clock
        self._processes: list[Process] = []
        self.base = Volume(_FIRST_DEV, clock, features)
        self.volumes = [self.base]

    # --- volumes and mounts ---

    def add(
        self, path: str, features: Features | None = None, *, capacity: int | None = None, inodes: int | None = None
    ) -> Volume:
        """Make an empty volume and mount it at *path*, which becomes a folder where it is none, durably."""
        volume = Volume(_FIRST_DEV + len(self.volumes), self._clock, features, capacity, inodes)
        self.volumes.append(volume)
        self.make_folder(path)
        self.mount(path, volume)
        return volume

    def mount(self, path: str, volume: Volume) -> None:
        """Mount *volume* over the folder at *path*; EBUSY when something is mounted there."""
        under = self._under(path)
        if under.mounted is not None:
            raise fault(errno.EBUSY, path)
        under.mounted = volume

    def unmount(self, path: str) -> Volume:
        """Take away what is mounted at *path*: the folder below it, on another device, shows again. What is open on
        the volume stays so (a lazy unmount). Returns the volume."""
        under = self._under(path)
        if under.mounted is None:
            raise fault(errno.EINVAL, path, "not mounted")
        volume, under.mounted = under.mounted, None
        return volume

    def make_folder(self, path: str) -> Inode:
        """Return the folder at *path*, making what is missing, durably."""
        here = self.base.root
        for name in parts(path):
            found = here.volume.find(here, name)
            if found is None:
                found = here.volume.make(here, name, Kind.DIRECTORY, 0o755)
                here.volume.sync(here)
            here = covered(found)
        return here

    def resolve(self, path: str) -> Inode:
        """Return the directory at the absolute *path*; ENOENT, ENOTDIR, EACCES."""
        here = self.base.root
        for name in parts(path):
            here = covered(here.volume.existing(here, name))
            if here.entries is None:
                raise fault(errno.ENOTDIR, path)
        return here

    def _under(self, path: str) -> Inode:
        """Return the directory at *path* itself, not what is mounted over it."""
        *above, last = parts(path)
        parent = self.resolve("/".join(above))
        found = parent.volume.existing(parent, last)
        if found.entries is None:
            raise fault(errno.ENOTDIR, path)
        return found

    def watch(self, path: str, seen: Callable[[RelPath, str], None]) -> Callable[[], None]:
        """Have *seen* told of every change below the folder at *path*, whoever makes it: the directory's path from
        there, and the name. Changes below ``.syncd`` are left out. Returns what ends it."""
        root = self.resolve(path)

        def changed(directory: Inode, name: str) -> None:
            names: list[str] = []
            here: Inode | None = directory
            while here is not None and here is not root:
                names.append(here.name)
                here = here.parent
            if here is not None and RESERVED not in (*names[-1:], name if not names else ""):
                seen(tuple(reversed(names)), name)

        root.volume.on_change.append(changed)
        return lambda: root.volume.on_change.remove(changed)

    # --- processes, and how they end ---

    def started(self, process: Process) -> None:
        """*process* will open things here."""
        self._processes.append(process)

    def kill(self) -> None:
        """Every process of syncd dies at once. Nothing else is lost: what was written is in the kernel's hands."""
        processes, self._processes = self._processes, []
        for process in processes:
            process.kill()

    def write_back(self) -> None:
        """The kernel's own write-back, some half a minute after the last change: everything is durable.

        Raises OSError(ENOSPC) never: what finds no room stays as it is."""
        for volume in self.volumes:
            if volume.capacity is None or volume.used <= volume.capacity:
                volume.sync_all()

    def power_loss(self, policy: Policy, luck: random.Random) -> None:
        """The power goes and comes back: processes are gone, handles too, and what *policy* says. What was mounted is
        mounted again, unless its folder is lost."""
        self.kill()
        for volume in self.volumes:
            volume.power_loss(policy, luck)


def parts(path: str) -> list[str]:
    """Return the names in a path with slashes."""
    return [name for name in path.split("/") if name]


def covered(inode: Inode) -> Inode:
    """Return what a lookup that found *inode* shows: the root of what is mounted over it, or itself."""
    return inode if inode.mounted is None else inode.mounted.root
