"""Cursors, changes, listings, retention: what a device that was away is told."""

import random
import shutil

import pytest
from msgspec import structs

from syncd.hub.core import Hub
from syncd.model.errors import CursorExpired, HistoryChanged, OtherRemote, Refused
from syncd.model.node import Kind
from syncd.model.path import ROOT_ID
from syncd.model.remote import Create, Delete, Verdict
from tests.hub.conftest import DAY


def replayed(known, session, cursor, limit):
    """Bring a listing up to date with the changes since."""
    known = dict(known)
    while True:
        page = session.changes(cursor, limit)
        for change in page.changes:
            if change.node.deleted:
                known.pop(change.node.node_id, None)
            else:
                known[change.node.node_id] = change.node
        cursor = page.cursor
        if not page.more:
            return known


def test_an_empty_space_has_a_cursor_and_no_changes(one):
    cursor = one.cursor()
    page = one.session.changes(cursor, 10)
    assert (page.changes, page.cursor, page.more) == ((), cursor, False)
    assert one.tree() == {}


def test_changes_come_in_order_and_pages_resume_where_the_last_ended(one):
    cursor = one.cursor()
    nodes = [one.file(str(number)) for number in range(7)]
    seen, more = [], True
    while more:
        page = one.session.changes(cursor, 3)
        assert len(page.changes) <= 3
        seen += [change.node for change in page.changes]
        cursor, more = page.cursor, page.more
    assert seen == nodes


def test_p4_a_change_carries_its_writers_key(one):
    cursor = one.cursor()
    mutation = one.creation("a")
    one.done(mutation)
    assert [change.key for change in one.session.changes(cursor, 9).changes] == [mutation.key]


def test_two_devices_of_a_space_see_the_same(world):
    a, b = world.device(name="a"), world.device(name="b")
    node = a.file("f", b"1")
    assert b.tree() == {node.node_id: node}
    assert b.content(node) == b"1"
    assert b.session.history(node.node_id)[0].device == "a"


def test_a_listing_takes_its_cursor_first_so_that_replaying_ends_right(one):
    for number in range(5):
        one.file(str(number))
    first = one.session.listing(None, 2)
    known = {change.node.node_id: change.node for change in first.changes}
    victim = first.changes[0].node
    one.delete(victim)
    new = one.file("new")
    page = first.next
    while page is not None:
        answer = one.session.listing(page, 2)
        assert answer.cursor == first.cursor
        known.update({change.node.node_id: change.node for change in answer.changes})
        page = answer.next
    known = replayed(known, one.session, first.cursor, 1)
    assert known == one.tree()
    assert victim.node_id not in known
    assert new.node_id in known


@pytest.mark.parametrize("seed", range(6))
def test_p2_replaying_the_changes_from_any_cursor_gives_the_listing(world, seed):
    dice, one = random.Random(seed), world.device()
    alive, kept, verdicts = {}, [], set()
    for number in range(150):
        if dice.random() < 0.15:
            kept.append((one.tree(limit=7), one.cursor()))
        parents = [ROOT_ID, *(node.node_id for node in alive.values() if node.kind is Kind.DIRECTORY)]
        act, pick = dice.random(), dice.choice(list(alive.values())) if alive else None
        name = f"n{dice.randrange(12)}"
        if pick is None or act < 0.4:
            made = one.creation(name, bytes([number]), dice.choice(parents))
            if dice.random() < 0.4:
                made = Create(made.key, made.node_id, made.parent_id, name, Kind.DIRECTORY)
            outcome = one.one(made)
        elif act < 0.75:
            others = dice.sample(list(alive.values()), min(len(alive), dice.randrange(1, 4)))
            outcome = one.moves(*((node, dice.choice(parents), f"n{dice.randrange(12)}") for node in others))
        else:
            outcome = one.one(Delete(one.key(), pick.node_id, pick.version))
        verdicts.add(outcome.verdict)
        if outcome.verdict is Verdict.DONE:
            for node in outcome.nodes:
                alive.pop(node.node_id, None) if node.deleted else alive.update({node.node_id: node})
        assert_a_tree(alive)
    assert one.tree(limit=9) == alive
    assert {Verdict.DONE, Verdict.NAME_TAKEN} <= verdicts
    for known, cursor in kept:
        assert replayed(known, one.session, cursor, dice.randrange(1, 40)) == alive


def assert_a_tree(alive):
    places = [(node.parent_id, node.name) for node in alive.values()]
    assert len(places) == len(set(places)), "two siblings share a name"
    for node in alive.values():
        steps, at = 0, node.parent_id
        while at != ROOT_ID:
            at, steps = alive[at].parent_id, steps + 1
            assert steps <= len(alive), "a cycle"


# --- odd cursors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cursor", ["", "0", "c1.zz.zz.1.t", "c1.00.00.-1.t", "c1.00.00.٣.t", "c2.00.00.1.t", "c1.00.00." + "9" * 30 + ".t"]
)
def test_p10_what_is_no_cursor_is_refused(one, cursor):
    for ask in (lambda: one.session.changes(cursor, 1), lambda: one.session.wait(cursor, 0)):
        with pytest.raises(Refused):
            ask()
    with pytest.raises(Refused):
        one.session.listing(cursor + "/00", 1)


def test_a_cursor_of_another_space_or_hub_is_another_remotes(world, tmp_path):
    here, there = world.device("here"), world.device("there")
    with pytest.raises(OtherRemote, match="space"):
        here.session.changes(there.cursor(), 1)
    form, _, *rest = here.cursor().split(".")
    with pytest.raises(OtherRemote, match="hub"):
        here.session.changes(".".join([form, "ab" * 16, *rest]), 1)


