"""Rows of the three trees: reading, writing, and finding what needs planning. Never decides what a row means.

The names of children, paths, orphans and listings are in ``structure``; this module owns single rows.
"""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import apsw

from syncd.db.codec import (
    HASH_ALG,
    NODE_COLUMNS,
    SqlValue,
    fingerprint_columns,
    fingerprint_from,
    is_text,
    kind_from,
    node_from,
    shown_text,
    version_columns,
    wide,
)
from syncd.db.structure import Structure
from syncd.model.node import Absent, Fingerprint, Kind, Node, Present, Reason, State, Tree, Unknown, place_of
from syncd.model.path import ROOT, NodeKey, fold

if TYPE_CHECKING:
    from syncd.model.job import KnownEntry

_SELECT: Final = f"SELECT {NODE_COLUMNS} FROM node"
_IN: Final = {t: f"{t.value}_parent = ?" for t in Tree}
_CHILDREN: Final = {t: f"{_SELECT} WHERE {_IN[t]} ORDER BY {t.value}_name, id" for t in Tree}
_UNDECIDED: Final = {
    t: f"{_SELECT} WHERE {_IN[t]} AND NOT (kind <> 'directory' AND {t.value}_presence = 'present'"
    f" AND {other}_presence = 'absent' AND s_presence = 'present' AND s_parent = {t.value}_parent"
    f" AND s_name = {t.value}_name AND s_hash IS {t.value}_hash AND s_executable = {t.value}_executable)"
    f" ORDER BY {t.value}_name, id"
    for t, other in ((Tree.REMOTE, "l"), (Tree.LOCAL, "r"))
}
# Mostly nothing is there, or a row that was read a moment ago: keys are asked for, and rows by their keys.
_AT: Final = {t: f"SELECT id FROM node WHERE {t.value}_parent = ? AND {t.value}_name = ? ORDER BY id" for t in Tree}
# A name that is its own folded form has no fold: most names need no second index entry.
_AT_FOLDED: Final = {
    t: f"SELECT id FROM node WHERE {t.value}_parent = ?1 AND {t.value}_name = ?2 AND {t.value}_fold IS NULL"
    f" UNION ALL SELECT id FROM node WHERE {t.value}_parent = ?1 AND {t.value}_fold = ?2 ORDER BY id"
    for t in (Tree.REMOTE, Tree.LOCAL)
}
_ANY_CHILD: Final = {t: f"SELECT 1 FROM node WHERE {t.value}_parent = ? LIMIT 1" for t in Tree}
_BY_NODE_ID: Final = "SELECT id FROM node WHERE node_id = ?"
_BY_INODE: Final = "SELECT id FROM node WHERE l_ino = ? AND l_dev = ? ORDER BY l_presence <> 'present', id"
_VANISHED: Final = (
    f"{_SELECT} WHERE l_hash = ? AND l_presence = 'absent' AND kind = ? AND s_presence = 'present' ORDER BY id"
)
_KNOWN: Final = (
    "SELECT l_name, kind, l_presence, l_dev, l_ino, l_fp_mtime, l_fp_ctime, l_fp_size, l_racy,"
    " iif(l_hash_alg = ?, l_hash, NULL), l_executable FROM node WHERE l_parent = ?"
)
_DISAGREEING: Final = (
    "SELECT id FROM node INDEXED BY node_disagreeing WHERE disagrees = 1 AND id > ? ORDER BY id LIMIT ?"
)
_GONE: Final = (
    "SELECT id FROM node INDEXED BY node_gone WHERE s_presence = 'absent' AND r_presence = 'absent'"
    " AND l_presence = 'absent' AND id > ? ORDER BY id LIMIT ?"
)

# What a snapshot says, as columns: presence, reason, detail, parent, name, hash, executable, size, mtime_ns.
_STATE_COLUMNS: Final = ("presence", "reason", "detail", "parent", "name", "hash", "executable", "size", "mtime_ns")
_VERSION_COLUMNS: Final = ("version", "tag", "manifest")
_PRINT_COLUMNS: Final = ("l_dev", "l_ino", "l_fp_mtime", "l_fp_ctime", "l_fp_size")


def _columns(tree: Tree) -> tuple[str, ...]:
    versions = () if tree is Tree.LOCAL else _VERSION_COLUMNS
    folds = () if tree is Tree.SYNCED else ("fold",)
    return tuple(f"{tree.value}_{name}" for name in _STATE_COLUMNS + versions + folds)


