"""What `syncd wait` and `syncd run --once` promise: all that was here and at the hub at the call is in sync (P12)."""

from collections.abc import Callable

from syncd.engine.desk import EngineSettings
from syncd.model.job import LookJob
from syncd.model.node import Tree
from syncd.model.observation import Ask, HintsLost, Verb
from syncd.model.status import Phase
from tests.engine.world import World


def test_p12_the_first_wait_of_a_new_device_returns_when_all_is_uploaded(make_world: Callable[..., World]) -> None:
    world = make_world("ann")
    (ann,) = world.devices
    for number in range(40):
        ann.write("/".join(["top", *"abcdef"[: number % 6], str(number)]), f"content {number}")
    ann.wait()
    assert len(ann.wire.commits) == 46


def test_p12_the_first_wait_of_a_second_device_returns_when_all_is_here(make_world: Callable[..., World]) -> None:
    world = make_world("ann", "bob")
    ann, bob = world.devices
    for number in range(40):
        ann.write("/".join(["top", *"abcdef"[: number % 6], str(number)]), f"content {number}")
    ann.wait()
    ann.wait()
    bob.wait()
    assert bob.tree() == ann.tree()


def test_p12_a_scan_that_takes_longer_than_its_interval_does_not_follow_itself_for_ever(
    make_world: Callable[..., World],
) -> None:
    world = make_world("ann", settings=EngineSettings(scan_interval=1000.0))
    (ann,) = world.devices
    ann.write("folder/a", "content")
    ann.wait()
    ann.engine.step([Ask(99, Verb.WAIT)])
    for _ in range(300):
        if 99 in ann.replies:
            break
        if any(isinstance(job, LookJob) for job in ann.jobs):
            world.time.ahead += 2000.0  # the look takes longer than the interval
        ann.one()
    assert ann.replies[99].code == 0


def test_p12_a_vanished_folder_is_shown_as_stopped_within_the_second(make_world: Callable[..., World]) -> None:
    world = make_world("ann")
    (ann,) = world.devices
    ann.write("a", "content")
    ann.wait()
    ann.root.rename(ann.base / "elsewhere")
    ann.engine.step([HintsLost((), "the root went")])
    began = world.time.monotonic()
    while ann.engine.reporter.live.phase is not Phase.STOPPED:
        if not ann.one():
            assert ann.deadline is not None
            world.time.ahead += max(0.0, ann.deadline - world.time.monotonic())
        assert world.time.monotonic() - began < 5.0
    (ann.base / "elsewhere").rename(ann.root)
    ann.time.ahead += 20.0
    ann.wait()


def test_a_scan_stamps_only_what_it_finds_changed_or_missing(make_world: Callable[..., World]) -> None:
    world = make_world("ann")
    (ann,) = world.devices
    for name in ("same", "edited", "removed"):
        ann.write(name, name)
    ann.wait()
    world.time.ahead += 60.0
    ann.wait()  # what was read while it was young is read, and stamped, once more
    keys = {name: ann.db.nodes.find(Tree.LOCAL, (name,)) for name in ("same", "edited", "removed")}
    before = {name: ann.db.nodes.scanned_in(key) for name, key in keys.items() if key is not None}
    ann.write("edited", "edited again")
    ann.remove("removed")
    ann.tickets += 1
    ann.engine.step([Ask(ann.tickets, Verb.SCAN)])
    while ann.tickets not in ann.replies:
        ann.one()
    after = {name: ann.db.nodes.scanned_in(key) for name, key in keys.items() if key is not None}
    assert after["same"] == before["same"]
    assert after["edited"] == after["removed"] > before["edited"]


def test_p12_status_is_never_older_than_an_answer(make_world: Callable[..., World]) -> None:
    world = make_world("ann")
    (ann,) = world.devices
    ann.wait()
    shown: list[Phase] = []
    ann.engine.asks.post = lambda reply: shown.append(ann.engine.reporter.live.phase)
    ann.write("a", "content")
    ann.engine.step([Ask(50, Verb.SCAN)])  # busy: status is given twice a second only
    ann.engine.step([Ask(51, Verb.PAUSE)])
    ann.engine.step([Ask(52, Verb.RESUME)])
    assert shown[0] is Phase.PAUSED
    assert shown[1] is not Phase.PAUSED
