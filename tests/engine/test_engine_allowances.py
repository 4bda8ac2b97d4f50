"""What a person allowed (P8): it goes, it does not count against what comes next, and it is no leave for ever."""

from collections.abc import Callable

from syncd.engine.desk import EngineSettings
from syncd.model.observation import Verb
from tests.engine.world import Device, World

Make = Callable[..., World]
FEW = EngineSettings(guard_nodes=5, guard_floor=5, guard_share=1.0)


def fill(device: Device, count: int, text: str = "before") -> None:
    for number in range(count):
        device.write(f"{number:02}", f"{text} {number}")


def allow(device: Device) -> int:
    """Allow the one held group; returns how many nodes it has."""
    (group,) = device.db.decisions.undecided()
    assert device.ask(Verb.APPROVE, group=str(group.id), decision="allow").code == 0
    return group.undecided


def test_p8_what_a_person_allowed_does_not_count_towards_the_next_mark(make_world: Make) -> None:
    world = make_world("ann", settings=FEW)
    (ann,) = world.devices
    fill(ann, 20)
    world.settle()
    for number in range(10):
        ann.remove(f"{number:02}")
    ann.wait(expect=3)
    assert allow(ann) == 10
    ann.wait()
    for number in range(10, 14):
        ann.remove(f"{number:02}")
    ann.wait()  # four are under the mark, whatever was allowed before
    for number in range(14, 18):
        ann.remove(f"{number:02}")
    ann.wait(expect=3)  # eight within the window are not


def test_p8_an_allowance_ends_with_its_window(make_world: Make) -> None:
    """The same nodes are overwritten again, much later: nobody was asked about that."""
    world = make_world("ann", settings=FEW)
    (ann,) = world.devices
    fill(ann, 10)
    world.settle()
    fill(ann, 10, "allowed")
    ann.wait(expect=3)
    assert allow(ann) == 10
    ann.wait()
    world.time.ahead += 700.0
    fill(ann, 10, "scrambled")
    ann.wait(expect=3)
    (group,) = ann.db.decisions.undecided()
    assert group.undecided == 10
