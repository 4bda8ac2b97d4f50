"""Rows of the trees: what is written is read back, and what needs planning is found."""

import itertools

import apsw
import pytest

from syncd.db.connection import Database
from syncd.db.nodes import _AT_FOLDED, _DISAGREEING
from syncd.db.structure import TreeCount
from syncd.model.job import KnownEntry
from syncd.model.node import (
    Absent,
    Fingerprint,
    Kind,
    Node,
    Place,
    Present,
    Reason,
    State,
    Tree,
    Unknown,
    Version,
)
from syncd.model.op import Op, OpState, OpType
from syncd.model.path import ROOT, ROOT_ID

HERE = Place(ROOT, "naïve.txt")
HASH = bytes(range(32))
OTHER = bytes(32)
PRINT = Fingerprint(dev=1, ino=2, mtime_ns=3, ctime_ns=4, size=5)
WIDE = Fingerprint(dev=2**64 - 1, ino=2**64 - 2, mtime_ns=-(2**70), ctime_ns=2**70, size=2**63 - 1)

WITH_VERSION: list[State] = [
    Present(HERE),
    Present(HERE, HASH, True, 7, -1, Version(9, "tag"), OTHER),
    Present(HERE, HASH, False, 7, 2**65, Version(2**64, "tag")),
    Absent(),
    Absent(Version(3, "tombstone")),
]
UNKNOWN: list[State] = [
    *[Unknown(reason) for reason in Reason],
    Unknown(Reason.UNREADABLE, HERE, "bad \udcff detail"),
]
LOCAL: list[State] = [Present(HERE, HASH, True, 7, 8), Present(HERE), Absent(), *UNKNOWN]


def readable(state: State) -> State:
    """Details are only shown: what is not UTF-8 comes back escaped."""
    if isinstance(state, Unknown):
        return Unknown(state.reason, state.place, state.detail.replace("\udcff", "\\udcff"))
    return state


@pytest.mark.parametrize("kind", list(Kind))
def test_every_combination_of_states_is_read_back_as_inserted(db: Database, kind: Kind) -> None:
    number = 0
    with db.transaction():
        for synced, remote, local in itertools.product(WITH_VERSION, WITH_VERSION + UNKNOWN, LOCAL):
            number += 1
            node_id = number.to_bytes(16, "big")
            assert not isinstance(synced, Unknown)
            for fingerprint, racy in ((None, False), (PRINT, True), (WIDE, False)):
                row = {"synced": synced, "remote": remote, "local": local, "fingerprint": fingerprint, "racy": racy}
                key = db.nodes.insert(kind, node_id=node_id, **row)
                read = (readable(synced), readable(remote), readable(local))
                assert db.nodes.node(key) == Node(key, node_id, kind, *read, fingerprint, racy)
                db.nodes.delete(key)


@pytest.mark.parametrize("local", LOCAL)
@pytest.mark.parametrize("remote", WITH_VERSION + UNKNOWN)
def test_setters_change_one_tree_only(db: Database, remote: State, local: State) -> None:
    key = db.nodes.insert(Kind.FILE)
    db.nodes.set_remote(key, remote)
    assert db.nodes.node(key) == Node(key, None, Kind.FILE, remote=readable(remote))
    db.nodes.set_local(key, local, PRINT, racy=True)
    both = Node(key, None, Kind.FILE, Absent(), readable(remote), readable(local), PRINT, True)
    assert db.nodes.node(key) == both
    if not isinstance(remote, Unknown):
        db.nodes.set_synced(key, remote)
        assert db.nodes.node(key) == Node(key, None, Kind.FILE, remote, readable(remote), readable(local), PRINT, True)


