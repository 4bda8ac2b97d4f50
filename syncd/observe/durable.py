"""What a look tells is durable here before it is told (P4).

A content that was read may turn out to be in sync already: saved again as it was, put back, or the same on both sides.
Then nothing is sent, and S says, or goes on saying, that this folder has it. Did a power loss take it after that, what
is left, an empty file or none, would be taken for a person's edit and sent to everybody. The same holds of names: of
symlinks and directories, and of what is gone, which would be there again.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, islice

from syncd.model.errors import Outdated, RootGone, SyncdError
from syncd.model.job import KnownEntry, LookJob
from syncd.model.node import Kind
from syncd.model.observation import Seen, Unhashed, UnitFault, UnitLooked
from syncd.model.path import shown
from syncd.ports import Dir, Durable, LocalFs

MANY = 16
"""Files and directories from which on the whole file system is made durable at once, where it can be."""
AT_ONCE = 200
"""Directories and files open at once while they are made durable."""
CANNOT = "it was read, but cannot be made durable on this disk just now"

_Item = tuple[int, Seen | None]
"""A unit's number, and a file that was read in it; None: the directory, for its names."""


def made_durable(fs: LocalFs, job: LookJob, units: tuple[UnitLooked, ...]) -> tuple[UnitLooked, ...]:
    """Make durable what is news in *units*. What cannot be now is looked at again: a file counts as not read yet, and a
    directory whose names are not durable as not looked at."""
    failed: set[_Item] = set()
    items = _items(job, units)
    first = list(islice(items, MANY))
    if len(first) == MANY and _everything(fs):
        return units
    items = chain(first, items)
    while some := list(islice(items, AT_ONCE)):
        if not _all_durable(fs, units, some):
            # One that cannot be, or has another name by now, must not hold up the others.
            failed.update(item for item in some if not _all_durable(fs, units, [item]))
    if not failed:
        return units
    return tuple(_without(unit, number, failed) for number, unit in enumerate(units))


def _everything(fs: LocalFs) -> bool:
    """Make the whole file system durable. What was read is that as well, whatever its name leads to by now."""
    try:
        return fs.make_all_durable()
    except RootGone:
        raise
    except (OSError, SyncdError):
        return False  # one by one, so that what cannot be made durable holds up nothing else


def _items(job: LookJob, units: Sequence[UnitLooked]) -> Iterator[_Item]:
    for number, (asked, unit) in enumerate(zip(job.units, units, strict=True)):
        known = {entry.name: entry for entry in asked.known}
        news = [what for what in unit.seen if _is_news(known.get(what.name), what)]
        if news or unit.gone:
            yield number, None
        for what in news:
            if what.kind is Kind.FILE:
                yield number, what


def _is_news(before: KnownEntry | None, seen: Seen) -> bool:
    """Whether it is not what an earlier look told already: a young file is read again, and mostly is as it was."""
    return before is None or (before.fingerprint, before.hash) != (seen.fingerprint, seen.hash)


def _all_durable(fs: LocalFs, units: Sequence[UnitLooked], items: Sequence[_Item]) -> bool:
    directories: dict[int, Dir] = {}
    opened: list[Durable] = []
    try:
        with ExitStack() as stack:
            for number, what in items:
                directory = directories.get(number)
                if directory is None:
                    directory = directories[number] = stack.enter_context(fs.open_dir(units[number].path))
                opened.append(directory if what is None else _opened(stack, directory, what))
            fs.make_durable(opened)
    except RootGone:
        raise
    except (OSError, SyncdError):
        return False
    return True


def _opened(stack: ExitStack, directory: Dir, what: Seen) -> Durable:
    """Open the file that was read. Raises Outdated when the name leads to another one by now: that one's being durable
    says nothing of what was read."""
    file = stack.enter_context(directory.open(what.name))
    here = file.stat().fingerprint
    if (here.dev, here.ino) != (what.fingerprint.dev, what.fingerprint.ino):
        raise Outdated(f"{shown(what.name)} was replaced after it was read; looking again")
    return file


def _without(unit: UnitLooked, number: int, failed: set[_Item]) -> UnitLooked:
    if (number, None) in failed:
        return replace(unit, fault=UnitFault.NOT_DURABLE)
    put_off = [what for what in unit.seen if (number, what) in failed]
    unread = (Unhashed(what.name, what.fingerprint, True, CANNOT) for what in put_off)
    seen = tuple(what for what in unit.seen if (number, what) not in failed)
    return replace(unit, seen=seen, unhashed=(*unit.unhashed, *unread))
