"""What PosixFs does beyond the contract: limits of rights, metadata, leases, descriptors."""

import errno
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from syncd.adapters.posix_fs import PosixFs, tie_root
from syncd.model.errors import Outdated
from syncd.model.node import Fingerprint
from syncd.ports import Dir
from tests.adapters.posix_scripts import AS_ROOT, ON_LINUX, run_script

MTIME = 1_600_000_000_000_000_001


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


# --- counting and leaking ---


def test_only_content_opens_are_counted(fs: PosixFs, root: Path) -> None:
    (root / "a").write_bytes(b"1")
    with fs.open_dir(()) as directory:
        directory.entries()
        directory.names()
        directory.stat("a")
        directory.writers("a")
        directory.create("b").close()
        directory.copy_metadata("a", directory, "b")
        assert fs.opened == 0
        directory.open("a").close()
        directory.open("a").close()
        with pytest.raises(FileNotFoundError):
            directory.open("nothing")
    assert fs.opened == 2


def test_no_descriptor_is_leaked(fs: PosixFs, root: Path) -> None:
    deep = ("d",) * 60
    (root / Path(*deep)).mkdir(parents=True)
    (root / "file").write_bytes(b"1")
    os.mkfifo(root / "fifo")
    (root / "link").symlink_to("file")
    stranger = Fingerprint(0, 0, 0, 0, 0)

    def everything() -> None:
        fs.prove()
        fs.free_bytes()
        fs.open_dir(deep).close()
        fs.own("trash", "op").close()
        assert fs.traits.stable_inodes
        with fs.open_dir(()) as directory:
            directory.names()
            directory.entries()
            directory.writers("file")
            with directory.open("file") as file:
                fs.make_durable([file] * 20)
            with directory.create("new") as new:
                new.finish(MTIME, 0o644)
            directory.copy_metadata("file", directory, "new")
            directory.exchange("file", directory, "new")
            directory.unlink("new")
            refused = [
                lambda: directory.open("fifo"),
                lambda: directory.open("link"),
                lambda: directory.writers("fifo"),
                lambda: directory.child("file"),
                lambda: directory.create("file"),
                lambda: directory.chmod_executable("file", True, stranger),
                lambda: directory.copy_metadata("file", directory, "nothing"),
                lambda: fs.open_dir((*deep, "missing")),
                lambda: fs.open_dir(("link",)),
                lambda: fs.own("trash", "op", ".."),
            ]
            for call in refused:
                with pytest.raises((OSError, Outdated)):
                    call()

    everything()
    before = descriptors()
    for _ in range(3):
        everything()
    assert descriptors() == before


def test_a_listing_survives_names_that_come_and_go(fs: PosixFs, root: Path) -> None:
    (root / "steady").write_bytes(b"")
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            for number in range(20):
                (root / f"x{number}").write_bytes(b"")
            for number in range(20):
                (root / f"x{number}").unlink()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        with fs.open_dir(()) as directory:
            for _ in range(100):
                assert [entry.name for entry in directory.entries() if entry.name == "steady"] == ["steady"]
    finally:
        stop.set()
        thread.join()


# --- modes, owners, attributes ---


@pytest.mark.parametrize(
    ("umask", "plain", "executable", "directory"),
    [(0o022, 0o644, 0o755, 0o755), (0o077, 0o600, 0o700, 0o700), (0o002, 0o664, 0o775, 0o775), (0o777, 0, 0, 0)],
)
def test_new_things_respect_the_umask(
    fs: PosixFs, root: Path, umask: int, plain: int, executable: int, directory: int
) -> None:
    before = os.umask(umask)
    try:
        with PosixFs(str(root), expected=fs.prove()).open_dir(()) as here:
            for name, mode in (("plain", 0o666), ("executable", 0o777)):
                with here.create(name) as file:
                    file.finish(MTIME, mode)
            here.mkdir("directory")
    finally:
        os.umask(before)
    assert [mode_of(root / name) for name in ("plain", "executable", "directory")] == [plain, executable, directory]


@pytest.mark.parametrize(
    ("before", "executable", "after"),
    [
        (0o644, True, 0o755),
        (0o600, True, 0o700),
        (0o640, True, 0o750),
        (0o755, False, 0o644),
        (0o711, False, 0o600),
        (0o755, True, 0o755),
        (0o444, True, 0o555),
    ],
    ids=lambda value: oct(value) if type(value) is int else str(value),
)
def test_who_may_read_may_execute(root: Path, before: int, executable: bool, after: int) -> None:
    fs = PosixFs(str(root), expected=tie_root(str(root), "ab" * 16))
    (root / "a").write_bytes(b"")
    (root / "a").chmod(before)
    with fs.open_dir(()) as directory:
        stat = directory.stat("a")
        assert stat is not None
        assert directory.chmod_executable("a", executable, stat.fingerprint).mode == after
    assert mode_of(root / "a") == after


def replace(directory: Dir, name: str, fs: PosixFs) -> None:
    """Give *name* new content the way an executor does."""
    with fs.own("trash", "op") as entry:
        with entry.create("data") as file:
            file.write(b"new")
            file.finish(MTIME, 0o666)
        directory.copy_metadata(name, entry, "data")
        entry.exchange("data", directory, name)


def supports_attributes(root: Path) -> bool:
    try:
        os.setxattr(root, "user.try", b"1")
    except (OSError, AttributeError):
        return False
    os.removexattr(root, "user.try")
    return True


