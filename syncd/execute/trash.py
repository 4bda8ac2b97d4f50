"""The trash entry of an op: ``.syncd/trash/<key>/data`` beside ``info.json``. Complete without the database.

The rules every other module leans on:

- ``info.json`` is there before ``data`` is, and says which inode is ours (``staged``).
- ``data`` is either that very inode (staged, not yet exchanged with its target) or displaced content: a person's.
- Displaced content is never removed here. What is ours leaves through ``.syncd/staging``.
"""

from typing import Final

import msgspec

from syncd.execute.dirs import Dirs, same_content_inode
from syncd.execute.staging import STAGING, drop, part_name, parts_of
from syncd.model.errors import Outdated
from syncd.model.job import Assignment
from syncd.model.node import Fingerprint, Kind
from syncd.model.op import OpType
from syncd.model.path import RelPath
from syncd.ports import Chance, Dir, ReadFile, Stat

TRASH: Final = "trash"
INFO: Final = "info.json"
FRESH: Final = "info.new"
DATA: Final = "data"
MAX_INFO: Final = 1 << 20


class Info(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an entry says of itself. *at* is in seconds since the epoch.

    *path* is where ``data`` was, or is to go. *expected* and *expected_hash* describe the content the op displaces,
    *staged* and *hash* the content it brings. *kept_by_remote*: the expected content was in sync, and the remote
    keeps it as a version.
    """

    op: str
    node: str
    cause: OpType
    kind: Kind
    path: RelPath
    at: float
    size: int = 0
    hash: str = ""
    expected: Fingerprint | None = None
    expected_hash: str = ""
    staged: Fingerprint | None = None
    kept_by_remote: bool = False


def info_for(
    assignment: Assignment, path: RelPath, at: float, staged: Fingerprint | None, *, remote_keeps: bool
) -> Info:
    """Return the info of an op's entry. *remote_keeps*: the remote has a history."""
    op = assignment.op
    # A conflict and a set-aside displace what was never in sync: the remote does not have it.
    in_sync = op.type in (OpType.DOWNLOAD, OpType.LOCAL_DELETE) and op.expected_hash is not None
    # A listing names no tombstones. What it only did not show may be gone from the remote's history, too, or may never
    # have been in the one that the remote has now: nobody knows that a version of it is kept (P1).
    told = op.type is not OpType.LOCAL_DELETE or op.base is not None
    return Info(
        assignment.key.hex(),
        assignment.node_id.hex(),
        op.type,
        op.kind,
        path,
        at,
        op.expected.size if op.expected is not None else 0,
        op.hash.hex() if op.hash is not None else "",
        op.expected,
        op.expected_hash.hex() if op.expected_hash is not None else "",
        staged,
        in_sync and told and remote_keeps,
    )


def exists(dirs: Dirs, key: bytes) -> bool:
    """Return whether the op already has an entry, without creating one."""
    return dirs.own(TRASH).stat(key.hex()) is not None


def entry_of(dirs: Dirs, key: bytes) -> Dir:
    """Return the op's entry, created when missing."""
    return dirs.own(TRASH, key.hex())


def read_info(entry: Dir) -> Info | None:
    """Return what the entry says of itself, or None when it says nothing that makes sense."""
    for name in (INFO, FRESH):
        try:
            with entry.open(name) as file:
                return msgspec.json.decode(file.read(0, MAX_INFO), type=Info)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            continue  # the next name may hold it; an entry without info is kept as unknown content
    return None


def write_info(entry: Dir, info: Info) -> None:
    """Write the entry's info. It is durable only after ``open_info`` was made durable and the entry synced."""
    names = entry.names()
    if DATA in names:
        raise Outdated("content of an earlier attempt is still in its trash entry; looking again")
    for name in (FRESH, INFO):
        if name in names:
            entry.unlink(name)
    with entry.create(FRESH) as file:
        file.write(msgspec.json.format(msgspec.json.encode(info)))
    entry.rename_new(FRESH, entry, INFO)


def open_info(entry: Dir) -> ReadFile:
    """Open the info, to make it durable together with others."""
    return entry.open(INFO)


def clear(dirs: Dirs, key: bytes) -> None:
    """Remove an entry that holds no ``data``; one that does is left as it is."""
    if not exists(dirs, key):
        return
    entry = entry_of(dirs, key)
    names = entry.names()
    if DATA in names:
        return
    for name in (FRESH, INFO):
        if name in names:
            entry.unlink(name)
    dirs.forget_own(TRASH, key.hex())
    dirs.own(TRASH).rmdir(key.hex())


def is_ours(data: Stat, info: Info | None) -> bool:
    """Return whether ``data`` is the inode this op staged, and not something it displaced."""
    return info is not None and info.staged is not None and same_content_inode(data.fingerprint, info.staged)


def take_back(dirs: Dirs, key: bytes, chance: Chance, *, ours: bool = False, keep_parts: bool = False) -> None:
    """Undo the preparation of an op that had no effect: our own staged content goes, nothing else.

    *keep_parts* leaves what was staged so far in staging: the next attempt takes it up again.

    ``data`` is touched only when it is the inode the info names (or when the caller knows: *ours*). The order matters
    for a crash in between: ``data`` goes back to staging, then the info, then the part. As long as there is info
    without a part and without ``data``, the op counts as done (recover).
    """
    if exists(dirs, key):
        entry = entry_of(dirs, key)
        data = entry.stat(DATA)
        info = read_info(entry)
        if data is not None and (ours or is_ours(data, info)):
            content = bytes.fromhex(info.hash) if info is not None and info.hash else bytes(32)
            entry.rename_new(DATA, dirs.own(STAGING), part_name(content, key, chance))
        clear(dirs, key)
    if keep_parts:
        return
    staging = dirs.own(STAGING)
    for name in parts_of(staging, key):
        drop(staging, name)
