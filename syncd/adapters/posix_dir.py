"""An open directory: every touch of a user's file happens relative to one, by a single name, never following (P10).

Owns the descriptor it is given. Decides nothing: what should be where is the executor's and the scanner's.
"""

import errno
import os
import secrets
import stat as st
from typing import Final, Protocol

from syncd.adapters import posix_metadata as metadata
from syncd.adapters import posix_syscalls as syscalls
from syncd.adapters.posix_file import PosixReadFile, PosixWriteFile, full_disk_is_no_space, signed, stat_of
from syncd.model.errors import Outdated
from syncd.model.node import Fingerprint, Kind
from syncd.model.path import shown
from syncd.ports import Dir, Entry, Stat

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: should a FIFO take the file's place after the look, opening it must not wait for its writer.
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS: Final = syscalls.REFUSED | {errno.EPERM, errno.EACCES, errno.EMLINK}


class Home(Protocol):
    """What a directory must ask of the root it lies in."""

    @property
    def umask(self) -> int:
        """The process's umask."""
        ...

    def count_open(self) -> None:
        """Count one opening of a file's content."""
        ...

    def staging(self) -> "PosixDir":
        """Open syncd's own directory for names that live for a moment."""
        ...

    def exchanges(self) -> bool:
        """Return whether the file system swaps names atomically (tried out once)."""
        ...


def os_error(number: int, name: str, why: str = "") -> OSError:
    """Return the OSError (of the right subclass) for *number*."""
    return OSError(number, why or os.strerror(number), name)