@ON_LINUX
def test_a_replaced_file_keeps_attributes_and_acl(fs: PosixFs, root: Path) -> None:
    if not supports_attributes(root):
        pytest.skip("no extended attributes here")
    (root / "a").write_bytes(b"old")
    (root / "a").chmod(0o640)
    os.setxattr(root / "a", "user.colour", b"red\0\xff")
    # user::rw- user:12345:r-- group::r-- mask::r-- other::---
    entries = [(1, 6, 0xFFFFFFFF), (2, 4, 12345), (4, 4, 0xFFFFFFFF), (0x10, 4, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(root / "a", "system.posix_acl_access", acl)
    except OSError:
        acl = b""  # a file system mounted without ACLs
    with fs.open_dir(()) as directory:
        replace(directory, "a", fs)
    assert (root / "a").read_bytes() == b"new"
    assert mode_of(root / "a") == 0o640
    assert (root / "a").stat().st_mtime_ns == MTIME
    assert os.getxattr(root / "a", "user.colour") == b"red\0\xff"
    if acl:
        assert os.getxattr(root / "a", "system.posix_acl_access") == acl


@AS_ROOT
def test_a_replaced_file_keeps_its_owner_where_permitted(fs: PosixFs, root: Path) -> None:
    (root / "a").write_bytes(b"old")
    os.chown(root / "a", 12345, 23456)
    (root / "a").chmod(0o4750)
    with fs.open_dir(()) as directory:
        replace(directory, "a", fs)
    stat = (root / "a").stat()
    assert (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777) == (12345, 23456, 0o4750)


AS_NOBODY = """
import os, sys
from syncd.adapters.posix_fs import PosixFs
fs = PosixFs(sys.argv[1])
os.setgroups([]); os.setgid(65534); os.setuid(65534)
with fs.open_dir(()) as directory:
    assert directory.writers("theirs") is None, "a lease on another's file is not ours to take"
    assert directory.writers("secret") is None, "and what cannot be read cannot be asked"
    assert directory.writers("mine") is False
    directory.copy_metadata("theirs", directory, "mine")
    stat = os.stat(sys.argv[1] + "/mine")
    assert stat.st_uid == 65534 and stat.st_mode & 0o7777 == 0o755, oct(stat.st_mode)
    try:
        directory.open("secret")
    except PermissionError:
        print("fine")
"""


@ON_LINUX
@AS_ROOT
def test_another_users_files_are_left_to_them() -> None:
    place = Path(tempfile.mkdtemp())  # pytest's own folders are closed to others
    try:
        place.chmod(0o777)
        for name, mode in (("theirs", 0o4755), ("secret", 0o600), ("mine", 0o644)):
            (place / name).write_bytes(b"")
            (place / name).chmod(mode)
        os.chown(place / "mine", 65534, 65534)
        assert run_script(AS_NOBODY, place) == "fine\n"
    finally:
        shutil.rmtree(place)


# --- leases ---

CONTENDED = """
import os, subprocess, sys, threading
from syncd.adapters.posix_fs import PosixFs
fs = PosixFs(sys.argv[1])
path = sys.argv[1] + "/a"
writer = subprocess.Popen([sys.executable, "-c", '''
import sys
while True:
    open(sys.argv[1], "ab").close()
''', path])
seen = set()
with fs.open_dir(()) as directory:
    for _ in range(3000):
        seen.add(directory.writers("a"))
writer.kill(); writer.wait()
assert seen <= {True, False}, seen
print("alive")
"""


@ON_LINUX
def test_a_writer_that_breaks_the_lease_does_not_end_the_process(root: Path) -> None:
    (root / "a").write_bytes(b"")
    assert run_script(CONTENDED, root) == "alive\n"


def test_a_root_is_not_opened_where_names_are_not_utf8(root: Path) -> None:
    script = (
        "import sys\nfrom syncd.adapters.posix_fs import PosixFs\nfrom syncd.model.errors import Usage\n"
        "try:\n    PosixFs(sys.argv[1])\nexcept Usage as error:\n    print(error)\n"
        "else:\n    print(sys.getfilesystemencoding())"
    )
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", script, str(root)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"},
        check=True,
    )
    assert done.stdout.strip() == "utf-8" or "PYTHONUTF8=1" in done.stdout


def test_a_read_of_many_pieces_is_whole(fs: PosixFs, root: Path) -> None:
    data = os.urandom(3 * 1024 * 1024 + 1)
    (root / "a").write_bytes(data)
    with fs.open_dir(()) as directory, directory.open("a") as file:
        assert file.read(0, len(data) * 2) == data
        assert file.read(1, len(data) - 2) == data[1:-1]


def test_an_exchange_between_two_adapters_is_a_programming_error(fs: PosixFs) -> None:
    class Other:
        pass

    with fs.open_dir(()) as directory, pytest.raises(TypeError):
        directory.exchange("a", Other(), "b")  # type: ignore[arg-type]


def test_a_closed_file_says_so(fs: PosixFs, root: Path) -> None:
    (root / "a").write_bytes(b"1")
    with fs.open_dir(()) as directory:
        file = directory.open("a")
    file.close()
    with pytest.raises(OSError) as refused:
        file.read(0, 1)
    assert refused.value.errno == errno.EBADF
