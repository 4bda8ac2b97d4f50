"""The seams: every protocol through which syncd meets the world. Real parts live in adapters, simulated ones in tests.

Nothing here does anything. Methods raise the errors of ``syncd.model.errors`` and, for LocalFs, plain ``OSError``
where the caller must tell one errno from another.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from syncd.model.job import Job
from syncd.model.node import Fingerprint, Kind
from syncd.model.path import RelPath
from syncd.model.remote import (
    Capabilities,
    ChangesPage,
    ListingPage,
    Mutation,
    Outcome,
    RemoteIdentity,
    RemoteNode,
    VersionInfo,
)


class Clock(Protocol):
    """Time, so that a simulation can own it."""

    def now(self) -> float:
        """Return wall-clock seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump back; may stand still during suspend."""
        ...


class Chance(Protocol):
    """Randomness, so that a simulation can own it."""

    def token(self, size: int) -> bytes:
        """Return *size* unpredictable bytes."""
        ...

    def id(self, now: float) -> bytes:
        """Return a 128-bit id that nobody else has, of a node or a mutation made at *now*. What is made together lies
        together in every index, here and at the hub; nobody may rely on the order."""
        ...

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high), for jitter."""
        ...


class Workers(Protocol):
    """Where jobs run. Every job's result arrives through the engine's inbox, in any order."""

    def submit(self, job: Job) -> None:
        """Queue *job* on its lane; never blocks."""
        ...


# --- the local file system --------------------------------------------------------------------------------------


class Stat(msgspec.Struct, frozen=True, gc=False):
    """What the file system says of one name. *kind* is None for what can never be a node (FIFO, socket, device)."""

    kind: Kind | None
    fingerprint: Fingerprint
    mode: int
    links: int

    @property
    def executable(self) -> bool:
        """Whether its owner may execute it."""
        return bool(self.mode & 0o100)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One name of a directory listing; *stat* is None when it vanished meanwhile or could not be read."""

    name: str
    stat: Stat | None


class Content(msgspec.Struct, frozen=True, gc=False):
    """A small file that was read whole: its BLAKE3 hash, and its stat, which was the same before and after reading, by
    descriptor and by name."""

    stat: Stat
    hash: bytes


@dataclass(frozen=True, slots=True)
class Traits:
    """What this root's file system can do, probed at ``init`` and at each mount."""

    case_sensitive: bool
    normalises: bool
    executable_bit: bool
    symlinks: bool
    time_tick_ns: int
    stable_inodes: bool
    exchange: bool
    no_replace: bool


@dataclass(frozen=True, slots=True)
class RootIdentity:
    """The marker's content and the inode behind the root's path."""

    root_id: str
    dev: int
    ino: int


class Durable(Protocol):
    """Something open whose state on disk can be asked for: a file's content, a directory's entries."""

    def sync(self) -> None:
        """Make it durable (fsync; F_FULLFSYNC on macOS)."""
        ...


