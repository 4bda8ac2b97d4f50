"""The watchdog-based watcher (macOS), run here on whatever observer this platform has."""

import os
import queue

import pytest

from syncd.adapters.posix_fs import PosixFs
from syncd.adapters.watch_macos import ObserverWatcher
from syncd.model.observation import Hints
from syncd.observe.canary import prove_watcher

LONG = 20.0


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root" / "build").mkdir(parents=True)
    # Where watchdog watches folder by folder, what happens in a new one before it is watched is not reported.
    (tmp_path / "root" / ".syncd" / "canary").mkdir(parents=True)
    return tmp_path / "root"


@pytest.fixture
def messages():
    return queue.Queue()


@pytest.fixture
def watcher(root, messages):
    watcher = ObserverWatcher(os.fspath(root), messages.put, lambda path: path[-1] == "build")
    watcher.start()
    yield watcher
    watcher.close()
    watcher.close()


def hinted_until(messages, wanted):
    """Return every name hinted until *wanted* is."""
    seen = set()
    while wanted not in seen:
        message = messages.get(timeout=LONG)
        assert isinstance(message, Hints)
        seen |= set(message.names)
    return seen


def test_changes_are_hinted_with_paths_below_the_root(root, watcher, messages):
    (root / "sub").mkdir()
    assert ((), "sub") in hinted_until(messages, ((), "sub"))
    (root / "sub" / "a").write_bytes(b"x")
    assert (("sub",), "a") in hinted_until(messages, (("sub",), "a"))
    (root / "sub" / "a").rename(root / "b")
    assert ((), "b") in hinted_until(messages, ((), "b"))


def test_our_own_folder_and_ignored_ones_are_silent(root, watcher, messages):
    (root / ".syncd" / "trash").mkdir(parents=True)
    (root / "build" / "x").touch()
    (root / "mark").touch()
    seen = hinted_until(messages, ((), "mark"))
    assert not [name for directory, name in seen if name.startswith(".syncd") or directory]


def test_the_canary_proves_the_watcher(root, watcher):
    fs = PosixFs(os.fspath(root))
    assert prove_watcher(fs, watcher, LONG)
    assert not watcher.alive(lambda name: None, 0.05)
