"""What a person is asked to decide, in groups, and what they decided. Never carries a decision out.

Open and decide groups in durable transactions: a decision holds from the moment it was given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import apsw

from syncd.db.codec import Row, shown_text
from syncd.model.op import Side
from syncd.model.path import NodeKey


class GroupKind(StrEnum):
    """What a group asks about."""

    HELD = "held"  # a mass change (P8)
    CONFLICTS = "conflicts"


class Decision(StrEnum):
    """What a person may say of an item."""

    UNDECIDED = "undecided"
    KEEP_MINE = "keep mine"
    KEEP_THEIRS = "keep theirs"
    KEEP_BOTH = "keep both"
    ALLOW = "allow"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Item:
    """One node of a group: *what* would be done to *path*, and the bytes at stake."""

    node: NodeKey
    path: str = ""
    what: str = ""
    bytes: int = 0
    decision: Decision = Decision.UNDECIDED
    decided: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A group with its numbers. *undone_by* is the group that took it back."""

    id: int
    kind: GroupKind
    side: Side
    reason: str
    created: float
    undone_by: int | None
    items: int
    undecided: int
    bytes: int


_GROUPS: Final = (
    "SELECT g.id, g.kind, g.side, g.reason, g.created, g.undone_by, count(i.node),"
    " coalesce(sum(i.decision = 'undecided'), 0), coalesce(sum(i.bytes), 0)"
    " FROM decision_group AS g LEFT JOIN decision_item AS i ON i.group_id = g.id"
)


class Decisions:
    """The decision_group and decision_item tables."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def open(self, kind: GroupKind, side: Side, reason: str, at: float) -> int:
        """Begin a group and return its id."""
        self._execute(
            "INSERT INTO decision_group (kind, side, reason, created) VALUES (?, ?, ?, ?)",
            (kind.value, side.value, shown_text(reason), at),
        )
        return self._connection.last_insert_rowid()

    def add(self, group: int, items: Sequence[Item]) -> None:
        """Add *items*; an undecided one that is there already takes the new description, a decided one stays."""
        self._connection.executemany(
            "INSERT INTO decision_item (group_id, node, path, what, bytes, decision, decided)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (group_id, node) DO UPDATE"
            " SET path = excluded.path, what = excluded.what, bytes = excluded.bytes WHERE decision = 'undecided'",
            [
                (
                    group, item.node, shown_text(item.path), shown_text(item.what), item.bytes,
                    item.decision.value, item.decided,
                )
                for item in items
            ],
        )  # fmt: skip

    def remove(self, group: int, nodes: Sequence[NodeKey]) -> None:
        """Take nodes that no longer need a decision out of a group; decided ones stay."""
        self._connection.executemany(
            "DELETE FROM decision_item WHERE group_id = ? AND node = ? AND decision = 'undecided'",
            [(group, node) for node in nodes],
        )

    def get(self, group: int) -> Group | None:
        """Return one group."""
        found = self._groups("WHERE g.id = ? GROUP BY g.id", (group,))
        return found[0] if found else None

    def undecided(self) -> list[Group]:
        """Return groups with undecided items, oldest first."""
        return self._groups(
            "WHERE g.id IN (SELECT group_id FROM decision_item WHERE decision = 'undecided') GROUP BY g.id"
            " ORDER BY g.id",
            (),
        )

    def recent(self, limit: int) -> list[Group]:
        """Return the newest groups first, decided ones included."""
        return self._groups("GROUP BY g.id ORDER BY g.id DESC LIMIT ?", (limit,))

    def items(self, group: int, limit: int, after: NodeKey = 0) -> list[Item]:
        """Return up to *limit* items with a node above *after*, by node."""
        sql = (
            "SELECT node, path, what, bytes, decision, decided FROM decision_item WHERE group_id = ? AND node > ?"
            " ORDER BY node LIMIT ?"
        )
        return [_item(row) for row in self._execute(sql, (group, after, limit)).fetchall()]

    def decide(self, group: int, decision: Decision, at: float, nodes: Sequence[NodeKey] | None = None) -> int:
        """Decide the undecided items of a group (all, or of *nodes*); returns how many that were."""
        sql = "UPDATE decision_item SET decision = ?, decided = ? WHERE group_id = ? AND decision = 'undecided'"
        if nodes is None:
            self._execute(sql, (decision.value, at, group))
            return self._connection.changes()
        changed = 0
        for node in nodes:
            self._execute(sql + " AND node = ?", (decision.value, at, group, node))
            changed += self._connection.changes()
        return changed

    def undo(self, group: int, by: int) -> None:
        """Note that group *by* takes back what was decided in *group*."""
        self._execute("UPDATE decision_group SET undone_by = ? WHERE id = ?", (by, group))

    def decision_for(self, node: NodeKey) -> tuple[Group, Item] | None:
        """Return the newest group this node is in that was not taken back, with its item; None without any."""
        row = self._execute(
            "SELECT i.group_id, i.node, i.path, i.what, i.bytes, i.decision, i.decided FROM decision_item AS i"
            " JOIN decision_group AS g ON g.id = i.group_id WHERE i.node = ? AND g.undone_by IS NULL"
            " ORDER BY i.group_id DESC LIMIT 1",
            (node,),
        ).fetchone()
        if row is None:
            return None
        group = self.get(int(row[0]))
        return None if group is None else (group, _item(row[1:]))

    def prune(self, before: float) -> int:
        """Forget groups begun before *before* that are wholly decided; returns how many went."""
        self._execute(
            "DELETE FROM decision_group WHERE created < ? AND id NOT IN"
            " (SELECT group_id FROM decision_item WHERE decision = 'undecided')"
            " AND id NOT IN (SELECT undone_by FROM decision_group WHERE undone_by IS NOT NULL)",
            (before,),
        )
        return self._connection.changes()

    def _groups(self, where: str, values: Row) -> list[Group]:
        return [
            Group(key, GroupKind(str(kind)), Side(str(side)), *rest)  # type: ignore[arg-type]
            for key, kind, side, *rest in self._execute(f"{_GROUPS} {where}", values).fetchall()
        ]


def _item(row: Row) -> Item:
    node, path, what, size, decision, decided = row
    return Item(node, path, what, size, Decision(str(decision)), decided)  # type: ignore[arg-type]
