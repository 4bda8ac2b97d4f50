"""One daemon a root: the second is refused with the first one's pid, and a dead owner holds nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from syncd.adapters import lockfile
from syncd.model.errors import Refused

HOLDER = """
import sys
from syncd.adapters import lockfile
lock = lockfile.acquire(sys.argv[1])
print("locked", flush=True)
sys.stdin.read()
"""


def hold(path: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"locked\n"
    return process


def test_a_second_daemon_is_refused_with_the_first_ones_pid(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with hold(path) as first:
        with pytest.raises(Refused, match=f"pid {first.pid} "):
            lockfile.acquire(str(path))
        first.kill()
    with lockfile.acquire(str(path)):  # killed with -9: the kernel gave the lock back
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_lock_is_exclusive_within_a_process_too(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    lock = lockfile.acquire(path)
    with pytest.raises(Refused, match=f"pid {os.getpid()} "):
        lockfile.acquire(path)
    lock.release()
    lock.release()
    lockfile.acquire(path).release()


def test_a_lock_file_is_private_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lockfile.acquire(str(path)):
        assert path.stat().st_mode & 0o777 == 0o600
    assert path.exists()
    assert path.read_bytes() == b""


def test_a_lock_file_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        lockfile.acquire(str(path))
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("text", [b"", b"not a number", b"-5", b"9" * 100])
def test_nonsense_in_the_file_does_no_harm(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "lock"
    with hold(path) as first:
        path.write_bytes(text)
        with pytest.raises(Refused) as refused:
            lockfile.acquire(str(path))
        assert not re.search(r"\n", str(refused.value))
        first.communicate()
    path.write_bytes(text)
    lockfile.acquire(str(path)).release()


def test_a_child_process_does_not_inherit_the_lock(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    lock = lockfile.acquire(path)
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
        lock.release()
        lockfile.acquire(path).release()
        child.communicate()
