"""Remote intake: pages of changes and listings become R. R only moves forward; rows and cursor are one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from syncd.engine.carry import after_own_commit
from syncd.engine.desk import Desk
from syncd.model.node import Absent, Kind, Node, Place, Present, Reason, State, Tree, Unknown, Version, place_of
from syncd.model.observation import Pulled
from syncd.model.path import ROOT, ROOT_ID, NodeKey, is_text, shown
from syncd.model.remote import Change, RemoteNode

UNTOLD = "changes of ours that the feed has not told yet"
TOLD = "position up to which the feed has told"
ROWS_A_STEP = 300
"""Rows of a page that one step writes; each may change three of the database (P11)."""
UNLISTED_A_STEP = 300
FORGOTTEN_A_STEP = 300
EPOCH = "history epoch"
UNLISTED = "generation of the listing whose absences are due"
"""Kept with the listing's cursor: a stop in between must not leave what is gone at the remote present for good."""


@dataclass(slots=True)
class RemoteIntake:
    """Writes R from what the remote says."""

    desk: Desk
    generation: int = 0
    asked: int = 0  # pages of changes asked for since start
    untold: dict[NodeKey, tuple[Version, int]] = field(default_factory=dict)  # own change → version, pages asked then
    top: int = 0  # the youngest position this listing showed
    contradicted: bool = False  # what the remote said cannot be of the history in which our changes are

    @property
    def forgetting(self) -> bool:
        """Whether S is still being forgotten after the remote's history changed (survives a restart)."""
        return self.desk.db.meta.get(EPOCH) == "forget"

    @property
    def any_position(self) -> bool:
        """Whether positions start anew: the listing that follows a changed history is under way."""
        return self.desk.db.meta.get(EPOCH) is not None

    @property
    def busy(self) -> bool:
        """Whether conclusions of a full listing are still being drawn, a bounded number of rows a step."""
        return self.forgetting or self.desk.db.meta.get(UNLISTED) is not None

    def begin_listing(self) -> None:
        """A full listing starts: what it does not name is absent at its end, and not before. Nothing of ours is under
        way, or sent before that end: whatever we did there it must show (``Pulls.may_send``)."""
        self.generation = self.desk.db.nodes.begin_listing()
        self.desk.db.meta.delete(UNLISTED)
        self.top = 0

    def begin_history(self) -> None:
        """The remote's history is another: S is empty for planning, nothing is deleted (section 7)."""
        self.desk.db.meta.set(EPOCH, "forget")
        self.desk.db.meta.delete(TOLD)
        self.desk.db.meta.delete(UNLISTED)  # what a listing of the other history did not name is no conclusion
        self.contradicted = False

    def settled_late(self) -> None:
        """An op that ran when the history changed has ended, and S names what it did. Nobody knows in which history
        that was, or whether the one that will be listed has it: S is forgotten once more (P1)."""
        if self.any_position:
            self.desk.db.meta.set(EPOCH, "forget")

    def forget_some(self) -> None:
        """Forget S, a bounded number of rows a step. A version that L had moved on from counts as superseded."""
        if self.forgetting and self.desk.db.nodes.forget_synced(FORGOTTEN_A_STEP) == 0:
            self.desk.db.meta.set(EPOCH, "list")

    # --- a history that was taken back -----------------------------------------------------------------------------

    def load_untold(self) -> None:
        """After a start: R holds changes of ours that the feed has not told yet."""
        if self.desk.db.meta.get(UNTOLD) is not None:
            after = int(self.desk.db.meta.get(TOLD, "0") or 0)
            self.untold = {key: (version, -1) for key, version in self.desk.db.nodes.remote_after(after)}

    def own_change(self, key: NodeKey, version: Version) -> None:
        """Note what an op of ours did: the feed must tell it as well."""
        if version.position > 0:
            self.untold[key] = (version, self.asked)
            self.desk.db.meta.set(UNTOLD, "yes")

    def taken_back(self) -> bool:
        """Return, at the end of the feed, whether it did not tell what we did there before we asked.

        The remote was restored from a backup that is older than our change and younger than our cursor: the cursor
        alone does not show it. Others may have written at the same positions since, and to the same nodes."""
        lost = any(asked < self.asked for _, asked in self.untold.values())
        if not self.untold:
            self.desk.db.meta.delete(UNTOLD)
        return lost

    def _check_passed(self, position: int) -> None:
        """The feed has told all up to *position*, in order: what we did up to there is in it, or in no history now."""
        if any(version.position <= position for version, _ in self.untold.values()):
            self.contradicted = True

    def _check_listed(self) -> None:
        """At the end of a listing: it showed what we did, or something younger."""
        for key, (version, _) in self.untold.items():
            node = self.desk.db.nodes.node(key)
            # What we removed it cannot show.
            if node is not None and isinstance(node.remote, Present):
                self.contradicted |= node.remote.version == version

    def _heard(self, position: int) -> None:
        if position > int(self.desk.db.meta.get(TOLD, "0") or 0):
            self.desk.db.meta.set(TOLD, str(position))

    def _told(self, node: Node, version: Version, *, listed: bool) -> None:
        """The feed tells each change, a listing only what came of them."""
        own = self.untold.get(node.id, (None, 0))[0]
        if own is not None and (version == own or (listed and version.position > own.position)):
            del self.untold[node.id]

    def _told_of_forgotten(self, version: Version) -> None:
        """A node that we removed is forgotten as soon as that is done: only the version says that it was ours."""
        for key, (own, _) in self.untold.items():  # in the order of the feed, so that the first is nearly always it
            if own == version:
                del self.untold[key]
                return

    def take_listed(self, changes: Sequence[Change]) -> None:
        """Write a part of a listing's page: it has no cursor of its own, and a stop begins the listing anew."""
        self._expect(changes)
        for change in changes:
            self._take_one(change, listed=True)
        self.top = max(self.top, youngest(changes))

    def take(self, pulled: Pulled) -> None:
        """Write a page of changes, or what is left of a listing's page, and its cursor."""
        self._expect(pulled.changes)
        for change in pulled.changes:
            self._take_one(change, listed=pulled.full)
        top = youngest(pulled.changes)
        if not pulled.full:
            self._heard(top)
            self._check_passed(top)
            self.desk.db.meta.set("cursor", pulled.cursor)
            return
        self.top = max(self.top, top)
        if pulled.next is None:
            self.desk.db.meta.set("cursor", pulled.cursor)
            if not self.any_position:
                self._check_listed()
            self._heard(self.top)
            self.untold.clear()
            self.desk.db.meta.set(UNLISTED, str(self.generation))

    def conclude_absences(self) -> None:
        """At the end of a listing: nodes it did not name are gone at the remote."""
        generation = self.desk.db.meta.get(UNLISTED)
        if generation is None:
            return
        keys = self.desk.db.nodes.unlisted(int(generation), UNLISTED_A_STEP)
        for key in keys:
            if self.desk.db.queue.may_have_deleted(key):
                # As far as anybody knows it was our own delete, whose reply was lost. Should its person have put it
                # back, then that is no file which somebody else deleted: nothing of hers goes, and it is new (P4, P7).
                self.desk.db.nodes.set_synced(key, Absent())
            self.write(key, Absent())
        if not keys:
            self.desk.db.meta.delete(UNLISTED)
            self.desk.db.meta.delete(EPOCH)

    def _expect(self, changes: Sequence[Change]) -> None:
        """Look up together what is asked of each change: who knows the node, and whether its key is ours."""
        self.desk.db.nodes.expect_ids(change.node.node_id for change in changes)
        self.desk.db.queue.expect(change.key for change in changes if change.key)

    # --- one node ------------------------------------------------------------------------------------------------

    def _take_one(self, change: Change, listed: bool) -> None:
        said = change.node
        if said.node_id == ROOT_ID:
            return
        node = self.desk.db.nodes.by_node_id(said.node_id)
        if node is None:
            if said.deleted:
                self._told_of_forgotten(said.version)
                return  # came and went while this device was away, or went and was forgotten here
            self._take_new(change, listed=listed)
            return
        if node.kind is not said.kind:
            if node.synced != Absent() or not isinstance(node.remote, Unknown):
                self.desk.log("the remote changed the kind of a node; it is left alone", node=said.node_id.hex())
                return
            self.desk.db.nodes.set_kind(node.id, said.kind)  # a placeholder known only as somebody's parent
        if listed:
            self.desk.db.nodes.note_listed(node.id, self.generation)
        self._told(node, said.version, listed=listed)
        if self._is_older(node, said.version):
            self.contradicted |= listed  # the feed follows behind our own changes, a listing does not
            return
        self.contradicted |= self._is_another(node, said.version)
        state = self._state_told(said)
        if change.key and (not listed or self._tells_new(node, said.version)):
            self._own_key(node, change.key, state)
        self.write(node.id, state)

    def _take_new(self, change: Change, *, listed: bool) -> None:
        """Nobody here knew the node: its row is written once, with all that is said."""
        state = self._state_told(change.node)
        key = self.desk.db.nodes.insert(change.node.kind, node_id=change.node.node_id, remote=state)
        node = self.desk.db.nodes.node(key)
        assert node is not None
        if change.key and not (listed and self.any_position):
            self._own_key(node, change.key, state)
        self.desk.touch(key)

    def _state_told(self, said: RemoteNode) -> State:
        state = self.state_of(said)
        if isinstance(state, Present) and not is_text(said.name):
            # Not even the database can keep such a name: what stands here is left alone until it has another (P10).
            return Unknown(Reason.HELD, None, f"its name at the remote is not UTF-8: {shown(said.name)}")
        return state

    def _is_older(self, node: Node, version: Version) -> bool:
        known = node.remote.version if isinstance(node.remote, Present | Absent) else None
        if known is None or self.any_position:
            return False
        return version.position < known.position

    def _is_another(self, node: Node, version: Version) -> bool:
        """Whether two histories gave one position to two changes of the node."""
        known = node.remote.version if isinstance(node.remote, Present | Absent) else None
        same = known is not None and known.position == version.position > 0
        return same and known != version and not self.any_position

    def _tells_new(self, node: Node, version: Version) -> bool:
        """Whether a listing's key can be of a commit whose outcome was never learnt: R did not have it. After a
        changed history it says nothing: what the remote has lost, or has again, is for no side to undo."""
        known = node.remote.version if isinstance(node.remote, Present | Absent) else None
        return not self.any_position and (known is None or version.position > known.position)

    def _own_key(self, node: Node, key: bytes, state: State) -> None:
        """An op of ours whose outcome was never learnt did happen: S becomes what it committed."""
        queued = self.desk.db.queue.by_key(key)
        if queued is None or isinstance(state, Unknown):
            return
        self.desk.db.nodes.set_synced(node.id, after_own_commit(node, queued.op, state))
        # One that runs gets its result yet, and its reply may be lost. The key stays known: other nodes of a place
        # group carry it, too.
        if self.desk.running.get(queued.op.node) != queued.id:
            self.desk.db.queue.abandon(queued.id, self.desk.clock.now())

    def state_of(self, said: RemoteNode) -> Present | Absent:
        """Return R for what the remote says; parents that are not known yet get a placeholder row."""
        if said.deleted:
            return Absent(said.version)
        content = said.content
        return Present(
            Place(self.key_of(said.parent_id), said.name),
            content.hash if content else None,
            said.executable,
            content.size if content else 0,
            said.mtime_ns,
            said.version,
            content.manifest if content else None,
        )

    def key_of(self, node_id: bytes) -> NodeKey:
        """Return the local key of a directory the remote named."""
        if node_id == ROOT_ID:
            return ROOT
        node = self.desk.db.nodes.by_node_id(node_id)
        if node is not None:
            return node.id
        return self.desk.db.nodes.insert(Kind.DIRECTORY, node_id=node_id, remote=Unknown(Reason.NOT_LOOKED))

    def write(self, key: NodeKey, state: State, synced: Present | Absent | None = None) -> None:
        """Set R, and with it S (*synced*) where a commit of ours was answered; remember the version that R supersedes,
        and have the node planned."""
        nodes = self.desk.db.nodes
        node = nodes.node(key)
        if node is None:
            return
        if node.remote == state:
            if synced is not None:
                nodes.set_synced(key, synced)
            return
        was = node.remote.version if isinstance(node.remote, Present | Absent) else None
        now = state.version if isinstance(state, Present | Absent) else None
        if was is not None and was != now:
            nodes.add_past_version(key, was)
        left = place_of(node.remote)
        if left is not None and left != place_of(state):
            self.desk.leaving(key)
        base = node.synced if synced is None else synced
        if isinstance(state, Present) and isinstance(base, Present) and same_fields(state, base) and state != base:
            synced = state  # only the version moved: nothing to plan, S names it
        if synced is not None and not isinstance(state, Unknown):
            nodes.settle_remote(key, synced, state)
        else:
            nodes.set_remote(key, state)
        self._look_at_holds_again(node)
        self._written(node, state)

    def _written(self, node: Node, state: State) -> None:
        self.desk.touch(node.id)
        moved = isinstance(state, Absent) != isinstance(node.remote, Absent)
        if node.kind is Kind.DIRECTORY and moved:
            self.desk.touch_children(Tree.REMOTE, node.id)

    def _look_at_holds_again(self, node: Node) -> None:
        """What was held or excluded because of its name at the remote is decided anew when that name changes."""
        twins = []
        if isinstance(node.remote, Present) and not self.desk.facts.traits.case_sensitive:
            place = node.remote.place
            twins = self.desk.db.nodes.at_folded(Tree.REMOTE, place.parent, place.name)
        for held in (node, *twins):
            if isinstance(held.local, Unknown) and held.local.place is None:
                self.desk.db.nodes.set_local(held.id, Absent(), None)
                self.desk.touch(held.id)


def youngest(changes: Sequence[Change]) -> int:
    return max((change.node.version.position for change in changes), default=0)


def same_fields(one: Present, other: Present) -> bool:
    """Return whether place, content and executable bit agree; versions and times do not decide."""
    return (one.place, one.hash, one.executable) == (other.place, other.hash, other.executable)
