"""What was done and what was asked for: the activity and command tables. Never acts on either."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import apsw
import msgspec

from syncd.db.codec import Row, shown_text
from syncd.model.op import OpType, Side
from syncd.model.path import NodeKey

_DELETES: Final = f"what IN ('{OpType.LOCAL_DELETE.value}', '{OpType.REMOTE_DELETE.value}')"
_ACTIVITY: Final = "id, at, node, path, what, why, outcome, side, bytes, destructive"


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """One thing done (or not): *what* to *path*, *why*, with what *outcome*. *at* in seconds since the epoch.

    *destructive*: it removed or replaced content, and counts for the guard's sliding window (P8).
    """

    at: float
    node: NodeKey | None
    path: str
    what: str
    why: str
    outcome: str
    side: Side | None = None
    bytes: int = 0
    destructive: bool = False
    id: int = 0


class Activity:
    """The activity table."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def add(self, rows: Sequence[ActivityRow]) -> None:
        """Add *rows*, in order."""
        self._connection.executemany(
            "INSERT INTO activity (at, node, path, what, why, outcome, side, bytes, destructive)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    row.at, row.node, shown_text(row.path), row.what, shown_text(row.why), shown_text(row.outcome),
                    "" if row.side is None else row.side.value, row.bytes, int(row.destructive),
                )
                for row in rows
            ],
        )  # fmt: skip

    def recent(self, limit: int, before: int | None = None) -> list[ActivityRow]:
        """Return the newest rows first; *before* (an id) pages on."""
        sql = f"SELECT {_ACTIVITY} FROM activity WHERE id < ? ORDER BY id DESC LIMIT ?"
        return [_activity(row) for row in self._execute(sql, (2**63 - 1 if before is None else before, limit))]

    def of_path(self, path: str, limit: int) -> list[ActivityRow]:
        """Return what was done to *path*, newest first."""
        sql = f"SELECT {_ACTIVITY} FROM activity WHERE path = ? ORDER BY id DESC LIMIT ?"
        return [_activity(row) for row in self._execute(sql, (shown_text(path), limit))]

    def destroyed(self, side: Side, since: float) -> tuple[int, int]:
        """Return (count, bytes) of destructive work done on *side* at or after *since* (P8)."""
        sql = "SELECT count(*), total(bytes) FROM activity WHERE destructive = 1 AND side = ? AND at >= ?"
        count, size = self._execute(sql, (side.value, since)).fetchall()[0]
        return int(count), int(size)  # type: ignore[arg-type]

    def removed(self, since: float) -> int:
        """Return how many nodes were removed on either side at or after *since*, without a person's word (P8)."""
        sql = (
            "SELECT count(*) FROM activity WHERE destructive = 1 AND side IN ('local', 'remote') AND at >= ?"
            f" AND {_DELETES}"
        )
        return int(self._execute(sql, (since,)).get)

    def prune(self, before: float, keep: int = 0, limit: int = -1) -> int:
        """Forget up to *limit* rows older than *before*, always keeping the newest *keep*; returns how many went."""
        self._execute(
            "DELETE FROM activity WHERE id IN (SELECT id FROM activity WHERE at < ?"
            " AND id <= (SELECT coalesce(max(id), 0) FROM activity) - ? ORDER BY id LIMIT ?)",
            (before, keep, limit),
        )
        return self._connection.changes()


def _activity(row: Row) -> ActivityRow:
    key, at, node, path, what, why, outcome, side, size, destructive = row
    return ActivityRow(
        at, node, path, what, why, outcome,  # type: ignore[arg-type]
        Side(str(side)) if side else None, size, destructive == 1, key,  # type: ignore[arg-type]
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Command:
    """What a person asked for. *state* is pending, done or failed; *result* says how it ended."""

    id: int
    verb: str
    arguments: tuple[tuple[str, str], ...]
    state: str
    created: float
    finished: float | None
    result: str


_ARGUMENTS: Final = msgspec.json.Decoder(tuple[tuple[str, str], ...])
_COMMAND: Final = "id, verb, arguments, state, created, finished, result"


class Commands:
    """The command table. Add in a durable transaction: a person's word survives the power."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def add(self, verb: str, arguments: Sequence[tuple[str, str]], at: float) -> int:
        """Write down what was asked for, before it acts; returns its id."""
        told = msgspec.json.encode([(shown_text(name), shown_text(value)) for name, value in arguments]).decode()
        self._execute("INSERT INTO command (verb, arguments, created) VALUES (?, ?, ?)", (verb, told, at))
        return self._connection.last_insert_rowid()

    def pending(self) -> list[Command]:
        """Return what is not done yet, in the order asked."""
        return self._list("WHERE state = 'pending' ORDER BY id", ())

    def get(self, command_id: int) -> Command | None:
        """Return one command."""
        found = self._list("WHERE id = ?", (command_id,))
        return found[0] if found else None

    def recent(self, limit: int) -> list[Command]:
        """Return the newest first."""
        return self._list("ORDER BY id DESC LIMIT ?", (limit,))

    def finish(self, command_id: int, at: float, *, failed: bool = False, result: str = "") -> None:
        """Note how a command ended."""
        self._execute(
            "UPDATE command SET state = ?, finished = ?, result = ? WHERE id = ?",
            ("failed" if failed else "done", at, shown_text(result), command_id),
        )

    def prune(self, before: float, limit: int = -1) -> int:
        """Forget up to *limit* commands (-1: all) that ended before *before*; returns how many went."""
        self._execute(
            "DELETE FROM command WHERE id IN"
            " (SELECT id FROM command WHERE state <> 'pending' AND finished < ? ORDER BY id LIMIT ?)",
            (before, limit),
        )
        return self._connection.changes()

    def _list(self, where: str, values: Row) -> list[Command]:
        return [
            Command(key, verb, _ARGUMENTS.decode(str(arguments)), state, created, finished, result)  # type: ignore[arg-type]
            for key, verb, arguments, state, created, finished, result in self._execute(
                f"SELECT {_COMMAND} FROM command {where}", values
            ).fetchall()
        ]
