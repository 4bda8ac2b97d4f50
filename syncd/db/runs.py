"""Long work, past and present: the scan_run table. Never scans."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import apsw

from syncd.db.codec import Row

KEEP_RUNS: Final = 10
KEEP_SECONDS: Final = 30 * 86400.0
"""A finished run is kept while it is among the last ten, or younger than thirty days."""


class RunKind(StrEnum):
    """What a scan looks at: all by fingerprint, all by content, or one folder."""

    QUICK = "quick"
    DEEP = "deep"
    SUBTREE = "subtree"


class RunStatus(StrEnum):
    """Where a run is. A run found running at start was interrupted, and goes on from its cursor."""

    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Run:
    """One run. *parameters* is JSON, frozen at its start; *cursor* is where an interrupted one goes on."""

    id: int
    kind: RunKind
    parameters: str
    status: RunStatus
    started: float
    finished: float | None
    processed: int
    errors: int
    cursor: str


_COLUMNS: Final = "id, kind, parameters, status, started, finished, processed, errors, cursor"


class Runs:
    """The scan_run table."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def start(self, kind: RunKind, parameters: str, at: float) -> int:
        """Begin a run and return its id."""
        self._execute(
            "INSERT INTO scan_run (kind, parameters, status, started) VALUES (?, ?, 'running', ?)",
            (kind.value, parameters, at),
        )
        return self._connection.last_insert_rowid()

    def progress(self, run_id: int, processed: int, errors: int, cursor: str) -> None:
        """Note how far a running run is: totals so far, and where it would go on."""
        self._execute(
            "UPDATE scan_run SET processed = ?, errors = ?, cursor = ? WHERE id = ? AND status = 'running'",
            (processed, errors, cursor, run_id),
        )

    def finish(self, run_id: int, status: RunStatus, at: float) -> None:
        """End a run; the first ending counts."""
        if status is RunStatus.RUNNING:
            raise ValueError("a run does not end by running")
        self._execute(
            "UPDATE scan_run SET status = ?, finished = ? WHERE id = ? AND status = 'running'",
            (status.value, at, run_id),
        )

    def get(self, run_id: int) -> Run | None:
        """Return one run."""
        found = self._list("WHERE id = ?", (run_id,))
        return found[0] if found else None

    def active(self) -> list[Run]:
        """Return running runs, oldest first; after a start: those to resume."""
        return self._list("WHERE status = 'running' ORDER BY id", ())

    def recent(self, limit: int) -> list[Run]:
        """Return the newest runs first."""
        return self._list("ORDER BY id DESC LIMIT ?", (limit,))

    def prune(self, now: float, keep: int = KEEP_RUNS, seconds: float = KEEP_SECONDS) -> int:
        """Forget ended runs that are neither among the newest *keep* nor younger than *seconds*; returns how many."""
        self._execute(
            "DELETE FROM scan_run WHERE status <> 'running' AND finished < ?"
            " AND id NOT IN (SELECT id FROM scan_run ORDER BY id DESC LIMIT ?)",
            (now - seconds, keep),
        )
        return self._connection.changes()

    def _list(self, where: str, values: Row) -> list[Run]:
        return [
            Run(key, RunKind(str(kind)), parameters, RunStatus(str(status)), *rest)  # type: ignore[arg-type]
            for key, kind, parameters, status, *rest in self._execute(
                f"SELECT {_COLUMNS} FROM scan_run {where}", values
            ).fetchall()
        ]
