"""Paths, orphans, listings, history and numbers."""

import random
from dataclasses import replace
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.db.connection import Database
from syncd.db.structure import TreeCount
from syncd.model.node import Absent, Kind, Place, Present, Reason, State, Tree, Unknown, Version
from syncd.model.path import ROOT


def directory(db: Database, parent: int, name: str) -> int:
    there = Present(Place(parent, name))
    return db.nodes.insert(Kind.DIRECTORY, synced=there, remote=there, local=there)


@pytest.mark.parametrize("tree", list(Tree))
def test_paths_lead_there_and_back(db: Database, tree: Tree) -> None:
    a = directory(db, ROOT, "a")
    b = directory(db, a, "b")
    assert db.nodes.path(tree, ROOT) == ()
    assert db.nodes.path(tree, b) == ("a", "b")
    assert db.nodes.find(tree, ("a", "b")) == b
    assert db.nodes.find(tree, ()) == ROOT
    assert db.nodes.find(tree, ("b",)) is None
    assert db.nodes.find(tree, ("a", "\udcff")) is None


def test_a_circle_of_parents_has_no_path_and_ends(db: Database) -> None:
    a = directory(db, ROOT, "a")
    b = directory(db, a, "b")
    db.nodes.set_remote(a, Present(Place(b, "a")))
    assert db.nodes.path(Tree.REMOTE, a) is None
    assert db.nodes.path(Tree.REMOTE, b) is None
    assert db.nodes.any_path(b) == ("a", "b")


def test_below_something_absent_there_is_no_path(db: Database) -> None:
    a = directory(db, ROOT, "a")
    b = directory(db, a, "b")
    db.nodes.set_local(a, Absent(), None)
    assert db.nodes.path(Tree.LOCAL, b) is None
    assert db.nodes.path(Tree.LOCAL, 999) is None


def test_of_twins_the_present_one_is_found_and_both_are_searched(db: Database) -> None:
    db.nodes.insert(Kind.DIRECTORY, local=Unknown(Reason.UNREADABLE, Place(ROOT, "d")))
    second = db.nodes.insert(Kind.DIRECTORY, local=Present(Place(ROOT, "d")))
    child = db.nodes.insert(Kind.FILE, local=Present(Place(second, "x")))
    assert db.nodes.find(Tree.LOCAL, ("d",)) == second
    assert db.nodes.find(Tree.LOCAL, ("d", "x")) == child


def test_orphans_are_found_level_by_level(db: Database) -> None:
    def orphans() -> list[int]:
        return db.nodes.local_orphans(10)

    def absent(key: int) -> None:
        db.nodes.set_local(key, Absent(), None)

    a = directory(db, ROOT, "a")
    b, b2 = directory(db, a, "b"), directory(db, a, "b2")
    c = directory(db, b, "c")
    assert orphans() == []
    absent(a)
    assert orphans() == [b, b2]
    absent(b)
    assert orphans() == [b2, c]
    absent(b2)
    absent(c)
    assert orphans() == []


def test_a_child_that_arrives_after_its_directory_left_is_an_orphan(db: Database) -> None:
    a = directory(db, ROOT, "a")
    db.nodes.set_local(a, Absent(), None)
    assert db.nodes.local_orphans(10) == []
    late = db.nodes.insert(Kind.FILE, local=Present(Place(a, "late")))
    moved = directory(db, ROOT, "m")
    db.nodes.set_local(moved, Present(Place(a, "m")), None)
    assert db.nodes.local_orphans(10) == [late, moved]
    assert db.nodes.local_orphans(1) == [late]


def test_a_directory_that_came_back_has_no_orphans(db: Database) -> None:
    a = directory(db, ROOT, "a")
    directory(db, a, "b")
    db.nodes.set_local(a, Absent(), None)
    db.nodes.set_local(a, Present(Place(ROOT, "a2")), None)
    assert db.nodes.local_orphans(10) == []


def test_an_unknown_directory_has_no_orphans(db: Database) -> None:
    a = directory(db, ROOT, "a")
    directory(db, a, "b")
    db.nodes.set_local(a, Unknown(Reason.UNREADABLE, Place(ROOT, "a")), None)
    assert db.nodes.local_orphans(10) == []


def test_children_of_a_deleted_row_are_orphans(db: Database) -> None:
    a = directory(db, ROOT, "a")
    b = directory(db, a, "b")
    db.nodes.delete(a)
    assert db.nodes.local_orphans(10) == [b]


