"""Orders looks: hints as they settle, whole walks as resumable runs. Owns the frontier of every walk; decides nothing
about nodes (intake does)."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from syncd.db.codec import HASH_ALG
from syncd.db.runs import RunKind, RunStatus
from syncd.engine.desk import Desk
from syncd.engine.unchanged import Unchanged
from syncd.engine.walk import Walk
from syncd.model.job import Lane, LookJob, LookUnit, ProveJob
from syncd.model.node import Absent, Kind, Tree
from syncd.model.path import ROOT, NodeKey, RelPath
from syncd.observe.coalesce import Coalescer
from syncd.observe.databases import with_owners

UNITS_A_JOB = 64
ENTRIES_A_JOB = 4000
NEW_ENTRIES = 250
"""For how many entries a directory counts that was never looked at: what is in it is to be read, and is sent on while
the next ones are read."""
NEW_REMEMBERED = 10_000
"""New directories that are remembered one by one: with more, everything is looked at once more."""
HASH_LIMIT = 64 << 20
DEEP_A_JOB = 64 << 20
"""Bytes of files after which a job of a deep walk takes no further directory."""
LONGEST_REST = 60.0
"""Seconds a gentle walk rests between two jobs at most."""
SAVE_EVERY = 5.0
FRONTIER_KEPT = 20_000


@dataclass(slots=True)
class Looks:
    """What is to be looked at, and what is being looked at."""

    desk: Desk
    coalescer: Coalescer = field(default_factory=Coalescer)
    walks: dict[int, Walk] = field(default_factory=dict)
    adhoc: Walk = field(default_factory=lambda: Walk(RunKind.SUBTREE, None, []))
    asked: RunKind | None = None
    proving: bool = False
    doubt_watcher: bool = False
    gently: bool = False  # what was asked for, nobody waits for
    proven: bool = False
    completed: int = 0  # full walks completed since start; a barrier compares it
    started: int = 0  # full walks started since start
    extra: deque[tuple[tuple[NodeKey, tuple[str, ...]], ...]] = field(default_factory=deque)
    new: dict[RelPath, None] = field(default_factory=dict)  # directories, in the order in which they came
    hashing: int = 0
    on_over: Callable[[Walk], None] = lambda walk: None
    rules: str = ""  # digest of the ignore rules in force
    unchanged: Unchanged = field(default_factory=Unchanged)

    def __post_init__(self) -> None:
        self.desk.db.nodes.written_in = self.unchanged.written

    # --- asking --------------------------------------------------------------------------------------------------

    def ask_full(self, deep: bool = False, doubt_watcher: bool = False, gently: bool = False) -> int:
        """Order a full walk that begins after this moment; returns the value *completed* reaches when it is done.

        With *doubt_watcher* the watcher has to prove itself, too (after a suspend). *gently*: it is only its time; else
        a gentle walk under way goes on at full speed, because this one comes after it."""
        self.doubt_watcher = self.doubt_watcher or doubt_watcher
        self.gently = gently and (self.gently or self.asked is None)
        if not gently:
            for walk in self.walks.values():
                walk.gentle, walk.rest_until = False, 0.0
        if deep or self.asked is RunKind.DEEP:
            self.asked = RunKind.DEEP
        else:
            self.asked = RunKind.QUICK
        if not self.proving:
            self.prove()
        return self.started + 1

    def rules_are(self, digest: str) -> None:
        """Other ignore rules are in force: a run that saw anything under the former ones is begun anew."""
        if digest == self.rules:
            return
        self.rules = digest
        self.unchanged.written(None)
        for run, walk in list(self.walks.items()):
            if walk.processed or walk.resumed:
                del self.walks[run]
                self.desk.db.runs.finish(run, RunStatus.CANCELLED, self.desk.clock.now())
                self.ask_full(deep=walk.kind is RunKind.DEEP)

    def look_below(self, directory: RelPath) -> None:
        """Look at everything in and below *directory*, of which events were lost."""
        key = self.desk.db.nodes.find(Tree.LOCAL, directory) if directory else None
        if key is None:
            self.ask_full()  # the root itself, or a folder that is somewhere else by now
        else:
            self.hint(directory[:-1], directory[-1])
            self.descend([key], None)

    def prove(self) -> None:
        """Ask for proof of the root's identity; a walk starts only from fresh proof."""
        if not self.proving:
            self.proving = True
            self.desk.send(ProveJob(self.doubt_watcher))
            self.doubt_watcher = False

    def hint(self, directory: RelPath, name: str) -> None:
        """Look at *name* in *directory* soon."""
        self.coalescer.add(directory, name, self.desk.clock.monotonic())

    def arrived(self, directory: RelPath) -> None:
        """Look at all that is directly in a new directory, once it is known: some of it may be older than its watch."""
        if len(self.new) < NEW_REMEMBERED:
            self.new[directory] = None
        else:
            self.new.clear()
            self.ask_full()

    def hint_all(self, directory: RelPath) -> None:
        """Look at all that is directly in *directory* soon; the more often it is asked for, the later."""
        self.coalescer.add_whole(directory, self.desk.clock.monotonic())

    def hint_node(self, key: NodeKey) -> None:
        """Look soon at the place where L has, or last had, the node."""
        path = self.desk.local_path(key)
        if path:
            self.hint(path[:-1], path[-1])

    def hint_in(self, directory: NodeKey, name: str) -> None:
        """Look soon at *name* in the directory with this key, if L has it."""
        path = self.desk.local_path(directory)
        if path is not None:
            self.hint(path, name)

    def descend(self, directories: Iterable[NodeKey], run: int | None) -> None:
        """Add directories to a walk (the ad hoc one without *run*); they are visited in the order given.

        Those of a run that was given up are visited by the one that follows it."""
        if run is None or run in self.walks:
            self._walk(run).add(directories)

    def joined(self, directory: NodeKey) -> None:
        """Two rows became this one; a look or a walk under way may name the other, and would come to nothing."""
        if not self.quiet:
            self.descend([directory], None)

    def compare(self, directory: NodeKey, run: int | None) -> None:
        """The listing of a directory is another one than it was: compare it name by name."""
        self.unchanged.written(directory)
        self._walk(run).add([directory])

    def defer(self, directory: NodeKey, run: int | None) -> None:
        """Visit a directory once no op works on it, or above it, any more."""
        self._walk(run).deferred.append(directory)

    def _walk(self, run: int | None) -> Walk:
        return self.walks.get(run, self.adhoc) if run is not None else self.adhoc

    def together(self, places: Sequence[tuple[NodeKey, str]]) -> None:
        """Look at several places in one job, so that a move can be told from a copy."""
        self.extra.append(tuple((directory, (name,)) for directory, name in places))

    def hash_whole(self, directory: NodeKey, names: Sequence[str], *, deep: bool = False) -> None:
        """Read files that were over a job's limit, each in a job of its own, without a limit. *deep*: also what has the
        fingerprint for which its content is known."""
        for name in names:
            unit = self._unit(directory, (name,))
            if unit is not None:
                self.hashing += 1
                self.desk.send(LookJob((unit,), self.desk.seq, deep=deep, hash_limit=None))

    # --- handing out ---------------------------------------------------------------------------------------------

    def start_walk(self, kind: RunKind, now: float) -> None:
        """Start the full walk that was asked for; call only with the root freshly proven."""
        gentle = self.gently and kind is RunKind.DEEP
        self.proven, self.asked, self.gently = True, None, False
        stack, run, parameters = [ROOT], None, self.parameters(kind)
        for active in self.desk.db.runs.active():
            if active.kind is RunKind.DEEP and kind is RunKind.DEEP and active.parameters == parameters:
                run, stack = active.id, self._resumed(active.cursor)
            else:
                # Quick walks begin anew: what was visited before a stop may have changed while nobody watched.
                self.desk.db.runs.finish(active.id, RunStatus.CANCELLED, now)
        resumed = run is not None
        if run is None:
            run = self.desk.db.runs.start(kind, parameters, now)
        self.desk.db.nodes.begin_scan(run)
        self.started += 1
        self.walks[run] = Walk(kind, run, [], resumed=resumed, gentle=gentle)
        self.walks[run].add(stack)

    def parameters(self, kind: RunKind) -> str:
        """Return, as JSON, what a run is made under: frozen, and an interrupted run goes on only under the same."""
        root = self.desk.db.nodes.node(ROOT)
        inode = root.fingerprint.ino if root is not None and root.fingerprint is not None else 0
        frozen = {"deep": kind is RunKind.DEEP, "hash": HASH_ALG, "root": inode, "rules": self.rules}
        return json.dumps(frozen, sort_keys=True)

    def _resumed(self, cursor: str) -> list[NodeKey]:
        if not cursor:
            return [ROOT]
        return [key for key in json.loads(cursor) if isinstance(key, int)] or [ROOT]

    def due(self) -> float | None:
        """Return when the next hint, or the next job of a walk that rests, is due (monotonic), if anything may be."""
        if not self.proven:
            return None
        resting = [walk.rest_until for walk in self.walks.values() if walk.gentle and walk.stack and not walk.in_flight]
        hinted = self.coalescer.next_due()
        dues = resting if self._room else []  # without room a job that comes back brings the next step
        return min(dues if hinted is None else [*dues, hinted], default=None)

    @property
    def _room(self) -> bool:
        return self.desk.in_flight.get(Lane.LOOK, 0) < 2 * self.desk.settings.look_width

    def dispatch(self) -> None:
        """Hand out as many looks as fit."""
        if not self.proven:
            return
        now = self.desk.clock.monotonic()
        # All that is due goes out in as few jobs as can be: both ends of a move should be in one.
        hinted = [self._hinted(directory, names) for directory, names in self.coalescer.due(now)]
        units = [unit for unit in hinted if unit is not None]
        for at in range(0, len(units), UNITS_A_JOB):
            self.desk.send(LookJob(tuple(units[at : at + UNITS_A_JOB]), self.desk.seq, hash_limit=HASH_LIMIT))
        while self.extra:
            units = [unit for d, wanted in self.extra.popleft() if (unit := self._unit(d, wanted)) is not None]
            if units:
                self.desk.send(LookJob(tuple(units), self.desk.seq, hash_limit=HASH_LIMIT))
        for walk in (self.adhoc, *self.walks.values()):
            ready = [key for key in walk.deferred if not self.desk.stale(key, self.desk.seq)]
            walk.deferred = [key for key in walk.deferred if key not in ready]
            walk.add(ready)
            while walk.may_go_on(now) and self._room:
                self._hand_out(walk)
        while self.new and not self.adhoc.stack and self._room:  # what was read just now is only compared
            self._hand_out_new()

    def _hinted(self, directory: RelPath, names: Sequence[str] | None) -> LookUnit | None:
        """Return the look a hint asks for: at the nearest directory that L has."""
        nodes = self.desk.db.nodes
        key = nodes.find(Tree.LOCAL, directory)
        while key is None and directory:
            directory, names = directory[:-1], (directory[-1],)
            key = nodes.find(Tree.LOCAL, directory)
        return None if key is None else self._unit(key, None if names is None else with_owners(names))

    def _hand_out(self, walk: Walk) -> None:
        deep = walk.kind is RunKind.DEEP
        units = self._units((walk.next() for _ in range(len(walk.stack))), deep)
        if units:
            walk.in_flight += 1
            walk.began = self.desk.clock.monotonic()
            limit = None if deep else HASH_LIMIT
            self.desk.send(LookJob(tuple(units), self.desk.seq, run=walk.run or 0, deep=deep, hash_limit=limit))

    def _hand_out_new(self) -> None:
        units = self._units(self._known_of_new(), deep=False)
        if units:
            self.desk.send(LookJob(tuple(units), self.desk.seq, hash_limit=HASH_LIMIT))

    def _known_of_new(self) -> Iterator[NodeKey]:
        """Yield the new directories by their keys; of one that has none yet, the nearest above it is asked."""
        nodes = self.desk.db.nodes
        while self.new:
            directory = next(iter(self.new))
            del self.new[directory]
            key, name = nodes.find(Tree.LOCAL, directory), ""
            if key is not None:
                yield key
                continue
            while key is None and directory:
                directory, name = directory[:-1], directory[-1]
                key = nodes.find(Tree.LOCAL, directory)
            self.hint(directory, name)

    def _units(self, directories: Iterator[NodeKey], deep: bool) -> list[LookUnit]:
        """Take as many directories as one job may have."""
        units: list[LookUnit] = []
        entries = size = 0
        while len(units) < UNITS_A_JOB and entries < ENTRIES_A_JOB and size < DEEP_A_JOB:
            key = next(directories, None)
            if key is None:
                break
            compared = None if deep else self.unchanged.compared.get(key)
            unit = self._unit(key, None, None if compared is None else compared[0])
            if unit is not None:
                units.append(unit)
                entries += (compared[1] if compared is not None else len(unit.known)) or NEW_ENTRIES
                size += sum(entry.fingerprint.size for entry in unit.known if entry.fingerprint) if deep else 0
        return units

    def _unit(self, key: NodeKey, names: tuple[str, ...] | None, digest: bytes | None = None) -> LookUnit | None:
        path = self.desk.db.nodes.path(Tree.LOCAL, key)
        node = self.desk.db.nodes.node(key)
        if path is None or node is None or node.kind is not Kind.DIRECTORY or isinstance(node.local, Absent):
            return None
        if digest is not None:
            return LookUnit(key, path, None, (), digest)
        mark = self.unchanged.ask(key) if names is None else 0
        known = self.desk.db.nodes.known(key, names)
        if not self.desk.facts.traits.executable_bit:  # what the file system shows is made up
            known = tuple(replace(entry, executable=None) for entry in known)
        return LookUnit(key, path, names, known, mark=mark)

    # --- coming back ---------------------------------------------------------------------------------------------

    def came_back(self, job: LookJob, processed: int, faults: int) -> None:
        """Account for a look job that ended; *run* 0 is the ad hoc walk, None a hint."""
        if job.hash_limit is None and job.run is None:
            self.hashing -= 1
        if job.run is None:
            return
        walk = self.adhoc if job.run == 0 else self.walks.get(job.run)
        if walk is not None:
            walk.in_flight -= 1
            walk.processed += processed
            walk.errors += faults
            if walk.gentle:
                now = self.desk.clock.monotonic()
                walk.rest_until = now + min(now - walk.began, LONGEST_REST)

    def settle_walks(self, now: float) -> None:
        """Save progress, and end the walks that are over; call inside a transaction."""
        for run, walk in list(self.walks.items()):
            if walk.over and not self.hashing:
                del self.walks[run]
                self.desk.db.runs.progress(run, walk.processed, walk.errors, "")
                self.desk.db.runs.finish(run, RunStatus.COMPLETED, now)
                self.completed = self.started
                self.on_over(walk)
            elif now - walk.saved_at >= SAVE_EVERY:
                walk.saved_at = now
                # Only a deep walk goes on after a stop. Keys are written without looking anything up (P11).
                whole = not walk.in_flight and not walk.deferred and len(walk.stack) <= FRONTIER_KEPT
                cursor = json.dumps(walk.stack) if walk.kind is RunKind.DEEP and whole else ""
                self.desk.db.runs.progress(run, walk.processed, walk.errors, cursor)

    def abort(self, now: float) -> None:
        """Give up every walk: the root is not proven any more. Nothing is concluded from what was not visited."""
        for run in list(self.walks):
            self.desk.db.runs.finish(run, RunStatus.CANCELLED, now)
        self.walks.clear()
        self.adhoc.clear()
        self.extra.clear()
        self.proven = False

    @property
    def quiet(self) -> bool:
        """Whether nothing is being, or waits to be, looked at."""
        return (
            not self.walks
            and self.adhoc.over
            and not self.extra
            and not self.new
            and not self.hashing
            and self.asked is None
            and not self.proving
            and not self.desk.in_flight.get(Lane.LOOK, 0)
        )
