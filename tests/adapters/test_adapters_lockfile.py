"""One daemon a root: the second is refused with the first one's pid, and a dead owner holds nothing."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from syncd.adapters import lockfile
from syncd.model.errors import Refused

HOLDER = """
import sys
import threading
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
    path = tmp_path / "lock"
    lock = lockfile.acquire(str(path))
    command = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"  # before, the kernel may not have closed what exec closes
        lock.release()
        with lockfile.acquire(str(path)):  # Refused, if the child held it too
            assert child.poll() is None
            assert path.read_text() == f"{os.getpid()}\n"
        child.communicate()


def test_a_lock_held_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("12345\n")  # of an owner that was killed
    brief = lockfile.acquire_briefly(str(path))
    assert path.read_bytes() == b""
    timer = threading.Timer(0.1, brief.release)
    timer.start()
    with lockfile.acquire(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"
    timer.join()


def test_a_moments_work_is_refused_while_a_daemon_has_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lockfile.acquire(str(path)), pytest.raises(Refused, match=f"pid {os.getpid()} "):
        lockfile.acquire_briefly(str(path))
