"""Local intake: takes looks in, name by name, as far as a step has room; never plans, never touches the disk."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from syncd.db.facts import HeldEntry
from syncd.engine.desk import BEFORE_ALL, Desk
from syncd.engine.identity import Identity
from syncd.engine.leftovers import is_leftover, let_go
from syncd.engine.local_rows import LocalRows
from syncd.engine.looks import Looks
from syncd.model.job import Lane
from syncd.model.node import (
    EXCLUDED,
    NEVER_SYNCED,
    TAKEN,
    Absent,
    Kind,
    Node,
    Place,
    Present,
    Reason,
    Tree,
    Unknown,
)
from syncd.model.observation import Looked, Seen, Unhashed, UnitFault, UnitLooked, Unseen
from syncd.model.path import ROOT, NodeKey, RelPath
from syncd.observe.durable import CANNOT

ORPHANS_A_STEP = 300
ROWS_A_STEP = 500
PLANNED_A_STEP = 100
"""Rows that are planned in a step, at the least."""
DIRECTORIES_AT_ONCE = 100
HELD_SHOWN = 20
"""Names shown of a directory of which nothing can be said yet."""


@dataclass(slots=True)
class LocalIntake:
    """Writes L from looks."""

    desk: Desk
    looks: Looks
    planned: Callable[[], bool]  # whether all that was taken in so far is
    rows: LocalRows = field(init=False)
    identity: Identity = field(init=False)
    # Directories whose rows below follow them, and the row up to which that was done.
    excluded: list[tuple[NodeKey, Reason, tuple[str, NodeKey]]] = field(default_factory=list)

    taking: deque[Iterator[None]] = field(default_factory=deque)  # looks that are to be taken in, the oldest first
    begun: bool = False  # the oldest is taken in half
    told: int = 0  # turns that the last one took
    patience: int = 0  # steps for which the next one still waits for what that told to be planned
    rows_left: int = ROWS_A_STEP
    usable: dict[int, bool] = field(default_factory=dict)  # per unit, in this step

    def __post_init__(self) -> None:
        self.rows = LocalRows(self.desk)
        self.identity = Identity(self.desk, self.looks, self.rows)

    def take(self, looked: Looked) -> None:
        """Take one look job in, as far as this step has room; ``go_on`` takes the rest in (P11)."""
        self.taking.append(self._rows(looked))
        self._take_rows()

    def go_on(self) -> None:
        """Begin a step: go on with the looks that were larger than the last one had room for."""
        self.rows_left = ROWS_A_STEP
        self.patience = max(0, self.patience - 1)
        self.usable.clear()
        self.identity.coming = None
        self._take_rows()

    @property
    def busy(self) -> bool:
        """Whether something is to be taken in."""
        return self.rows.orphaned or bool(self.taking)

    @property
    def halfway(self) -> bool:
        """Whether L is only half written: planning now would take the rest for missing."""
        return self.rows.orphaned or self.begun

    def _take_rows(self) -> None:
        """Take looks in. What one told is planned, and on its way, before the next is begun: what that may tell is no
        more known than if it were still being looked at. But something may be planned again and again until the next
        look tells more: none waits for longer than planning takes."""
        while self.taking and self.rows_left > 0 and self.desk.room:
            if not self.begun and self.patience and not self.rows.orphaned and not self.planned():
                return
            self.told = self.told + 1 if self.begun else 1
            self.begun = True
            self.rows_left -= 1
            if next(self.taking[0], self) is self:
                self.taking.popleft()
                self.begun = False
                self.patience = 2 + self.told // PLANNED_A_STEP

    def _rows(self, looked: Looked) -> Iterator[None]:
        """Take one look in, row by row: absences first, then directories, then files, so that a move is seen as one."""
        job = looked.job
        asked = list(zip(looked.units, (unit.names for unit in job.units), strict=True))
        usable = [(unit, names) for unit, names in asked if self._usable(unit, names, job.began, job.run)]
        self.usable.update((id(unit), True) for unit, _ in usable)
        # What cannot be listed was looked at, too: nothing more will be known about it by looking again.
        closed = [(unit, names) for unit, names in asked if unit.fault is UnitFault.UNREADABLE]
        covered = frozenset((unit.directory, name) for unit, names in (*usable, *closed) for name in names or (None,))
        self.identity.begin(looked, [unit for unit, _ in usable], covered)
        for unit, names in usable:
            for name in unit.gone:
                if self._still_usable(unit, names, looked):
                    self._gone(unit, name, job.began)
                yield
        arrivals: list[tuple[UnitLooked, tuple[str, ...] | None, Seen]] = []
        for unit, names in usable:
            for seen in unit.seen:
                if self._still_usable(unit, names, looked) and not self.identity.in_place(unit, seen, job.began):
                    arrivals.append((unit, names, seen))
                yield
        for unit, names, seen in sorted(arrivals, key=lambda arrival: arrival[2].kind is not Kind.DIRECTORY):
            # Unless this very look has settled it meanwhile.
            if self._still_usable(unit, names, looked) and not self.identity.in_place(unit, seen, job.began):
                self.identity.arrived(unit, seen, job)
            yield
        for unit, names in usable:
            if self._still_usable(unit, names, looked):
                self._held(unit)
                self._emptied(unit)
            yield
            for settle in self._rest(unit, job.began, job.run):
                if self._still_usable(unit, names, looked):
                    settle()
                yield
        marks = {unit.directory: unit.mark for unit in job.units}
        for unit, _ in usable:
            self.looks.unchanged.found(unit.directory, marks[unit.directory], unit.digest, unit.processed)
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
            self.rows.set_unknown(node, node.local.place, Reason.OTHER_FILE_SYSTEM, "")
            return False
        if unit.fault is UnitFault.DIFFERS:
            self.looks.compare(unit.directory, run)
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
                self.rows.vanish(node)

    def _emptied(self, unit: UnitLooked) -> None:
        """A folder that stayed for the ignored content in it stays no longer than that (P2)."""
        node = self.desk.db.nodes.node(unit.directory)
        if not unit.empty or node is None or not is_leftover(node) or not isinstance(node.remote, Absent):
            return
        if unit.whole:
            let_go(self.desk.db.nodes, node)
            self.desk.touch(node.id)
        else:
            self.looks.hint_all(unit.path)  # what was asked for is gone; whether it was the last, a listing tells

    def mark_orphans(self) -> None:
        """What lies below a vanished directory vanished with it; a bounded number of rows a call."""
        if not self.rows.orphaned or self.taking:  # a folder that is gone at one place may yet arrive at another
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
        self.rows.orphaned = bool(orphans)

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
                self.rows.set_unknown(child, child.local.place, reason, "")
            if child is not None and child.kind is Kind.DIRECTORY:
                self.excluded.append((child.id, reason, BEFORE_ALL))
        return 1 + len(page)

    # --- what could not be read ----------------------------------------------------------------------------------

    def _held(self, unit: UnitLooked) -> None:
        names = [u.name for u in unit.unseen] + [s.name for s in unit.seen] + list(unit.gone)
        held = [HeldEntry(u.name, u.reason.value, u.detail) for u in unit.unseen if u.reason not in NEVER_SYNCED]
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
        wanted = self._wanted(place)
        moving = [node for node in wanted if isinstance(node.local, Present) and node.local.place != place]
        if not nodes.at(Tree.LOCAL, place.parent, place.name):  # else whoever comes waits for it
            self._obstacle(place, unseen, wanted, moving)
        for node in nodes.at(Tree.LOCAL, place.parent, place.name):
            if self.desk.stale(node.id, began):
                continue
            waits = wanted if isinstance(node.remote, Absent) else [one for one in wanted if one.id == node.id]
            if isinstance(node.synced, Absent) and node.fingerprint is None and not waits:
                self.desk.leaving(node.id)  # nobody wants this name any more
                nodes.set_local(node.id, Absent(), None)
            elif node.fingerprint is not None or unseen.reason not in NEVER_SYNCED:
                self.rows.set_unknown(node, place, unseen.reason, unseen.detail)
                if unseen.reason in EXCLUDED and node.kind is Kind.DIRECTORY:
                    self.excluded.append((node.id, unseen.reason, BEFORE_ALL))
                    self.rows.orphaned = True

    def _wanted(self, place: Place) -> Sequence[Node]:
        """Return whom the remote has under a name here."""
        nodes = self.desk.db.nodes
        look = nodes.at if self.desk.facts.traits.case_sensitive else nodes.at_folded
        return look(Tree.REMOTE, place.parent, place.name)

    def _obstacle(self, place: Place, unseen: Unseen, wanted: Sequence[Node], moving: Sequence[Node]) -> None:
        """What is never synced, and has no row, has a name that the remote gives to something: that waits until it is
        gone."""
        for node in wanted:
            if isinstance(node.local, Absent) and isinstance(node.remote, Present) and node.id not in self.desk.running:
                detail = unseen.detail or f"{TAKEN} {unseen.reason.value}"
                self.rows.set_unknown(node, place, Reason.HELD, detail)
        if moving:  # it is here, and says itself where it is: somebody else must say who has the name
            self.desk.db.nodes.insert(Kind.FILE, local=Unknown(unseen.reason, place, unseen.detail), fingerprint=None)
        for node in moving:
            self.desk.touch(node.id)

    def _unhashed(self, unit: UnitLooked, unhashed: Unhashed, began: int) -> None:
        reason = Reason.BUSY if unhashed.busy else Reason.NOT_LOOKED
        place = Place(unit.directory, unhashed.name)
        occupants = self.desk.db.nodes.at(Tree.LOCAL, unit.directory, unhashed.name)
        files = [node for node in occupants if node.kind is Kind.FILE]
        for node in files:
            if not self.desk.stale(node.id, began):
                self.rows.set_unknown(node, place, reason, unhashed.detail)
        if not files:
            for node in occupants:
                self.rows.vanish(node)
            # Not yet a node that could be planned, but its name is taken and it is shown.
            self.desk.db.nodes.insert(Kind.FILE, local=Unknown(reason, place), fingerprint=None)
        if unhashed.busy:
            self.looks.hint(unit.path, unhashed.name)
        else:
            self.looks.hash_whole(unit.directory, [unhashed.name])
