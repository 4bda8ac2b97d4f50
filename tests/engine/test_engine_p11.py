"""Short transactions (P11): however many nodes change at once, each step writes a bounded number of rows, and what a
stop interrupts between two steps ends as if it had been one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import pytest

from syncd.engine.desk import CHANGES_A_STEP, EngineSettings
from syncd.engine.guarding import ITEMS_A_STEP
from syncd.engine.joining import JOINING
from syncd.model.job import ApplyJob, Job, SendJob
from syncd.model.observation import Ask, Verb
from syncd.model.op import Side
from tests.engine.world import STEPS, Device, Keeper, World

Make = Callable[..., World]
MANY = 2000
SOME = 5 * ITEMS_A_STEP
BOUND = CHANGES_A_STEP + 500
"""Rows a transaction may change: it begins nothing new after CHANGES_A_STEP, and no part of a step changes more than a
few hundred. A part that handled a whole folder at once would change two rows a file at least: 2 * MANY."""
GUARDED = EngineSettings(guard_nodes=100, guard_floor=10, guard_share=1.0)
TRUSTING = EngineSettings(guard_nodes=100_000, guard_floor=100_000, guard_share=1.0)


@dataclass
class Meter:
    """Rows that each committed transaction of the devices changed, and steps of SQLite's machine in all of them."""

    changed: list[int] = field(default_factory=list)
    steps: int = 0

    def watch(self, connection: apsw.Connection) -> None:
        if Path(connection.filename).name != "syncd.db" or connection.readonly("main"):
            return
        before = [connection.total_changes()]

        def committed() -> bool:
            self.changed.append(connection.total_changes() - before[0])
            before[0] = connection.total_changes()
            return False

        def ran(event: dict[str, Any]) -> None:
            self.steps += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

        connection.set_commit_hook(committed)
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, ran)

    def most(self) -> int:
        """Return the most rows changed in one transaction since the last call."""
        changed, self.changed = self.changed, []
        assert sum(changed) > 0
        return max(changed)


@pytest.fixture
def meter() -> Iterator[Meter]:
    found = Meter()
    apsw.connection_hooks.append(found.watch)
    yield found
    apsw.connection_hooks.remove(found.watch)


def fill(device: Device, count: int, folder: str = "folder") -> None:
    device.path(folder).mkdir(parents=True)
    for number in range(count):
        (device.path(folder) / f"{number:05}.txt").write_text(f"content {number}")


def trust(device: Device) -> None:
    """Go on with a mark that nothing reaches: only the other device's guard is asked."""
    device.settings = TRUSTING
    device.crash()
    device.start()


def held(device: Device) -> list[tuple[Side, int]]:
    return [(group.side, group.undecided) for group in device.db.decisions.undecided()]


def kept(device: Device) -> list[int]:
    """Return how many nodes of each undecided group outlive the database."""
    return [len(set(ids)) for ids in device.keeper.holds.values()]


def run_until(device: Device, reached: Callable[[], bool]) -> None:
    for _ in range(STEPS):
        if reached():
            return
        if not device.one() and device.deadline is not None:
            device.time.ahead += max(0.0, device.deadline - device.time.monotonic())
    raise AssertionError(f"never reached: {device.doings()}")


def again(device: Device) -> None:
    """The process is killed and started anew."""
    device.crash()
    device.start()


def test_p11_ten_thousand_files_at_once_are_many_short_transactions(make_world: Make, meter: Meter) -> None:
    """As files that appear, a first listing, a renamed folder, one that becomes ignored, and not any more."""
    world = make_world("ann", "bob")
    ann, bob = world.devices
    trust(ann)
    trust(bob)
    most = {}
    fill(ann, MANY)
    ann.wait()
    most["files that appear, and their uploads"] = meter.most()
    bob.wait()
    most["a first listing, and its downloads"] = meter.most()
    bob.path("folder").rename(bob.path("renamed"))
    bob.wait()
    ann.wait()
    most["a renamed folder"] = meter.most()
    ann.write(".syncignore", "renamed/\n")
    ann.wait()
    most["a folder that becomes ignored"] = meter.most()
    ann.write(".syncignore", "*.txt\n")
    ann.wait()
    most["files that become ignored one by one"] = meter.most()
    ann.write(".syncignore", "\n")
    ann.wait()
    most["files that are not ignored any more"] = meter.most()
    bob.wait()
    assert len(bob.tree()) == MANY + 2
    assert bob.tree() == ann.tree()
    assert {what: rows for what, rows in most.items() if rows > BOUND} == {}


