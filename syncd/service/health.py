"""What `syncd doctor` looks at: configuration, folders, databases, tokens, watches, remotes. Changes nothing."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import apsw

import syncd
from syncd.adapters.hub_remote import HubRemote
from syncd.adapters.posix_fs import PosixFs
from syncd.control import client
from syncd.db.views import open_view
from syncd.model.errors import SyncdError
from syncd.model.path import shown
from syncd.ports import RootIdentity, Traits
from syncd.service import config, folders, known_traits
from syncd.service.roots import RootRecord, Roots
from syncd.service.tokens import Tokens


class Grade(StrEnum):
    """How a finding is meant."""

    GOOD = "ok"
    NOTE = "note"
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
    try:
        records = Roots().all()
    except SyncdError as error:
        yield Finding(about, "folders", Grade.BAD, str(error))
        return
    if not records:
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
    folder = Roots().folder(record.id)
    try:
        with open_view(os.fspath(folder.database)) as view:
            view.summary()
        yield Finding(about, "database", Grade.GOOD, str(folder.database))
    except SyncdError as error:
        fresh = not folder.database.exists()
        says = "not there yet; `syncd run` makes it" if fresh else str(error)
        yield Finding(about, "database", Grade.NOTE if fresh else Grade.BAD, says)
    try:
        pid = client.status(_socket(record))["pid"]
        yield Finding(about, "daemon", Grade.GOOD, f"runs, pid {pid}")
    except SyncdError as error:
        yield Finding(about, "daemon", Grade.NOTE, str(error))
    if remotes:
        yield _remote(record)


def _traits(about: str, traits: Traits) -> Iterator[Finding]:
    """What the file system cannot do, and what that means."""
    lacks = [
        (traits.exchange, "cannot exchange two names at once: a replaced file is missing for a moment"),
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
