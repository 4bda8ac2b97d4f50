"""Remembers where pieces of large local files lie, so that a copy of one is put together here and not fetched again.

Owns the backlog between a transfer and the cache: a file of many gigabytes has thousands of pieces, and each
transaction is short (P11). What is lost in a crash, or stale, costs a transfer at most: pieces are verified when used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from syncd.engine.desk import Desk
from syncd.model.path import NodeKey

PIECES_A_STEP = 400


@dataclass(slots=True)
class PieceNotes:
    """Writes the chunk cache, a bounded number of rows a step."""

    desk: Desk
    due: dict[NodeKey, Sequence[tuple[bytes, int, int]]] = field(default_factory=dict)
    stale: dict[NodeKey, None] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        """Whether something is left to be written."""
        return bool(self.stale or self.due)

    def learn(self, key: NodeKey, pieces: Sequence[tuple[bytes, int, int]]) -> None:
        """The content of *key* is now made of *pieces*, (hash, offset, size); of none: it is small, or gone."""
        self.stale[key] = None
        self.due.pop(key, None)
        if pieces:
            self.due[key] = pieces

    def work(self) -> None:
        """Write what fits into one step."""
        chunks = self.desk.db.chunks
        room = PIECES_A_STEP
        while self.stale and room > 0:
            key = next(iter(self.stale))
            gone = chunks.forget(key, room)
            if gone < room:
                del self.stale[key]
            room -= max(gone, 1)
        while self.due and room > 0 and not self.stale:
            key = next(iter(self.due))
            pieces = self.due.pop(key)
            if self.desk.db.nodes.node(key) is None:
                continue
            chunks.add(key, pieces[:room])
            if len(pieces) > room:
                self.due[key] = pieces[room:]
            room -= min(room, len(pieces))
