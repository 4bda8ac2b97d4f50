"""PosixFs where file systems are mounted, unmounted and full.

Each test runs a script in namespaces of its own, and is skipped where there are none.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.adapters.posix_scripts import ON_LINUX, run_script

_NAMESPACE = ("unshare", "--mount", "--map-root-user", "--user")


@pytest.fixture(scope="module")
def may_mount(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = str(tmp_path_factory.mktemp("mount"))
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    done = subprocess.run([*_NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", place], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("may not mount here")


OTHER_FILE_SYSTEM = """
import errno, os, subprocess, sys
from syncd.adapters.posix_fs import PosixFs, check_root
fs = PosixFs(sys.argv[1])
os.mkdir(sys.argv[1] + "/mnt")
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", sys.argv[1] + "/mnt"], check=True)
os.mkdir(sys.argv[1] + "/mnt/deep")
with fs.open_dir(()) as directory:
    seen = {entry.name: entry.stat for entry in directory.entries()}
    assert seen["mnt"].fingerprint.dev != directory.dev, "the listing shows it"
    for path in (("mnt",), ("mnt", "deep")):
        try:
            fs.open_dir(path)
        except OSError as error:
            assert error.errno == errno.EXDEV, error
        else:
            raise AssertionError("entered")
    try:
        directory.rename_new("a", directory, "mnt/a")
    except OSError as error:
        assert error.errno == errno.EINVAL
print("fine")
"""

FULL_DISK = """
import os, subprocess, sys
from syncd.adapters.posix_fs import PosixFs, probe_traits
from syncd.model.errors import NoSpace
root = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=40", "tmpfs", root], check=True)
fs = PosixFs(root)
assert fs.traits.exchange and fs.traits.no_replace
assert 0 < fs.free_bytes() <= 256 * 1024
def full(call):
    try:
        call()
    except NoSpace as error:
        assert "\\n" not in str(error)
    else:
        raise AssertionError("not full")
with fs.open_dir(()) as directory:
    with directory.create("a") as file:
        file.write(b"x" * 1000)
        full(lambda: file.write(b"y" * 1024 * 1024))
        assert file.stat().fingerprint.size <= 256 * 1024
    assert fs.free_bytes() == 0
    directory.unlink("a")
    number = 0
    try:
        while True:
            os.close(os.open(f"{root}/f{number}", os.O_CREAT | os.O_WRONLY))
            number += 1
    except OSError:
        pass
    full(lambda: directory.create("b"))
    full(lambda: directory.mkdir("b"))
    full(lambda: directory.symlink("b", b"x"))
    full(lambda: fs.own("trash", "op"))
print("fine")
"""

OWN_ELSEWHERE = """
import subprocess, sys
from syncd.adapters.posix_fs import PosixFs, tie_root
from syncd.model.errors import RootGone
root = sys.argv[1]
identity = tie_root(root, "ab" * 16)
fs = PosixFs(root, expected=identity)
fs.prove()
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", root + "/.syncd"], check=True)
open(root + "/.syncd/root.json", "w").write('{"root_id": "' + "ab" * 16 + '"}')
try:
    fs.own("trash", "op")
except RootGone as error:
    assert "another file system" in str(error), error
    print("fine")
"""

UNMOUNTED = """
import subprocess, sys
from syncd.adapters.posix_fs import PosixFs, tie_root
from syncd.model.errors import RootGone
root = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", root], check=True)
fs = PosixFs(root, expected=tie_root(root, "ab" * 16))
fs.prove()
fs.open_dir(()).close()
subprocess.run(["umount", root], check=True)  # possible: syncd keeps no descriptor
for call in (fs.prove, lambda: fs.open_dir(()), lambda: fs.own("trash", "op")):
    try:
        call()
    except RootGone as error:
        print(error)
    else:
        raise AssertionError("an empty mount point was taken for the root")
"""


@ON_LINUX
def test_another_file_system_is_not_entered(root: Path, may_mount: None) -> None:
    (root / "a").write_bytes(b"")
    assert run_script(OTHER_FILE_SYSTEM, root, prefix=_NAMESPACE) == "fine\n"


@ON_LINUX
def test_syncds_own_folder_must_lie_on_the_roots_file_system(root: Path, may_mount: None) -> None:
    assert run_script(OWN_ELSEWHERE, root, prefix=_NAMESPACE) == "fine\n"


@ON_LINUX
def test_a_full_disk_is_no_space(root: Path, may_mount: None) -> None:
    assert run_script(FULL_DISK, root, prefix=_NAMESPACE) == "fine\n"


@ON_LINUX
def test_p8_an_unmounted_root_is_gone_and_its_mount_point_stays_empty(root: Path, may_mount: None) -> None:
    assert len(run_script(UNMOUNTED, root, prefix=_NAMESPACE).splitlines()) == 3
    assert os.listdir(root) == []
