"""Applies the guard (P8): counts removals and overwrites, holds what is over the mark, keeps a person's decisions."""

import json
from collections import deque
from dataclasses import dataclass, field

from syncd.engine.desk import Desk
from syncd.model.node import Absent
from syncd.model.op import OpState, Side
from syncd.model.path import NodeKey
from syncd.plan.guard import Marks, Recent, Stake, Totals, judge

RESTORED_COPY = "this folder is a restored copy: its identity marker is right, its inode is not"


@dataclass(slots=True)
class Guarding:
    """The sliding window per direction, and the groups that wait for a decision."""

    desk: Desk
    done: dict[Side, deque[tuple[float, int]]] = field(default_factory=dict)
    hold_all: bool = False
    judged: dict[Side, tuple[int, ...]] = field(default_factory=dict)

    def load(self) -> None:
        """Take up the window where the last process left it."""
        for side in Side:
            kept = json.loads(self.desk.db.meta.get(f"guard {side.value}") or "[]")
            self.done[side] = deque((at, size) for at, size in kept)

    def note_done(self, side: Side, size: int) -> None:
        """A destructive op was carried out."""
        self.done[side].append((self.desk.clock.now(), size))

    def save(self) -> None:
        """Keep the window in the database; called in the transaction that ends destructive ops."""
        for side in Side:
            self._slide(side)
            self.desk.db.meta.set(f"guard {side.value}", json.dumps(list(self.done[side])))

    def _slide(self, side: Side) -> None:
        horizon = self.desk.clock.now() - self.desk.settings.guard_window
        while self.done[side] and self.done[side][0][0] < horizon:
            self.done[side].popleft()

    def review(self) -> None:
        """Judge what is pending, per direction; hold what is over the mark as one group."""
        for side in Side:
            live = self.desk.db.queue.destructive(side)
            fingerprint = tuple(op.id for op in live)
            if fingerprint == self.judged.get(side) and not self.hold_all:
                continue
            self.judged[side] = fingerprint
            pending = [op for op in live if self._decision(op.node) is None]
            if not pending:
                continue
            self._slide(side)
            settings = self.desk.settings
            counts = self.desk.db.nodes.counts()
            verdict = judge(
                [Stake(op.id, op.bytes_at_stake) for op in pending],
                Recent(len(self.done[side]), sum(size for _, size in self.done[side])),
                Totals(counts.synced_nodes, counts.synced_bytes),
                Marks(settings.guard_nodes, settings.guard_share, settings.guard_floor, settings.guard_bytes),
            )
            hold, reason = verdict.hold, verdict.reason
            if self.hold_all:
                hold, reason = tuple(op.id for op in pending), RESTORED_COPY
            if hold:
                self._hold(side, set(hold), reason)

    def _decision(self, node: NodeKey) -> str | None:
        return self.desk.db.decisions.decision_for(node)

    def _hold(self, side: Side, op_ids: set[int], reason: str) -> None:
        decisions, queue = self.desk.db.decisions, self.desk.db.queue
        group = decisions.undecided(f"mass change {side.value}")
        now = self.desk.clock.now()
        if group is None:
            group = decisions.open(f"mass change {side.value}", reason, now)
        held = [op for op in queue.destructive(side) if op.id in op_ids and op.state is not OpState.RUNNING]
        decisions.add_items(group, [(op.node, op.bytes_at_stake) for op in held])
        for op in held:
            queue.block(op.id, "held", reason)
        self._keep()
        self.desk.log("a mass change is held until a person decides", direction=side.value, count=len(held), why=reason)

    def _keep(self) -> None:
        """Undecided holds outlive the database (P9)."""
        holds: dict[str, list[str]] = {}
        for group in self.desk.db.decisions.all_undecided():
            ids = []
            for key in self.desk.db.decisions.items(group.id):
                node = self.desk.db.nodes.node(key)
                if node is not None and node.node_id is not None:
                    ids.append(node.node_id.hex())
            holds[f"{group.kind}: {group.reason}"] = ids
        self.desk.keeper.keep_holds(holds)

    def is_held(self, node: NodeKey) -> bool:
        """Whether the node is in a group that nobody decided on yet."""
        return self._decision(node) == "undecided"

    # --- a person's decision -------------------------------------------------------------------------------------

    def allow(self, group: int) -> int:
        """Let a held group go; returns how many nodes it had."""
        decisions, queue = self.desk.db.decisions, self.desk.db.queue
        keys = decisions.items(group)
        decisions.decide(group, "allow", self.desk.clock.now())
        for key in keys:
            live = queue.live(key)
            if live is not None and live.state is OpState.BLOCKED:
                queue.release(live.id)
            self.desk.touch(key)
        self._keep()
        return len(keys)

    def refuse(self, group: int) -> int:
        """Undo a held group: what was to be removed or overwritten is brought back from the side that still has it."""
        decisions, nodes = self.desk.db.decisions, self.desk.db.nodes
        keys = decisions.items(group)
        decisions.decide(group, "refuse", self.desk.clock.now())
        for key in keys:
            self.desk.db.queue.drop(key)
            nodes.set_synced(key, Absent())  # no merge base: a presence wins over an absence, two contents both stay
            self.desk.touch(key)
        self._keep()
        return len(keys)

    def adopt_kept(self, holds: dict[str, list[str]]) -> None:
        """After the database was lost: nodes of undecided groups stay held until a person decides."""
        for title, ids in sorted(holds.items()):
            kind, _, reason = title.partition(": ")
            found = [node.id for text in ids if (node := self.desk.db.nodes.by_node_id(bytes.fromhex(text)))]
            if found and self.desk.db.decisions.undecided(kind) is None:
                group = self.desk.db.decisions.open(kind, reason, self.desk.clock.now())
                self.desk.db.decisions.add_items(group, [(key, 0) for key in found])
