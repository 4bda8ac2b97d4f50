"""What a SQLite database is, which files are its sidecars, and what one fingerprint says of all of them together.

Owns the rules; copies nothing and locks nothing (``snapshots``, the ``Databases`` port).

- A database is one by its header. A sidecar is one only beside a database; elsewhere ``notes-wal`` is a file.
- A sidecar is *live* when it holds something: a -wal or -journal of any length. The -shm is a cache and never counts. A
  database without a live sidecar is *at rest*: its main file is its content, and its fingerprint the main file's own.
- With live sidecars the fingerprint is of all together (``together``): a commit in WAL mode leaves the main file alone.
"""

from collections.abc import Iterable
from typing import Final

from blake3 import blake3
from msgspec.structs import replace

from syncd.model.node import Fingerprint, Kind
from syncd.ports import Dir, Stat

MAGIC: Final = b"SQLite format 3\0"
HEADER: Final = 100
LIVE: Final = ("-journal", "-wal")
SIDECARS: Final = (*LIVE, "-shm")
_SMALLEST_PAGE: Final = 512
_LOG_MAGICS: Final = (b"\xd9\xd5\x05\xf9", b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_MIXED_NS: Final = 1_000_000


def owner_of(name: str) -> str | None:
    """Return the name of the database that *name* would be a sidecar of, or None when it can be none."""
    for suffix in SIDECARS:
        if name.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return None


def with_owners(names: Iterable[str]) -> tuple[str, ...]:
    """Return *names*, and for each possible sidecar its database: a commit may touch nothing but the -wal."""
    found = dict.fromkeys(names)
    return tuple(found | dict.fromkeys(owner for name in found if (owner := owner_of(name)) is not None))


def may_be(stat: Stat) -> bool:
    """Return whether a file could be a database by its size: whole pages. Costs no look at the content."""
    size = stat.fingerprint.size
    return stat.kind is Kind.FILE and size >= _SMALLEST_PAGE and size % _SMALLEST_PAGE == 0


def is_header(data: bytes) -> bool:
    """Return whether *data* begins a database: the magic, and the fixed fields after it as SQLite insists on them."""
    page = int.from_bytes(data[16:18], "big")
    sized = page == 1 or (page >= _SMALLEST_PAGE and page & (page - 1) == 0)
    return data[:16] == MAGIC and sized and data[18:20] in (b"\1\1", b"\2\2") and data[21:24] == b"\x40\x20\x20"


def is_database(directory: Dir, name: str, stat: Stat) -> bool:
    """Return whether the file *name*, seen as *stat*, is a database; opens it if its size allows for one."""
    if not may_be(stat):
        return False
    with directory.open(name) as file:
        return is_header(file.read(0, HEADER))


def is_begun(directory: Dir, name: str, stat: Stat) -> bool:
    """Return whether *name*, which is empty, is a database whose first transaction is under way: a log lies beside."""
    if stat.kind is not Kind.FILE or stat.fingerprint.size:
        return False
    for suffix in LIVE:
        beside = directory.stat(name + suffix)
        if beside is None or beside.kind is not Kind.FILE:
            continue
        if beside.fingerprint.size < _SMALLEST_PAGE:
            return True
        with directory.open(name + suffix) as file:
            if file.read(0, 4) in (*_LOG_MAGICS, bytes(4)):
                return True
    return False


def live_sidecars(directory: Dir, name: str) -> tuple[Stat, ...]:
    """Return the stats of the live sidecars the database *name* would have."""
    return only_live(directory.stat(name + suffix) for suffix in LIVE)


def only_live(stats: Iterable[Stat | None]) -> tuple[Stat, ...]:
    """Return those of *stats* (of a -journal and a -wal, in this order) that are live."""
    return tuple(s for s in stats if s is not None and s.kind is Kind.FILE and s.fingerprint.size)


def together(main: Stat, live: tuple[Stat, ...]) -> Stat:
    """Return the stat of a database: its main file's, with a fingerprint that changes when any of its files does.

    Identity is the main file's, so that a rename is recognised. Size is the sum. The times are the newest: any write
    after a look is newer than all that was there, or so young that the look was racy. Should the clock have been set
    back, a new write need not be the newest; so the last six digits of ctime (under a millisecond, less than any tick
    that decides) are a digest of all times and sizes. Only the fast path compares ctime; where it is left out (a
    rename, our own write), sizes and mtimes tell, as for any file.

    Of a sidecar mtime counts, and its ctime does not: SQLite sets its owner whenever root opens it, by reading too, and
    nobody but SQLite writes it.
    """
    if not live:
        return main
    beside = [stat.fingerprint for stat in live]
    text = f"{main.fingerprint.mtime_ns},{main.fingerprint.ctime_ns},{main.fingerprint.size}"
    text += "".join(f";{part.ino},{part.mtime_ns},{part.size}" for part in beside)
    mixed = int.from_bytes(blake3(text.encode()).digest(8), "big") % _MIXED_NS
    newest = max(main.fingerprint.ctime_ns, *(part.mtime_ns for part in beside))
    first = main.fingerprint
    return replace(
        main,
        fingerprint=Fingerprint(
            first.dev,
            first.ino,
            max(first.mtime_ns, *(part.mtime_ns for part in beside)),
            newest - newest % _MIXED_NS + mixed,
            first.size + sum(part.size for part in beside),
        ),
    )


def whole(directory: Dir, name: str, stat: Stat) -> Stat:
    """Return the stat of *name* as a look would have it: of all its files together, if it is a database with live
    sidecars. Opens it only when such files lie beside it. Raises OSError."""
    if not may_be(stat):
        return stat
    live = live_sidecars(directory, name)
    return together(stat, live) if live and is_database(directory, name, stat) else stat


def in_the_way(directory: Dir, name: str) -> str | None:
    """Return the name of a file beside *name* that SQLite would take for a part of a database of that name."""
    for suffix in LIVE:
        stat = directory.stat(name + suffix)
        if stat is not None and (stat.kind is not Kind.FILE or stat.fingerprint.size):
            return name + suffix
    return None


def owned(directory: Dir, name: str) -> str | None:
    """Return the database beside which a file called *name* would be a sidecar, or None. Raises OSError."""
    owner = owner_of(name)
    stat = directory.stat(owner) if owner is not None else None
    if owner is None or stat is None or not is_database(directory, owner, stat):
        return None
    return owner
