"""Rules that come and go (section 6): what they name stays where it is, on both sides, and its S is kept."""

from collections.abc import Callable

import pytest

from syncd.model.conflict import is_conflicted_copy
from syncd.model.observation import Hints
from syncd.model.op import OpState, OpType
from syncd.model.remote import Delete
from tests.engine.world import World

Make = Callable[..., World]


@pytest.fixture
def two(make_world: Make) -> World:
    return make_world("ann", "bob")


def test_p7_what_a_new_rule_names_is_deleted_nowhere(two: World) -> None:
    ann, bob = two.devices
    ann.write("notes.log", "kept")
    ann.write("logs/a.log", "kept")
    ann.write("other", "kept")
    two.settle()
    ann.write(".syncignore", "*.log\n")
    two.settle()
    two.time.ahead += 10.0
    two.settle()
    for device in (ann, bob):
        assert device.read("notes.log") == device.read("logs/a.log") == "kept"
        assert not device.trash()


def test_p7_an_ignored_file_that_is_removed_here_stays_where_else_it_is(two: World) -> None:
    """What is excluded is not deleted either: this device says nothing about it any more."""
    ann, bob = two.devices
    ann.write("notes.log", "kept")
    ann.write(".syncignore", "nothing\n")
    two.settle()
    ann.write(".syncignore", "*.log\n")
    two.settle()
    ann.remove("notes.log")
    ann.wait()
    two.time.ahead += 10.0
    ann.wait()
    bob.wait()
    assert bob.read("notes.log") == "kept"
    assert not bob.trash()
    assert not [mutation for mutation in ann.wire.commits if isinstance(mutation, Delete)]


def test_p1_an_edit_made_while_a_file_was_ignored_is_an_edit_afterwards(two: World) -> None:
    """S was kept: the remote's content is the one this edit was made of."""
    ann, bob = two.devices
    ann.write("notes.log", "one")
    ann.write(".syncignore", "nothing\n")
    two.settle()
    ann.write(".syncignore", "*.log\n")
    two.settle()
    ann.write("notes.log", "edited while it was ignored")
    ann.wait()
    bob.wait()
    assert bob.read("notes.log") == "one"
    ann.write(".syncignore", "nothing\n")
    two.settle()
    assert bob.read("notes.log") == "edited while it was ignored"
    assert not [path for path in (*ann.tree(), *bob.tree()) if is_conflicted_copy(path)]


def test_p2_what_a_rule_names_is_not_brought_here(two: World) -> None:
    """The remote has it from a time without the rule, which this device never saw."""
    ann, bob = two.devices
    ann.write(".syncignore", "*.log\n")
    two.settle()
    bob.wire.cut = True
    ann.write(".syncignore", "nothing\n")
    ann.write("new.log", "uploaded while no rule named it")
    ann.wait()
    ann.write(".syncignore", "*.log\n")
    ann.wait()
    bob.wire.cut = False
    bob.wait()
    ann.wait()
    bob.wait()
    assert bob.tree().keys() == {".syncignore"}
    assert ann.read("new.log") == "uploaded while no rule named it"


def test_p2_ignore_rules_that_are_renamed_away_hold_nothing_up(make_world: Callable[..., World]) -> None:
    """The renamed file was compared with the rules in force, which are none now: nothing was ever uploaded again."""
    world = make_world("ann", "bob")
    ann, bob = world.devices
    ann.write(".syncignore", "*.tmp\n")
    world.settle()
    ann.path(".syncignore").rename(ann.path("rules of old"))
    world.settle()
    assert bob.tree().keys() == {"rules of old"}


@pytest.mark.parametrize(
    "taken", ["", "new", "moved"], ids=["its name is free", "a new file has its name", "an old one"]
)
def test_p2_a_folder_stays_for_what_a_rule_names_only_while_it_is_being_removed(two: World, taken: str) -> None:
    """Its removal waited for ever for what was not to be removed any more; and what wanted its name waited with it."""
    ann, bob = two.devices
    ann.write("a file", "a file now")
    two.settle()
    ann.write("d/e/f/notes.txt", "kept")
    two.settle()
    bob.wire.cut = True
    bob.remove("d")
    if taken == "new":
        bob.write("d", "a file now")
    elif taken:
        bob.path("a file").rename(bob.path("d"))
    bob.deadline = bob.engine.step([Hints((((), "d"), ((), "a file")))])
    for _ in range(20):
        bob.one()
    assert {queued.op.type for queued in bob.db.queue.in_state(None, 9)} >= {OpType.REMOTE_DELETE}
    ann.write(".syncignore", "*.txt\n")
    ann.wait()
    bob.wire.cut = False
    bob.engine.pulls.hurry()
    two.settle_all()
    assert not bob.db.queue.in_state(OpState.BLOCKED, 9)
    assert ann.read("d/e/f/notes.txt") == "kept"
    assert [path for path in bob.tree() if path.startswith("d/")] == ["d/e", "d/e/f"]
    copies = [path for path in bob.tree() if is_conflicted_copy(path)]
    assert [bob.read(path) for path in copies] == (["a file now"] if taken else [])


def test_p2_rules_that_were_edited_here_and_replaced_there_wait_for_each_other_not(two: World) -> None:
    """The remote's new rules waited for the name of the old ones, which had to leave for a folder that they ignored;
    their edit had to travel before that, and nothing travelled before the new rules were here."""
    ann, bob = two.devices
    ann.write("d/file", "content")
    ann.write(".syncignore", "nothing\n")
    two.settle()
    bob.wire.cut = True
    bob.write(".syncignore", "/d/\n")
    bob.deadline = bob.engine.step([Hints((((), ".syncignore"),))])
    for _ in range(40):
        bob.one()
    ann.path(".syncignore").rename(ann.path("d/rules of old"))
    ann.wait()
    ann.write(".syncignore", "nothing else\n")
    ann.wait()
    bob.wire.cut = False
    bob.engine.pulls.hurry()
    two.settle()
    assert ann.read("d/rules of old") == "/d/\n"
    assert bob.read(".syncignore") == "nothing else\n"