def _set_sql(columns: Sequence[str], extra: str = "") -> str:
    return "UPDATE node SET " + ", ".join(f"{name} = ?" for name in columns) + extra + " WHERE id = ?"


_LISTING: Final = "(SELECT value FROM counter WHERE name = 'listing')"
_SCAN: Final = "(SELECT value FROM counter WHERE name = 'scan')"
_SCANNED: Final = f", scan_gen = {_SCAN}"
_SET_SYNCED: Final = _set_sql(_columns(Tree.SYNCED))
# What is observed while a full listing runs counts as listed: it may be younger than the page that would show it.
_SET_REMOTE: Final = _set_sql(_columns(Tree.REMOTE), f", r_gen = {_LISTING}")
_SET_LOCAL: Final = _set_sql((*_columns(Tree.LOCAL), "l_hash_alg", *_PRINT_COLUMNS, "l_racy"), _SCANNED)
# What an op leaves: one statement, for every index that a statement touches is paid for again by the next one.
_SETTLE_REMOTE: Final = _set_sql((*_columns(Tree.SYNCED), *_columns(Tree.REMOTE)), f", r_gen = {_LISTING}")
_SETTLE_LOCAL: Final = _set_sql(
    (*_columns(Tree.SYNCED), *_columns(Tree.LOCAL), "l_hash_alg", *_PRINT_COLUMNS, "l_racy"), _SCANNED
)
_SET_LOCAL_PRINT: Final = _set_sql(
    ("l_presence", "l_reason", "l_detail", "l_parent", "l_name", "l_fold", *_PRINT_COLUMNS, "l_racy"), _SCANNED
)
_SET_LOCAL_KEEP: Final = _set_sql(("l_presence", "l_reason", "l_detail", "l_parent", "l_name", "l_fold"), _SCANNED)
_INSERT_COLUMNS: Final = (
    "node_id", "kind", *_columns(Tree.SYNCED), *_columns(Tree.REMOTE), *_columns(Tree.LOCAL),
    "l_hash_alg", *_PRINT_COLUMNS, "l_racy",
)  # fmt: skip
_NEW_HERE_COLUMNS: Final = ("node_id", "kind", *_columns(Tree.LOCAL), "l_hash_alg", *_PRINT_COLUMNS, "l_racy")
_NEW_THERE_COLUMNS: Final = ("node_id", "kind", *_columns(Tree.REMOTE))


def _insert_sql(columns: Sequence[str]) -> str:
    return (
        f"INSERT INTO node ({', '.join(columns)}, r_gen, scan_gen)"
        f" VALUES ({', '.join('?' for _ in columns)}, {_LISTING}, {_SCAN})"
    )


_INSERT: Final = _insert_sql(_INSERT_COLUMNS)
# Mostly one side alone has what is new: a third of the columns, and of the time.
_INSERT_NEW_HERE: Final = _insert_sql(_NEW_HERE_COLUMNS)
_INSERT_NEW_THERE: Final = _insert_sql(_NEW_THERE_COLUMNS)
_NOTHING: Final = Absent()

Columns = tuple[SqlValue, ...]


def _state(state: State) -> Columns:
    """Return *state* as ``_STATE_COLUMNS``."""
    match state:
        case Present(place, content, executable, size, mtime_ns):
            return ("present", None, "", place.parent, place.name, content, int(executable), size, wide(mtime_ns))
        case Absent():
            return ("absent", None, "", None, None, None, 0, 0, 0)
        case Unknown(reason, place, detail):
            parent, name = (None, None) if place is None else (place.parent, place.name)
            return ("unknown", reason.value, shown_text(detail), parent, name, None, 0, 0, 0)


def _state_and_version(state: State) -> Columns:
    """Return *state* as the columns of S or R: with version, tag and manifest."""
    match state:
        case Present():
            return (*_state(state), *version_columns(state.version), state.manifest)
        case Absent():
            return (*_state(state), *version_columns(state.version), None)
        case Unknown():
            return (*_state(state), None, None, None)


def _fold(state: State) -> str | None:
    """Return the folded form of the state's name, or None when the name is that itself."""
    place = place_of(state)
    folded = None if place is None else fold(place.name)
    return folded if place is not None and folded != place.name else None


