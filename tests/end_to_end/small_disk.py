"""A disk that can be filled: a tmpfs in a mount namespace of its own, which needs no rights on most Linux systems."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.harness import Device, World

UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")


@contextmanager
def on_a_small_disk(world: World, name: str, size: int) -> Iterator[Device]:
    """Give a device that is not tied yet, whose root is a disk of *size* bytes; its state lies elsewhere."""
    device = world.bare(name)
    mount = f"mount -t tmpfs -o size={size} small {shlex.quote(str(device.root))}"
    if sys.platform != "linux" or not _permitted(mount):
        pytest.skip("no mount namespace may be made here")
    holder = subprocess.Popen(
        [*UNSHARE, f"{mount} && echo ready && exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        pid = str(holder.pid)
        device.within = ("nsenter", "--user", "--mount", "--preserve-credentials", "--target", pid)
        device.root = Path(f"/proc/{pid}/root{device.address}")
        yield device
    finally:
        device.end()
        assert holder.stdin is not None
        holder.stdin.close()
        holder.wait()
        device.root = device.address


def _permitted(mount: str) -> bool:
    try:
        return subprocess.run([*UNSHARE, mount], capture_output=True, check=False, timeout=10).returncode == 0
    except OSError:
        return False


def possible() -> bool:
    """Return whether disks that can be filled may be made here."""
    return sys.platform == "linux" and _permitted("true")


def fill(path: Path) -> None:
    """Write to *path* until nothing more is accepted."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for block in (bytes(1 << 16), b"\0"):
            while True:
                os.write(descriptor, block)
                if os.fstat(descriptor).st_size > 1 << 30:
                    raise AssertionError("this disk does not get full")
    except OSError:
        pass
    finally:
        os.close(descriptor)
