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


@dataclass(frozen=True, slots=True)
class Word:
    """A person's word on the whole of a group, given at *at*, that some of its items have yet to take on."""

    group: int
    decision: Decision
    at: float


_GROUPS: Final = (
    "SELECT g.id, g.kind, g.side, g.reason, g.created, g.undone_by, count(i.node),"
    " coalesce(sum(i.decision = 'undecided' AND g.decision IS NULL), 0), coalesce(sum(i.bytes), 0)"
    " FROM decision_group AS g LEFT JOIN decision_item AS i ON i.group_id = g.id"
)
_OPEN: Final = "g.decision IS NULL AND g.id IN (SELECT group_id FROM decision_item WHERE decision = 'undecided')"
_NEWEST: Final = (
    " FROM decision_item AS i JOIN decision_group AS g ON g.id = i.group_id WHERE i.node = ? AND g.undone_by IS NULL"
    " ORDER BY i.group_id DESC LIMIT 1"
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

    def renew(self, group: int, reason: str) -> None:
        """Give a group the reason it has by now; writes nothing when it has that already."""
        text = shown_text(reason)
        self._execute("UPDATE decision_group SET reason = ? WHERE id = ? AND reason <> ?", (text, group, text))

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
        return self._groups(f"WHERE {_OPEN} GROUP BY g.id ORDER BY g.id", ())

    def undecided_of(self, kind: GroupKind, side: Side) -> int | None:
        """Return the oldest group of this kind and direction with undecided items, or None."""
        sql = f"SELECT g.id FROM decision_group AS g WHERE g.kind = ? AND g.side = ? AND {_OPEN} ORDER BY g.id LIMIT 1"
        row = self._execute(sql, (kind.value, side.value)).fetchone()
        return None if row is None else int(row[0])

    def recent(self, limit: int) -> list[Group]:
        """Return the newest groups first, decided ones included."""
        return self._groups("GROUP BY g.id ORDER BY g.id DESC LIMIT ?", (limit,))

    def items(self, group: int, limit: int, after: NodeKey = 0) -> list[Item]:
        """Return up to *limit* items with a node above *after*, by node."""
        sql = (
            "SELECT i.node, i.path, i.what, i.bytes, iif(i.decision = 'undecided', coalesce(g.decision, 'undecided'),"
            " i.decision), coalesce(i.decided, g.decided) FROM decision_item AS i"
            " JOIN decision_group AS g ON g.id = i.group_id WHERE i.group_id = ? AND i.node > ? ORDER BY i.node LIMIT ?"
        )
        return [_item(row) for row in self._execute(sql, (group, after, limit)).fetchall()]

    def undecided_ids(self, group: int) -> list[bytes]:
        """Return the stable ids of a group's undecided nodes, by node; those without one are left out."""
        sql = (
            "SELECT n.node_id FROM decision_item AS i JOIN node AS n ON n.id = i.node"
            " WHERE i.group_id = ? AND i.decision = 'undecided' AND n.node_id IS NOT NULL ORDER BY i.node"
        )
        return [row[0] for row in self._execute(sql, (group,)).fetchall()]  # type: ignore[misc]

    def decide(self, group: int, decision: Decision, at: float) -> int:
        """Note a person's word on what is undecided in a group; returns how many items it is about.

        One row, whatever their number: the items take it on by ``take_on``, and ``unfinished`` finds those left."""
        found = self.get(group)
        if found is None or not found.undecided:
            return 0
        sql = "UPDATE decision_group SET decision = ?, decided = ? WHERE id = ?"
        self._execute(sql, (decision.value, at, group))
        return found.undecided

    def unfinished(self) -> Word | None:
        """Return the oldest word that some items of its group have yet to take on; None when all have."""
        row = self._execute(
            "SELECT g.id, g.decision, g.decided FROM decision_group AS g WHERE g.decision IS NOT NULL AND EXISTS"
            " (SELECT 1 FROM decision_item WHERE group_id = g.id AND decision = 'undecided') ORDER BY g.id LIMIT 1"
        ).fetchone()
        return None if row is None else Word(int(row[0]), Decision(str(row[1])), float(row[2]))

    def untaken(self, group: int, limit: int) -> list[NodeKey]:
        """Return up to *limit* nodes of a group that did not take any decision on yet, in order."""
        sql = "SELECT node FROM decision_item WHERE group_id = ? AND decision = 'undecided' ORDER BY node LIMIT ?"
        return [int(row[0]) for row in self._execute(sql, (group, limit)).fetchall()]  # type: ignore[arg-type]

    def take_on(self, word: Word, nodes: Sequence[NodeKey]) -> None:
        """Write *word* on the undecided items of *nodes*; in the transaction that carries it out for them."""
        self._connection.executemany(
            "UPDATE decision_item SET decision = ?, decided = ?"
            " WHERE group_id = ? AND node = ? AND decision = 'undecided'",
            [(word.decision.value, word.at, word.group, node) for node in nodes],
        )

    def undo(self, group: int, by: int) -> None:
        """Note that group *by* takes back what was decided in *group*."""
        self._execute("UPDATE decision_group SET undone_by = ? WHERE id = ?", (by, group))

    def standing(self, node: NodeKey) -> tuple[int, Decision, float] | None:
        """Return (group, decision, when) of the newest group this node is in that was not taken back; None without any.

        An item that has not taken its group's word on yet is undecided: nothing was done about it."""
        row = self._execute("SELECT i.group_id, i.decision, coalesce(i.decided, 0.0)" + _NEWEST, (node,)).fetchone()
        return None if row is None else (int(row[0]), Decision(str(row[1])), float(row[2]))

    def prune(self, before: float, limit: int = -1) -> int:
        """Forget groups begun before *before* that are wholly decided, up to *limit* rows; returns how many went."""
        old = (
            "SELECT id FROM decision_group WHERE created < ? AND id NOT IN"
            " (SELECT group_id FROM decision_item WHERE decision = 'undecided')"
            " AND id NOT IN (SELECT undone_by FROM decision_group WHERE undone_by IS NOT NULL)"
        )
        self._execute(
            f"DELETE FROM decision_item WHERE (group_id, node) IN"
            f" (SELECT group_id, node FROM decision_item WHERE group_id IN ({old}) ORDER BY group_id, node LIMIT ?)",
            (before, limit),
        )
        gone = self._connection.changes()
        if gone == limit:
            return gone
        self._execute(f"DELETE FROM decision_group WHERE id IN ({old} ORDER BY id LIMIT ?)", (before, limit - gone))
        return gone + self._connection.changes()

    def _groups(self, where: str, values: Row) -> list[Group]:
        return [
            Group(key, GroupKind(str(kind)), Side(str(side)), *rest)  # type: ignore[arg-type]
            for key, kind, side, *rest in self._execute(f"{_GROUPS} {where}", values).fetchall()
        ]


def _item(row: Row) -> Item:
    node, path, what, size, decision, decided = row
    return Item(node, path, what, size, Decision(str(decision)), decided)  # type: ignore[arg-type]
