"""A large file is read once: its hash and its pieces come of one read, that nothing can have disturbed (P5)."""

import os
from pathlib import Path

import pytest
from blake3 import blake3

from syncd.chunks.chunker import SMALL_AVERAGE, chunk
from syncd.model.job import LookJob, LookUnit
from syncd.observe.cuts import Cut, Cuts
from syncd.observe.scan import Looker

DATA = bytes(range(256)) * 4096 + os.urandom(1 << 20)


@pytest.fixture
def cuts(clock):
    return Cuts(clock, least=0)


@pytest.fixture
def seen(fs, clock, cuts):
    def look():
        (unit,) = Looker(fs, clock, None, cuts).look(LookJob((LookUnit(7, (), None, ()),), began=1)).units
        return unit

    return look


def test_a_look_notes_how_a_large_file_is_cut(root: Path, seen, cuts):
    (root / "big").write_bytes(DATA)
    (what,) = seen().seen
    assert what.hash == blake3(DATA).digest()
    found = cuts.find(what.fingerprint, what.hash, SMALL_AVERAGE)
    assert found is not None
    assert list(found.pieces) == [p for p, _ in chunk(lambda at, size: DATA[at : at + size], len(DATA), SMALL_AVERAGE)]


def test_it_is_of_this_very_file_only(root: Path, seen, cuts):
    (root / "big").write_bytes(DATA)
    (what,) = seen().seen
    other = (root / "big").rename(root / "other").stat()
    (now,) = seen().seen
    assert other.st_ino == now.fingerprint.ino
    assert cuts.find(what.fingerprint, blake3(b"").digest(), SMALL_AVERAGE) is None
    assert cuts.find(what.fingerprint, what.hash, 4 * SMALL_AVERAGE) is None, "cut another way"
    cuts.forget(what.fingerprint, what.hash)
    assert cuts.find(what.fingerprint, what.hash, SMALL_AVERAGE) is None


def test_p5_a_young_file_is_not_noted(root: Path, seen, cuts, clock):
    clock.ahead = 0.0
    (root / "big").write_bytes(DATA)
    stamp = (root / "big").stat().st_ctime_ns
    clock.now = lambda: stamp / 1e9
    (what,) = seen().seen
    assert what.racy
    assert cuts.find(what.fingerprint, what.hash, SMALL_AVERAGE) is None


def test_p4_it_is_durable_before_it_is_read(root: Path, seen, cuts, faults):
    (root / "big").write_bytes(DATA)
    seen()
    calls = [call for call, name in faults.calls if name == "big"]
    assert calls.index("sync") < calls.index("read")


def test_p4_a_file_that_cannot_be_made_durable_is_not_read_and_not_asked_again(root: Path, seen, faults):
    """The kernel tells of a failed write once: asked a second time, it would say that all is well."""
    (root / "big").write_bytes(DATA)
    faults.errors[("sync", "big")] = OSError(5, "input/output error")
    unit = seen()
    assert not unit.seen
    (put_off,) = unit.unhashed
    assert put_off.busy
    assert "durable" in put_off.detail
    assert [call for call, name in faults.calls if name == "big"].count("sync") == 1


@pytest.mark.parametrize("moment", ["sync", "read"])
def test_p5_a_file_that_changes_meanwhile_is_busy(root: Path, seen, faults, moment):
    path = root / "big"
    path.write_bytes(DATA)

    def write():
        with path.open("r+b") as file:
            file.write(b"!")
        os.utime(path, ns=(1, 1))

    faults.before[(moment, "big")] = write
    unit = seen()
    assert not unit.seen
    assert [what.name for what in unit.unhashed] == ["big"]


def test_what_is_remembered_is_bounded(clock, root: Path, seen, cuts):
    (root / "big").write_bytes(DATA)
    (what,) = seen().seen
    known = cuts.find(what.fingerprint, what.hash, SMALL_AVERAGE)
    small = Cuts(clock, least=0, most=100 + 36 * 2 * len(known.pieces))
    contents = [bytes([number]) * 32 for number in range(5)]
    for content in contents:
        small.remember(what.fingerprint, Cut(content, known.pieces, 0))
    left = [content for content in contents if small.find(what.fingerprint, content, SMALL_AVERAGE)]
    assert left == contents[-2:]
