"""Applies the guard (P8): counts removals and overwrites, holds what is over the mark, keeps a person's decisions.

A group may have a hundred thousand items and a transaction must be short (P11), so that filling a group, carrying a
decision out and taking kept holds up again go in pages, one a step. What a stop interrupted is found again by its rows:
an op that is not held yet, an item that has not taken its group's word on. Nothing destructive leaves meanwhile.
"""

from dataclasses import dataclass, field

from syncd.db.decisions import Decision, Group, GroupKind, Item
from syncd.db.queue import HELD
from syncd.engine.desk import Desk
from syncd.model.node import Absent
from syncd.model.op import OpState, Side
from syncd.model.path import NodeKey
from syncd.plan.guard import Marks, Pending, Recent, Totals, judge

RESTORED_COPY = "this folder is a restored copy: its marker is right, its inode is not"
ITEMS_A_STEP = 200
"""Items of a group handled in one transaction; each changes up to six rows."""


@dataclass(slots=True)
class Filling:
    """A group being filled: why, up to which op that was done, how many were held, and whether it is a new one."""

    reason: str
    after: int = 0
    count: int = 0
    opened: bool = False


@dataclass(slots=True)
class Guarding:
    """Judges pending removals and overwrites per direction, and keeps groups that wait for a decision."""

    desk: Desk
    hold_all: bool = False
    judged: dict[Side, int] = field(default_factory=dict)  # the youngest op that was judged
    filling: dict[Side, Filling] = field(default_factory=dict)
    carrying: bool = True  # a stop may have left a decision half carried out
    kept: list[tuple[str, str]] | None = None  # after a lost database: (group, node id) still to be held again

    @property
    def busy(self) -> bool:
        """Whether a group is being filled, or a decision carried out: nothing destructive may leave now."""
        return self.carrying or bool(self.filling)

    @property
    def incomplete(self) -> bool:
        """Whether some group may still lack items: a decision about it waits until it is whole."""
        return bool(self.filling or self.kept)

    def judge(self) -> None:
        """Judge what is pending, per direction, once all is planned; over the mark, all of it is held as one group."""
        for side in Side:
            if side not in self.filling:
                self._judge(side)

    def fill(self) -> None:
        """Go on with a group that is being filled, if there is one: a page a call."""
        if self.filling:
            self._fill(next(iter(self.filling)))

    def interrupt(self) -> None:
        """Nothing can be planned for now: what is pending then is judged anew, and what was held stays held."""
        if any(filling.count for filling in self.filling.values()):
            self._keep()
        self.filling.clear()
        self.judged.clear()

    def _judge(self, side: Side) -> None:
        queue = self.desk.db.queue
        newest = queue.newest_destructive(side)
        if self.hold_all:
            if any(not self.is_allowed(op.node) for op in queue.to_hold(side, 0, ITEMS_A_STEP)):
                self.filling[side] = Filling(RESTORED_COPY)
        elif newest > self.judged.get(side, 0):  # what ended was counted while it was pending: the sum is the same
            settings, activity = self.desk.settings, self.desk.db.activity
            since = self.desk.clock.now() - settings.guard_window
            pending = Pending(*queue.at_stake(side, since))
            recent = Recent(*activity.destroyed(side, since))
            synced = self.desk.db.nodes.counts().synced
            # A share of the root as it was: what is going must not weigh more because some of it went.
            before = Totals(synced.nodes + activity.removed(since), synced.bytes)
            marks = Marks(settings.guard_nodes, settings.guard_share, settings.guard_floor, settings.guard_bytes)
            reason = judge(pending, recent, before, marks)
            if reason:
                self.filling[side] = Filling(reason)
        self.judged[side] = max(newest, self.judged.get(side, 0))

    def _fill(self, side: Side) -> None:
        """Hold one page of what is pending; at its end the group outlives the database."""
        queue, filling = self.desk.db.queue, self.filling[side]
        page = queue.to_hold(side, filling.after, ITEMS_A_STEP)
        items = []
        for op in page:
            if self.is_allowed(op.node):
                continue
            items.append(Item(op.node, "/".join(self.desk.any_path(op.node)), op.what, op.bytes))
            queue.block(op.id, HELD, filling.reason)
        if items:
            decisions = self.desk.db.decisions
            filling.opened |= decisions.undecided_of(GroupKind.HELD, side) is None
            group = self._group(side, filling.reason)
            decisions.renew(group, filling.reason)  # it may have been opened over fewer of them
            decisions.add(group, items)
            filling.count += len(items)
        if len(page) == ITEMS_A_STEP:
            filling.after = page[-1].id
            return
        del self.filling[side]
        if filling.count:
            self._keep()
        if filling.opened:  # once a group: a delete that is seen bit by bit fills it in many steps
            self.desk.log(
                "a mass change is held until you decide",
                direction=side.value, count=filling.count, why=filling.reason,
            )  # fmt: skip

    def _group(self, side: Side, reason: str) -> int:
        """Return the undecided group of this direction; opened when there is none."""
        decisions = self.desk.db.decisions
        found = decisions.undecided_of(GroupKind.HELD, side)
        return decisions.open(GroupKind.HELD, side, reason, self.desk.clock.now()) if found is None else found

    def _keep(self) -> None:
        """Undecided holds outlive the database (P9)."""
        decisions = self.desk.db.decisions
        holds: dict[str, list[str]] = {}
        for group in decisions.undecided():
            ids = [node_id.hex() for node_id in decisions.undecided_ids(group.id)]
            holds.setdefault(f"{group.side.value}: {group.reason}", []).extend(ids)
        self.desk.keeper.keep_holds(holds)

    # --- what holds for a node -----------------------------------------------------------------------------------

    def is_allowed(self, node: NodeKey) -> bool:
        """Whether a person let the node's change go: such changes do not count towards the next mark.

        An allowance is for the op it was given for, however long that waits for the remote, and for the guard's
        window; after that changes count anew (``Queue.at_stake`` counts by the same rule)."""
        found = self.desk.db.decisions.standing(node)
        if found is None or found[1] is not Decision.ALLOW:
            return False
        decided = found[2]
        if self.desk.clock.now() - decided < self.desk.settings.guard_window:
            return True
        live = self.desk.db.queue.live(node)
        return live is not None and live.created <= decided

    def is_held(self, node: NodeKey) -> bool:
        """Whether the node is in a group that nobody decided on yet, or whose decision has not reached it."""
        found = self.desk.db.decisions.standing(node)
        return found is not None and found[1] is Decision.UNDECIDED

    def unhold(self, node: NodeKey) -> None:
        """The change that was held is not wanted any more (the file came back): nothing is left to decide."""
        found = self.desk.db.decisions.standing(node)
        if found is not None and found[1] is Decision.UNDECIDED:
            self.desk.db.decisions.remove(found[0], [node])

    # --- a person's decision -------------------------------------------------------------------------------------

    def open_group(self, group: int) -> Group | None:
        """Return a group that still waits for a decision."""
        return next((found for found in self.desk.db.decisions.undecided() if found.id == group), None)

    def allow(self, group: int) -> int:
        """Let a held group go; returns how many nodes it had."""
        return self._decide(group, Decision.ALLOW)

    def refuse(self, group: int) -> int:
        """Undo a held group: what was to be removed or overwritten is brought back from the side that still has it."""
        return self._decide(group, Decision.REFUSE)

    def _decide(self, group: int, decision: Decision) -> int:
        count = self.desk.db.decisions.decide(group, decision, self.desk.clock.now())
        self.carrying = True
        self._keep()
        return count

    def carry(self) -> None:
        """Carry out what a person decided for one page of items; they take the decision on in the same transaction."""
        if not self.carrying:
            return
        decisions = self.desk.db.decisions
        word = decisions.unfinished()
        if word is None:
            self.carrying = False
            return
        nodes = decisions.untaken(word.group, ITEMS_A_STEP)
        decisions.take_on(word, nodes)
        for node in nodes:
            if word.decision is Decision.ALLOW:
                self._let_go(node)
            else:
                self._bring_back(node)

    def _let_go(self, node: NodeKey) -> None:
        live = self.desk.db.queue.live(node)
        if live is not None and live.state is OpState.BLOCKED and not live.op.waits:
            self.desk.db.queue.release(live.id)
        self.desk.touch(node)

    def _bring_back(self, node: NodeKey) -> None:
        self.desk.db.queue.drop(node)
        # No merge base: a presence wins over an absence, and of two contents both stay.
        if self.desk.db.nodes.node(node) is not None:
            self.desk.db.nodes.set_synced(node, Absent())
        self.desk.touch(node)

    # --- after a lost database -----------------------------------------------------------------------------------

    def adopt_kept(self) -> bool:
        """Nodes of undecided groups stay held until a person decides; a page a call, returns whether that is done.

        What was kept is written anew only after that: a stop in between begins again from the whole of it."""
        if self.kept is None:
            holds = self.desk.keeper.kept_holds()
            self.kept = [(title, text) for title, ids in sorted(holds.items(), reverse=True) for text in reversed(ids)]
        nodes, decisions = self.desk.db.nodes, self.desk.db.decisions
        for _ in range(min(ITEMS_A_STEP, len(self.kept))):
            title, text = self.kept.pop()
            side, _, reason = title.partition(": ")
            if node := nodes.by_node_id(bytes.fromhex(text)):
                decisions.add(self._group(Side(side), reason), [Item(node.id, "/".join(self.desk.any_path(node.id)))])
        return not self.kept
