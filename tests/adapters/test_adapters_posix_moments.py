"""What happens between two system calls, and what systems refuse: nothing is followed or lost (P10, P1)."""

import ctypes
import errno
import os
import stat as st
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from syncd.adapters import posix_syscalls as syscalls
from syncd.adapters.posix_dir import PosixDir
from syncd.adapters.posix_file import PosixReadFile, stat_of
from syncd.adapters.posix_fs import PosixFs, check_root, tie_root
from syncd.model.errors import RootGone, Usage
from syncd.model.node import Kind
from syncd.ports import Dir
from tests.adapters.posix_scripts import AS_ROOT, ON_LINUX
from tests.contract.local_worlds import LocalWorld, posix_without_rename_flags

ID = "ab" * 16
NOBODY = 65534

_waiting: list[tuple[str, object, Callable[[], object]]] = []


def _audited(event: str, arguments: tuple[object, ...]) -> None:
    if _waiting and (event, arguments[0]) == _waiting[0][:2]:
        _waiting.pop()[2]()


def right_before(event: str, name: object, do: Callable[[], object]) -> None:
    """Do something in the moment before the next system call of that kind on *name*."""
    if not hasattr(right_before, "hooked"):
        sys.addaudithook(_audited)  # can never be taken out again; it does nothing while nothing waits
        right_before.hooked = True  # type: ignore[attr-defined]
    _waiting[:] = [(event, name, do)]


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be an ordinary user for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)  # type: ignore[attr-defined,unused-ignore]
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)  # type: ignore[attr-defined,unused-ignore]


@pytest.fixture
def open_folder(root: Path) -> Iterator[PosixDir]:
    """Open a folder before becoming nobody: pytest's own folders are closed to others."""
    root.chmod(0o777)
    with PosixFs(str(root)).open_dir(()) as directory:
        yield directory


# --- what takes a name at the last moment ---


def test_p10_a_fifo_that_takes_a_files_name_is_not_read(open_folder: PosixDir, root: Path) -> None:
    (root / "a").write_bytes(b"1")

    def swapped() -> None:
        (root / "a").unlink()
        os.mkfifo(root / "a")

    right_before("open", "a", swapped)
    with pytest.raises(OSError) as refused:
        open_folder.open("a")
    assert refused.value.errno == errno.EINVAL


def test_p8_own_folder_that_goes_right_after_the_proof_is_not_made_anew(fs: PosixFs, root: Path) -> None:
    fs.prove()
    right_before("open", ".syncd", lambda: (root / ".syncd").rename(root / "away"))
    with pytest.raises(RootGone, match="is gone"):
        fs.own("trash")
    assert not (root / ".syncd").exists()


def test_a_folder_of_our_own_that_another_thread_makes_is_used(fs: PosixFs, root: Path) -> None:
    right_before("os.mkdir", "trash", (root / ".syncd" / "trash").mkdir)
    fs.own("trash").close()
    assert _waiting == []


def test_own_folder_that_vanishes_while_a_root_is_tied_is_said(root: Path) -> None:
    right_before("open", ".syncd", (root / ".syncd").rmdir)
    with pytest.raises(RootGone, match="vanished"):
        tie_root(str(root), ID)


class Raced(PosixDir):
    """A folder in which something happens right before a rename out of it."""

    __slots__ = ("before",)
    before: Callable[[], object]

    def rename_new(self, name: str, to: Dir, new_name: str) -> None:
        self.before()
        super().rename_new(name, to, new_name)


class RacedHome:
    """A root whose staging is raced."""

    umask = 0o022

    def __init__(self, staging: Path, before: Callable[[], object]) -> None:
        self._path, self._before = staging, before

    def count_open(self) -> None:
        raise AssertionError("nothing is read here")

    def exchanges(self) -> bool:
        return False

    def staging(self) -> PosixDir:
        raced = Raced(os.open(self._path, os.O_RDONLY | os.O_DIRECTORY), self)
        raced.before = self._before
        return raced


