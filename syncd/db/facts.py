"""Single facts about the root, and the local names that can never be a node. Never interprets either."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import apsw

from syncd.db.codec import Row, shown_text
from syncd.model.path import NodeKey, shown

TRASH_BYTES: Final = "trash bytes"
"""The fact that says how many bytes the trash held when it was last tended."""


class Meta:
    """The meta table: cursor, device id, versions, watermarks. Text to text."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def get(self, key: str, default: str | None = None) -> str | None:
        """Return the value of *key*, or *default*."""
        row = self._execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return default if row is None else str(row[0])

    def set(self, key: str, value: str) -> None:
        """Set *key*; writes nothing when it has that value already."""
        self._execute(
            "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            " WHERE value <> excluded.value",
            (key, value),
        )

    def delete(self, key: str) -> None:
        """Forget *key*."""
        self._execute("DELETE FROM meta WHERE key = ?", (key,))

    def all(self) -> dict[str, str]:
        """Return everything, by key."""
        return {str(key): str(value) for key, value in self._execute("SELECT key, value FROM meta ORDER BY key")}


@dataclass(frozen=True, slots=True)
class HeldEntry:
    """A local name that cannot be synced. *name* as the directory lists it when given, escaped when read back."""

    name: str
    reason: str
    detail: str = ""


class Held:
    """The held_entry table: what is in the root and can never be a node (P12 shows it)."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def replace(self, parent: NodeKey, entries: Sequence[HeldEntry], names: Sequence[str] | None = None) -> None:
        """Set what is held in directory *parent* after a look at all of it, or at *names* only. Unchanged: no write."""
        looked = None if names is None else {shown(name) for name in names}
        new = sorted((shown(entry.name), shown_text(entry.reason), shown_text(entry.detail)) for entry in entries)
        rows = self._execute(
            "SELECT id, name, reason, detail FROM held_entry WHERE parent = ? ORDER BY name, reason, detail", (parent,)
        ).fetchall()
        old = [row for row in rows if looked is None or row[1] in looked]
        missing: Counter[Row] = Counter(new)  # two names may be shown alike
        for row in old:
            if missing[row[1:]]:
                missing[row[1:]] -= 1
            else:
                self._execute("DELETE FROM held_entry WHERE id = ?", (row[0],))
        for entry in sorted(missing.elements()):
            self._execute("INSERT INTO held_entry (parent, name, reason, detail) VALUES (?, ?, ?, ?)", (parent, *entry))

    def list(self, limit: int = 1000) -> list[tuple[NodeKey, HeldEntry]]:
        """Return (directory, entry), by directory and name."""
        sql = "SELECT parent, name, reason, detail FROM held_entry ORDER BY parent, name, id LIMIT ?"
        return [
            (int(parent), HeldEntry(str(name), str(reason), str(detail)))  # type: ignore[arg-type]
            for parent, name, reason, detail in self._execute(sql, (limit,)).fetchall()
        ]

    def count(self) -> int:
        """Return how many names are held."""
        return int(self._execute("SELECT count(*) FROM held_entry").get)
