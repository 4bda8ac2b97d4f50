"""The durable queue: one row an op, with its retries, waits and key. Never decides what is to be done.

Ops are derived from the trees: whatever is not running may be dropped and planned again (P3). What runs is settled
first: its key, stored before it was sent, tells afterwards what became of it (P4).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import apsw

from syncd.db.codec import Row, decode_op, encode_op, shown_text
from syncd.model.op import PRIORITY, Op, OpState, OpType, Side
from syncd.model.path import NodeKey

if TYPE_CHECKING:
    from syncd.ports import Clock  # not imported for `syncd status`, which has 150 ms

_COLUMNS: Final = "id, key, op, state, attempts, next_retry_at, last_error, error_class, created, run_dirs"
_CONTENT: Final = frozenset({OpType.UPLOAD, OpType.DOWNLOAD, OpType.CONFLICT})
HELD: Final = "held"
"""The error class of an op that waits for a person's decision on its group."""

_READY: Final = "WHERE state = 'ready' AND side = ? AND next_retry_at <= ? ORDER BY priority, id LIMIT ?"
_DESTRUCTIVE: Final = "side = ? AND destructive = 1 AND state <> 'done'"
_WAITING: Final = "state <> 'done' AND state <> 'running'"  # in the words of the index of live ops, so that it is used
_STANDING: Final = (
    "SELECT i.decision, i.decided FROM decision_item AS i JOIN decision_group AS g ON g.id = i.group_id"
    " WHERE i.node = q.node AND g.undone_by IS NULL ORDER BY i.group_id DESC LIMIT 1"
)
_SIZE_CLASSES: Final = (1 << 20, 1 << 26, 1 << 30)  # bytes: small files are not kept waiting by large ones


@dataclass(frozen=True, slots=True)
class QueuedOp:
    """An op in the queue. Times are seconds since the epoch; *next_at* None: at once. *run_dirs* is what the engine
    resolved when it started the op, opaque here."""

    id: int
    key: bytes
    op: Op
    state: OpState
    attempts: int = 0
    next_at: float | None = None
    last_error: str = ""
    error_class: str = ""
    created: float = 0.0
    run_dirs: bytes = b""


@dataclass(frozen=True, slots=True)
class AtStake:
    """A live op that would do *what* removes or replaces content (P8)."""

    id: int
    node: NodeKey
    what: str
    bytes: int


def priority_of(op: Op) -> int:
    """Return the op's place in the queue, lower first: its type, then its size class."""
    size_class = sum(op.size > limit for limit in _SIZE_CLASSES) if op.type in _CONTENT else 0
    return PRIORITY[op.type] * 10 + size_class


