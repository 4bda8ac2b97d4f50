"""A database in a folder of its own, and a clock that stands still."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from syncd.db.connection import Database


@dataclass
class StillClock:
    """Time that moves only when told."""

    at: float = 1_700_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "root.db")


@pytest.fixture
def db(path: str, clock: StillClock) -> Iterator[Database]:
    database = Database.open(path, clock=clock)
    yield database
    database.close()
