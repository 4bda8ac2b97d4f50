"""Gathers hints into looks, with leading-edge settling. Pure: time is an argument (monotonic seconds).

The first hint for a name is released at once, so that one save is one look without delay. A name that is hinted again
and again is looked at in growing intervals, and always once more after its last hint. Owns no timer and no thread: the
caller asks ``next_due`` when to come back. A directory with many hinted names becomes one look at the whole directory,
which also bounds the memory.
"""

import heapq
from dataclasses import dataclass, field
from typing import Final

from syncd.model.path import RelPath

FIRST_INTERVAL: Final = 0.25
LONGEST_INTERVAL: Final = 30.0
WHOLE_ABOVE: Final = 200
"""Names of one directory waiting at once above which the whole directory is looked at."""

REMEMBERED: Final = 50_000
"""Names of one directory whose pace is remembered."""

_SWEEP_EVERY: Final = 1024


@dataclass(slots=True)
class _Pace:
    """How often one name (or whole directory) is being hinted. All times in monotonic seconds."""

    since: float  # the first hint since it last rested
    hinted: float  # the last hint
    released: float | None = None  # the last release
    interval: float = 0.0  # the least time between the last release and the next
    due: float | None = None  # when the waiting release is due; None: nothing waits

    def hint(self, now: float) -> float | None:
        """Count a hint; returns the new due time if something began to wait."""
        if self.rested(now):
            self.since, self.released, self.interval = now, None, 0.0
        self.hinted = max(now, self.hinted)
        if self.due is not None:
            return None
        self.due = now if self.released is None else max(now, self.released + self.interval)
        return self.due

    def release(self, now: float) -> None:
        self.released, self.due = now, None
        self.interval = min(max(self.interval * 2, FIRST_INTERVAL), LONGEST_INTERVAL)

    def rested(self, now: float) -> bool:
        """Return whether it was quiet for so long that the next hint counts as a first one."""
        if self.due is not None or self.released is None:
            return False
        return now - max(self.hinted, self.released) > 2 * self.interval


@dataclass(slots=True)
class _Directory:
    names: dict[str, _Pace] = field(default_factory=dict)
    waiting: int = 0
    whole: _Pace | None = None


class Coalescer:
    """Hints in, batches out. Not thread-safe: it belongs to the control thread."""

    def __init__(self) -> None:
        self._directories: dict[RelPath, _Directory] = {}
        self._heap: list[tuple[float, RelPath, str]] = []  # name "" is the whole directory
        self._adds = 0  # since the last sweep
        self._kept = 0  # names remembered after the last sweep

    def add(self, directory: RelPath, name: str, now: float) -> None:
        """Take a hint for *name* in *directory*."""
        self._adds += 1
        if self._adds >= max(_SWEEP_EVERY, self._kept):
            self.sweep(now)
        place = self._directories.setdefault(directory, _Directory())
        if place.whole is not None and place.whole.due is not None:
            return  # the look at the whole directory that waits sees this name too
        pace = place.names.get(name)
        if pace is None:
            if len(place.names) >= REMEMBERED:
                self.add_whole(directory, now)
                return
            pace = place.names[name] = _Pace(now, now)
        due = pace.hint(now)
        if due is None:
            return
        place.waiting += 1
        if place.waiting > WHOLE_ABOVE:
            self.add_whole(directory, now)
        else:
            heapq.heappush(self._heap, (due, directory, name))

    def add_whole(self, directory: RelPath, now: float) -> None:
        """Take a hint for everything directly in *directory*, instead of what waits there by name."""
        place = self._directories.setdefault(directory, _Directory())
        place.names.clear()
        place.waiting = 0
        if place.whole is None:
            place.whole = _Pace(now, now)
        due = place.whole.hint(now)
        if due is not None:
            heapq.heappush(self._heap, (due, directory, ""))

    def due(self, now: float) -> list[tuple[RelPath, tuple[str, ...] | None]]:
        """Return what is to be looked at now, sorted: (directory, its names), or None for the whole directory."""
        names: dict[RelPath, list[str]] = {}
        whole: set[RelPath] = set()
        while self._heap and self._heap[0][0] <= now:
            due, directory, name = heapq.heappop(self._heap)
            pace = self._pace(directory, name)
            if pace is None or pace.due != due:
                continue  # overtaken by a look at the whole directory
            pace.release(now)
            if name == "":
                whole.add(directory)
            else:
                self._directories[directory].waiting -= 1
                names.setdefault(directory, []).append(name)
        out: dict[RelPath, tuple[str, ...] | None] = {d: tuple(sorted(n)) for d, n in names.items()}
        out.update((directory, None) for directory in whole)
        return sorted(out.items(), key=lambda item: item[0])

    def next_due(self) -> float | None:
        """Return when the next release is due (it may lie in the past), or None when nothing waits."""
        while self._heap:
            due, directory, name = self._heap[0]
            pace = self._pace(directory, name)
            if pace is not None and pace.due == due:
                return due
            heapq.heappop(self._heap)
        return None

    def busy_since(self, directory: RelPath, name: str) -> float | None:
        """Return since when *name* has been hinted without resting; None when it rests or was hinted only once."""
        place = self._directories.get(directory)
        pace = place.names.get(name) if place is not None else None
        if pace is None or pace.released is None or pace.due is None:
            return None
        return pace.since

    def sweep(self, now: float) -> None:
        """Forget what rests; costs a little for each hint since the last sweep, and keeps memory to what is busy."""
        self._adds = self._kept = 0
        for directory, place in list(self._directories.items()):
            for name in [name for name, pace in place.names.items() if pace.rested(now)]:
                del place.names[name]
            if place.whole is not None and place.whole.rested(now):
                place.whole = None
            if not place.names and place.whole is None:
                del self._directories[directory]
            self._kept += 1 + len(place.names)

    def _pace(self, directory: RelPath, name: str) -> _Pace | None:
        place = self._directories.get(directory)
        if place is None:
            return None
        return place.whole if name == "" else place.names.get(name)