class QueueReader:
    """What may be asked of the queue, also by a read-only view."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def live(self, node: NodeKey) -> QueuedOp | None:
        """Return the node's op that is not done, or None."""
        return self._one("WHERE node = ? AND state <> 'done'", (node,))

    def get(self, op_id: int) -> QueuedOp | None:
        """Return the op with this id, done ones included."""
        return self._one("WHERE id = ?", (op_id,))

    def by_key(self, key: bytes) -> QueuedOp | None:
        """Return the op with this idempotency key, done ones included."""
        return self._one("WHERE key = ?", (key,))

    def strangers(self, asked: Sequence[bytes]) -> set[bytes]:
        """Return those of the keys *asked* for that no op has, done ones included."""
        sql = "SELECT key FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM queue_op AS q WHERE q.key = unhex(value))"
        rows = self._execute(sql, (json.dumps([key.hex() for key in asked]),)).fetchall()
        return {asked[at] for (at,) in rows}  # type: ignore[index]

    def highest_node(self) -> NodeKey:
        """Return the highest key of a node that has a live op; 0 without any."""
        return int(self._execute("SELECT coalesce(max(node), 0) FROM queue_op WHERE state <> 'done'").get)

    def may_have_deleted(self, node: NodeKey) -> bool:
        """Return whether a delete of *node* was sent to the remote of which nobody knows yet what came of it."""
        sent = "node = ? AND op_type = ?"
        sql = (
            f"SELECT 1 FROM queue_op WHERE {sent} AND state <> 'done' AND (state = 'running' OR attempts > 0)"
            f" UNION ALL SELECT 1 FROM queue_op WHERE {sent} AND state = 'done' LIMIT 1"
        )
        values = (node, OpType.REMOTE_DELETE.value)
        return self._execute(sql, (*values, *values)).fetchone() is not None

    def ready(self, side: Side, now: float, limit: int) -> list[QueuedOp]:
        """Return ops of *side* that may start now, by priority and age."""
        return self._all(_READY, (side.value, now, limit))

    def ready_of(self, node: NodeKey, side: Side, now: float) -> list[QueuedOp]:
        """Return the node's op if ``ready`` would return it, sooner or later."""
        live = self.live(node)
        due = live is not None and live.state is OpState.READY and (live.next_at or 0.0) <= now
        return [live] if live is not None and due and live.op.side is side else []

    def any_ready(self, now: float) -> bool:
        """Return whether ``ready`` has anything to give, on either side."""
        sql = "SELECT 1 FROM queue_op WHERE state = 'ready' AND next_retry_at <= ? LIMIT 1"
        return self._execute(sql, (now,)).fetchone() is not None

    def running(self) -> list[QueuedOp]:
        """Return ops handed to executors, by id; after a start: those a crash interrupted."""
        return self._all("WHERE state = 'running' ORDER BY id", ())

    def in_state(self, state: OpState | None, limit: int) -> list[QueuedOp]:
        """Return ops in *state* (None: all live ones), by priority and id."""
        if state is None:
            return self._all("WHERE state <> 'done' ORDER BY priority, id LIMIT ?", (limit,))
        return self._all("WHERE state = ? ORDER BY priority, id LIMIT ?", (state.value, limit))

    def retrying(self, limit: int) -> list[QueuedOp]:
        """Return ops that failed and wait for their next attempt, the next one first."""
        return self._all("WHERE state = 'ready' AND attempts > 0 ORDER BY next_retry_at, id LIMIT ?", (limit,))

    def anybody_waits(self) -> bool:
        """Return whether ``waiting_on`` has anybody to name, for any node."""
        return self._execute("SELECT 1 FROM op_wait LIMIT 1").fetchone() is not None

    def waiting_on(self, node: NodeKey) -> list[NodeKey]:
        """Return nodes whose live op waits for something about *node*, in order."""
        sql = (
            "SELECT DISTINCT queue_op.node FROM op_wait JOIN queue_op ON queue_op.id = op_wait.op"
            " WHERE op_wait.node = ? AND queue_op.state <> 'done' ORDER BY queue_op.node"
        )
        return [int(row[0]) for row in self._execute(sql, (node,)).fetchall()]  # type: ignore[arg-type]

    def counts(self) -> dict[OpState, int]:
        """Return how many ops are in each state (all states are there)."""
        found = dict.fromkeys(OpState, 0)
        for state, count in self._execute("SELECT state, count(*) FROM queue_op GROUP BY state ORDER BY state"):
            found[OpState(str(state))] = int(count)
        return found

    def nodes(self, after: NodeKey, limit: int) -> list[NodeKey]:
        """Return up to *limit* keys above *after* of nodes with a live op, in order."""
        sql = "SELECT node FROM queue_op WHERE state <> 'done' AND node > ? ORDER BY node LIMIT ?"
        return [int(row[0]) for row in self._execute(sql, (after, limit)).fetchall()]  # type: ignore[arg-type]

    def newest_destructive(self, side: Side) -> int:
        """Return the id of the youngest live op of *side* that would remove or replace content; 0 without any (P8)."""
        return int(self._execute(f"SELECT coalesce(max(id), 0) FROM queue_op WHERE {_DESTRUCTIVE}", (side.value,)).get)

    def at_stake(self, side: Side, allowed_since: float) -> tuple[int, int]:
        """Return (count, bytes) of what live ops of *side* would remove or replace and no person allowed (P8).

        An allowance is for the op that waited for it, or was given at or after *allowed_since*."""
        sql = (
            f"SELECT count(*), total(bytes_at_stake) FROM queue_op AS q WHERE {_DESTRUCTIVE} AND NOT EXISTS"
            f" (SELECT 1 FROM ({_STANDING}) WHERE decision = 'allow' AND (decided > ? OR q.created <= decided))"
        )
        count, size = self._execute(sql, (side.value, allowed_since)).fetchall()[0]
        return int(count), int(size)  # type: ignore[arg-type]

    def to_hold(self, side: Side, after: int, limit: int) -> list[AtStake]:
        """Return up to *limit* live ops of *side*, above *after* and by id, that would remove or replace content, and
        neither run nor are held yet (P8)."""
        sql = (
            f"SELECT id, node, op_type, bytes_at_stake FROM queue_op WHERE {_DESTRUCTIVE} AND id > ?"
            " AND state <> 'running' AND NOT (state = 'blocked' AND error_class = ?) ORDER BY id LIMIT ?"
        )
        rows = self._execute(sql, (side.value, after, HELD, limit)).fetchall()
        return [AtStake(int(i), int(n), str(what), int(b)) for i, n, what, b in rows]  # type: ignore[arg-type]

    def _one(self, where: str, values: Row) -> QueuedOp | None:
        row = self._execute(f"SELECT {_COLUMNS} FROM queue_op {where}", values).fetchone()
        return None if row is None else queued_from(row)

    def _all(self, where: str, values: Row) -> list[QueuedOp]:
        return [queued_from(row) for row in self._rows(where, values)]

    def _rows(self, where: str, values: Row) -> list[Row]:
        return self._execute(f"SELECT {_COLUMNS} FROM queue_op {where}", values).fetchall()