def test_p1_an_exchange_by_renames_whose_name_is_taken_leaves_every_content(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syscalls, "_RENAME", None)
    staging = root / "staging"
    staging.mkdir()
    (root / "a").write_bytes(b"1")
    (root / "b").write_bytes(b"2")
    home = RacedHome(staging, lambda: (root / "a").exists() or (root / "a").write_bytes(b"a person's"))
    with PosixDir(os.open(root, os.O_RDONLY | os.O_DIRECTORY), home) as directory, pytest.raises(FileExistsError):
        directory.exchange("a", directory, "b")
    left = {path.read_bytes() for path in (root / "a", root / "b", *staging.iterdir())}
    assert left == {b"1", b"2", b"a person's"}


# --- what an ordinary user may not ---


def test_a_listing_of_what_may_not_be_looked_at_has_the_names(open_folder: PosixDir, root: Path) -> None:
    (root / "a").write_bytes(b"1")
    root.chmod(0o444)
    with as_nobody():
        found = open_folder.entries()
    root.chmod(0o755)
    assert [(entry.name, entry.stat) for entry in found if entry.name == "a"] == [("a", None)]


def test_nobody_can_tell_who_writes_what_may_not_be_read(open_folder: PosixDir, root: Path) -> None:
    (root / "a").write_bytes(b"1")
    (root / "a").chmod(0)
    with as_nobody():
        assert open_folder.writers("a") is None


@ON_LINUX
@AS_ROOT
def test_a_lease_on_anothers_file_is_not_ours_to_take(open_folder: PosixDir, root: Path) -> None:
    (root / "a").write_bytes(b"1")
    (root / "a").chmod(0o644)
    with as_nobody():
        assert open_folder.writers("a") is None


@ON_LINUX
def test_a_lease_on_what_is_not_open_is_an_error(root: Path) -> None:
    with pytest.raises(OSError) as refused:
        syscalls.open_for_writing_elsewhere(999_999)
    assert refused.value.errno == errno.EBADF


def test_a_folder_that_may_not_be_written_is_no_root(root: Path) -> None:
    readable = Path("/")  # exists everywhere, belongs to root
    with as_nobody(), pytest.raises(Usage, match="not writable"):
        check_root(str(readable), [])


@ON_LINUX
@AS_ROOT
def test_p6_without_flags_and_without_links_a_rename_still_replaces_nothing(tmp_path: Path) -> None:
    """Links to what is another's are forbidden (fs.protected_hardlinks), as all links are on some file systems."""
    guard = Path("/proc/sys/fs/protected_hardlinks")
    if not guard.exists() or guard.read_text().strip() != "1":
        pytest.skip("hard links to what is another's are allowed here")
    made: LocalWorld
    with posix_without_rename_flags(tmp_path) as made, made.fs.open_dir(()) as directory:
        assert isinstance(directory, PosixDir)
        os.fchmod(directory.descriptor, 0o777)
        made.person.write("a", b"1")
        made.person.write("b", b"2")
        made.person.chmod("a", 0o600)
        with as_nobody():
            with pytest.raises(FileExistsError):
                directory.rename_new("a", directory, "b")
            directory.rename_new("a", directory, "c")
        assert (made.person.read("b"), made.person.read("c")) == (b"2", b"1")


# --- what systems refuse, or say in an odd way ---


def test_a_root_with_an_impossible_path_is_an_error_of_its_own(root: Path) -> None:
    with pytest.raises(OSError) as refused:
        tie_root("/" + "x" * 300, ID)
    assert refused.value.errno == errno.ENAMETOOLONG


def test_other_roots_that_cannot_be_looked_at_are_said_in_one_line(root: Path) -> None:
    def others() -> Iterator[str]:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
        yield ""

    with pytest.raises(Usage, match="cannot be looked at"):
        check_root(str(root), others())


