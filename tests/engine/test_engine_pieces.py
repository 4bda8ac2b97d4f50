"""Large files that share pieces with what is here already: almost nothing moves, and stale hints do no harm."""

import shutil
from pathlib import Path

import pytest

from syncd.engine import pieces
from tests.engine.world import World

LARGE = b"".join(
    n.to_bytes(4, "big") * 3 + bytes([n * n % 251]) for n in range(300_000)
)  # about 4 MB, no two parts alike


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, "a", "b")
    a, _ = world.devices
    a.write("large", LARGE)
    world.settle()
    return world


@pytest.mark.parametrize("how", ["copied", "copied and edited", "copied, the first one moved away"])
def test_a_copy_is_put_together_from_local_files(world: World, how: str) -> None:
    a, b = world.devices
    sent, fetched = a.wire.sent, b.wire.fetched
    assert sent >= len(LARGE)
    assert fetched >= len(LARGE)
    shutil.copyfile(a.path("large"), a.path("copy"))
    if how == "copied and edited":
        a.write("copy", LARGE[:2_000_000] + b"!" + LARGE[2_000_000:])
    elif how == "copied, the first one moved away":
        a.path("large").rename(a.path("moved"))
    world.settle()
    assert b.path("copy").read_bytes() == a.path("copy").read_bytes()
    assert a.wire.sent - sent < 600_000
    assert b.wire.fetched - fetched < 600_000


@pytest.mark.parametrize("how", ["rewritten unseen", "deleted"])
def test_p5_a_hint_that_no_longer_holds_costs_a_transfer_and_nothing_else(world: World, how: str) -> None:
    a, b = world.devices
    shutil.copyfile(a.path("large"), a.path("copy"))
    a.wait()
    if how == "deleted":
        b.remove("large")
    else:
        b.write("large", bytes(len(LARGE)))
    fetched = b.wire.fetched
    world.settle_all()
    assert b.path("copy").read_bytes() == LARGE
    assert b.wire.fetched > fetched


def test_p11_many_pieces_are_noted_over_many_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECES_A_STEP", 5)
    world = World(tmp_path, "a", "b")
    a, b = world.devices
    a.write("large", LARGE)
    world.settle()
    assert a.db.chunks.count() == b.db.chunks.count() > 20
    a.write("large", b"small now")
    world.settle()
    assert a.db.chunks.count() == b.db.chunks.count() == 0
    a.write("large", LARGE)
    world.settle()
    a.remove("large")
    world.settle()
    assert a.db.chunks.count() == b.db.chunks.count() == 0
