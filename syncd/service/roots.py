"""The roots of this device: root.json, which outlives the database (P9), and which folder is tied to what.

Owns root.json (atomic, fsynced) and the rules on which folders may be roots. Never touches what is inside a root.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from syncd.adapters import lockfile
from syncd.model.errors import Corrupt, Usage
from syncd.model.path import shown
from syncd.service import folders

if TYPE_CHECKING:
    from syncd.model.invite import HubAddress

FORMAT: Final = 1
RECORD: Final = "root.json"
DOUBTED: Final = -1
"""An inode no folder has: whatever folder is found is a copy, read again in full, with every delete held (P8)."""


class RootRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one root, whatever happens to the database.

    *remote* is the address without a secret (``syncd://host:port/space``), *pin* the hub's certificate fingerprint.
    *holds* are undecided groups: reason to node ids (hex). *dev* and *ino* identify the folder as it was tied; *ino* is
    0 when that is not known, DOUBTED until the engine has read a folder that was marked anew.
    """

    id: str
    path: str
    remote: str
    hub_id: str
    space_id: str
    device_id: str
    device: str
    pin: str | None = None
    dev: int = 0
    ino: int = 0
    paused: bool = False
    selection: tuple[str, ...] = ()
    holds: dict[str, list[str]] = {}
    format: int = FORMAT

    @property
    def address(self) -> "HubAddress":
        """The remote's address, parsed."""
        from syncd.model.invite import parse_address  # not needed to find a root, which `status` does

        return parse_address(self.remote, self.pin)


