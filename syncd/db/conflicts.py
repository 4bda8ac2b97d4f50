"""What clashed, for people to see: the conflict table. Never resolves anything."""

from dataclasses import dataclass
from typing import Final

import apsw

from syncd.db.codec import Row, shown_text
from syncd.model.conflict import ConflictKind
from syncd.model.path import NodeKey


@dataclass(frozen=True, slots=True)
class Conflict:
    """One conflict. *path* kept the remote's word, *copy_path* holds the local one's ("" without a copy).

    *resolution* is what a person or the course of things decided; None while open. Times are seconds since the epoch.
    """

    id: int
    node: NodeKey
    kind: ConflictKind
    path: str
    copy_path: str
    created: float
    resolution: str | None
    resolved: float | None


_COLUMNS: Final = "id, node, kind, path, copy_path, created, resolution, resolved"


class Conflicts:
    """The conflict table."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def add(self, node: NodeKey, kind: ConflictKind, path: str, copy_path: str, at: float) -> int:
        """Add a conflict and return its id. An equal one still open is kept instead (P3)."""
        path, copy_path = shown_text(path), shown_text(copy_path)
        row = self._execute(
            "SELECT id FROM conflict WHERE node = ? AND kind = ? AND path = ? AND copy_path = ? AND resolved IS NULL"
            " ORDER BY id LIMIT 1",
            (node, kind.value, path, copy_path),
        ).fetchone()
        if row is not None:
            return int(row[0])
        self._execute(
            "INSERT INTO conflict (node, kind, path, copy_path, created) VALUES (?, ?, ?, ?, ?)",
            (node, kind.value, path, copy_path, at),
        )
        return self._connection.last_insert_rowid()

    def get(self, conflict_id: int) -> Conflict | None:
        """Return one conflict."""
        found = self._list("WHERE id = ?", (conflict_id,))
        return found[0] if found else None

    def open(self, limit: int = 10_000) -> list[Conflict]:
        """Return unresolved conflicts, oldest first."""
        return self._list("WHERE resolved IS NULL ORDER BY id LIMIT ?", (limit,))

    def of_node(self, node: NodeKey) -> list[Conflict]:
        """Return all conflicts of a node, oldest first."""
        return self._list("WHERE node = ? ORDER BY id", (node,))

    def recent(self, limit: int) -> list[Conflict]:
        """Return the newest first, resolved ones included."""
        return self._list("ORDER BY id DESC LIMIT ?", (limit,))

    def open_count(self) -> int:
        """Return how many are unresolved."""
        return int(self._execute("SELECT count(*) FROM conflict WHERE resolved IS NULL").get)

    def resolve(self, conflict_id: int, resolution: str, at: float) -> None:
        """Note how a conflict ended; the first ending counts."""
        self._execute(
            "UPDATE conflict SET resolution = ?, resolved = ? WHERE id = ? AND resolved IS NULL",
            (resolution, at, conflict_id),
        )

    def prune(self, before: float, limit: int = -1) -> int:
        """Forget up to *limit* conflicts (-1: all) that were resolved before *before*; returns how many went."""
        sql = "DELETE FROM conflict WHERE id IN (SELECT id FROM conflict WHERE resolved < ? ORDER BY id LIMIT ?)"
        self._execute(sql, (before, limit))
        return self._connection.changes()

    def _list(self, where: str, values: Row) -> list[Conflict]:
        return [
            Conflict(key, node, ConflictKind(str(kind)), *rest)  # type: ignore[arg-type]
            for key, node, kind, *rest in self._execute(f"SELECT {_COLUMNS} FROM conflict {where}", values).fetchall()
        ]
