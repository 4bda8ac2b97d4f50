"""What every BlobStore promises: one suite, run on the folder of a real hub and on the simulated one.

That a written container survives a power loss cannot be asked of the real one here; what the simulated one loses is
in tests/sim.
"""

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from blake3 import blake3

from syncd.hub.folder_blobs import FolderBlobs
from syncd.hub.store import BlobStore, Location
from syncd.model.errors import Corrupt, Outdated
from tests.sim.blobs import SimBlobs

START = 1_800_000_000.0
Damage = Callable[[bytes], bytes | None]


class Luck:
    def __init__(self) -> None:
        self._random = random.Random(1)

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def between(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)


class Clock:
    def now(self) -> float:
        return START

    def monotonic(self) -> float:
        return START


@dataclass(frozen=True)
class BlobWorld:
    """A store, and the medium under it."""

    blobs: BlobStore
    damage: Callable[[str, Damage], None]
    containers: Callable[[], Sequence[str]]


def folder_world(folder: Path) -> BlobWorld:
    blobs = FolderBlobs(folder / "hub" / "chunks", Luck())

    def damage(container: str, change: Damage) -> None:
        path = blobs.path_of(container)
        data = change(path.read_bytes())
        if data is None:
            path.unlink()
        else:
            path.write_bytes(data)

    class Dated(FolderBlobs):
        """Writes at a time of the test's own."""

        def write(self, pairs: Sequence[tuple[bytes, bytes]]) -> Sequence[Location]:
            locations = super().write(pairs)
            for location in locations:
                os.utime(self.path_of(location.container), (START, START))
            return locations

    store = Dated(folder / "hub" / "chunks", Luck())
    return BlobWorld(store, damage, lambda: sorted(path.name for path in store.folder.rglob("*") if path.is_file()))


def simulated_world(folder: Path) -> BlobWorld:
    blobs = SimBlobs(Luck(), Clock())
    return BlobWorld(blobs, blobs.damage, lambda: list(blobs.containers()))


@pytest.fixture(params=[folder_world, simulated_world], ids=["folder", "simulated"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> BlobWorld:
    make: Callable[[Path], BlobWorld] = request.param
    return make(tmp_path)


def h(data: bytes) -> bytes:
    return blake3(data).digest()


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def store(there: BlobWorld, *parts: bytes) -> Sequence[Location]:
    return there.blobs.write([(h(part), part) for part in parts])


def read(there: BlobWorld, data: bytes, location: Location) -> bytes:
    return there.blobs.read(h(data), len(data), location)


def test_what_was_written_comes_back(there: BlobWorld) -> None:
    parts = [b"a", b"z" * 100_000, noise(700_000), noise(3), noise(512 << 10)]
    locations = store(there, *parts)
    assert len(locations) == len(parts)
    for part, location in zip(parts, locations, strict=True):
        assert read(there, part, location) == part
    assert list(there.blobs.write([])) == []


def test_what_is_written_together_shares_a_container(there: BlobWorld) -> None:
    locations = store(there, *(noise(1000, seed) for seed in range(50)), *(noise(600_000, seed) for seed in (1, 2)))
    assert list(there.containers()) == [locations[0].container]
    assert {location.container for location in locations} == {locations[0].container}
    assert there.blobs.size(locations[0].container) == sum(location.length for location in locations)


def test_a_container_is_closed_when_it_is_large(there: BlobWorld) -> None:
    parts = [noise(12 << 20, seed) for seed in range(4)]
    locations = store(there, *parts)
    assert [location.offset == 0 for location in locations] == [True, False, False, True]
    assert len(there.containers()) == 2
    for part, location in zip(parts, locations, strict=True):
        assert read(there, part, location) == part


def test_what_comes_by_and_by_is_finished_together(there: BlobWorld) -> None:
    writer = there.blobs.begin()
    parts = [noise(1000, seed) for seed in range(6)]
    for one, two in zip(parts[::2], parts[1::2], strict=True):
        writer.add([(h(one), one), (h(two), two)])
    locations = writer.finish()
    writer.close()
    for part, location in zip(parts, locations, strict=True):
        assert read(there, part, location) == part
    assert len(there.containers()) == 1


def test_of_what_is_not_finished_nothing_stays(there: BlobWorld) -> None:
    writer = there.blobs.begin()
    writer.add([(h(b"a"), b"a")])
    assert len(there.containers()) == 1
    writer.close()
    writer.close()
    assert list(there.containers()) == []


def test_the_same_again_is_another_container(there: BlobWorld) -> None:
    (one,), (two,) = store(there, b"x"), store(there, b"x")
    assert one.container != two.container
    there.blobs.remove(one.container)
    assert read(there, b"x", two) == b"x"


def test_a_removed_container_is_gone_and_may_be_removed_again(there: BlobWorld) -> None:
    (gone,), (stays,) = store(there, b"gone"), store(there, b"stays")
    for _ in range(2):
        there.blobs.remove(gone.container)
        assert there.blobs.size(gone.container) is None
        with pytest.raises(Outdated):
            read(there, b"gone", gone)
    assert read(there, b"stays", stays) == b"stays"
    assert list(there.containers()) == [stays.container]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\0", "caf\u00e9"])
def test_p10_only_names_of_containers_are_taken(there: BlobWorld, name: str) -> None:
    for call in (
        lambda: there.blobs.size(name),
        lambda: there.blobs.remove(name),
        lambda: there.blobs.read(h(b"x"), 1, Location(name, 0, 46)),
    ):
        with pytest.raises(Corrupt):
            call()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param(lambda data: data[:-1] + bytes([data[-1] ^ 1]), Corrupt, id="a flipped bit"),
        pytest.param(lambda data: data[:-1], Corrupt, id="cut"),
        pytest.param(lambda data: b"", Corrupt, id="emptied"),
        pytest.param(lambda data: data[:10] + b"?" + data[11:], Corrupt, id="its head is wrong"),
        pytest.param(lambda data: None, Outdated, id="lost"),
    ],
)
@pytest.mark.parametrize("data", [noise(5000), b"z" * 5000], ids=["noise", "compresses well"])
def test_p5_damaged_bytes_are_never_returned(there: BlobWorld, data: bytes, change: Damage, error) -> None:
    (location,) = store(there, data)
    there.damage(location.container, change)
    with pytest.raises(error):
        read(there, data, location)


def test_p5_other_bytes_than_asked_for_are_never_returned(there: BlobWorld) -> None:
    one, two = store(there, b"one", b"two")
    asked = [
        (h(b"two"), 3, one),
        (h(b"one"), 4, one),
        (h(b"one"), 3, two),
        (h(b"one"), 3, Location(one.container, one.offset + 1, one.length)),
        (h(b"one"), 3, Location(one.container, one.offset, one.length - 1)),
        (h(b"one"), 3, Location(one.container, 1 << 30, one.length)),
    ]
    for digest, size, location in asked:
        with pytest.raises(Corrupt):
            there.blobs.read(digest, size, location)
    assert read(there, b"one", one) == b"one"


def test_leftovers_are_what_is_older_in_order(there: BlobWorld) -> None:
    names = sorted(store(there, bytes([number]))[0].container for number in range(5))
    assert list(there.blobs.leftovers(START)) == []
    assert list(there.blobs.leftovers(START + 1)) == names
    for name in there.blobs.leftovers(START + 1):
        there.blobs.remove(name)  # while they are told
    assert list(there.containers()) == []