def test_a_hub_restored_from_a_copy_says_its_history_changed(world, tmp_path, one):
    one.file("kept")
    before = one.cursor()
    world.hub.close()
    shutil.copytree(world.folder, tmp_path / "copy")
    world.hub = Hub.open(world.folder, world.clock, world.chance)
    one = world.again(one)
    lost = one.file("lost")
    after = one.cursor()
    world.hub.close()
    shutil.rmtree(world.folder)
    shutil.copytree(tmp_path / "copy", world.folder)
    world.hub = Hub.open(world.folder, world.clock, world.chance)
    one = world.again(one)
    with pytest.raises(HistoryChanged):  # no such position
        one.session.changes(after, 1)
    other = one.file("other")
    assert other.version.position == lost.version.position
    with pytest.raises(HistoryChanged):  # another tag there
        one.session.changes(after, 1)
    with pytest.raises(HistoryChanged):
        one.session.wait(after, 0)
    assert [change.node for change in one.session.changes(before, 9).changes] == [other]


@pytest.mark.parametrize("kept", [True, False], ids=["its entry is kept", "its entry went"])
@pytest.mark.parametrize("restored", [True, False], ids=["restored", "only away for long"])
def test_a_cursor_whose_position_is_trimmed_tells_a_restored_hub_from_long_absence(
    world, tmp_path, one, kept, restored
):
    """It was told that it had expired: the listing that followed was taken for newer than what was known."""
    node = one.file("a", b"1")
    world.hub.close()
    shutil.copytree(world.folder, tmp_path / "copy")
    world.hub = Hub.open(world.folder, world.clock, world.chance)
    one = world.again(one)
    one.file("lost")
    cursor = one.cursor()
    if restored:
        world.hub.close()
        shutil.rmtree(world.folder)
        shutil.copytree(tmp_path / "copy", world.folder)
        world.hub = Hub.open(world.folder, world.clock, world.chance)
        one = world.again(one)
        node = one.edit(node, b"2")  # at the position of what was lost
    if not kept:
        gone = one.file("b") if not restored else node
        one.edit(gone, b"3") if restored else one.delete(gone)
    one.file("c")
    world.clock.at += 100 * DAY
    one.file("d")
    world.hub.gc()
    with pytest.raises(HistoryChanged if restored else CursorExpired):
        one.session.changes(cursor, 9)


def test_a_cursor_from_before_a_restored_empty_hub_is_of_changed_history(world, one):
    one.file("a")
    form, hub, space, position, _ = one.cursor().split(".")
    with pytest.raises(HistoryChanged):
        one.session.changes(f"{form}.{hub}.{space}.0.{'00' * 8}", 1)
    with pytest.raises(HistoryChanged):
        one.session.changes(f"{form}.{hub}.{space}.{int(position) + 1}.{'00' * 8}", 1)


# --- retention --------------------------------------------------------------------------------------------------


def test_a_cursor_before_the_retained_journal_has_expired(world, one):
    ancient = one.cursor()
    node = one.file("a", b"1")
    kept = one.cursor()
    world.clock.at += 100 * DAY
    newer = one.edit(node, b"2")
    world.hub.gc()
    with pytest.raises(CursorExpired):
        one.session.changes(ancient, 1)
    assert [change.node for change in one.session.changes(kept, 9).changes] == [newer]
    assert one.tree() == {node.node_id: newer}


def test_p1_a_version_is_kept_from_when_it_was_superseded_on(world, one):
    old = one.file("a", b"old")
    world.clock.at += 400 * DAY
    one.edit(old, b"new")
    world.clock.at += 89 * DAY
    world.hub.gc()
    assert [one.content(info.node) for info in one.session.history(old.node_id)] == [b"new", b"old"]
    world.clock.at += 2 * DAY
    assert world.hub.gc().versions == 1
    assert [one.content(info.node) for info in one.session.history(old.node_id)] == [b"new"]


def test_p1_the_current_version_is_kept_for_ever(world, one):
    node = one.file("a", b"1")
    world.clock.at += 10_000 * DAY
    world.hub.gc(retention=0)
    assert one.tree() == {node.node_id: node}
    assert one.content(node) == b"1"
    assert one.edit(node, b"2").version.position == 2


def test_a_tombstone_lives_as_long_as_history(world, one):
    node = one.file("a", b"1")
    gone = one.delete(node)
    world.clock.at += 89 * DAY
    world.hub.gc()
    assert list(one.session.look([node.node_id])) == [gone]
    assert one.content(one.session.history(node.node_id)[1].node) == b"1"
    world.clock.at += 2 * DAY
    assert world.hub.gc().tombstones == 1
    assert list(one.session.look([node.node_id])) == [None]
    assert world.containers() == []


def test_p7_a_device_that_knows_a_forgotten_tombstone_can_still_revive_the_node(world, one):
    node = one.file("a", b"1")
    gone = one.delete(node)
    world.clock.at += 91 * DAY
    assert world.hub.gc().tombstones == 1
    again = one.creation("a")
    revived = one.done(structs.replace(again, node_id=node.node_id, base=gone.version))
    assert revived.node_id == node.node_id
    assert [info.parent for info in one.session.history(node.node_id)] == [None]


def test_p3_keys_outlive_the_history(world, one):
    mutation = one.creation("a")
    answer = one.one(mutation)
    world.clock.at += 179 * DAY
    world.hub.gc(retention=0)
    assert one.one(mutation) == answer
    world.clock.at += 2 * DAY
    world.hub.gc(retention=0)
    assert one.session.outcomes([mutation.key]) == [None]
