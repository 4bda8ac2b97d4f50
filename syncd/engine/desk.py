"""The control thread's desk: what every part of the engine shares. Owns no rule; only counters, marks and lookups."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Protocol

from syncd.db.codec import HASH_ALG
from syncd.db.connection import Database
from syncd.engine.leftovers import is_leftover
from syncd.model.job import DirRef, Job, Lane
from syncd.model.node import Present, Tree, place_of
from syncd.model.path import ROOT, NodeKey, RelPath
from syncd.plan.order import touch
from syncd.ports import Chance, Clock, Traits, Workers
from syncd.settings import Settings

CHANGES_A_STEP = 1000
"""Changed rows after which a step begins nothing new: what is left is done in the next one (P11)."""
BEFORE_ALL = ("", 0)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What a person may tune. Times in seconds, sizes in bytes."""

    delete_rest: float = 2.0
    guard_nodes: int = 1000
    guard_share: float = 0.25
    guard_floor: int = 100
    guard_bytes: int = 10 << 30
    guard_window: float = 600.0
    scan_interval: float = 3600.0
    deep_scan_interval: float = 30 * 86400.0
    poll_seconds: float = 55.0
    trash_retention: float = 30 * 86400.0
    activity_retention: float = 30 * 86400.0
    batch_ops: int = 128
    batch_bytes: int = 16 << 20
    apply_width: int = 3
    send_width: int = 3
    look_width: int = 2

    @classmethod
    def of(cls, settings: Settings) -> "EngineSettings":
        """Return the engine's part of a person's settings."""
        return cls(
            delete_rest=float(settings.guard.rest),
            guard_nodes=settings.guard.nodes,
            guard_share=settings.guard.share,
            guard_floor=settings.guard.share_at_least,
            guard_bytes=int(settings.guard.size),
            guard_window=float(settings.guard.window),
            scan_interval=float(settings.scan.every),
            deep_scan_interval=float(settings.scan.deep_every),
            poll_seconds=float(settings.remote.poll),
            trash_retention=float(settings.trash.retention),
            activity_retention=float(settings.activity.retention),
            apply_width=settings.parallel.apply,
            send_width=settings.parallel.send,
            look_width=settings.parallel.look,
        )


@dataclass(slots=True)
class RootFacts:
    """What is known of the root from root.json and the mount. Changed only by the control thread."""

    device: str
    traits: Traits
    remote_id: str
    space_id: str
    paused: bool = False
    device_id: str = ""


class Keeper(Protocol):
    """Keeps a person's decisions outside the database (root.json, P9). Called before the database commits them."""

    def keep_paused(self, paused: bool) -> None: ...
    def keep_holds(self, holds: dict[str, list[str]]) -> None:
        """Keep the undecided holds: group reason to node ids (hex)."""
        ...

    def kept_holds(self) -> dict[str, list[str]]: ...
    def keep_identity(self, dev: int, ino: int) -> None: ...


