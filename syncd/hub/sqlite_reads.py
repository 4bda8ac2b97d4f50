"""The statements that read the hub's database. Never writes, never decides."""

from collections.abc import Sequence
from typing import Any, Final

import apsw

from syncd.hub.store import ChunkRow, DeviceRow, InviteRow, Location, Space
from syncd.model.node import Kind, Version
from syncd.model.remote import Cause, Change, Content, RemoteNode, VersionInfo

_STATE: Final = (
    "e.node_id, e.parent_id, e.name, e.kind, e.position, e.tag, e.hash, e.size, e.manifest, e.executable, e.mtime_ns,"
    " e.deleted"
)
_DEVICE: Final = "id, device_id, space, name, token_hash, created_at, revoked_at"
_CHUNK: Final = "c.id, c.hash, c.size, c.container, c.offset, c.length, c.damaged"

# What keeps a chunk in a space: a lease, a version whose one chunk or whose manifest it is, or a version's manifest
# that names it. Indexes and join order are prescribed: without statistics SQLite would walk the whole journal for
# each chunk.
_UNREFERENCED: Final = """
    s.lease_until < :now
    AND NOT EXISTS (SELECT 1 FROM entry e INDEXED BY entry_hash
                    WHERE e.space = s.space AND e.hash = c.hash AND e.hash IS NOT NULL AND e.manifest IS NULL)
    AND NOT EXISTS (SELECT 1 FROM entry e INDEXED BY entry_manifest
                    WHERE e.space = s.space AND e.manifest = c.hash AND e.manifest IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM manifest_piece p CROSS JOIN manifest m
                    CROSS JOIN entry e INDEXED BY entry_manifest
                    WHERE p.hash = c.hash AND m.id = p.manifest
                    AND e.space = s.space AND e.manifest = m.hash AND e.manifest IS NOT NULL)
"""


def _node(row: tuple[Any, ...]) -> RemoteNode:
    node_id, parent_id, name, kind, position, tag, digest, size, manifest, executable, mtime_ns, deleted = row
    content = None if digest is None else Content(digest, size, manifest)
    version = Version(position, tag)
    return RemoteNode(node_id, parent_id, name, Kind(kind), version, content, bool(executable), mtime_ns, bool(deleted))


def _chunk(row: tuple[Any, ...]) -> ChunkRow:
    key, digest, size, container, offset, length, damaged = row
    return ChunkRow(key, digest, size, Location(container, offset, length), bool(damaged))


def _maybe_version(position: int | None, tag: str | None) -> Version | None:
    return None if position is None or tag is None else Version(position, tag)