def test_the_root_is_there_in_every_tree_and_is_not_work(db: Database) -> None:
    there = Present(Place(0, ""))
    assert db.nodes.node(ROOT) == Node(ROOT, ROOT_ID, Kind.DIRECTORY, there, there, there)
    assert db.nodes.by_node_id(ROOT_ID) == db.nodes.node(ROOT)
    assert db.nodes.disagreeing(0, 10) == []
    with pytest.raises(ValueError, match="root"):
        db.nodes.delete(ROOT)


def test_the_database_itself_refuses_an_unknown_merge_base(db: Database) -> None:
    key = db.nodes.insert(Kind.FILE)
    with pytest.raises(apsw.ConstraintError):
        db.nodes.set_synced(key, Unknown(Reason.HELD))  # type: ignore[arg-type]


def test_node_ids_are_unique_and_missing_rows_are_errors(db: Database) -> None:
    db.nodes.insert(Kind.FILE, node_id=HASH[:16])
    other = db.nodes.insert(Kind.FILE)
    with pytest.raises(apsw.ConstraintError):
        db.nodes.set_node_id(other, HASH[:16])
    with pytest.raises(KeyError):
        db.nodes.set_local(99, Absent(), None)


def test_keys_are_never_used_again(db: Database) -> None:
    first = db.nodes.insert(Kind.FILE)
    db.nodes.delete(first)
    assert db.nodes.insert(Kind.FILE) > first


# --- reading --------------------------------------------------------------------------------------------------------


def test_places_hold_what_is_present_or_unknown_there(db: Database) -> None:
    a = db.nodes.insert(Kind.FILE, local=Present(Place(ROOT, "a")))
    twin = db.nodes.insert(Kind.FILE, local=Unknown(Reason.BUSY, Place(ROOT, "a")))
    upper = db.nodes.insert(Kind.FILE, local=Present(Place(ROOT, "A")))
    db.nodes.insert(Kind.FILE, local=Unknown(Reason.HELD), remote=Present(Place(ROOT, "a")))
    assert [n.id for n in db.nodes.children(Tree.LOCAL, ROOT)] == [upper, a, twin]
    assert [n.id for n in db.nodes.at(Tree.LOCAL, ROOT, "a")] == [a, twin]
    assert [n.id for n in db.nodes.at_folded(Tree.LOCAL, ROOT, "a")] == [a, twin, upper]
    assert db.nodes.at(Tree.LOCAL, ROOT, "\udcff") == []
    assert not db.nodes.has_children(Tree.SYNCED, ROOT)
    assert db.nodes.has_children(Tree.REMOTE, ROOT)


def test_a_vanished_node_is_found_by_inode_and_hash(db: Database) -> None:
    there = Present(HERE, HASH, size=5)
    gone = db.nodes.insert(Kind.FILE, synced=there, remote=there, local=there, fingerprint=PRINT)
    db.nodes.set_local(gone, Absent(), None)
    again = db.nodes.insert(Kind.FILE, local=Present(HERE, OTHER), fingerprint=PRINT)
    db.nodes.insert(Kind.FILE, local=Absent(), fingerprint=None)  # never had content
    assert [n.id for n in db.nodes.by_inode(1, 2)] == [again, gone]
    assert db.nodes.by_inode(2, 1) == []
    assert [n.id for n in db.nodes.vanished_with_hash(Kind.FILE, HASH)] == [gone]
    assert db.nodes.vanished_with_hash(Kind.SYMLINK, HASH) == []
    db.nodes.set_synced(gone, Absent())
    assert db.nodes.vanished_with_hash(Kind.FILE, HASH) == []


def test_inodes_beyond_63_bits_are_found(db: Database) -> None:
    key = db.nodes.insert(Kind.FILE, local=Present(HERE), fingerprint=WIDE)
    assert [n.id for n in db.nodes.by_inode(WIDE.dev, WIDE.ino)] == [key]


