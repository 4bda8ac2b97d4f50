"""What `syncd doctor` looks at: configuration, folders, disks, databases, queues, tokens, watches, remotes.

Changes nothing, and so tries no write: it asks the system whether one would be allowed.
"""

import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import apsw

import syncd
from syncd.adapters.hub_remote import HubRemote
from syncd.adapters.posix_fs import PosixFs
from syncd.control import client
from syncd.db.views import ShownOp, View, open_view
from syncd.model.errors import SyncdError
from syncd.model.op import LOCAL_TROUBLES, OpState
from syncd.model.path import RESERVED, shown
from syncd.model.words import count, size
from syncd.ports import RootIdentity, Traits
from syncd.service import config, folders, known_traits
from syncd.service.mends import LOST_DATABASE, mend_of, mend_of_name
from syncd.service.roots import RootRecord, Roots
from syncd.service.tokens import Tokens

STATE_FLOOR: Final = 16 << 20
"""Bytes that are to be free where the database is: with less it cannot be relied on to take the next change."""
LOOKED_AT: Final = 10_000
"""Ops and names that are looked at, at most."""


class Grade(StrEnum):
    """How a finding is meant."""

    GOOD = "ok"
    NOTE = "note"
    WAITS = "wait"  # some work cannot go on before a person helps
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. *about* is the program or a folder; *says* one line, with what to do if bad."""

    about: str
    what: str
    grade: Grade
    says: str


def examine(*, remotes: bool) -> Iterator[Finding]:
    """Look at everything; with *remotes* also ask them."""
    about = f"syncd {syncd.__version__}"
    yield Finding(about, "Python", Grade.GOOD, sys.version.split()[0])
    yield Finding(about, "SQLite", Grade.GOOD, apsw.sqlite_lib_version())
    try:
        config.load()
        file = folders.config_file()
        yield Finding(about, "config", Grade.GOOD, str(file) if file.exists() else "defaults (no config.toml)")
    except SyncdError as error:
        yield Finding(about, "config", Grade.BAD, str(error))
    yield from _watches(about)
    found = Roots().survey()
    records = found.records
    for problem in found.problems:
        yield Finding(about, "folders", Grade.BAD, problem)
    if not records and not found.problems:
        yield Finding(about, "folders", Grade.NOTE, "none is tied yet: run `syncd up`, or `syncd init`")
    for record in records:
        yield from _root(record, remotes)


def _watches(about: str) -> Iterator[Finding]:
    """The kernel's limit on watched folders (Linux)."""
    try:
        limit = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    except (OSError, ValueError):
        return
    grade = Grade.GOOD if limit >= 65536 else Grade.NOTE
    more = (
        "" if grade is Grade.GOOD else ": folders beyond it are polled; raise fs.inotify.max_user_watches to avoid that"
    )
    yield Finding(about, "watches", grade, f"{limit:,} folders can be watched{more}")


def _root(record: RootRecord, remotes: bool) -> Iterator[Finding]:
    about = record.path
    assumed = known_traits.recall(Roots().folder(record.id).base)
    fs = PosixFs(record.path, expected=RootIdentity(record.id, record.dev, record.ino), assumed=assumed)
    try:
        found = fs.prove()
        moved = record.ino not in (0, found.ino)
        says = "a restored copy: every delete is held after the next scan" if moved else "is the one that was tied"
        yield Finding(about, "folder", Grade.NOTE if moved else Grade.GOOD, says)
        yield from _traits(about, fs.traits)
        free = fs.free_bytes()
        floor = int(_floor())
        grade = Grade.GOOD if free > floor else Grade.BAD
        more = "" if free > floor else ", under the floor: downloads wait; free some space"
        yield Finding(about, "disk", grade, f"{free >> 20:,} MiB free{more}")
    except (SyncdError, OSError) as error:
        yield Finding(about, "folder", Grade.BAD, shown(str(error)))
    yield from _writable(record)
    yield from _state(record)
    if remotes:
        yield _remote(record)


def _writable(record: RootRecord) -> Iterator[Finding]:
    """Whether this user may write into the folder: downloads need its names, and the room that content is staged in."""
    for path in (Path(record.path), Path(record.path) / RESERVED):
        if path.is_dir() and not os.access(path, os.W_OK | os.X_OK):
            on_disk = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
            mend = "its disk is mounted read-only: mount it for writing" if on_disk else (
                f"give yourself the right: chmod u+rwx {shown(shlex.quote(str(path)))}"
            )  # fmt: skip
            says = f"{shown(str(path))} cannot be written, so nothing can come down: {mend}"
            yield Finding(record.path, "folder", Grade.BAD, says)


