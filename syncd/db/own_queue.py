"""What the only writer keeps of the queue: an op is looked up again and again on its way, and only it changes it (P11).

For ``Database`` alone, like ``own``. An op is forgotten before it is written, and kept as it was written where that is
what would be read. A rollback takes writes back: whoever does it says ``forget``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final

import apsw

from syncd.db.codec import Row
from syncd.db.own import MANY, STRANGERS_KEPT
from syncd.db.queue import Queue, QueuedOp, queued_from
from syncd.model.op import Op, OpState
from syncd.model.path import NodeKey

if TYPE_CHECKING:
    from syncd.ports import Clock

KEPT: Final = 4096
AT_ONCE: Final = 512
"""Ops kept at most, and nodes of which it is known whether they have one: some 8 MB. The oldest go first, so many at
once."""
NONE: Final = 0
"""In place of an op's id: the node has no live op."""


class OwnQueue(Queue):
    """The queue_op table. Ops that are done are not kept."""

    def __init__(self, connection: apsw.Connection, clock: "Clock") -> None:
        super().__init__(connection, clock)
        self._ops: dict[int, QueuedOp] = {}
        self._ids: dict[NodeKey, int] = {}
        self._strangers: set[bytes] = set()
        self._highest: NodeKey | None = None  # no node above it has an op: keys are given in order

    def live(self, node: NodeKey) -> QueuedOp | None:
        op_id = self._ids.get(node)
        if op_id == NONE:
            return None
        if self._highest is None:
            self._highest = super().highest_node()
        if node > self._highest:
            return None
        kept = self._ops.get(op_id) if op_id is not None else None
        if kept is not None:
            return kept
        found = super().live(node)
        if found is not None:
            self._keep(found)
        else:
            self._note(node, NONE)
        return found

    def get(self, op_id: int) -> QueuedOp | None:
        kept = self._ops.get(op_id)
        if kept is not None:
            return kept
        found = super().get(op_id)
        if found is not None and found.state is not OpState.DONE:
            self._keep(found)
        return found

    def expect(self, keys: Iterable[bytes]) -> None:
        """``by_key`` will be asked of these, one by one: ask the table once. Nobody mints a key twice."""
        asked = list(islice(keys, STRANGERS_KEPT))
        self._strangers = self.strangers(asked) if len(asked) >= MANY else set()

    def by_key(self, key: bytes) -> QueuedOp | None:
        return None if key in self._strangers else super().by_key(key)

    def start(self, op_ids: Sequence[int], run_dirs: Sequence[bytes]) -> None:
        started = [kept for op_id in op_ids if (kept := self._ops.get(op_id)) is not None]
        dirs = dict(zip(op_ids, run_dirs, strict=True))
        super().start(op_ids, run_dirs)
        for kept in started:
            self._keep(replace(kept, state=OpState.RUNNING, run_dirs=dirs[kept.id]))

    def finish(self, op_id: int) -> None:
        kept = self._ops.get(op_id)
        super().finish(op_id)
        if kept is not None:
            self._note(kept.op.node, NONE)

    def abandon(self, op_id: int, now: float) -> None:
        kept = self._ops.get(op_id)
        super().abandon(op_id, now)
        if kept is not None:
            self._note(kept.op.node, NONE)

    def drop(self, node: NodeKey) -> None:
        if self._ids.get(node) != NONE:
            super().drop(node)

    def forget(self) -> None:
        """Read ops again when somebody asks."""
        self._ops.clear()
        self._ids.clear()
        self._strangers = set()
        self._highest = None

    def forget_of(self, node: NodeKey) -> None:
        """The node's live op is about to go with the node."""
        self._changing_of(node)

    # --- what is kept

    def _insert(self, op: Op, state: OpState, key: bytes, not_before: float, now: float) -> int:
        self._strangers.discard(key)
        self._highest = None if self._highest is None else max(self._highest, op.node)
        op_id = super()._insert(op, state, key, not_before, now)
        self._keep(QueuedOp(op_id, key, op, state, next_at=not_before or None, created=now))
        return op_id

    def _all(self, where: str, values: Row) -> list[QueuedOp]:
        rows = self._rows(where, values)
        return [self._ops.get(row[0]) or queued_from(row) for row in rows]  # type: ignore[arg-type]

    def _keep(self, queued: QueuedOp) -> None:
        self._ops[queued.id] = queued
        self._note(queued.op.node, queued.id)
        if len(self._ops) > KEPT + AT_ONCE:
            for oldest in list(islice(self._ops, AT_ONCE)):
                del self._ops[oldest]

    def _note(self, node: NodeKey, op_id: int) -> None:
        self._ids[node] = op_id
        if len(self._ids) > KEPT + AT_ONCE:
            for oldest in list(islice(self._ids, AT_ONCE)):
                del self._ids[oldest]

    def _changing(self, op_id: int | None) -> None:
        if op_id is None:
            self.forget()
        else:
            self._ops.pop(op_id, None)

    def _changing_of(self, node: NodeKey) -> None:
        op_id = self._ids.pop(node, NONE)
        if op_id != NONE:
            self._ops.pop(op_id, None)
