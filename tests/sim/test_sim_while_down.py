"""A device loses power while a new file comes, and its person makes a file of that name before it is up again."""

import os
from collections.abc import Iterator

import pytest

from tests.sim.cases import reference, work
from tests.sim.device import SimDevice
from tests.sim.faults import Fault, How, SweepPlay
from tests.sim.operations import parse
from tests.sim.stage import Stage, mend
from tests.sim.sweep import staged

WORKLOAD = parse("ann:create")
HERS, HIS = b"written by ann " * 20, b"written by bob " * 20
DRAWS = 2
FIRST = int(os.environ.get("SYNCD_SEED", "0"))


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged() as made:
        yield made


def meet(play: SweepPlay, fault: Fault) -> None:
    """Let the power go at bob, who writes where nothing is; both files must be there in the end (P1): what had not
    been placed was not his to write over."""
    fresh: list[bool] = []

    def down(device: SimDevice) -> None:
        fresh.append(not device.person.exists("new"))
        if fresh[0]:
            device.person.write("new", HIS)
            device.disk.write_back()

    ann, bob = play.devices
    play.while_down = down
    ann.person.write("new", HERS)
    ann.disk.write_back()
    play.time.ahead += 5.0
    play.arm(fault)
    work(play, ann)
    work(play, bob)
    mend(play)
    play.finish()
    contents = {data for _, _, data in bob.person.snapshot().values()}
    assert fresh, "the power did not go"
    assert not fresh[0] or {HERS, HIS} <= contents, f"one of them is not in the tree: {sorted(play.devices[1].tree())}"


def test_p4_a_file_made_while_the_device_was_down_is_no_edit_of_one_that_never_came(stage: Stage) -> None:
    counted = reference(stage, WORKLOAD)
    assert counted is not None
    for number in range(1, counted.points["bob"] + 1):
        for draw in range(FIRST, FIRST + DRAWS):
            fault = Fault("bob", How.LOSE_SOME, number, draw)
            well, told = stage.apart(lambda play, fault=fault: meet(play, fault))  # type: ignore[misc]
            assert well, f"{fault}: {told}"
