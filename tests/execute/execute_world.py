"""A root on a real file system, a remote in memory, and a file system that crashes at the k-th call."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from blake3 import blake3

from syncd.adapters.posix_dir import PosixDir
from syncd.adapters.posix_file import PosixReadFile, PosixWriteFile
from syncd.adapters.posix_fs import PosixFs, tie_root
from syncd.chunks.chunker import CHUNKER, average_for, chunk
from syncd.chunks.manifest import Manifest, encode, manifest_hash
from syncd.execute.runner import Limits, Runner
from syncd.model.errors import Offline, Outdated
from syncd.model.job import ApplyJob, Assignment, DirRef, RecoverJob, SendJob, SweepJob
from syncd.model.node import Fingerprint, Kind, Place, Version
from syncd.model.observation import Ending, OpResult, Progress, Swept
from syncd.model.op import Op, OpType
from syncd.model.path import ROOT, ROOT_ID
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

NOW = 1_800_000_000.0
PAST_NS = 1_600_000_000 * 10**9


def digest(data: bytes) -> bytes:
    return blake3(data).digest()


def noise(size: int, seed: int = 1) -> bytes:
    """Return *size* bytes that look random and are always the same."""
    return hashlib.shake_128(seed.to_bytes(8, "big")).digest(size)


class Crash(BaseException):
    """kill -9, as far as Python code can tell."""


class StillClock:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class CountedChance:
    def __init__(self, seed: int = 0) -> None:
        self._numbers = count(seed * 1_000_000)

    def token(self, size: int) -> bytes:
        return hashlib.shake_128(next(self._numbers).to_bytes(8, "big")).digest(size)

    def between(self, low: float, high: float) -> float:
        return low


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

    def put_chunks(self, chunks: Sequence[tuple[bytes, bytes]]) -> None:
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
                needed = [p.hash for p in _decode(self.manifests[content.manifest]).pieces]
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
                    moved.append(_with(node, parent_id=step.parent_id, name=step.name, version=self._version()))
                return self._done(mutation, *moved)
            case Edit() | Delete():
                node = self.nodes[mutation.node_id]
                if node.version != mutation.base:
                    return Outcome(mutation.key, Verdict.STALE, (node,))
                if isinstance(mutation, Delete):
                    return self._done(mutation, _with(node, deleted=True, version=self._version()))
                changes: dict[str, Any] = {"version": self._version()}
                if mutation.content is not None:
                    changes |= {"content": mutation.content, "mtime_ns": mutation.mtime_ns}
                if mutation.executable is not None:
                    changes["executable"] = mutation.executable
                return self._done(mutation, _with(node, **changes))

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


def _decode(encoded: bytes) -> Manifest:
    from syncd.chunks.manifest import decode

    return decode(encoded)


def _with(node: RemoteNode, **changes: Any) -> RemoteNode:
    import msgspec

    return msgspec.structs.replace(node, **changes)


class FaultyFs:
    """Passes everything on to a real file system, and crashes at the k-th call. Closing is no call: the kernel
    does it for a dead process as well."""

    def __init__(self, real: PosixFs, crash_at: int | None = None) -> None:
        self._real = real
        self._crash_at = crash_at
        self.calls = 0
        self.folds = False
        self.before: Callable[[str], None] = lambda call: None

    def tick(self, call: str) -> None:
        self.calls += 1
        if self._crash_at is not None and self.calls >= self._crash_at:
            raise Crash(call)
        self.before(call)

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name == "traits":
            return replace(real, case_sensitive=False) if self.folds else real
        return _passed(self, name, real)


class _Wrapped:
    def __init__(self, fs: FaultyFs, real: Any) -> None:
        self._fs = fs
        self._real = real

    def __enter__(self) -> "_Wrapped":
        return self

    def __exit__(self, *exc: object) -> None:
        self._real.close()

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name in ("close", "dev", "ino"):
            return real
        if self._fs.folds and name in ("stat", "rename_new"):
            return getattr(self, f"_folding_{name}")
        return _passed(self._fs, name, real)

    def _twin(self, name: str) -> str:
        twins = [each for each in self._real.names() if each.casefold() == name.casefold()]
        return twins[0] if twins else name

    def _folding_stat(self, name: str) -> Any:
        self._fs.tick("stat")
        return self._real.stat(self._twin(name))

    def _folding_rename_new(self, name: str, to: "_Wrapped", new_name: str) -> None:
        self._fs.tick("rename_new")
        if to._twin(new_name) in to._real.names():
            raise FileExistsError(17, "File exists", new_name)
        self._real.rename_new(name, to._real, new_name)


def _passed(fs: FaultyFs, name: str, real: Any) -> Any:
    def call(*arguments: Any, **named: Any) -> Any:
        fs.tick(name)
        found = real(*[_unwrapped(each) for each in arguments], **named)
        return _Wrapped(fs, found) if isinstance(found, PosixDir | PosixReadFile | PosixWriteFile) else found

    return call


def _unwrapped(value: Any) -> Any:
    if isinstance(value, _Wrapped):
        return value._real
    if isinstance(value, list | tuple):
        return [_unwrapped(each) for each in value]
    return value


class World:
    """One root, one remote, and ways to say what should be done."""

    def __init__(self, root: Path, crash_at: int | None = None) -> None:
        self.root = root
        root.mkdir(parents=True)
        identity = tie_root(str(root), "0" * 32)
        self.real = PosixFs(str(root), expected=identity)
        _ = self.real.traits  # probed once, before anything is counted
        self.fs = FaultyFs(self.real, crash_at)
        self.remote = MemoryRemote()
        self.clock = StillClock()
        self.chance = CountedChance()
        self.limits = Limits(free_floor_bytes=0, window_bytes=128 << 10)
        self.progress: list[Progress] = []
        self.cancelled = False
        self.ignored: Callable[[tuple[str, ...], bool], bool] = lambda path, directory: False
        self._ids = count(1)

    def runner(self, *, plain: bool = False) -> Runner:
        return Runner(
            self.real if plain else self.fs,  # type: ignore[arg-type]
            self.remote,
            self.clock,
            self.chance,
            lambda: "laptop",
            None,
            self.limits,
            self.progress.append,
            lambda: self.cancelled,
            self.ignored,
        )

    # --- the folder ---

    def write(self, path: str, data: bytes | str, mtime_ns: int = PAST_NS) -> Fingerprint:
        full = self.root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(data.encode() if isinstance(data, str) else data)
        os.utime(full, ns=(mtime_ns, mtime_ns))
        return self.fingerprint(path)

    def fingerprint(self, path: str) -> Fingerprint:
        raw = os.lstat(self.root / path)
        return Fingerprint(raw.st_dev, raw.st_ino, raw.st_mtime_ns, raw.st_ctime_ns, raw.st_size)

    def tree(self) -> dict[str, bytes | None]:
        """Return what a person sees: content by path, None for directories, "-> target" for symlinks."""
        found: dict[str, bytes | None] = {}
        for folder, directories, files in os.walk(self.root):
            if ".syncd" in directories:
                directories.remove(".syncd")
            for name in directories + files:
                full = Path(folder, name)
                path = str(full.relative_to(self.root))
                if full.is_symlink():
                    found[path] = b"-> " + os.fsencode(os.readlink(full))
                else:
                    found[path] = None if full.is_dir() else full.read_bytes()
        return found

    def trash(self) -> list[bytes]:
        """Return every content in the trash and in staging."""
        own = self.root / ".syncd"
        files = [p for folder in ("trash", "staging") for p in (own / folder).rglob("*") if p.is_file()]
        return [p.read_bytes() for p in files if p.name not in ("info.json", "info.new")]

    def ref(self, path: str) -> DirRef:
        raw = os.lstat(self.root / path)
        return DirRef(tuple(Path(path).parts), raw.st_dev, raw.st_ino)

    # --- ops ---

    def assign(self, op: Op, place: str, source: str | None = None, **more: Any) -> Assignment:
        """Assign *op* at *place* (a path); *source* likewise."""
        number = next(self._ids)
        at = Path(place)
        op = replace(op, place=Place(ROOT, at.name), source=Place(ROOT, Path(source).name) if source else None)
        return Assignment(
            number,
            self.chance.token(16),
            op,
            more.pop("node_id", digest(place.encode())[:16]),
            at.parts,
            more.pop("parent_id", ROOT_ID),
            self.ref(str(at.parent)),
            self.ref(str(Path(source).parent)) if source else None,
            **more,
        )

    def op(self, type_: OpType, kind: Kind = Kind.FILE, **more: Any) -> Op:
        return Op(1, type_, kind, Place(ROOT, ""), **more)

    def download(self, place: str, data: bytes, **more: Any) -> Assignment:
        """Bring *data* to *place*; over what is there now, if anything is."""
        kind = more.pop("kind", Kind.FILE)
        content, manifest = self.remote.hold(data)
        here = self.root / place
        there = here.is_symlink() or here.exists()
        if there:
            old = os.fsencode(os.readlink(here)) if here.is_symlink() else here.read_bytes()
            more = {"expected": self.fingerprint(place), "expected_hash": digest(old)} | more
        op = self.op(
            more.pop("type_", OpType.DOWNLOAD),
            kind,
            hash=content,
            manifest=manifest,
            size=len(data),
            mtime_ns=PAST_NS + 7,
            base=Version(1, "t1"),
            **more,
        )
        return self.assign(op, place, place if there else None)

    def conflict(self, place: str, data: bytes, aside: str) -> Assignment:
        return self.download(place, data, type_=OpType.CONFLICT, aside=aside)

    def delete(self, place: str, kind: Kind = Kind.FILE) -> Assignment:
        here = self.root / place
        content = digest(here.read_bytes()) if kind is Kind.FILE else None
        op = self.op(OpType.LOCAL_DELETE, kind, expected=self.fingerprint(place), expected_hash=content)
        return self.assign(op, place, place)

    def move(self, source: str, place: str, kind: Kind = Kind.FILE, type_: OpType = OpType.LOCAL_MOVE) -> Assignment:
        return self.assign(self.op(type_, kind, expected=self.fingerprint(source)), place, source)

    def swap(self, source: str, place: str) -> Assignment:
        op = self.op(
            OpType.LOCAL_SWAP,
            expected=self.fingerprint(source),
            partner=2,
            partner_expected=self.fingerprint(place),
        )
        return self.assign(op, place, source)

    def upload(self, place: str, **more: Any) -> Assignment:
        """Send what is at *place*; with *base* as an edit of that version."""
        here = self.root / place
        kind = Kind.SYMLINK if here.is_symlink() else Kind.FILE
        data = os.fsencode(os.readlink(here)) if here.is_symlink() else here.read_bytes()
        edit = "base" in more
        op = self.op(
            OpType.UPLOAD,
            kind,
            hash=digest(data),
            size=len(data),
            mtime_ns=PAST_NS,
            expected=self.fingerprint(place),
            expected_hash=digest(data),
            **more,
        )
        return self.assign(op, place, place if edit else None)

    # --- jobs ---

    def apply(self, *assignments: Assignment, prove: bool = False, plain: bool = False) -> list[OpResult]:
        parts = list(self.runner(plain=plain).apply(ApplyJob(assignments, prove)))
        assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
        return [result for part in parts for result in part.results]

    def send(self, *assignments: Assignment, prove: bool = False) -> list[OpResult]:
        parts = list(self.runner().send(SendJob(assignments, prove)))
        return [result for part in parts for result in part.results]

    def recover(self, *local: Assignment, remote: tuple[Assignment, ...] = ()) -> list[OpResult]:
        return list(self.runner(plain=True).recover(RecoverJob(local, remote)).results)

    def sweep(self, after: float = 100.0, retention: float = 30 * 86400.0, running: tuple[bytes, ...] = ()) -> Swept:
        self.clock.time += after
        return self.runner(plain=True).sweep(SweepJob(self.clock.time, retention, running))

    def renewed(self, assignment: Assignment) -> Assignment:
        """Return the same op as a fresh plan would make it: another key."""
        return replace(assignment, key=self.chance.token(16), op_id=next(self._ids))


def endings(results: Sequence[OpResult]) -> list[Ending]:
    return [result.ending for result in results]


def now_ns() -> int:
    return time.time_ns()