def test_known_gives_no_fingerprint_for_what_is_unknown(db: Database) -> None:
    db.nodes.insert(Kind.FILE, local=Present(Place(ROOT, "b"), HASH), fingerprint=PRINT, racy=True)
    db.nodes.insert(Kind.FILE, local=Unknown(Reason.UNREADABLE, Place(ROOT, "a")), fingerprint=PRINT)
    db.nodes.insert(Kind.DIRECTORY, local=Present(Place(ROOT, "d")), fingerprint=PRINT)
    a = KnownEntry("a", Kind.FILE, None, False, False)
    b = KnownEntry("b", Kind.FILE, PRINT, True, True, HASH, executable=False)
    d = KnownEntry("d", Kind.DIRECTORY, PRINT, False, True)
    assert db.nodes.known(ROOT) == (a, b, d)
    assert db.nodes.known(ROOT, ["d", "a", "zz", "d", "\udc80"]) == (a, d)


def test_a_hash_of_an_older_algorithm_counts_as_not_hashed(db: Database) -> None:
    key = db.nodes.insert(Kind.FILE, local=Present(HERE, HASH), fingerprint=PRINT)
    db._connection.execute("UPDATE node SET l_hash_alg = 0 WHERE id = ?", (key,))
    assert db.nodes.known(ROOT) == (KnownEntry(HERE.name, Kind.FILE, PRINT, False, False, executable=False),)


# --- work -----------------------------------------------------------------------------------------------------------

P = Present(HERE, HASH, False, 7)


@pytest.mark.parametrize(
    ("synced", "remote", "local", "work"),
    [
        pytest.param(P, P, P, False, id="all agree"),
        pytest.param(
            P, Present(HERE, HASH, False, 9, 9, Version(1, "x"), HASH), P, False, id="only bookkeeping differs"
        ),
        pytest.param(Absent(), Absent(), Absent(), False, id="nowhere"),
        pytest.param(Absent(), Absent(Version(1, "t")), Absent(), False, id="a tombstone"),
        pytest.param(Present(HERE), Present(HERE), Present(HERE), False, id="a directory has no hash"),
        pytest.param(P, P, Present(HERE, OTHER), True, id="edited here"),
        pytest.param(P, Present(HERE, OTHER), P, True, id="edited there"),
        pytest.param(P, P, Present(HERE, HASH, True), True, id="made executable"),
        pytest.param(P, P, Present(Place(ROOT, "b"), HASH), True, id="renamed here"),
        pytest.param(P, Present(Place(7, HERE.name), HASH), P, True, id="moved there"),
        pytest.param(P, P, Absent(), True, id="deleted here"),
        pytest.param(P, Absent(), Absent(), True, id="to be forgotten"),
        pytest.param(Absent(), P, Absent(), True, id="new there"),
        pytest.param(Absent(), P, P, True, id="to be adopted"),
        pytest.param(Present(HERE), P, Present(HERE), True, id="a hash against none"),
        pytest.param(P, Absent(), Unknown(Reason.UNREADABLE, HERE), False, id="unknown here is not planned"),
        pytest.param(P, Unknown(Reason.NOT_SELECTED), Absent(), False, id="unknown there is not planned"),
    ],
)
def test_work_is_what_disagrees_and_is_known(
    db: Database, synced: Present | Absent, remote: State, local: State, work: bool
) -> None:
    key = db.nodes.insert(Kind.FILE, synced=synced, remote=remote, local=local)
    assert db.nodes.disagreeing(0, 10) == ([key] if work else [])
    assert db.nodes.disagreeing_count() == int(work)


def test_an_absent_node_that_kept_its_hash_is_no_work(db: Database) -> None:
    key = db.nodes.insert(Kind.FILE, synced=P, remote=P, local=P, fingerprint=PRINT)
    db.nodes.set_local(key, Absent(), None)
    assert db.nodes.disagreeing(0, 10) == [key]
    db.nodes.set_synced(key, Absent())
    db.nodes.set_remote(key, Absent())
    assert db.nodes.disagreeing(0, 10) == []


