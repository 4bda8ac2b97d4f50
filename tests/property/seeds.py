"""Which seeds are played, in blocks that may run side by side. SYNCD_CASES plays more, SYNCD_SEED replays one."""

import os
from collections.abc import Callable

CASES = int(os.environ.get("SYNCD_CASES", "20000"))

Trace = Callable[[str], None]


def blocks(cases: int, size: int) -> list[range]:
    """Return the seeds below *cases* in blocks of *size*, or the one that was asked for."""
    one = os.environ.get("SYNCD_SEED")
    if one is not None:
        return [range(int(one), int(one) + 1)]
    return [range(first, min(first + size, cases)) for first in range(0, cases, size)]


def name(block: range) -> str:
    """Return how a block is called in a test's id."""
    return f"{block.start}-{block.stop - 1}"


def first_failure(block: range, play: Callable[[int, Trace], object]) -> str | None:
    """Play the seeds of *block*; return the first that fails and why, or None. One by itself is traced, and raises."""
    if len(block) == 1:
        play(block.start, print)
        return None
    for seed in block:
        try:
            play(seed, lambda line: None)
        except Exception as why:  # noqa: BLE001  told with the seed that repeats it
            return f"SYNCD_SEED={seed}: {type(why).__name__}: {why}"
    return None
