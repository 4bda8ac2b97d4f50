"""``syncd.ports.LocalFs`` on a simulated disk, as ``syncd.adapters.posix_fs`` is on a real one.

Each call of the port goes through the hooks of ``SimProcess``: crash there, fail it, edit in between. Kill it, or take
the disk's power, and nothing it opened can do anything any more; a new ``SimFs`` is the restarted process.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from blake3 import blake3

from syncd.adapters.posix_dir import os_error, single
from syncd.adapters.posix_file import full_disk_is_no_space
from syncd.adapters.posix_marker import MARKER
from syncd.model.errors import NoSpace, RootGone, Usage
from syncd.model.node import Kind
from syncd.model.path import RESERVED, RelPath, is_reserved, shown
from syncd.ports import Content, Dir, Durable, RootIdentity, Traits
from tests.sim.directory import SimDir, require_readable
from tests.sim.disk import Disk, covered
from tests.sim.features import Features, Flag, fault
from tests.sim.inode import Inode
from tests.sim.process import SimProcess, call

_MANY: Final = 16
_TICK_FLOOR_NS: Final = 10_000_000
_GONE: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.EIO, errno.ESTALE, errno.ENODEV}
)


class _Marker(msgspec.Struct):
    root_id: str


class SimFs(SimProcess):
    """The folder at *path* of *disk* as a root. *expected* is what ``tie`` returned, *assumed* the traits while a full
    disk does not let them be tried out. *umask* is the process's.

    ``opened`` counts how often a file's content was opened, as in ``PosixFs``.
    """

    def __init__(
        self,
        disk: Disk,
        path: str,
        *,
        expected: RootIdentity | None = None,
        assumed: Traits | None = None,
        umask: int = 0o022,
        on_call: Callable[[str], None] | None = None,
        on_done: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        self.disk, self.umask, self.opened = disk, umask, 0
        self.on_call, self.on_done = on_call, on_done
        self._path = path
        self._root_id = None if expected is None else expected.root_id
        self._at: tuple[int, int] | None = None
        self._traits: Traits | None = None
        self._assumed = assumed
        self._asides = 0
        disk.started(self)

    @staticmethod
    def tie(disk: Disk, path: str, root_id: str, *, replace: bool = False) -> RootIdentity:
        """Write the marker of the root at *path*, durably, and return the root's identity; see ``tie_root``."""
        root = _open_root(disk, path)
        own = _open_own(root, path, create=True)
        assert own is not None
        volume = own.volume
        present = None if replace else _read_marker(own, path)
        if present is not None and present != root_id:
            raise Usage(f"{shown(path)} is tied already (root {shown(present)}); run init there to tie it anew")
        if present is None:
            if volume.find(own, MARKER + ".new") is not None:
                volume.unlink(own, MARKER + ".new")
            new = volume.make(own, MARKER + ".new", Kind.FILE, 0o600)
            volume.write(new, 0, msgspec.json.encode(_Marker(root_id)) + b"\n")
            volume.sync(new)
            volume.rename(own, MARKER + ".new", own, MARKER, Flag.REPLACE)
            volume.sync(own)
        return RootIdentity(root_id, root.volume.dev, root.ino)

    @property
    def traits(self) -> Traits:
        """What the volume can do. The real one tries it out; here the volume is asked, after the same opening."""
        if self._traits is None:
            try:
                with full_disk_is_no_space("trying out what the file system can do"), self.own("probe") as probe:
                    self._traits = _traits(probe.inode.volume.features)
            except NoSpace:
                if self._assumed is None:
                    raise
                return self._assumed
        return self._traits

    def prove(self) -> RootIdentity:
        try:
            return self._prove()
        except OSError as error:  # the opening of the root failed by a hook
            if error.errno not in _GONE:
                raise
            raise _cannot_be_opened(self._path, error) from error

    @call
    def _prove(self) -> RootIdentity:
        root = _open_root(self.disk, self._path)
        own = _open_own(root, self._path, create=False)
        root_id = None if own is None else _read_marker(own, self._path)
        if root_id is None:
            raise RootGone(
                f"{shown(self._path)} has no marker ({RESERVED}/{MARKER}), so it may be an empty mount point or "
                "another folder; nothing is synced: mount the root, or run init to tie this folder"
            )
        if self._root_id not in (None, root_id):
            raise RootGone(
                f"{shown(self._path)} is another root than the one that was tied (its marker differs); nothing is "
                "synced: put the right folder back, or run init to tie this one"
            )
        self._root_id = root_id
        if self._at != (root.volume.dev, root.ino):
            self._at = (root.volume.dev, root.ino)
            self._traits = None
        return RootIdentity(root_id, root.volume.dev, root.ino)

    @call
    def open_dir(self, path: RelPath) -> SimDir:
        for name in path:
            if is_reserved(single(name)):
                raise os_error(errno.EPERM, shown(name), "belongs to syncd")
        here = self._open_proven()
        for name in path:
            below = covered(here.volume.existing(here, single(name)))
            if below.entries is None:
                raise fault(errno.ENOTDIR, name)
            require_readable(below, name)
            if below.volume is not here.volume:
                raise os_error(errno.EXDEV, name, "on another file system")
            here = below
        return SimDir(here, self, path)

    @call
    def own(self, *names: str) -> SimDir:
        root = self._open_proven()
        own = _open_own(root, self._path, create=self._root_id is None)
        if own is None:
            raise RootGone(
                f"{shown(self._path)}/{RESERVED} is gone, and with it the proof that this is the root; nothing is "
                "synced: put it back, or run init again"
            )
        if self._at is not None and own.volume.dev != self._at[0]:
            raise RootGone(
                f"{shown(self._path)}/{RESERVED} lies on another file system than the root, so nothing could be moved "
                "into place atomically; nothing is synced: unmount it"
            )
        here = SimDir(own, self, None)
        for depth, name in enumerate(names):
            with here:
                below = self._own_child(here, name, durable=depth == 0)
            here = below
        return here

    @staticmethod
    def _own_child(here: SimDir, name: str, *, durable: bool) -> SimDir:
        try:
            return here.child(name)
        except FileNotFoundError:
            pass
        try:
            here.mkdir_own(name)
        except FileExistsError:
            return here.child(name)
        if durable:
            here.sync()
        return here.child(name)

    def contents(
        self, asked: Sequence[tuple[Dir, Sequence[str]]], limit: int, unless: bytes
    ) -> list[Sequence[Content | None]]:
        """Read each as a process that reads would, where there is more than one; a single one is left to the look."""
        if sum(len(names) for _, names in asked) < 2:
            return [[None] * len(names) for _, names in asked]
        return [[_content(directory, name, limit, unless) for name in names] for directory, names in asked]

    @full_disk_is_no_space("making files durable")
    @call
    def make_durable(self, opened: Sequence[Durable]) -> None:
        if len(opened) >= _MANY:
            self._open_proven().volume.sync_all()
            return
        for each in opened:
            each.sync()

    @full_disk_is_no_space("making files durable")
    @call
    def make_all_durable(self) -> bool:
        self._open_proven().volume.sync_all()
        return True

    @call
    def free_bytes(self) -> int:
        return self._open_proven().volume.room()

    # --- what directories ask of their root ---

    def staging(self) -> SimDir:
        return self.own("staging")

    def aside(self) -> str:
        self._asides += 1
        return f"{self.calls:024x}{self._asides:08x}"

    # --- opening ---

    def _open_proven(self) -> Inode:
        if self._at is None and self._root_id is not None:
            self.prove()
        root = _open_root(self.disk, self._path)
        here = (root.volume.dev, root.ino)
        if self._at is None:
            self._at = here
        if here != self._at:
            raise RootGone(
                f"another folder is at {shown(self._path)} than the one that was proven to be the root; nothing is "
                "synced until it is proven again"
            )
        if self._root_id is not None and not _has_marker(root):
            raise RootGone(
                f"the marker of the root {shown(self._path)} is gone ({RESERVED}/{MARKER}); nothing is synced: put it "
                "back, or run init to tie this folder"
            )
        return root