def test_a_directory_that_goes_at_the_remote_leaves_no_mark_behind(db: Database) -> None:
    """Marks of R were made and never asked for: one for each directory that ever went."""
    a = directory(db, ROOT, "a")
    directory(db, a, "b")
    db.nodes.set_remote(a, Absent())
    assert db.nodes._execute("SELECT count(*) FROM gone_directory").get == 0


# --- listings and history -------------------------------------------------------------------------------------------


def test_what_a_full_listing_did_not_show_is_unlisted(db: Database) -> None:
    seen, missed, unknown = (directory(db, ROOT, name) for name in "abc")
    db.nodes.set_remote(unknown, Unknown(Reason.NOT_SELECTED, Place(ROOT, "c")))
    generation = db.nodes.begin_listing()
    db.nodes.note_listed(seen, generation)
    born = directory(db, ROOT, "new")
    assert db.nodes.unlisted(generation, 10) == [missed, unknown]
    assert db.nodes.unlisted(generation, 1) == [missed]
    db.nodes.set_remote(missed, Absent())
    db.nodes.set_remote(unknown, Present(Place(ROOT, "c")))  # a change replayed after the pages
    assert db.nodes.unlisted(generation, 10) == []
    assert db.nodes.unlisted(db.nodes.begin_listing(), 10) == [seen, unknown, born]


def test_past_versions_are_remembered_with_their_node(db: Database) -> None:
    a = directory(db, ROOT, "a")
    db.nodes.add_past_version(a, Version(2**64, "x"))
    db.nodes.add_past_version(a, Version(2**64, "x"))
    assert db.nodes.superseded(a, Version(2**64, "x"))
    assert not db.nodes.superseded(a, Version(2**64, "y"))
    assert not db.nodes.superseded(ROOT, Version(2**64, "x"))
    db.nodes.delete(a)
    assert db._connection.execute("SELECT count(*) FROM past_version").get == 0


def test_forgetting_the_merge_base_goes_in_batches_and_spares_the_root(db: Database) -> None:
    keys = [directory(db, ROOT, f"d{n}") for n in range(5)]
    assert [db.nodes.forget_synced(2) for _ in range(4)] == [2, 2, 1, 0]
    assert all(db.nodes.node(key).synced == Absent() for key in keys)
    assert isinstance(db.nodes.node(ROOT).synced, Present)
    assert isinstance(db.nodes.node(keys[0]).remote, Present)


def test_unknown_nodes_are_listed_by_reason(db: Database) -> None:
    held = [db.nodes.insert(Kind.FILE, local=Unknown(Reason.HELD, Place(ROOT, f"{n}"))) for n in range(3)]
    db.nodes.insert(Kind.FILE, local=Unknown(Reason.BUSY))
    assert db.nodes.unknown_counts(Tree.LOCAL) == {Reason.HELD: 3, Reason.BUSY: 1}
    assert db.nodes.unknown(Tree.LOCAL, Reason.HELD, held[0], 1) == [held[1]]
    assert db.nodes.unknown_counts(Tree.REMOTE) == {}


# --- numbers --------------------------------------------------------------------------------------------------------


def counted(db: Database, tree: Tree) -> TreeCount:
    """Count by reading everything."""
    found = [n for k in range(2, 200) if (n := db.nodes.node(k)) is not None]
    there = [(n.kind, s) for n in found if isinstance(s := n.state(tree), Present)]
    return TreeCount(
        files=sum(kind is Kind.FILE for kind, _ in there),
        directories=sum(kind is Kind.DIRECTORY for kind, _ in there),
        symlinks=sum(kind is Kind.SYMLINK for kind, _ in there),
        unknown=sum(isinstance(n.state(tree), Unknown) for n in found),
        bytes=sum(state.size for _, state in there),
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 60))
def test_counters_stay_true_whatever_happens(db: Database, seed: int, steps: int) -> None:
    chance = random.Random(seed)

    def state() -> State:
        place = Place(ROOT, f"n{chance.randrange(9)}")
        size = chance.randrange(1000)
        return chance.choice([Present(place, None, False, size), Absent(), Unknown(Reason.HELD, place)])

    def settled() -> Present | Absent:
        return chance.choice([Present(Place(ROOT, "s"), None, False, chance.randrange(1000)), Absent()])

    keys: list[int] = []
    db._connection.execute("BEGIN")
    try:
        for _ in range(steps):
            action = chance.randrange(6)
            if action < 2 or not keys:
                kind = chance.choice(list(Kind))
                keys.append(db.nodes.insert(kind, synced=settled(), remote=state(), local=state()))
            elif action == 2:
                db.nodes.set_local(chance.choice(keys), state(), None)
            elif action == 3:
                db.nodes.set_remote(chance.choice(keys), state())
            elif action == 4:
                db.nodes.set_synced(chance.choice(keys), settled())
            elif chance.random() < 0.2:
                db.nodes.forget_synced(2)
            else:
                db.nodes.delete(keys.pop(chance.randrange(len(keys))))
        counts = db.nodes.counts()
        assert (counts.synced, counts.remote, counts.local) == tuple(
            counted(db, tree) for tree in (Tree.SYNCED, Tree.REMOTE, Tree.LOCAL)
        )
    finally:
        db._connection.execute("ROLLBACK")
        db.nodes.forget()


