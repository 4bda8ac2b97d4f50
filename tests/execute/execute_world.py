"""A root on a real file system and a remote in memory, and ways to say what should be done."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from execute_faults import Crash, FaultyFs
from execute_remote import MemoryRemote, digest, noise

from syncd.adapters.posix_fs import PosixFs, tie_root
from syncd.execute.runner import Limits, Runner
from syncd.execute.tools import Wait, at_once
from syncd.model.job import ApplyJob, Assignment, DirRef, RecoverJob, SendJob, SweepJob
from syncd.model.node import Fingerprint, Kind, Place, Version
from syncd.model.observation import Ending, OpResult, Progress, Swept
from syncd.model.op import Op, OpType
from syncd.model.path import ROOT, ROOT_ID
from syncd.observe.cuts import Cuts

__all__ = [
    "NOW",
    "NOW_NS",
    "PAST_NS",
    "CountedChance",
    "Crash",
    "FaultyFs",
    "Later",
    "MemoryRemote",
    "StillClock",
    "World",
    "digest",
    "endings",
    "noise",
]

NOW = 1_800_000_000.0
NOW_NS = int(NOW * 1e9)
PAST_NS = 1_600_000_000 * 10**9
TOMBSTONE = Version(2, "t2")


class StillClock:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class Later:
    """A clock well after every stamp a file may get."""

    def now(self) -> float:
        return 4e9

    def monotonic(self) -> float:
        return 0.0


class CountedChance:
    def __init__(self, seed: int = 0) -> None:
        self._numbers = count(seed * 1_000_000)

    def token(self, size: int) -> bytes:
        return hashlib.shake_128(next(self._numbers).to_bytes(8, "big")).digest(size)

    def between(self, low: float, high: float) -> float:
        return low


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
        self.cuts: Cuts | None = None
        self.beside: Callable[[Callable[[], None]], Wait] = at_once
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
            cuts=self.cuts,
            beside=self.beside,
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

    def delete(self, place: str, kind: Kind = Kind.FILE, base: Version | None = TOMBSTONE) -> Assignment:
        """Remove what is at *place*; *base* is the version of the remote's tombstone."""
        here = self.root / place
        content = digest(here.read_bytes()) if kind is Kind.FILE else None
        op = self.op(OpType.LOCAL_DELETE, kind, base=base, expected=self.fingerprint(place), expected_hash=content)
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
            size=len(data),
            mtime_ns=PAST_NS,
            expected=self.fingerprint(place),
            **{"hash": digest(data), "expected_hash": digest(data)} | more,
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