@pytest.mark.parametrize("decision", ["allow", "refuse"])
def test_p11_a_held_group_is_filled_and_decided_in_short_transactions(
    make_world: Make, meter: Meter, decision: str
) -> None:
    (ann,) = make_world("ann", settings=GUARDED).devices
    fill(ann, MANY)
    ann.wait()
    meter.most()
    most = {}
    ann.remove("folder")
    ann.wait(expect=3)
    most["held as a group"] = meter.most()
    assert held(ann) == [(Side.REMOTE, MANY + 1)]
    again(ann)
    ann.wait(expect=3)
    most["a start with a held group"] = meter.most()
    (group,) = ann.db.decisions.undecided()
    assert str(MANY + 1) in ann.ask(Verb.APPROVE, group=str(group.id), decision=decision).text
    most["the word of a person"] = meter.most()
    ann.wait()
    most["what they decided"] = meter.most()
    assert len(ann.tree()) == (0 if decision == "allow" else MANY + 1)
    assert {what: rows for what, rows in most.items() if rows > BOUND} == {}


def test_p11_a_listing_that_shows_nothing_any_more_is_concluded_in_short_transactions(
    make_world: Make, meter: Meter
) -> None:
    world = make_world("ann", "bob")
    ann, bob = world.devices
    trust(ann)
    trust(bob)
    fill(ann, MANY)
    world.settle()
    ann.remove("folder")
    ann.wait()
    bob.db.meta.delete("cursor")  # as after an expired one: everything is listed again
    meter.most()
    bob.wait()
    assert bob.tree() == {}
    assert meter.most() <= BOUND


def test_p11_two_full_folders_are_joined_in_short_transactions(make_world: Make, meter: Meter) -> None:
    """As on a first link; a stop in the middle leaves nothing torn, and nothing travels."""
    world = make_world("ann", "bob", settings=TRUSTING)
    ann, bob = world.devices
    fill(ann, MANY)
    ann.wait()
    bob.crash()
    bob.start()
    fill(bob, MANY)
    meter.most()
    for _ in range(3):
        run_until(bob, lambda: bob.db.meta.get(JOINING) is not None)
        again(bob)
    bob.wait()
    assert meter.most() <= BOUND
    assert bob.db.meta.get(JOINING) is None
    assert bob.tree() == ann.tree()
    assert (bob.wire.commits, bob.wire.fetched) == ([], 0)
    world.settle()


@pytest.mark.parametrize(("verb", "few"), [("delete", 300), ("bring back", 300), ("keep both", 120)])
def test_p11_the_cost_of_a_change_does_not_grow_with_its_folder(
    make_world: Make, meter: Meter, verb: str, few: int
) -> None:
    """Four times as many files in one folder are four times the work, not sixteen: nothing that is done for each of
    them reads the whole folder, the whole queue or the whole group."""
    steps = []
    for count in (few, 4 * few):
        world = make_world("ann", settings=TRUSTING if verb == "delete" else GUARDED)
        (ann,) = world.devices
        fill(ann, count)
        ann.wait()
        before = meter.steps
        if verb == "keep both":
            for path in ann.path("folder").iterdir():
                path.write_text("scrambled " + path.name)
        else:
            ann.remove("folder")
        if verb != "delete":
            ann.wait(expect=3)
            (group,) = ann.db.decisions.undecided()
            ann.ask(Verb.APPROVE, group=str(group.id), decision="refuse")
        ann.wait(expect=3 if verb == "keep both" else 0)
        steps.append(meter.steps - before)
    assert steps[1] < 6 * steps[0], steps


# --- a stop between two steps -------------------------------------------------------------------------------------


def begun(device: Device, count: int) -> Callable[[], bool]:
    """A group that is being filled: some of *count* nodes are in it, and not all."""
    return lambda: any(0 < number < count for _, number in held(device))


def test_p4_a_stop_while_a_group_is_filled_leaves_all_of_it_held(make_world: Make) -> None:
    world = make_world("ann", "bob", settings=GUARDED)
    ann, bob = world.devices
    fill(ann, SOME)
    world.settle()
    ann.remove("folder")
    for _ in range(3):
        run_until(ann, begun(ann, SOME + 1))
        again(ann)
        assert ann.keeper.holds == {}, "what is kept is a whole group"
    ann.wait(expect=3)
    assert held(ann) == [(Side.REMOTE, SOME + 1)]
    assert kept(ann) == [SOME + 1]
    bob.wait()
    assert len(bob.tree()) == SOME + 1
    ann.crash()
    ann.lose_database()
    ann.start()
    run_until(ann, begun(ann, SOME + 1))
    again(ann)  # holding again what was held before the database was lost is done in parts, too
    assert kept(ann) == [SOME + 1]
    ann.wait(expect=3)
    assert held(ann) == [(Side.REMOTE, SOME + 1)]
    assert kept(ann) == [SOME + 1]
    assert ann.tree() == {}


