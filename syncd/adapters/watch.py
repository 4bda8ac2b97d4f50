"""Chooses the watcher of this platform. Directories that cannot be watched are polled by the engine, not here."""

import sys
from collections.abc import Callable

from syncd.model.observation import Message
from syncd.model.path import RelPath
from syncd.ports import Watcher


def make_watcher(root_path: str, post: Callable[[Message], None], skip: Callable[[RelPath], bool]) -> Watcher:
    """Return a watcher, not yet started. *skip* tells which directories need no watching (ignored ones); it and *post*
    are called from the watcher's own thread."""
    if sys.platform == "linux":
        from syncd.adapters.watch_inotify import InotifyWatcher

        return InotifyWatcher(root_path, post, skip)
    else:  # noqa: RET505 - the type checker leaves out a whole branch by platform, not what follows one
        from syncd.adapters.watch_macos import ObserverWatcher

        return ObserverWatcher(root_path, post, skip)
