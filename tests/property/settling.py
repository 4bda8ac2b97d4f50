"""Running a world to its end: plan all of it in rounds, or only what is touched, as the engine does."""

import random
from collections.abc import Callable

from syncd.model.node import Node, Tree, place_of
from syncd.model.op import Op
from syncd.model.path import ROOT
from syncd.plan.order import touch
from syncd.plan.planner import join, plan
from tests.property.world import Stale, World


class NotSettled(AssertionError):
    """Planning did not end, or stood still with work left."""


def depth(world: World, node: Node) -> int:
    best = 0
    for tree in Tree:
        count, at, seen = 0, place_of(node.state(tree)), set()
        while at is not None and at.parent != ROOT and at.parent not in seen and at.parent in world.rows:
            seen.add(at.parent)
            count += 1
            at = place_of(world.rows[at.parent].state(tree))
        best = max(best, count)
    return best


def join_all(world: World, keys: list[int]) -> None:
    again = True
    while again:
        again = False
        for key in sorted((k for k in keys if k in world.rows), key=lambda k: (depth(world, world.rows[k]), k)):
            if key in world.rows and (found := join(world, key)) is not None:
                world.apply_join(found)
                again = True


def settle_whole(world: World, chance: random.Random, rounds: int, trace: Callable[[str], None]) -> int:
    """Plan every node in each round, apply what waits for nothing in random order, until nothing is left."""
    for number in range(rounds):
        join_all(world, list(world.rows))
        ops: list[Op] = []
        progress = False
        keys = list(world.rows)
        chance.shuffle(keys)
        for key in keys:
            found = plan(world, key, world.context())
            if found.op is not None:
                ops.append(found.op)
            if found.synced is not None or found.forget or found.hold or found.release:
                progress = True
                trace(f"record {key} {found}")
                world.record(key, found)
        if not ops and not progress:
            return number
        ready = [op for op in ops if not op.waits]
        chance.shuffle(ready)
        for op in ready[: max(1, chance.randint(1, len(ready)))] if ready else []:
            try:
                world.apply(op)
                progress = True
                trace(f"done {op}")
            except Stale as why:
                trace(f"stale ({why}) {op}")
        if not progress:
            for op in ops:
                trace(f"left {op}")
            if not world.case_sensitive and all(op.waits for op in ops):
                return number  # what needs the name of something held waits for it
            raise NotSettled(f"{len(ops)} ops left, none can go")
    raise NotSettled(f"not at rest after {rounds} rounds")


def settle_touched(world: World, chance: random.Random, rounds: int, trace: Callable[[str], None]) -> int:
    """As the engine does: plan only what ``touch`` names, what waits for it, and what its plans lean on."""
    queue: dict[int, Op] = {}
    dirty: dict[int, None] = dict.fromkeys(world.rows)
    steps = 0
    while dirty or any(not op.waits for op in queue.values()):
        steps += 1
        if steps > rounds * 40:
            raise NotSettled(f"not at rest after {steps} steps")
        world.changed.clear()
        if dirty:
            keys = list(dirty)
            dirty.clear()
            join_all(world, keys)
            chance.shuffle(keys)
            planned: set[int] = set()
            while keys:
                key = keys.pop()
                if key in planned:
                    continue
                planned.add(key)
                found = plan(world, key, world.context())
                queue.pop(key, None)
                if found.op is not None:
                    queue[key] = found.op
                keys.extend(found.also_plan)
                world.record(key, found)
        else:
            key = chance.choice([k for k, op in queue.items() if not op.waits])
            op = queue.pop(key)
            try:
                world.apply(op)
                trace(f"done {op}")
            except Stale as why:
                trace(f"stale ({why}) {op}")
            dirty[key] = None
        for key, before in list(world.changed):
            dirty.update(dict.fromkeys(touch(world, key, before)))
            dirty.update((k, None) for k, op in queue.items() if any(w.node == key for w in op.waits))
    for op in queue.values():
        trace(f"left {op}")
    return steps