@pytest.mark.parametrize("tree", [Tree.LOCAL, Tree.REMOTE])
def test_p11_children_are_read_in_pages_also_where_two_claim_a_name(db: Database, tree: Tree) -> None:
    parent = directory(db, ROOT, "folder")
    keys = [directory(db, parent, name) for name in ("b", "a", "b", "c", "b")]
    elsewhere = directory(db, ROOT, "b")
    pages, after = [], ("", 0)
    while page := db.nodes.children_after(tree, parent, after, 2):
        pages.append(page)
        after = page[-1]
    assert pages == [
        [("a", keys[1]), ("b", keys[0])],
        [("b", keys[2]), ("b", keys[4])],
        [("c", keys[3])],
    ]
    assert [node.id for node in db.nodes.children_backwards(tree, parent)] == [key for _, key in chain(*pages)][::-1]
    assert elsewhere not in [key for _, key in chain(*pages)]


def test_children_whose_names_begin_alike(db: Database) -> None:
    keys = [directory(db, ROOT, name) for name in ("ab", "a\U0010ffff", "b", "abc", "Ab", "aa", "äb")]
    assert [node.id for node in db.nodes.beginning(Tree.LOCAL, ROOT, "ab")] == [keys[0], keys[3]]
    assert [node.id for node in db.nodes.beginning(Tree.LOCAL, ROOT, "")] != []
    assert db.nodes.beginning(Tree.LOCAL, ROOT, "\udcff") == []


SAME = Present(Place(ROOT, "x"), b"h" * 32, False, 3)


@pytest.mark.parametrize(
    ("kind", "synced", "here", "there", "undecided"),
    [
        pytest.param(Kind.FILE, SAME, SAME, Absent(), False, id="in sync, deleted there: it goes"),
        pytest.param(Kind.FILE, SAME, SAME, SAME, True, id="both have it"),
        pytest.param(Kind.FILE, SAME, SAME, Unknown(Reason.IGNORED), True, id="not known there"),
        pytest.param(Kind.FILE, Absent(), SAME, Absent(), True, id="new"),
        pytest.param(Kind.FILE, SAME, replace(SAME, hash=b"i" * 32), Absent(), True, id="edited"),
        pytest.param(Kind.FILE, SAME, replace(SAME, executable=True), Absent(), True, id="another bit"),
        pytest.param(Kind.FILE, replace(SAME, place=Place(ROOT, "y")), SAME, Absent(), True, id="moved"),
        pytest.param(Kind.DIRECTORY, SAME, SAME, Absent(), True, id="a directory: what is in it decides"),
    ],
)
@pytest.mark.parametrize("tree", [Tree.LOCAL, Tree.REMOTE])
def test_what_may_outlive_its_directory(
    db: Database, tree: Tree, kind: Kind, synced: Present | Absent, here: Present, there: State, undecided: bool
) -> None:
    sides = {"local": here, "remote": there} if tree is Tree.LOCAL else {"local": there, "remote": here}
    key = db.nodes.insert(kind, synced=synced, **sides)
    assert [node.id for node in db.nodes.undecided_children(tree, ROOT)] == ([key] if undecided else [])


def test_p11_the_children_of_a_row_follow_another_in_parts(db: Database) -> None:
    keep, drop = (db.nodes.insert(Kind.DIRECTORY) for _ in range(2))
    keys = [db.nodes.insert(Kind.FILE, local=Present(Place(drop, name))) for name in ("a", "b", "c")]
    keys.append(db.nodes.insert(Kind.FILE, synced=Present(Place(drop, "d"))))
    assert [db.nodes.move_children(keep, drop, 2) for _ in range(3)] == [2, 2, 0]
    assert [node.id for node in db.nodes.children(Tree.LOCAL, keep)] == keys[:3]
    assert [node.id for node in db.nodes.children(Tree.SYNCED, keep)] == keys[3:]
