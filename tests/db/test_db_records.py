"""Conflicts, decisions, runs, activity, commands, facts, held names and pieces."""

from typing import Any

import pytest

from syncd.db.activity import ActivityRow
from syncd.db.chunks import Chunks
from syncd.db.connection import Database
from syncd.db.decisions import Decision, GroupKind, Item
from syncd.db.facts import HeldEntry
from syncd.db.runs import RunKind, RunStatus
from syncd.model.conflict import ConflictKind
from syncd.model.node import Kind
from syncd.model.op import OpType, Side
from syncd.model.path import ROOT

# --- conflicts


def test_p3_an_equal_open_conflict_is_stored_once(db: Database) -> None:
    first = db.conflicts.add(5, ConflictKind.EDIT_EDIT, "a \udcff", "a 2", 1.0)
    assert db.conflicts.add(5, ConflictKind.EDIT_EDIT, "a \udcff", "a 2", 2.0) == first
    assert db.conflicts.get(first).path == "a \\udcff"
    db.conflicts.resolve(first, "keep both", 3.0)
    assert db.conflicts.add(5, ConflictKind.EDIT_EDIT, "a \udcff", "a 2", 4.0) != first


def test_a_conflict_is_open_until_resolved_and_the_first_ending_counts(db: Database) -> None:
    a = db.conflicts.add(5, ConflictKind.NAME, "a", "", 1.0)
    b = db.conflicts.add(6, ConflictKind.TYPE, "b", "", 2.0)
    db.conflicts.resolve(a, "keep mine", 3.0)
    db.conflicts.resolve(a, "keep theirs", 4.0)
    assert [c.id for c in db.conflicts.open()] == [b]
    assert db.conflicts.open_count() == 1
    ended = db.conflicts.get(a)
    assert (ended.resolution, ended.resolved) == ("keep mine", 3.0)
    assert [c.id for c in db.conflicts.recent(5)] == [b, a]
    assert [c.id for c in db.conflicts.of_node(5)] == [a]


# --- decisions


def held(db: Database) -> int:
    group = db.decisions.open(GroupKind.HELD, Side.LOCAL, "1,200 deletes in 10 minutes", 1.0)
    db.decisions.add(group, [Item(node, f"p{node}", "delete", 10) for node in (7, 5, 6)])
    return group


def test_p8_a_group_tells_its_numbers_and_pages_its_items(db: Database) -> None:
    group = held(db)
    found = db.decisions.get(group)
    assert (found.items, found.undecided, found.bytes, found.side) == (3, 3, 30, Side.LOCAL)
    assert [item.node for item in db.decisions.items(group, 2)] == [5, 6]
    assert [item.node for item in db.decisions.items(group, 2, after=6)] == [7]
    assert db.decisions.undecided() == [found]


def test_a_decision_once_given_stays(db: Database) -> None:
    group = held(db)
    assert db.decisions.decide(group, Decision.ALLOW, 3.0) == 3
    assert db.decisions.decide(group, Decision.REFUSE, 4.0) == 0
    word = db.decisions.unfinished()
    db.decisions.take_on(word, [6])
    db.decisions.add(group, [Item(6, "other", "delete", 99)])
    db.decisions.remove(group, [6])
    found = [(item.node, item.decision, item.decided, item.path) for item in db.decisions.items(group, 9)]
    assert found == [(node, Decision.ALLOW, 3.0, f"p{node}") for node in (5, 6, 7)]
    assert db.decisions.undecided() == []


def test_p11_a_word_on_a_group_is_taken_on_item_by_item(db: Database) -> None:
    group, other = held(db), held(db)
    assert db.decisions.unfinished() is None
    db.decisions.decide(group, Decision.REFUSE, 2.0)
    word = db.decisions.unfinished()
    assert (word.group, word.decision, word.at) == (group, Decision.REFUSE, 2.0)
    assert db.decisions.untaken(group, 2) == [5, 6]
    assert db.decisions.undecided_of(GroupKind.HELD, Side.LOCAL) == other, "what comes now is no part of it"
    db.decisions.undo(other, group)
    assert db.decisions.standing(5) == (group, Decision.UNDECIDED, 0.0), "nothing was done about it yet"
    db.decisions.take_on(word, [5, 6])
    assert db.decisions.standing(5) == (group, Decision.REFUSE, 2.0)
    assert db.decisions.untaken(group, 2) == [7]
    db.decisions.take_on(word, [7])
    assert db.decisions.unfinished() is None


def test_p9_the_stable_ids_of_what_is_undecided(db: Database) -> None:
    keys = [db.nodes.insert(Kind.FILE, node_id=bytes([number] * 16)) for number in (3, 1, 2)]
    group = db.decisions.open(GroupKind.HELD, Side.REMOTE, "many deletes", 1.0)
    db.decisions.add(group, [Item(key) for key in (*keys, db.nodes.insert(Kind.FILE))])
    assert db.decisions.undecided_ids(group) == [bytes([number] * 16) for number in (3, 1, 2)]


