"""The root's file system on Linux and macOS: the one port through which user files are touched.

Opens the root by its path each time and compares it with what was proven, so that a root that was unmounted, moved or
replaced is noticed before anything below it is looked at (P8). Keeps no descriptor open. Never follows a symlink below
the root (P10), never plans.
"""

import errno
import os
import sys
import threading
from collections.abc import Sequence
from itertools import islice
from typing import Final

from syncd.adapters import posix_syscalls as syscalls
from syncd.adapters.posix_dir import PosixDir, os_error, posix, single
from syncd.adapters.posix_file import full_disk_is_no_space, signed
from syncd.adapters.posix_marker import (
    MARKER,
    check_root,
    has_marker,
    identity_of,
    open_own,
    open_root,
    read_marker,
    tie_root,
)
from syncd.adapters.posix_probe import alone, exchanges, probe
from syncd.adapters.reading import Readers, named
from syncd.model.errors import NoSpace, RootGone, Usage
from syncd.model.path import RESERVED, RelPath, is_reserved, shown
from syncd.ports import Content, Dir, Durable, RootIdentity, Traits

__all__ = ["PosixFs", "check_root", "probe_traits", "read_marker", "tie_root"]

_STAGING: Final = "staging"
_PROBE: Final = "probe"
_MANY: Final = 16
"""From here on one syncfs is cheaper than an fsync for each file and directory."""


