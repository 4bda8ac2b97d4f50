"""``python -m tests.sim.run``: plays without end, a ledger of what ran on which commit, and failures made small."""

import argparse
import sys
import warnings
from functools import partial

from tests.hunting import Hunt, Outcome, follow, options
from tests.sim.scenes import SCENES, Cuts, perform
from tests.sim.shrink import Found, failure, shrink
from tests.sim.twice import TWICE, differs

CHUNK = 20
MOST_SHRUNK = 2
SOURCES = ("syncd", "tests/sim", "tests/engine")


def play_seeds(first: int, count: int, devices: int | None = None) -> Outcome:
    """Play *count* seeds from *first* on; one in a hundred again, in every way in which it must come out the same."""
    outcome = Outcome(first, count)
    for seed in range(first, first + count):
        found = failure(seed, Cuts(devices=devices))
        why = differs(seed, devices) if found is None and seed % TWICE == 0 else found and found.why
        if why is not None:
            outcome.failures.append((seed, why))
    return outcome


def explain(seed: int, scene: str | None, devices: int | None) -> bool:
    """Print the least of a seed that still fails, with its trace; returns whether the seed passes."""
    played = SCENES[scene] if scene else None
    found = failure(seed, Cuts(devices=devices), played)
    if found is None:
        told = perform(seed, Cuts(devices=devices), played)
        print("\n".join(told.trace))
        print(f"seed {seed} passes")
        return True
    print(f"seed {seed}: {found.why}\nmaking it small", flush=True)
    small = shrink(found, say=lambda line: print(f"  {line}", flush=True))
    tell(small)
    return False


def tell(found: Found) -> None:
    print(f"\n{found.why}")
    print(f"without evils: {', '.join(sorted(found.cuts.evils)) or 'none left out'}")
    print(f"turns: {found.cuts.turns}; deeds left out: {len(found.cuts.deeds)}")
    print("\n".join(found.trace))


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.run", description=__doc__)
    options(parser, 300)
    parser.add_argument("--replay", type=int, metavar="SEED", help="play one seed and print its trace, made small")
    parser.add_argument("--scene", choices=sorted(SCENES), help="with --replay: another play than the seed's own")
    parser.add_argument("--devices", type=int, choices=(2, 3), help="how many (two or three, as the seed says)")
    told = parser.parse_args(words)
    warnings.simplefilter("ignore")
    if told.replay is not None:
        return 0 if explain(told.replay, told.scene, told.devices) else 1
    name = "plays" if told.devices is None else f"plays of {told.devices} devices"
    total = follow(Hunt(name, SOURCES, CHUNK, partial(play_seeds, devices=told.devices), unit="plays"), told)
    for seed, _ in total.failures[:MOST_SHRUNK]:
        explain(seed, None, told.devices)
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main())
