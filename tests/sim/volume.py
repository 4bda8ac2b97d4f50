"""One simulated file system: names, links, inodes, space. What a kernel does for one mount, without processes.

Owns every inode of the volume and the order of what happens to them. Methods raise OSError with the errno Linux gives.
Names are single components, checked by the caller; paths, mounts and open files are the disk's and its processes'.
"""

from __future__ import annotations

import errno
import heapq
import os
import random
from collections.abc import Callable
from typing import Final

from syncd.model.node import Kind
from tests.sim.features import Features, Flag, fault
from tests.sim.inode import Inode
from tests.sim.journal import Journal, Policy, Slot, surviving

ROOT_INO: Final = 2
_FIRST_INO: Final = 11
_UNLIMITED: Final = 1 << 45
_MTIMES: Final = (-(1 << 31), (1 << 34) - (1 << 31) - 1)
"""Seconds that an inode of ext4 holds; others are clamped to them."""


class Volume:
    """A file system. *capacity* counts content bytes, *inodes* everything that has one; None: no limit.

    ``on_change`` is told of every change as inotify tells it: the directory and the name.
    ``superuser``: permission bits stop nobody (what root sees).
    """

    def __init__(
        self,
        dev: int,
        clock: Callable[[], int],
        features: Features | None = None,
        capacity: int | None = None,
        inodes: int | None = None,
    ) -> None:
        self.dev, self._clock, self.features = dev, clock, features or Features()
        self.capacity, self.max_inodes = capacity, inodes
        self.superuser = False
        self.on_change: list[Callable[[Inode, str], None]] = []
        self.journal = Journal()
        self.boot = 0
        """How often power was lost: what was open before is not any more."""
        self._folds, self._key = self.features.folds, self.features.key
        self._free: list[int] = []
        self._next = _FIRST_INO
        self._dirty: dict[Inode, None] = {}  # also of files removed since: the removal may be lost
        self.used = self.count = 0
        self.root = Inode(self, ROOT_INO, Kind.DIRECTORY, 0o755, self.now())

    # --- names, modes, times ---

    def now(self) -> int:
        """Return the time an inode would get, in nanoseconds."""
        tick = self.features.tick_ns
        return self._clock() // tick * tick

    def shown_mode(self, inode: Inode) -> int:
        """Return the mode a stat tells: without executable bits of their own, files show none."""
        return inode.mode if self.features.executable_bit or inode.kind is not Kind.FILE else inode.mode & ~0o111

    def find(self, directory: Inode, name: str) -> Inode | None:
        """Look *name* up as the kernel does; EACCES without the right to search, ENAMETOOLONG beyond 255 bytes."""
        entries = directory.entries
        if entries is None:
            raise fault(errno.ENOTDIR, name)
        self._may(directory, 0o100, name)
        if len(name) > 63 and len(os.fsencode(name)) > 255:
            raise fault(errno.ENAMETOOLONG, name)
        if self._folds:
            name = directory.folded.get(self._key(name), name)
        return entries.get(name)

    def existing(self, directory: Inode, name: str) -> Inode:
        """As ``find``; ENOENT for nothing."""
        found = self.find(directory, name)
        if found is None:
            raise fault(errno.ENOENT, name)
        return found

    def _may(self, inode: Inode, bits: int, name: str) -> None:
        """Raise EACCES unless the owner has all of *bits* (0o200 and 0o100: entries of a directory may change)."""
        if inode.mode & bits != bits and not self.superuser:
            raise fault(errno.EACCES, name)

    # --- operations on names ---

    def make(self, directory: Inode, name: str, kind: Kind | None, mode: int, target: bytes = b"") -> Inode:
        """Make something new; EEXIST, EACCES, ENOENT (in a removed directory), ENOSPC."""
        if self.find(directory, name) is not None:
            raise fault(errno.EEXIST, name)
        if directory.links == 0:
            raise fault(errno.ENOENT, name)
        self._may(directory, 0o300, name)
        if self.max_inodes is not None and self.count >= self.max_inodes:
            raise fault(errno.ENOSPC, name)
        now = self.now()
        inode = Inode(self, heapq.heappop(self._free) if self._free else self._new_ino(), kind, mode, now, target)
        self.count += 1
        self._put(directory, name, inode, now)
        if kind is Kind.DIRECTORY:
            directory.links += 1
        self.journal.note("make", ((directory, self.features.stored(name), inode),), (inode,))
        self._tell(directory, name)
        return inode

    def link(self, inode: Inode, directory: Inode, name: str) -> None:
        """Give *inode* one more name; EPERM for directories."""
        if self.find(directory, name) is not None:
            raise fault(errno.EEXIST, name)
        if directory.links == 0 or inode.links == 0:
            raise fault(errno.ENOENT, name)
        self._may(directory, 0o300, name)
        if inode.volume is not self:
            raise fault(errno.EXDEV, name)
        if inode.entries is not None:
            raise fault(errno.EPERM, name)
        now = self.now()
        inode.links += 1
        inode.touch(now, content=False)
        self._put(directory, name, inode, now)
        self.journal.note("link", ((directory, self.features.stored(name), inode),), (inode,))
        self._tell(directory, name)

    def unlink(self, directory: Inode, name: str) -> None:
        inode = self.existing(directory, name)
        self._may(directory, 0o300, name)
        if inode.entries is not None:
            raise fault(errno.EISDIR, name)
        now = self.now()
        kept = self._take(directory, name, now)
        self.journal.note("unlink", ((directory, kept, None),), (inode,))
        self._drop(inode, now)
        self._tell(directory, name)

    def rmdir(self, directory: Inode, name: str) -> None:
        inode = self.existing(directory, name)
        self._may(directory, 0o300, name)
        self._require_removable(inode, name)
        now = self.now()
        kept = self._take(directory, name, now)
        self.journal.note("rmdir", ((directory, kept, None),), (inode,), emptied=inode)
        self._remove_directory(directory, inode, now)
        self._tell(directory, name)

    def rename(self, here: Inode, name: str, there: Inode, new_name: str, flag: Flag) -> None:
        """Rename within the volume, in one step; all that renameat2 refuses is refused alike."""
        if there.volume is not self:
            raise fault(errno.EXDEV, name)
        self._may(there, 0o100, new_name)
        moved = self.existing(here, name)
        found = self.find(there, new_name)
        if flag is Flag.NO_REPLACE and found is not None:
            raise fault(errno.EEXIST, new_name)
        if flag is Flag.EXCHANGE and found is None:
            raise fault(errno.ENOENT, new_name)
        if there.within(moved):
            raise fault(errno.EINVAL, new_name)
        if found is not None and here.within(found):
            raise fault(errno.EINVAL if flag is Flag.EXCHANGE else errno.ENOTEMPTY, new_name)
        if found is moved and not (here is there and self._key(name) == self._key(new_name)):
            return  # two links of one inode: nothing to do
        self._may(here, 0o300, name)
        if there.links == 0:
            raise fault(errno.ENOENT, new_name)
        self._may(there, 0o300, new_name)
        if here is not there:  # a directory that moves gets another "..", which is in itself
            for inode in (moved, found) if flag is Flag.EXCHANGE else (moved,):
                if inode is not None and inode.entries is not None:
                    self._may(inode, 0o200, name)
        if moved.mounted is not None or (found is not None and found.mounted is not None):
            raise fault(errno.EBUSY, name)
        if flag is Flag.EXCHANGE:
            assert found is not None
            self._exchange(here, name, moved, there, new_name, found)
        else:
            self._rename(here, name, moved, there, new_name, None if found is moved else found)
        self._tell(here, name)
        self._tell(there, new_name)

    def _rename(
        self, here: Inode, name: str, moved: Inode, there: Inode, new_name: str, replaced: Inode | None
    ) -> None:
        if replaced is not None:
            if moved.entries is None and replaced.entries is not None:
                raise fault(errno.EISDIR, new_name)
            if moved.entries is not None:
                self._require_removable(replaced, new_name)
        now = self.now()
        slots: list[Slot] = [(here, self._take(here, name, now), None)]
        if replaced is not None:
            slots.append((there, self._take(there, new_name, now), None))
        self._put(there, new_name, moved, now)
        slots.append((there, self.features.stored(new_name), moved))
        if moved.entries is not None and here is not there:
            here.links -= 1
            there.links += 1
        moved.touch(now, content=False)
        objects = (moved,) if replaced is None else (moved, replaced)
        into = (there,) if moved.entries is not None else ()
        self.journal.note("rename", tuple(slots), objects, emptied=replaced, into=into)
        if replaced is not None:
            if replaced.entries is not None:
                self._remove_directory(there, replaced, now)
            else:
                self._drop(replaced, now)

    def _exchange(self, here: Inode, name: str, one: Inode, there: Inode, other_name: str, two: Inode) -> None:
        now = self.now()
        kept, other_kept = self._take(here, name, now), self._take(there, other_name, now) if one is not two else ""
        self._put(here, kept, two, now)
        self._put(there, other_kept or kept, one, now)
        if here is not there:
            change = (two.entries is not None) - (one.entries is not None)
            here.links += change
            there.links -= change
        one.touch(now, content=False)
        two.touch(now, content=False)
        slots = ((here, kept, two), (there, other_kept or kept, one))
        directories = one.entries is not None or two.entries is not None
        self.journal.note("exchange", slots, (one, two), into=(here, there) if directories else ())

    def _require_removable(self, inode: Inode, name: str) -> None:
        if inode.entries is None:
            raise fault(errno.ENOTDIR, name)
        if inode.mounted is not None:
            raise fault(errno.EBUSY, name)
        if inode.entries:
            raise fault(errno.ENOTEMPTY, name)

    def _put(self, directory: Inode, name: str, inode: Inode, now: int) -> None:
        name = self.features.stored(name)
        assert directory.entries is not None
        directory.entries[name] = inode
        if self._folds:
            directory.folded[self._key(name)] = name
        if inode.entries is not None:
            inode.parent, inode.name = directory, name
        directory.entries_changed(now)

    def _take(self, directory: Inode, name: str, now: int) -> str:
        """Take a name away and return it as it was stored."""
        if self._folds:
            name = directory.folded.pop(self._key(name))
        assert directory.entries is not None
        del directory.entries[name]
        directory.entries_changed(now)
        return name

    def _remove_directory(self, parent: Inode, inode: Inode, now: int) -> None:
        inode.links = 1
        parent.links -= 1
        self._drop(inode, now)

    def _drop(self, inode: Inode, now: int) -> None:
        inode.links -= 1
        inode.touch(now, content=False)
        self._free_if_unused(inode)

    def _tell(self, directory: Inode, name: str) -> None:
        for listener in self.on_change:
            listener(directory, name)

    # --- open files ---

    def opened(self, inode: Inode, *, writing: bool) -> None:
        """A process holds *inode* open."""
        inode.handles += 1
        inode.writers += writing

    def closed(self, inode: Inode, *, writing: bool) -> None:
        """... and does not any more; what has no name left goes with its last holder."""
        inode.handles -= 1
        inode.writers -= writing
        self._free_if_unused(inode)

    def write(self, inode: Inode, offset: int, data: bytes) -> int:
        """Write at *offset* and return how many bytes fitted; ENOSPC when none do."""
        room = self.room() if not self.features.late_enospc else _UNLIMITED
        more = max(0, offset + len(data) - inode.size)
        if more > room:
            fits = len(data) - (more - room)
            if fits <= 0:
                raise fault(errno.ENOSPC)
            data, more = data[:fits], room
        self.used += more
        inode.write(offset, data)
        self._changed(inode, content=True)
        return len(data)

    def truncate(self, inode: Inode, size: int) -> None:
        self.used += size - inode.size
        inode.truncate(size)
        self._changed(inode, content=True)

    def set_mode(self, inode: Inode, mode: int) -> None:
        """Set the permission bits; a volume without executable bits ignores those, as vfat does."""
        inode.mode = mode & 0o7777
        self._changed(inode, content=False)

    def set_mtime(self, inode: Inode, mtime_ns: int) -> None:
        low, high = _MTIMES
        seconds = mtime_ns // 10**9
        mtime_ns = low * 10**9 if seconds < low else high * 10**9 if seconds > high else mtime_ns
        inode.mtime_ns = mtime_ns // self.features.tick_ns * self.features.tick_ns
        self._changed(inode, content=False)

    def _changed(self, inode: Inode, *, content: bool) -> None:
        inode.touch(self.now(), content=content)
        self._dirty[inode] = None

    def room(self) -> int:
        """Return how many bytes of content still fit."""
        return _UNLIMITED if self.capacity is None else max(0, self.capacity - self.used)

    def _free_if_unused(self, inode: Inode) -> None:
        if inode.links == 0 and inode.handles == 0:
            if inode.kind is Kind.FILE:
                self.used -= inode.size
            self.count -= 1
            heapq.heappush(self._free, inode.ino)
            inode.links = -1  # never freed twice

    def _new_ino(self) -> int:
        self._next += 1
        return self._next

    # --- durability ---

    def sync(self, inode: Inode) -> None:
        """fsync: content and attributes of a file; entries and attributes of a directory. ENOSPC where space is
        taken only now."""
        if inode.entries is not None:
            self.journal.sync_directory(inode)
        elif inode in self._dirty:
            self._require_room()
        inode.save()
        self._dirty.pop(inode, None)

    def sync_all(self) -> None:
        """syncfs."""
        self._require_room()
        self.journal.sync_all()
        for inode in self._dirty:
            inode.save()
        self._dirty.clear()

    def _require_room(self) -> None:
        if self.features.late_enospc and self.capacity is not None and self.used > self.capacity:
            raise fault(errno.ENOSPC)

    def power_loss(self, policy: Policy, luck: random.Random) -> None:
        """Be what the medium holds, by the rules of ``journal``; whatever was open is not any more."""
        self.boot += 1
        self.journal.lose(policy, luck)
        for inode in self._dirty:
            data, attributes = surviving(inode, policy, luck)
            if inode.kind is Kind.FILE:
                inode.replace(data, attributes)
            else:
                inode.mode, inode.mtime_ns, inode.ctime_ns = attributes
                inode.save()
        self._dirty.clear()
        self._mount_again()

    def _mount_again(self) -> None:
        """What the medium has is what is there; what no name leads to is free."""
        seen: dict[int, Inode] = {ROOT_INO: self.root}
        self.root.links, self.used = 2, 0
        stack = [self.root]
        while stack:
            directory = stack.pop()
            directory.entries = dict(directory.saved_entries)
            directory.folded = {self._key(name): name for name in directory.entries} if self._folds else {}
            directory.waiting, directory.slots = [], {}
            directory.handles = directory.writers = 0
            directory.forget_stat()
            for name, inode in directory.entries.items():
                inode.forget_stat()
                if inode.entries is not None:
                    inode.parent, inode.name, inode.links = directory, name, 2
                    directory.links += 1
                    stack.append(inode)
                elif inode.ino in seen:
                    inode.links += 1
                else:
                    inode.links, inode.handles, inode.writers = 1, 0, 0
                    self.used += inode.size if inode.kind is Kind.FILE else 0
                seen[inode.ino] = inode
        self.count = len(seen) - 1
        self._free = [ino for ino in range(_FIRST_INO + 1, self._next + 1) if ino not in seen]
