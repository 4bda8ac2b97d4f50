"""Is a play decided by its seed alone? Played again here, and elsewhere under another hash seed and order of rows."""

import os
import subprocess
import sys
from collections.abc import Iterator

from tests.sim.scenes import Cuts, perform

TWICE = 100
"""Of so many seeds, one is played again in each of these ways."""
ELSEWHERE = """
import sys
import warnings
import apsw
from tests.sim.scenes import Cuts, perform
warnings.simplefilter("ignore")
if sys.argv[2] == "reversed":
    apsw.connection_hooks.append(lambda connection: connection.pragma("reverse_unordered_selects", True))
print(perform(int(sys.argv[1]), Cuts(devices=int(sys.argv[3]) or None)).digest)
"""
WAYS = (("0", "as it is"), ("1", "as it is"), ("2", "reversed"))
"""Hash seeds of Python, and the order in which SQLite gives rows that nobody ordered."""


def elsewhere(seed: int, devices: int | None = None) -> Iterator[str]:
    """Yield the digests of *seed*, played in other processes, in all of the WAYS."""
    for hash_seed, order in WAYS:
        yield subprocess.run(
            [sys.executable, "-c", ELSEWHERE, str(seed), order, str(devices or 0)],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        ).stdout.strip()


def differs(seed: int, devices: int | None = None) -> str | None:
    """Play *seed* in every way; return in which way it came out otherwise, None when in none."""
    digest = perform(seed, Cuts(devices=devices)).digest
    if perform(seed, Cuts(devices=devices)).digest != digest:
        return "played again, it was another play"
    for (hash_seed, order), other in zip(WAYS, elsewhere(seed, devices), strict=True):
        if other != digest:
            return f"with hash seed {hash_seed}, and rows {order}, it was another play"
    return None
