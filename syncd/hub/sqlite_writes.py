"""The statements that write the hub's database, inside a transaction of sqlite_store. Never decides."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Final

import apsw

from syncd.hub.sqlite_reads import SqliteReads
from syncd.hub.store import ChunkRow, DeviceRow, EntryRow, Location, Space, Stored
from syncd.model.node import Version

_APPEND: Final = (
    "INSERT INTO entry (space, position, tag, node_id, parent_id, name, kind, hash, size, manifest, executable,"
    " mtime_ns, deleted, key, at, device, cause, base_position, base_tag, restored_position, restored_tag)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_PUT_NODE: Final = (
    "INSERT INTO node (space, node_id, parent_id, name, position) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (space, node_id) DO UPDATE SET parent_id = excluded.parent_id, name = excluded.name,"
    " position = excluded.position"
)
# A revived tombstone is not the node's current entry any more: it goes as any superseded version does.
_OLD_TOMBSTONES: Final = """
    SELECT e.position, e.node_id FROM entry e INDEXED BY entry_deleted
    JOIN node n ON n.space = e.space AND n.node_id = e.node_id AND n.position = e.position
    WHERE e.space = ? AND e.deleted = 1 AND e.position <= ? AND e.at < ?
    ORDER BY e.position LIMIT ?
