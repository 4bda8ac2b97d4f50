"""The backup of a hub that lives in a folder: database first, then the chunks it names, then whatever else is there.

Owns the order of copying. The copy of the database gets its name last, so that a backup that was interrupted is
never taken for a whole one. Never reads what chunks hold: ``hub verify`` on the copy does.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from syncd.hub.folder_blobs import CHUNKS, FolderBlobs
from syncd.hub.sqlite_reads import SqliteReads
from syncd.hub.sqlite_store import DATABASE, SqliteStore, copy_database, translated
from syncd.model.errors import NoSpace, Refused, Usage

_NEW: Final = "hub.sqlite.new"
_BATCH: Final = 500
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup copied; files that the target had already are not counted. *lost* names containers that are
    missing from the hub itself: the rest was backed up, and ``hub verify`` tells whose content they held."""

    files: int
    bytes_copied: int
    lost: tuple[str, ...] = ()


class FolderBackup:
    """Backs up one data folder while it is served."""

    def __init__(self, data_dir: Path, store: SqliteStore, blobs: FolderBlobs) -> None:
        self._data = data_dir
        self._store = store
        self._blobs = blobs

    def __call__(self, target: Path, progress: Callable[[int], None]) -> BackupReport:
        """Bring *target* up to date with the hub; *progress* is told the bytes copied. Holds off collection meanwhile,
        not clients."""
        target = Path(os.path.abspath(target))
        data = Path(os.path.abspath(self._data))
        if target == data or data in target.parents or target in data.parents:
            raise Usage(f"{target}: a backup goes to a folder outside the hub's data; name another")
        with self._store.maintenance(), translated():
            try:
                return self._copy(target, progress)
            except OSError as error:
                if error.errno in _NO_SPACE:
                    raise NoSpace(f"{target}: no space is left there; free some, and back up again") from error
                where = os.fsdecode(error.filename) if error.filename else str(target)
                raise Refused(
                    f"{where}: {(error.strerror or str(error)).lower()}, so the backup is not whole; mend that, and "
                    "back up again"
                ) from error

    def _copy(self, target: Path, progress: Callable[[int], None]) -> BackupReport:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check_target(target)
        source = apsw.Connection(str(self._store.path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            source.set_busy_timeout(20_000)
            copy_database(source, target / _NEW)
        finally:
            source.close()
        files, copied, lost = self._copy_chunks(target, progress)
        for path in self._others():
            _copy_file(path, target / path.relative_to(self._data))
            files, copied = files + 1, copied + path.stat().st_size
        os.replace(target / _NEW, target / DATABASE)
        _sync_folder(target)
        self._drop_unnamed(target)
        return BackupReport(files + 1, copied + (target / DATABASE).stat().st_size, tuple(lost))

    def _check_target(self, target: Path) -> None:
        """Refuse a folder that holds anything but an older backup of this very hub."""
        if not any(target.iterdir()):
            return
        database = target / DATABASE
        if not database.is_file():
            if (target / _NEW).is_file() or (target / (_NEW + ".partial")).is_file():
                return  # a first backup that was interrupted
            raise Usage(f"{target} is not empty and holds no backup of this hub; name an empty or a new folder")
        with self._store.read() as view:
            ours = view.hub_id()
        connection = apsw.Connection(str(database))
        try:
            theirs = SqliteReads(connection).hub_id()
            if theirs == ours:
                # A backup that was served has a write-ahead log, which must not outlive its database: fold it in.
                connection.execute("PRAGMA journal_mode = DELETE")
        except (apsw.NotADBError, apsw.CorruptError):
            raise Usage(f"{target} holds a database that is damaged; move it away, or name another folder") from None
        except apsw.SQLError:
            theirs = b""
        finally:
            connection.close()
        if theirs != ours:
            raise Usage(f"{target} holds another hub, or its backup; name another folder")

    def _copy_chunks(self, target: Path, progress: Callable[[int], None]) -> tuple[int, int, list[str]]:
        """Copy the containers the copied database names; return files, bytes, and names of lost ones."""
        copies = target / CHUNKS
        copies.mkdir(mode=0o700, exist_ok=True)
        files, copied, lost = 0, 0, []
        folders: set[Path] = set()
        connection = apsw.Connection(str(target / _NEW), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            for container in _named(SqliteReads(connection)):
                copy = copies / container[:2] / container
                size = self._blobs.size(container)
                if size is None:
                    lost.append(container)
                    continue
                if copy.is_file() and copy.stat().st_size == size:
                    continue  # containers are written once: the same name is the same content
                folders.add(copy.parent)
                _copy_file(self._blobs.path_of(container), copy)
                files, copied = files + 1, copied + size
                progress(copied)
        finally:
            connection.close()
        for folder in [*sorted(folders), copies, target]:
            _sync_folder(folder)
        return files, copied, lost

    def _drop_unnamed(self, target: Path) -> None:
        """Remove what only an older backup, or one that was interrupted, needed."""
        connection = apsw.Connection(str(target / DATABASE), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            view = SqliteReads(connection)
            for path in sorted((target / CHUNKS).glob("??/*")):
                if not view.container_in_use(path.name):
                    path.unlink()
        finally:
            connection.close()

    def _others(self) -> Iterator[Path]:
        """Yield what else belongs to the hub (its certificate, say): regular files beside database and chunks."""
        for path in sorted(self._data.rglob("*")):
            first = path.relative_to(self._data).parts[0]
            if first == CHUNKS or first.startswith(DATABASE) or path.name.endswith((".lock", ".sock")):
                continue
            if path.is_file() and not path.is_symlink():
                yield path


def _named(view: SqliteReads) -> Iterator[str]:
    last = ""
    while True:
        page = view.containers_after(last, _BATCH)
        yield from (container for container, _ in page)
        if len(page) < _BATCH:
            return
        last = page[-1][0]


def _copy_file(source: Path, target: Path) -> None:
    """Copy one file with its mode, durable and whole before it has its name."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as copy:
        with source.open("rb") as data:
            shutil.copyfileobj(data, copy, 1 << 20)
        copy.flush()
        os.fchmod(copy.fileno(), source.stat().st_mode & 0o700)
        os.fsync(copy.fileno())
    os.replace(partial, target)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
