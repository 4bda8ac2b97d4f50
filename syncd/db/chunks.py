"""Where pieces of content lie in local files: the chunk_cache table. A hint; whoever uses it verifies the hash."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import apsw

from syncd.model.path import NodeKey

if TYPE_CHECKING:
    from syncd.ports import Clock  # not imported for `syncd status`, which has 150 ms

CHUNK_CAP: Final = 1_000_000
"""Most pieces remembered (about 100 MiB of database); the least recently used go first."""

_BATCH: Final = 500


class ChunkReader:
    """What may be asked of the cache, also by a read-only view."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def locate(self, hashes: Sequence[bytes]) -> dict[bytes, tuple[NodeKey, int, int]]:
        """Return (node, offset, size) for each piece known, the most recently used place of each."""
        found: dict[bytes, tuple[NodeKey, int, int]] = {}
        for piece in hashes:
            row = self._execute(
                "SELECT node, offset, size FROM chunk_cache WHERE hash = ? ORDER BY used DESC, node, offset LIMIT 1",
                (piece,),
            ).fetchone()
            if row is not None:
                found[piece] = (int(row[0]), int(row[1]), int(row[2]))
        return found


class Chunks(ChunkReader):
    """The chunk_cache table, least recently used first out."""

    def __init__(self, connection: apsw.Connection, clock: "Clock", cap: int = CHUNK_CAP) -> None:
        super().__init__(connection)
        self._clock = clock
        self._cap = cap

    def put_many(self, node: NodeKey, pieces: Sequence[tuple[bytes, int, int]]) -> None:
        """Set the pieces of a node's content as (hash, offset, size), in place of those known before."""
        self.forget(node)
        self.add(node, pieces)

    def add(self, node: NodeKey, pieces: Sequence[tuple[bytes, int, int]]) -> None:
        """Note more pieces of a node's content."""
        now = self._clock.now()
        self._connection.executemany(
            "INSERT OR REPLACE INTO chunk_cache (hash, node, offset, size, used) VALUES (?, ?, ?, ?, ?)",
            [(piece, node, offset, size, now) for piece, offset, size in pieces[: self._cap]],
        )
        self.trim()

    def touch(self, hashes: Sequence[bytes]) -> None:
        """Note that these pieces were of use."""
        now = self._clock.now()
        self._connection.executemany(
            "UPDATE chunk_cache SET used = ? WHERE hash = ?", [(now, piece) for piece in hashes]
        )

    def forget(self, node: NodeKey, limit: int = -1) -> int:
        """Forget up to *limit* (-1: all) pieces of a node whose content changed or went; returns how many."""
        self._execute(
            "DELETE FROM chunk_cache WHERE (hash, node, offset) IN"
            " (SELECT hash, node, offset FROM chunk_cache WHERE node = ? ORDER BY hash, offset LIMIT ?)",
            (node, limit),
        )
        return self._connection.changes()

    def count(self) -> int:
        """Return how many pieces are known; kept true by triggers."""
        return int(self._execute("SELECT value FROM counter WHERE name = 'chunks'").get)

    def trim(self) -> None:
        """Forget the least recently used pieces beyond the cap."""
        while (over := self.count() - self._cap) > 0:
            self._execute(
                "DELETE FROM chunk_cache WHERE (hash, node, offset) IN"
                " (SELECT hash, node, offset FROM chunk_cache ORDER BY used, hash, node, offset LIMIT ?)",
                (min(over, _BATCH),),
            )