def single(name: str) -> str:
    """Return *name* if it is one component and can be one; raises OSError(EINVAL) otherwise."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise os_error(errno.EINVAL, shown(name), "not a single name")
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        raise os_error(errno.EILSEQ, shown(name)) from None
    return name


def open_below(fd: int, name: str) -> int:
    """Open the directory *name* below *fd*, no-follow; NotADirectoryError for anything else, a symlink included."""
    try:
        return os.open(single(name), _DIRECTORY, dir_fd=fd)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):  # platform: macOS and BSD say "a symlink" by these
            raise os_error(errno.ENOTDIR, name) from error
        raise


class PosixDir:
    """See ``syncd.ports.Dir``. Not to be shared between threads."""

    __slots__ = ("_dev", "_fd", "_home", "_ino")

    def __init__(self, fd: int, home: Home) -> None:
        self._fd = fd
        self._home = home
        raw = os.fstat(fd)
        self._dev = raw.st_dev
        self._ino = signed(raw.st_ino)

    @property
    def dev(self) -> int:
        return self._dev

    @property
    def ino(self) -> int:
        return self._ino

    def __enter__(self) -> "PosixDir":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    # --- looking ---

    def names(self) -> list[str]:
        """Return the exact names in the directory, sorted."""
        return sorted(os.listdir(self.descriptor))

    def entries(self) -> list[Entry]:
        """Return names with their stat, sorted by name."""
        found = []
        with os.scandir(self.descriptor) as listing:
            for entry in listing:
                try:
                    found.append(Entry(entry.name, stat_of(entry.stat(follow_symlinks=False))))
                except OSError:  # vanished since, or unreadable: the listing has the name, and that is all we say
                    found.append(Entry(entry.name, None))
        found.sort(key=_name_of)
        return found

    def stat(self, name: str) -> Stat | None:
        """Return the stat of *name* itself, or None when the lookup finds nothing."""
        try:
            return stat_of(os.stat(single(name), dir_fd=self.descriptor, follow_symlinks=False))
        except FileNotFoundError:
            return None

    def readlink(self, name: str) -> bytes:
        """Return the target of a symlink, byte for byte."""
        return os.readlink(os.fsencode(single(name)), dir_fd=self.descriptor)

    def child(self, name: str) -> "PosixDir":
        """Open a subdirectory; OSError(EXDEV) when it lies on another file system."""
        fd = open_below(self.descriptor, name)
        try:
            below = PosixDir(fd, self._home)
            if below.dev != self._dev:
                raise os_error(errno.EXDEV, name, "on another file system")
        except BaseException:
            os.close(fd)
            raise
        return below

    def open(self, name: str) -> PosixReadFile:
        """Open a regular file for reading; counts as a content open."""
        fd = self._open_regular(name)
        self._home.count_open()
        return PosixReadFile(fd)

    def writers(self, name: str) -> bool | None:
        """Return whether somebody holds the file open for writing; None when that cannot be told."""
        try:
            fd = self._open_regular(name)
        except PermissionError:
            return None
        try:
            return syscalls.open_for_writing_elsewhere(fd)
        finally:
            os.close(fd)

    @property
    def descriptor(self) -> int:
        """The open descriptor, still owned by this object."""
        if self._fd < 0:
            raise os_error(errno.EBADF, "", "the directory was closed")
        return self._fd

    def _open_regular(self, name: str) -> int:
        """Open a regular file for reading. Anything else is not even opened, so a FIFO or tape never notices us.

        # RACE: something else may take the name between look and open; it is then opened without blocking or
        # following, recognised, and closed.
        """
        here = self.descriptor
        _require_regular(os.stat(single(name), dir_fd=here, follow_symlinks=False), name)
        fd = os.open(name, _READ, dir_fd=here)
        try:
            _require_regular(os.fstat(fd), name)
        except BaseException:
            os.close(fd)
            raise
        return fd

    # --- creating and removing ---

    def create(self, name: str) -> PosixWriteFile:
        """Create a file exclusively, mode 0600."""
        with full_disk_is_no_space("creating a file"):
            fd = os.open(single(name), _CREATE, 0o600, dir_fd=self.descriptor)
        return PosixWriteFile(fd, self._home.umask)

    def symlink(self, name: str, target: bytes) -> None:
        """Create a symlink with exactly *target* as its bytes."""
        with full_disk_is_no_space("creating a symlink"):
            os.symlink(target, os.fsencode(single(name)), dir_fd=self.descriptor)

    def mkdir(self, name: str) -> Stat:
        """Create a directory for the user (0777 less the umask) and return its stat."""
        return self._mkdir(name, 0o777)

    def mkdir_own(self, name: str) -> Stat:
        """Create a directory of syncd's own (0700)."""
        return self._mkdir(name, 0o700)

    def _mkdir(self, name: str, mode: int) -> Stat:
        here = self.descriptor
        with full_disk_is_no_space("creating a directory"):
            os.mkdir(single(name), mode, dir_fd=here)
        return stat_of(os.stat(name, dir_fd=here, follow_symlinks=False))

    def unlink(self, name: str) -> None:
        os.unlink(single(name), dir_fd=self.descriptor)

    def rmdir(self, name: str) -> None:
        os.rmdir(single(name), dir_fd=self.descriptor)

    def sync(self) -> None:
        """Make the directory's entries durable."""
        syscalls.sync_directory(self.descriptor)

    # --- renaming ---

    def rename_new(self, name: str, to: Dir, new_name: str) -> None:
        """Rename without replacing; FileExistsError when the target exists."""
        there, name, new_name = posix(to), single(name), single(new_name)
        try:
            syscalls.rename_no_replace(self.descriptor, name, there.descriptor, new_name)
        except OSError as error:
            if error.errno not in syscalls.REFUSED:
                raise
        else:
            return
        self._rename_checked(name, there, new_name)

    def _rename_checked(self, name: str, there: "PosixDir", new_name: str) -> None:
        here, target = self.descriptor, there.descriptor
        if not st.S_ISDIR(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
            try:
                # link never replaces. A crash before unlink leaves both names of one inode, never none.
                os.link(name, new_name, src_dir_fd=here, dst_dir_fd=target, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
            else:
                os.unlink(name, dir_fd=here)
                return
        if there.stat(new_name) is not None:
            raise os_error(errno.EEXIST, new_name)
        # RACE: what is created at the target from here on is replaced. A directory replaces only an empty
        # directory; a file is at risk only where there are neither flags nor hard links (``doctor`` says so).
        os.rename(name, new_name, src_dir_fd=here, dst_dir_fd=target)

    def exchange(self, name: str, other: Dir, other_name: str) -> None:
        """Swap two existing names: atomically, or through a third name where the file system cannot."""
        there, name, other_name = posix(other), single(name), single(other_name)
        try:
            syscalls.rename_exchange(self.descriptor, name, there.descriptor, other_name)
        except OSError as error:
            # EINVAL also means "one of them lies inside the other": only where exchange is truly missing is there
            # a second way.
            if error.errno not in syscalls.REFUSED or self._home.exchanges():
                raise
        else:
            return
        self._exchange_by_renames(name, there, other_name)

    def _exchange_by_renames(self, name: str, there: "PosixDir", other_name: str) -> None:
        if self.stat(name) is None:
            raise os_error(errno.ENOENT, name)
        with self._home.staging() as staging:
            aside = secrets.token_hex(16)
            # RACE: from here to the next rename *other_name* is missing, and a crash leaves its content in
            # ``.syncd/staging``, from where nothing is ever deleted unread.
            there.rename_new(other_name, staging, aside)
            try:
                self.rename_new(name, there, other_name)
            except OSError:
                # Also when somebody made a new file at *other_name*: that one stays, and what was displaced by
                # the person's own doing waits in staging.
                staging._put_back(aside, there, other_name)
                raise
            try:
                staging.rename_new(aside, self, name)
            except OSError:
                there._put_back(other_name, self, name)
                staging._put_back(aside, there, other_name)
                raise

    def _put_back(self, name: str, there: "PosixDir", old_name: str) -> None:
        try:
            self.rename_new(name, there, old_name)
        except FileExistsError:
            return  # somebody took the name: theirs stays, ours stays where it is, nothing is lost

    # --- metadata ---

    def chmod_executable(self, name: str, executable: bool, expected: Fingerprint) -> Stat:
        """Set or clear the executable bits of the very file that *expected* describes; durable on return."""
        fd = self._open_regular(name)
        try:
            raw = os.fstat(fd)
            if (raw.st_dev, signed(raw.st_ino)) != (expected.dev, expected.ino):
                raise Outdated(f"{shown(name)} is another file than the one that was planned for; looking again")
            mode = st.S_IMODE(raw.st_mode)
            wanted = metadata.executable_mode(mode, executable, self._home.umask)
            if wanted != mode:
                os.fchmod(fd, wanted)
                syscalls.sync_file(fd)
            return stat_of(os.fstat(fd))
        finally:
            os.close(fd)

    def copy_metadata(self, source: str, to: Dir, target: str) -> None:
        """Give *target* the mode, owner, ACL and extended attributes of *source*, as far as permitted.

        Symlinks have none that matter; a pair of different kinds is left alone.
        """
        there = posix(to)
        kinds = (self._kind(source), there._kind(target))
        if kinds not in ((Kind.FILE, Kind.FILE), (Kind.DIRECTORY, Kind.DIRECTORY)):
            return
        is_file = kinds[0] is Kind.FILE
        from_fd = self._open_regular(source) if is_file else open_below(self.descriptor, source)
        try:
            to_fd = there._open_regular(target) if is_file else open_below(there.descriptor, target)
            try:
                metadata.copy(from_fd, to_fd)
            finally:
                os.close(to_fd)
        finally:
            os.close(from_fd)

    def _kind(self, name: str) -> Kind | None:
        found = self.stat(name)
        if found is None:
            raise os_error(errno.ENOENT, name)
        return found.kind


def _name_of(entry: Entry) -> str:
    return entry.name


def posix(directory: Dir) -> PosixDir:
    if not isinstance(directory, PosixDir):
        raise TypeError("directories of two different file system adapters")
    return directory


def _require_regular(raw: os.stat_result, name: str) -> None:
    if st.S_ISREG(raw.st_mode):
        return
    if st.S_ISDIR(raw.st_mode):
        raise os_error(errno.EISDIR, name)
    if st.S_ISLNK(raw.st_mode):
        raise os_error(errno.ELOOP, name)
    raise os_error(errno.EINVAL, name, "not a regular file")
