"""Runs `syncd` and notes where its threads compute: python -m bench.sampled OUT ARGUMENTS...

Every few milliseconds each thread's stack is noted, weighted with what that thread has computed since; who sleeps
weighs nothing. At the end OUT.folded holds all stacks (for any flame graph tool) and OUT.txt the heaviest functions.
Time in C is told of the Python line that called it. Needs only the standard library, and sees all threads.
"""

import contextlib
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

EVERY = 0.005
SHOWN = 60


class Sampler:
    """Notes stacks in a thread of its own until ``end``."""

    def __init__(self) -> None:
        self.stacks: Counter[str] = Counter()
        self._before: dict[int, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self, out: Path) -> None:
        """End, and write down what was seen."""
        self._over.set()
        self._thread.join(5)
        folded = "".join(f"{stack} {weight}\n" for stack, weight in sorted(self.stacks.items()) if weight)
        out.with_suffix(".folded").write_text(folded)
        out.with_suffix(".txt").write_text(heaviest(self.stacks))

    def _run(self) -> None:
        own = threading.get_ident()
        while not self._over.wait(EVERY):
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            for ident, frame in sys._current_frames().items():
                if ident != own and (used := self._used(ident)):
                    self.stacks[f"{names.get(ident, '?')};{stack_of(frame)}"] += used // 1000

    def _used(self, ident: int) -> int:
        """Return the nanoseconds thread *ident* has computed since it was last asked."""
        try:
            now = time.clock_gettime_ns(time.pthread_getcpuclockid(ident))
        except OSError:  # it ended
            return 0
        before, self._before[ident] = self._before.get(ident, now), now
        return now - before


def stack_of(frame: FrameType | None) -> str:
    """Return a stack, outermost first."""
    names = []
    while frame is not None:
        code = frame.f_code
        names.append(f"{Path(code.co_filename).stem}.{code.co_qualname}")
        frame = frame.f_back
    return ";".join(reversed(names))


def heaviest(stacks: Counter[str]) -> str:
    """Return the functions that computed most, by themselves and with all they called, in milliseconds and percent."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for stack, weight in stacks.items():
        _, *names = stack.split(";")
        own[names[-1]] += weight
        for name in set(names):
            whole[name] += weight
    total = sum(stacks.values()) or 1
    lines = [f"{total / 1000:,.0f} ms on the processor\n"]
    for heading, found in (("by itself", own), ("with all it called", whole)):
        lines.append(f"\n{heading}\n")
        lines += [f"{w / 1000:10,.0f} ms {w / total:6.1%}  {name}\n" for name, w in found.most_common(SHOWN)]
    return "".join(lines)


def main() -> None:
    """Run syncd as it is run otherwise."""
    from syncd.cli.main import main as syncd

    out = Path(sys.argv[1])
    sys.argv = ["syncd", *sys.argv[2:]]
    sampler = Sampler()
    sampler.start()
    with contextlib.ExitStack() as undo:
        undo.callback(sampler.end, out)
        syncd()


if __name__ == "__main__":
    main()
