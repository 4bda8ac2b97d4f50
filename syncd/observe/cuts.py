"""How large files that were just read are cut, so that an upload need not read them again.

Owns what it remembers: encoded manifests, bounded, in memory only. An upload may take one instead of reading the file
(P5) because of how it came about: the file was durable before the read began, so that every later write, through a
memory map as well, moves its stamps; the read began at least a tick after its last stamp; and its fingerprint was the
same afterwards. What is sent is verified piece by piece all the same. A second look at it takes the same answer, as it
does from the database (the fast path); a deep one reads.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final

from blake3 import blake3

from syncd.chunks.chunker import CHUNKER, WHOLE, average_for, cut
from syncd.chunks.manifest import Manifest, Piece, decode, encode
from syncd.model.node import Fingerprint
from syncd.observe.fingerprint import is_racy, seconds_young
from syncd.ports import Clock, ReadFile, Stat

CUT_FROM: Final = 8 << 20
"""Smaller files are only hashed when they are looked at: reading them again costs little."""

MOST_PAUSE: Final = 0.05
"""Seconds that are waited for a file to be old enough for one read: most clocks of file systems tick within 10 ms."""

MOST_BYTES: Final = 8 << 20
"""Bytes of encoded manifests remembered: of some 200,000 pieces."""


class NotDurable(Exception):
    """The file cannot be made durable on this disk just now. Never asked again: a disk tells of a failure once."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A content as it was read: its hash and its pieces. *began_ns*: the wall clock when the read began."""

    hash: bytes
    pieces: tuple[Piece, ...]
    began_ns: int


class Cuts:
    """What was cut last. One for a root; any thread: whoever finds nothing reads the file. *lock* makes what lets one
    thread at a time read one file; without, all look on one thread. *pause* waits for so many seconds."""

    def __init__(
        self,
        clock: Clock,
        lock: Callable[[], AbstractContextManager[object]] = nullcontext,
        pause: Callable[[float], None] = lambda seconds: None,
        *,
        least: int = CUT_FROM,
        most: int = MOST_BYTES,
    ) -> None:
        self._clock, self._lock, self._pause, self._least, self._most = clock, lock, pause, least, most
        self._known: dict[Fingerprint, tuple[bytes, bytes, int]] = {}
        self._reading: dict[Fingerprint, AbstractContextManager[object]] = {}

    def takes(self, size: int) -> bool:
        """Return whether a file of *size* bytes is worth it."""
        return size >= max(self._least, WHOLE + 1)

    def read(self, file: ReadFile, stat: Stat, tick_ns: int) -> Cut | None:
        """Read *file*, opened as *stat*, once; None when it changes meanwhile. The caller compares fingerprints
        afterwards. Two looks at one file, as a hint and a walk give, take one read. Raises NotDurable."""
        fingerprint = stat.fingerprint
        with self._reading.setdefault(fingerprint, self._lock()):
            try:
                known = self._known.get(fingerprint)
                if known is not None:
                    content, encoded, began_ns = known
                    return Cut(content, decode(encoded).pieces, began_ns)
                found = self._read(file, fingerprint, tick_ns)
                same = found is not None and file.stat().fingerprint == fingerprint
                if found is not None and same and not is_racy(fingerprint, found.began_ns, tick_ns):
                    self._remember(fingerprint, found)
                return found
            finally:
                self._reading.pop(fingerprint, None)

    def _read(self, file: ReadFile, fingerprint: Fingerprint, tick_ns: int) -> Cut | None:
        try:
            file.sync()
        except OSError as error:
            raise NotDurable from error
        # A read that begins within the tick of the last write proves nothing: all of it would be read once more.
        young = seconds_young(fingerprint, int(self._clock.now() * 1e9), tick_ns)
        if 0 < young <= MOST_PAUSE:
            self._pause(young)
        began_ns = int(self._clock.now() * 1e9)
        if file.stat().fingerprint != fingerprint:
            return None  # somebody writes: not worth a read
        size = fingerprint.size
        hasher = blake3()
        pieces: list[Piece] = []
        done = 0
        for view, some in cut(file.read_into, size, average_for(size)):
            hasher.update(view)
            pieces += some
            done += len(view)
        return Cut(hasher.digest(), tuple(pieces), began_ns) if done == size else None

    def _remember(self, fingerprint: Fingerprint, found: Cut) -> None:
        encoded = encode(Manifest(CHUNKER, average_for(fingerprint.size), found.pieces))
        known = {**self._known, fingerprint: (found.hash, encoded, found.began_ns)}
        held = sum(len(encoded) for _, encoded, _ in known.values())
        for key in list(known):  # the oldest first
            if held <= self._most:
                break
            held -= len(known.pop(key)[1])
        self._known = known  # at once: nobody sees half of it. What two threads note at once may be lost: a read more

    def find(self, fingerprint: Fingerprint, content: bytes, average: int) -> Manifest | None:
        """Return how *content* is cut with *average*, if it was read from a file with this very *fingerprint*."""
        found = self._known.get(fingerprint)
        if found is None or found[0] != content:
            return None
        manifest = decode(found[1])
        return manifest if manifest.average == average else None
