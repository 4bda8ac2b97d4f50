"""What an unchanged look costs, compared with a bare scandir + stat of the same files.

Run: python bench/look.py [FILES] [FILES_A_DIRECTORY]
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

from syncd.adapters.posix_fs import PosixFs
from syncd.adapters.system import SystemClock
from syncd.model.job import KnownEntry, LookJob, LookUnit
from syncd.observe.scan import Looker


def build(root: str, files: int, each: int) -> list[tuple[str, ...]]:
    """Fill *root*; returns the directories."""
    directories: list[tuple[str, ...]] = []
    for start in range(0, files, each):
        path = (f"folder {start // each:05}",)
        os.mkdir(os.path.join(root, *path))
        for number in range(start, min(start + each, files)):
            with open(os.path.join(root, *path, f"file {number:07}.txt"), "w") as file:
                file.write(str(number))
        directories.append(path)
    return directories


def bare(root: str, directories: list[tuple[str, ...]]) -> int:
    """The least any scanner does."""
    count = 0
    for path in directories:
        with os.scandir(os.path.join(root, *path)) as entries:
            for entry in entries:
                entry.stat(follow_symlinks=False)
                count += 1
    return count


def best(times: int, work: Callable[[], object]) -> float:
    """Return the median of *times* runs, in seconds."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def known_of(fs: PosixFs, path: tuple[str, ...]) -> tuple[KnownEntry, ...]:
    """Return what a database would know after a scan that is no longer racy."""
    with fs.open_dir(path) as directory:
        stats = [(e.name, e.stat) for e in directory.entries()]
    return tuple(
        KnownEntry(name, s.kind, s.fingerprint, racy=False, hashed=True)
        for name, s in stats
        if s and s.kind is not None
    )


def main() -> None:
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    each = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    with tempfile.TemporaryDirectory(prefix="syncd-bench-") as root:
        directories = build(root, files, each)
        fs = PosixFs(root)
        looker = Looker(fs, SystemClock())
        jobs = [
            LookJob((LookUnit(2 + number, path, None, known_of(fs, path)),), began=1)
            for number, path in enumerate(directories)
        ]
        opened = fs.opened
        for job in jobs:
            (unit,) = looker.look(job).units
            assert (unit.seen, unit.unhashed, unit.unseen, unit.gone) == ((), (), (), ()), unit
        floor = best(5, lambda: bare(root, directories))
        listed = best(5, lambda: [known_list(fs, path) for path in directories])
        looked = best(5, lambda: [looker.look(job) for job in jobs])
        print(f"{files} files, {each} a directory, content opened: {fs.opened - opened}")
        print(f"bare scandir+stat  {floor * 1e6 / files:6.2f} µs a file")
        print(f"Dir.entries()      {listed * 1e6 / files:6.2f} µs a file  {listed / floor:4.2f} x")
        print(f"unchanged look     {looked * 1e6 / files:6.2f} µs a file  {looked / floor:4.2f} x")


def known_list(fs: PosixFs, path: tuple[str, ...]) -> int:
    with fs.open_dir(path) as directory:
        return len(directory.entries())


if __name__ == "__main__":
    main()
