"""What of a simulated volume survives the power going away.

The model, as crash testing found ext4, xfs and btrfs to behave (ALICE, OSDI 2014; CrashMonkey and ACE, OSDI 2018) and
as POSIX permits; where systems differ, the one that keeps least is followed:

- Nothing is durable by itself. ``fsync`` of a file makes its content and attributes durable, not its name. ``fsync`` of
  a directory makes every operation durable that added, removed or moved one of its names, and what those depend on.
  ``syncfs``, and the kernel's own write-back (``Disk.write_back``), do so for everything.
- Creating, linking, removing, renaming and exchanging are each one operation: it is on the medium whole or not at
  all. A rename between two directories is durable when either was synced, and is never half there.
- Operations may reach the medium in any order, but not before those they depend on: an earlier operation on the same
  name of the same directory; one on the same inode number (a number is given out again only after its removal); the one
  that made or moved the directory they act in; for the removal of a directory, all that emptied it.
- A file's content that was not synced may be lost although its name or a later rename is there: then it is what was
  synced last (nothing, for a new file), or that with the first few of the writes since. Never garbage, and never a
  later write without an earlier one. Attributes that were not synced are the old or the new ones.

Three ways to lose power (``Policy``). A process that dies loses none of this: the page cache is the kernel's.
"""

from __future__ import annotations

import random
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from tests.sim.inode import Write, replayed

if TYPE_CHECKING:
    from tests.sim.inode import Inode

SECTOR: Final = 512
"""What a disk writes whole, in bytes."""

Slot = tuple["Inode", str, "Inode | None"]
"""A directory, a name in it, and what the name leads to after the operation."""


class Policy(StrEnum):
    """What a power loss takes."""

    ALL = "all"
    """Everything that was not synced."""

    SOME = "some"
    """A random part of it, never something without what it depends on."""

    TORN = "torn"
    """As SOME, and the last write of a file that reached the medium did so in part, to a sector's end."""


class MetaOp:
    """One operation on names, on its way to the medium."""

    __slots__ = ("durable", "needs", "number", "slots", "what")

    def __init__(self, number: int, what: str, slots: tuple[Slot, ...]) -> None:
        self.number, self.what, self.slots = number, what, slots
        self.needs: list[MetaOp] = []
        self.durable = False

    def __repr__(self) -> str:
        return f"{self.number} {self.what} " + ", ".join(name for _, name, _ in self.slots)


class Journal:
    """The operations of one volume that are not durable yet."""

    def __init__(self) -> None:
        self._pending: dict[int, MetaOp] = {}
        self._of_ino: dict[int, MetaOp] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._pending)

    def note(
        self,
        what: str,
        slots: tuple[Slot, ...],
        objects: tuple[Inode, ...],
        *,
        emptied: Inode | None = None,
        into: tuple[Inode, ...] = (),
    ) -> None:
        """Remember an operation that just happened: on *slots*, with *objects*, and for rmdir what was *emptied*;
        *into* is where directories were moved: whatever moved that, or anything above it, goes first."""
        self._number += 1
        op = MetaOp(self._number, what, slots)
        needs: dict[int, MetaOp] = {}
        for directory, name, _ in slots:
            _need(needs, directory.slots.get(directory.volume.features.key(name)))
            _need(needs, self._of_ino.get(directory.ino))
        for inode in objects:
            _need(needs, self._of_ino.get(inode.ino))
        for earlier in emptied.waiting if emptied is not None else ():
            _need(needs, earlier)
        for place in into:
            above: Inode | None = place
            while above is not None:
                _need(needs, self._of_ino.get(above.ino))
                above = above.parent
        op.needs = list(needs.values())
        for inode in objects:
            self._of_ino[inode.ino] = op
        last: Inode | None = None
        for directory, name, _ in slots:
            directory.slots[directory.volume.features.key(name)] = op
            if directory is not last:
                directory.waiting.append(op)
            last = directory
        self._pending[op.number] = op

    def sync_directory(self, directory: Inode) -> None:
        """Make durable what touched *directory*, and what that depends on."""
        wanted: dict[int, MetaOp] = {}
        stack = [op for op in directory.waiting if not op.durable]
        while stack:
            op = stack.pop()
            if op.number not in wanted:
                wanted[op.number] = op
                stack.extend(earlier for earlier in op.needs if not earlier.durable)
        for number in sorted(wanted):
            self._apply(wanted[number])
        directory.waiting.clear()
        directory.slots.clear()

    def sync_all(self) -> None:
        for op in list(self._pending.values()):
            self._apply(op)
        self._of_ino.clear()

    def lose(self, policy: Policy, luck: random.Random) -> None:
        """Make durable what *policy* lets survive; the rest never happened."""
        pending = list(self._pending.values())
        if policy is not Policy.ALL:
            share, in_order = luck.choice((0.2, 0.5, 0.8)), luck.random() < 0.3
            for op in pending:
                if luck.random() < share:
                    if all(earlier.durable for earlier in op.needs):
                        self._apply(op)
                elif in_order:
                    break  # a journal that keeps the order of all operations, as most do
        self._pending.clear()
        self._of_ino.clear()

    def _apply(self, op: MetaOp) -> None:
        for directory, name, inode in op.slots:
            if inode is None:
                directory.saved_entries.pop(name, None)
            else:
                directory.saved_entries[name] = inode
        op.durable = True
        op.needs = []
        self._pending.pop(op.number, None)


def _need(needs: dict[int, MetaOp], op: MetaOp | None) -> None:
    if op is not None and not op.durable:
        needs[op.number] = op


def surviving(inode: Inode, policy: Policy, luck: random.Random) -> tuple[bytes, tuple[int, int, int]]:
    """Return content and attributes that *policy* leaves of a file that was not synced since it changed."""
    if policy is Policy.ALL:
        return inode.saved_data, inode.saved_attributes
    writes = inode.unsynced
    count = luck.randint(0, len(writes))
    kept: list[Write] = list(writes[:count])
    if policy is Policy.TORN and kept:
        place, data = kept[-1]
        if data is not None:
            kept[-1] = (place, data[: torn_length(place, len(data), luck)])
    # A write that arrived brought its times with it: the inode goes with or after the data's blocks.
    new = bool(kept) or luck.random() < 0.5
    return replayed(inode.saved_data, kept), inode.attributes if new else inode.saved_attributes


def torn_length(offset: int, length: int, luck: random.Random) -> int:
    """Return how many of *length* bytes written at *offset* reached the medium: up to a sector's end, not all."""
    first = SECTOR - offset % SECTOR
    ends: list[int] = [0, *range(first, length, SECTOR)]
    return luck.choice(ends)
