"""One tied, empty root for each implementation of LocalFs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.ports import Dir, LocalFs
from tests.contract.local_worlds import WORLDS, LocalWorld, MakeWorld, Person
from tests.contract.sim_worlds import SIM_WORLDS

ALL_WORLDS = {**WORLDS, **SIM_WORLDS}


@pytest.fixture(params=ALL_WORLDS.values(), ids=ALL_WORLDS.keys())
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalWorld]:
    make: MakeWorld = request.param
    with make(tmp_path) as made:
        yield made


@pytest.fixture
def fs(world: LocalWorld) -> LocalFs:
    return world.fs


@pytest.fixture
def person(world: LocalWorld) -> Person:
    return world.person


@pytest.fixture
def root(fs: LocalFs) -> Iterator[Dir]:
    with fs.open_dir(()) as directory:
        yield directory