@dataclass(slots=True)
class Desk:
    """Shared state of the engine's parts; only the control thread touches it."""

    db: Database
    clock: Clock
    chance: Chance
    workers: Workers
    settings: EngineSettings
    facts: RootFacts
    keeper: Keeper
    log: Callable[..., None]
    seq: int = 1
    running: dict[NodeKey, int] = field(default_factory=dict)
    harmless: set[NodeKey] = field(default_factory=set)  # of those, what is done to a directory at the remote alone
    dirty: dict[NodeKey, None] = field(default_factory=dict)
    below: dict[tuple[Tree, NodeKey], tuple[str, NodeKey]] = field(default_factory=dict)  # children to touch, beyond
    ended: dict[NodeKey, int] = field(default_factory=dict)
    in_flight: dict[Lane, int] = field(default_factory=dict)
    outbox: list[Job] = field(default_factory=list)

    def note_circumstances(self) -> None:
        """Write down whose database this is and what it was last worked under (section 5), for whoever examines it."""
        settings = json.dumps(asdict(self.settings), sort_keys=True)
        facts = {"device id": self.facts.device_id, "hash algorithm": str(HASH_ALG), "settings": settings}
        for key, value in facts.items():
            if self.db.meta.get(key) != value:
                self.db.meta.set(key, value)

    # --- jobs ----------------------------------------------------------------------------------------------------

    def send(self, job: Job) -> None:
        """Hand *job* out once the current transaction is committed (a job never runs ahead of its record)."""
        self.in_flight[job.lane] = self.in_flight.get(job.lane, 0) + 1
        self.outbox.append(job)

    def came_back(self, lane: Lane) -> None:
        """Note that a job of *lane* ended."""
        self.in_flight[lane] -= 1

    def flush(self) -> None:
        """Submit what was handed out; call only outside a transaction."""
        jobs, self.outbox = self.outbox, []
        for job in jobs:
            self.workers.submit(job)

    # --- short transactions (P11) --------------------------------------------------------------------------------

    @property
    def room(self) -> bool:
        """Whether the transaction is still short: something new may be begun in it."""
        return self.db.changed < CHANGES_A_STEP

    # --- freshness -----------------------------------------------------------------------------------------------

    def touch(self, key: NodeKey) -> None:
        """Mark a node for planning."""
        if key != ROOT:
            self.dirty[key] = None

    def touch_children(self, tree: Tree, key: NodeKey) -> None:
        """Mark all that *tree* has in a directory for planning, a page at a time: see ``touch_below``."""
        self.below[tree, key] = BEFORE_ALL

    def touch_below(self, limit: int) -> None:
        """Touch up to *limit* children of the directories whose children are to be touched."""
        while self.below and limit > 0:
            (tree, directory), after = next(iter(self.below.items()))
            page = self.db.nodes.children_after(tree, directory, after, limit)
            for _, child in page:
                self.touch(child)
            if len(page) == limit:
                self.below[tree, directory] = page[-1]
            else:
                del self.below[tree, directory]
            limit -= max(len(page), 1)

    def leaving(self, key: NodeKey) -> None:
        """A node is about to leave the places it has: whoever wants its names, or dies around it, is planned too."""
        for other in touch(self.db.nodes, key):
            self.touch(other)

    def result_on(self, key: NodeKey) -> None:
        """Note that an op on *key* just ended: looks that began before it say nothing about it any more."""
        self.seq += 1
        self.ended[key] = self.seq

    def stale(self, key: NodeKey, began: int) -> bool:
        """Return whether a look that began at *began* is older than a result on the node or an L ancestor, or an op is
        under way there; what makes a directory at the remote changes nothing here."""
        for _ in range(4096):  # deeper than any path; a cycle in L would be a bug elsewhere
            if self.ended.get(key, 0) > began or (key in self.running and key not in self.harmless):
                return True
            if key == ROOT:
                return False
            node = self.db.nodes.node(key)
            place = place_of(node.local) if node else None
            if place is None:
                return False
            key = place.parent
        return True

    def forget_ended(self) -> None:
        """Drop result marks once no look is under way that could be older than them."""
        if not self.in_flight.get(Lane.LOOK, 0):
            self.ended.clear()

    # --- lookups -------------------------------------------------------------------------------------------------

    def directory(self, key: NodeKey) -> DirRef | None:
        """Return how to open a local directory and prove it is the one, or None when L does not have it."""
        node = self.db.nodes.node(key)
        if node is None or node.fingerprint is None or not (isinstance(node.local, Present) or is_leftover(node)):
            return None
        path = self.db.nodes.path(Tree.LOCAL, key)
        return None if path is None else DirRef(path, node.fingerprint.dev, node.fingerprint.ino)

    def local_path(self, key: NodeKey) -> RelPath | None:
        """Return where L has the node."""
        return self.db.nodes.path(Tree.LOCAL, key)

    def any_path(self, key: NodeKey) -> RelPath:
        """Return the path a person would know the node by: L's, else R's, else S's."""
        for tree in (Tree.LOCAL, Tree.REMOTE, Tree.SYNCED):
            path = self.db.nodes.path(tree, key)
            if path is not None:
                return path
        return (f"node {key}",)