@pytest.mark.parametrize("decision", ["allow", "refuse"])
def test_p4_a_stop_while_a_decision_is_carried_out_is_made_good(make_world: Make, decision: str) -> None:
    world = make_world("ann", "bob", settings=GUARDED)
    ann, bob = world.devices
    fill(ann, SOME)
    world.settle()
    trust(bob)
    ann.remove("folder")
    ann.wait(expect=3)
    (group,) = ann.db.decisions.undecided()
    assert ann.ask(Verb.APPROVE, group=str(group.id), decision=decision).code == 0
    assert kept(ann) == [], "what is decided is not asked again, whatever becomes of the database"
    left = len(ann.db.decisions.untaken(group.id, MANY))
    assert 0 < left <= SOME
    again(ann)
    run_until(ann, lambda: 0 < len(ann.db.decisions.untaken(group.id, MANY)) < left)
    again(ann)
    assert ann.ask(Verb.APPROVE, group=str(group.id), decision="allow").code == 1, "it is decided once"
    world.settle()
    assert ann.db.decisions.unfinished() is None
    assert len(ann.tree()) == (0 if decision == "allow" else SOME + 1)
    assert ann.db.conflicts.open_count() == 0


# --- nobody is told before it is so -------------------------------------------------------------------------------


class CountingKeeper(Keeper):
    """Counts how often the undecided holds are written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0

    def keep_holds(self, holds: dict[str, list[str]]) -> None:
        super().keep_holds(holds)
        self.written += 1


def destructive(jobs: list[Job]) -> int:
    """Return how many ops of *jobs* remove or replace content."""
    work = [job for job in jobs if isinstance(job, ApplyJob | SendJob)]
    return sum(assignment.op.destructive for job in work for assignment in job.assignments)


def test_p8_nothing_leaves_and_nobody_is_answered_while_a_group_is_filled(make_world: Make) -> None:
    world = make_world("ann", "bob", settings=GUARDED)
    ann, bob = world.devices
    ann.keeper = CountingKeeper()
    again(ann)
    fill(ann, SOME)
    world.settle()
    ann.remove("folder")
    ann.tickets += 1
    wait = ann.tickets
    ann.deadline = ann.engine.step([Ask(wait, Verb.WAIT)])
    run_until(ann, begun(ann, SOME + 1))
    assert ann.keeper.written == 0
    (group,) = ann.db.decisions.undecided()
    ann.tickets += 1
    approve = ann.tickets
    ann.deadline = ann.engine.step([Ask(approve, Verb.APPROVE, (("decision", "refuse"), ("group", str(group.id))))])
    while approve not in ann.replies:
        assert wait not in ann.replies or held(ann) == [(Side.REMOTE, SOME + 1)]
        assert destructive(list(ann.jobs)) == 0
        ann.one()
    assert str(SOME + 1) in ann.replies[approve].text, "a decision is about the whole of a group"
    assert ann.keeper.written == 2, "once when the group was whole, once when it was decided"
    assert ann.replies[wait].code == 3, "what is held waits for a person"
    ann.wait()
    assert len(ann.tree()) == SOME + 1, "who waits now is answered when all is brought back"
    bob.wait()
    assert len(bob.tree()) == SOME + 1


def test_p8_a_mass_delete_that_arrives_in_many_pages_is_judged_as_one(make_world: Make) -> None:
    world = make_world("ann", "bob", settings=EngineSettings(guard_nodes=900, guard_floor=900, guard_share=1.0))
    ann, bob = world.devices
    trust(ann)
    fill(ann, SOME)
    world.settle()
    ann.remove("folder")
    ann.wait()
    bob.tickets += 1
    bob.deadline = bob.engine.step([Ask(bob.tickets, Verb.WAIT)])
    while bob.tickets not in bob.replies:
        assert destructive(list(bob.jobs)) == 0
        if not bob.one() and bob.deadline is not None:
            bob.time.ahead += max(0.0, bob.deadline - bob.time.monotonic())
    assert held(bob) == [(Side.LOCAL, SOME + 1)]
    assert len(bob.tree()) == SOME + 1
