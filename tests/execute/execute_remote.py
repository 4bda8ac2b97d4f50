"""A remote in memory, with faults by request, and the contents it keeps."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from blake3 import blake3
from msgspec.structs import replace as changed

from syncd.chunks.chunker import CHUNKER, average_for, chunk
from syncd.chunks.manifest import Manifest, decode, encode, manifest_hash
from syncd.model.errors import Offline, Outdated
from syncd.model.node import Version
from syncd.model.remote import (
    Capabilities,
    Create,
    Delete,
    Edit,
    Moves,
    Mutation,
    Outcome,
    RemoteIdentity,
    RemoteNode,
    Verdict,
)


def digest(data: bytes) -> bytes:
    return blake3(data).digest()


def noise(size: int, seed: int = 1) -> bytes:
    """Return *size* bytes that look random and are always the same."""
    return hashlib.shake_128(seed.to_bytes(8, "big")).digest(size)


class MemoryRemote:
    """A remote that keeps everything in dictionaries. *fail_next* raises, *lose_replies* acts and then raises."""

    capabilities = Capabilities(True, True, True, True, True, True, True, True, True)

    def __init__(self) -> None:
        self.chunks: dict[bytes, bytes] = {}
        self.manifests: dict[bytes, bytes] = {}
        self.nodes: dict[bytes, RemoteNode] = {}
        self.answers: dict[bytes, Outcome] = {}
        self.position = 0
        self.offline = False
        self.lose_replies = 0
        self.forget_at_commit: list[bytes] = []
        self.sent_bytes = self.fetched_bytes = 0
        self.commits: list[Sequence[Mutation]] = []
        self.fetches = 0
        self.fail_fetch_after: int | None = None
        self.before_commit: Callable[[], None] = lambda: None

    def _reach(self) -> None:
        if self.offline:
            raise Offline("the remote cannot be reached")

    def identify(self) -> RemoteIdentity:
        raise NotImplementedError

    changes = wait = listing = look = history = identify

    def close(self) -> None:
        return

    def missing(self, hashes: Sequence[bytes]) -> Sequence[bytes]:
        self._reach()
        return [each for each in hashes if each not in self.chunks and each not in self.manifests]

    def put_chunks(self, chunks: Iterable[tuple[bytes, bytes]]) -> None:
        self._reach()
        for content, data in chunks:
            assert digest(data) == content
            self.sent_bytes += len(data)
            self.chunks[content] = data

    def get_chunks(self, hashes: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        self._reach()
        for content in hashes:
            if self.fail_fetch_after is not None and self.fetches >= self.fail_fetch_after:
                self.offline = True
                raise Offline("the line was cut")
            if content not in self.chunks:
                raise Outdated("a chunk is gone")
            self.fetches += 1
            self.fetched_bytes += len(self.chunks[content])
            yield content, self.chunks[content]

    def put_manifest(self, manifest_hash: bytes, encoded: bytes) -> None:
        self._reach()
        self.manifests[manifest_hash] = encoded

    def get_manifest(self, manifest_hash: bytes) -> bytes:
        self._reach()
        if manifest_hash not in self.manifests:
            raise Outdated("a manifest is gone")
        return self.manifests[manifest_hash]

    def outcomes(self, keys: Sequence[bytes]) -> Sequence[Outcome | None]:
        self._reach()
        return [self.answers.get(key) for key in keys]

    def commit(self, batch: Sequence[Mutation]) -> Sequence[Outcome]:
        self._reach()
        self.before_commit()
        self.commits.append(tuple(batch))
        for content in self.forget_at_commit:
            self.chunks.pop(content, None)
        self.forget_at_commit = []
        outcomes = [self._one(mutation) for mutation in batch]
        if self.lose_replies:
            self.lose_replies -= 1
            raise Offline("the reply was lost")
        return outcomes

    def _one(self, mutation: Mutation) -> Outcome:
        if mutation.key in self.answers:
            return self.answers[mutation.key]
        outcome = self._act(mutation)
        if outcome.verdict is Verdict.DONE:
            self.answers[mutation.key] = outcome
        return outcome

    def _version(self) -> Version:
        self.position += 1
        return Version(self.position, f"t{self.position}")

    def _done(self, mutation: Mutation, *nodes: RemoteNode) -> Outcome:
        for node in nodes:
            self.nodes[node.node_id] = node
        return Outcome(mutation.key, Verdict.DONE, nodes)

    def _act(self, mutation: Mutation) -> Outcome:
        content = getattr(mutation, "content", None)
        if content is not None and content.size:
            needed = [content.hash]
            if content.manifest is not None:
                needed = [p.hash for p in decode(self.manifests[content.manifest]).pieces]
            missing = tuple(each for each in needed if each not in self.chunks)
            if missing:
                return Outcome(mutation.key, Verdict.CHUNKS_MISSING, missing=missing)
        match mutation:
            case Create():
                for node in self.nodes.values():
                    if (node.parent_id, node.name, node.deleted) == (mutation.parent_id, mutation.name, False):
                        return Outcome(mutation.key, Verdict.NAME_TAKEN, (node,))
                return self._done(
                    mutation,
                    RemoteNode(
                        mutation.node_id,
                        mutation.parent_id,
                        mutation.name,
                        mutation.kind,
                        self._version(),
                        mutation.content,
                        mutation.executable,
                        mutation.mtime_ns,
                    ),
                )
            case Moves():
                moved = []
                for step in mutation.steps:
                    node = self.nodes[step.node_id]
                    if node.version != step.base:
                        return Outcome(mutation.key, Verdict.STALE, (node,))
                    moved.append(changed(node, parent_id=step.parent_id, name=step.name, version=self._version()))
                return self._done(mutation, *moved)
            case Edit() | Delete():
                node = self.nodes[mutation.node_id]
                if node.version != mutation.base:
                    return Outcome(mutation.key, Verdict.STALE, (node,))
                if isinstance(mutation, Delete):
                    return self._done(mutation, changed(node, deleted=True, version=self._version()))
                changes: dict[str, Any] = {"version": self._version()}
                if mutation.content is not None:
                    changes |= {"content": mutation.content, "mtime_ns": mutation.mtime_ns}
                if mutation.executable is not None:
                    changes["executable"] = mutation.executable
                return self._done(mutation, changed(node, **changes))

    # --- for tests ---

    def hold(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Store content; return its hash and its manifest's hash."""
        pieces = []
        for piece, part in chunk(lambda at, size: data[at : at + size], len(data), average_for(len(data))):
            pieces.append(piece)
            self.chunks[piece.hash] = part
        if len(pieces) < 2:
            return digest(data), None
        encoded = encode(Manifest(CHUNKER, average_for(len(data)), tuple(pieces)))
        self.manifests[manifest_hash(encoded)] = encoded
        return digest(data), manifest_hash(encoded)
