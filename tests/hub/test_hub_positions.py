"""P4: a position is given in the transaction that writes its entry: no two changes share one, and none is left out."""

from syncd.hub.core import Hub
from syncd.model.path import ROOT_ID
from syncd.model.remote import Verdict


def positions(one) -> list[int]:
    page = one.session.changes(one.start, 1000)
    return [change.node.version.position for change in page.changes]


def test_p4_two_processes_on_one_hub_give_each_position_once(world, one):
    one.start = one.cursor()
    chance = type(world.chance)(77)
    other = Hub.open(world.folder, world.clock, chance)
    two = type(one)(other.authenticate(one.token), chance, one.token, one.device_id)
    for number in range(3):
        one.file(f"one {number}")
        two.file(f"two {number}")
    assert positions(one) == list(range(1, 7))
    other.close()


def test_p4_what_was_declined_takes_no_position(world, one):
    """A place group is given positions before its last name is found to be taken."""
    one.start = one.cursor()
    first, second = one.file("a"), one.file("b")
    one.file("taken")
    assert one.moves((first, ROOT_ID, "c"), (second, ROOT_ID, "taken")).verdict is Verdict.NAME_TAKEN
    one.file("d")
    assert positions(one) == [1, 2, 3, 4]
    assert one.session.changes(one.start, 1000).more is False
