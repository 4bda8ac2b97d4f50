"""The recorder: every content that a person wrote, and where each of them ended (P1).

A content is never written twice, so that its hash says which it is. It may be gone only if somebody on its own device
took it away: wrote over it, or removed it, while it lay there. What was anywhere when all had come to rest was read by
syncd and is owed for ever: at a path, in a conflicted copy, in a trash or in the hub's history.
"""

import os
import stat
import threading
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from blake3 import blake3

from tests.end_to_end.harness import World
from tests.end_to_end.ledger import Ledger
from tests.end_to_end.trees import content_hash, walk

COPY = b"(conflicted copy, "


class Place(Enum):
    """Where a content ended; the first that holds counts."""

    PATH = "at a path"
    COPY = "in a conflicted copy"
    TRASH = "in a trash"
    HISTORY = "in the hub's history"
    REPLACED = "replaced by its own person"
    LOST = "LOST"


@dataclass(frozen=True, slots=True)
class Written:
    """One content: who wrote it, where, and its beginning."""

    device: str
    path: str
    start: bytes

    def __str__(self) -> str:
        return f"{self.path} by {self.device}: {self.start!r}"


class Recorder(Ledger):
    """A ledger that is told *before* a person takes something away. One thread writes, another may look."""

    def __init__(self) -> None:
        super().__init__()
        self.written: dict[bytes, Written] = {}
        self.replaced: set[bytes] = set()
        self._guard = threading.Lock()

    def wrote(self, device: str, path: str, content: bytes) -> None:
        """*device*'s person has put *content*, written nowhere before, at *path*. An empty one is nobody's."""
        if content:
            with self._guard:
                self.written.setdefault(blake3(content).digest(), Written(device, path, content[:50]))

    def moved(self, device: str, source: str, target: str) -> None:
        """A move takes no content away."""

    def removed(self, device: str, path: str) -> None:
        """`leaving` has noted it before."""

    def settled(self, device: str) -> None:
        """`rests` notes what stands once all are at rest."""

    def leaving(self, device: str, path: Path) -> None:
        """*device*'s person is about to take away whatever is at *path*, with all below it; what is it?

        What the daemon puts there between this look and the deed came from the hub, which keeps it.
        """
        for digest in below(path):
            self.grown(device, digest)

    def grown(self, device: str, before: bytes) -> None:
        """*device*'s person has made something else of the file whose content had the hash *before*."""
        with self._guard:
            found = self.written.get(before)
            if found is not None and found.device == device:
                self.replaced.add(before)

    def rests(self, found: set[bytes]) -> None:
        """All devices are at rest, and hold *found*."""
        self.owed |= found & self.written.keys()

    def lost(self, found: set[bytes]) -> list[str]:
        """Return the contents that are owed and are not among what was *found* anywhere."""
        with self._guard:
            missing = (self.written.keys() - self.replaced | self.owed) - found
            return sorted(str(self.written[digest]) for digest in missing)

    def only_in_trash(self, world: World) -> list[str]:
        """Return what is owed and is neither at a path nor at the hub: late writes that are still to come back."""
        found = world.hub.kept()
        for device in world.devices:
            for _, full, state in walk(device.root):
                if (digest := held(full, state)) is not None:
                    found.add(digest)
        return self.lost(found)

    def twice(self, root: Path) -> list[list[str]]:
        """Return the paths of each content that stands at more than one in a root. Nobody copies anything."""
        stands: dict[bytes, list[str]] = {}
        for path, full, found in walk(root):
            digest = held(full, found)
            if digest is not None and digest in self.written:
                stands.setdefault(digest, []).append(os.fsdecode(path))
        return sorted(paths for paths in stands.values() if len(paths) > 1)

    def ended(self, world: World) -> Counter[Place]:
        """Return in how many contents ended where. All devices are at rest."""
        places = dict.fromkeys(world.hub.kept(), Place.HISTORY)
        for device in world.devices:
            places |= dict.fromkeys(below(device.root / ".syncd" / "trash"), Place.TRASH)
        for wanted in (Place.COPY, Place.PATH):
            for device in world.devices:
                for path, full, found in walk(device.root):
                    if (COPY in path) == (wanted is Place.COPY) and (digest := held(full, found)) is not None:
                        places[digest] = wanted
        lost = Place.LOST
        return Counter(
            places.get(digest, Place.REPLACED if digest in self.replaced - self.owed else lost)
            for digest in self.written
        )


def held(full: bytes, found: os.stat_result) -> bytes | None:
    """Return the hash of what a file or symlink holds, None for anything else."""
    if stat.S_ISREG(found.st_mode):
        return content_hash(full)
    return blake3(os.readlink(full)).digest() if stat.S_ISLNK(found.st_mode) else None


def below(path: Path) -> set[bytes]:
    """Return the hashes of all contents at *path* and below it; a daemon may be taking some of them away meanwhile."""
    out: set[bytes] = set()
    pending = [os.fsencode(path)]
    while pending:
        full = pending.pop()
        try:
            found = os.lstat(full)
            if stat.S_ISDIR(found.st_mode):
                pending += [os.path.join(full, name) for name in os.listdir(full)]
            elif (digest := held(full, found)) is not None:
                out.add(digest)
        except FileNotFoundError:
            continue
    return out


def table(places: Counter[Place]) -> str:
    """Return how many contents ended where, one line each."""
    lines = [f"  {places[place]:>8,}  {place.value}" for place in Place]
    return "\n".join([f"  {places.total():>8,}  contents written", *lines])
