"""One tree, changed twice, brought together in any order: plans end (P2), nothing is lost (P1, P7) or redone (P3).

``SYNCD_CASES`` is the number of cases, ``SYNCD_SEED`` replays one of them with a trace.
"""

import contextlib
import os
import random
from collections.abc import Callable

import pytest

from syncd.model.conflict import is_conflicted_copy
from syncd.model.node import Kind, Present, Tree, place_of
from syncd.model.path import ROOT
from syncd.plan.planner import join, plan
from tests.property.generator import Editor, forget_synced, grow
from tests.property.settling import NotSettled, settle_touched, settle_whole
from tests.property.world import World

CASES = int(os.environ.get("SYNCD_CASES", "2000"))
BLOCK = 250
KINDS = ("two", "one here", "one there", "rebuild", "again", "twins")
WEIGHTS = (6, 1, 1, 1, 1, 1)


class Case:
    """One seeded case; ``run`` plays it and checks what is promised."""

    def __init__(self, seed: int, trace: Callable[[str], None] = lambda line: None) -> None:
        self.seed, self.trace = seed, trace
        self.chance = chance = random.Random(seed)
        self.kind = chance.choices(KINDS, WEIGHTS)[0]
        traits = {"executable_bit": chance.random() < 0.8, "case_sensitive": self.kind != "twins"}
        self.world = grow(chance, chance.randint(1, 10), **traits)

    def perturb(self, most: int = 4) -> None:
        here, there = self.kind != "one there", self.kind != "one here"
        for tree, wanted in ((Tree.LOCAL, here), (Tree.REMOTE, there)):
            editor = Editor(self.world, tree, self.chance)
            for _ in range(self.chance.randint(1, most) if wanted else 0):
                editor.step()

    def show(self, title: str) -> None:
        self.trace(f"--- {title} (seed {self.seed}, {self.kind})")
        for node in self.world.rows.values():
            self.trace(f"{node.id} {node.kind} S={brief(node.synced)} R={brief(node.remote)} L={brief(node.local)}")

    def run(self) -> None:
        world, chance = self.world, self.chance
        self.perturb()
        if self.kind == "rebuild":
            forget_synced(world, chance)
        self.show("perturbed")
        wanted, gone = self.expected()
        settle = chance.choice((settle_whole, settle_touched))
        if self.kind == "again":
            with contextlib.suppress(NotSettled):  # stopped midway on purpose: people go on editing
                settle(world, chance, chance.randint(1, 3), self.trace)
            self.perturb(2)
            self.show("perturbed again")
            wanted, gone = self.expected()
        bits = self.bits() if self.kind != "twins" else {}
        paths = len(world.rows)
        settle(world, chance, min(200, 4 * paths + 20), self.trace)
        self.show("settled")
        for key, executable in bits.items():
            assert world.rows[key].remote.executable == executable, f"P1: a bit was lost on {key}"
        if self.kind == "twins":
            self.check_twins(wanted)
        else:
            self.check(wanted, gone)

    def expected(self) -> tuple[set[bytes], set[bytes]]:
        """Return the contents that must be in the final tree, and those that must not."""
        wanted: set[bytes] = set()
        held: set[bytes] = set()
        for node in self.world.rows.values():
            s, r, here = node.synced, node.remote, node.local
            if node.kind is Kind.DIRECTORY:
                continue
            for side in (r, here):
                if isinstance(side, Present):
                    held.add(side.hash)
                    if not isinstance(s, Present) or side.hash != s.hash or self.moved(node, side):
                        wanted.add(side.hash)
            if isinstance(r, Present) and isinstance(here, Present) and isinstance(s, Present):
                if r.hash == s.hash == here.hash:
                    wanted.add(s.hash)
                elif not (r.hash != s.hash and here.hash != s.hash):
                    wanted.discard(s.hash)
        for node in self.world.rows.values():
            # Superseded by the other side's edit: the history keeps it, the tree does not.
            s, r, here = node.synced, node.remote, node.local
            every_side = isinstance(s, Present) and isinstance(r, Present) and isinstance(here, Present)
            if every_side and (r.hash == s.hash) != (here.hash == s.hash):
                wanted.discard(s.hash)
        self.replaced = self.replaced_in_place()
        every = {n.synced.hash for n in self.world.rows.values() if isinstance(n.synced, Present)}
        gone = {h for h in every if h is not None and h not in held} - {b"same"}
        return wanted - self.replaced, gone

    def bits(self) -> dict[int, bool]:
        """Return the executable bits that one side set or cleared on files both sides kept."""
        found = {}
        for node in self.world.rows.values():
            s, r, here = node.synced, node.remote, node.local
            kept = isinstance(s, Present) and isinstance(r, Present) and isinstance(here, Present)
            if not kept or node.kind is not Kind.FILE or not self.world.executable_bit:
                continue
            fought = r.hash != s.hash and here.hash not in (s.hash, r.hash)
            if not fought and r.executable != here.executable:
                found[node.id] = not s.executable
        return found

    def moved(self, node: object, side: Present) -> bool:
        s = node.synced
        one_sided = not (isinstance(node.remote, Present) and isinstance(node.local, Present))
        executable = self.world.executable_bit or side is node.remote
        return (
            one_sided
            and isinstance(s, Present)
            and (s.place != side.place or (executable and s.executable != side.executable))
        )

    def replaced_in_place(self) -> set[bytes]:
        """Contents the remote only renamed or chmodded, whose place here was deleted and made anew: an edit of it."""
        out = set()
        for node in self.world.rows.values():
            found = join(self.world, node.id)
            if found is not None and found.keep == node.id and isinstance(node.synced, Present):
                made = self.world.rows[found.drop].local.hash
                if node.remote.hash == node.synced.hash or made == node.synced.hash:
                    out.add(node.synced.hash)
        return out

    def check(self, wanted: set[bytes], gone: set[bytes]) -> None:
        world = self.world
        here, there = world.tree(Tree.LOCAL), world.tree(Tree.REMOTE)
        if not world.executable_bit:
            here, there = ({p: v[:2] for p, v in t.items()} for t in (here, there))
        assert here == there, "P2: the trees differ"
        for node in world.rows.values():
            assert isinstance(node.synced, Present), f"P2: no S: {node}"
            assert node.synced == node.remote or node.id == ROOT, f"P2: S is not R: {node}"
            assert join(world, node.id) is None
            found = plan(world, node.id, world.context())
            assert found.empty, f"P3: planned again: {found}"
        contents = {value[1] for value in there.values()}
        assert wanted <= contents, f"P1: lost {wanted - contents}"
        assert not gone & contents, f"a delete came back: {gone & contents}"
        if self.kind.startswith("one"):
            assert not world.conflicts, world.conflicts
            assert not [p for p in there if is_conflicted_copy(p[-1])], "a conflicted copy with one device editing"
        if self.kind != "again":  # there a person may have renamed something to that very name
            assert not [p for p in there if "being moved" in p[-1]], "a detour was not finished"

    def check_twins(self, wanted: set[bytes]) -> None:
        """What cannot be here is held, or waits for a name that is; all else is the same on both sides (P10)."""
        world = self.world
        stuck = set(world.holds)
        for node in world.rows.values():
            found = plan(world, node.id, world.context())
            assert found.op is None or found.op.waits, f"not at rest: {found}"
            assert found.synced is None, f"P3: {found}"
            assert not found.release, f"P3: {found}"
            if found.op is not None:
                stuck.add(node.id)
        everywhere = {n.state(t).hash for n in world.rows.values() for t in Tree if isinstance(n.state(t), Present)}
        assert wanted <= everywhere | {p.hash for p in world.hidden.values()}, "P1"
        for node in world.rows.values():
            if node.id == ROOT or self.among(node, stuck):
                continue
            assert node.synced == node.remote, f"P2: {node}"
            assert node.local.place == node.remote.place, f"P2: {node}"
            assert node.local.hash == node.remote.hash, f"P2: {node}"
        for key in world.holds:
            there = world.rows[key].remote.place
            twins = [n for n in world.at_folded(Tree.REMOTE, there.parent, there.name) if n.id != key]
            assert any(n.node_id < world.rows[key].node_id for n in twins), "held without a twin"

    def among(self, node: object, stuck: set[int]) -> bool:
        for tree in (Tree.REMOTE, Tree.LOCAL):
            at, seen = node, set()
            while at.id != ROOT and at.id not in seen:
                seen.add(at.id)
                if at.id in stuck:
                    return True
                place = place_of(at.state(tree))
                if place is None:
                    break
                at = self.world.rows[place.parent]
        return False


def brief(state: object) -> str:
    if isinstance(state, Present):
        flag = "x" if state.executable else ""
        return f"({state.place.parent}/{state.place.name} {state.hash.decode() if state.hash else 'd'}{flag})"
    return "-" if type(state).__name__ == "Absent" else str(state)


def play(seed: int, trace: Callable[[str], None] = lambda line: None) -> World:
    case = Case(seed, trace)
    case.run()
    return case.world


def seeds() -> list[range]:
    one = os.environ.get("SYNCD_SEED")
    if one is not None:
        return [range(int(one), int(one) + 1)]
    return [range(first, min(first + BLOCK, CASES)) for first in range(0, CASES, BLOCK)]


@pytest.mark.parametrize("block", seeds(), ids=lambda block: f"{block.start}-{block.stop - 1}")
def test_p1_p2_p3_p7_two_perturbations_of_one_tree_meet(block: range) -> None:
    trace = print if len(block) == 1 else lambda line: None
    for seed in block:
        try:
            play(seed, trace)
        except Exception as why:
            raise AssertionError(f"SYNCD_SEED={seed}: {why}") from why
