"""Worlds of real processes: made short-pathed (sockets), ended by pid, their logs shown when a test fails."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.harness import Device, World

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A running hub without devices. Every test that uses it ends with ``check_all``."""
    base = Path(tempfile.mkdtemp(prefix="e2e-", dir="/tmp"))
    base.chmod(0o755)
    world = World(base)
    failed = True
    try:
        world.hub.start()
        yield world
        failed = request.node.stash.get(FAILED, False)
        assert failed or world.checked, "the test did not end with check_all()"
    finally:
        world.end()
        if failed:
            print(world.logs())
        if os.environ.get("SYNCD_KEEP") != "1":
            shutil.rmtree(base, onerror=_open_up)


@pytest.fixture
def pair(world: World) -> tuple[World, Device, Device]:
    """A world with two devices, running."""
    return world, world.device("a"), world.device("b")


def seeds(count: int) -> list[int]:
    """Return *count* seeds; SYNCD_SEED replays one."""
    given = os.environ.get("SYNCD_SEED")
    return [int(given)] if given else list(range(1, count + 1))


def _open_up(function: object, path: str, _error: object) -> None:
    os.chmod(os.path.dirname(path), 0o700)
    os.chmod(path, 0o700)
    shutil.rmtree(path, ignore_errors=True)