def test_the_newest_decision_that_was_not_undone_holds(db: Database) -> None:
    old, new = held(db), held(db)
    db.decisions.decide(new, Decision.ALLOW, 2.0)
    db.decisions.take_on(db.decisions.unfinished(), [5])
    assert db.decisions.standing(5) == (new, Decision.ALLOW, 2.0)
    db.decisions.undo(new, old)
    assert db.decisions.standing(5) == (old, Decision.UNDECIDED, 0.0)
    assert db.decisions.standing(99) is None


def test_what_needs_no_decision_any_more_leaves_the_group(db: Database) -> None:
    group = held(db)
    db.decisions.remove(group, [5])
    key = db.nodes.insert(Kind.FILE)
    db.decisions.add(group, [Item(key)])
    db.nodes.delete(key)
    assert [item.node for item in db.decisions.items(group, 9)] == [6, 7]
    assert db.decisions.prune(99.0) == 0
    db.decisions.decide(group, Decision.ALLOW, 2.0)
    assert db.decisions.prune(99.0) == 0, "some items have not taken it on"
    db.decisions.take_on(db.decisions.unfinished(), [6, 7])
    assert [db.decisions.prune(99.0, 1) for _ in range(4)] == [1, 1, 1, 0]
    assert db.decisions.items(group, 9) == []
    assert db.decisions.get(group) is None


# --- runs


def test_p4_an_interrupted_run_is_found_with_its_cursor(db: Database) -> None:
    run = db.runs.start(RunKind.DEEP, '{"below":[]}', 1.0)
    db.runs.progress(run, 500, 2, "a/b")
    (found,) = db.runs.active()
    assert (found.id, found.parameters, found.processed, found.errors, found.cursor) == (
        run, '{"below":[]}', 500, 2, "a/b",
    )  # fmt: skip
    db.runs.finish(run, RunStatus.COMPLETED, 2.0)
    db.runs.finish(run, RunStatus.FAILED, 3.0)
    db.runs.progress(run, 0, 0, "")
    ended = db.runs.get(run)
    assert (ended.status, ended.finished, ended.processed) == (RunStatus.COMPLETED, 2.0, 500)
    assert db.runs.active() == []
    with pytest.raises(ValueError, match="running"):
        db.runs.finish(run, RunStatus.RUNNING, 4.0)


def test_runs_are_kept_while_recent_or_among_the_last_ten(db: Database) -> None:
    day = 86400.0
    interrupted = db.runs.start(RunKind.QUICK, "{}", 0.0)
    ids = [db.runs.start(RunKind.QUICK, "{}", 0.0) for _ in range(14)]
    for number, run in enumerate(ids):
        db.runs.finish(run, RunStatus.COMPLETED, 50 * day if number == 0 else float(number))
    assert db.runs.prune(60 * day) == 3
    assert [run.id for run in db.runs.recent(99)] == [*reversed(ids[4:]), ids[0], interrupted]


# --- activity and commands


def test_activity_is_read_newest_first_and_pages(db: Database) -> None:
    rows = [ActivityRow(float(n), n, f"p{n % 2}", "upload", "edited \udcff", "done", Side.REMOTE, n) for n in range(5)]
    db.activity.add(rows)
    newest = db.activity.recent(2)
    assert [row.at for row in newest] == [4.0, 3.0]
    assert newest[0] == ActivityRow(4.0, 4, "p0", "upload", "edited \\udcff", "done", Side.REMOTE, 4, False, 5)
    assert [row.at for row in db.activity.recent(9, before=newest[-1].id)] == [2.0, 1.0, 0.0]
    assert [row.at for row in db.activity.of_path("p1", 9)] == [3.0, 1.0]
    assert db.activity.prune(before=3.0, keep=3) == 2
    assert [row.at for row in db.activity.recent(9)] == [4.0, 3.0, 2.0]


def test_p8_what_was_destroyed_lately_is_counted_per_side(db: Database) -> None:
    def row(at: float, side: Side, destructive: bool) -> ActivityRow:
        return ActivityRow(at, 1, "p", "delete", "", "done", side, 10, destructive)

    db.activity.add([row(1.0, Side.LOCAL, True), row(5.0, Side.LOCAL, True), row(6.0, Side.LOCAL, False)])
    db.activity.add([row(6.0, Side.REMOTE, True), row(7.0, Side.REMOTE, True)])
    assert db.activity.destroyed(Side.LOCAL, 2.0) == (1, 10)
    assert db.activity.destroyed(Side.REMOTE, 6.0) == (2, 20)
    assert db.activity.destroyed(Side.REMOTE, 8.0) == (0, 0)