def test_finding_twins_costs_the_same_however_many_siblings_there_are(db: Database) -> None:
    for tree in (Tree.LOCAL, Tree.REMOTE):
        plan = db._connection.execute("EXPLAIN QUERY PLAN " + _AT_FOLDED[tree], (ROOT, "a")).fetchall()
        searches = [str(row[3]) for row in plan if "node" in str(row[3])]
        assert len(searches) == 2
        assert f"node_{tree.value}_place ({tree.value}_parent=? AND {tree.value}_name=?)" in searches[0]
        assert f"node_{tree.value}_fold ({tree.value}_parent=? AND {tree.value}_fold=?)" in searches[1]


def test_twins_are_found_under_any_name_they_have_had(db: Database) -> None:
    key = db.nodes.insert(Kind.FILE, local=Present(Place(ROOT, "Stra\u00dfe")), remote=Present(Place(ROOT, "x")))
    assert [n.id for n in db.nodes.at_folded(Tree.LOCAL, ROOT, "STRASSE")] == [key]
    db.nodes.set_local(key, Unknown(Reason.BUSY, Place(ROOT, "e\u0301")), None)
    db.nodes.set_remote(key, Present(Place(ROOT, "Y")))
    assert db.nodes.at_folded(Tree.LOCAL, ROOT, "strasse") == []
    assert [n.id for n in db.nodes.at_folded(Tree.LOCAL, ROOT, "\u00c9")] == [key]
    assert [n.id for n in db.nodes.at_folded(Tree.REMOTE, ROOT, "y")] == [key]
    assert db.nodes.at_folded(Tree.REMOTE, ROOT, "x") == []


def test_finding_work_searches_the_partial_index_and_pages_in_order(db: Database) -> None:
    keys = [db.nodes.insert(Kind.FILE, local=Present(Place(ROOT, f"f{n}"))) for n in range(7)]
    plan = db._connection.execute("EXPLAIN QUERY PLAN " + _DISAGREEING, (0, 10)).fetchall()
    assert [row[3] for row in plan] == ["SEARCH node USING INDEX node_disagreeing (disagrees=? AND rowid>?)"]
    assert db.nodes.disagreeing(0, 3) == keys[:3]
    assert db.nodes.disagreeing(keys[2], 3) == keys[3:6]


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        ("SELECT id FROM node WHERE l_parent = 1 AND l_name = 'a' ORDER BY id", "node_l_place"),
        ("SELECT id FROM node WHERE r_parent = 1 AND r_name = 'a' ORDER BY id", "node_r_place"),
        ("SELECT id FROM node WHERE s_parent = 1 ORDER BY s_name, id", "node_s_place"),
        ("SELECT id FROM node WHERE l_ino = 1 AND l_dev = 2", "node_l_ino"),
        ("SELECT id FROM node WHERE l_hash = x'00' AND l_presence = 'absent'", "node_vanished"),
        ("SELECT id FROM node WHERE node_id = x'00'", "node_by_node_id"),
    ],
)
def test_look_ups_use_their_index_without_sorting(db: Database, sql: str, index: str) -> None:
    plan = [str(row[3]) for row in db._connection.execute("EXPLAIN QUERY PLAN " + sql).fetchall()]
    assert len(plan) == 1
    assert f"INDEX {index} " in plan[0]


# --- joining --------------------------------------------------------------------------------------------------------


def test_joining_moves_the_local_side_and_what_is_in_it(db: Database) -> None:
    remote = Present(Place(ROOT, "d"), version=Version(1, "a"))
    keep = db.nodes.insert(Kind.DIRECTORY, node_id=HASH[:16], remote=remote)
    local = Present(Place(ROOT, "d"))
    drop = db.nodes.insert(Kind.DIRECTORY, local=local, fingerprint=PRINT, racy=True)
    child = db.nodes.insert(Kind.FILE, local=Present(Place(drop, "x")))
    db.queue.put(
        Op(drop, OpType.REMOTE_MKDIR, Kind.DIRECTORY, Place(ROOT, "d")),
        state=OpState.READY, key=HASH, not_before=None, now=0,
    )  # fmt: skip
    db.nodes.merge_local_into(keep, drop)
    assert db.nodes.node(drop) is None
    assert db.queue.counts()[OpState.READY] == 0
    assert db.nodes.node(keep) == Node(
        keep, HASH[:16], Kind.DIRECTORY, remote=remote, local=local, fingerprint=PRINT, racy=True
    )
    assert db.nodes.path(Tree.LOCAL, child) == ("d", "x")
    assert db.nodes.local_orphans(10) == []


