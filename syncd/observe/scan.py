"""The look: compares directories with what is known of them, and reads what changed. Runs in any worker thread.

Owns what a look may conclude: presence from the exact listing only, content only from a file that did not change
while it was read (P5), and nothing at all from what could not be read. Never writes, never follows a symlink, never
opens what is not a regular file, and never touches the database.
"""

import errno
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Final

from syncd.model.job import KnownEntry, LookJob, LookUnit
from syncd.model.node import Kind, Reason
from syncd.model.observation import Looked, Seen, Unhashed, UnitFault, UnitLooked, Unseen
from syncd.model.path import RESERVED, is_reserved, name_fault, shown
from syncd.observe.content import SMALL, read_content, why
from syncd.observe.cuts import Cuts
from syncd.observe.databases import MAGIC, SIDECARS
from syncd.observe.durable import made_durable
from syncd.observe.fingerprint import is_racy, is_unchanged
from syncd.observe.ignore import Rules, Sieve, is_litter
from syncd.observe.pairs import Headers, Pairs, find_pairs
from syncd.observe.rules import RulesReader
from syncd.observe.sameness import digest_of
from syncd.observe.snapshots import Snapshots
from syncd.ports import Clock, Content, Dir, Entry, LocalFs, Stat

OPEN_AT_ONCE: Final = 64
"""Directories of one job that are open at a time, at most: all links of a file are looked at together, and there may be
thousands."""

_FAULTS: Final = {
    errno.ENOENT: UnitFault.GONE,
    errno.EXDEV: UnitFault.OTHER_FILE_SYSTEM,
    errno.ENOTDIR: UnitFault.NOT_A_DIRECTORY,
    errno.ELOOP: UnitFault.NOT_A_DIRECTORY,
}


@dataclass(slots=True)
class _Budget:
    """Bytes that may still be hashed in this job; None: as many as it takes."""

    left: int | None

    def take(self, size: int) -> bool:
        """Return whether *size* bytes fit, and count them if so."""
        if self.left is None:
            return True
        if size > self.left:
            return False
        self.left -= size
        return True


@dataclass(slots=True)
class _Found:
    """What one unit's look has found so far."""

    seen: list[Seen] = field(default_factory=list)
    unhashed: list[Unhashed] = field(default_factory=list)
    unseen: list[Unseen] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)

    @property
    def anything(self) -> bool:
        """Whether there is something to be told of any name."""
        return bool(self.seen or self.unhashed or self.unseen)

    def add(self, what: Seen | Unhashed | Unseen) -> None:
        match what:
            case Seen():
                self.seen.append(what)
            case Unhashed():
                self.unhashed.append(what)
            case Unseen():
                self.unseen.append(what)


