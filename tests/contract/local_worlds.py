"""The roots on which the suite of LocalFs runs, and the person at work in each without syncd.

Nothing in the suite knows how either is made: another implementation joins by one entry in ``WORLDS``.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from syncd.adapters import posix_syscalls
from syncd.adapters.posix_fs import PosixFs, tie_root
from syncd.ports import Dir, LocalFs, Stat
from tests.readers import eager_readers

MTIME = 1_700_000_000_123_456_789


class Person(Protocol):
    """Somebody at work in the root. Paths are relative, separated by slashes; ``""`` is the root."""

    def write(self, path: str, data: bytes) -> None: ...
    def read(self, path: str) -> bytes: ...
    def mkdir(self, path: str) -> None: ...
    def symlink(self, path: str, target: str) -> None: ...
    def hard_link(self, path: str, new_path: str) -> None: ...
    def fifo(self, path: str) -> None: ...
    def rename(self, path: str, new_path: str) -> None: ...
    def chmod(self, path: str, mode: int) -> None: ...
    def names(self, path: str) -> list[str]: ...
    def outside(self) -> str:
        """Return the absolute path of a directory outside the root that holds a file ``secret``."""
        ...

    def outside_is_untouched(self) -> bool:
        """Return whether that directory still holds exactly the file ``secret``."""
        ...

    def writing(self, path: str) -> AbstractContextManager[object]:
        """Another process holds the file open for writing."""
        ...

    def replace_root(self) -> None:
        """Put an empty directory in the root's place, as an unmount does."""
        ...

    def lose_marker(self) -> None:
        """Remove the root's marker."""
        ...

    def delete(self, path: str) -> None:
        """Remove anything but a directory."""
        ...

    def bits_count(self) -> bool:
        """Return whether permission bits stop this user at all; they rarely stop root."""
        ...

    def elsewhere(self) -> AbstractContextManager[LocalFs]:
        """A root on another file system; skips the test where there is none to be had."""
        ...


@dataclass(frozen=True)
class LocalWorld:
    """A tied, empty root and whoever works in it."""

    fs: LocalFs
    person: Person


# Makes a world, in the given empty folder if it needs one; leaving the context takes it down.
MakeWorld = Callable[[Path], AbstractContextManager[LocalWorld]]


class PosixPerson:
    """A person with a shell, beside whom syncd runs."""

    def __init__(self, root: Path, outside: Path) -> None:
        self._root = root
        self._outside = outside

    def write(self, path: str, data: bytes) -> None:
        (self._root / path).write_bytes(data)

    def read(self, path: str) -> bytes:
        return (self._root / path).read_bytes()

    def mkdir(self, path: str) -> None:
        (self._root / path).mkdir()

    def symlink(self, path: str, target: str) -> None:
        (self._root / path).symlink_to(target)

    def hard_link(self, path: str, new_path: str) -> None:
        (self._root / new_path).hardlink_to(self._root / path)

    def fifo(self, path: str) -> None:
        os.mkfifo(self._root / path)

    def rename(self, path: str, new_path: str) -> None:
        (self._root / path).rename(self._root / new_path)

    def chmod(self, path: str, mode: int) -> None:
        (self._root / path).chmod(mode)

    def names(self, path: str) -> list[str]:
        return sorted(os.listdir(self._root / path))

    def outside(self) -> str:
        return str(self._outside)

    def outside_is_untouched(self) -> bool:
        return {file.name: file.read_bytes() for file in self._outside.iterdir()} == {"secret": b"secret"}

    @contextmanager
    def writing(self, path: str) -> Iterator[None]:
        script = "import sys; f = open(sys.argv[1], 'ab'); print('open', flush=True); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-c", script, str(self._root / path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"open\n"
            yield
            process.communicate()

    def replace_root(self) -> None:
        self._root.rename(self._root.with_name("moved away"))
        self._root.mkdir()

    def lose_marker(self) -> None:
        (self._root / ".syncd" / "root.json").unlink()

    def delete(self, path: str) -> None:
        (self._root / path).unlink()

    def bits_count(self) -> bool:
        return bits_count(self._outside.parent)

    @contextmanager
    def elsewhere(self) -> Iterator[LocalFs]:
        memory = "/dev/shm"
        if not os.path.isdir(memory) or os.stat(memory).st_dev == self._root.stat().st_dev:
            pytest.skip("no second file system here")
        with tempfile.TemporaryDirectory(dir=memory) as folder:
            yield PosixFs(folder, expected=tie_root(folder, "cd" * 16))


def bits_count(folder: Path) -> bool:
    """Return whether permission bits stop this user in *folder*."""
    closed = folder / "closed"
    closed.touch(mode=0)
    try:
        return not os.access(closed, os.R_OK, effective_ids=True)
    finally:
        closed.unlink()


@contextmanager
def posix(folder: Path) -> Iterator[LocalWorld]:
    """The real thing."""
    root, outside = folder / "root", folder / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    with eager_readers() as readers:
        fs = PosixFs(str(root), expected=tie_root(str(root), "ab" * 16), readers=readers)
        yield LocalWorld(fs, PosixPerson(root, outside))


@contextmanager
def posix_without_rename_flags(folder: Path) -> Iterator[LocalWorld]:
    """The same promises where neither kernel nor file system knows renames with flags: other ways, same outcome."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posix_syscalls, "_RENAME", None)  # as where libc does not have the call
        with posix(folder) as world:
            yield world


WORLDS: dict[str, MakeWorld] = {
    "posix": posix,
    "posix without rename flags": posix_without_rename_flags,
}


def found(directory: Dir, name: str) -> Stat:
    stat = directory.stat(name)
    assert stat is not None, f"{name} is missing"
    return stat


def content(directory: Dir, name: str) -> bytes:
    with directory.open(name) as file:
        return file.read(0, file.stat().fingerprint.size + 1)


def put(directory: Dir, name: str, data: bytes, mode: int = 0o666) -> Stat:
    with directory.create(name) as file:
        file.write(data)
        return file.finish(MTIME, mode)