class Nodes(Structure):
    """The node table. The planner's ``Trees`` by structure."""

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(connection)

    # --- reading

    def node(self, key: NodeKey) -> Node | None:
        """Return the row *key*, or None."""
        return self._one(f"{_SELECT} WHERE id = ?", (key,))

    def by_node_id(self, node_id: bytes) -> Node | None:
        """Return the row with the stable id *node_id*, or None."""
        row = self._execute(_BY_NODE_ID, (node_id,)).fetchone()
        return None if row is None else self.node(row[0])

    def children(self, tree: Tree, parent: NodeKey) -> list[Node]:
        """Return what *tree* has in directory *parent*, present or unknown with a place, by name and key."""
        return self._all(_CHILDREN[tree], (parent,))

    def undecided_children(self, tree: Tree, parent: NodeKey) -> list[Node]:
        """Return of ``children`` of R or L those whose own rows do not say that they go with their directory: all but
        files that the other tree lost and this one has as they were in sync."""
        return self._all(_UNDECIDED[tree], (parent,))

    def children_backwards(self, tree: Tree, parent: NodeKey) -> Iterator[Node]:
        """Yield ``children`` from the last to the first; a row is read when it is asked for."""
        for row in self._execute(f"{_SELECT} WHERE {_IN[tree]} ORDER BY {tree.value}_name DESC, id DESC", (parent,)):
            yield node_from(row)

    def beginning(self, tree: Tree, parent: NodeKey, prefix: str) -> list[Node]:
        """Return ``children`` whose names begin with *prefix*; no other row is read."""
        if not is_text(prefix):
            return []
        name = f"{tree.value}_name"
        sql = f"{_SELECT} WHERE {_IN[tree]} AND {name} >= ? AND {name} < ? ORDER BY {name}, id"
        return self._all(sql, (parent, prefix, prefix + chr(0x10FFFF)))

    def at(self, tree: Tree, parent: NodeKey, name: str) -> list[Node]:
        """Return what *tree* has at this place, present or unknown, by key. More than one while the world moves."""
        return self._of_keys(self._keys(_AT[tree], (parent, name))) if is_text(name) else []

    def at_folded(self, tree: Tree, parent: NodeKey, name: str) -> list[Node]:
        """Return what *tree* (R or L) has in *parent* under any case or normal form of *name*, by key."""
        return self._of_keys(self._keys_at_folded(tree, parent, fold(name))) if is_text(name) else []

    def has_children(self, tree: Tree, parent: NodeKey) -> bool:
        """Return whether *tree* has anything, known or unknown, in directory *parent*."""
        return self._execute(_ANY_CHILD[tree], (parent,)).fetchone() is not None

    def by_inode(self, dev: int, ino: int) -> list[Node]:
        """Return rows whose kept fingerprint has this inode; those present in L first, then by key."""
        return self._of_keys(self._keys(_BY_INODE, (wide(ino), wide(dev))))

    def vanished_with_hash(self, kind: Kind, hash: bytes) -> list[Node]:  # noqa: A002
        """Return rows in sync once, gone from L, whose last local content was *hash*; by key."""
        return self._all(_VANISHED, (hash, kind.value))

    def any_vanished(self) -> bool:
        """Return whether ``vanished_with_hash`` has any row to compare with."""
        sql = "SELECT 1 FROM node INDEXED BY node_vanished WHERE l_presence = 'absent' AND l_hash IS NOT NULL LIMIT 1"
        return self._execute(sql).fetchone() is not None

    def known(self, parent: NodeKey, names: Sequence[str] | None = None) -> "tuple[KnownEntry, ...]":
        """Return what L says of directory *parent* (all, or of *names*), by name and key.

        An entry whose state is unknown has no fingerprint here: it is to be reported however unchanged it is.
        """
        if names is None:
            rows = self._execute(_KNOWN + " ORDER BY l_name, id", (HASH_ALG, parent)).fetchall()
        else:
            wanted = json.dumps([name for name in names if is_text(name)])  # one statement, however many were touched
            sql = _KNOWN + " AND l_name IN (SELECT value FROM json_each(?)) ORDER BY l_name, id"
            rows = self._execute(sql, (HASH_ALG, parent, wanted)).fetchall()
        return tuple(_known_entry(row) for row in rows)

    def disagreeing(self, after: NodeKey, limit: int) -> list[NodeKey]:
        """Return up to *limit* keys above *after* whose trees disagree with R and L known, in order."""
        return self._keys(_DISAGREEING, (after, limit))

    def gone(self, after: NodeKey, limit: int) -> list[NodeKey]:
        """Return up to *limit* keys above *after* of rows that no tree has any more, in order: they may go."""
        return self._keys(_GONE, (after, limit))

    def disagreeing_count(self) -> int:
        """Return how many rows disagree; costs as much as there are of them."""
        sql = "SELECT count(*) FROM node INDEXED BY node_disagreeing WHERE disagrees = 1"
        return int(self._execute(sql).get)

    # --- writing

    def insert(
        self,
        kind: Kind,
        *,
        node_id: bytes | None = None,
        synced: Present | Absent = Absent(),  # noqa: B008 – immutable
        remote: State = Absent(),  # noqa: B008
        local: State = Absent(),  # noqa: B008
        fingerprint: Fingerprint | None = None,
        racy: bool = False,
    ) -> NodeKey:
        """Add a row and return its key, which is never used again."""
        new = synced == _NOTHING
        if new and local == _NOTHING and fingerprint is None and not racy:
            self._execute(_INSERT_NEW_THERE, (node_id, kind.value, *_state_and_version(remote), _fold(remote)))
            return self._connection.last_insert_rowid()
        here = (*_state(local), _fold(local), HASH_ALG, *fingerprint_columns(fingerprint), int(racy))
        if new and remote == _NOTHING:
            self._execute(_INSERT_NEW_HERE, (node_id, kind.value, *here))
        else:
            there = (*_state_and_version(remote), _fold(remote))
            self._execute(_INSERT, (node_id, kind.value, *_state_and_version(synced), *there, *here))
        return self._connection.last_insert_rowid()

    def set_local(self, key: NodeKey, state: State, fingerprint: Fingerprint | None, racy: bool = False) -> None:
        """Set what L says. A node that is no longer seen keeps its last hash, and, when *fingerprint* is None, its last
        fingerprint too: both may tell where it went."""
        if isinstance(state, Present):
            values = (*_state(state), _fold(state), HASH_ALG, *fingerprint_columns(fingerprint), int(racy), key)
            self._change(_SET_LOCAL, values, key)
        elif fingerprint is not None:
            values = (*_state(state)[:5], _fold(state), *fingerprint_columns(fingerprint), int(racy), key)
            self._change(_SET_LOCAL_PRINT, values, key)
        else:
            self._change(_SET_LOCAL_KEEP, (*_state(state)[:5], _fold(state), key), key)

    def set_remote(self, key: NodeKey, state: State) -> None:
        """Set what R says."""
        self._change(_SET_REMOTE, (*_state_and_version(state), _fold(state), key), key)

    def set_synced(self, key: NodeKey, state: Present | Absent) -> None:
        """Set the merge base. Call it only in the transaction that ends an op, or where R = L (P4)."""
        self._change(_SET_SYNCED, (*_state_and_version(state), key), key)

    def settle_remote(self, key: NodeKey, synced: Present | Absent, remote: Present | Absent) -> None:
        """Do what ``set_synced`` and ``set_remote`` do, at once."""
        values = (*_state_and_version(synced), *_state_and_version(remote), _fold(remote), key)
        self._change(_SETTLE_REMOTE, values, key)

    def settle_local(
        self, key: NodeKey, synced: Present | Absent, local: Present, fingerprint: Fingerprint, racy: bool
    ) -> None:
        """Do what ``set_synced`` and ``set_local`` do, at once."""
        seen = (*_state(local), _fold(local), HASH_ALG, *fingerprint_columns(fingerprint), int(racy))
        self._change(_SETTLE_LOCAL, (*_state_and_version(synced), *seen, key), key)

    def set_node_id(self, key: NodeKey, node_id: bytes) -> None:
        """Give the row its stable id; raises ``apsw.ConstraintError`` when another row has it."""
        self._change("UPDATE node SET node_id = ? WHERE id = ?", (node_id, key), key)

    def delete(self, key: NodeKey) -> None:
        """Forget the row, its waiting op, its undecided items and its pieces. Raises RuntimeError while its op runs."""
        if key == ROOT:
            raise ValueError("the root is never forgotten")
        self._drop_op(key)
        self._execute("DELETE FROM decision_item WHERE node = ? AND decision = 'undecided'", (key,))
        self._execute("DELETE FROM held_entry WHERE parent = ?", (key,))
        self._changing(key)
        self._execute("DELETE FROM node WHERE id = ?", (key,))

    def move_children(self, keep: NodeKey, drop: NodeKey, limit: int) -> int:
        """Name *keep* as parent of up to *limit* of the places in L and S that name *drop*; returns of how many.

        ``merge_local_into`` follows before anything reads a tree: until then L has them below nothing."""
        self._changing(None)
        moved = 0
        for t in (Tree.LOCAL.value, Tree.SYNCED.value):
            self._execute(
                f"UPDATE node SET {t}_parent = ? WHERE id IN"
                f" (SELECT id FROM node WHERE {t}_parent = ? ORDER BY {t}_name, id LIMIT ?)",
                (keep, drop, limit - moved),
            )
            moved += self._connection.changes()
        return moved

    def merge_local_into(self, keep: NodeKey, drop: NodeKey) -> None:
        """Join two rows of one thing: the L of *drop*, which R does not have, becomes the L of *keep*.

        Every place in S and L that names *drop* as parent names *keep* afterwards; a local leftover becomes present.
        Conflicts, items, waits and pieces follow. What *drop* was in S goes with it: *keep* has a merge base of its
        own. Its waiting op is dropped (*keep* is planned again).
        """
        source = self.node(drop)
        if keep == drop or source is None or self.node(keep) is None:
            raise ValueError(f"rows {keep} and {drop} cannot be joined: both must exist and differ")
        if not isinstance(source.remote, Absent):
            raise ValueError(f"row {drop} cannot be joined into {keep}: the remote has it too")
        self._drop_op(drop)
        self._changing(None)
        names = (*_columns(Tree.LOCAL), "l_hash_alg", *_PRINT_COLUMNS, "l_racy")
        self._execute(
            f"UPDATE node SET ({', '.join(names)}) = (SELECT {', '.join(names)} FROM node WHERE id = ?) WHERE id = ?",
            (drop, keep),
        )
        self._execute(
            "UPDATE node SET l_presence = 'present', l_reason = NULL, l_detail = ''"
            " WHERE id = ? AND l_presence = 'unknown' AND l_reason = ? AND l_parent IS NOT NULL",
            (keep, Reason.LEFTOVER.value),
        )
        for tree in (Tree.LOCAL, Tree.SYNCED):  # a swap may have given S a place in it
            self._execute(f"UPDATE node SET {tree.value}_parent = ? WHERE {tree.value}_parent = ?", (keep, drop))
        self._execute("UPDATE conflict SET node = ? WHERE node = ?", (keep, drop))
        self._execute("UPDATE held_entry SET parent = ? WHERE parent = ?", (keep, drop))
        for table in ("decision_item", "op_wait", "chunk_cache"):  # OR IGNORE: keep may be there already
            self._execute(f"UPDATE OR IGNORE {table} SET node = ? WHERE node = ?", (keep, drop))
            self._execute(f"DELETE FROM {table} WHERE node = ?", (drop,))
        self._execute("DELETE FROM node WHERE id = ?", (drop,))

    # --- helpers

    def _drop_op(self, key: NodeKey) -> None:
        if self._execute(
            "SELECT 1 FROM queue_op WHERE node = ? AND state <> 'done' AND state = 'running'", (key,)
        ).fetchone():
            raise RuntimeError(f"node {key} has a running op: its result comes first")
        self._execute("DELETE FROM queue_op WHERE node = ? AND state <> 'done'", (key,))

    def _change(self, sql: str, values: Columns, key: NodeKey) -> None:
        self._changing(key)
        self._execute(sql, values)
        if self._connection.changes() == 0:
            raise KeyError(f"there is no node {key}")

    def _one(self, sql: str, values: Columns) -> Node | None:
        row = self._execute(sql, values).fetchone()
        return None if row is None else node_from(row)

    def _keys_at_folded(self, tree: Tree, parent: NodeKey, folded: str) -> list[NodeKey]:
        return self._keys(_AT_FOLDED[tree], (parent, folded))

    def _of_keys(self, keys: Sequence[NodeKey]) -> list[Node]:
        return [node for key in keys if (node := self.node(key)) is not None]

    def _all(self, sql: str, values: Columns) -> list[Node]:
        return [node_from(row) for row in self._execute(sql, values).fetchall()]


def _known_entry(row: Columns) -> "KnownEntry":
    from syncd.model.job import KnownEntry  # only the daemon looks: `syncd status` has 150 ms, and need not import jobs

    name, kind_text, presence, dev, ino, mtime, ctime, size, racy, content, executable = row
    kind = kind_from(kind_text)
    fingerprint = None
    if presence == "present" and ino is not None:
        fingerprint = fingerprint_from(dev, ino, mtime, ctime, size)
    hashed = content is not None or kind is Kind.DIRECTORY
    marked = executable == 1 if kind is Kind.FILE and fingerprint is not None else None
    return KnownEntry(str(name), kind, fingerprint, racy == 1, hashed, content, marked)  # type: ignore[arg-type]
