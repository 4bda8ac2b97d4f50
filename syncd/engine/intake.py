"""Local intake: turns what looks saw into L. Decides which node a name is; never plans, never touches the disk."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from syncd.db.facts import HeldEntry
from syncd.engine.desk import BEFORE_ALL, Desk
from syncd.engine.leftovers import at_place, is_leftover
from syncd.engine.looks import Looks
from syncd.model.job import Lane, LookJob
from syncd.model.node import Absent, Fingerprint, Kind, Node, Place, Present, Reason, Tree, Unknown, place_of
from syncd.model.observation import Looked, Seen, Unhashed, UnitFault, UnitLooked, Unseen
from syncd.model.op import Side
from syncd.model.path import ROOT, NodeKey, RelPath
from syncd.observe.durable import CANNOT

ORPHANS_A_STEP = 300
EXCLUDED = frozenset({Reason.IGNORED, Reason.NOT_SELECTED})
UNSHOWN = EXCLUDED | {Reason.SIDECAR}
GONE = frozenset({UnitFault.GONE, UnitFault.NOT_A_DIRECTORY})
ROWS_A_STEP = 500
DIRECTORIES_AT_ONCE = 100
HELD_SHOWN = 20
"""Names shown of a directory of which nothing can be said yet."""
DAMAGED = "its content changed although its times did not: damaged on disk? save it again to sync it as it is"


@dataclass(slots=True)
class LocalIntake:
    """Writes L from looks."""

    desk: Desk
    looks: Looks
    orphaned: bool = True  # a stop may have left some
    gone: set[NodeKey] = field(default_factory=set)  # directories that the look being taken in did not find
    # Directories whose rows below follow them, and the row up to which that was done.
    excluded: list[tuple[NodeKey, Reason, tuple[str, NodeKey]]] = field(default_factory=list)

    taking: deque[Iterator[None]] = field(default_factory=deque)  # looks that are being taken in, the oldest first
    rows_left: int = ROWS_A_STEP
    usable: dict[int, bool] = field(default_factory=dict)  # per unit, in this step
    coming: frozenset[Place] | None = None  # in this step: ops begin only at its end

    def take(self, looked: Looked) -> None:
        """Take one look job in, as far as this step has room; ``go_on`` takes the rest in (P11)."""
        self.taking.append(self._rows(looked))
        self._take_rows()

    def go_on(self) -> None:
        """Begin a step: go on with the looks that were larger than the last one had room for."""
        self.rows_left = ROWS_A_STEP
        self.usable.clear()
        self.coming = None
        self._take_rows()

    @property
    def busy(self) -> bool:
        """Whether L is only half written: planning now would take the rest for missing."""
        return self.orphaned or bool(self.taking)

    def _take_rows(self) -> None:
        while self.taking and self.rows_left > 0 and self.desk.room:
            self.rows_left -= 1
            if next(self.taking[0], self) is self:
                self.taking.popleft()

    def _rows(self, looked: Looked) -> Iterator[None]:
        """Take one look in, row by row: absences first, then directories, then files, so that a move is seen as one."""
        job = looked.job
        asked = list(zip(looked.units, (unit.names for unit in job.units), strict=True))
        usable = [(unit, names) for unit, names in asked if self._usable(unit, names, job.began, job.run)]
        self.usable.update((id(unit), True) for unit, _ in usable)
        # What cannot be listed was looked at, too: nothing more will be known about it by looking again.
        closed = [(unit, names) for unit, names in asked if unit.fault is UnitFault.UNREADABLE]
        self.gone = {unit.directory for unit in looked.units if unit.fault in GONE}
        folders = {
            (seen.fingerprint.dev, seen.fingerprint.ino)
            for unit, _ in usable
            for seen in unit.seen
            if seen.kind is Kind.DIRECTORY
        }
        covered = {(unit.directory, name) for unit, names in (*usable, *closed) for name in names or (None,)}
        for unit, names in usable:
            for name in unit.gone:
                if self._still_usable(unit, names, looked):
                    self._gone(unit, name, job.began)
                yield
        arrivals: list[tuple[UnitLooked, tuple[str, ...] | None, Seen]] = []
        for unit, names in usable:
            for seen in unit.seen:
                if self._still_usable(unit, names, looked) and not self._in_place(unit, seen, job.began, folders):
                    arrivals.append((unit, names, seen))
                yield
        for unit, names, seen in sorted(arrivals, key=lambda arrival: arrival[2].kind is not Kind.DIRECTORY):
            # Unless this very look has settled it meanwhile.
            if self._still_usable(unit, names, looked) and not self._in_place(unit, seen, job.began, folders):
                self._arrived(unit, seen, covered, job)
            yield
        for unit, names in usable:
            if self._still_usable(unit, names, looked):
                self._held(unit)
            yield
            for settle in self._rest(unit, job.began, job.run):
                if self._still_usable(unit, names, looked):
                    settle()
                yield
        self.desk.came_back(Lane.LOOK)
        self.looks.came_back(
            job, sum(u.processed for u in looked.units), sum(u.fault is not None for u in looked.units)
        )

    # --- whether a unit may be believed --------------------------------------------------------------------------

    def _still_usable(self, unit: UnitLooked, names: tuple[str, ...] | None, looked: Looked) -> bool:
        """Whether a unit that was usable still is: between two steps, ops may have begun or ended on it."""
        found = self.usable.get(id(unit))
        if found is None:
            found = self.usable[id(unit)] = self._usable(unit, names, looked.job.began, looked.job.run)
        return found

    def _usable(self, unit: UnitLooked, names: tuple[str, ...] | None, began: int, run: int | None) -> bool:
        node = self.desk.db.nodes.node(unit.directory)
        path = self.desk.local_path(unit.directory)
        if node is None or path is None or isinstance(node.local, Absent):
            return False
        if unit.fault is UnitFault.UNREADABLE:
            # A locked folder is not a deleted folder: L keeps its word on everything below, and it is shown.
            if path:
                parent = node.local.place.parent if node.local.place else ROOT
                entry = HeldEntry(path[-1], unit.fault.value, "what is in it cannot be listed")
                self.desk.db.held.replace(parent, [entry], [path[-1]])
            return False
        if unit.fault is UnitFault.OTHER_FILE_SYSTEM and isinstance(node.local, Present):
            self._set_unknown(node, node.local.place, Reason.OTHER_FILE_SYSTEM, "")
            return False
        if unit.fault is UnitFault.NOT_DURABLE:
            self._not_durable(unit, path, run)
            return False
        moved_on = path != unit.path or self.desk.stale(unit.directory, began)
        replaced = node.fingerprint is None or (unit.dev, unit.ino) != (node.fingerprint.dev, node.fingerprint.ino)
        if unit.fault is not None or moved_on or replaced:
            if not path and (unit.fault is not None or replaced):
                self.looks.ask_full()  # the root itself: only fresh proof of identity can tell
            elif unit.fault is not None or replaced:
                self.looks.hint(path[:-1], path[-1])  # the parent says what became of it
            elif unit.whole:
                self.looks.defer(unit.directory, run)
            else:
                for name in names or ():
                    self.looks.hint(path, name)
            return False
        return True

    def _not_durable(self, unit: UnitLooked, path: RelPath, run: int | None) -> None:
        """L keeps its word on all that is in the directory, and it is looked at again, with growing patience."""
        names = [*(seen.name for seen in unit.seen), *unit.gone][:HELD_SHOWN]
        entries = [HeldEntry(name, UnitFault.NOT_DURABLE.value, CANNOT) for name in names]
        self.desk.db.held.replace(unit.directory, entries, names)
        self.looks.hint_all(path)
        if run is not None and unit.whole:
            self._descend(unit, unit.directories, run)  # the folders in it can speak for themselves

    # --- absences ------------------------------------------------------------------------------------------------

    def _gone(self, unit: UnitLooked, name: str, began: int) -> None:
        for node in self.desk.db.nodes.at(Tree.LOCAL, unit.directory, name):
            if self.desk.stale(node.id, began):
                self.looks.hint(unit.path, name)
            else:
                self.vanish(node)

    def vanish(self, node: Node) -> None:
        """L no longer has the node; its fingerprint and hash stay, so that a move can be recognised."""
        self.desk.leaving(node.id)
        self.desk.db.nodes.set_local(node.id, Absent(), None)
        if node.kind is Kind.DIRECTORY:
            self.orphaned = True

    def mark_orphans(self) -> None:
        """What lies below a vanished directory vanished with it; a bounded number of rows a call."""
        if not self.orphaned or self.taking:  # a folder that is gone at one place may yet arrive at another
            return
        left = ORPHANS_A_STEP
        while self.excluded and left > 0:
            left -= self._exclude_below(*self.excluded.pop(), left)
        if self.excluded or left <= 0:
            return
        orphans = self.desk.db.nodes.local_orphans(ORPHANS_A_STEP)
        for key in orphans:
            self.desk.leaving(key)
            self.desk.db.nodes.set_local(key, Absent(), None)
        self.orphaned = bool(orphans)

    def _exclude_below(self, directory: NodeKey, reason: Reason, after: tuple[str, NodeKey], limit: int) -> int:
        """What lies below an excluded directory is excluded with it; returns how many rows were looked at."""
        node = self.desk.db.nodes.node(directory)
        if node is None or not isinstance(node.local, Unknown) or node.local.reason is not reason:
            return 1  # a later look, under other rules, found it again
        page = self.desk.db.nodes.children_after(Tree.LOCAL, directory, after, limit)
        if len(page) == limit:
            self.excluded.append((directory, reason, page[-1]))
        for _, key in page:
            child = self.desk.db.nodes.node(key)
            if child is not None and isinstance(child.local, Present):
                self._set_unknown(child, child.local.place, reason, "")
            if child is not None and child.kind is Kind.DIRECTORY:
                self.excluded.append((child.id, reason, BEFORE_ALL))
        return 1 + len(page)

    # --- presences -----------------------------------------------------------------------------------------------

    def _in_place(self, unit: UnitLooked, seen: Seen, began: int, folders: set[tuple[int, int]]) -> bool:
        """Settle a name whose place keeps its node; returns whether it is settled. *folders*: the inodes of all that
        the look saw, wherever."""
        occupants = self.desk.db.nodes.at(Tree.LOCAL, unit.directory, seen.name)
        arriving = self.desk.db.nodes.at(Tree.REMOTE, unit.directory, seen.name)
        under_way = any(node.id in self.desk.running for node in arriving)
        coming = under_way or Place(unit.directory, seen.name) in self._coming()
        if coming or any(self.desk.stale(node.id, began) for node in occupants):
            self.looks.hint(unit.path, seen.name)
            return True
        for node in occupants:
            if node.kind is not seen.kind:
                self.vanish(node)
        same = [node for node in occupants if node.kind is seen.kind]
        for node in same:
            if self._is_placeholder(node):
                self.desk.db.nodes.delete(node.id)  # its content is known only now: it may be a file that moved
                same = []
        if not same:
            return False
        node = same[0]
        if seen.kind is Kind.DIRECTORY:
            mover = self._directory_by_inode(seen.fingerprint)
            if mover is not None and mover.id != node.id:
                return False
            was = node.fingerprint
            descend = was is None or was.ino != seen.fingerprint.ino
            if descend and was is not None and (was.dev, was.ino) in folders and self._was(was):
                return False  # the folder we know is somewhere else now, and this one is new
            self._put(node, unit.directory, seen)
            if descend and not unit.whole:
                self.looks.descend([node.id], None)
            return True
        self._put(node, unit.directory, seen)
        return True

    def _coming(self) -> frozenset[Place]:
        """Return where ops under way put something: what is seen there may be theirs, whatever R says by now."""
        if self.coming is None:
            ops = [queued.op for queued in self.desk.db.queue.running()] if self.desk.running else []
            self.coming = frozenset(op.place for op in ops if op.side is Side.LOCAL)
        return self.coming

    def _is_placeholder(self, node: Node) -> bool:
        never_read = isinstance(node.local, Unknown) and self._last_hash(node) is None
        return node.kind is Kind.FILE and never_read and node.synced == Absent() and node.remote == Absent()

    def _was(self, fingerprint: Fingerprint) -> list[Node]:
        """Return whom an inode stood for. Where mounts make numbers up they say nothing: two folders that got each
        other's would look like folders that a person exchanged."""
        stable = self.desk.facts.traits.stable_inodes
        return self.desk.db.nodes.by_inode(fingerprint.dev, fingerprint.ino) if stable else []

    def _directory_by_inode(self, fingerprint: Fingerprint) -> Node | None:
        for node in self._was(fingerprint):
            if node.kind is Kind.DIRECTORY and node.id != ROOT and node.id not in self.desk.running:
                return node
        return None

    def _arrived(self, unit: UnitLooked, seen: Seen, covered: set[tuple[NodeKey, str | None]], job: LookJob) -> None:
        """Settle a name whose place does not keep a node: it came from somewhere else, or it is new."""
        if seen.kind is Kind.DIRECTORY:
            self._directory_arrived(unit, seen, job)
            return
        here = Place(unit.directory, seen.name)
        others: list[Place] = []
        for node in self._was(seen.fingerprint):
            if node.kind is not seen.kind:
                continue
            if self.desk.stale(node.id, job.began):
                # An op may be moving it right now, or ended since: where it went, and that it left, one look must see.
                self.looks.hint(unit.path, seen.name)
                return
            match node.local:
                case Absent() if self._last_hash(node) == seen.hash and seen.hash is not None:
                    self._put(node, unit.directory, seen)
                    return
                case Present(place=place) if place != here:
                    others.append(place)
        if any(old.parent in self.gone for old in others):
            self.looks.hint(unit.path, seen.name)  # its old folder went with it: the look at that one's parent tells
            return
        if any((old.parent, None) not in covered and (old.parent, old.name) not in covered for old in others):
            # The old place, or all those of a file with several links, must be seen empty in the same look before this
            # is called a move.
            self.looks.together([(place.parent, place.name) for place in (*others, here)])
            return
        if seen.hash is not None and seen.fingerprint.size > 0:
            twins = self.desk.db.nodes.vanished_with_hash(seen.kind, seen.hash)
            twins = [node for node in twins if node.id not in self.desk.running]
            if len(twins) == 1:
                self._put(twins[0], unit.directory, seen)
                return
        self._insert(unit, seen)

    def _directory_arrived(self, unit: UnitLooked, seen: Seen, job: LookJob) -> None:
        place = Place(unit.directory, seen.name)
        for node in self.desk.db.nodes.at(Tree.LOCAL, unit.directory, seen.name):
            self.vanish(node)  # what stood here was displaced by a directory we know
        here = self.desk.db.nodes.by_inode(seen.fingerprint.dev, seen.fingerprint.ino)
        if any(node.kind is Kind.DIRECTORY and self.desk.stale(node.id, job.began) for node in here):
            self.looks.hint(unit.path, seen.name)  # an op may be moving it right now, or ended since
            return
        mover = self._directory_by_inode(seen.fingerprint)
        if mover is not None and not self._is_ancestor(mover.id, unit.directory):
            was_absent = isinstance(mover.local, Absent)
            self._put(mover, unit.directory, seen)
            if was_absent or job.run is None:
                self.looks.descend([mover.id], None)
            return
        key = self._insert(unit, seen)
        if not unit.whole or job.run is None:
            self.looks.descend([key], None)
        assert self.desk.db.nodes.node(key) is not None, place

    def _is_ancestor(self, key: NodeKey, below: NodeKey) -> bool:
        while below != ROOT:
            if below == key:
                return True
            node = self.desk.db.nodes.node(below)
            if node is None or not isinstance(node.local, Present):
                return False
            below = node.local.place.parent
        return False

    def _last_hash(self, node: Node) -> bytes | None:
        return self.desk.db.nodes.last_local_hash(node.id)

    # --- writing -------------------------------------------------------------------------------------------------

    def _present(self, node: Node | None, directory: NodeKey, seen: Seen) -> Present:
        executable = seen.executable
        if not self.desk.facts.traits.executable_bit:  # a missing trait is never observed as a change
            known = [s for s in (node.synced, node.remote) if isinstance(s, Present)] if node else []
            executable = known[0].executable if known else False
        size = seen.fingerprint.size if seen.kind is not Kind.DIRECTORY else 0
        return Present(Place(directory, seen.name), seen.hash, executable, size, seen.fingerprint.mtime_ns)

    def _put(self, node: Node, directory: NodeKey, seen: Seen) -> None:
        if self._is_damaged(node, directory, seen):
            return
        state: Present | Unknown
        if is_leftover(node):
            state = at_place(node, Place(directory, seen.name))
        else:
            state = self._present(node, directory, seen)
        if state == node.local and node.fingerprint == seen.fingerprint and node.racy == seen.racy:
            return
        if place_of(node.local) != place_of(state):
            self.desk.leaving(node.id)
        self.desk.db.nodes.set_local(node.id, state, seen.fingerprint, seen.racy)
        if isinstance(state, Present):  # a leftover in a leftover makes no more of it
            self._parent_is_more_than_leftover(directory)
        self.desk.touch(node.id)

    def _is_damaged(self, node: Node, directory: NodeKey, seen: Seen) -> bool:
        """Bit rot is no edit: it is shown, and travels nowhere until somebody writes the file."""
        local = node.local
        known = isinstance(local, Unknown) and local.detail == DAMAGED and node.fingerprint == seen.fingerprint
        if seen.corrupt and not known:
            self._set_unknown(node, Place(directory, seen.name), Reason.HELD, DAMAGED)
        return known or seen.corrupt

    def _insert(self, unit: UnitLooked, seen: Seen) -> NodeKey:
        key = self.desk.db.nodes.insert(
            seen.kind,
            local=self._present(None, unit.directory, seen),
            fingerprint=seen.fingerprint,
            racy=seen.racy,
        )
        self._parent_is_more_than_leftover(unit.directory)
        self.desk.touch(key)
        return key

    def _parent_is_more_than_leftover(self, directory: NodeKey) -> None:
        """A leftover directory becomes an ordinary one as soon as something not ignored appears in it."""
        node = self.desk.db.nodes.node(directory)
        while node is not None and is_leftover(node):
            place = place_of(node.local)
            assert place is not None
            self.desk.db.nodes.set_local(node.id, Present(place), node.fingerprint)
            self.desk.touch(node.id)
            node = self.desk.db.nodes.node(place.parent)

    def _set_unknown(self, node: Node, place: Place | None, reason: Reason, detail: str) -> None:
        state = Unknown(reason, place, detail)
        if node.local != state:
            self.desk.db.nodes.set_local(node.id, state, node.fingerprint, node.racy)
            self.desk.touch(node.id)

    # --- what could not be read ----------------------------------------------------------------------------------

    def _held(self, unit: UnitLooked) -> None:
        names = [u.name for u in unit.unseen] + [s.name for s in unit.seen] + list(unit.gone)
        held = [HeldEntry(u.name, u.reason.value, u.detail) for u in unit.unseen if u.reason not in UNSHOWN]
        self.desk.db.held.replace(unit.directory, held, None if unit.whole else names)

    def _rest(self, unit: UnitLooked, began: int, run: int | None) -> Iterator[Callable[[], None]]:
        """Yield what is left to be done about a unit, name by name."""
        for unseen in unit.unseen:
            yield partial(self._unseen, unit, unseen, began)
        for unhashed in unit.unhashed:
            yield partial(self._unhashed, unit, unhashed, began)
        if run is not None and unit.whole:
            for at in reversed(range(0, len(unit.directories), DIRECTORIES_AT_ONCE)):  # the first on top
                yield partial(self._descend, unit, unit.directories[at : at + DIRECTORIES_AT_ONCE], run)

    def _descend(self, unit: UnitLooked, names: Sequence[str], run: int) -> None:
        found = (self.desk.db.nodes.at(Tree.LOCAL, unit.directory, name) for name in names)
        self.looks.descend([n.id for nodes in found for n in nodes if n.kind is Kind.DIRECTORY], run or None)

    def _unseen(self, unit: UnitLooked, unseen: Unseen, began: int) -> None:
        nodes, place = self.desk.db.nodes, Place(unit.directory, unseen.name)
        for node in nodes.at(Tree.REMOTE, place.parent, place.name):
            if isinstance(node.local, Absent) and isinstance(node.remote, Present) and node.id not in self.desk.running:
                # It arrives where something lies that is never synced, and waits until that is gone.
                detail = unseen.detail or f"what has its name here is {unseen.reason.value}"
                self._set_unknown(node, place, Reason.HELD, detail)
        for node in nodes.at(Tree.LOCAL, place.parent, place.name):
            if self.desk.stale(node.id, began):
                continue
            if isinstance(node.synced, Absent) and place_of(node.remote) != place and node.fingerprint is None:
                nodes.set_local(node.id, Absent(), None)  # it only waited for this name, and wants another one now
                self.desk.touch(node.id)
            elif node.fingerprint is not None or unseen.reason not in UNSHOWN:
                self._set_unknown(node, place, unseen.reason, unseen.detail)
                if unseen.reason in EXCLUDED and node.kind is Kind.DIRECTORY:
                    self.excluded.append((node.id, unseen.reason, BEFORE_ALL))
                    self.orphaned = True

    def _unhashed(self, unit: UnitLooked, unhashed: Unhashed, began: int) -> None:
        reason = Reason.BUSY if unhashed.busy else Reason.NOT_LOOKED
        place = Place(unit.directory, unhashed.name)
        occupants = self.desk.db.nodes.at(Tree.LOCAL, unit.directory, unhashed.name)
        files = [node for node in occupants if node.kind is Kind.FILE]
        for node in files:
            if not self.desk.stale(node.id, began):
                self._set_unknown(node, place, reason, unhashed.detail)
        if not files:
            for node in occupants:
                self.vanish(node)
            # Not yet a node that could be planned, but its name is taken and it is shown.
            self.desk.db.nodes.insert(Kind.FILE, local=Unknown(reason, place), fingerprint=None)
        if unhashed.busy:
            self.looks.hint(unit.path, unhashed.name)
        else:
            self.looks.hash_whole(unit.directory, [unhashed.name])
