"""One short value for all that a listing shows of a directory: equal, and nothing in it changed. Pure."""

import struct
from collections.abc import Sequence
from typing import Final

from blake3 import blake3

from syncd.model.node import Kind
from syncd.ports import Entry

_PRINT: Final = struct.Struct("<qqqqq").pack
_HEAD: Final = struct.Struct("<BHqq").pack
_KINDS: Final = {None: 0, Kind.FILE: 1, Kind.DIRECTORY: 2, Kind.SYMLINK: 3}


def digest_of(dev: int, ino: int, entries: Sequence[Entry]) -> bytes | None:
    """Return a value that two listings of a directory (with this device and inode) share only when they show the same
    names, kinds and fingerprints; of a subdirectory only which one it is. None where one cannot be said."""
    parts = [_HEAD(2, 0, dev, ino)]
    add = parts.append
    try:
        for entry in entries:
            stat, name = entry.stat, entry.name.encode("utf-8", "surrogateescape")
            if stat is None:
                return None
            here = stat.fingerprint
            marked = 8 if stat.executable and stat.kind is Kind.FILE else 0
            add(_HEAD(_KINDS[stat.kind] + marked, len(name), here.dev, here.ino))
            add(name)
            if stat.kind is not Kind.DIRECTORY:
                add(_PRINT(here.dev, here.ino, here.mtime_ns, here.ctime_ns, here.size))
    except struct.error:  # a number that no file system should show
        return None
    return blake3(b"".join(parts)).digest()
