"""Trees and files from seeds, what people do to them, and how two trees are compared. Never starts a process."""

import hashlib
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MIB: Final = 1 << 20


def tree(root: Path) -> dict[str, str]:
    """Return a digest for every name below *root* but what a program keeps for itself there."""
    found = {}
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name not in (".syncd", ".stfolder", ".stversions")]
        for name in names:
            found[os.path.relpath(os.path.join(folder, name), root)] = "folder"
        for name in files:
            with open(os.path.join(folder, name), "rb") as file:
                found[os.path.relpath(file.name, root)] = hashlib.file_digest(file, "blake2b").hexdigest()
    return found


def mixed_files(root: Path, files: int, total: int, seed: int = 1) -> None:
    """Write *files* of mixed sizes, *total* bytes in all; most are small, few are large, some are empty."""
    rnd = random.Random(seed)
    weights = [0.0 if rnd.random() < 0.02 else rnd.paretovariate(1.1) for _ in range(files)]
    scale = total / sum(weights)
    for number, weight in enumerate(weights):
        folder = root / f"folder {number % 40:02}" / f"part {number % 7}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file {number:04}.bin").write_bytes(rnd.randbytes(int(weight * scale)))


def small_files(root: Path, files: int, size: int, each: int = 100, seed: int = 2) -> None:
    """Write *files* of *size* random bytes, *each* in a folder."""
    rnd = random.Random(seed)
    for number in range(files):
        folder = root / f"folder {number // each:04}"
        if number % each == 0:
            folder.mkdir(parents=True, exist_ok=True)
        with open(folder / f"file {number:06}.txt", "wb") as file:
            file.write(rnd.randbytes(size))


def large(path: Path, size: int, seed: int = 0) -> None:
    """Write one file of *size* random bytes."""
    with path.open("wb") as file:
        for number in range(-(-size // MIB)):
            file.write(random.Random(seed * 1_000_000 + number).randbytes(min(MIB, size - number * MIB)))


def insert_byte(path: Path, at: int, through: Path | None = None) -> None:
    """Do what an editor does: write the whole file anew, and rename it into place; *through* is the name in between."""
    new = through or path.with_name(".insert.tmp")
    inserted(path, new, at)
    new.rename(path)


def inserted(path: Path, new: Path, at: int) -> None:
    """Write to *new* what is in *path*, with one byte more at *at*."""
    with path.open("rb") as old, new.open("wb") as file:
        left = at
        while left:
            left -= file.write(old.read(min(left, MIB)))
        file.write(b"x")
        shutil.copyfileobj(old, file, MIB)


def overwrite(path: Path, at: int, data: bytes) -> None:
    """Write *data* into the file as it stands."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def read_at(path: Path, at: int, size: int) -> bytes:
    """Return *size* bytes at *at*; fewer, or none, where the file is not so long or not there."""
    try:
        with path.open("rb") as file:
            file.seek(at)
            return file.read(size)
    except FileNotFoundError:
        return b""


def size_of(path: Path) -> int:
    """Return how long the file is; -1 where it is not there, or not at this moment."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def count(root: Path) -> int:
    """Return how many files are below *root* under names that are not hidden (which is where unfinished ones are)."""
    return sum(1 for _ in files_of(str(root)))


def files_of(root: str) -> Iterator[str]:
    """Yield the paths of files below *root*, without asking for more than their names."""
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from files_of(entry.path)
                else:
                    yield entry.path
    except FileNotFoundError:  # a folder that moves while it is looked at
        return