class Queue(QueueReader):
    """The queue_op and op_wait tables."""

    def __init__(self, connection: apsw.Connection, clock: "Clock") -> None:
        super().__init__(connection)
        self._clock = clock

    # --- planning

    def put(self, op: Op, *, state: OpState, key: bytes, not_before: float | None, now: float) -> int:
        """Make *op* its node's live op and return its id.

        An equal live op stays, with its key, attempts and time; it takes *state* unless it is parked (FAILED stays
        until a person or a changed plan frees it). Any other live op is superseded. Raises RuntimeError when the live
        op runs: its result comes first.
        """
        if state not in (OpState.READY, OpState.BLOCKED):
            raise ValueError(f"an op is put ready or blocked, not {state.value}")
        live = self.live(op.node)
        if live is not None:
            if live.state is OpState.RUNNING:
                raise RuntimeError(f"node {op.node} has a running op: its result comes first")
            if live.op == op:
                if live.state not in (state, OpState.FAILED):
                    self._changing(live.id)
                    self._execute("UPDATE queue_op SET state = ? WHERE id = ?", (state.value, live.id))
                return live.id
            self.drop(op.node)
        op_id = self._insert(op, state, key, not_before or 0.0, now)
        for wait in op.waits:
            self._execute(
                "INSERT OR IGNORE INTO op_wait (op, kind, node) VALUES (?, ?, ?)", (op_id, wait.kind.value, wait.node)
            )
        return op_id

    def _insert(self, op: Op, state: OpState, key: bytes, not_before: float, now: float) -> int:
        self._execute(
            "INSERT INTO queue_op (node, op_type, side, state, priority, next_retry_at, key, destructive,"
            " bytes_at_stake, created, op) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                op.node, op.type.value, op.side.value, state.value, priority_of(op), not_before, key,
                int(op.destructive), op.bytes_at_stake, now, encode_op(op),
            ),
        )  # fmt: skip
        return self._connection.last_insert_rowid()

    def drop(self, node: NodeKey) -> None:
        """Remove the node's live op, unless it runs. One that was sent before may have been done: it is abandoned."""
        self._changing_of(node)
        self._abandon_sent("node = ?", (node,))
        self._execute(f"DELETE FROM queue_op WHERE node = ? AND {_WAITING}", (node,))

    def clear(self) -> None:
        """Drop every live op that does not run: all can be planned again."""
        self._changing(None)
        self._abandon_sent("node > ?", (0,))
        self._execute(f"DELETE FROM queue_op WHERE {_WAITING}")

    # --- the course of an op

    def next_due(self, after: float = -1.0) -> float | None:
        """Return when the next ready op may start: 0.0 when one may now, None without any. Those that could have been
        started at *after* (seconds since the epoch) do not count."""
        sql = "SELECT min(next_retry_at) FROM queue_op WHERE state = 'ready' AND next_retry_at > ?"
        earliest = self._execute(sql, (after,)).get
        if earliest is None:
            return None
        return 0.0 if earliest <= self._clock.now() else float(earliest)

    def start(self, op_ids: Sequence[int], run_dirs: Sequence[bytes]) -> None:
        """Mark ops as handed out, with what was resolved for each; raises RuntimeError for one that is not ready."""
        for op_id, dirs in zip(op_ids, run_dirs, strict=True):
            self._changing(op_id)
            self._execute(
                "UPDATE queue_op SET state = 'running', run_dirs = ? WHERE id = ? AND state = 'ready'", (dirs, op_id)
            )
            if self._connection.changes() == 0:
                raise RuntimeError(f"op {op_id} is not ready")

    def finish(self, op_id: int) -> None:
        """Remove an op that is settled; the activity keeps its story."""
        self._changing(op_id)
        self._execute("DELETE FROM queue_op WHERE id = ?", (op_id,))

    def abandon(self, op_id: int, now: float) -> None:
        """End an op whose effect is not known: it stays, done, so that its key is recognised when R shows it."""
        self._changing(op_id)
        self._execute("UPDATE queue_op SET state = 'done', ended = ? WHERE id = ?", (now, op_id))
        self._execute("DELETE FROM op_wait WHERE op = ?", (op_id,))

    def _abandon_sent(self, where: str, values: Row) -> None:
        """A remote's op that was tried may have happened though its reply was lost: its key must stay known (P4)."""
        tried = f"{where} AND side = ? AND attempts > 0 AND {_WAITING}"
        bound = (*values, Side.REMOTE.value)
        self._execute(f"DELETE FROM op_wait WHERE op IN (SELECT id FROM queue_op WHERE {tried})", bound)
        self._execute(f"UPDATE queue_op SET state = 'done', ended = ? WHERE {tried}", (self._clock.now(), *bound))

    def retry(self, op_id: int, at: float, error_class: str, error: str) -> None:
        """Put an op back, to start at *at* with the same key; one attempt more."""
        self._changing(op_id)
        self._execute(
            "UPDATE queue_op SET state = 'ready', attempts = attempts + 1, next_retry_at = ?, error_class = ?,"
            " last_error = ?, run_dirs = x'' WHERE id = ? AND state <> 'done'",
            (at, error_class, shown_text(error), op_id),
        )

    def park(self, op_id: int, error_class: str, error: str) -> None:
        """Stop trying: retrying cannot help. It is shown until a person or a changed plan frees it."""
        self._halt(op_id, OpState.FAILED, error_class, error)

    def block(self, op_id: int, error_class: str = "", error: str = "") -> None:
        """Keep an op waiting for a condition or a person."""
        self._halt(op_id, OpState.BLOCKED, error_class, error)

    def _halt(self, op_id: int, state: OpState, error_class: str, error: str) -> None:
        self._changing(op_id)
        self._execute(
            "UPDATE queue_op SET state = ?, error_class = ?, last_error = ?, run_dirs = x''"
            " WHERE id = ? AND state <> 'done'",
            (state.value, error_class, shown_text(error), op_id),
        )

    def release(self, op_id: int) -> None:
        """Make a blocked or parked op ready, its troubles forgotten. A rest it was put with still counts."""
        self._changing(op_id)
        self._execute(
            "UPDATE queue_op SET state = 'ready', next_retry_at = iif(attempts = 0, next_retry_at, 0), attempts = 0,"
            " error_class = '', last_error = '' WHERE id = ? AND state IN ('blocked', 'failed')",
            (op_id,),
        )

    def hurry(self) -> int:
        """Make every op that waits for its next attempt due now (online again, or a person asked); returns how many."""
        self._changing(None)
        self._execute(
            "UPDATE queue_op SET next_retry_at = 0 WHERE state = 'ready' AND attempts > 0 AND next_retry_at > 0"
        )
        return self._connection.changes()

    def shift(self, seconds: float) -> None:
        """Move the time of every waiting op by *seconds*: the clock was set, and they are to wait as long as before."""
        self._changing(None)
        self._execute(
            "UPDATE queue_op SET next_retry_at = max(0, next_retry_at + ?) WHERE state <> 'done' AND next_retry_at > 0",
            (seconds,),
        )

    def bound(self, latest: float) -> None:
        """Make due at once what would start after *latest*: its time was written by a clock that was ahead."""
        self._changing(None)
        self._execute("UPDATE queue_op SET next_retry_at = 0 WHERE next_retry_at > ?", (latest,))

    def prune(self, before: float, limit: int = -1) -> int:
        """Forget up to *limit* ops (-1: all) that ended before *before* and return how many."""
        self._execute(
            "DELETE FROM queue_op WHERE id IN"
            " (SELECT id FROM queue_op WHERE state = 'done' AND ended < ? ORDER BY id LIMIT ?)",
            (before, limit),
        )
        return self._connection.changes()

    # --- for whoever keeps what was read

    def _changing(self, op_id: int | None) -> None:
        """Called before an op is written or removed; None: any number of them."""

    def _changing_of(self, node: NodeKey) -> None:
        """Called before the live op of *node* is written or removed."""


def queued_from(row: Row) -> QueuedOp:
    op_id, key, op, state, attempts, next_at, last_error, error_class, created, run_dirs = row[:10]
    return QueuedOp(
        op_id,  # type: ignore[arg-type]
        key,  # type: ignore[arg-type]
        decode_op(str(op)),
        OpState(str(state)),
        attempts,  # type: ignore[arg-type]
        next_at or None,  # type: ignore[arg-type]
        last_error,  # type: ignore[arg-type]
        error_class,  # type: ignore[arg-type]
        created,  # type: ignore[arg-type]
        run_dirs,  # type: ignore[arg-type]
    )
