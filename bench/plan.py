"""How large a run is, and what its parts share: places, pairs, tries, and where samples go. Knows no row.

What fails is written down as a trouble of the run, and the run goes on with the next.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import apsw

from bench.book import OURS, Book, Line
from bench.ground import Ground
from bench.ours import Syncd
from bench.pairs import CannotDo, Pair
from bench.rig import Failed
from bench.trees import tree
from bench.wire import Tap, Wire
from syncd.model.errors import SyncdError

FULL: Final = {
    "many": 100_000, "million": 1_000_000, "small": 10_000, "large": 1 << 30, "patch": 1 << 20, "few": 1_000,
    "saves": 100, "idle": 60, "settle": 20, "rows": 1_000_000, "commits": 20_000, "content": 512 << 20, "devices": 200,
    "link": 2_000, "link file": 16 << 20,
}  # fmt: skip
SMALL: Final = {
    "many": 1_000, "million": 3_000, "small": 500, "large": 16 << 20, "patch": 1 << 20, "few": 100,
    "saves": 10, "idle": 3, "settle": 2, "rows": 20_000, "commits": 1_000, "content": 16 << 20, "devices": 5,
    "link": 50, "link file": 1 << 20,
}  # fmt: skip
SCALES: Final = {"full": FULL, "small": SMALL}

TOLD: Final = 300

P = TypeVar("P", bound=Pair)
Fill = Callable[[Path], None]


@dataclass(slots=True)
class Bench:
    """One run. *wanted*: the rows asked for; *peers*: those installed; *say* tells a person how far it is."""

    ground: Ground
    book: Book
    wanted: frozenset[str]
    peers: tuple[type[Pair], ...] = ()
    repeat: int = 3
    profiles: Path | None = None
    say: Callable[[str], None] = field(default=lambda text: print(text, file=sys.stderr, flush=True))

    def size(self, name: str) -> int:
        """Return a size of the scale."""
        return self.book.sizes[name]

    def wants(self, *rows: str) -> bool:
        """Return whether one of *rows* was asked for."""
        return not self.wanted.isdisjoint(rows)

    @contextlib.contextmanager
    def trying(self, row: str, who: str) -> Iterator[None]:
        """Write down what goes wrong inside, and go on."""
        began = time.monotonic()
        try:
            yield
            self.say(f"  {row}: {who}, {time.monotonic() - began:.0f} s in all")
        except CannotDo as reason:
            self.book.line(row, who).note = str(reason)
        except (Failed, OSError, subprocess.SubprocessError, SyncdError, apsw.Error) as error:
            self.book.troubles.append(f"{row}, {who}: {_short(str(error))}")
            self.book.line(row, who).note = "failed"
            self.say(f"  {self.book.troubles[-1]}")

    @contextlib.contextmanager
    def open(self, kind: type[Pair], fill: Fill | None = None, both: bool = False) -> Iterator[Pair]:
        """Give a pair on fresh ground that is not open yet. *fill* makes its first files: with *both* in A and B."""
        with self.ground.place() as base:
            wire = self.ground.wire()
            pair = Syncd(base, wire, profiles=self.profiles) if kind is Syncd else kind(base, wire)
            if fill is not None:
                fill(pair.a)
                if both:
                    subprocess.run(["cp", "-a", f"{pair.a}/.", str(pair.b)], check=True, timeout=3600)
            try:
                yield pair
            finally:
                pair.close()
                wire.close()
                self._check(wire, kind.name)

    def _check(self, wire: Wire, who: str) -> None:
        if isinstance(wire, Tap) and wire.lost:
            self.book.troubles.append(f"{who}: {wire.lost} packets came too fast to be counted")

    def kinds(self) -> tuple[type[Pair], ...]:
        """Return what is measured: this program first."""
        return (Syncd, *self.peers)

    def line(self, row: str, kind: type[Pair]) -> Line:
        """Return the line of *kind* in *row*."""
        return self.book.line(row, kind.name, durable=kind.durable)

    def temperatures(self) -> tuple[str, ...]:
        """Return the figures that a look at files has: with warm caches, and cold where that can be had."""
        return ("time", "cold") if self.ground.cold else ("time",)

    def heat(self, temperature: str) -> None:
        """See that caches are as *temperature* says, and that nothing waits to be written."""
        if temperature == "cold":
            self.ground.drop_caches()
        else:
            subprocess.run(["sync"], check=True, timeout=600)

    def timed(self, row: str, pair: Pair, work: Callable[[], None], figure: str = "time") -> None:
        """Measure *work* of *pair*, and what it sends."""
        up, down = pair.wire.up, pair.wire.down
        began = time.perf_counter()
        work()
        took = time.perf_counter() - began
        figures = {figure: took}
        time.sleep(0.05)  # the last packets are counted
        up, down = pair.wire.up - up, pair.wire.down - down
        if up + down and figure == "time":
            figures |= {"up": up, "down": down, "wire": up + down}
        self.book.add(row, pair.name, figures, durable=pair.durable)


def same(pair: Pair) -> None:
    """Raise Failed when A and B differ: a figure of work that went wrong is worth nothing."""
    here, there = tree(pair.a), tree(pair.b)
    if here != there:
        names = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
        raise Failed(f"A and B differ in {len(names)} names, {names[0]!r} for one")


def _short(text: str) -> str:
    """Return the end of what a program said, which is where it says why, in one line."""
    words = " ".join(text.split())
    return words if len(words) <= TOLD else "... " + words[-TOLD:]


def is_ours(kind: type[Pair]) -> bool:
    """Return whether this is the program itself."""
    return kind.name == OURS
