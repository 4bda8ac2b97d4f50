"""Applies the guard (P8): counts removals and overwrites, holds what is over the mark, keeps a person's decisions."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from syncd.db.decisions import Decision, Group, GroupKind, Item
from syncd.engine.desk import Desk
from syncd.model.node import Absent
from syncd.model.op import OpState, Side
from syncd.model.path import NodeKey
from syncd.plan.guard import Marks, Recent, Stake, Totals, judge

RESTORED_COPY = "this folder is a restored copy: its marker is right, its inode is not"
PAGE = 1000


@dataclass(slots=True)
class Guarding:
    """Judges pending removals and overwrites per direction, and keeps groups that wait for a decision."""

    desk: Desk
    hold_all: bool = False
    judged: dict[Side, frozenset[int]] = field(default_factory=dict)

    def review(self) -> None:
        """Judge what is pending, per direction; hold what is over the mark as one group."""
        for side in Side:
            live = self.desk.db.queue.destructive(side)
            seen = frozenset(op.id for op in live)
            known = self.judged.get(side, frozenset())
            self.judged[side] = seen
            if seen <= known and not self.hold_all:
                continue  # what ended was counted while it was pending: the sum is the same
            pending = [op for op in live if self._decision(op.node) in (None, Decision.UNDECIDED)]
            if pending:
                hold, reason = self._judge(side, [Stake(op.id, op.bytes_at_stake) for op in pending])
                if hold:
                    self._hold(side, set(hold), reason)

    def _judge(self, side: Side, stakes: list[Stake]) -> tuple[tuple[int, ...], str]:
        if self.hold_all:
            return tuple(stake.op_id for stake in stakes), RESTORED_COPY
        settings = self.desk.settings
        since = self.desk.clock.now() - settings.guard_window
        count, size = self.desk.db.activity.destroyed(side, since)
        synced = self.desk.db.nodes.counts().synced
        marks = Marks(settings.guard_nodes, settings.guard_share, settings.guard_floor, settings.guard_bytes)
        verdict = judge(stakes, Recent(count, size), Totals(synced.nodes, synced.bytes), marks)
        return verdict.hold, verdict.reason

    def _decision(self, node: NodeKey) -> Decision | None:
        """Return what holds for the node now. An allowance is for the op it was given for, however long that waits
        for the remote, and for the guard's window; after that changes count anew."""
        found = self.desk.db.decisions.decision_for(node)
        if found is None:
            return None
        item = found[1]
        if item.decision is Decision.ALLOW:
            decided = item.decided or 0.0
            live = self.desk.db.queue.live(node)
            waited_for = live is not None and live.created <= decided
            recent = self.desk.clock.now() - decided < self.desk.settings.guard_window
            return Decision.ALLOW if recent or waited_for else None
        return Decision.UNDECIDED if item.decision is Decision.UNDECIDED else None

    def _group(self, side: Side, reason: str) -> int:
        """Return the undecided group of this direction; opened when there is none."""
        decisions = self.desk.db.decisions
        for group in decisions.undecided():
            if group.kind is GroupKind.HELD and group.side is side:
                return group.id
        return decisions.open(GroupKind.HELD, side, reason, self.desk.clock.now())

    def _hold(self, side: Side, op_ids: set[int], reason: str) -> None:
        queue = self.desk.db.queue
        group = self._group(side, reason)
        held = [op for op in queue.destructive(side) if op.id in op_ids and op.state is not OpState.RUNNING]
        items = []
        for at_stake in held:
            queued = queue.get(at_stake.id)
            what = queued.op.type.value if queued is not None else ""
            path = "/".join(self.desk.any_path(at_stake.node))
            items.append(Item(at_stake.node, path, what, at_stake.bytes_at_stake))
            queue.block(at_stake.id, "held", reason)
        self.desk.db.decisions.add(group, items)
        self._keep()
        self.desk.log("a mass change is held until you decide", direction=side.value, count=len(held), why=reason)

    def _items(self, group: int) -> Iterator[Item]:
        after = 0
        while page := self.desk.db.decisions.items(group, PAGE, after):
            yield from page
            after = page[-1].node

    def _keep(self) -> None:
        """Undecided holds outlive the database (P9)."""
        holds: dict[str, list[str]] = {}
        for group in self.desk.db.decisions.undecided():
            ids = []
            for item in self._items(group.id):
                node = self.desk.db.nodes.node(item.node)
                if item.decision is Decision.UNDECIDED and node is not None and node.node_id is not None:
                    ids.append(node.node_id.hex())
            holds[f"{group.side.value}: {group.reason}"] = ids
        self.desk.keeper.keep_holds(holds)

    def is_allowed(self, node: NodeKey) -> bool:
        """Whether a person let the node's change go: such changes do not count towards the next mark."""
        return self._decision(node) is Decision.ALLOW

    def is_held(self, node: NodeKey) -> bool:
        """Whether the node is in a group that nobody decided on yet."""
        return self._decision(node) is Decision.UNDECIDED

    def unhold(self, node: NodeKey) -> None:
        """The change that was held is not wanted any more (the file came back): nothing is left to decide."""
        found = self.desk.db.decisions.decision_for(node)
        if found is not None and found[1].decision is Decision.UNDECIDED:
            self.desk.db.decisions.remove(found[0].id, [node])

    # --- a person's decision -------------------------------------------------------------------------------------

    def open_group(self, group: int) -> Group | None:
        """Return a group that still waits for a decision."""
        return next((found for found in self.desk.db.decisions.undecided() if found.id == group), None)

    def allow(self, group: int) -> int:
        """Let a held group go; returns how many nodes it had."""
        items = [item for item in self._items(group) if item.decision is Decision.UNDECIDED]
        self.desk.db.decisions.decide(group, Decision.ALLOW, self.desk.clock.now())
        for item in items:
            live = self.desk.db.queue.live(item.node)
            if live is not None and live.state is OpState.BLOCKED and not live.op.waits:
                self.desk.db.queue.release(live.id)
            self.desk.touch(item.node)
        self._keep()
        return len(items)

    def refuse(self, group: int) -> int:
        """Undo a held group: what was to be removed or overwritten is brought back from the side that still has it."""
        items = [item for item in self._items(group) if item.decision is Decision.UNDECIDED]
        self.desk.db.decisions.decide(group, Decision.REFUSE, self.desk.clock.now())
        for item in items:
            self.desk.db.queue.drop(item.node)
            # No merge base: a presence wins over an absence, and of two contents both stay.
            if self.desk.db.nodes.node(item.node) is not None:
                self.desk.db.nodes.set_synced(item.node, Absent())
            self.desk.touch(item.node)
        self._keep()
        return len(items)

    def adopt_kept(self, holds: dict[str, list[str]]) -> None:
        """After the database was lost: nodes of undecided groups stay held until a person decides."""
        for title, ids in sorted(holds.items()):
            side, _, reason = title.partition(": ")
            found = [node.id for text in ids if (node := self.desk.db.nodes.by_node_id(bytes.fromhex(text)))]
            if found:
                group = self._group(Side(side), reason)
                paths = ["/".join(self.desk.any_path(key)) for key in found]
                self.desk.db.decisions.add(group, [Item(k, path) for k, path in zip(found, paths, strict=True)])