class SqliteReads:
    """One consistent view; what ``store.Reads`` asks, in SQL."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._sql = connection

    def _row(self, statement: str, *values: object) -> Any:
        """Return the first row as a tuple, or None."""
        for row in self._sql.execute(statement, values):
            return row
        return None

    def _rows(self, statement: str, *values: object) -> list[Any]:
        return list(self._sql.execute(statement, values))

    # --- auth ---------------------------------------------------------------------------------------------------

    def hub_id(self) -> bytes:
        row = self._row("SELECT value FROM meta WHERE name = 'hub_id'")
        return b"" if row is None else bytes(row[0])

    def spaces(self) -> Sequence[Space]:
        return [Space(*row) for row in self._rows("SELECT id, space_id, name FROM space ORDER BY id")]

    def space_named(self, name: str) -> Space | None:
        row = self._row("SELECT id, space_id, name FROM space WHERE name = ?", name)
        return None if row is None else Space(*row)

    def space(self, space: int) -> Space | None:
        row = self._row("SELECT id, space_id, name FROM space WHERE id = ?", space)
        return None if row is None else Space(*row)

    def device(self, device_id: bytes) -> DeviceRow | None:
        row = self._row(f"SELECT {_DEVICE} FROM device WHERE device_id = ?", device_id)
        return None if row is None else DeviceRow(*row)

    def devices(self, space: int | None) -> Sequence[DeviceRow]:
        rows = self._rows(f"SELECT {_DEVICE} FROM device WHERE ?1 IS NULL OR space = ?1 ORDER BY space, id", space)
        return [DeviceRow(*row) for row in rows]

    def invite(self, secret_hash: bytes) -> InviteRow | None:
        row = self._row("SELECT space, expires_at, used_at FROM invite WHERE secret_hash = ?", secret_hash)
        return None if row is None else InviteRow(*row)

    # --- journal ------------------------------------------------------------------------------------------------

    def head(self, space: int) -> Version:
        return Version(*self._row("SELECT head, head_tag FROM space WHERE id = ?", space))

    def floor(self, space: int) -> Version:
        return Version(*self._row("SELECT floor, floor_tag FROM space WHERE id = ?", space))

    def tag_at(self, space: int, position: int) -> str | None:
        row = self._row("SELECT tag FROM entry WHERE space = ? AND position = ?", space, position)
        return None if row is None else str(row[0])

    def line_at(self, space: int, position: int) -> str | None:
        row = self._row(
            "SELECT mark FROM line WHERE space = ? AND since <= ? ORDER BY since DESC LIMIT 1", space, position
        )
        return None if row is None else str(row[0])

    def changes_after(self, space: int, position: int, limit: int) -> Sequence[Change]:
        rows = self._rows(
            f"SELECT {_STATE}, e.key FROM entry e WHERE e.space = ? AND e.position > ? ORDER BY e.position LIMIT ?",
            space,
            position,
            limit,
        )
        return [Change(_node(row[:-1]), row[-1]) for row in rows]

    def alive_after(self, space: int, node_id: bytes, limit: int) -> Sequence[Change]:
        rows = self._rows(
            f"SELECT {_STATE}, e.key FROM node n JOIN entry e ON e.space = n.space AND e.position = n.position"
            " WHERE n.space = ? AND n.node_id > ? AND n.name IS NOT NULL ORDER BY n.node_id LIMIT ?",
            space,
            node_id,
            limit,
        )
        return [Change(_node(row[:-1]), row[-1]) for row in rows]

    def node(self, space: int, node_id: bytes) -> RemoteNode | None:
        row = self._row(
            f"SELECT {_STATE} FROM node n JOIN entry e ON e.space = n.space AND e.position = n.position"
            " WHERE n.space = ? AND n.node_id = ?",
            space,
            node_id,
        )
        return None if row is None else _node(row)

    def occupant(self, space: int, parent_id: bytes, name: str) -> bytes | None:
        row = self._row(
            "SELECT node_id FROM node WHERE space = ? AND parent_id = ? AND name = ? AND name IS NOT NULL",
            space,
            parent_id,
            name,
        )
        return None if row is None else bytes(row[0])

    def parent_of(self, space: int, node_id: bytes) -> bytes | None:
        row = self._row("SELECT parent_id FROM node WHERE space = ? AND node_id = ?", space, node_id)
        return None if row is None else bytes(row[0])

    def has_children(self, space: int, node_id: bytes) -> bool:
        found = self._row(
            "SELECT 1 FROM node WHERE space = ? AND parent_id = ? AND name IS NOT NULL LIMIT 1", space, node_id
        )
        return found is not None

    def history(self, space: int, node_id: bytes, limit: int) -> Sequence[VersionInfo]:
        rows = self._rows(
            f"SELECT {_STATE}, d.name, e.at, e.cause, e.base_position, e.base_tag, e.restored_position, e.restored_tag"
            " FROM entry e INDEXED BY entry_node JOIN device d ON d.id = e.device"
            " WHERE e.space = ? AND e.node_id = ? ORDER BY e.position DESC LIMIT ?",
            space,
            node_id,
            limit,
        )
        found = []
        for row in rows:
            node = _node(row[:12])
            device, at, cause = row[12:15]
            base, restored = _maybe_version(*row[15:17]), _maybe_version(*row[17:19])
            found.append(VersionInfo(node.version, node, device, at, Cause(cause), base, restored))
        return found

    def request(self, space: int, key: bytes) -> tuple[bytes, bytes] | None:
        row = self._row("SELECT digest, outcome FROM request WHERE space = ? AND key = ?", space, key)
        return None if row is None else (row[0], row[1])

    # --- chunks -------------------------------------------------------------------------------------------------

    def chunk(self, chunk_hash: bytes) -> ChunkRow | None:
        row = self._row(f"SELECT {_CHUNK} FROM chunk c WHERE c.hash = ?", chunk_hash)
        return None if row is None else _chunk(row)

    def chunk_in(self, space: int, chunk_hash: bytes) -> tuple[ChunkRow, float] | None:
        row = self._row(
            f"SELECT {_CHUNK}, s.lease_until FROM chunk c JOIN space_chunk s ON s.chunk = c.id AND s.space = ?"
            " WHERE c.hash = ?",
            space,
            chunk_hash,
        )
        return None if row is None else (_chunk(row[:-1]), row[-1])

    def manifest_size(self, manifest_hash: bytes) -> int | None:
        row = self._row("SELECT size FROM manifest WHERE hash = ?", manifest_hash)
        return None if row is None else int(row[0])

    def manifest_lacks(self, space: int, manifest_hash: bytes, limit: int) -> Sequence[tuple[bytes, bool]]:
        rows = self._rows(
            "SELECT p.hash, s.chunk IS NOT NULL FROM manifest m JOIN manifest_piece p ON p.manifest = m.id"
            " LEFT JOIN chunk c ON c.hash = p.hash AND c.damaged = 0"
            " LEFT JOIN space_chunk s ON s.space = ? AND s.chunk = c.id"
            " WHERE m.hash = ? AND (s.chunk IS NULL OR c.size <> p.size) ORDER BY p.hash LIMIT ?",
            space,
            manifest_hash,
            limit,
        )
        return [(row[0], bool(row[1])) for row in rows]

    # --- upkeep -------------------------------------------------------------------------------------------------

    def chunks_after(self, key: int, limit: int) -> Sequence[ChunkRow]:
        return [
            _chunk(row)
            for row in self._rows(f"SELECT {_CHUNK} FROM chunk c WHERE c.id > ? ORDER BY c.id LIMIT ?", key, limit)
        ]

    def contents_after(self, space: int, position: int, limit: int) -> Sequence[tuple[int, bytes, int, bytes | None]]:
        return self._rows(
            "SELECT position, hash, size, manifest FROM entry WHERE space = ? AND position > ? AND hash IS NOT NULL"
            " ORDER BY position LIMIT ?",
            space,
            position,
            limit,
        )

    def unreferenced_after(self, space: int, key: int, now: float, limit: int) -> Sequence[ChunkRow]:
        rows = self._sql.execute(
            f"SELECT {_CHUNK} FROM space_chunk s JOIN chunk c ON c.id = s.chunk"
            f" WHERE s.space = :space AND s.chunk > :key AND {_UNREFERENCED} ORDER BY s.chunk LIMIT :limit",
            {"space": space, "key": key, "now": now, "limit": limit},
        )
        return [_chunk(row) for row in rows]

    def unreferenced(self, space: int, key: int, now: float) -> bool:
        rows = self._sql.execute(
            f"SELECT 1 FROM space_chunk s JOIN chunk c ON c.id = s.chunk"
            f" WHERE s.space = :space AND s.chunk = :key AND {_UNREFERENCED}",
            {"space": space, "key": key, "now": now},
        )
        return any(True for _ in rows)

    def container_in_use(self, container: str) -> bool:
        return self._row("SELECT 1 FROM chunk WHERE container = ? LIMIT 1", container) is not None

    def containers_after(self, container: str, limit: int) -> Sequence[tuple[str, int]]:
        return self._rows(
            "SELECT container, sum(length) FROM chunk WHERE container > ? GROUP BY container"
            " ORDER BY container LIMIT ?",
            container,
            limit,
        )

    def chunks_of(self, container: str) -> Sequence[ChunkRow]:
        return [
            _chunk(row)
            for row in self._rows(f"SELECT {_CHUNK} FROM chunk c WHERE c.container = ? ORDER BY c.offset", container)
        ]

    def first_since(self, space: int, floor: int, cutoff: float) -> int | None:
        row = self._row(
            "SELECT position FROM entry WHERE space = ? AND position > ? AND at >= ? ORDER BY position LIMIT 1",
            space,
            floor,
            cutoff,
        )
        return None if row is None else int(row[0])
