"""Databases and their sidecars among the names of one directory, found without opening what is known and unchanged.

Owns what a look remembers of main files between looks: whether a file with this fingerprint is a database. So an idle
scan opens nothing, however many programs keep an empty -wal and an -shm beside their database all day.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from syncd.model.job import KnownEntry
from syncd.model.node import Fingerprint, Kind
from syncd.observe.databases import LIVE, SIDECARS, is_begun, is_database, may_be, only_live, owner_of, together
from syncd.observe.fingerprint import is_unchanged
from syncd.ports import Dir, Entry, Stat

REMEMBERED: Final = 10_000


class Headers:
    """Which main files are databases, by fingerprint. Used by all look workers: single reads and writes of a dict."""

    def __init__(self) -> None:
        self._known: dict[Fingerprint, bool] = {}

    def is_database(self, directory: Dir, name: str, stat: Stat) -> bool:
        """Return whether *name* is a database, opening it at most once for one fingerprint. Raises OSError."""
        if not stat.fingerprint.size:
            return is_begun(directory, name, stat)
        if not may_be(stat):
            return False
        found = self._known.get(stat.fingerprint)
        if found is None:
            found = is_database(directory, name, stat)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[stat.fingerprint] = found
        return found


@dataclass(slots=True)
class Pairs:
    """What is special in one directory: *mains* with live sidecars, by name with the stat of all together, and
    *sidecars* with the database they belong to."""

    mains: dict[str, Stat] = field(default_factory=dict)
    sidecars: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.mains or self.sidecars)


def find_pairs(
    directory: Dir, entries: Iterable[Entry], known: Mapping[str, KnownEntry], headers: Headers, *, whole: bool
) -> Pairs:
    """Return the databases with sidecars among *entries* (all of the directory when *whole*, else only some)."""
    pairs = Pairs()
    owners: dict[str, list[str]] = {}
    for entry in entries:
        name = entry.name
        if name.endswith(SIDECARS) and (owner := owner_of(name)) is not None:
            owners.setdefault(owner, [])
        elif not whole and entry.stat is not None and entry.stat.kind is Kind.FILE:
            owners.setdefault(name, [])
    for owner in owners:
        _pair(pairs, directory, owner, known, headers)
    return pairs


def _pair(pairs: Pairs, directory: Dir, name: str, known: Mapping[str, KnownEntry], headers: Headers) -> None:
    """Note the database *name* and its sidecars, if it is one. What cannot be looked at now is told by the look."""
    try:
        beside = {name + suffix: directory.stat(name + suffix) for suffix in SIDECARS}
        there = [each for each, stat in beside.items() if stat is not None and stat.kind is Kind.FILE]
        main = directory.stat(name) if there else None
        if main is None or main.kind is not Kind.FILE:
            return
        live = only_live(beside[name + suffix] for suffix in LIVE)
        stat = together(main, live)
        before = known.get(name)
        proven = before is not None and bool(live) and is_unchanged(before, stat)
        files = not proven and _all_files(main, before, beside, known)
        if files or not (proven or headers.is_database(directory, name, main)):
            return
    except OSError:
        return
    if live:
        pairs.mains[name] = stat
    pairs.sidecars.update((each, name) for each in there)


def _all_files(
    main: Stat, before: KnownEntry | None, beside: Mapping[str, Stat | None], known: Mapping[str, KnownEntry]
) -> bool:
    """Return whether all of these are known as files of their own, and unchanged: then none is part of another."""
    if before is None or not is_unchanged(before, main):
        return False
    for name, stat in beside.items():
        if stat is None:
            continue
        entry = known.get(name)
        if entry is None or not is_unchanged(entry, stat):
            return False
    return True
