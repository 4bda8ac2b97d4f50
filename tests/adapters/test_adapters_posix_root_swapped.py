"""P8: a folder with the root's own marker and another inode (a copy, a snapshot mounted over it) is another folder,
until it was proven anew."""

import shutil
from pathlib import Path

import pytest

from syncd.adapters.posix_fs import PosixFs, tie_root
from syncd.model.errors import RootGone


def test_p8_a_copy_of_the_root_in_its_place_is_not_worked_in_until_it_is_proven(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_bytes(b"content")
    fs = PosixFs(str(root), expected=tie_root(str(root), "1" * 32))
    before = fs.prove()
    root.rename(tmp_path / "away")
    shutil.copytree(tmp_path / "away", root)
    (root / "a").unlink()
    for work in (lambda: fs.open_dir(()), lambda: fs.own("trash"), fs.free_bytes):
        with pytest.raises(RootGone):
            work()
    after = fs.prove()
    assert (after.root_id, after.ino != before.ino) == (before.root_id, True)
    fs.open_dir(()).close()