def _traits(features: Features) -> Traits:
    return Traits(
        case_sensitive=features.case_sensitive,
        normalises=features.normalises,
        executable_bit=features.executable_bit,
        symlinks=features.symlinks,
        time_tick_ns=max(_TICK_FLOOR_NS, features.tick_ns),
        stable_inodes=True,
        exchange=features.exchange,
        no_replace=features.no_replace,
    )


def _open_root(disk: Disk, path: str) -> Inode:
    try:
        root = disk.resolve(path)
        require_readable(root, path)
    except OSError as error:
        raise _cannot_be_opened(path, error) from error
    return root


def _cannot_be_opened(path: str, error: OSError) -> RootGone:
    return RootGone(
        f"the root {shown(path)} cannot be opened ({os.strerror(error.errno or 0)}); nothing is synced until it is "
        "back: mount it, or move it back"
    )


def _open_own(root: Inode, path: str, *, create: bool) -> Inode | None:
    found = root.volume.find(root, RESERVED)
    if found is None and create:
        with full_disk_is_no_space("creating .syncd"):
            found = root.volume.make(root, RESERVED, Kind.DIRECTORY, 0o700)
    if create:
        root.volume.sync(root)
    if found is None:
        return None
    own = covered(found)
    if own.entries is None:
        raise RootGone(
            f"{shown(path)}/{RESERVED} is not a folder but a file or symlink; nothing is synced: remove it, then "
            "run init again"
        )
    require_readable(own, RESERVED)
    return own


def _has_marker(root: Inode) -> bool:
    found = root.volume.find(root, RESERVED)
    own = None if found is None else covered(found)
    return own is not None and own.entries is not None and own.volume.find(own, MARKER) is not None


def _read_marker(own: Inode, path: str) -> str | None:
    found = own.volume.find(own, MARKER)
    if found is None:
        return None
    try:
        if found.kind is Kind.SYMLINK:
            raise fault(errno.ELOOP)
        if found.entries is not None:
            raise fault(errno.EISDIR)
        require_readable(found, MARKER)
        return msgspec.json.decode(found.data[: 64 * 1024], type=_Marker).root_id
    except (OSError, msgspec.MsgspecError) as error:
        raise RootGone(
            f"the marker {shown(path)}/{RESERVED}/{MARKER} cannot be read ({shown(str(error))}); nothing is synced: "
            "restore it, or run init again"
        ) from error


def _content(directory: Dir, name: str, limit: int, unless: bytes) -> Content | None:
    try:
        with directory.open(name) as file:
            before = file.stat()
            size = before.fingerprint.size
            data = file.read(0, size) if size <= limit else b""
            after = file.stat()
        named = directory.stat(name)
    except OSError:
        return None
    if len(data) != size or data.startswith(unless) or not before == after == named:
        return None
    return Content(before, blake3(data).digest())
