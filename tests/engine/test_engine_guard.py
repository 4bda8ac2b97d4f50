"""Mass changes and restored copies through the whole engine (P8): held until a person decides."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.db.runs import RunKind
from syncd.engine.desk import EngineSettings
from syncd.model.observation import Ask, Verb
from syncd.model.op import Side
from tests.engine.world import Device, World

Make = Callable[..., World]
MANY = 450  # more than one step plans
GUARDED = EngineSettings(guard_nodes=100, guard_floor=10, guard_share=1.0)


def fill(device: Device, count: int, text: str = "before") -> None:
    for number in range(count):
        device.write(f"folder/{number:04}", f"{text} {number}")


def changed(device: Device, text: str) -> int:
    """Return how many files have the content *text* by now."""
    return sum(path.read_text().startswith(text) for path in (device.root / "folder").iterdir())


def held(device: Device) -> list[tuple[Side, int]]:
    return [(group.side, group.undecided) for group in device.db.decisions.undecided()]


def test_p8_a_mass_overwrite_arriving_in_many_pages_is_held_before_any_of_it(make_world: Make) -> None:
    """Nothing destructive leaves while what was seen is not wholly planned: the guard must see all of it at once."""
    world = make_world("ann", "bob", settings=GUARDED)
    ann, bob = world.devices
    fill(ann, MANY)
    world.settle()
    ann.settings = EngineSettings(guard_nodes=10_000, guard_share=1.0, guard_floor=10_000)
    ann.crash()
    ann.start()  # with a higher mark: only bob's guard is asked
    fill(ann, MANY, "scrambled")
    ann.write("folder/new", "goes on")
    ann.wait()
    bob.wait(expect=3)
    assert changed(bob, "scrambled") <= GUARDED.guard_nodes
    assert (Side.LOCAL, MANY - changed(bob, "scrambled")) in held(bob)
    assert bob.read("folder/new") == "goes on"
    bob.crash()
    bob.start()  # the counts, and what is held, outlive a restart
    bob.wait(expect=3)
    assert changed(bob, "scrambled") <= GUARDED.guard_nodes
    (group,) = bob.db.decisions.undecided()
    assert bob.ask(Verb.APPROVE, group=str(group.id), decision="allow").code == 0
    world.settle()
    assert changed(bob, "scrambled") == MANY


def test_p8_a_mass_overwrite_of_here_is_held_before_it_leaves(make_world: Make) -> None:
    world = make_world("ann", "bob", settings=GUARDED)
    ann, bob = world.devices
    fill(ann, MANY)
    world.settle()
    fill(ann, MANY, "scrambled")
    ann.wait(expect=3)
    bob.wait()
    assert changed(bob, "scrambled") <= GUARDED.guard_nodes
    (group,) = ann.db.decisions.undecided()
    assert ann.ask(Verb.APPROVE, group=str(group.id), decision="refuse").code == 0
    ann.wait(expect=3)  # both contents stay: here under conflicted names, for a person to look at
    assert {f"scrambled {n}".encode() for n in range(MANY)} <= ann.everything()
    assert {f"before {n}".encode() for n in range(MANY)} <= ann.everything()


def test_p8_what_was_done_within_the_window_counts_and_then_no_more(make_world: Make) -> None:
    world = make_world("ann", "bob", settings=GUARDED)
    ann, _bob = world.devices
    fill(ann, 300)
    world.settle()
    for number in range(80):
        ann.remove(f"folder/{number:04}")
    world.settle()
    world.time.ahead += 700.0
    for number in range(80, 160):
        ann.remove(f"folder/{number:04}")
    ann.wait()  # ten minutes later the first ones are forgotten
    ann.crash()
    ann.start()
    for number in range(160, 190):
        ann.remove(f"folder/{number:04}")
    ann.wait(expect=3)  # 80 were done, 30 more are over the mark, whatever was restarted
    assert held(ann) == [(Side.REMOTE, 30)]


def test_p12_a_group_that_grows_keeps_its_reason_true_and_is_logged_once(make_world: Make) -> None:
    world = make_world("ann", "bob", settings=GUARDED)
    ann, _bob = world.devices
    fill(ann, 300)
    world.settle()
    for first, last in ((0, 120), (120, 200), (200, 270)):
        for number in range(first, last):
            ann.remove(f"folder/{number:04}")
        ann.wait(expect=3)
    (group,) = ann.db.decisions.undecided()
    assert (group.undecided, group.reason[:4]) == (270, "270 ")
    assert [event for event, _ in ann.log].count("a mass change is held until you decide") == 1


def test_p8_a_restored_copy_is_read_whole_and_every_delete_held_until_a_person_decides(make_world: Make) -> None:
    world = make_world("ann", "bob")
    ann, bob = world.devices
    fill(ann, MANY)
    world.settle()
    ann.crash()
    away = Path(str(ann.root) + "-broken")
    ann.root.rename(away)
    ann.root.mkdir()
    shutil.copytree(away, ann.root, dirs_exist_ok=True)
    for number in range(400, MANY):
        ann.remove(f"folder/{number:04}")  # the backup is older: these were not in it yet
    bob.remove("folder/0003")
    bob.wait()
    ann.start()
    ann.wait(expect=3)
    assert not ann.path("folder/0449").exists()
    assert bob.path("folder/0449").exists()
    assert ann.path("folder/0003").exists()
    assert dict(held(ann)) == {Side.REMOTE: MANY - 400, Side.LOCAL: 1}
    assert RunKind.DEEP in [run.kind for run in ann.db.runs.recent(10)]
    assert ann.keeper.identity is not None
    for group in ann.db.decisions.undecided():
        ann.ask(Verb.APPROVE, group=str(group.id), decision="refuse")
    ann.wait()
    bob.wait()
    ann.wait()
    assert bob.path("folder/0449").exists()
    assert ann.path("folder/0449").exists()
    assert ann.path("folder/0003").exists()


def test_p9_a_held_delete_outlives_a_lost_database(make_world: Make) -> None:
    world = make_world("ann", "bob", settings=GUARDED)
    ann, bob = world.devices
    fill(ann, 300)
    world.settle()
    for number in range(200):
        ann.remove(f"folder/{number:04}")
    ann.wait(expect=3)
    before = held(ann)
    ann.crash()
    ann.lose_database()
    ann.start()
    ann.wait(expect=3)
    assert held(ann) == before
    bob.wait()
    assert len(list((bob.root / "folder").iterdir())) == 300, "what is held is neither deleted there ..."
    assert len(list((ann.root / "folder").iterdir())) == 100, "... nor brought back here"


@pytest.mark.parametrize("decision", ["allow", "refuse"])
def test_p8_a_held_group_blocks_only_what_needs_its_names(make_world: Make, decision: str) -> None:
    world = make_world("ann", "bob", settings=GUARDED)
    ann, bob = world.devices
    fill(ann, 300)
    world.settle()
    ann.remove("folder")
    ann.write("elsewhere", "travels")
    ann.write("folder", "a file now")  # needs the name of what is held
    ann.wait(expect=3)
    bob.wait()
    assert bob.read("elsewhere") == "travels"
    assert bob.path("folder").is_dir()
    (group,) = ann.db.decisions.undecided()
    ann.ask(Verb.APPROVE, group=str(group.id), decision=decision)
    assert ann.ask(Verb.APPROVE, group=str(group.id), decision=decision).code == 1, "it is decided once"


@pytest.mark.parametrize("side", list(Side))
def test_p4_a_stop_in_the_middle_of_a_delete_that_was_judged_holds_nothing(make_world: Make, side: Side) -> None:
    """The mark is a share of the root: a quarter of it was fine, and the rest of that is no third of what is left."""
    slow = EngineSettings(guard_floor=1, batch_ops=1, send_width=1, apply_width=1)
    world = make_world("ann", "bob", settings=slow)
    ann, bob = world.devices
    for number in range(40):
        ann.write(f"f{number}", f"content {number}")
    world.settle()
    for number in range(10):
        ann.remove(f"f{number}")
    device = ann if side is Side.REMOTE else bob
    if device is bob:
        ann.wait()
    device.engine.step([Ask(900, Verb.WAIT)])
    for _ in range(1000):
        if device.db.nodes.counts().synced.nodes <= 35:
            break
        if not device.one() and device.deadline is not None:
            device.time.ahead += max(0.0, device.deadline - device.time.monotonic())
    assert device.db.nodes.counts().synced.nodes == 35
    device.crash()
    device.start()
    world.settle()
    assert len(bob.tree()) == 30