def test_joining_refuses_a_row_another_tree_has(db: Database) -> None:
    keep = db.nodes.insert(Kind.FILE)
    drop = db.nodes.insert(Kind.FILE, remote=P)
    with pytest.raises(ValueError, match="remote has it"):
        db.nodes.merge_local_into(keep, drop)
    with pytest.raises(ValueError, match="differ"):
        db.nodes.merge_local_into(keep, keep)


def test_joining_a_leftover_makes_it_present_and_keeps_the_merge_base_of_what_is_in_it(db: Database) -> None:
    keep = db.nodes.insert(Kind.DIRECTORY, remote=Present(Place(ROOT, "d")))
    left = Unknown(Reason.LEFTOVER, Place(ROOT, "d"), "only ignored content")
    drop = db.nodes.insert(Kind.DIRECTORY, synced=Present(Place(ROOT, "d")), local=left, fingerprint=PRINT)
    ignored = Unknown(Reason.IGNORED, Place(drop, "x"))
    child = db.nodes.insert(Kind.FILE, synced=Present(Place(drop, "x")), local=ignored)
    db.nodes.merge_local_into(keep, drop)
    joined = db.nodes.node(keep)
    assert (joined.local, joined.synced, joined.fingerprint) == (Present(Place(ROOT, "d")), Absent(), PRINT)
    inside = db.nodes.node(child)
    assert (inside.synced, inside.local) == (Present(Place(keep, "x")), Unknown(Reason.IGNORED, Place(keep, "x")))
    counts = db.nodes.counts()
    assert (counts.local.directories, counts.local.unknown, counts.synced.nodes) == (1, 1, 1)


def test_a_kind_is_learnt_once_and_never_changes(db: Database) -> None:
    key = db.nodes.insert(Kind.DIRECTORY, remote=Unknown(Reason.NOT_LOOKED))
    db.nodes.set_kind(key, Kind.FILE)
    db.nodes.set_remote(key, P)
    assert db.nodes.counts().remote == TreeCount(files=1, bytes=7)
    db.nodes.set_kind(key, Kind.SYMLINK)
    assert db.nodes.node(key).kind is Kind.FILE
    with pytest.raises(apsw.ConstraintError, match="never changes"):
        db._connection.execute("UPDATE node SET kind = 'symlink' WHERE id = ?", (key,))


def test_the_last_local_hash_outlives_the_file(db: Database) -> None:
    key = db.nodes.insert(Kind.FILE, local=P, fingerprint=PRINT)
    db.nodes.set_local(key, Unknown(Reason.BUSY, HERE), None)
    db.nodes.set_local(key, Absent(), None)
    assert db.nodes.last_local_hash(key) == HASH
    assert db.nodes.node(key).fingerprint == PRINT
    assert db.nodes.last_local_hash(99) is None


def test_p4_a_row_whose_op_runs_is_not_deleted(db: Database) -> None:
    key = db.nodes.insert(Kind.FILE, local=P)
    op = Op(key, OpType.UPLOAD, Kind.FILE, HERE)
    db.queue.start([db.queue.put(op, state=OpState.READY, key=HASH, not_before=None, now=0)], [b""])
    with pytest.raises(RuntimeError, match="running"):
        db.nodes.delete(key)
    assert db.nodes.node(key) is not None
