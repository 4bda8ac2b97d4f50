"""Folders as tests compare them: byte by byte, and every content that is anywhere in them (P1, P2)."""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from blake3 import blake3

OWN = b".syncd"
LOOKS = 5

Entry = tuple[str, bool, bytes]
"""Kind, executable bit, and what it holds: a content's hash, a symlink's target, nothing for a folder."""

Tree = dict[bytes, Entry]


def content_hash(path: bytes | Path) -> bytes:
    """Return the hash of a file's content."""
    hasher = blake3()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return hasher.digest()


def walk(root: Path) -> Iterator[tuple[bytes, bytes, os.stat_result]]:
    """Yield (path below the root, full path, stat) of all but syncd's own, sorted."""
    pending = [b""]
    while pending:
        directory = pending.pop()
        full = os.path.join(os.fsencode(root), directory) if directory else os.fsencode(root)
        for name in sorted(os.listdir(full)):
            if not directory and name == OWN:
                continue
            path = os.path.join(directory, name)
            found = os.lstat(os.path.join(full, name))
            yield path, os.path.join(full, name), found
            if stat.S_ISDIR(found.st_mode):
                pending.append(path)


def tree(root: Path, leave_out: Callable[[bytes], bool] = lambda _path: False) -> Tree:
    """Return everything in a root that is to be the same everywhere."""
    for _ in range(LOOKS):
        with contextlib.suppress(FileNotFoundError):  # a daemon moves a folder while we look into it: look again
            return _tree(root, leave_out)
    return _tree(root, leave_out)


def _tree(root: Path, leave_out: Callable[[bytes], bool]) -> Tree:
    out: Tree = {}
    for path, full, found in walk(root):
        if leave_out(path):
            continue
        if stat.S_ISLNK(found.st_mode):
            out[path] = ("symlink", False, os.readlink(full))
        elif stat.S_ISDIR(found.st_mode):
            out[path] = ("directory", False, b"")
        elif stat.S_ISREG(found.st_mode):
            out[path] = ("file", bool(found.st_mode & stat.S_IXUSR), content_hash(full))
    return dict(sorted(out.items()))


def contents(root: Path) -> set[bytes]:
    """Return the hash of every content in a root, trash included."""
    for _ in range(LOOKS):
        with contextlib.suppress(FileNotFoundError):  # a daemon tends its trash while we look: look again
            return _contents(root)
    return _contents(root)


def _contents(root: Path) -> set[bytes]:
    # The trash first: its tending may put a late write back into the folder, and drop what the hub keeps.
    out = set()
    trash = os.fsencode(root / ".syncd" / "trash")
    for entry in sorted(os.listdir(trash)) if os.path.isdir(trash) else []:
        with contextlib.suppress(FileNotFoundError):
            out |= _contents_below(Path(os.fsdecode(os.path.join(trash, entry))))
    return out | _contents_below(root)


def _contents_below(start: Path) -> set[bytes]:
    out = set()
    for _, full, found in walk(start):
        if stat.S_ISREG(found.st_mode):
            out.add(content_hash(full))
        elif stat.S_ISLNK(found.st_mode):
            out.add(blake3(os.readlink(full)).digest())
    return out


def differences(one: Tree, other: Tree) -> str:
    """Return where two trees differ, for a failure report; nothing when they are the same."""
    lines = [
        f"  {path!r}: {one.get(path, '-')!s:.120} | {other.get(path, '-')!s:.120}"
        for path in sorted({*one, *other})
        if one.get(path) != other.get(path)
    ]
    return "\n".join([*lines[:20], *([f"  and {len(lines) - 20} more"] if len(lines) > 20 else [])])


def copies(root: Path) -> list[bytes]:
    """Return every conflicted copy in a root."""
    return [path for path, _, _ in walk(root) if b"(conflicted copy, " in path.rpartition(b"/")[2]]
