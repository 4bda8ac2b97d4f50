"""Worlds for engine tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.world import World


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(*names: str, **more: object) -> World:
        worlds.append(World(tmp_path / f"world{len(worlds)}", *names, **more))  # type: ignore[arg-type]
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()
