"""How rows hang together: paths, orphans, full listings, past versions, counts. Never changes what R or L said."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import apsw

from syncd.db.codec import SqlValue, is_text, wide
from syncd.model.node import Kind, Reason, Tree, Version
from syncd.model.path import ROOT, NodeKey, RelPath

_PLACE: Final = {t: f"SELECT {t.value}_parent, {t.value}_name FROM node WHERE id = ?" for t in Tree}
_FIND: Final = {
    t: f"SELECT id FROM node WHERE {t.value}_parent = ? AND {t.value}_name = ?"
    f" ORDER BY {t.value}_presence <> 'present', id"
    for t in Tree
}
_ORPHANS: Final = (
    "SELECT child.id FROM gone_directory AS gone JOIN node AS child ON child.l_parent = gone.id"
    " LEFT JOIN node AS dir ON dir.id = gone.id WHERE gone.tree = 'l'"
    " AND (dir.id IS NULL OR dir.l_presence = 'absent')"
    " ORDER BY gone.id, child.l_name, child.id LIMIT ?"  # as they lie in the index: nothing is sorted
)
_STRANGERS: Final = (
    "SELECT key FROM json_each(?1) WHERE NOT EXISTS"
    " (SELECT 1 FROM node INDEXED BY node_l_ino WHERE l_ino = value AND l_dev = ?2)"
)


@dataclass(frozen=True, slots=True)
class TreeCount:
    """One tree in numbers, the root not counted. *bytes* is the sum of the sizes of what is present."""

    files: int = 0
    directories: int = 0
    symlinks: int = 0
    unknown: int = 0
    bytes: int = 0

    @property
    def nodes(self) -> int:
        """Everything present."""
        return self.files + self.directories + self.symlinks


@dataclass(frozen=True, slots=True)
class TreeCounts:
    """The three trees in numbers."""

    synced: TreeCount
    remote: TreeCount
    local: TreeCount


class Structure:
    """The part of ``Nodes`` that follows rows from parent to child."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def path(self, tree: Tree, key: NodeKey) -> RelPath | None:
        """Return the path of *key* in *tree*; None when an ancestor has no place there, or its ancestry is a circle."""
        names: list[str] = []
        passed: set[NodeKey] = set()
        while key != ROOT:
            row = self._execute(_PLACE[tree], (key,)).fetchone()
            if row is None or row[0] is None or key in passed:
                return None
            passed.add(key)
            names.append(str(row[1]))
            key = int(row[0])
        return tuple(reversed(names))

    def any_path(self, key: NodeKey) -> RelPath | None:
        """Return where a person would look for *key*: its path in L, else in S, else in R."""
        for tree in (Tree.LOCAL, Tree.SYNCED, Tree.REMOTE):
            if (path := self.path(tree, key)) is not None:
                return path
        return None

    def find(self, tree: Tree, path: RelPath) -> NodeKey | None:
        """Return the node at *path* in *tree*, present or unknown; the present one, then the oldest, of several."""
        level = [ROOT]
        for name in path:
            if not is_text(name):
                return None
            level = [child for parent in level for child in self._keys(_FIND[tree], (parent, name))]
        return level[0] if level else None

    def children_after(
        self, tree: Tree, parent: NodeKey, after: tuple[str, NodeKey], limit: int
    ) -> list[tuple[str, NodeKey]]:
        """Return (name, key) of up to *limit* of what *tree* has in *parent* beyond *after*, which is one of them."""
        t = tree.value
        sql = (
            f"SELECT {t}_name, id FROM node WHERE {t}_parent = ? AND ({t}_name, id) > (?, ?)"
            f" ORDER BY {t}_name, id LIMIT ?"
        )
        rows = self._execute(sql, (parent, *after, limit)).fetchall()
        return [(str(name), int(key)) for name, key in rows]  # type: ignore[arg-type]

    # --- many questions at once

    def strangers(self, inodes: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
        """Return those of *inodes*, each a device and a number, that no row's kept fingerprint has."""
        asked: dict[int, list[int]] = {}
        for dev, ino in inodes:
            asked.setdefault(dev, []).append(ino)
        found: set[tuple[int, int]] = set()
        for dev, numbers in asked.items():
            rows = self._execute(_STRANGERS, (json.dumps([wide(ino) for ino in numbers]), wide(dev))).fetchall()
            found |= {(dev, numbers[at]) for (at,) in rows}  # type: ignore[index]
        return found

    def unknown_ids(self, asked: Sequence[bytes]) -> set[bytes]:
        """Return those of the node ids *asked* for that no row has."""
        sql = "SELECT key FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM node AS n WHERE n.node_id = unhex(value))"
        rows = self._execute(sql, (json.dumps([node_id.hex() for node_id in asked]),)).fetchall()
        return {asked[at] for (at,) in rows}  # type: ignore[index]

    # --- what lost its directory

    def local_orphans(self, limit: int) -> list[NodeKey]:
        """Return rows that L still has below a directory it no longer has, in order; each to be marked absent."""
        if self._execute("SELECT 1 FROM gone_directory LIMIT 1").fetchone() is None:
            return []
        found = self._keys(_ORPHANS, (limit,))
        if not found:
            self._execute("DELETE FROM gone_directory")
        return found

    # --- the remote's history and listings

    def add_past_version(self, key: NodeKey, version: Version) -> None:
        """Remember that this device has gone beyond *version* of the node."""
        self._execute(
            "INSERT OR IGNORE INTO past_version (node, position, tag) VALUES (?, ?, ?)",
            (key, wide(version.position), version.tag),
        )

    def superseded(self, key: NodeKey, version: Version) -> bool:
        """Return whether this device had already gone beyond *version* of the node."""
        sql = "SELECT 1 FROM past_version WHERE node = ? AND position = ? AND tag = ?"
        return self._execute(sql, (key, wide(version.position), version.tag)).fetchone() is not None

    def forget_synced(self, limit: int) -> int:
        """Empty S for up to *limit* rows (the remote's history changed) and return for how many; 0 when it is empty."""
        self._changing(None)
        self._execute(
            "UPDATE node SET s_presence = 'absent', s_parent = NULL, s_name = NULL, s_hash = NULL, s_executable = 0,"
            " s_size = 0, s_mtime_ns = 0, s_version = NULL, s_tag = NULL, s_manifest = NULL WHERE id IN"
            " (SELECT id FROM node WHERE s_parent > 0 ORDER BY s_parent, s_name, id LIMIT ?)",
            (limit,),
        )
        return self._connection.changes()

    def begin_scan(self, run: int) -> None:
        """From now on rows whose L is found changed or missing are stamped with scan run *run*."""
        self._execute("UPDATE counter SET value = ? WHERE name = 'scan'", (run,))

    def scanned_in(self, key: NodeKey) -> int:
        """Return the scan run during which L was last found changed or missing; 0 before the first."""
        row = self._execute("SELECT scan_gen FROM node WHERE id = ?", (key,)).fetchone()
        return 0 if row is None else int(row[0])

    def begin_listing(self) -> int:
        """Begin a full listing and return its generation. What is observed of R from now on counts as listed."""
        self._execute("UPDATE counter SET value = value + 1 WHERE name = 'listing'")
        return int(self._execute("SELECT value FROM counter WHERE name = 'listing'").get)

    def note_listed(self, key: NodeKey, generation: int) -> None:
        """Note that the listing *generation* showed the row."""
        self._execute("UPDATE node SET r_gen = ? WHERE id = ? AND r_gen <> ?", (generation, key, generation))

    def unlisted(self, generation: int, limit: int) -> list[NodeKey]:
        """Return rows R was thought to have (present or unknown) that this listing did not show; the root never.

        Conclude absence from it only when the listing, and the changes since it began, were read to their end.
        """
        sql = (
            "SELECT id FROM node INDEXED BY node_listed WHERE r_presence <> 'absent' AND r_gen < ? AND id <> ?"
            " ORDER BY r_gen, id LIMIT ?"
        )
        return self._keys(sql, (generation, ROOT, limit))

    def remote_after(self, position: int) -> list[tuple[NodeKey, Version]]:
        """Return rows whose R is of a journal position above *position*, with its version, by key. Reads every row."""
        sql = "SELECT id, r_version, r_tag FROM node WHERE r_version > ? ORDER BY id"
        rows = self._execute(sql, (position,)).fetchall()
        return [(int(key), Version(int(at), str(tag))) for key, at, tag in rows]  # type: ignore[arg-type]

    def last_local_hash(self, key: NodeKey) -> bytes | None:
        """Return the content hash L had last, also after the node went; None when it was never read."""
        row = self._execute("SELECT l_hash FROM node WHERE id = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def set_kind(self, key: NodeKey, kind: Kind) -> None:
        """Say what a row is that was known only as somebody's parent; for no other row does a kind ever change."""
        self._changing(key)
        self._execute(
            "UPDATE node SET kind = ? WHERE id = ?"
            " AND r_presence = 'unknown' AND l_presence = 'absent' AND s_presence = 'absent'",
            (kind.value, key),
        )

    # --- numbers

    def counts(self) -> TreeCounts:
        """Return the three trees in numbers; nine rows are read, whatever the size of the root."""
        found: dict[tuple[str, str], tuple[int, int, int]] = {}
        for tree, kind, present, unknown, size in self._execute(
            "SELECT tree, kind, present, unknown, bytes FROM tree_count ORDER BY tree, kind"
        ).fetchall():
            found[str(tree), str(kind)] = (int(present), int(unknown), int(size))  # type: ignore[arg-type]

        def of(tree: Tree) -> TreeCount:
            rows = {kind: found[tree.value, kind.value] for kind in Kind}
            return TreeCount(
                files=rows[Kind.FILE][0],
                directories=rows[Kind.DIRECTORY][0],
                symlinks=rows[Kind.SYMLINK][0],
                unknown=sum(row[1] for row in rows.values()),
                bytes=sum(row[2] for row in rows.values()),
            )

        return TreeCounts(of(Tree.SYNCED), of(Tree.REMOTE), of(Tree.LOCAL))

    def unknown_counts(self, tree: Tree) -> dict[Reason, int]:
        """Return how many nodes *tree* (R or L) says nothing certain of, by reason."""
        t = tree.value
        sql = f"SELECT {t}_reason, count(*) FROM node WHERE {t}_presence = 'unknown' GROUP BY {t}_reason ORDER BY 1"
        return {Reason(str(reason)): int(count) for reason, count in self._execute(sql).fetchall()}  # type: ignore[arg-type]

    def unknown(self, tree: Tree, reason: Reason, after: NodeKey, limit: int) -> list[NodeKey]:
        """Return up to *limit* keys above *after* of which *tree* (R or L) says *reason*, in order."""
        t = tree.value
        sql = f"SELECT id FROM node WHERE {t}_presence = 'unknown' AND {t}_reason = ? AND id > ? ORDER BY id LIMIT ?"
        return self._keys(sql, (reason.value, after, limit))

    def _changing(self, key: NodeKey | None) -> None:
        """Called before a row is written or removed; None: any number of rows. For whoever keeps what was read."""

    def _keys(self, sql: str, values: tuple[SqlValue, ...]) -> list[NodeKey]:
        return [int(row[0]) for row in self._execute(sql, values).fetchall()]  # type: ignore[arg-type]
