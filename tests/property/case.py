"""One case: a base tree perturbed twice, brought together, and checked. A case is numbers, written as one line."""

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from syncd.model.node import Absent, Node, Present, Tree, Unknown, place_of
from tests.property import checks
from tests.property.cells import Table
from tests.property.generator import STEP_BITS, Editor, Step, describe, forget_history, forget_synced, meeting
from tests.property.late import Late
from tests.property.settling import NotSettled, Settler, Trace, at_rest
from tests.property.unknowns import clear, hide, reveal
from tests.property.world import World

# What is special about a case, and how many of 64 are so.
KINDS: dict[str, int] = {
    "two": 16,  # both sides were edited
    "here": 5,  # one alone
    "there": 5,
    "late": 8,  # observations come in batches, ops meet a world that is further on
    "rebuild": 4,  # no S: rows meet by place
    "history": 3,  # no S in rows that keep their ids
    "again": 4,  # people go on editing midway
    "twins": 8,  # a file system without case
    "unknown": 11,  # ignored, unreadable or not heard of yet, and known later
}
_OF_64 = tuple(name for name, weight in KINDS.items() for _ in range(weight))

NO_BIT, NO_SYMLINKS, LOSES_IDENTITY, WHOLE, PIECEWISE = 1, 2, 4, 8, 16
MOST_ROUNDS = 200


@dataclass(frozen=True, slots=True)
class Case:
    """*traits* are bits, *order* seeds everything that is chance once people are done."""

    kind: str
    traits: int
    order: int
    base: tuple[Step, ...]
    here: tuple[Step, ...]
    there: tuple[Step, ...]
    again_here: tuple[Step, ...] = ()
    again_there: tuple[Step, ...] = ()

    @property
    def text(self) -> str:
        """The case as one line; ``read`` is its inverse."""
        parts = (self.base, self.here, self.there, self.again_here, self.again_there)
        return ":".join((self.kind, str(self.traits), str(self.order), *(".".join(f"{s:x}" for s in p) for p in parts)))

    @property
    def size(self) -> tuple[int, int]:
        """How large a case is, for shrinking."""
        steps = self.base + self.here + self.there + self.again_here + self.again_there
        return len(steps), sum(steps)


def read(text: str) -> Case:
    kind, traits, order, *parts = text.strip().split(":")
    steps = [tuple(int(step, 16) for step in part.split(".") if step) for part in parts]
    return Case(kind, int(traits), int(order), *steps)


def case_of(seed: int) -> Case:
    """Return the case of a seed."""
    chance = random.Random(seed)
    bits = chance.getrandbits(63)
    kind = _OF_64[bits & 63]
    traits = (NO_BIT if bits >> 6 & 7 == 0 else 0) | (LOSES_IDENTITY if bits >> 9 & 7 == 0 else 0)
    traits |= (WHOLE if bits >> 12 & 1 else 0) | (PIECEWISE if bits >> 13 & 1 else 0)
    if kind == "twins" and bits >> 14 & 3 == 0:
        traits |= NO_SYMLINKS
    draw = chance.getrandbits
    base = tuple(draw(STEP_BITS) for _ in range(1 + (bits >> 16 & 15) % 9))
    sides = [1 + (bits >> shift & 7) % 5 for shift in (20, 23)]
    here = tuple(draw(STEP_BITS) for _ in range(sides[0]))
    # Now and then both do the very same, or the same to another end: what was done alike is not a clash.
    there = tuple(
        draw(STEP_BITS) if (pick := draw(4)) > 5 else _alike(here[pick % len(here)], draw) for _ in range(sides[1])
    )
    if kind == "unknown" or bits >> 30 & 7 < 4:
        last_here, last_there = meeting(draw(11))
        here, there = (*here, last_here), (*there, last_there)
    if kind != "again":
        return Case(kind, traits, bits >> 33, base, here, there)
    again = [tuple(draw(STEP_BITS) for _ in range(1 + (bits >> shift & 1))) for shift in (23, 24)]
    return Case(kind, traits, bits >> 33, base, here, there, *again)


def _alike(step: Step, draw: Callable[[int], int]) -> Step:
    """Return the same step, or the same act on the same node with other choices."""
    match draw(2):
        case 0:
            return step
        case 1:
            return step & 0x3FFF | draw(16) << 14
    return step ^ draw(8) << 14