class Looker:
    """Carries out look jobs. One for a root, used by all look workers at once. Without *snapshots* a database is a file
    like any other, and so are its sidecars. How large files are cut is noted in *cuts*."""

    def __init__(self, fs: LocalFs, clock: Clock, snapshots: Snapshots | None = None, cuts: Cuts | None = None) -> None:
        self._fs = fs
        self._clock = clock
        self._snapshots = snapshots
        self._cuts = cuts
        self._headers = Headers()
        self._rules = RulesReader(fs, clock)

    def look(self, job: LookJob) -> Looked:
        """Return what *job* asks for. What goes wrong with one name or directory is told there and stops no other.

        Raises RootGone when the root itself is not the proven one: then nothing at all can be said (P8)."""
        rules = self._rules.read()
        budget = _Budget(job.hash_limit)
        units: list[UnitLooked] = []
        for at in range(0, len(job.units), OPEN_AT_ONCE):
            with ExitStack() as opened:
                some = job.units[at : at + OPEN_AT_ONCE]
                begun = [self._begin(unit, rules, job.deep, budget, opened) for unit in some]
                self._read_small([each for each in begun if isinstance(each, _UnitLook) and each.small])
                units += [each.told() if isinstance(each, _UnitLook) else each for each in begun]
        return Looked(job, made_durable(self._fs, job, tuple(units)), rules.text)

    def _begin(
        self, unit: LookUnit, rules: Rules, deep: bool, budget: _Budget, opened: ExitStack
    ) -> "UnitLooked | _UnitLook":
        """Look at one directory, small files put off: those of the whole job are read together."""
        whole = unit.names is None
        try:
            directory = self._fs.open_dir(unit.path)
        except OSError as error:
            fault = _FAULTS.get(error.errno or 0, UnitFault.UNREADABLE)
            return UnitLooked(unit.directory, unit.path, whole, fault=fault)
        with ExitStack() as here:
            here.enter_context(directory)
            try:
                entries = directory.entries() if unit.names is None else _entries_of(directory, unit.names)
                sieve, tick = rules.within(unit.path), self._fs.traits.time_tick_ns
                look = _UnitLook(self._clock, tick, directory, unit, sieve, deep, budget, self._snapshots, self._cuts)
                look.digest = digest_of(directory.dev, directory.ino, entries) if whole else None
                if unit.digest is not None:
                    if look.digest != unit.digest:
                        return UnitLooked(unit.directory, unit.path, whole, fault=UnitFault.DIFFERS)
                    return look.same(entries)
                if self._snapshots is not None:
                    look.pair(entries, self._headers)
                look.compare(entries)
            except OSError:  # the listing itself failed: nothing may be concluded from half of it
                return UnitLooked(unit.directory, unit.path, whole, fault=UnitFault.UNREADABLE)
            if not look.small:
                return look.told()
            opened.enter_context(here.pop_all())
        return look

    def _read_small(self, looks: Sequence["_UnitLook"]) -> None:
        if not looks:
            return
        read_ns = int(self._clock.now() * 1e9)
        asked = [(look.directory, list(look.small)) for look in looks]
        for look, found in zip(looks, self._fs.contents(asked, SMALL, MAGIC), strict=True):
            look.read_small(found, read_ns)


def _is_empty(entries: Iterable[Entry]) -> bool:
    """Return whether there is nothing but litter."""
    return all(is_litter(entry.name) for entry in entries)


def _name_of(seen: Seen) -> str:
    return seen.name


def _entries_of(directory: Dir, names: Iterable[str]) -> list[Entry]:
    """Return the entries among *names*: presence by the listing, then the stat of those names alone. What lies beside a
    name that is gone as its sidecar is looked at as well: it belongs to nothing any more."""
    listed = directory.names()
    wanted = frozenset(names)
    left = wanted.difference(listed)
    wanted |= {name + suffix for name in left for suffix in SIDECARS}
    present = [name for name in listed if name in wanted]
    return [Entry(name, _stat_if(directory, name)) for name in present]


def _stat_if(directory: Dir, name: str) -> Stat | None:
    try:
        return directory.stat(name)
    except OSError:  # told apart later, where it is known whether the name is still listed
        return None