@dataclass(frozen=True, slots=True)
class RootFolder:
    """Where the state of one root lies."""

    base: Path

    @property
    def id(self) -> str:
        """The root's id: the folder's name."""
        return self.base.name

    @property
    def record(self) -> Path:
        """root.json"""
        return self.base / RECORD

    @property
    def database(self) -> Path:
        """The rebuildable cache (P9)."""
        return self.base / "syncd.sqlite"

    @property
    def lock(self) -> Path:
        """Held by the one process that syncs this root."""
        return self.base / "lock"

    @property
    def socket_note(self) -> Path:
        """Where the running daemon's control socket is."""
        return self.base / "socket"


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of all roots: *records* of those that can be read, *problems* (lines) of those that cannot."""

    records: list[RootRecord]
    problems: tuple[str, ...]

    def check(self) -> None:
        """Raise Corrupt with the first problem, if there is one."""
        if self.problems:
            raise Corrupt(self.problems[0])


@dataclass(slots=True)
class Roots:
    """All roots below one state folder."""

    state: Path = field(default_factory=folders.state_dir)

    @property
    def base(self) -> Path:
        """The folder of folders."""
        return self.state / "roots"

    def folder(self, root_id: str) -> RootFolder:
        """Return where a root's state lies."""
        return RootFolder(self.base / root_id)

    def all(self) -> list[RootRecord]:
        """Return every root, ordered by path; raises Corrupt, naming the file, when one cannot be read."""
        found = self.survey()
        found.check()
        return found.records

    def survey(self) -> "Survey":
        """Return every root that can be read, ordered by path, and one line for each that cannot."""
        records: list[RootRecord] = []
        problems: list[str] = []
        try:
            names = sorted(os.listdir(self.base))
        except FileNotFoundError:
            names = []
        for name in names:
            try:
                if (self.base / name / RECORD).is_file():
                    records.append(self.load(name))
            except Corrupt as error:
                problems.append(str(error))
            except OSError as error:
                why = (error.strerror or str(error)).lower()
                problems.append(f"{self.base / name / RECORD}: cannot be read ({why}): check its permissions")
        return Survey(sorted(records, key=lambda record: record.path), tuple(problems))

    def load(self, root_id: str) -> RootRecord:
        """Return one root; raises Corrupt when root.json cannot be understood."""
        path = self.folder(root_id).record
        try:
            record = msgspec.json.decode(path.read_bytes(), type=RootRecord)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Corrupt(f"{path}: cannot be read ({error}): restore it, or move it away and tie again") from None
        if record.format > FORMAT:
            raise Corrupt(f"{path}: was written by a newer syncd: use that one")
        if record.id != root_id:
            raise Corrupt(f"{path}: belongs to another root ({shown(record.id)}): move it away and tie again")
        return record

    def prepare(self, root_id: str) -> Path:
        """Create the folder of a root's state, for this user alone, and return it."""
        folders.private_dir(self.state)
        folders.private_dir(self.base)
        return folders.private_dir(self.folder(root_id).base)

    def save(self, record: RootRecord) -> None:
        """Make *record* durable: after a crash there is the old one or the new one, never half of one."""
        folder = self.prepare(record.id)
        write_private(folder / RECORD, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")

    def keep_paused(self, root_id: str, paused: bool) -> None:
        """Keep for the next daemon whether a person holds all work. Raises Refused when one runs: it is the one to ask.

        Under the root's lock: a daemon that starts at this moment reads the record only once it is kept."""
        with lockfile.acquire_briefly(str(self.folder(root_id).lock)):
            RootKeeper(self, self.load(root_id)).keep_paused(paused)

    def forget(self, root_id: str) -> None:
        """Remove a root's record so that it is tied no more; its database goes with it, files stay."""
        folder = self.folder(root_id)
        folder.record.unlink(missing_ok=True)
        for path in sorted(folder.base.glob("*")):
            if path != folder.lock:
                path.unlink()

    def owner(self, path: Path) -> RootRecord | None:
        """Return the root that *path* is, or lies in (the path may not exist any more)."""
        real, found = resolved(path), self.survey()
        for record in found.records:
            if real == Path(record.path) or Path(record.path) in real.parents:
                return record
        found.check()  # it may be in one that cannot be read
        return None

    def tied(self, path: Path) -> RootRecord | None:
        """Return the root that *path* itself is."""
        real, found = resolved(path), self.survey()
        for record in found.records:
            if record.path == os.fspath(real):
                return record
        found.check()  # it may be one that cannot be read
        return None

    def select(self, paths: tuple[str, ...]) -> list[RootRecord]:
        """Return the roots named by *paths* (any path inside a root names it), or all; raises Usage when none.

        One that cannot be read stops no other: it is left out of all (see ``survey``), and raised when it is named."""
        found = self.survey()
        everything = found.records
        if not paths:
            if not everything:
                found.check()
                raise Usage("no folder is tied yet: run `syncd init FOLDER --remote INVITE`, or `syncd up`")
            return everything
        chosen = []
        for path in paths:
            record = self.owner(Path(path))
            if record is None:
                known = ", ".join(shown(one.path) for one in everything) or "none"
                raise Usage(f"{shown(path)}: is not in a synced folder (known: {known}): tie it with `syncd init`")
            if record not in chosen:
                chosen.append(record)
        return chosen

    def check_new(self, path: Path) -> Path:
        """Return the real path of a folder that may become a root; raises Usage saying why it may not."""
        from syncd.adapters.posix_marker import check_root  # not needed to find a root, which `status` does

        real = resolved(path)
        state = resolved(self.state)
        if real == state or real in state.parents or state in real.parents:
            raise Usage(f"{shown(str(real))}: holds or lies in syncd's own state ({state}); choose another folder")
        found = self.survey()
        if all(record.path != os.fspath(real) for record in found.records):
            found.check()  # a new one might hold, or lie in, one that cannot be read
        check_root(os.fspath(real), [record.path for record in found.records if record.path != os.fspath(real)])
        return real


def resolved(path: Path) -> Path:
    """Return *path* absolute, ``~`` and symlinks followed; also where it does not exist."""
    return Path(os.path.realpath(path.expanduser()))


def new_root_id() -> str:
    """Return a fresh root id."""
    return os.urandom(8).hex()


def write_private(path: Path, data: bytes) -> None:
    """Write *data* to *path*, 0600, so that a crash leaves the old content or the new, durable, never a part (P4)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    with _opened(path.parent) as folder:
        os.fsync(folder)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class RootKeeper:
    """Keeps the engine's durable decisions in root.json, before its database commits them (P9)."""

    def __init__(self, roots: Roots, record: RootRecord) -> None:
        self._roots, self._record = roots, record

    @property
    def record(self) -> RootRecord:
        """The record as last kept."""
        return self._record

    def keep_paused(self, paused: bool) -> None:
        """Keep whether a person holds all work."""
        self._keep(msgspec.structs.replace(self._record, paused=paused))

    def keep_holds(self, holds: dict[str, list[str]]) -> None:
        """Keep the undecided holds: group reason to node ids (hex)."""
        self._keep(msgspec.structs.replace(self._record, holds=holds))

    def kept_holds(self) -> dict[str, list[str]]:
        """Return the holds as last kept."""
        return self._record.holds

    def keep_identity(self, dev: int, ino: int) -> None:
        """Keep which folder the root's path leads to."""
        self._keep(msgspec.structs.replace(self._record, dev=dev, ino=ino))

    def _keep(self, record: RootRecord) -> None:
        if record != self._record:
            self._roots.save(record)
            self._record = record
