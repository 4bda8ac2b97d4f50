"""What a person decides about a conflict is written down before it acts, and ends as done or failed with its reason."""

from collections.abc import Callable

import pytest

from syncd.model.job import ApplyJob
from syncd.model.observation import Ask, Hints, Reply, Verb
from tests.engine.world import Device, World

Make = Callable[..., World]


@pytest.fixture
def bob(make_world: Make) -> Device:
    """Bob, who has a conflict about ``a.txt``: ann's content kept the name, his is a copy beside it."""
    world = make_world("ann", "bob")
    ann, bob = world.devices
    ann.write("a.txt", "base")
    world.settle()
    ann.write("a.txt", "ann's")
    bob.write("a.txt", "bob's")
    world.settle(expect=None)
    assert bob.db.conflicts.open_count() == 1
    return bob


def resolve(device: Device, resolution: str) -> int:
    """Ask, and return the ticket; the answer may come later."""
    (conflict,) = device.db.conflicts.open()
    device.tickets += 1
    told = (("id", str(conflict.id)), ("resolution", resolution))
    device.deadline = device.engine.step([Ask(device.tickets, Verb.RESOLVE, told)])
    return device.tickets


def answer(device: Device, ticket: int) -> Reply:
    for _ in range(200):
        if ticket in device.replies:
            break
        device.one()
    return device.replies[ticket]


def copy_of(device: Device) -> str:
    (name,) = (name for name in device.tree() if "conflicted copy" in name)
    return name


@pytest.mark.parametrize("resolution", ["keep mine", "keep theirs"])
def test_a_decision_about_a_file_that_is_gone_fails_and_says_why(bob: Device, resolution: str) -> None:
    name = copy_of(bob)
    bob.remove(name)
    bob.deadline = bob.engine.step([Hints((((), name),))])
    bob.wait(expect=3)
    reply = answer(bob, resolve(bob, resolution))
    assert reply.code == 1
    (command,) = bob.db.commands.recent(1)
    assert (command.verb, command.state, command.result) == ("resolve", "failed", reply.text)
    assert "not there any more" in command.result
    assert not bob.db.conflicts.open_count()  # nothing is left to decide


def test_a_decision_that_is_carried_out_is_pending_before_it_acts_and_done_after(bob: Device) -> None:
    ticket = resolve(bob, "keep mine")
    assert any(isinstance(job, ApplyJob) for job in bob.jobs)
    assert [command.state for command in bob.db.commands.recent(1)] == ["pending"]
    assert answer(bob, ticket).code == 0
    assert [command.state for command in bob.db.commands.recent(1)] == ["done"]
    assert bob.read("a.txt") == "bob's"


def test_a_file_that_is_being_worked_on_is_not_taken_for_gone(bob: Device) -> None:
    """The conflict was closed as "gone", and what the person had decided was lost."""
    first = resolve(bob, "keep theirs")
    second = resolve(bob, "keep mine")  # while the first is being carried out
    assert answer(bob, second).code == 1
    (command, _) = bob.db.commands.recent(2)
    assert command.state == "failed"
    assert "ask again" in command.result
    assert bob.db.conflicts.open_count() == 1
    assert answer(bob, first).code == 0
    assert not bob.db.conflicts.open_count()


def test_two_folders_are_not_merged_by_a_decision(make_world: Make) -> None:
    world = make_world("ann", "bob")
    ann, bob = world.devices
    ann.write("a", "a file")
    bob.write("a/x", "in a folder")
    world.settle(expect=None)
    device = bob if bob.db.conflicts.open_count() else ann
    reply = answer(device, resolve(device, "keep theirs"))
    assert reply.code == 1
    assert "folder" in reply.text
    assert device.db.commands.recent(1)[0].state == "failed"
    assert device.db.conflicts.open_count() == 1
    assert answer(device, resolve(device, "keep both")).code == 0


@pytest.mark.parametrize(("resolution", "wins"), [("keep mine", "bob's"), ("keep theirs", "ann's")])
def test_a_name_that_two_files_wanted_is_given_to_the_one_decided_for(
    make_world: Make, resolution: str, wins: str
) -> None:
    """The row named no copy: the decision was said to be carried out, and nothing was done."""
    world = make_world("ann", "bob")
    ann, bob = world.devices
    ann.write("from ann", "ann's")
    bob.write("from bob", "bob's")
    world.settle()
    ann.path("from ann").rename(ann.path("wanted"))
    ann.wait()
    bob.path("from bob").rename(bob.path("wanted"))
    world.settle(expect=None)
    device = bob if bob.db.conflicts.open_count() else ann
    (conflict,) = device.db.conflicts.open()
    assert conflict.path == "wanted"
    assert answer(device, resolve(device, resolution)).code == 0
    world.settle()
    assert ann.read("wanted") == wins
    assert len(ann.tree()) == 1