def test_numbers_beyond_64_bits_with_sign_are_kept_apart(root: Path) -> None:
    raw = os.stat_result(
        (st.S_IFREG | 0o644, (1 << 64) - 2, 1, 1, 0, 0, 5, 0, 0, 0),
        {"st_mtime_ns": 1 << 70, "st_ctime_ns": -(1 << 70)},
    )
    found = stat_of(raw)
    assert (found.kind, found.fingerprint.ino, found.fingerprint.size) == (Kind.FILE, -2, 5)
    assert (found.fingerprint.mtime_ns, found.fingerprint.ctime_ns) == ((1 << 63) - 1, -(1 << 63))


@ON_LINUX
def test_a_read_that_the_kernel_stops_early_goes_on(root: Path) -> None:
    """Files of /proc are given out in pages."""
    path = "/proc/self/smaps"
    whole = len(Path(path).read_bytes())
    with PosixReadFile(os.open(path, os.O_RDONLY)) as file:
        assert len(file.read(0, whole * 4)) > whole // 2 > 4096


def test_a_folder_that_cannot_be_synced_is_as_durable_as_it_gets() -> None:
    reading, writing = os.pipe()
    try:
        syscalls.sync_directory(reading)  # EINVAL, as some FUSE file systems say
    finally:
        os.close(reading)
        os.close(writing)
    with pytest.raises(OSError):
        syscalls.sync_directory(reading)


def failing(number: int) -> Callable[[int], int]:
    def call(fd: int) -> int:
        ctypes.set_errno(number)
        return -1

    return call


@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        pytest.param("_SYNCFS", None, "root", id="no syncfs"),
        pytest.param("_FSTATFS", None, "root", id="nobody tells what the file system is"),
        pytest.param("_SYNCFS", failing(errno.ENOSYS), "root", id="an old kernel"),
        pytest.param("_SYNCFS", lambda fd: 0, "/proc", id="a file system that is not on the list"),
    ],
)
def test_p4_what_cannot_be_made_durable_at_once_is_made_durable_one_by_one(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: Any, path: str
) -> None:
    fd = os.open(root if path == "root" else path, os.O_RDONLY)
    try:
        monkeypatch.setattr(syscalls, name, value)
        assert not syscalls.sync_all(fd)
    finally:
        os.close(fd)
    fs = PosixFs(str(root), expected=tie_root(str(root), ID))
    (root / "a").write_bytes(b"1")
    with fs.open_dir(()) as directory, directory.open("a") as file:
        fs.make_durable([file] * 40)


@ON_LINUX
def test_p4_a_disk_that_fails_is_not_taken_for_one_that_cannot(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "_SYNCFS", failing(errno.EIO))
    monkeypatch.setattr(syscalls, "_SYNCFS_IS_DURABLE", frozenset({syscalls_type(root)}))
    fd = os.open(root, os.O_RDONLY)
    try:
        with pytest.raises(OSError) as failed:
            syscalls.sync_all(fd)
        assert failed.value.errno == errno.EIO
        monkeypatch.setattr(syscalls, "_SYNCFS", failing(errno.EINVAL))
        assert not syscalls.sync_all(fd)
    finally:
        os.close(fd)


def syscalls_type(path: Path) -> int | None:
    fd = os.open(path, os.O_RDONLY)
    try:
        return syscalls.file_system_type(fd)
    finally:
        os.close(fd)


def test_the_umask_is_the_same_whichever_way_it_is_found() -> None:
    before = os.umask(0o027)
    try:
        assert (syscalls.process_umask(), syscalls.set_back_umask(), syscalls.set_back_umask()) == (0o027,) * 3
    finally:
        os.umask(before)


def test_what_the_file_system_can_do_is_tried_out_once(fs: PosixFs) -> None:
    first = fs.traits
    assert fs._tried() is first  # as another thread that waited for its turn