class PosixFs:
    """See ``syncd.ports.LocalFs``. May be used from several threads at once.

    With *expected* (what ``tie_root`` returned) nothing is opened before the root was proven to carry that marker.
    Without, the folder found at the first use is taken for the root (``init``).
    *assumed* are its traits while a full disk does not let them be tried out: it stops downloads, nothing else.
    ``opened`` counts how often a file's content was opened. With *readers* many small files are read by them.
    """

    def __init__(
        self,
        root_path: str,
        *,
        expected: RootIdentity | None = None,
        assumed: Traits | None = None,
        readers: Readers | None = None,
    ) -> None:
        if sys.getfilesystemencoding() != "utf-8":
            raise Usage(f"names are read as {sys.getfilesystemencoding()}, not UTF-8; set PYTHONUTF8=1 and start again")
        self._path = os.path.abspath(root_path)
        self._root_id = None if expected is None else expected.root_id
        self._at: tuple[int, int] | None = None
        self._traits: Traits | None = None
        self._assumed = assumed
        self._readers = readers
        self._exchanges: bool | None = None
        self._lock = threading.Lock()  # guards the fields above and the counter; never held during I/O
        self._probing = threading.Lock()  # one trial at a time, in one directory
        self._umask = syscalls.process_umask()
        self.opened = 0

    @property
    def traits(self) -> Traits:
        """What the file system can do; tried out at first use and again when the root's inode changed."""
        if (known := self._traits) is not None:
            return known
        try:
            with full_disk_is_no_space("trying out what the file system can do"):
                return self._tried()
        except NoSpace:
            if self._assumed is None:
                raise
            return self._assumed

    def _tried(self) -> Traits:
        with self._probing, self.own(_PROBE) as directory, alone(directory.descriptor):
            if (known := self._traits) is None:
                known = probe(directory.descriptor)
                with self._lock:
                    self._traits, self._exchanges = known, known.exchange
        return known

    def prove(self) -> RootIdentity:
        """Open the root by path and compare its marker with the expected one; RootGone when they differ.

        The inode may have changed (a remount, a restored copy): the caller sees it in the identity returned, and
        all work goes on in the folder that was proven.
        """
        root = open_root(self._path)
        try:
            found = identity_of(root, self._path)
        finally:
            os.close(root)
        if found is None:
            raise RootGone(
                f"{shown(self._path)} has no marker ({RESERVED}/{MARKER}), so it may be an empty mount point or "
                "another folder; nothing is synced: mount the root, or run init to tie this folder"
            )
        with self._lock:
            if self._root_id not in (None, found.root_id):
                raise RootGone(
                    f"{shown(self._path)} is another root than the one that was tied (its marker differs); nothing is "
                    "synced: put the right folder back, or run init to tie this one"
                )
            self._root_id = found.root_id
            if self._at != (found.dev, found.ino):
                self._at = (found.dev, found.ino)
                self._traits = self._exchanges = None
        return found

    def open_dir(self, path: RelPath) -> PosixDir:
        """Open a directory below the root, component by component, no-follow.

        Raises OSError (EXDEV for another file system), RootGone when the root itself is not the proven one.
        """
        for name in path:
            if is_reserved(single(name)):
                raise os_error(errno.EPERM, shown(name), "belongs to syncd")
        return self._descend(PosixDir(self._open_proven(), self), path)

    def own(self, *names: str) -> PosixDir:
        """Open a directory below ``.syncd``, creating what is missing (0700).

        ``.syncd`` and its direct children are durable on return; deeper ones with the caller's own sync of the
        directory they were made in. In a tied root ``.syncd`` itself is never made anew: without it the root is not
        proven.
        """
        root = self._open_proven()
        try:
            fd = open_own(root, self._path, create=self._root_id is None)
        finally:
            os.close(root)
        if fd is None:
            raise RootGone(
                f"{shown(self._path)}/{RESERVED} is gone, and with it the proof that this is the root; nothing is "
                "synced: put it back, or run init again"
            )
        here = PosixDir(fd, self)
        if self._at is not None and here.dev != self._at[0]:
            here.close()
            raise RootGone(
                f"{shown(self._path)}/{RESERVED} lies on another file system than the root, so nothing could be moved "
                "into place atomically; nothing is synced: unmount it"
            )
        for depth, name in enumerate(names):
            with here:
                below = self._own_child(here, name, durable=depth == 0)
            here = below
        return here

    @staticmethod
    def _own_child(here: PosixDir, name: str, *, durable: bool) -> PosixDir:
        try:
            return here.child(name)
        except FileNotFoundError:
            pass
        try:
            here.mkdir_own(name)
        except FileExistsError:
            return here.child(name)  # another thread was faster
        if durable:
            here.sync()
        return here.child(name)

    def contents(
        self, asked: Sequence[tuple[Dir, Sequence[str]]], limit: int, unless: bytes
    ) -> list[Sequence[Content | None]]:
        """See ``LocalFs``; without ``Readers`` nothing is known of any."""
        if self._readers is None:
            return [[None] * len(names) for _, names in asked]
        names = named([(posix(directory).descriptor, names) for directory, names in asked])
        found = self._readers.read(names, limit, unless)
        with self._lock:
            self.opened += len(found) - found.count(None)
        rest = iter(found)
        return [list(islice(rest, len(names))) for _, names in asked]

    def make_durable(self, opened: Sequence[Durable]) -> None:
        """Make all of *opened*, files and directories, durable: one syncfs for a large batch, fsync otherwise."""
        if len(opened) >= _MANY and self.make_all_durable():
            return
        for each in opened:
            with full_disk_is_no_space("making files durable"):
                each.sync()

    def make_all_durable(self) -> bool:
        """Make durable what was written to this file system so far (syncfs); False where that cannot be asked for."""
        root = self._open_proven()
        try:
            with full_disk_is_no_space("making files durable"):
                return syscalls.sync_all(root)
        finally:
            os.close(root)

    def free_bytes(self) -> int:
        """Return the bytes that may still be written by an ordinary user."""
        root = self._open_proven()
        try:
            found = os.fstatvfs(root)
        finally:
            os.close(root)
        return found.f_bavail * found.f_frsize

    # --- what directories ask of their root (posix_dir.Home) ---

    @property
    def umask(self) -> int:
        return self._umask

    def count_open(self) -> None:
        with self._lock:
            self.opened += 1

    def staging(self) -> PosixDir:
        return self.own(_STAGING)

    def exchanges(self) -> bool:
        if (known := self._exchanges) is not None:
            return known
        with self._probing, self.own(_PROBE) as directory, alone(directory.descriptor):
            found = exchanges(directory.descriptor)
        with self._lock:
            self._exchanges = found
        return found

    # --- opening ---

    def _open_proven(self) -> int:
        """Open the root by path; RootGone unless it is the very folder that was proven."""
        if self._at is None and self._root_id is not None:
            self.prove()
        root = open_root(self._path)
        try:
            self._compare(root)
        except BaseException:
            os.close(root)
            raise
        return root

    def _compare(self, root: int) -> None:
        raw = os.fstat(root)
        here = (raw.st_dev, signed(raw.st_ino))
        with self._lock:
            if self._at is None:
                self._at = here
            proven = self._at
        if here != proven:
            raise RootGone(
                f"another folder is at {shown(self._path)} than the one that was proven to be the root; nothing is "
                "synced until it is proven again"
            )
        if self._root_id is not None and not has_marker(root):
            # A folder made anew may get the inode of the one removed; its emptiness must not be taken for deletes.
            raise RootGone(
                f"the marker of the root {shown(self._path)} is gone ({RESERVED}/{MARKER}); nothing is synced: put it "
                "back, or run init to tie this folder"
            )

    @staticmethod
    def _descend(here: PosixDir, path: RelPath) -> PosixDir:
        for name in path:
            with here:  # at most two descriptors, however deep
                below = here.child(name)
            here = below
        return here


def probe_traits(path: str) -> Traits:
    """Try out the file system of the folder at *path*, in ``.syncd/probe``, which is empty again afterwards."""
    return PosixFs(path).traits
