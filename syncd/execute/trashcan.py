"""The trash as a person sees it: what lies in it, and taking something out again. Needs no database and no daemon."""

from dataclasses import dataclass

from syncd.execute.dirs import Dirs
from syncd.execute.trash import DATA, TRASH, clear, is_ours, read_info
from syncd.model.errors import Usage
from syncd.model.node import Kind
from syncd.model.op import OpType
from syncd.model.path import MAX_NAME_BYTES, RelPath, name_fault, shown
from syncd.observe.databases import in_the_way, is_database
from syncd.ports import Dir, LocalFs

MOST_NUMBERS = 1000


@dataclass(frozen=True, slots=True)
class TrashEntry:
    """One thing in the trash. *id* names it for ``trash_restore``; *at* is in seconds since the epoch.

    *path* is None where nobody knows any more where it was.
    """

    id: str
    path: RelPath | None
    kind: Kind | None
    size: int
    at: float
    cause: OpType | None
    hash: str


def trash_list(fs: LocalFs) -> list[TrashEntry]:
    """Return what is in the trash, newest first."""
    found = []
    with Dirs(fs) as dirs:
        names = dirs.own(TRASH).names()
    for name in names:
        with Dirs(fs) as dirs:
            if _valid_id(name) and (entry := _listed(dirs.own(TRASH, name), name)) is not None:
                found.append(entry)
    return sorted(found, key=lambda entry: (-entry.at, entry.id))


def trash_restore(fs: LocalFs, entry_id: str) -> RelPath:
    """Put an entry back where it was, or beside that if the name is taken; returns where it is now.

    Missing directories are made. Nothing is ever replaced. Raises Usage for an entry that is not there.
    """
    with Dirs(fs) as dirs:
        if not _valid_id(entry_id) or dirs.own(TRASH).stat(entry_id) is None:
            raise Usage(f"there is no {shown(entry_id)} in the trash; see: syncd trash list")
        entry = dirs.own(TRASH, entry_id)
        listed = _listed(entry, entry_id)
        if listed is None:
            raise Usage(f"{shown(entry_id)} is empty by now; see: syncd trash list")
        path = listed.path if listed.path is not None else (f"restored {entry_id[:8]}",)
        for name in path:
            if (fault := name_fault(name)) is not None:
                raise Usage(f"{shown(entry_id)} cannot be restored: its name {shown(name)} {fault}")
        with _open_or_make(fs, path[:-1]) as directory:
            name = _put(entry, directory, path[-1])
            directory.sync()
            entry.sync()
        clear(dirs, bytes.fromhex(entry_id))
    return (*path[:-1], name)


def _valid_id(name: str) -> bool:
    return bool(name) and len(name) % 2 == 0 and all(char in "0123456789abcdef" for char in name)


def _listed(entry: Dir, name: str) -> TrashEntry | None:
    """Return the entry as shown; None when it holds nothing a person could want back."""
    data = entry.stat(DATA)
    if data is None:
        return None
    info = read_info(entry)
    if info is None:
        at = data.fingerprint.ctime_ns / 1e9
        return TrashEntry(name, None, data.kind, data.fingerprint.size, at, None, "")
    if is_ours(data, info):
        return None
    path = info.path if info.path else None
    return TrashEntry(name, path, data.kind, data.fingerprint.size, info.at, info.cause, info.expected_hash)


def _open_or_make(fs: LocalFs, path: RelPath) -> Dir:
    directory = fs.open_dir(())
    for name in path:
        try:
            stat = directory.stat(name)
            if stat is None:
                directory.mkdir(name)
                directory.sync()
            child = directory.child(name)
        except FileExistsError:
            child = directory.child(name)
        except NotADirectoryError as error:
            raise Usage(f"it cannot be restored: {shown(name)}, where it was, is no folder any more") from error
        finally:
            directory.close()
        directory = child
    return directory


def _put(entry: Dir, directory: Dir, name: str) -> str:
    data = entry.stat(DATA)
    database = data is not None and is_database(entry, DATA, data)
    for number in range(MOST_NUMBERS):
        chosen = _restored_name(name, number)
        if database and in_the_way(directory, chosen) is not None:
            continue  # SQLite would take what lies there for a part of it
        try:
            entry.rename_new(DATA, directory, chosen)
        except FileExistsError:
            continue
        except FileNotFoundError as error:
            raise Usage("it left the trash just now; see: syncd trash list") from error
        return chosen
    raise Usage(f"a thousand restored copies of {shown(name)} are there already")


def _restored_name(name: str, number: int) -> str:
    if number == 0:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode()) > 32:
        stem, dot, extension = name, "", ""
    tail = " (restored)" + (f" {number}" if number > 1 else "") + dot + extension
    return stem.encode()[: MAX_NAME_BYTES - len(tail.encode())].decode(errors="ignore") + tail
