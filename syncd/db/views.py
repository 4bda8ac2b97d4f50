"""The database as others read it: status, command line, other threads. Never writes; never keeps the writer waiting.

A view is opened where it is used (one thread at a time) and closed soon. It works beside a running daemon, after it
ended, and in a folder that cannot be written. Whatever it cannot read it says in one line (Refused).
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import apsw

from syncd.db.activity import Activity, ActivityRow, Command, Commands
from syncd.db.chunks import ChunkReader
from syncd.db.conflicts import Conflict, Conflicts
from syncd.db.decisions import Decision, Decisions, Group, Item
from syncd.db.facts import TRASH_BYTES, Held, HeldEntry, Meta
from syncd.db.nodes import Nodes
from syncd.db.queue import QueuedOp, QueueReader
from syncd.db.runs import Run, Runs
from syncd.db.schema import check_ours, shipped_migrations, translated
from syncd.db.structure import TreeCounts
from syncd.model.errors import Refused
from syncd.model.node import NEVER_SYNCED, Absent, Node, Present, Reason, Tree, Unknown
from syncd.model.op import Op, OpState, WaitKind
from syncd.model.path import NodeKey, RelPath, shown_path

_BUSY_MS: Final = 5000
_WAITS: Final = {
    WaitKind.PARENT_EXISTS: "for its folder: {}",
    WaitKind.NAME_FREE: "for its name: {}",
    WaitKind.DIRECTORY_EMPTY: "for what is still in it: {}",
    WaitKind.NODE_SETTLED: "for {}",
}


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole root in numbers, at one moment. *unknown* are nodes L or R says nothing certain of, by reason."""

    counts: TreeCounts
    ops: dict[OpState, int]
    disagreeing: int
    unknown_local: dict[Reason, int]
    unknown_remote: dict[Reason, int]
    conflicts_open: int
    groups_undecided: int
    items_undecided: int
    held_entries: int
    meta: dict[str, str]

    @property
    def trash_bytes(self) -> int:
        """What the trash held when it was last tended, in bytes; 0 before."""
        return int(self.meta.get(TRASH_BYTES, "0"))


@dataclass(frozen=True, slots=True)
class ShownOp:
    """An op with the path a person knows it by (escaped), and for what it *waits*, in words."""

    path: str
    queued: QueuedOp
    waits: str = ""


@dataclass(frozen=True, slots=True)
class ShownNode:
    """A node with its three snapshots, its live op and its conflicts: why it is as it is. *group* is the undecided
    one it is in, None without any. *waits*: for what its op waits, in words."""

    path: str
    node: Node
    queued: QueuedOp | None
    conflicts: tuple[Conflict, ...]
    group: Group | None = None
    waits: str = ""


@dataclass(frozen=True, slots=True)
class NotSynced:
    """A name that is not synced here, escaped. *in_the_way*: a node that the remote has is meant to be there."""

    path: str
    why: str
    detail: str = ""
    in_the_way: bool = False


