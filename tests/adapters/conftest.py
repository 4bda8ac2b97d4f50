"""An empty root, tied on request, and watched by inotify on request."""

import os
import sys
from pathlib import Path

import pytest

from syncd.adapters.posix_fs import PosixFs, tie_root
from syncd.adapters.watch import make_watcher
from tests.adapters.inotify_world import Inbox

if sys.platform == "linux":
    from syncd.adapters.watch_inotify import InotifyWatcher


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def fs(root: Path) -> PosixFs:
    return PosixFs(str(root), expected=tie_root(str(root), "ab" * 16))


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture
def start(root, inbox):
    watchers = []

    def one(skip=lambda path: False):
        watcher = make_watcher(os.fspath(root), inbox.post, skip)
        assert isinstance(watcher, InotifyWatcher)
        watchers.append(watcher)
        watcher.start()
        return watcher

    yield one
    for watcher in watchers:
        watcher.close()


@pytest.fixture
def settled(root, inbox):
    """Make a mark and wait for it: everything before it has been posted then."""
    marks = iter(range(1000))

    def one():
        name = f"mark {next(marks)}"
        (root / name).touch()
        assert inbox.hears(((), name))
        inbox.hinted = [hint for hint in inbox.hinted if not hint[1].startswith("mark ")]
        return inbox.hinted

    return one
