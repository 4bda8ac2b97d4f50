"""Tends trash and staging: late writers, what the remote keeps, what expired, what a crash left.

Removes only what it can name: our own staged inodes, content that was in sync and is unchanged, and what outlived its
retention. Content nobody expected becomes a conflicted copy, or waits in the trash.
"""

from dataclasses import dataclass, field

from syncd.execute.dirs import Dirs, hash_of
from syncd.execute.placed import sweep_placed
from syncd.execute.placing import is_known, set_aside
from syncd.execute.staging import STAGING, drop, parse_part
from syncd.execute.tools import Tools
from syncd.execute.trash import DATA, TRASH, Info, clear, is_ours, read_info, take_back
from syncd.model.errors import RootGone, SyncdError
from syncd.model.job import SweepJob
from syncd.model.node import Kind
from syncd.model.observation import Displaced, Swept
from syncd.model.op import OpType
from syncd.observe.snapshots import SNAPSHOTS, sweep_snapshots
from syncd.ports import Dir, Stat

YOUNG_ENTRY = 5.0
"""Seconds: an entry younger than this may belong to an op that began after the sweep was ordered."""

PATIENCE = 3600.0
"""Seconds after which content is taken to have no writer where the platform cannot tell."""


@dataclass(slots=True)
class Sweep:
    """One pass over the trash and the staging folder."""

    tools: Tools
    job: SweepJob
    late: list[Displaced] = field(default_factory=list)
    dropped: int = 0
    bytes_kept: int = 0
    held: int = 0

    def run(self) -> Swept:
        """Tend every entry; one that cannot be tended now is kept for the next pass."""
        try:
            self.tools.fs.prove()
            with Dirs(self.tools.fs) as dirs:
                names = dirs.own(TRASH).names()
            for name in names:
                self._guarded(name)
            with Dirs(self.tools.fs) as dirs:
                self._staging(dirs)
        except (RootGone, OSError):
            # Not proven or not readable: nothing is swept. Whoever proves the root tells the person.
            pass
        return Swept(tuple(self.late), self.dropped, self.bytes_kept, self.held)

    def _guarded(self, name: str) -> None:
        key = _key(name)
        if key is None or key in self.job.running or key in self.tools.busy:
            return
        try:
            with Dirs(self.tools.fs) as dirs:
                self._entry(dirs, name, key)
        except (SyncdError, OSError):
            return  # kept: the next pass tries again

    # --- one entry -----------------------------------------------------------------------------------------------

    def _entry(self, dirs: Dirs, name: str, key: bytes) -> None:
        entry = dirs.own(TRASH, name)
        info = read_info(entry)
        data = entry.stat(DATA)
        if info is not None and 0 <= self.job.now - info.at < YOUNG_ENTRY:
            self.bytes_kept += data.fingerprint.size if data is not None else 0
            return
        if data is None:
            clear(dirs, key)
        elif is_ours(data, info):
            take_back(dirs, key, self.tools.chance)
        elif info is None:
            # Nobody knows what this is: kept until it is as old as anything may get.
            if self.job.now - data.fingerprint.ctime_ns / 1e9 > self.job.retention:
                self._drop(dirs, entry, key, data)
            else:
                self.bytes_kept += data.fingerprint.size
        elif data.kind is Kind.DIRECTORY and info.kind is Kind.DIRECTORY:
            self._expire(dirs, entry, key, data, info)
        elif self._is_trash(entry, data, info):
            self._known(dirs, entry, key, data, info)
        else:
            self._unexpected(dirs, entry, key, data, info)

    def _is_trash(self, entry: Dir, data: Stat, info: Info) -> bool:
        """Return whether ``data`` may stay in the trash. What a conflict displaced, or a rename left on its way, was
        never meant to stay: unless the same content is at its place, it comes back."""
        if info.cause in (OpType.DOWNLOAD, OpType.LOCAL_DELETE):
            return is_known(entry, data, info, doubt=False)
        if data.kind not in (Kind.FILE, Kind.SYMLINK) or not info.hash or info.cause is not OpType.CONFLICT:
            return False
        return hash_of(entry, DATA, data.kind).hex() == info.hash

    def _known(self, dirs: Dirs, entry: Dir, key: bytes, data: Stat, info: Info) -> None:
        """Content as it was expected. It is trash once nobody writes to it any more."""
        if self._may_be_written(entry, data, info):
            self.bytes_kept += data.fingerprint.size
        elif info.kept_by_remote and is_known(entry, data, info, doubt=True):
            self._drop(dirs, entry, key, data)
        else:
            self._expire(dirs, entry, key, data, info)

    def _may_be_written(self, entry: Dir, data: Stat, info: Info) -> bool:
        if data.kind is not Kind.FILE:
            return False
        writers = entry.writers(DATA)
        if writers is None:
            return self.job.now - info.at < PATIENCE
        self.held += writers
        return writers

    def _unexpected(self, dirs: Dirs, entry: Dir, key: bytes, data: Stat, info: Info) -> None:
        """A late write, or content a crash left unjudged: it comes back beside its old name (P1)."""
        try:
            with self.tools.fs.open_dir(info.path[:-1]) as directory:
                copy = set_aside(self.tools, entry, directory, info.path[-1], None)
                directory.sync()
                entry.sync()
        except (FileNotFoundError, NotADirectoryError):
            self._expire(dirs, entry, key, data, info)  # its folder is gone: it waits here to be restored
            return
        clear(dirs, key)
        self.late.append(Displaced(copy, (*info.path[:-1], copy)))

    def _expire(self, dirs: Dirs, entry: Dir, key: bytes, data: Stat, info: Info) -> None:
        if self.job.now - info.at > self.job.retention:
            self._drop(dirs, entry, key, data)
        else:
            self.bytes_kept += data.fingerprint.size if data.kind is not Kind.DIRECTORY else 0

    def _drop(self, dirs: Dirs, entry: Dir, key: bytes, data: Stat) -> None:
        if data.kind is Kind.DIRECTORY:
            _remove_tree(entry, DATA)
        else:
            entry.unlink(DATA)
        clear(dirs, key)
        self.dropped += 1

    # --- staging -------------------------------------------------------------------------------------------------

    def _staging(self, dirs: Dirs) -> None:
        sweep_placed(dirs, frozenset({*self.job.running, *self.tools.busy}), self.job.now - YOUNG_ENTRY)
        self.dropped += sweep_snapshots(dirs.own(SNAPSHOTS), self.job.now - self.tools.limits.staged_kept)
        staging = dirs.own(STAGING)
        for entry in staging.entries():
            part = parse_part(entry.name)
            if entry.stat is None:
                continue
            changed = entry.stat.fingerprint.ctime_ns / 1e9
            if part is None:
                self._adopt(dirs, staging, entry.name, changed)
            elif part.key in self.job.running or part.key in self.tools.busy:
                self.bytes_kept += entry.stat.fingerprint.size
            elif abs(self.job.now - changed) > self.tools.limits.staged_kept:
                drop(staging, entry.name)
                self.dropped += 1
            else:
                self.bytes_kept += entry.stat.fingerprint.size

    def _adopt(self, dirs: Dirs, staging: Dir, name: str, changed: float) -> None:
        """What is in staging and has no name of ours may be a person's (an exchange by renames that a crash cut
        short): it moves to the trash, where it is kept as unknown content."""
        if abs(self.job.now - changed) < max(YOUNG_ENTRY, 60.0):
            return
        key = self.tools.chance.token(16)
        entry = dirs.own(TRASH, key.hex())
        staging.rename_new(name, entry, DATA)
        entry.sync()


def _key(name: str) -> bytes | None:
    try:
        return bytes.fromhex(name)
    except ValueError:
        return None


def _remove_tree(parent: Dir, name: str) -> None:
    """Remove a directory of the trash with all below it, never following a symlink."""
    with parent.child(name) as directory:
        for child in directory.names():
            stat = directory.stat(child)
            if stat is not None and stat.kind is Kind.DIRECTORY:
                _remove_tree(directory, child)
            else:
                directory.unlink(child)
    parent.rmdir(name)
