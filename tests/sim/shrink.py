"""Makes a failing play small: fewer turns, fewer evils, fewer deeds, as long as it still fails in the same way."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.sim.scenes import Cuts, Scene, Told, perform, scene_of

MOST_PLAYS = 400


@dataclass(frozen=True)
class Found:
    """A failure: what was left out, and what came of it."""

    seed: int
    scene: Scene
    cuts: Cuts
    why: str
    trace: list[str]
    evils: list[str]
    deeds: int


def failure(seed: int, cuts: Cuts | None = None, scene: Scene | None = None) -> Found | None:
    """Play a seed with *cuts*; returns what broke, None when nothing did."""
    told, cuts, scene = Told(), cuts or Cuts(), scene or scene_of(seed)
    try:
        perform(seed, cuts, scene, told)
    except AssertionError as error:
        why = str(error).splitlines()[0]
        evils = told.play.chosen.evils() if told.play is not None else []
        return Found(seed, scene, cuts, why, told.trace, evils, told.hand.done if told.hand is not None else 0)
    return None


def shrink(found: Found, say: Callable[[str], None] = lambda line: None) -> Found:
    """Return the least that still fails like *found* does."""
    left = MOST_PLAYS
    kind = _kind(found.why)

    def smaller(cuts: Cuts) -> Found | None:
        nonlocal left
        left -= 1
        again = failure(found.seed, cuts, found.scene) if left > 0 else None
        return again if again is not None and _kind(again.why) == kind else None

    best = found
    for turns in (10, 20, 40, 80, 120, 160, 240, 400):
        again = smaller(replace(best.cuts, turns=turns))
        if again is not None:
            best = again
            say(f"{turns} turns are enough")
            break
    for evil in found.evils:
        again = smaller(replace(best.cuts, evils=best.cuts.evils | {evil}))
        if again is not None:
            best = again
            say(f"it needs no {evil}")
    return _fewer_deeds(best, smaller, say)


def _fewer_deeds(best: Found, smaller: Callable[[Cuts], Found | None], say: Callable[[str], None]) -> Found:
    """Leave deeds out, in halves, quarters, ..., one by one."""
    size = max(1, best.deeds // 2)
    while size:
        for first in range(1, best.deeds + 1, size):
            some = frozenset(range(first, first + size)) - best.cuts.deeds
            if some and (again := smaller(replace(best.cuts, deeds=best.cuts.deeds | some))) is not None:
                best = again
                say(f"{len(some)} deeds less")
        size //= 2
    return best


def _kind(why: str) -> str:
    """Return what failures have in common that are the same but for numbers and names: where, and how it begins."""
    where, _, said = why.partition(": ")
    return where + "".join(char for char in said.split("[")[0] if not char.isdigit())[:40]
