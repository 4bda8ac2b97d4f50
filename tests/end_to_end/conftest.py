"""Worlds of real processes: made short-pathed (sockets), ended by pid, their logs shown when a test fails."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def opened() -> Iterator[World]:
    """Give a world with a running hub; afterwards every process is ended and every folder removed."""
    base = Path(tempfile.mkdtemp(prefix="e2e-", dir="/tmp"))
    base.chmod(0o755)
    world = World(base)
    try:
        world.hub.start()
        yield world
    finally:
        world.end()
        if os.environ.get("SYNCD_KEEP") != "1":
            shutil.rmtree(base, onerror=_open_up)


@contextmanager
def closing(world: World, node: pytest.Item) -> Iterator[None]:
    """Have what is inside end with ``check_all``; show the logs when it fails."""
    world.checked = False
    try:
        yield
        assert world.checked, f"{node.name} did not end with check_all()"
    except BaseException:
        print(world.logs())
        raise


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A running hub without devices. Every test that uses it ends with ``check_all``."""
    with opened() as world:
        yield world
        failed = request.node.stash.get(FAILED, False)
        if failed:
            print(world.logs())
        assert failed or world.checked, "the test did not end with check_all()"


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
