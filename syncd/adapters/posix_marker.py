"""The root's identity: opening it by path, the marker in ``.syncd/root.json``, and what may become a root at all.

Owns the marker file. Never creates a root, and never touches a user's file.
"""

import errno
import os
from collections.abc import Iterable
from typing import Final

import msgspec

from syncd.adapters import posix_syscalls as syscalls
from syncd.adapters.posix_dir import open_below
from syncd.adapters.posix_file import full_disk_is_no_space, signed
from syncd.model.errors import RootGone, Usage
from syncd.model.path import RESERVED, shown
from syncd.ports import RootIdentity

MARKER: Final = "root.json"
_NEW_MARKER: Final = "root.json.new"
_MAX_MARKER: Final = 64 * 1024
_ROOT: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_GONE: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.EIO, errno.ESTALE, errno.ENODEV}
)


class _Marker(msgspec.Struct):
    root_id: str


def open_root(path: str) -> int:
    """Open the root by its path and return the descriptor. The path itself may lead through symlinks: it is the
    person's own; everything below it may not."""
    try:
        return os.open(path, _ROOT)
    except OSError as error:
        if error.errno not in _GONE:
            raise
        raise RootGone(
            f"the root {shown(path)} cannot be opened ({os.strerror(error.errno or 0)}); nothing is synced until it is "
            "back: mount it, or move it back"
        ) from error


def open_own(root: int, path: str, *, create: bool) -> int | None:
    """Open ``.syncd`` below the open *root*; None when it is missing and not to be created.

    Raises RootGone when something else has that name: syncd never works through what it did not make.
    """
    if create:
        try:
            with full_disk_is_no_space("creating .syncd"):
                os.mkdir(RESERVED, 0o700, dir_fd=root)
            syscalls.sync_directory(root)
        except FileExistsError:
            pass  # looked at below
    try:
        return open_below(root, RESERVED)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise RootGone(
            f"{shown(path)}/{RESERVED} is not a folder but a file or symlink; nothing is synced: remove it, then "
            "run init again"
        ) from error


def identity_of(root: int, path: str) -> RootIdentity | None:
    """Return the identity of the open *root*: its marker and inode; None when it has no marker."""
    own = open_own(root, path, create=False)
    if own is None:
        return None
    try:
        root_id = _read(own, path)
    finally:
        os.close(own)
    if root_id is None:
        return None
    raw = os.fstat(root)
    return RootIdentity(root_id, raw.st_dev, signed(raw.st_ino))


