"""What lies on a simulated volume: an inode as processes see it now, and as it is on the medium.

Owns the two states of one inode and how the second catches up with the first. Knows no names above itself, no policy.
Contents are never copied: what a write brought is kept as it came and joined when somebody reads across it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.model.node import Fingerprint, Kind
from syncd.ports import Stat

if TYPE_CHECKING:
    from tests.sim.journal import MetaOp
    from tests.sim.volume import Volume

DIRECTORY_BYTES = 4096
"""What a directory's stat says of its size, as on ext4."""

Write = tuple[int, bytes | None]
"""A write that waits: offset and bytes, or (size, None) for a truncation."""


class Inode:
    """One file, directory, symlink or FIFO (*kind* None). ``entries`` is None for all but directories.

    ``saved_*`` is what the medium has; ``unsynced`` the writes since. ``handles`` counts whoever has it open,
    ``writers`` who of them may write. ``parent`` and ``name`` are kept for directories, which have one place.
    """

    __slots__ = (
        "_data", "_names", "_parts", "_stat", "ctime_ns", "entries", "folded", "handles", "ino", "kind", "links",
        "mode", "mounted", "mtime_ns", "name", "parent", "saved_attributes", "saved_data", "saved_entries", "size",
        "slots", "target", "unsynced", "volume", "waiting", "writers",
    )  # fmt: skip

    def __init__(self, volume: Volume, ino: int, kind: Kind | None, mode: int, now: int, target: bytes = b"") -> None:
        self.volume, self.ino, self.kind, self.mode, self.target = volume, ino, kind, mode, target
        self.links = 2 if kind is Kind.DIRECTORY else 1
        self.mtime_ns = self.ctime_ns = now
        self.size = DIRECTORY_BYTES if kind is Kind.DIRECTORY else len(target)
        self.handles = self.writers = 0
        self.parent: Inode | None = None
        self.name = ""
        self.mounted: Volume | None = None
        self.entries: dict[str, Inode] | None = {} if kind is Kind.DIRECTORY else None
        self.folded: dict[str, str] = {}  # on volumes that fold: key to the name as stored
        self.saved_entries: dict[str, Inode] = {}
        self.saved_data = b""
        self.saved_attributes = (mode, now, now)
        self.unsynced: list[Write] = []
        self.waiting: list[MetaOp] = []  # of a directory: operations that touched it and may not be durable
        self.slots: dict[str, MetaOp] = {}  # of a directory: the last operation on each name
        self._data = b""
        self._parts: list[bytes] = []
        self._stat: Stat | None = None
        self._names: list[str] | None = None

    # --- as processes see it ---

    @property
    def data(self) -> bytes:
        """The content now."""
        if self._parts:
            self._data = b"".join((self._data, *self._parts))
            self._parts = []
        return self._data

    @property
    def attributes(self) -> tuple[int, int, int]:
        """Mode, mtime and ctime now."""
        return (self.mode, self.mtime_ns, self.ctime_ns)

    def stat(self) -> Stat:
        """Return the stat, made once between two changes."""
        known = self._stat
        if known is None:
            print_ = Fingerprint(self.volume.dev, self.ino, self.mtime_ns, self.ctime_ns, self.size)
            known = self._stat = Stat(self.kind, print_, self.volume.shown_mode(self), self.links)
        return known

    def names(self) -> list[str]:
        """Return a directory's names, sorted; a new list."""
        assert self.entries is not None
        known = self._names
        if known is None:
            known = self._names = sorted(self.entries)
        return known.copy()

    def within(self, ancestor: Inode) -> bool:
        """Return whether this directory is *ancestor* or lies below it."""
        here: Inode | None = self if ancestor.entries is not None else None
        while here is not None and here is not ancestor:
            here = here.parent
        return here is ancestor

    def touch(self, now: int, *, content: bool) -> None:
        """Something changed: ctime moves, and mtime when it was *content* (or entries)."""
        self.ctime_ns = now
        if content:
            self.mtime_ns = now
        self._stat = None

    def entries_changed(self, now: int) -> None:
        self._names = None
        self.touch(now, content=True)

    def write(self, offset: int, data: bytes) -> None:
        """Put *data* at *offset*; a gap before it reads as zeros."""
        self.unsynced.append((offset, data))
        if offset == self.size:
            if self.size == 0:
                self._data = data
            else:
                self._parts.append(data)
            self.size += len(data)
        else:
            self._data = spliced(self.data, offset, data)
            self.size = len(self._data)

    def truncate(self, size: int) -> None:
        self.unsynced.append((size, None))
        self._data = cut(self.data, size)
        self.size = size

    def replace(self, data: bytes, attributes: tuple[int, int, int]) -> None:
        """Be this from now on, durably: what a power loss left."""
        self._data, self._parts, self.size = data, [], len(data)
        self.mode, self.mtime_ns, self.ctime_ns = attributes
        self.save()

    # --- as the medium has it ---

    def save(self) -> None:
        """Content and attributes reached the medium; a directory's entries go by their operations."""
        if self.kind is Kind.FILE:
            self.saved_data = self.data
            self.unsynced.clear()
        self.saved_attributes = self.attributes
        self._stat = None

    def forget_stat(self) -> None:
        """Links or names were set from outside: make stat and names anew."""
        self._stat = self._names = None


def spliced(base: bytes, offset: int, data: bytes) -> bytes:
    """Return *base* with *data* written at *offset*."""
    return b"".join((base[:offset].ljust(offset, b"\0"), data, base[offset + len(data) :]))


def cut(base: bytes, size: int) -> bytes:
    """Return *base* cut, or filled with zeros, to *size* bytes."""
    return base[:size].ljust(size, b"\0")


def replayed(base: bytes, writes: list[Write]) -> bytes:
    """Return *base* after *writes*, in order."""
    for place, data in writes:
        base = cut(base, place) if data is None else spliced(base, place, data)
    return base
