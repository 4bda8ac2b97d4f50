"""A large file is read once: its hash and its pieces come of one read, that nothing can have disturbed (P5)."""

import hashlib
import os
from pathlib import Path
from threading import Lock, Thread

import pytest
from blake3 import blake3

from syncd.chunks.chunker import SMALL_AVERAGE, chunk
from syncd.model.job import LookJob, LookUnit
from syncd.observe.cuts import Cuts
from syncd.observe.scan import Looker

DATA = bytes(range(256)) * 4096 + hashlib.shake_128(b"cuts").digest(1 << 20)


@pytest.fixture
def cuts(clock):
    return Cuts(clock, Lock, least=0)


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
    assert cuts.find(what.fingerprint, what.hash, SMALL_AVERAGE) is not None


def test_p5_a_young_file_is_not_noted(root: Path, seen, cuts, clock):
    clock.ahead = 0.0
    (root / "big").write_bytes(DATA)
    stamp = (root / "big").stat().st_ctime_ns
    clock.now = lambda: stamp / 1e9
    (what,) = seen().seen
    assert what.racy
    assert cuts.find(what.fingerprint, what.hash, SMALL_AVERAGE) is None


def test_it_is_read_when_it_is_old_enough_and_only_once(root: Path, fs, clock):
    """Saved a moment ago: waiting for the clock of the file system costs less than another read."""
    paused = []
    (root / "big").write_bytes(DATA)
    stamp = (root / "big").stat().st_ctime_ns
    clock.now = lambda: stamp / 1e9 + 0.001 + sum(paused)
    cuts = Cuts(clock, Lock, paused.append, least=0)
    (unit,) = Looker(fs, clock, None, cuts).look(LookJob((LookUnit(7, (), None, ()),), began=1)).units
    (what,) = unit.seen
    assert not what.racy
    assert cuts.find(what.fingerprint, what.hash, SMALL_AVERAGE) is not None
    assert len(paused) == 1
    assert 0.008 < paused[0] < 0.02


def test_nothing_waits_for_a_stamp_of_the_future(root: Path, fs, clock):
    paused = []
    (root / "big").write_bytes(DATA)
    stamp = (root / "big").stat().st_ctime_ns
    clock.now = lambda: stamp / 1e9 - 1.0
    cuts = Cuts(clock, Lock, paused.append, least=0)
    (unit,) = Looker(fs, clock, None, cuts).look(LookJob((LookUnit(7, (), None, ()),), began=1)).units
    assert unit.seen[0].racy
    assert paused == []


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


def test_two_looks_take_one_read_and_a_deep_one_reads(root: Path, fs, seen, faults, clock, cuts):
    (root / "big").write_bytes(DATA)
    (first,) = seen().seen
    reads = len(faults.calls)
    (second,) = seen().seen
    assert first == second
    assert ("read", "big") not in faults.calls[reads:]
    (unit,) = Looker(fs, clock, None, cuts).look(LookJob((LookUnit(7, (), None, ()),), began=1, deep=True)).units
    assert unit.seen[0].hash == first.hash
    assert ("read", "big") in faults.calls[reads:]


def test_p3_a_look_waits_for_the_read_of_another(root: Path, fs, seen, faults):
    (root / "big").write_bytes(DATA)
    units = []
    other = Thread(target=lambda: units.append(seen()))

    def second():
        other.start()
        other.join(0.1)

    faults.before[("read", "big")] = second
    units.append(seen())
    other.join(10)
    assert [call for call in faults.calls if call == ("read", "big")] == [("read", "big")] * 3, "1 MiB each"
    assert units[0].seen == units[1].seen != ()


def test_what_is_remembered_is_bounded(clock, root: Path, fs):
    pieces = len(list(chunk(lambda at, size: DATA[at : at + size], len(DATA), SMALL_AVERAGE)))
    small = Cuts(clock, least=0, most=36 * pieces * 5 // 2)
    found = []
    for number in range(5):
        (root / f"{number}").write_bytes(bytes([number]) + DATA)
        with fs.open_dir(()) as directory, directory.open(f"{number}") as file:
            found.append((file.stat().fingerprint, small.read(file, file.stat(), 0).hash))
    known = [small.find(fingerprint, content, SMALL_AVERAGE) for fingerprint, content in found]
    assert [cut is not None for cut in known] == [False, False, False, True, True]