class Play:
    """Plays one case. *table* counts what was visited; *trace* gets every event in words."""

    def __init__(self, case: Case, table: Table, trace: Trace | None = None) -> None:
        self.case, self.table, self.trace = case, table, trace
        self.chance = random.Random(case.order)
        traits = case.traits
        self.world = World(
            case_sensitive=case.kind != "twins",
            executable_bit=not traits & NO_BIT,
            symlinks=case.kind != "twins" or not traits & NO_SYMLINKS,
        )

    def run(self) -> None:
        case, world = self.case, self.world
        self._edit(case.base, Tree.SYNCED)
        seen = list(world.rows.values()) if case.kind == "late" else []
        self._people(case.here, case.there)
        if case.kind == "rebuild":
            forget_synced(world)
        elif case.kind == "history":
            forget_history(world, case.order)
        self.show("perturbed")
        world.up_to_date = case.kind != "late"
        ledger = checks.ledger_of(world)
        if case.kind == "again":
            ledger = self._again()
        elif case.kind == "late":
            self._late(seen)
        elif case.kind == "unknown":
            ledger = self._unknown(ledger)
        left = self._settle(world)
        self.show("settled")
        self._check(ledger, left)

    # --- what people do ------------------------------------------------------------------------------------------

    def _edit(self, steps: tuple[Step, ...], tree: Tree) -> None:
        editor = Editor(self.world, tree, bool(self.case.traits & LOSES_IDENTITY))
        for step in steps:
            if self.trace:
                self.trace(describe(step, tree))
            editor.step(step)

    def _people(self, here: tuple[Step, ...], there: tuple[Step, ...]) -> None:
        if self.case.kind != "there":
            self._edit(here, Tree.LOCAL)
        if self.case.kind != "here":
            self._edit(there, Tree.REMOTE)

    def _again(self) -> checks.Ledger:
        settler = Settler(self.world, self.chance, self.table, self.trace)
        with contextlib.suppress(NotSettled):  # stopped midway on purpose: people go on editing
            settler.whole(1 + self.case.order % 3, piecewise=False)
        self._people(self.case.again_here, self.case.again_there)
        self.show("perturbed again")
        self.world.asides.clear()
        return checks.ledger_of(self.world)

    # --- what is not known yet -----------------------------------------------------------------------------------

    def _late(self, seen: list[Node]) -> None:
        """The device learns of it in batches, and works in between."""
        late = Late(self.world, seen, self.chance, self.trace)
        for _ in range(1 + self.case.order % 4):
            late.batch()
            settler = Settler(late.seen, self.chance, self.table, self.trace, apply=late.apply)
            late.follow = settler
            with contextlib.suppress(NotSettled):  # it may be waiting for the next batch
                settler.whole(3, piecewise=True)
        self.world = late.catch_up()
        self.show("all observed")

    def _unknown(self, ledger: checks.Ledger) -> checks.Ledger:
        world, order = self.world, self.case.order
        if order & 3 == 3:
            forget_history(world, order)
            ledger = checks.ledger_of(world)
        before = hide(world, order >> 2)
        self.show("partly unknown")
        settler = Settler(world, self.chance, self.table, self.trace)
        settler.whole(self._rounds(), piecewise=False)
        checks.check_untouched(world, {key: row for key, (row, _) in before.items()})
        for key, (_, true) in before.items():
            reveal(world, key, true)
        clear(world)
        self.show("known")
        now = checks.ledger_of(world)
        now.wanted |= ledger.wanted
        now.rows = ledger.rows
        return now

    # --- to the end ----------------------------------------------------------------------------------------------

    def _rounds(self) -> int:
        paths = {place for n in self.world.rows.values() for place in map(place_of, (n.synced, n.remote, n.local))}
        return min(MOST_ROUNDS, 4 * len(paths))

    def _settle(self, world: World) -> set[int]:
        settler = Settler(world, self.chance, self.table, self.trace)
        rounds = self._rounds()
        if self.case.traits & WHOLE:
            settler.whole(rounds, bool(self.case.traits & PIECEWISE))
        else:
            settler.touched(rounds * 4)
        return {op.node for op in settler.left}

    def _check(self, ledger: checks.Ledger, left: set[int]) -> None:
        world, kind = self.world, self.case.kind
        if kind == "twins":
            checks.check_twins(world, ledger, left)
            return
        at_rest(left)
        checks.check_rest(world)
        checks.check_kept(world, ledger)
        if kind in ("here", "there"):
            checks.check_one_sided(world, ledger, Tree.LOCAL if kind == "here" else Tree.REMOTE)
        if kind in ("two", "here", "there", "again", "late"):
            checks.check_fields(world, ledger)
        checks.check_copies(world, ledger)

    def show(self, title: str) -> None:
        if self.trace:
            self.trace(f"--- {title}")
            for node in self.world.rows.values():
                states = f"S={brief(node.synced)} R={brief(node.remote)} L={brief(node.local)}"
                self.trace(f"  {node.id} {node.kind} {states}")


def brief(state: object) -> str:
    match state:
        case Present():
            content = "" if state.hash is None else " " + repr(state.hash.decode())
            return f"({state.place.parent}/{state.place.name}{content}{' x' if state.executable else ''})"
        case Absent():
            return "-"
        case Unknown():
            return (
                f"?{state.reason.value} {state.place.parent}/{state.place.name}"
                if state.place
                else f"?{state.reason.value}"
            )
    return str(state)


def play(case: Case, table: Table | None = None, trace: Trace | None = None) -> None:
    """Play a case; raises AssertionError saying which promise was broken."""
    Play(case, Table() if table is None else table, trace).run()


__all__ = ["Case", "Play", "case_of", "play", "read", "replace"]
