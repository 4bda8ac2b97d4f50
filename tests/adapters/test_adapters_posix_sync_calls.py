"""P4: what is asked to be made durable is: each file and folder by itself, or the whole file system at once."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from syncd.adapters import posix_syscalls
from syncd.adapters.posix_fs import PosixFs, tie_root


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the inodes that were made durable each by itself; 0 for a whole file system."""
    found: list[int] = []
    honest: Callable[[int], None] = posix_syscalls.sync_file

    def sync_file(fd: int) -> None:
        honest(fd)
        found.append(os.fstat(fd).st_ino)

    def sync_all(fd: int) -> bool:
        found.append(0)
        return True

    monkeypatch.setattr(posix_syscalls, "sync_file", sync_file)
    monkeypatch.setattr(posix_syscalls, "sync_all", sync_all)
    return found


@pytest.mark.parametrize("count", [1, 3, 40])
def test_p4_every_file_and_every_folder_is_made_durable(tmp_path: Path, synced: list[int], count: int) -> None:
    root = tmp_path / "root"
    root.mkdir()
    fs = PosixFs(str(root), expected=tie_root(str(root), "1" * 32))
    for number in range(count):
        (root / f"d{number}").mkdir()
        (root / f"d{number}" / "a").write_bytes(b"content")
    synced.clear()
    with ExitStack() as stack:
        folders = [stack.enter_context(fs.open_dir((f"d{number}",))) for number in range(count)]
        files = [stack.enter_context(folder.open("a")) for folder in folders]
        fs.make_durable([*files, *folders])
    wanted = {path.stat().st_ino for path in (*root.glob("d*"), *root.glob("d*/a"))}
    assert wanted <= set(synced) or 0 in synced


def test_p4_a_folder_of_our_own_is_durable_with_its_name(tmp_path: Path, synced: list[int]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    fs = PosixFs(str(root), expected=tie_root(str(root), "1" * 32))
    synced.clear()
    fs.own("staging").close()
    assert os.stat(root / ".syncd").st_ino in synced