@dataclass(slots=True)
class _UnitLook:
    """One directory being compared with what is known of it."""

    clock: Clock
    tick_ns: int
    directory: Dir
    unit: LookUnit
    sieve: Sieve
    deep: bool
    budget: _Budget
    snapshots: Snapshots | None = None
    cuts: Cuts | None = None
    pairs: Pairs = field(default_factory=Pairs)
    found: _Found = field(default_factory=_Found)
    small: dict[str, tuple[Stat, KnownEntry | None]] = field(default_factory=dict)
    """Files that are still to be read, with what was known of them."""
    digest: bytes | None = None
    gone: tuple[str, ...] = ()
    processed: int = 0
    empty: bool = False

    def told(self) -> UnitLooked:
        """Return what was found, once all of it was read."""
        found = self.found
        same = not (self.gone or self.pairs.mains or self.pairs.sidecars or found.anything)
        return UnitLooked(
            self.unit.directory,
            self.unit.path,
            self.unit.names is None,
            dev=self.directory.dev,
            ino=self.directory.ino,
            seen=tuple(sorted(found.seen, key=_name_of)),
            unhashed=tuple(found.unhashed),
            unseen=tuple(found.unseen),
            gone=self.gone,
            directories=tuple(found.directories),
            processed=self.processed,
            empty=self.empty,
            digest=self.digest if same else None,
        )

    def pair(self, entries: list[Entry], headers: Headers) -> None:
        """Find the databases with sidecars among *entries*, before they are compared."""
        known = _by_name(self.unit.known)
        self.pairs = find_pairs(self.directory, entries, known, headers, whole=self.unit.names is None)

    def same(self, entries: list[Entry]) -> UnitLooked:
        """Return what is told of a listing that is the one it was: nothing but where to look next."""
        folders = [entry for entry in entries if entry.stat is not None and entry.stat.kind is Kind.DIRECTORY]
        directories = (
            entry.name
            for entry in folders
            if not self.sieve.ignored(entry.name, directory=True)
            and name_fault(entry.name) is None
            and entry.stat is not None
            and entry.stat.fingerprint.dev == self.directory.dev
        )
        return UnitLooked(
            self.unit.directory,
            self.unit.path,
            whole=True,
            dev=self.directory.dev,
            ino=self.directory.ino,
            directories=tuple(directories),
            processed=len(entries),
            empty=_is_empty(entries),
            digest=self.unit.digest,
        )

    def compare(self, entries: list[Entry]) -> None:
        """Compare every entry, and find out which known names are gone; small files are left to be read."""
        self.processed, self.empty = len(entries), _is_empty(entries)
        known = _by_name(self.unit.known)
        matched = 0
        unclear: list[str] = []
        # This loop is what an idle scan costs: one call for an unchanged name.
        ignored, first, last = self.sieve.ignored, self.sieve.first, self.sieve.last
        deep, thorough, directory, find = self.deep, self.sieve.thorough, Kind.DIRECTORY, known.get
        mains, sidecars = self.pairs.mains, self.pairs.sidecars
        for entry in entries:
            name, stat = entry.name, mains.get(entry.name, entry.stat)
            before = find(name)
            if before is not None:
                matched += 1
            if stat is None:
                unclear.append(name)
                continue
            kind = stat.kind
            suspect = thorough or name[0] in first or name[-1] in last or not name.isascii()
            if suspect and ignored(name, kind is directory):
                self._ignored(name, kind, before)
            elif name in sidecars:
                self._sidecar(name, sidecars[name], before)
            elif before is None or deep or kind is directory or not is_unchanged(before, stat):
                self._look_at(name, stat, before)
        gone: list[str] = []
        if matched < len(known):
            listed = {entry.name for entry in entries}
            gone = [name for name in known if name not in listed]
        if unclear:
            gone += self._unclear(unclear, known)
        if self.unit.names is not None:
            asked = frozenset(self.unit.names)
            gone = [name for name in gone if name in asked]
        self.gone = tuple(sorted(gone))

    def _unclear(self, names: list[str], known: dict[str, KnownEntry]) -> list[str]:
        """Look again at listed names without a stat; returns those that are known and no longer listed."""
        listed = frozenset(self.directory.names())
        gone = []
        for name in names:
            before = known.get(name)
            if name not in listed:
                if before is not None:
                    gone.append(name)
                continue
            kind = before.kind if before else None
            try:
                stat = self.directory.stat(name)
            except OSError as error:
                self.found.add(Unseen(name, kind, Reason.UNREADABLE, why(error)))
                continue
            if stat is None:
                self.found.add(Unseen(name, kind, Reason.UNREADABLE, "is listed, but nothing is found there"))
            elif self.sieve.ignored(name, stat.kind is Kind.DIRECTORY):
                self._ignored(name, stat.kind, before)
            else:
                self._look_at(name, stat, before)
        return gone

    def _ignored(self, name: str, kind: Kind | None, before: KnownEntry | None) -> None:
        if is_reserved(name):
            if self.unit.path or name != RESERVED:  # ours at the top; anywhere else it is a person's, and held (P10)
                self.found.add(Unseen(name, kind, Reason.HELD, name_fault(name) or ""))
        elif before is not None or self.unit.names is not None:  # asked for by name: something may want it
            self.found.add(Unseen(name, kind, Reason.IGNORED, ""))

    def _sidecar(self, name: str, owner: str, before: KnownEntry | None) -> None:
        """What it holds travels with its database; by itself it is never planned."""
        if before is not None or self.unit.names is not None:
            self.found.add(Unseen(name, Kind.FILE, Reason.SIDECAR, f"its content travels inside {shown(owner)}"))

    def _look_at(self, name: str, stat: Stat, before: KnownEntry | None) -> None:
        """Look at a name that is new or changed (or at all of them, when deep)."""
        fault = name_fault(name)
        if fault is not None:
            self.found.add(Unseen(name, stat.kind, Reason.HELD, fault))
            return
        match stat.kind:
            case Kind.DIRECTORY:
                self._directory(name, stat, before)
            case Kind.FILE | Kind.SYMLINK:
                self._content(name, stat, before)
            case None:
                self.found.add(Unseen(name, None, Reason.HELD, "is neither a file nor a directory nor a symlink"))

    def _directory(self, name: str, stat: Stat, before: KnownEntry | None) -> None:
        here = stat.fingerprint
        if here.dev != self.directory.dev:  # a root is one file system; what is mounted in it is not entered
            self.found.add(Unseen(name, Kind.DIRECTORY, Reason.OTHER_FILE_SYSTEM, ""))
            return
        if self.unit.names is None:
            self.found.directories.append(name)
        there = before.fingerprint if before is not None and before.kind is Kind.DIRECTORY else None
        if there is None or (there.dev, there.ino) != (here.dev, here.ino):
            self.found.add(Seen(name, Kind.DIRECTORY, here, None, executable=False))

    def _content(self, name: str, stat: Stat, before: KnownEntry | None) -> None:
        if not self.budget.take(stat.fingerprint.size):
            self.found.add(Unhashed(name, stat.fingerprint, busy=False))
        elif stat.kind is Kind.FILE and stat.fingerprint.size <= SMALL and name not in self.pairs.mains:
            self.small[name] = (stat, before)
        else:
            self._read(name, stat, before)

    def read_small(self, contents: Sequence[Content | None], read_ns: int) -> None:
        """Take in what was read since *read_ns* (wall clock, ns); what could not be is looked at by itself."""
        for (name, (stat, before)), content in zip(self.small.items(), contents, strict=True):
            if content is None:
                self._read(name, stat, before)
                continue
            here = content.stat
            racy = is_racy(here.fingerprint, read_ns, self.tick_ns)
            self._tell(name, Seen(name, Kind.FILE, here.fingerprint, content.hash, here.executable, racy=racy), before)

    def _read(self, name: str, stat: Stat, before: KnownEntry | None) -> None:
        read_ns = int(self.clock.now() * 1e9)
        cuts = None if self.deep else self.cuts  # a deep look is there to read
        what = read_content(self.directory, name, stat, read_ns, self.tick_ns, self.snapshots, cuts)
        self._tell(name, what, before)

    def _tell(self, name: str, what: Seen | Unhashed | Unseen, before: KnownEntry | None) -> None:
        if isinstance(what, Seen) and before is not None and _still(before, what):
            if what.hash == before.hash and before.executable in (None, what.executable):
                return  # a deep look that found all well
            # Not an edit: an edit moves ctime. The disk gave back something else than was put there.
            what = replace(what, corrupt=before.hash is not None and what.hash != before.hash)
        self.found.add(what)


def _by_name(known: Sequence[KnownEntry]) -> dict[str, KnownEntry]:
    """Return what is known, by name. A name that two rows claim is reported however unchanged it is: only one of them
    can be right, and whoever takes the look in finds out which."""
    found = {entry.name: entry for entry in known}
    if len(found) < len(known):
        for name in (name for name, claims in Counter(entry.name for entry in known).items() if claims > 1):
            found[name] = replace(found[name], fingerprint=None, hashed=False, hash=None)
    return found


def _still(before: KnownEntry, seen: Seen) -> bool:
    """Return whether a name just read has the fingerprint for which its content is known."""
    same = before.kind is seen.kind and before.fingerprint == seen.fingerprint
    return same and before.hashed and not before.racy
