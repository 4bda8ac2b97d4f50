"""The watcher on macOS: watchdog's FSEvents observer, turned into hints.

FSEvents may say "must scan subdirectories" when it dropped events; watchdog does not pass that on. On macOS the engine
therefore also needs its periodic scan: a hint here is a promise of speed, never of completeness. Owns the observer;
concludes nothing from what kind of event came.
"""

import os
import threading
from collections.abc import Callable

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from syncd.model.observation import Hints, HintsLost, Message
from syncd.model.path import RESERVED, RelPath
from syncd.observe.canary import CANARY

_READ_ONLY = frozenset(("opened", "closed_no_write"))


class ObserverWatcher(FileSystemEventHandler):
    """See ``syncd.ports.Watcher``; works wherever watchdog has an observer for the platform."""

    def __init__(self, root_path: str, post: Callable[[Message], None], skip: Callable[[RelPath], bool]) -> None:
        """*skip* tells below which directories events are of no interest."""
        # FSEvents reports resolved paths (/private/var for /var).
        self._root_path, self._post, self._skip = os.path.realpath(root_path), post, skip
        self._observer = Observer()
        self._started = False
        self._turn = threading.Lock()
        self._seen = threading.Event()
        self._count = 0
        self._expected = ""

    def start(self) -> None:
        """Watch everything below the root. Raises OSError when the root cannot be watched."""
        self._observer.schedule(self, self._root_path, recursive=True)
        self._observer.start()
        self._started = True

    def close(self) -> None:
        """Stop watching; may be called twice, and before ``start``."""
        if self._started:
            self._started = False
            self._observer.stop()
            self._observer.join()

    def alive(self, poke: Callable[[str], None], seconds: float) -> bool:
        """Return whether a file that *poke* makes in the canary directory is reported within *seconds*."""
        with self._turn:
            if not self._observer.is_alive():
                return False
            self._count += 1
            self._expected = f"canary-{self._count}"
            self._seen.clear()
            poke(self._expected)
            return self._seen.wait(seconds)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called by watchdog, in its own thread."""
        if event.event_type in _READ_ONLY:
            return
        names: dict[tuple[RelPath, str], None] = {}
        for raw in (event.src_path, event.dest_path):
            if raw:
                self._place(os.fsdecode(raw), names, event.event_type)
        if names:
            self._post(Hints(tuple(names)))

    def _place(self, raw: str, names: dict[tuple[RelPath, str], None], event_type: str) -> None:
        if raw == self._root_path:
            if event_type in ("deleted", "moved"):
                self._post(HintsLost((), "the root was moved or removed"))
            return
        inside = os.path.relpath(raw, self._root_path)
        path = tuple(inside.split("/"))
        if path[0] == "..":
            return
        if path[0] == RESERVED:
            if path[1:] == (CANARY, self._expected):
                self._seen.set()
            return
        if not any(self._skip(path[:length]) for length in range(1, len(path))):
            names[path[:-1], path[-1]] = None
