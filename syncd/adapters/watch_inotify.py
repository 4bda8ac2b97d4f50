"""The watcher on Linux: an inotify emitter of our own.

Stands alone instead of using watchdog, whose Linux emitter drops what a queue overflow means, swallows directories it
could not watch, and keeps reporting a moved directory under its old path. Owns one kernel queue and one thread, which
sleeps in poll() until something happens. Posts hints, and says what it lost; never reads a file, never concludes.
"""

import os
import select
import threading
from collections.abc import Callable
from typing import Final

from syncd.adapters.watch_events import CANARY_MASK, Event, In, add_watch, open_queue, parse, remove_watch
from syncd.adapters.watch_tree import Spot, WatchTree
from syncd.adapters.watch_walk import Walker
from syncd.model.observation import Hints, HintsLost, Message, Unwatched
from syncd.model.path import RESERVED, RelPath
from syncd.observe.canary import CANARY

NAMES_A_BATCH: Final = 4096
_READS_A_BATCH: Final = 64
_READ_BYTES: Final = 1 << 16
_PAIR_MS: Final = 20
"""How long the second half of a move may lag behind the first: the kernel queues both in one go."""

_GATHER_MS: Final = 10
"""From the first event to reading the queue: the events of one save (create, write, close) then make one hint."""

_FLOOD_MS: Final = 50
"""The same while nothing comes but more writes to the same open files; the kernel merges them meanwhile."""


