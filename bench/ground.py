"""Where measurements take place: a fresh file system for each, a network of their own, cold caches.

Owns what it mounts and makes, and takes it away again. Where the kernel does not permit something it does without,
and ``Ground.conditions`` says so: a figure must tell under which conditions it came about.
"""

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from bench.wire import Relay, Tap, Wire

ALONE: Final = "SYNCD_BENCH_ALONE"
"""Set in the environment of a run that has namespaces of its own."""

IMAGE_BYTES: Final = 32 << 30
BYTES_A_NODE: Final = 4096
DROP: Final = Path("/proc/sys/vm/drop_caches")


def enter_own_namespaces(module: str, arguments: list[str]) -> None:
    """Begin *module* again with mounts and a network of its own, where that is permitted; return where it is not.

    All that is mounted or listens there is gone when the run ends, however it ends."""
    unshare = ["unshare", "--mount", "--net", "--propagation", "private"]
    if os.environ.get(ALONE) or os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("ip") is None:
        return
    if subprocess.run([*unshare, "ip", "link", "set", "lo", "up"], check=False, capture_output=True).returncode:
        return
    environment = {**os.environ, ALONE: "1"}
    os.execvpe("unshare", [*unshare, sys.executable, "-m", module, *arguments], environment)


class Ground:
    """The conditions of one run. *plain*: a folder and a relay, whatever else were possible."""

    def __init__(self, scratch: Path | None = None, plain: bool = False) -> None:
        if scratch is not None:
            scratch.mkdir(parents=True, exist_ok=True)
        self._scratch = scratch
        self._alone = not plain and os.environ.get(ALONE) == "1"
        if self._alone:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self._images = self._alone and self._mountable()
        self._taps = self._alone and _possible(lambda: Tap().close())
        self._cold = not plain and os.access(DROP, os.W_OK)

    @property
    def cold(self) -> bool:
        """Whether caches can be emptied."""
        return self._cold

    def drop_caches(self) -> None:
        """Write out what is dirty and forget what was read, so that the next look comes from the disk."""
        os.sync()
        DROP.write_text("3")

    def wire(self) -> Wire:
        """Return a new counter of what travels."""
        return Tap() if self._taps else Relay()

    @contextlib.contextmanager
    def place(self) -> Iterator[Path]:
        """Give an empty folder, on a file system made for it where that is possible; it is gone afterwards.

        ext4 stays slow for minutes after many files were removed: no measurement may inherit that."""
        with tempfile.TemporaryDirectory(prefix="sb-", dir=self._scratch, ignore_cleanup_errors=True) as folder:
            base = Path(folder)
            if not self._images:
                yield base
                return
            image, mounted = base / "image", base / "m"
            _make_image(image)
            mounted.mkdir()
            _mount(image, mounted)
            try:
                inside = mounted / "w"
                inside.mkdir()
                yield inside
            finally:
                _unmount(mounted)

    def conditions(self) -> dict[str, str]:
        """Say where and how all of this was measured."""
        wire = "headers of all packets, in a network namespace of its own" if self._taps else "payload, through a relay"
        return {
            "machine": f"{os.cpu_count()} cores, {_memory() >> 30} GiB, {_processor()}",
            "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
            "load before": f"{os.getloadavg()[0]:.2f}",
            "files": "a fresh ext4 image for each measurement, as a disk"
            if self._images
            else f"a folder on {self._kind()}",
            "wire": f"counted from the {wire}",
            "cold": "caches emptied by drop_caches" if self._cold else "not measured: caches may not be emptied here",
        }

    def _kind(self) -> str:
        told = subprocess.run(["stat", "-f", "-c", "%T", str(self._scratch or tempfile.gettempdir())],
                              check=False, capture_output=True, text=True)  # fmt: skip
        return told.stdout.strip() or "an unknown file system"

    def _mountable(self) -> bool:
        if shutil.which("mkfs.ext4") is None:
            return False

        def attempt() -> None:
            with tempfile.TemporaryDirectory(prefix="sb-", dir=self._scratch) as folder:
                image, mounted = Path(folder) / "image", Path(folder) / "m"
                _make_image(image, 64 << 20)
                mounted.mkdir()
                _mount(image, mounted)
                _unmount(mounted)

        return _possible(attempt)


def _possible(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _make_image(image: Path, size: int = IMAGE_BYTES) -> None:
    """Make a sparse image whose tables are written now, not by the kernel while something is measured."""
    with image.open("wb") as file:
        file.truncate(size)
    now = "lazy_itable_init=0,lazy_journal_init=0"
    _quietly("mkfs.ext4", "-q", "-F", "-m", "0", "-i", str(BYTES_A_NODE), "-E", now, str(image))


def _mount(image: Path, at: Path) -> None:
    """Mount an image as a disk would be: without a cache of its own below that of its file system, where possible."""
    losetup = ["losetup", "--find", "--show", "--direct-io=on", str(image)]
    try:
        device = subprocess.run(losetup, check=True, capture_output=True, text=True, timeout=300).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        _quietly("mount", "-o", "loop,noatime", str(image), str(at))
        return
    try:
        _quietly("mount", "-o", "noatime", device, str(at))
    finally:
        _quietly("losetup", "--detach", device)  # mounted by now: it goes when that does


def _unmount(at: Path) -> None:
    """Unmount; what a process still holds is let go of when that ends."""
    try:
        _quietly("umount", str(at))
    except subprocess.CalledProcessError:
        _quietly("umount", "--lazy", str(at))


def _quietly(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=300)


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
