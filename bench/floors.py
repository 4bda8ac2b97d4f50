"""The least work the kernel allows for each row: what no program that keeps its word could leave out.

Each returns seconds. One thread, no network, no database. Never measures a program.
"""

import ctypes
import os
import select
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from blake3 import blake3

from bench.rig import Failed
from bench.trees import files_of

_CLOSE_WRITE: Final = 0x8
_MOVED_TO: Final = 0x80
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def took(work: Callable[[], object]) -> float:
    """Return how long *work* takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def look(root: Path) -> float:
    """Ask for the name and the stat of everything below *root*."""
    return took(lambda: _look(str(root)))


def _look(root: str) -> None:
    with os.scandir(root) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                _look(entry.path)


def hash_tree(root: Path) -> float:
    """Open, read and hash every file below *root*, with one thread."""

    def work() -> None:
        for path in files_of(str(root)):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fstat(descriptor)
                hasher = blake3()
                while data := os.read(descriptor, 1 << 18):
                    hasher.update(data)
                hasher.digest()
            finally:
                os.close(descriptor)

    return took(work)


def hash_file(path: Path) -> float:
    """Hash one file, once, with one thread."""
    return took(lambda: blake3().update_mmap(path).digest())


def copy_tree(source: Path, target: Path, each: bool = False) -> float:
    """Make *target* hold durably what *source* does: write all, one syncfs, rename all, sync the folders.

    With *each*, every file is synced by itself before it is renamed."""
    return took(lambda: _copy_tree(source, target, each))


def _copy_tree(source: Path, target: Path, each: bool) -> None:
    staging = target.with_name(target.name + ".staging")
    staging.mkdir()
    placed = []
    for number, path in enumerate(files_of(str(source))):
        staged = staging / str(number)
        _write(staged, Path(path).read_bytes(), each)
        placed.append((staged, target / os.path.relpath(path, source)))
    folders = sorted({final.parent for _, final in placed} | {target})
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    if not each:
        sync_file_system(staging)
    for staged, final in placed:
        staged.rename(final)
    for folder in folders:
        _fsync(folder)
    staging.rmdir()


def _write(path: Path, data: bytes, durable: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, data)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(path: Path) -> None:
    """Make all of the file system of *path* durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _LIBC.syncfs(descriptor):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(descriptor)


def copy_file(source: Path, target: Path, durable: bool = False) -> float:
    """Copy as cp does, which leaves it to the kernel when to write; *durable*: until it is on the disk."""

    def work() -> None:
        subprocess.run(["cp", "--reflink=never", str(source), str(target)], check=True, timeout=600)
        if durable:
            _fsync(target)

    return took(work)


def rename(source: Path, target: Path) -> float:
    """Rename a folder, and make that durable."""

    def work() -> None:
        source.rename(target)
        _fsync(target.parent)

    return took(work)


def notice(folder: Path, saves: int) -> list[float]:
    """Return how long after each save of a small file a thread that waits for inotify knows of it."""
    watch = _LIBC.inotify_init1(os.O_CLOEXEC)
    if watch < 0 or _LIBC.inotify_add_watch(watch, os.fsencode(folder), _CLOSE_WRITE | _MOVED_TO) < 0:
        raise Failed(f"inotify: {os.strerror(ctypes.get_errno())}")
    seen: list[float] = []
    heard = threading.Event()

    def hear() -> None:
        while len(seen) < saves and select.select([watch], [], [], 10)[0]:
            _events(os.read(watch, 1 << 16))
            seen.append(time.perf_counter())
            heard.set()

    thread = threading.Thread(target=hear, daemon=True)
    thread.start()
    times = []
    for number in range(saves):
        heard.clear()
        path = folder / f"saved {number}"
        file = path.open("wb")
        file.write(b"x" * 1000)
        began = time.perf_counter()
        file.close()
        if not heard.wait(10):
            raise Failed("inotify is silent")
        times.append(seen[-1] - began)
    thread.join(10)
    os.close(watch)
    return times


def _events(data: bytes) -> int:
    """Return how many events *data* holds."""
    at = found = 0
    while at < len(data):
        at += 16 + int(struct.unpack_from("iIII", data, at)[3])
        found += 1
    return found


def write_and_sync(folder: Path, pieces: list[bytes]) -> float:
    """Write every piece to one file, and make that durable at the end."""

    def work() -> None:
        path = folder / "pieces"
        with path.open("wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())

    return took(work)