class InotifyWatcher:
    """See ``syncd.ports.Watcher``."""

    def __init__(self, root_path: str, post: Callable[[Message], None], skip: Callable[[RelPath], bool]) -> None:
        """*skip* tells which directories are not watched (ignored ones). It and *post* are called from the watcher's
        thread. Another *skip* needs another watcher."""
        self._root_path, self._post, self._skip = root_path, post, skip
        self._tree = WatchTree()
        self._names: dict[tuple[RelPath, str], None] = {}
        self._previous: dict[tuple[RelPath, str], None] = {}
        self._only_writes = True
        self._lost: dict[RelPath, str] = {}
        self._overflowed = False
        self._orphans: dict[int, Spot] = {}  # moved from, not yet moved to, by cookie
        self._unheard: set[Spot] = set()  # orphans in which something happened
        self._queue: int | None = None
        self._root = self._wake = -1
        self._thread: threading.Thread | None = None
        self._canary = _Canary()

    # --- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Watch everything below the root; returns once every existing directory is watched or told as unwatched.

        Raises OSError when the root cannot be opened."""
        self._root = os.open(self._root_path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        why = ""
        try:
            self._queue = open_queue()
        except OSError as error:
            why = (
                f"the system gives no inotify queue ({os.strerror(error.errno or 0).lower()}); everything is looked at"
                " regularly instead. Raise the limit with: sysctl fs.inotify.max_user_instances=1024"
            )
        self._walker = Walker(self._root, self._queue, self._skip, why)
        self._walker.watch(self._tree, self._tree.root, None)
        self._flush()
        if self._queue is not None:
            self._thread = threading.Thread(target=self._run, args=(self._queue,), name="syncd-watcher", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop watching; may be called twice, and before ``start``."""
        if self._thread is not None:
            os.eventfd_write(self._wake, 1)
            self._thread.join()
            self._thread = None
        for fd in (self._queue, self._root, self._wake):
            if fd is not None and fd >= 0:
                os.close(fd)
        self._queue, self._root, self._wake = None, -1, -1

    def alive(self, poke: Callable[[str], None], seconds: float) -> bool:
        """Return whether a file that *poke* makes in the canary directory is reported within *seconds*.

        *poke* is given the name. For use at start and after a suspend; several threads wait for one another."""
        with self._canary.turn:
            if self._queue is None or self._thread is None or not self._thread.is_alive():
                return False
            try:
                fd = self._walker.open((RESERVED, CANARY))
            except OSError:
                return False
            try:
                self._canary.wd = add_watch(self._queue, fd, CANARY_MASK)
            except OSError:  # no watch left for it: then nothing new can be watched either
                return False
            finally:
                os.close(fd)
            name = self._canary.next_name()
            poke(name)
            return self._canary.seen.wait(seconds)

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self, queue: int) -> None:
        both, closing = select.poll(), select.poll()
        both.register(queue, select.POLLIN)
        for poller in (both, closing):
            poller.register(self._wake, select.POLLIN)
        try:
            flood = False
            while not any(fd == self._wake for fd, _ in both.poll()):
                if closing.poll(_FLOOD_MS if flood else _GATHER_MS):
                    return
                flood = self._drain(queue)
        except Exception as error:  # noqa: BLE001 - a watcher that ends, for whatever reason, must be told
            directories = [self._tree.path(spot) for spot in self._tree.below(self._tree.root)]
            why = f"the watcher broke ({type(error).__name__}: {error}); everything is looked at regularly instead"
            self._post(Unwatched(tuple(sorted(path for path in directories if path is not None)), why))
            self._post(HintsLost((), why))

    def _drain(self, queue: int) -> bool:
        """Take what is queued and post it; returns whether it was only more writes to the same files as last time."""
        self._only_writes = True
        reads = 0
        while len(self._names) < NAMES_A_BATCH and reads < _READS_A_BATCH and self._read(queue):
            reads += 1
        if self._orphans:
            poller = select.poll()
            poller.register(queue, select.POLLIN)
            if poller.poll(_PAIR_MS):
                self._read(queue)
            for orphan in list(self._orphans.values()):  # not seen again: moved out of the root
                self._stop(orphan)
            self._orphans.clear()
            self._unheard.clear()
        if self._overflowed:
            self._rebuild()
        flood = self._only_writes and self._names.keys() <= self._previous.keys()
        self._previous = self._names
        self._flush()
        return flood

    def _read(self, queue: int) -> bool:
        try:
            buffer = os.read(queue, _READ_BYTES)
        except BlockingIOError:
            return False
        self.take(buffer)
        return True

    def take(self, buffer: bytes) -> None:
        """Take in events as the kernel wrote them; what follows from them is posted with the batch."""
        for event in parse(buffer):
            self._take(event)

    def _flush(self) -> None:
        names, self._names = self._names, {}
        lost, self._lost = self._lost, {}
        if names:
            self._post(Hints(tuple(names)))
        for unwatched in self._walker.unwatched(len(self._tree)):
            self._post(unwatched)
        for below, why in sorted(lost.items()):
            self._post(HintsLost(below, why))

    # --- events --------------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        mask = event.mask
        if mask & In.Q_OVERFLOW:
            self._overflowed = True
            return
        if event.wd == self._canary.wd:
            self._canary.take(event)
            return
        spot = self._tree.spot(event.wd)
        if spot is None:  # of a watch given up meanwhile
            return
        path = self._tree.path(spot)
        if path is None:
            self._unheard.add(_top(spot))
            return
        if mask & (In.IGNORED | In.UNMOUNT | In.DELETE_SELF | In.MOVE_SELF):
            self._watch_ended(spot, path, event)
        elif event.name and (path or event.name != RESERVED):
            self._only_writes = self._only_writes and mask == In.MODIFY
            self._names[path, event.name] = None
            if mask & In.ISDIR:
                self._directory(spot, path, event)

    def _watch_ended(self, spot: Spot, path: RelPath, event: Event) -> None:
        if event.mask & In.IGNORED:
            self._tree.ended(event.wd)
        if event.mask & In.UNMOUNT:
            self._lost[path] = "its file system was unmounted"
        elif not path:
            self._lost[path] = "the root was moved, removed or unmounted"

    def _directory(self, parent: Spot, path: RelPath, event: Event) -> None:
        name, mask = event.name, event.mask
        if mask & In.MOVED_FROM:
            orphan = self._tree.detach(parent, name)
            if orphan is not None:
                self._orphans[event.cookie] = orphan
        elif mask & In.MOVED_TO:
            self._moved_to(parent, (*path, name), self._orphans.pop(event.cookie, None))
        elif mask & In.DELETE:
            gone = self._tree.detach(parent, name)
            if gone is not None:
                self._stop(gone)
        else:  # CREATE; or ATTRIB, when a directory may have become readable
            known = parent.children.get(name)
            if known is None or known.wd is None:
                self._enter(parent, (*path, name))

    def _moved_to(self, parent: Spot, path: RelPath, orphan: Spot | None) -> None:
        """A directory came to *path*, from within the root (*orphan*) or from elsewhere."""
        early = self._tree.detach(parent, path[-1])
        if early is not None:
            # Replaced by the move; or it is the moved directory itself, found here by a walk that was faster than
            # its event. Then events that still carry its old watch will be dropped.
            self._stop(early)
            self._lost[path] = "it moved while it was being watched"
        if orphan is None:
            self._enter(parent, path)
        elif orphan.wd is None or self._skip(path):
            self._stop(orphan)
            self._enter(parent, path)
        else:
            self._tree.attach(orphan, parent, path[-1])
            if orphan in self._unheard:
                self._lost[path] = "something happened in it while it was moved"

    def _enter(self, parent: Spot, path: RelPath) -> None:
        """Watch a new directory and all below, and hint all that is in them: some may be older than the watch."""
        if not self._skip(path):
            self._walker.watch(self._tree, self._tree.child(parent, path[-1]), self._hint)

    def _hint(self, directory: RelPath) -> None:
        self._names[directory, ""] = None
        self._only_writes = False
        if len(self._names) >= NAMES_A_BATCH:
            self._flush()

    def _stop(self, spot: Spot) -> None:
        if self._queue is not None:
            for wd in self._tree.forget(spot):
                remove_watch(self._queue, wd)

    def _rebuild(self) -> None:
        """Watch everything anew after an overflow: any directory may be missing or elsewhere. Watch first, then say
        so, and the scan that follows misses nothing."""
        self._overflowed = False
        old, self._tree = self._tree, WatchTree()
        self._orphans.clear()
        self._unheard.clear()
        self._walker.watch(self._tree, self._tree.root, None)
        if self._queue is not None:
            for spot in old.below(old.root):
                if spot.wd is not None and self._tree.spot(spot.wd) is None:
                    remove_watch(self._queue, spot.wd)
        self._lost[()] = "more changes at once than the kernel keeps events for"


class _Canary:
    """Waits for one name to be reported."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.seen = threading.Event()
        self.wd: int | None = None
        self._count = 0
        self._expected = ""

    def next_name(self) -> str:
        self._count += 1
        self._expected = f"canary-{self._count}"
        self.seen.clear()
        return self._expected

    def take(self, event: Event) -> None:
        if event.mask & In.IGNORED:
            self.wd = None
        elif event.name == self._expected:
            self.seen.set()


def _top(spot: Spot) -> Spot:
    while spot.parent is not None:
        spot = spot.parent
    return spot
