"""Fixtures for executors: a root on a real file system and a remote in memory."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from execute_world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "root")


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system in memory, where there is one: thousands of crashes need no real disk."""
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="syncd-test-", dir=shared if shared.is_dir() else tmp_path))
    yield folder
    shutil.rmtree(folder)