class View:
    """A read-only connection. Use as a context manager."""

    def __init__(self, connection: apsw.Connection, path: str) -> None:
        self._file = path
        self._connection = connection
        self._nodes = Nodes(connection)
        self._queue = QueueReader(connection)
        self._chunks = ChunkReader(connection)
        self._conflicts = Conflicts(connection)
        self._decisions = Decisions(connection)
        self._held = Held(connection)
        self._runs = Runs(connection)
        self._activity = Activity(connection)
        self._commands = Commands(connection)
        self._meta = Meta(connection)

    def __enter__(self) -> "View":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def copy_to(self, path: str) -> None:
        """Copy one committed state of the database to a new file at *path*, for this user alone."""
        # Names of files are private: SQLite would make the file as the umask says.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        with translated(self._file):
            copy = apsw.Connection(path)
            try:
                with copy.backup("main", self._connection, "main") as backup:
                    backup.step(-1)  # all pages in one step: a writer in between cannot make it start again
            finally:
                copy.close()

    @contextmanager
    def moment(self) -> Iterator[None]:
        """Everything read inside is of one moment, whatever the daemon writes meanwhile. Keep it short: while it
        lasts, the WAL cannot be emptied."""
        if self._connection.in_transaction:
            yield
            return
        with translated(self._file):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("ROLLBACK")

    def summary(self) -> Summary:
        """Return the root in numbers; costs what there is to do, not what there is."""
        with self.moment():
            groups = self._decisions.undecided()
            return Summary(
                counts=self._nodes.counts(),
                ops=self._queue.counts(),
                disagreeing=self._nodes.disagreeing_count(),
                unknown_local=self._nodes.unknown_counts(Tree.LOCAL),
                unknown_remote=self._nodes.unknown_counts(Tree.REMOTE),
                conflicts_open=self._conflicts.open_count(),
                groups_undecided=len(groups),
                items_undecided=sum(group.undecided for group in groups),
                held_entries=self._held.count(),
                meta=self._meta.all(),
            )

    # --- the queue

    def ops(self, state: OpState | None = None, limit: int = 1000) -> list[ShownOp]:
        """Return ops in *state* (None: all live ones, which is the plan), in the order they would start."""
        with self.moment():
            return [self._shown(queued) for queued in self._queue.in_state(state, limit)]

    def blocked(self, limit: int = 1000) -> list[ShownOp]:
        """Return ops that do not go on by themselves at once: parked, blocked, or waiting for another attempt."""
        with self.moment():
            parked = self._queue.in_state(OpState.FAILED, limit)
            waiting = self._queue.in_state(OpState.BLOCKED, limit)
            again = self._queue.retrying(limit)
            return [self._shown(queued) for queued in [*parked, *waiting, *again][:limit]]

    def _shown(self, queued: QueuedOp) -> ShownOp:
        return ShownOp(self._path(queued.op.node), queued, self._waits(queued.op))

    def _waits(self, op: Op) -> str:
        """Return in words for what an op waits, the first of several; with the reason where that is never synced."""
        if not op.waits:
            return ""
        wait = op.waits[0]
        words = _WAITS[wait.kind].format(self._path(wait.node))
        node = self._nodes.node(wait.node)
        if node is not None and isinstance(node.local, Unknown) and node.local.reason in NEVER_SYNCED:
            words += f", which is {node.local.reason.value} here"
        elif node is not None and isinstance(node.local, Unknown) and isinstance(node.remote, Absent):
            words += f", which {node.local.detail}" if node.local.detail else ""
        return words

    # --- what waits for a person

    def conflicts(self, *, resolved_too: bool = False, limit: int = 1000) -> list[Conflict]:
        """Return open conflicts, oldest first; with *resolved_too* all, newest first."""
        with self.moment():
            return self._conflicts.recent(limit) if resolved_too else self._conflicts.open(limit)

    def groups(self, *, decided_too: bool = False, limit: int = 100) -> list[Group]:
        """Return groups that wait for a decision, oldest first; with *decided_too* all, newest first."""
        with self.moment():
            return self._decisions.recent(limit) if decided_too else self._decisions.undecided()[:limit]

    def items(self, group: int, limit: int = 1000, after: NodeKey = 0) -> list[Item]:
        """Return a group's items by node, above *after*."""
        with self.moment():
            return self._decisions.items(group, limit, after)

    def held(self, limit: int = 1000) -> list[tuple[str, HeldEntry]]:
        """Return (directory, entry) of local names that can never be synced, all escaped."""
        with self.moment():
            return [(self._path(parent), entry) for parent, entry in self._held.list(limit)]

    def unknown(self, tree: Tree, reason: Reason, limit: int = 1000) -> list[tuple[str, Node]]:
        """Return nodes of which *tree* says *reason*, with their paths."""
        with self.moment():
            keys = self._nodes.unknown(tree, reason, 0, limit)
            nodes = [node for key in keys if (node := self._nodes.node(key)) is not None]
            return [(self._path(node.id), node) for node in nodes]

    def not_synced(self, limit: int = 1000) -> list[NotSynced]:
        """Return what is not synced here, each name once, with its reason."""
        reasons = (Reason.UNREADABLE, Reason.OTHER_FILE_SYSTEM, Reason.BUSY, Reason.HELD)
        wanted = [(Tree.LOCAL, reason) for reason in reasons] + [(Tree.REMOTE, Reason.HELD)]
        found: dict[str, NotSynced] = {}
        with self.moment():
            for tree, reason in wanted:  # nodes first: they know more than the bare name
                for path, node in self.unknown(tree, reason, limit):
                    detail = getattr(node.state(tree), "detail", "")
                    in_the_way = tree is Tree.LOCAL and isinstance(node.remote, Present)
                    found.setdefault(path, NotSynced(path, reason.value, detail, in_the_way))
            for folder, entry in self.held(limit):
                path = entry.name if folder == "." else f"{folder}/{entry.name}"
                found.setdefault(path, NotSynced(path, entry.reason, entry.detail))
            for path, node in self.unknown(Tree.LOCAL, Reason.LEFTOVER, limit):  # last: they keep nothing from anybody
                found.setdefault(path, NotSynced(path, Reason.LEFTOVER.value, getattr(node.local, "detail", "")))
        return list(found.values())[:limit]

    # --- what was done

    def runs(self, limit: int = 20) -> list[Run]:
        """Return the newest scan runs first."""
        with self.moment():
            return self._runs.recent(limit)

    def activity(self, limit: int = 100, before: int | None = None) -> list[ActivityRow]:
        """Return what was done, newest first."""
        with self.moment():
            return self._activity.recent(limit, before)

    def activity_of(self, path: str, limit: int = 100) -> list[ActivityRow]:
        """Return what was done to *path*, newest first."""
        with self.moment():
            return self._activity.of_path(path, limit)

    def commands(self, limit: int = 100) -> list[Command]:
        """Return what was asked for, newest first."""
        with self.moment():
            return self._commands.recent(limit)

    def meta(self, key: str) -> str | None:
        """Return a fact of the meta table."""
        with self.moment():
            return self._meta.get(key)

    # --- one path

    def at_path(self, path: RelPath) -> list[ShownNode]:
        """Return every node that one of the trees has at *path*: here first, then the remote, then the merge base."""
        with self.moment():
            keys: list[NodeKey] = []
            for tree in (Tree.LOCAL, Tree.REMOTE, Tree.SYNCED):
                key = self._nodes.find(tree, path)
                if key is not None and key not in keys:
                    keys.append(key)
            nodes = [node for key in keys if (node := self._nodes.node(key)) is not None]
            return [
                ShownNode(
                    self._path(node.id), node, live, tuple(self._conflicts.of_node(node.id)),
                    self._undecided_group(node.id), "" if live is None else self._waits(live.op),
                )
                for node in nodes for live in (self._queue.live(node.id),)
            ]  # fmt: skip

    def _undecided_group(self, key: NodeKey) -> Group | None:
        found = self._decisions.standing(key)
        return self._decisions.get(found[0]) if found is not None and found[1] is Decision.UNDECIDED else None

    def locate(self, hashes: Sequence[bytes]) -> dict[bytes, tuple[RelPath, int, int]]:
        """Return (path, offset, size) of pieces in local files (the ChunkCache port); verify each by its hash."""
        found: dict[bytes, tuple[RelPath, int, int]] = {}
        with self.moment():
            for piece, (node, offset, size) in self._chunks.locate(hashes).items():
                if (path := self._nodes.path(Tree.LOCAL, node)) is not None:
                    found[piece] = (path, offset, size)
        return found

    def _path(self, key: NodeKey) -> str:
        path = self._nodes.any_path(key)
        return f"(node {key}, nowhere now)" if path is None else shown_path(path)


