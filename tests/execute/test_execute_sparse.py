"""Files far larger than memory may grow: what is held does not depend on their size."""

import os
import tracemalloc
from collections.abc import Callable

import pytest
from execute_world import PAST_NS, Later, World, digest, noise

from syncd.execute.runner import Limits
from syncd.model.observation import Ending
from syncd.observe.cuts import Cuts

MIB = 1 << 20


def _peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _sparse(world: World, name: str, size: int) -> None:
    """A file of *size* with data at three places, and holes between."""
    with (world.root / name).open("wb") as file:
        for at in (0, size // 2, size - MIB):
            file.seek(at)
            file.write(noise(MIB, seed=at))
    os.utime(world.root / name, ns=(PAST_NS, PAST_NS))


@pytest.mark.parametrize("noted", [True, False], ids=["cut when looked at", "cut when sent"])
def test_an_upload_holds_a_window_whatever_the_size(world: World, noted: bool) -> None:
    world.limits = Limits(free_floor_bytes=0, window_bytes=2 * MIB)
    peaks = []
    for size in (64 * MIB, 256 * MIB):
        name = f"big{size}"
        _sparse(world, name, size)
        cuts = Cuts(Later(), least=0)
        world.cuts = cuts if noted else None
        assignment = world.upload(name)

        def work(name: str = name, cuts: Cuts = cuts, assignment: object = assignment) -> None:
            with world.real.open_dir(()) as directory, directory.open(name) as file:
                cuts.read(file, file.stat(), 0)
            (result,) = world.send(assignment)  # type: ignore[arg-type]
            assert result.ending is Ending.DONE

        peaks.append(_peak(work))
        assert world.remote.sent_bytes < 8 * MIB * len(peaks)
    assert peaks[1] < peaks[0] + 4 * MIB < 24 * MIB


def test_a_download_holds_a_window_whatever_the_size(world: World) -> None:
    world.limits = Limits(free_floor_bytes=0, window_bytes=2 * MIB)
    peaks = []
    for size in (64 * MIB, 256 * MIB):
        _sparse(world, "big", size)
        data = (world.root / "big").read_bytes()
        content = digest(data)
        assignment = world.download(f"copy{size}", data)
        del data
        peaks.append(_peak(lambda assignment=assignment: world.apply(assignment)))
        with (world.root / f"copy{size}").open("rb") as file:
            assert digest(file.read()) == content
    assert peaks[1] < peaks[0] + 4 * MIB < 24 * MIB