"""


class SqliteWrites(SqliteReads):
    """What ``store.Writes`` asks, in SQL."""

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(connection)

    def _do(self, statement: str, *values: object) -> int:
        """Run one statement; return the rows it changed."""
        self._sql.execute(statement, values)
        return self._sql.changes()

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        self._sql.execute("SAVEPOINT one")
        try:
            yield
        except BaseException:
            self._sql.execute("ROLLBACK TO one")
            self._sql.execute("RELEASE one")
            raise
        self._sql.execute("RELEASE one")

    # --- auth ---------------------------------------------------------------------------------------------------

    def set_hub_id(self, hub_id: bytes) -> None:
        """Name a new hub; an older name stays."""
        self._do("INSERT INTO meta (name, value) VALUES ('hub_id', ?) ON CONFLICT (name) DO NOTHING", hub_id)

    def add_space(self, space_id: bytes, name: str, at: float, genesis: str) -> Space:
        self._do(
            "INSERT INTO space (space_id, name, created_at, head, head_tag, floor, floor_tag)"
            " VALUES (?, ?, ?, 0, ?, 0, ?)",
            space_id,
            name,
            at,
            genesis,
            genesis,
        )
        return Space(self._sql.last_insert_rowid(), space_id, name)

    def add_device(self, device_id: bytes, space: int, name: str, token_hash: bytes, at: float) -> DeviceRow:
        self._do(
            "INSERT INTO device (device_id, space, name, token_hash, created_at) VALUES (?, ?, ?, ?, ?)",
            device_id,
            space,
            name,
            token_hash,
            at,
        )
        return DeviceRow(self._sql.last_insert_rowid(), device_id, space, name, token_hash, at, None)

    def revoke_device(self, key: int, at: float) -> None:
        self._do("UPDATE device SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", at, key)

    def add_invite(self, secret_hash: bytes, space: int, expires_at: float) -> None:
        self._do("INSERT INTO invite (secret_hash, space, expires_at) VALUES (?, ?, ?)", secret_hash, space, expires_at)

    def use_invite(self, secret_hash: bytes, at: float) -> None:
        self._do("UPDATE invite SET used_at = ? WHERE secret_hash = ?", at, secret_hash)

    def drop_invites(self, before: float) -> None:
        self._do("DELETE FROM invite WHERE expires_at < ?", before)

    # --- journal ------------------------------------------------------------------------------------------------

    def vacate(self, space: int, node_id: bytes) -> None:
        self._do("UPDATE node SET name = NULL WHERE space = ? AND node_id = ?", space, node_id)

    def append(self, space: int, row: EntryRow) -> None:
        node, content, base, restored = row.node, row.node.content, row.base, row.restored_from
        position = node.version.position
        self._do(
            "UPDATE entry SET superseded_at = ? WHERE space = ? AND position ="
            " (SELECT position FROM node WHERE space = ? AND node_id = ?)",
            row.at,
            space,
            space,
            node.node_id,
        )
        self._do(
            _APPEND,
            space,
            position,
            node.version.tag,
            node.node_id,
            node.parent_id,
            node.name,
            node.kind.value,
            None if content is None else content.hash,
            0 if content is None else content.size,
            None if content is None else content.manifest,
            node.executable,
            node.mtime_ns,
            node.deleted,
            row.key,
            row.at,
            row.device,
            row.cause.value,
            None if base is None else base.position,
            None if base is None else base.tag,
            None if restored is None else restored.position,
            None if restored is None else restored.tag,
        )
        self._do(_PUT_NODE, space, node.node_id, node.parent_id, None if node.deleted else node.name, position)
        self._do("UPDATE space SET head = ?, head_tag = ? WHERE id = ?", position, node.version.tag, space)

    def add_request(self, space: int, key: bytes, digest: bytes, outcome: bytes, at: float) -> None:
        self._do(
            "INSERT INTO request (space, key, digest, outcome, at) VALUES (?, ?, ?, ?, ?)",
            space,
            key,
            digest,
            outcome,
            at,
        )

    def begin_line(self, space: int, mark: str) -> None:
        self._do(  # one that began here before has no entries
            "INSERT INTO line (space, since, mark) SELECT id, head + 1, ? FROM space WHERE id = ?"
            " ON CONFLICT (space, since) DO UPDATE SET mark = excluded.mark",
            mark,
            space,
        )

    def set_floor(self, space: int, floor: Version) -> None:
        self._do("UPDATE space SET floor = ?, floor_tag = ? WHERE id = ?", floor.position, floor.tag, space)

    def drop_versions(self, space: int, floor: int, cutoff: float, limit: int) -> int:
        return self._do(
            "DELETE FROM entry WHERE space = ?1 AND position IN"
            " (SELECT position FROM entry WHERE space = ?1 AND superseded_at < ?2 AND position <= ?3"
            " ORDER BY superseded_at LIMIT ?4)",
            space,
            cutoff,
            floor,
            limit,
        )

    def drop_tombstones(self, space: int, floor: int, cutoff: float, limit: int) -> int:
        rows = self._rows(
            _OLD_TOMBSTONES,
            space,
            floor,
            cutoff,
            limit,
        )
        for _, node_id in rows:
            # With the tombstone goes the whole history: what is left of it was superseded before the tombstone.
            self._do("DELETE FROM entry INDEXED BY entry_node WHERE space = ? AND node_id = ?", space, node_id)
            self._do("DELETE FROM node WHERE space = ? AND node_id = ?", space, node_id)
        return len(rows)

    def drop_requests(self, before: float, limit: int) -> int:
        return self._do(
            "DELETE FROM request WHERE (space, key) IN"
            " (SELECT space, key FROM request WHERE at < ? ORDER BY at LIMIT ?)",
            before,
            limit,
        )

    # --- chunks -------------------------------------------------------------------------------------------------

    def add_chunk(self, stored: Stored) -> ChunkRow:
        at = stored.location
        self._do(
            "INSERT INTO chunk (hash, size, container, offset, length) VALUES (?, ?, ?, ?, ?) ON CONFLICT (hash) DO"
            " UPDATE SET container = excluded.container, offset = excluded.offset, length = excluded.length,"
            " damaged = 0 WHERE damaged = 1",
            stored.hash,
            stored.size,
            at.container,
            at.offset,
            at.length,
        )
        row = self.chunk(stored.hash)
        assert row is not None, "a chunk inserted in this transaction is there"
        return row

    def lease(self, space: int, keys: Iterable[int], until: float) -> None:
        self._sql.executemany(
            "INSERT INTO space_chunk (space, chunk, lease_until) VALUES (?, ?, ?) ON CONFLICT (space, chunk) DO"
            " UPDATE SET lease_until = max(lease_until, excluded.lease_until)",
            ((space, key, until) for key in keys),
        )

    def add_manifest(self, manifest_hash: bytes, size: int, pieces: Iterable[tuple[bytes, int]]) -> None:
        if not self._do("INSERT INTO manifest (hash, size) VALUES (?, ?) ON CONFLICT DO NOTHING", manifest_hash, size):
            return
        key = self._sql.last_insert_rowid()
        self._sql.executemany(
            "INSERT INTO manifest_piece (manifest, hash, size) VALUES (?, ?, ?)",
            ((key, piece, length) for piece, length in pieces),
        )

    def set_damaged(self, key: int, at: Location) -> None:
        self._do(
            "UPDATE chunk SET damaged = 1 WHERE id = ? AND container = ? AND offset = ?", key, at.container, at.offset
        )

    def move_chunk(self, key: int, location: Location) -> None:
        self._do(
            "UPDATE chunk SET container = ?, offset = ?, length = ? WHERE id = ?",
            location.container,
            location.offset,
            location.length,
            key,
        )

    def drop_presence(self, space: int, key: int) -> bool:
        self._do("DELETE FROM space_chunk WHERE space = ? AND chunk = ?", space, key)
        if self._row("SELECT 1 FROM space_chunk WHERE chunk = ? LIMIT 1", key) is not None:
            return False
        self._do(
            "DELETE FROM manifest_piece WHERE manifest IN"
            " (SELECT m.id FROM manifest m JOIN chunk c ON c.hash = m.hash WHERE c.id = ?)",
            key,
        )
        self._do("DELETE FROM manifest WHERE hash = (SELECT hash FROM chunk WHERE id = ?)", key)
        self._do("DELETE FROM chunk WHERE id = ?", key)
        return True
