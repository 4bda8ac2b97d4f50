"""Sets watches on a tree of directories, without a gap: each directory is watched first and listed then.

Owns the descriptors it opens while walking. Never follows a symlink, never leaves the root's file system, never enters
``.syncd``, reads no file.
"""

import errno
import os
from collections.abc import Callable
from typing import Final

from syncd.adapters.watch_events import NAMES_MASK, ROOT_MASK, add_watch, most_watches
from syncd.adapters.watch_tree import Spot, WatchTree
from syncd.model.observation import Unwatched
from syncd.model.path import RESERVED, RelPath

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE: Final = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE))

Hint = Callable[[RelPath], None]


class Walker:
    """Watches directories of one root on one inotify queue, and remembers which it could not."""

    def __init__(self, root: int, queue: int | None, skip: Callable[[RelPath], bool], why_no_queue: str = "") -> None:
        """*root* is the root's descriptor. Without a *queue*, every directory is found and none is watched."""
        self._root = root
        self._device = os.fstat(root).st_dev
        self._queue = queue
        self._skip = skip
        self._why_no_queue = why_no_queue
        self._unwatched: dict[int, list[RelPath]] = {}  # by errno

    def open(self, path: RelPath) -> int:
        """Return a descriptor of a directory below the root, opened name by name, no-follow (P10)."""
        fd = os.open(".", _OPEN, dir_fd=self._root)
        for name in path:
            try:
                below = os.open(name, _OPEN, dir_fd=fd)
            finally:
                os.close(fd)
            fd = below
        return fd

    def watch(self, tree: WatchTree, top: Spot, hint: Hint | None) -> None:
        """Watch *top* and everything below it; with *hint*, every directory that is not empty is hinted."""
        stack = [top]
        while stack:
            spot = stack.pop()
            path = tree.path(spot)
            if path is None:
                continue
            try:
                fd = self.open(path)
            except OSError as error:
                self._failed(tree, spot, path, error)
                continue
            try:
                if os.fstat(fd).st_dev == self._device:
                    self._add(tree, spot, path, fd)
                    stack += self._list(tree, spot, path, fd, hint)
            except OSError as error:  # the listing failed half way
                self._failed(tree, spot, path, error)
            finally:
                os.close(fd)

    def _add(self, tree: WatchTree, spot: Spot, path: RelPath, fd: int) -> None:
        if self._queue is None:
            self._unwatched.setdefault(0, []).append(path)
            return
        try:
            tree.bind(spot, add_watch(self._queue, fd, NAMES_MASK if path else ROOT_MASK))
        except OSError as error:  # listed all the same: below it there may be some that can be watched
            self._unwatched.setdefault(error.errno or errno.EIO, []).append(path)

    def _list(self, tree: WatchTree, spot: Spot, path: RelPath, fd: int, hint: Hint | None) -> list[Spot]:
        found, empty = [], True
        with os.scandir(fd) as entries:
            for entry in entries:
                name = entry.name
                if not path and name == RESERVED:
                    continue
                empty = False
                if entry.is_dir(follow_symlinks=False) and not self._skip((*path, name)):
                    found.append(tree.child(spot, name))
        if hint is not None and not empty:
            hint(path)
        return found

    def _failed(self, tree: WatchTree, spot: Spot, path: RelPath, error: OSError) -> None:
        if error.errno in _GONE and path:  # its own event follows
            if spot.parent is not None and spot.wd is None and not spot.children:
                tree.detach(spot.parent, spot.name)
            return
        known = self._unwatched.setdefault(error.errno or errno.EIO, [])
        if path not in known[-1:]:
            known.append(path)

    def unwatched(self, watches: int) -> list[Unwatched]:
        """Return, once, which directories could not be watched, and why; *watches* is how many are."""
        missing = sum(map(len, self._unwatched.values()))
        out = [
            Unwatched(tuple(sorted(paths)), self._why(number, watches + missing))
            for number, paths in sorted(self._unwatched.items())
        ]
        self._unwatched = {}
        return out

    def _why(self, number: int, needed: int) -> str:
        match number:
            case 0:
                return self._why_no_queue
            case errno.ENOSPC:
                most = most_watches()
                return (
                    f"{needed} directories need a watch, but the system allows {most if most is not None else 'fewer'}"
                    " in all; they are looked at regularly instead. Raise the limit with:"
                    f" sysctl fs.inotify.max_user_watches={_roomy(needed)}"
                )
            case _:
                return f"cannot be watched: {os.strerror(number).lower()}"


def _roomy(needed: int) -> int:
    """Return the power of two that leaves at least as much room again for other programs."""
    return 1 << max(16, (2 * needed - 1).bit_length())