def test_p8_what_was_removed_lately_is_counted_on_both_sides_and_what_was_replaced_is_not(db: Database) -> None:
    def row(at: float, side: Side, what: OpType, destructive: bool = True) -> ActivityRow:
        return ActivityRow(at, 1, "p", what.value, "", "done", side, 10, destructive)

    db.activity.add(
        [
            row(1.0, Side.LOCAL, OpType.LOCAL_DELETE),
            row(5.0, Side.LOCAL, OpType.LOCAL_DELETE),
            row(5.0, Side.REMOTE, OpType.REMOTE_DELETE),
            row(6.0, Side.LOCAL, OpType.DOWNLOAD),
            row(6.0, Side.REMOTE, OpType.REMOTE_DELETE, destructive=False),  # a person allowed it
        ]
    )
    assert [db.activity.removed(since) for since in (0.0, 2.0, 6.0)] == [3, 2, 0]


def test_a_command_is_pending_until_it_ended(db: Database) -> None:
    first = db.commands.add("resolve", [("path", "a b"), ("keep", "mine")], 1.0)
    second = db.commands.add("scan", [], 2.0)
    (told, _) = db.commands.pending()
    assert (told.id, told.verb, told.arguments) == (first, "resolve", (("path", "a b"), ("keep", "mine")))
    db.commands.finish(first, 3.0, failed=True, result="no such path")
    assert [command.id for command in db.commands.pending()] == [second]
    ended = db.commands.get(first)
    assert (ended.state, ended.finished, ended.result) == ("failed", 3.0, "no such path")
    assert db.commands.prune(99.0) == 1
    assert [command.id for command in db.commands.recent(9)] == [second]


# --- facts and held names


def test_facts_are_set_read_and_forgotten(db: Database) -> None:
    db.meta.set("cursor", "1")
    db.meta.set("cursor", "2")
    assert db.meta.get("cursor") == "2"
    assert db.meta.get("none", "default") == "default"
    db.meta.delete("cursor")
    assert db.meta.get("cursor") is None


def test_p3_the_same_again_writes_nothing(db: Database) -> None:
    entries = [HeldEntry("pipe", "is a FIFO"), HeldEntry("bad \udcff", "is not UTF-8", "x")]
    db.meta.set("cursor", "1")
    db.held.replace(ROOT, entries)
    before = db._connection.total_changes()
    db.meta.set("cursor", "1")
    db.held.replace(ROOT, list(reversed(entries)))
    assert db._connection.total_changes() == before


def test_held_names_follow_the_looks(db: Database) -> None:
    db.held.replace(ROOT, [HeldEntry("b", "is a FIFO"), HeldEntry("a\udcff", "is not UTF-8")])
    db.held.replace(5, [HeldEntry("c", "is a socket")])
    db.held.replace(ROOT, [HeldEntry("new", "is a device")], names=["b", "new"])
    assert [(parent, entry.name) for parent, entry in db.held.list()] == [(ROOT, "a\\xff"), (ROOT, "new"), (5, "c")]
    db.held.replace(ROOT, [])
    assert db.held.count() == 1


# --- pieces


def test_pieces_are_located_at_their_most_recent_place(db: Database, clock: Any) -> None:
    a, b = db.nodes.insert(Kind.FILE), db.nodes.insert(Kind.FILE)
    db.chunks.put_many(a, [(b"x", 0, 5), (b"y", 5, 6)])
    clock.at += 1
    db.chunks.put_many(b, [(b"x", 10, 5)])
    assert db.chunks.locate([b"x", b"y", b"z"]) == {b"x": (b, 10, 5), b"y": (a, 5, 6)}
    db.chunks.put_many(a, [(b"z", 0, 1)])
    assert db.chunks.locate([b"y", b"z"]) == {b"z": (a, 0, 1)}
    db.nodes.delete(b)
    assert db.chunks.locate([b"x"]) == {}
    assert db.chunks.count() == 1
    db.chunks.forget(a)
    assert db.chunks.count() == 0


def test_the_least_recently_used_pieces_go_first(db: Database, clock: Any) -> None:
    chunks = Chunks(db._connection, clock, cap=3)
    a, b = db.nodes.insert(Kind.FILE), db.nodes.insert(Kind.FILE)
    chunks.put_many(a, [(b"1", 0, 1), (b"2", 1, 1), (b"3", 2, 1)])
    clock.at += 1
    chunks.touch([b"1"])
    clock.at += 1
    chunks.put_many(b, [(b"4", 0, 1), (b"5", 1, 1)])
    assert sorted(chunks.locate([b"1", b"2", b"3", b"4", b"5"])) == [b"1", b"4", b"5"]
    assert chunks.count() == 3