def open_view(path: str) -> View:
    """Open a view of the database at *path*.

    Raises Refused when it is missing, damaged, of a newer syncd or not readable, Transient when it is locked.
    """
    if not os.path.exists(path):
        raise Refused(f"there is no database at {path} yet: start the daemon (syncd run)")
    with translated(path):
        return View(_read_only(path), path)


def _read_only(path: str) -> apsw.Connection:
    try:
        return _checked(path, "mode=ro")
    except (apsw.CantOpenError, apsw.ReadOnlyError):
        # In a folder that cannot be written a reader cannot make the WAL's index. Without a WAL all is in the file,
        # and nobody can write it here; with one, reading the file alone would show an older state: refuse.
        if os.access(os.path.dirname(path) or ".", os.W_OK) or _has_content(path + "-wal"):
            raise
        return _checked(path, "immutable=1")


def _has_content(path: str) -> bool:
    return os.path.exists(path) and os.stat(path).st_size > 0


def _checked(path: str, how: str) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(f"file:{quote(os.path.abspath(path))}?{how}", flags=flags)
    try:
        connection.set_busy_timeout(_BUSY_MS)
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)  # as the writer's: statements are prepared once
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        newest = shipped_migrations()[-1][0]
        version = check_ours(connection, path, newest)
        if version == 0:
            raise Refused(f"the database at {path} is still empty: the daemon is starting, try again")
        if version < newest:
            raise Refused(f"{path} was written by an older syncd: restart the daemon, which brings it up to date")
    except BaseException:
        connection.close()
        raise
    return connection