def _state(record: RootRecord) -> Iterator[Finding]:
    """The folder syncd keeps its own records in: its disk, its rights, the database, and the daemon that writes it."""
    about, folder = record.path, Roots().folder(record.id)
    try:
        disk = os.statvfs(folder.base)
        free = disk.f_bavail * disk.f_frsize
        kept = shown(str(folder.base))
        if not os.access(folder.base, os.W_OK | os.X_OK):
            mend = "give yourself the right (chmod u+rwx), and see that its disk is not read-only"
            yield Finding(about, "state", Grade.BAD, f"{kept} cannot be written: {mend}")
        elif free < STATE_FLOOR:
            says = f"{size(free)} free for {kept}, less than {size(STATE_FLOOR)}: nothing can be recorded; free some"
            yield Finding(about, "state", Grade.BAD, f"{says} space on that disk")
        else:
            yield Finding(about, "state", Grade.GOOD, f"{size(free)} free for {kept}")
    except OSError as error:
        yield Finding(about, "state", Grade.BAD, shown(str(error)))
    pid, says = None, ""
    try:
        pid = client.status(_socket(record))["pid"]
    except SyncdError as error:
        says = str(error)
    fresh = not folder.database.exists()
    try:
        with open_view(os.fspath(folder.database)) as view, view.moment():
            found = [Finding(about, "database", Grade.GOOD, str(folder.database)), *_queue(about, view)]
        yield from found
    except SyncdError as error:
        if fresh and pid is not None:
            lost = f"{folder.database} was deleted while the daemon runs (pid {pid}): {LOST_DATABASE}"
            yield Finding(about, "database", Grade.BAD, lost)
        else:
            missing = "not there yet; `syncd run` makes it"
            yield Finding(about, "database", Grade.NOTE if fresh else Grade.BAD, missing if fresh else str(error))
    running = Finding(about, "daemon", Grade.GOOD, f"runs, pid {pid}")
    yield Finding(about, "daemon", Grade.NOTE, says) if pid is None else running


def _queue(about: str, view: View) -> Iterator[Finding]:
    """What the database says does not go on by itself; each kind with one example and its remedy."""
    summary = view.summary()
    if given_up := summary.ops.get(OpState.FAILED, 0):
        (first,) = view.ops(OpState.FAILED, limit=1)
        says = f"{count(given_up, 'op')} given up, such as {first.path}: {shown(first.queued.last_error)}"
        mend = mend_of(first.queued.error_class, f"{shown(about)}/{first.path}") or "mend that"
        yield Finding(about, "queue", Grade.WAITS, f"{says}: {mend}, then `syncd retry`")
    again = [one for one in view.blocked(LOOKED_AT) if one.queued.state is OpState.READY]
    troubles: dict[str, list[ShownOp]] = {}
    for one in again:
        if one.queued.error_class in LOCAL_TROUBLES:
            troubles.setdefault(one.queued.error_class, []).append(one)
    for trouble, ops in sorted(troubles.items()):
        mend = mend_of(trouble, f"{shown(about)}/{ops[0].path}")
        says = f"{count(len(ops), 'op')} cannot go on, such as {ops[0].path}: {shown(ops[0].queued.last_error)}"
        yield Finding(about, "queue", Grade.WAITS, says + (f": {mend}" if mend else ""))
    if summary.groups_undecided:
        says = f"{count(summary.items_undecided, 'change')} held until you decide: `syncd approve`"
        yield Finding(about, "queue", Grade.WAITS, says)
    if summary.conflicts_open:
        yield Finding(about, "queue", Grade.WAITS, f"{count(summary.conflicts_open, 'conflict')}: `syncd conflicts`")
    yield from _names(about, view)


def _names(about: str, view: View) -> Iterator[Finding]:
    """Names that are not synced here; those that keep the remote's files out wait for a person."""
    found = view.not_synced(LOOKED_AT)
    blocking = [one for one in found if one.in_the_way]
    for names, grade in ((blocking, Grade.WAITS), ([one for one in found if not one.in_the_way], Grade.NOTE)):
        if names:
            first = names[0]
            mend = mend_of_name(first.why, f"{shown(about)}/{first.path}", in_the_way=first.in_the_way)
            why = first.why + (f" ({first.detail})" if first.detail else "") + (f": {mend}" if mend else "")
            says = f"{count(len(names), 'name')} not synced here, such as {first.path}: {shown(why)}"
            yield Finding(about, "names", grade, f"{says}; `syncd status` lists them")


def _traits(about: str, traits: Traits) -> Iterator[Finding]:
    """What the file system cannot do, and what that means."""
    lacks = [
        (traits.exchange, "cannot exchange two names at once: a replaced file is missing for a moment"),
        (traits.no_replace, "cannot refuse to replace a name: one that is made at the last moment may be at risk"),
        (traits.symlinks, "has no symlinks: they are held"),
        (traits.executable_bit, "has no executable bit: it is kept as the remote has it"),
        (traits.case_sensitive, "takes A and a for one name: one of such twins is held"),
        (not traits.normalises, "changes the form of accented names: twins are held"),
        (traits.stable_inodes, "has no stable inodes: renames may travel as new files"),
    ]
    for has, says in lacks:
        if not has:
            yield Finding(about, "file system", Grade.NOTE, says)


def _remote(record: RootRecord) -> Finding:
    try:
        remote = HubRemote(
            record.address, Tokens(Roots()).get(record.id), expect=(record.hub_id, record.space_id)
        )  # fmt: skip
    except SyncdError as error:
        return Finding(record.path, "remote", Grade.BAD, str(error))
    try:
        identity = remote.identify()
        return Finding(record.path, "remote", Grade.GOOD, f"{record.remote} as {shown(identity.device)}")
    except SyncdError as error:
        return Finding(record.path, "remote", Grade.BAD, str(error))
    finally:
        remote.close()


def _floor() -> int:
    try:
        return int(config.load().disk.free_floor)
    except SyncdError:
        return 0  # said above already


def _socket(record: RootRecord) -> Path:
    note = Roots().folder(record.id).socket_note
    try:
        return Path(note.read_text(encoding="utf-8", errors="surrogateescape").strip())
    except OSError:
        return folders.socket_path(record.id)
