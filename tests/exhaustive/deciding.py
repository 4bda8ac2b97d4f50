"""What the real planner says of a device's rows, remembered by the rows. Joins, records and forgets at once, as the
engine does in the transaction that changed the rows; ops are handed out later."""

from typing import NamedTuple

from syncd.model.node import Absent, Tree
from syncd.model.op import PRIORITY, Op
from syncd.model.path import ROOT
from syncd.plan.planner import join, plan
from syncd.plan.world import Context
from tests.exhaustive.values import Broken
from tests.exhaustive.values import Rows as Rowset
from tests.property.rows import Rows
from tests.property.world import nothing_excluded

NAMES = ("pc1", "pc2")
NOW = 1_700_000_000.0


class Decided(NamedTuple):
    """*rows* with all recorded that needs no op, *ready* the ops that may start, by priority, *planned* all ops."""

    rows: Rowset
    ready: tuple[Op, ...]
    planned: dict[int, Op]


_known: dict[tuple[int, Rowset, frozenset[int]], Decided] = {}


def decide(number: int, rows: Rowset, running: frozenset[int]) -> Decided:
    """Return what follows from the rows of device *number* while the nodes *running* have an op at work."""
    key = (number, rows, running)
    found = _known.get(key)
    if found is None:
        found = _known[key] = _decide(number, rows, running)
    return found


def _decide(number: int, rows: Rowset, running: frozenset[int]) -> Decided:
    trees = Rows(rows)
    context = Context(NAMES[number], NOW, True, True, True, running.__contains__, nothing_excluded)
    for _ in range(100):
        if not _recorded(trees, context, running):
            break
    else:
        raise Broken("P3: recording never ends")
    planned: dict[int, Op] = {}
    for key in sorted(trees.rows):
        op = plan(trees, key, context).op
        if op is not None:
            planned[key] = op
    ready = [op for op in planned.values() if not op.waits and not _others(op) & running]
    ready.sort(key=lambda op: (PRIORITY[op.type], op.node))
    left = Rowset(trees.rows[key] for key in sorted(trees.rows) if key != ROOT)
    return Decided(left, tuple(ready), planned)


def _others(op: Op) -> frozenset[int]:
    return touched(op) - {op.node}


def touched(op: Op) -> frozenset[int]:
    """Return the nodes an op works on."""
    keys = {op.node, *(move.node for move in op.group)}
    if op.partner is not None:
        keys.add(op.partner)
    return frozenset(keys)


def _recorded(trees: Rows, context: Context, running: frozenset[int]) -> bool:
    changed = False
    for key in sorted(trees.rows):
        joined = join(trees, key) if key in trees.rows and key not in running else None
        if joined is not None and joined.keep not in running and joined.drop not in running:
            trees.apply_join(joined)
            changed = True
    for key in sorted(trees.rows):
        found = plan(trees, key, context)
        if found.forget:
            if any(trees.children(tree, key) for tree in Tree):
                trees.set(key, synced=Absent())
            else:
                trees.drop(key)
            changed = True
        elif found.synced is not None:
            trees.set(key, synced=found.synced)
            changed = True
        if found.hold is not None or found.release:
            raise Broken(f"P10: a plain name is held: {found}")
    return changed
