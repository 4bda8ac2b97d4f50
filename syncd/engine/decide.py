"""Derives ops: joins, plans the touched nodes, stores what the planner says. The only caller of the planner."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice

from syncd.db.queue import QueuedOp
from syncd.engine.desk import Desk
from syncd.engine.forgetting import Forgetting
from syncd.engine.guarding import Guarding
from syncd.engine.joining import Joining
from syncd.engine.leftovers import is_leftover, part
from syncd.model.conflict import ConflictKind
from syncd.model.node import Absent, Kind, Node, Place, Present, Reason, Tree, Unknown, place_of
from syncd.model.op import Op, OpState, OpType
from syncd.model.path import ROOT, NodeKey, RelPath
from syncd.observe.ignore import Rules
from syncd.plan.excluded import arrives_from_exclusion, stays_apart
from syncd.plan.order import touch
from syncd.plan.planner import join, plan
from syncd.plan.world import Context, NodePlan

PLANS_A_STEP = 400
SPREADS_A_STEP = 800
DELETES = frozenset({OpType.LOCAL_DELETE, OpType.REMOTE_DELETE})


@dataclass(slots=True)
class Decider:
    """Plans dirty nodes, a bounded number a step."""

    desk: Desk
    rules: Rules
    guarding: Guarding
    seen: set[NodeKey] = field(default_factory=set)
    pending: dict[NodeKey, None] = field(default_factory=dict)
    look_again: Callable[[NodeKey], None] = lambda key: None
    joined: Callable[[NodeKey], None] = lambda key: None
    quiet: bool = True  # nothing is being looked at
    folders: dict[NodeKey, RelPath | None] = field(default_factory=dict)  # paths in R, which stands still for a step
    joining: Joining = field(init=False)
    forgetting: Forgetting = field(init=False)

    def __post_init__(self) -> None:
        self.joining = Joining(self.desk)
        self.forgetting = Forgetting(self.desk)

    def context(self) -> Context:
        """Return what the planner may know of this device and moment."""
        traits = self.desk.facts.traits
        return Context(
            device=self.desk.facts.device,
            now=self.desk.clock.now(),
            case_sensitive=traits.case_sensitive,
            executable_bit=traits.executable_bit,
            symlinks=traits.symlinks,
            running=self.desk.running.__contains__,
            excluded=self._excluded,
        )

    def work(self) -> bool:
        """Plan up to PLANS_A_STEP nodes; returns whether some are left."""
        self._spread()
        if self.desk.dirty or self.desk.below:
            return True  # a folder is planned once for all that changed in it, not once for every part of that
        context = self.context()
        self.folders.clear()
        for _ in range(PLANS_A_STEP):
            if not self.pending or not self.desk.room or self.joining.pair is not None:
                break
            key = next(iter(self.pending))
            del self.pending[key]
            self._one(key, context)
            if self.desk.dirty:
                self._spread()
        if self.idle:
            self.seen.clear()
        return not self.idle

    @property
    def idle(self) -> bool:
        """Whether nothing that was touched is yet to be planned."""
        return not (self.pending or self.desk.dirty or self.desk.below)

    def drop_all(self) -> None:
        """Forget what was to be planned: it will be found by its disagreement, its op, or for being gone everywhere."""
        self.pending.clear()
        self.forgetting.clear()
        self.desk.dirty.clear()
        self.desk.below.clear()
        self.seen.clear()

    def _spread(self) -> None:
        """A changed node also concerns its neighbours and whoever waits for it; a bounded number a call (P11)."""
        nodes, queue = self.desk.db.nodes, self.desk.db.queue
        if len(self.desk.dirty) < SPREADS_A_STEP:
            self.desk.touch_below(SPREADS_A_STEP)
        waiting = bool(self.desk.dirty) and queue.anybody_waits()
        for key in list(islice(self.desk.dirty, SPREADS_A_STEP)):
            del self.desk.dirty[key]
            self.seen.discard(key)
            for other in (*touch(nodes, key), *(queue.waiting_on(key) if waiting else ())):
                self.seen.discard(other)
                if other != ROOT:
                    self.pending[other] = None
            self.pending[key] = None

    def _one(self, key: NodeKey, context: Context) -> None:
        nodes = self.desk.db.nodes
        self.seen.add(key)
        if key in self.desk.running or key == ROOT:
            return
        node = nodes.node(key)
        if node is not None and is_leftover(node) and isinstance(node.remote, Present):
            part(nodes, node)  # the remote has it again
            node = nodes.node(key)
        joined = join(nodes, key)
        if joined is not None and stays_apart(nodes, joined, context):
            joined = None
        if joined is not None and joined.keep not in self.desk.running and joined.drop not in self.desk.running:
            if not self._join(joined.keep, joined.drop):
                self.pending[key] = None  # once they are one
                return
            key = joined.keep
            node = nodes.node(key)
        if node is None:
            return
        if self._exclude(node) or self._include(node, context):
            node = nodes.node(key)
            assert node is not None
        self._store(node, plan(nodes, key, context))
        if node.kind is Kind.DIRECTORY:
            self.forgetting.planned(key)

    def _join(self, keep: NodeKey, drop: NodeKey) -> bool:
        self.desk.db.queue.drop(drop)
        self.desk.db.queue.drop(keep)
        done = self.joining.begin(keep, drop)
        if done:
            self._after_join(keep)
        return done

    def go_on_joining(self) -> bool:
        """Go on with joining a large directory; returns whether that is all this step may do."""
        if self.joining.pair is None:
            return False
        keep = self.joining.go_on()
        if keep is not None:
            self._after_join(keep)
        return True

    def _after_join(self, keep: NodeKey) -> None:
        node = self.desk.db.nodes.node(keep)
        if node is not None and node.kind is Kind.DIRECTORY:
            self.joined(keep)
        for tree in (Tree.LOCAL, Tree.REMOTE):
            self.desk.touch_children(tree, keep)

    def _exclude(self, node: Node) -> bool:
        """Ignore rules hold both ways: what they name at the remote is not brought here (S is kept)."""
        if not isinstance(node.remote, Present) or not isinstance(node.local, Absent):
            return False
        if not self._excluded(Tree.REMOTE, node):
            return False
        self.desk.db.nodes.set_local(node.id, Unknown(Reason.IGNORED), None)
        self.desk.touch(node.id)  # directories that wait to be removed with it stay for it now
        return True

    def _excluded(self, tree: Tree, node: Node) -> bool:
        """Whether the path a tree has for the node is excluded here."""
        place = place_of(node.state(tree))
        if place is None:
            return False
        above = self._folder(place.parent) if tree is Tree.REMOTE else self.desk.db.nodes.path(tree, place.parent)
        return above is not None and self.rules.within(above).ignored(place.name, node.kind is Kind.DIRECTORY)

    def _folder(self, key: NodeKey) -> RelPath | None:
        """The path of a directory in R; nearly every plan asks for it, and it is found once for all in it."""
        if key not in self.folders:
            self.folders[key] = self.desk.db.nodes.path(Tree.REMOTE, key)
        return self.folders[key]

    def _include(self, node: Node, context: Context) -> bool:
        """What was excluded, and is at the remote where nothing excludes it, is brought here from there.

        What is excluded here stays where it is: it is nobody's copy any more, like everything else that is ignored.
        """
        ignored = isinstance(node.local, Unknown) and node.local.reason is Reason.IGNORED
        if not ignored or not arrives_from_exclusion(self.desk.db.nodes, node, context):
            return False
        for key in reversed(self._below(node)):
            # Before the directory above it, or it would look like something that was removed from there.
            self._let_go(key)
        return True

    def _below(self, node: Node) -> list[NodeKey]:
        """Return *node* and all that L has below it, parents first."""
        found, at = [node.id], 0
        while at < len(found):
            found += [child.id for child in self.desk.db.nodes.children(Tree.LOCAL, found[at])]
            at += 1
        return found

    def _let_go(self, key: NodeKey) -> None:
        """L has the node no more, and not because anybody removed it: without a merge base nothing is deleted."""
        nodes = self.desk.db.nodes
        node = nodes.node(key)
        assert node is not None
        if place_of(node.local) is not None:
            nodes.set_synced(key, Absent())
        nodes.set_local(key, Absent(), None)
        self.desk.touch(key)

    def _store(self, node: Node, planned: NodePlan) -> None:
        nodes, queue = self.desk.db.nodes, self.desk.db.queue
        for other in planned.also_plan:
            if other not in self.seen and other != ROOT:
                self.pending[other] = None
        if planned.hold is not None:
            place = node.local.place if isinstance(node.local, Unknown | Present) else None
            nodes.set_local(node.id, Unknown(Reason.HELD, place, planned.hold), node.fingerprint)
            self.desk.touch(node.id)  # what waits for it, or is removed with it, is decided anew
        if planned.release and isinstance(node.local, Unknown):
            if node.local.place is None:
                nodes.set_local(node.id, Absent(), None)
                self.desk.touch(node.id)
            self.look_again(node.id)  # finds what it found, and nothing is touched; or else that is planned
        if planned.synced is not None:
            nodes.set_synced(node.id, planned.synced)
            self.desk.touch(node.id)
        if planned.conflict is not None and planned.op is None:
            self.note_conflict(node.id, planned.conflict, None)
        live = queue.live(node.id)
        if live is not None and (planned.op is None or planned.op.type is not live.op.type):
            self._other_way(node.id)
            if live.op.type is OpType.LOCAL_DELETE and self._stays_after_all(node):
                for tree in (Tree.LOCAL, Tree.REMOTE):
                    self.desk.touch_children(tree, node.id)
        if planned.forget:
            queue.drop(node.id)
            if self.forgetting.may_go(node, quiet=self.quiet):
                self._forget(node)
        elif planned.op is None:
            if live is not None:
                queue.drop(node.id)
                self.guarding.unhold(node.id)
        else:
            self._put(node, planned.op, live)

    def _other_way(self, key: NodeKey) -> None:
        """What becomes of the node changed without a change of its own (something in it stays, or goes now): whoever
        waits for what it was about to do is planned again, also who was a moment ago."""
        for other in self.desk.db.queue.waiting_on(key):
            self.seen.discard(other)
            self.pending[other] = None

    @staticmethod
    def _stays_after_all(node: Node) -> bool:
        """Whether a directory that was to leave this disk, and is no more, is one that the remote has all the same (it
        was to leave for a twin, or to where it is excluded): what is in it was to leave with it, each by an op of its
        own that knows no reason."""
        there, here = isinstance(node.remote, Present), isinstance(node.local, Present)
        return node.kind is Kind.DIRECTORY and there and here

    def _forget(self, node: Node) -> None:
        nodes = self.desk.db.nodes
        if not any(nodes.has_children(tree, node.id) for tree in Tree):
            parents = {p.place.parent for p in (node.synced, node.remote, node.local) if isinstance(p, Present)}
            nodes.delete(node.id)
            for parent in sorted(parents):
                self.desk.touch(parent)
        elif not isinstance(node.synced, Absent):
            nodes.set_synced(node.id, Absent())

    def _put(self, node: Node, op: Op, live: QueuedOp | None) -> None:
        if node.node_id is None and op.side == "remote":
            self.desk.db.nodes.set_node_id(node.id, self.desk.chance.id(self.desk.clock.now()))
        now = self.desk.clock.now()
        op = self._with_fixed_name(op, live)
        held = self._is_held(node, op)
        state = OpState.BLOCKED if op.waits or held else OpState.READY
        rest = now + self.desk.settings.delete_rest if op.type in DELETES else None
        key = self.desk.chance.id(now)
        self.desk.db.queue.put(op, state=state, key=key, not_before=rest, now=now)

    def _with_fixed_name(self, op: Op, live: QueuedOp | None) -> Op:
        """A conflicted name is fixed when the op is first planned (it bears that time), and stays with it."""
        if live is None or live.op.type is not op.type:
            return op
        same = (op.type is OpType.CONFLICT and replace(op, aside=live.op.aside) == live.op) or (
            op.type is OpType.SET_ASIDE
            and replace(op, place=live.op.place) == live.op
            and not self._taken(live.op.place, op.node)
        )
        return live.op if same else op

    def _taken(self, place: Place, by: NodeKey) -> bool:
        """Whether a conflicted name that was free when it was fixed has been taken meanwhile."""
        nodes = self.desk.db.nodes
        found = (nodes.at_folded(tree, place.parent, place.name) for tree in (Tree.LOCAL, Tree.REMOTE))
        return any(node.id != by for twins in found for node in twins)

    def _is_held(self, node: Node, op: Op) -> bool:
        """A held group keeps what would remove or overwrite; after a lost database also what would undo that."""
        if not self.guarding.is_held(node.id):
            return False
        if op.destructive or isinstance(node.synced, Absent):
            return True
        self.guarding.unhold(node.id)
        return False

    def note_conflict(self, key: NodeKey, kind: ConflictKind, copy: str | None, name: str | None = None) -> None:
        """Write a conflict row. *name* is what the conflict was about, where the node has another name by now."""
        path = self.desk.any_path(key)
        told = "/".join(path if name is None else (*path[:-1], name))
        self.desk.db.conflicts.add(key, kind, told, copy or "", self.desk.clock.now())
