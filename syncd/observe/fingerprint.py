"""When an unchanged ``stat`` means unchanged content, and when it does not (the racy rule). Pure.

A fingerprint is (device, inode, mtime_ns, ctime_ns, size). Every write moves ctime, which programs cannot set; so an
equal fingerprint means equal content, except where time stands still: the file system stamps with a clock that ticks.
A file read at moment t and written again within the same tick may keep its size and both stamps. Such a file is
*racy*: it is read again at a later look, until a read began at least one tick after its last stamp.

- ctime decides. It is racy when ``ctime + tick > read``. That includes stamps from the future (a server or a clock that
  is ahead): there a later write can carry the same stamp at any time, and reading once too often loses nothing.
- mtime is looked at as well, because some file systems keep no ctime of their own, but only near the moment of
  reading: from one tick before to ``SKEW_NS`` after. Programs set mtime as they like, and a photo dated 2099 must
  not be read again at every scan for 70 years; ctime vouches for it.
- *read* is the moment before the file was opened, not after it was read: a write during the read counts as later.
- The tick is never taken as shorter than ``KERNEL_TICK_NS``: Linux stamps with the time of its last timer interrupt
  (up to 10 ms ago), however fine the file system stores it.
"""

from typing import Final

from syncd.model.job import KnownEntry
from syncd.model.node import Fingerprint
from syncd.ports import Stat

KERNEL_TICK_NS: Final = 10_000_000
SKEW_NS: Final = 2_000_000_000


def is_racy(fingerprint: Fingerprint, read_ns: int, tick_ns: int) -> bool:
    """Return whether a write after *read_ns* (wall clock, ns) could leave this same fingerprint."""
    tick = _tick(tick_ns)
    if fingerprint.ctime_ns + tick > read_ns:
        return True
    return read_ns - tick < fingerprint.mtime_ns <= read_ns + SKEW_NS


def seconds_young(fingerprint: Fingerprint, now_ns: int, tick_ns: int) -> float:
    """Return after how many seconds a read of what has this fingerprint is not racy by its age; 0 or less: at once.

    A millisecond more than that: clocks told in seconds are not exact to the nanosecond."""
    old = max(fingerprint.ctime_ns, fingerprint.mtime_ns) + _tick(tick_ns) + 1_000_000
    return (old - now_ns) / 1e9


def _tick(tick_ns: int) -> int:
    return max(tick_ns, KERNEL_TICK_NS)


def is_unchanged(known: KnownEntry, stat: Stat) -> bool:
    """Return whether what is *known* still holds without reading (the fast path)."""
    same = known.fingerprint == stat.fingerprint and known.kind is stat.kind
    return same and known.hashed and not known.racy and known.executable in (None, stat.executable)