class ReadFile(Protocol):
    """An open file, read at offsets. Close it, or use it as a context manager."""

    def stat(self) -> Stat:
        """Return the open file's own stat (fstat)."""
        ...

    def read(self, offset: int, size: int) -> bytes:
        """Return up to *size* bytes at *offset*; short only at the end of the file."""
        ...

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill *buffer* with what is at *offset*; returns the bytes read, fewer only at the end of the file."""
        ...

    def sync(self) -> None:
        """Make the content durable (fsync; F_FULLFSYNC on macOS)."""
        ...

    def close(self) -> None: ...
    def __enter__(self) -> "ReadFile": ...
    def __exit__(self, *exc: object) -> None: ...


class WriteFile(Protocol):
    """A new file being written (0600, created exclusively)."""

    def write(self, data: bytes | memoryview) -> None:
        """Append all of *data*; raises NoSpace on a short write or a full disk."""
        ...

    def finish(self, mtime_ns: int, mode: int) -> Stat:
        """Set mode and mtime and return the final stat. The file stays open, and is durable only after ``sync`` or
        ``LocalFs.make_durable``."""
        ...

    def sync(self) -> None:
        """Make content and inode durable; raises NoSpace when that is when the disk turns out to be full."""
        ...

    def stat(self) -> Stat: ...
    def close(self) -> None: ...
    def __enter__(self) -> "WriteFile": ...
    def __exit__(self, *exc: object) -> None: ...


class Dir(Protocol):
    """An open directory: all file work happens relative to one, never following symlinks (P10).

    Methods raise OSError (FileNotFoundError, FileExistsError, ...). Names are single components.
    """

    @property
    def dev(self) -> int: ...
    @property
    def ino(self) -> int: ...

    def names(self) -> list[str]:
        """Return the exact names in the directory, sorted. Presence is concluded only from this."""
        ...

    def entries(self) -> list[Entry]:
        """Return names with their stat, sorted by name."""
        ...

    def stat(self, name: str) -> Stat | None:
        """Return the stat of *name* itself (lstat), or None when the lookup finds nothing."""
        ...

    def child(self, name: str) -> "Dir":
        """Open a subdirectory; raises NotADirectoryError for anything else, a symlink included."""
        ...

    def open(self, name: str) -> ReadFile:
        """Open a regular file for reading: no-follow, non-blocking; refuses what is not a regular file."""
        ...

    def create(self, name: str) -> WriteFile:
        """Create a file exclusively, mode 0600."""
        ...

    def readlink(self, name: str) -> bytes: ...
    def symlink(self, name: str, target: bytes) -> None: ...
    def mkdir(self, name: str) -> Stat: ...

    def rename_new(self, name: str, to: "Dir", new_name: str) -> None:
        """Rename without replacing (RENAME_NOREPLACE, or check-and-rename where traits.no_replace is False);
        FileExistsError when the target exists."""
        ...

    def exchange(self, name: str, other: "Dir", other_name: str) -> None:
        """Swap two existing names atomically (RENAME_EXCHANGE / RENAME_SWAP).

        Where traits.exchange is False: rename *other_name* aside, then the rest; the window is documented."""
        ...

    def chmod_executable(self, name: str, executable: bool, expected: Fingerprint) -> Stat:
        """Set or clear the executable bits of the file that *expected* describes (no-follow, by descriptor);
        raises Outdated when another inode is there. Returns the new stat."""
        ...

    def copy_metadata(self, source: str, to: "Dir", target: str) -> None:
        """Give *target* the mode, owner, ACL and extended attributes of *source*, as far as permitted."""
        ...

    def unlink(self, name: str) -> None: ...
    def rmdir(self, name: str) -> None: ...

    def sync(self) -> None:
        """Make the directory's entries durable."""
        ...

    def writers(self, name: str) -> bool | None:
        """Return whether somebody holds the file open for writing (Linux: a read lease is refused); None when
        this platform cannot tell."""
        ...

    def close(self) -> None: ...
    def __enter__(self) -> "Dir": ...
    def __exit__(self, *exc: object) -> None: ...


class LocalFs(Protocol):
    """The root's file system. The one port through which user files are touched."""

    @property
    def traits(self) -> Traits: ...

    def prove(self) -> RootIdentity:
        """Open the root by path again and compare marker and inode; raises RootGone when it is not proven."""
        ...

    def open_dir(self, path: RelPath) -> Dir:
        """Open a directory below the root, component by component, no-follow.

        Raises OSError; ``OSError(EXDEV)`` when it lies on another file system (a root is one file system)."""
        ...

    def own(self, *names: str) -> Dir:
        """Open (creating, 0700) a directory below ``.syncd`` of the root: ``own("trash", op)``."""
        ...

    def contents(
        self, asked: Sequence[tuple[Dir, Sequence[str]]], limit: int, unless: bytes
    ) -> list[Sequence[Content | None]]:
        """Read many small regular files at once, by directory and name; returns what each directory's are.

        None for whatever there is more to say about, in doubt for all: it changed meanwhile, is something else, cannot
        be read, has more than *limit* bytes, or begins with *unless*. Such a file is to be looked at by itself."""
        ...

    def make_durable(self, opened: Sequence[Durable]) -> None:
        """Make all of *opened*, files and directories, durable: one syncfs for a large batch, fsync otherwise."""
        ...

    def make_all_durable(self) -> bool:
        """Make durable what was written to this file system so far, by whomever and under whatever name; False where
        only single files can be."""
        ...

    def free_bytes(self) -> int:
        """Return the bytes that may still be written (statvfs, unprivileged)."""
        ...