def has_marker(root: int) -> bool:
    """Return whether the open *root* has a marker at all: the cheap half of a proof, for each opening."""
    try:
        os.stat(f"{RESERVED}/{MARKER}", dir_fd=root, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _read(own: int, path: str) -> str | None:
    try:
        fd = os.open(MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=own)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(path, os.strerror(error.errno or 0)) from error
    try:
        data = os.read(fd, _MAX_MARKER)
        return msgspec.json.decode(data, type=_Marker).root_id
    except (OSError, msgspec.MsgspecError) as error:
        raise _damaged(path, str(error)) from error
    finally:
        os.close(fd)


def _damaged(path: str, why: str) -> RootGone:
    return RootGone(
        f"the marker {shown(path)}/{RESERVED}/{MARKER} cannot be read ({shown(why)}); nothing is synced: restore it, "
        "or run init again"
    )


def read_marker(path: str) -> str | None:
    """Return the root id in the marker of the root at *path*, None without a marker; RootGone when unreadable."""
    root = open_root(path)
    try:
        found = identity_of(root, path)
        return None if found is None else found.root_id
    finally:
        os.close(root)


def tie_root(path: str, root_id: str, *, replace: bool = False) -> RootIdentity:
    """Write the marker of the root at *path*, durably, and return the root's identity.

    The same id again changes nothing. Another id is refused with Usage unless *replace*.
    """
    root = open_root(path)
    try:
        own = open_own(root, path, create=True)
        if own is None:
            raise RootGone(f"{shown(path)}/{RESERVED} vanished while it was made; run init again")
        try:
            present = None if replace else _read(own, path)
            if present is not None and present != root_id:
                raise Usage(f"{shown(path)} is tied already (root {shown(present)}); run init there to tie it anew")
            if present is None:
                _write(own, root_id)
        finally:
            os.close(own)
        raw = os.fstat(root)
        return RootIdentity(root_id, raw.st_dev, signed(raw.st_ino))
    finally:
        os.close(root)


def _write(own: int, root_id: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with full_disk_is_no_space("writing the root's marker"):
        fd = os.open(_NEW_MARKER, flags, 0o600, dir_fd=own)
        try:
            os.write(fd, msgspec.json.encode(_Marker(root_id)) + b"\n")
            syscalls.sync_file(fd)
        finally:
            os.close(fd)
        os.rename(_NEW_MARKER, MARKER, src_dir_fd=own, dst_dir_fd=own)
        syscalls.sync_directory(own)


def check_root(path: str, other_roots: Iterable[str]) -> None:
    """Raise Usage, in one clear line, unless *path* can be a root next to *other_roots*.

    A root must be an existing, writable folder that neither lies inside another root nor holds one.
    """
    name = shown(path)
    try:
        _require_folder(path, name)
        real = os.path.realpath(path, strict=True)
        _require_outside(real, name)
        _require_apart(real, name, other_roots)
    except OSError as error:
        raise Usage(f"{name} cannot be looked at ({os.strerror(error.errno or 0)}); choose another folder") from error


def _require_folder(path: str, name: str) -> None:
    if not os.path.lexists(path):
        raise Usage(f"{name} does not exist; check the path, or add --create to make it")
    if not os.path.exists(path):
        raise Usage(f"{name} is a symlink that leads nowhere; choose a folder that exists")
    if not os.path.isdir(path):
        raise Usage(f"{name} is not a folder; choose a folder")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise Usage(f"{name} is not writable for this user; change its permissions or choose another folder")


def _require_outside(real: str, name: str) -> None:
    for parent in _parents(real):
        if os.path.basename(parent) == RESERVED or os.path.basename(real) == RESERVED:
            raise Usage(f"{name} lies inside a folder of syncd's own ({RESERVED}); choose another folder")
        if os.path.lexists(os.path.join(parent, RESERVED, MARKER)):
            raise Usage(f"{name} lies inside another root ({shown(parent)}); choose a folder outside it")


def _require_apart(real: str, name: str, other_roots: Iterable[str]) -> None:
    # Folders are compared by inode: on a case-insensitive file system two spellings are one folder.
    mine = [_inode(folder) for folder in (real, *_parents(real))]
    for other in other_roots:
        theirs = os.path.realpath(other)
        if not os.path.isdir(theirs):
            _require_apart_by_name(real, theirs, name)
            continue
        inode = _inode(theirs)
        if inode == mine[0]:
            continue  # the same root
        if inode in mine:
            raise Usage(f"{name} lies inside another root ({shown(other)}); choose a folder outside it")
        if mine[0] in [_inode(folder) for folder in _parents(theirs)]:
            raise Usage(f"{name} holds another root ({shown(other)}); choose a folder that does not")


def _require_apart_by_name(real: str, theirs: str, name: str) -> None:
    """The other root is not there now (not mounted): only its path can be compared."""
    if theirs.startswith(real.rstrip("/") + "/"):
        raise Usage(f"{name} holds another root ({shown(theirs)}); choose a folder that does not")


def _parents(real: str) -> list[str]:
    found = []
    while (parent := os.path.dirname(real)) != real:
        found.append(parent)
        real = parent
    return found


def _inode(path: str) -> tuple[int, int]:
    raw = os.stat(path)
    return (raw.st_dev, raw.st_ino)
