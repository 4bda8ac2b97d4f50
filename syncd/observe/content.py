"""Reading the content of one name: a file that changes while it is read has no content yet (P5)."""

import errno
from typing import Final

from syncd.model.node import Kind, Reason
from syncd.model.observation import Seen, Unhashed, Unseen
from syncd.observe.fingerprint import is_racy
from syncd.observe.hashing import hash_bytes, hash_file
from syncd.ports import Dir, Stat

# The name was listed as a file or symlink and is something else, or gone, when it is opened: somebody is at it.
_MOVED_ON: Final = frozenset((errno.ENOENT, errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.EISDIR, errno.ESTALE))


def why(error: OSError) -> str:
    """Return the system's own words for *error*, without a path."""
    return (error.strerror or type(error).__name__).lower()


def read_content(directory: Dir, name: str, stat: Stat, read_ns: int, tick_ns: int) -> Seen | Unhashed | Unseen:
    """Hash the file or symlink *name*, last seen as *stat*.

    *read_ns* is the wall clock (ns) before this call. What is returned is Seen only if the fingerprint was the same
    before and after reading and the name still leads to what was read.
    """
    try:
        if stat.kind is Kind.SYMLINK:
            found, digest = _symlink(directory, name, stat)
        else:
            found, digest = _file(directory, name)
        named = directory.stat(name)
    except OSError as error:
        if error.errno in _MOVED_ON:
            return Unhashed(name, stat.fingerprint, busy=True)
        return Unseen(name, stat.kind, Reason.UNREADABLE, why(error))
    if digest is None or named is None or named.kind is not stat.kind or named.fingerprint != found.fingerprint:
        return Unhashed(name, found.fingerprint, busy=True)
    executable = found.kind is Kind.FILE and bool(found.mode & 0o100)
    assert stat.kind is not None, "only files and symlinks are read"
    racy = is_racy(found.fingerprint, read_ns, tick_ns)
    return Seen(name, stat.kind, found.fingerprint, digest, executable, racy=racy)


def _file(directory: Dir, name: str) -> tuple[Stat, bytes | None]:
    """Return the stat and hash of a file; no hash when it changed meanwhile."""
    with directory.open(name) as file:
        before = file.stat()
        digest = hash_file(file, before.fingerprint.size)
        after = file.stat()
    return after, digest if before.fingerprint == after.fingerprint else None


def _symlink(directory: Dir, name: str, stat: Stat) -> tuple[Stat, bytes | None]:
    """Return a symlink's stat and the hash of its target's bytes. A symlink never changes: another target is another
    inode, and then the name's fingerprint differs afterwards."""
    return stat, hash_bytes(directory.readlink(name))