class Alone(Protocol):
    """A database nobody else has open, for as long as this is held. Use as a context manager."""

    def close(self) -> None:
        """Let others in again."""
        ...

    def __enter__(self) -> "Alone": ...
    def __exit__(self, *exc: object) -> None: ...


class Databases(Protocol):
    """SQLite databases as their programs see them: committed states, and locks. Any thread."""

    def writing(self, directory: Dir, name: str) -> bool:
        """Return whether a program is just now writing into the main file (it holds SQLite's lock for it)."""
        ...

    def copy(self, directory: Dir, name: str, ino: int, to: Dir, copy: str) -> None:
        """Write a committed state of the database (inode *ino*) into the empty file *copy*.

        Never writes beside the database. Raises Transient when it cannot be read now, NoSpace when the disk is full,
        Corrupt when SQLite finds it damaged, Refused when SQLite does not know its format.
        """
        ...

    def alone(self, directory: Dir, name: str, ino: int) -> Alone | None:
        """Take SQLite's exclusive lock; all that is committed is in the main file then, and the sidecars are gone.

        None for what SQLite does not know or may not write: it has no lock to take. Raises Transient while a program
        has the database open.
        """
        ...


# --- the remote -------------------------------------------------------------------------------------------------


class Remote(Protocol):
    """A remote namespace. All calls block; lost replies raise Offline and are resolved by ``outcomes``."""

    @property
    def capabilities(self) -> Capabilities: ...

    def identify(self) -> RemoteIdentity:
        """Return who answers; raises NotAuthorised for a wrong or revoked token."""
        ...

    def changes(self, cursor: str, limit: int) -> ChangesPage:
        """Return what changed after *cursor*; raises CursorExpired, HistoryChanged or OtherRemote."""
        ...

    def wait(self, cursor: str, seconds: float) -> bool:
        """Return True as soon as there may be changes after *cursor*, False after *seconds* without."""
        ...

    def listing(self, page: str | None, limit: int) -> ListingPage:
        """Return a page of everything alive, parents not necessarily first."""
        ...

    def look(self, node_ids: Sequence[bytes]) -> Sequence[RemoteNode | None]:
        """Return the present state (or tombstone) of each node; None for ids never seen."""
        ...

    def commit(self, batch: Sequence[Mutation]) -> Sequence[Outcome]:
        """Apply *batch* in order; each mutation is answered by itself."""
        ...

    def outcomes(self, keys: Sequence[bytes]) -> Sequence[Outcome | None]:
        """Return how mutations with these keys ended; None for a key the remote never saw."""
        ...

    def history(self, node_id: bytes) -> Sequence[VersionInfo]:
        """Return the versions of a node, newest first."""
        ...

    def missing(self, hashes: Sequence[bytes]) -> Sequence[bytes]:
        """Return which chunks (or manifests) the remote lacks; saying "present" renews their lease."""
        ...

    def put_chunks(self, chunks: Iterable[tuple[bytes, bytes]]) -> None:
        """Store (hash, data) pairs; durable when this returns. They are taken as there is room for them on the way;
        what taking one raises is raised here, and what was taken before that may be stored."""
        ...

    def get_chunks(self, hashes: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Yield (hash, data), verified, in the order asked; raises Outdated when one is gone."""
        ...

    def put_manifest(self, manifest_hash: bytes, encoded: bytes) -> None:
        """Store an encoded manifest (syncd.chunks.manifest)."""
        ...

    def get_manifest(self, manifest_hash: bytes) -> bytes:
        """Return an encoded manifest, verified against its hash."""
        ...

    def close(self) -> None: ...


class Watcher(Protocol):
    """Feeds hints about changed names into the inbox until closed."""

    def start(self) -> None:
        """Watch everything below the root; returns once every existing directory is watched."""
        ...

    def alive(self, poke: Callable[[str], None], seconds: float) -> bool:
        """Return whether a file is reported within *seconds* that *poke*, given a name, makes in ``.syncd/canary``."""
        ...

    def close(self) -> None: ...


class ChunkCache(Protocol):
    """Finds pieces in local files before the remote is asked (read-only, any thread)."""

    def locate(self, hashes: Sequence[bytes]) -> dict[bytes, tuple[RelPath, int, int]]:
        """Return for each known chunk a file's path, offset and size; a hint that must be verified by hash."""
        ...
