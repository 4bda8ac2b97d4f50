"""The queue: supersede, retry, park; the key that is stored before it is sent."""

from dataclasses import replace
from typing import Any

import pytest

from syncd.db.connection import Database
from syncd.db.decisions import Decision, GroupKind, Item
from syncd.db.queue import HELD, AtStake, QueuedOp
from syncd.model.conflict import ConflictKind
from syncd.model.node import Fingerprint, Kind, Place, Version
from syncd.model.op import Move, Op, OpState, OpType, Side, Wait, WaitKind

PRINT = Fingerprint(dev=2**64 - 1, ino=2**64 - 1, mtime_ns=-(2**70), ctime_ns=2**70, size=1)
UPLOAD = Op(5, OpType.UPLOAD, Kind.FILE, Place(1, "a"), hash=bytes(32), size=10)
FULL = Op(
    node=7, type=OpType.CONFLICT, kind=Kind.SYMLINK, place=Place(2, "naïve\n'\"\0"), source=Place(3, "b"),
    hash=bytes(range(32)), size=2**62, executable=True, mtime_ns=-5, manifest=bytes(32), base=Version(2**64, "t"),
    expected=PRINT, expected_hash=b"\xff" * 32, aside="a (conflicted copy, x, 2026-01-01 000000)", partner=9,
    partner_expected=PRINT, group=(Move(1, Version(1, "x"), Place(2, "y")), Move(2, Version(2, "z"), Place(1, "q"))),
    waits=(Wait(WaitKind.NAME_FREE, 11), Wait(WaitKind.PARENT_EXISTS, 12)), conflict=ConflictKind.EDIT_EDIT,
    destructive=True, bytes_at_stake=2**40,
)  # fmt: skip


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def put(db: Database, op: Op, number: int, state: OpState = OpState.READY, not_before: float | None = None) -> int:
    return db.queue.put(op, state=state, key=key(number), not_before=not_before, now=100.0)


@pytest.mark.parametrize("op", [UPLOAD, FULL])
@pytest.mark.parametrize("state", [OpState.READY, OpState.BLOCKED])
def test_an_op_is_read_back_exactly(db: Database, op: Op, state: OpState) -> None:
    op_id = put(db, op, 1, state, not_before=7.5)
    expected = QueuedOp(op_id, key(1), op, state, next_at=7.5, created=100.0)
    assert db.queue.get(op_id) == db.queue.live(op.node) == db.queue.by_key(key(1)) == expected


def test_p3_an_equal_op_keeps_its_id_key_attempts_and_time(db: Database) -> None:
    first = put(db, FULL, 1)
    db.queue.start([first], [b"dirs"])
    db.queue.retry(first, 500.0, "Transient", "no \udcff luck")
    assert put(db, FULL, 2, not_before=900.0) == first
    assert db.queue.live(7) == QueuedOp(
        first, key(1), FULL, OpState.READY, 1, 500.0, "no \\udcff luck", "Transient", 100.0, b""
    )
    assert db.queue.by_key(key(2)) is None


@pytest.mark.parametrize(
    ("before", "asked", "after"),
    [
        pytest.param("ready", OpState.BLOCKED, OpState.BLOCKED, id="an equal op can be held"),
        pytest.param("blocked", OpState.READY, OpState.READY, id="an equal op can be let go"),
        pytest.param("failed", OpState.READY, OpState.FAILED, id="planning again does not free a parked op"),
    ],
)
def test_an_equal_op_takes_the_asked_state_unless_parked(
    db: Database, before: str, asked: OpState, after: OpState
) -> None:
    op_id = put(db, UPLOAD, 1, OpState.BLOCKED if before == "blocked" else OpState.READY)
    if before == "failed":
        db.queue.park(op_id, "Refused", "never")
    assert put(db, UPLOAD, 2, asked) == op_id
    assert db.queue.get(op_id).state is after


@pytest.mark.parametrize("change", ["ready", "blocked", "failed"])
def test_another_op_supersedes_the_live_one(db: Database, change: str) -> None:
    first = put(db, FULL, 1)
    if change == "failed":
        db.queue.park(first, "Refused", "no")
    elif change == "blocked":
        db.queue.block(first)
    other = replace(FULL, hash=bytes(32), waits=())
    second = put(db, other, 2)
    assert second > first
    assert db.queue.get(first) is None
    assert db.queue.waiting_on(11) == []
    assert db.queue.live(7) == QueuedOp(second, key(2), other, OpState.READY, created=100.0)


def test_p4_a_running_op_is_never_superseded_dropped_or_cleared(db: Database) -> None:
    op_id = put(db, UPLOAD, 1)
    db.queue.start([op_id], [b"where"])
    for op in (UPLOAD, replace(UPLOAD, size=11)):
        with pytest.raises(RuntimeError, match="running"):
            put(db, op, 2)
    db.queue.drop(5)
    db.queue.clear()
    assert db.queue.running() == [QueuedOp(op_id, key(1), UPLOAD, OpState.RUNNING, created=100.0, run_dirs=b"where")]


def test_only_a_ready_op_is_started(db: Database) -> None:
    op_id = put(db, UPLOAD, 1, OpState.BLOCKED)
    with pytest.raises(RuntimeError, match="not ready"):
        db.queue.start([op_id], [b""])
    with pytest.raises(ValueError, match="running"):
        put(db, UPLOAD, 1, OpState.RUNNING)


def test_p4_an_abandoned_op_is_known_by_its_key_and_hinders_no_new_one(db: Database) -> None:
    first = put(db, FULL, 1)
    db.queue.start([first], [b""])
    db.queue.abandon(first, 200.0)
    assert db.queue.live(7) is None
    assert db.queue.waiting_on(11) == []
    found = db.queue.by_key(key(1))
    assert found is not None
    assert (found.id, found.state, found.op) == (first, OpState.DONE, FULL)
    second = put(db, FULL, 2)
    assert second != first
    assert db.queue.prune(200.0) == 0
    assert db.queue.prune(200.5) == 1
    assert db.queue.by_key(key(1)) is None
    assert db.queue.live(7).id == second


def test_a_finished_op_is_gone_and_its_id_is_never_used_again(db: Database) -> None:
    first = put(db, UPLOAD, 1)
    db.queue.start([first], [b""])
    db.queue.finish(first)
    assert db.queue.get(first) is None
    assert put(db, UPLOAD, 2) > first


def test_ready_is_by_side_due_time_priority_size_and_age(db: Database) -> None:
    def op(node: int, kind: OpType, size: int = 0) -> Op:
        return Op(node, kind, Kind.FILE, Place(1, "a"), size=size)

    large = put(db, op(1, OpType.UPLOAD, 1 << 40), 1)
    small = put(db, op(2, OpType.UPLOAD, 5), 2)
    delete = put(db, op(3, OpType.REMOTE_DELETE), 3)
    mkdir = put(db, op(4, OpType.REMOTE_MKDIR), 4)
    small2 = put(db, op(5, OpType.UPLOAD, 4), 5)
    put(db, op(6, OpType.REMOTE_MOVE), 6, not_before=200.0)
    put(db, op(7, OpType.REMOTE_MOVE), 7, OpState.BLOCKED)
    local = put(db, op(8, OpType.LOCAL_DELETE), 8)
    assert [q.id for q in db.queue.ready(Side.REMOTE, 199.9, 9)] == [mkdir, small, small2, large, delete]
    assert [q.id for q in db.queue.ready(Side.REMOTE, 199.9, 2)] == [mkdir, small]
    assert len(db.queue.ready(Side.REMOTE, 200.0, 9)) == 6
    assert [q.id for q in db.queue.ready(Side.LOCAL, 0.0, 9)] == [local]


def test_ready_reads_its_index_in_order(db: Database) -> None:
    plan = db._connection.execute(
        "EXPLAIN QUERY PLAN SELECT op FROM queue_op WHERE state = 'ready' AND side = 'local' AND next_retry_at <= 5"
        " ORDER BY priority, id LIMIT 5"
    ).fetchall()
    assert [row[3] for row in plan] == ["SEARCH queue_op USING INDEX queue_op_ready (side=?)"]


def test_next_due_tells_when_to_wake(db: Database, clock: Any) -> None:
    assert db.queue.next_due() is None
    put(db, UPLOAD, 1, OpState.BLOCKED)
    assert db.queue.next_due() is None
    op_id = put(db, replace(UPLOAD, node=6), 2, not_before=clock.at + 5)
    assert db.queue.next_due() == clock.at + 5
    clock.at += 5
    assert db.queue.next_due() == 0.0
    db.queue.start([op_id], [b""])
    assert db.queue.next_due() is None
    db.queue.retry(op_id, clock.at + 60, "Offline", "gone")
    assert db.queue.next_due() == clock.at + 60
    assert db.queue.hurry() == 1
    assert db.queue.next_due() == 0.0


def test_times_follow_a_clock_that_is_set(db: Database, clock: Any) -> None:
    resting, retried = put(db, FULL, 1, not_before=clock.at + 2), put(db, UPLOAD, 2)
    db.queue.start([retried], [b""])
    db.queue.retry(retried, clock.at + 60, "Offline", "gone")
    db.queue.shift(-50.0)
    assert [db.queue.get(op).next_at for op in (resting, retried)] == [clock.at - 48, clock.at + 10]
    db.queue.shift(-1e10)
    assert [db.queue.get(op).next_at for op in (resting, retried)] == [None, None], "due, and never before all time"


def test_a_time_no_wait_leads_to_is_now(db: Database, clock: Any) -> None:
    fine, odd = put(db, FULL, 1, not_before=clock.at + 100), put(db, UPLOAD, 2, not_before=clock.at + 101)
    db.queue.bound(clock.at + 100)
    assert [db.queue.get(op).next_at for op in (fine, odd)] == [clock.at + 100, None]


def test_a_released_op_starts_afresh_but_still_rests(db: Database) -> None:
    parked, held = put(db, UPLOAD, 1), put(db, FULL, 2, OpState.BLOCKED, not_before=300.0)
    db.queue.start([parked], [b""])
    db.queue.retry(parked, 400.0, "Transient", "x")
    db.queue.park(parked, "Refused", "too much")
    db.queue.release(parked)
    db.queue.release(held)
    assert db.queue.get(parked) == QueuedOp(parked, key(1), UPLOAD, OpState.READY, created=100.0)
    assert db.queue.get(held) == QueuedOp(held, key(2), FULL, OpState.READY, next_at=300.0, created=100.0)


def test_waiting_on_names_the_nodes_that_wait(db: Database) -> None:
    put(db, FULL, 1)
    put(db, replace(UPLOAD, waits=(Wait(WaitKind.DIRECTORY_EMPTY, 11), Wait(WaitKind.NAME_FREE, 11))), 2)
    assert db.queue.waiting_on(11) == [5, 7]
    assert db.queue.waiting_on(12) == [7]
    assert db.queue.waiting_on(5) == []
    db.queue.drop(7)
    assert db.queue.waiting_on(12) == []


def test_p8_the_guard_sees_what_would_be_destroyed(db: Database) -> None:
    op_id = put(db, FULL, 1)
    put(db, UPLOAD, 2)
    assert db.queue.to_hold(Side.LOCAL, 0, 9) == [AtStake(op_id, 7, FULL.type.value, 2**40)]
    assert db.queue.to_hold(Side.REMOTE, 0, 9) == db.queue.to_hold(Side.LOCAL, op_id, 9) == []
    assert db.queue.at_stake(Side.LOCAL, 0.0) == (1, 2**40)
    assert (db.queue.newest_destructive(Side.LOCAL), db.queue.newest_destructive(Side.REMOTE)) == (op_id, 0)
    db.queue.block(op_id, HELD, "many deletes")
    assert db.queue.to_hold(Side.LOCAL, 0, 9) == [], "held already ..."
    assert db.queue.at_stake(Side.LOCAL, 0.0) == (1, 2**40), "... and still at stake"
    db.queue.drop(7)
    assert db.queue.at_stake(Side.LOCAL, 0.0) == (0, 0)


@pytest.mark.parametrize(
    ("decided", "since", "undone", "counts"),
    [
        pytest.param(5.0, 4.0, False, False, id="allowed a moment ago"),
        pytest.param(5.0, 6.0, False, True, id="allowed long ago, for another op"),
        pytest.param(50.0, 60.0, False, False, id="allowed long ago, and waits since"),
        pytest.param(5.0, 4.0, True, True, id="the allowance was taken back"),
    ],
)
def test_p8_what_a_person_allowed_is_not_at_stake(
    db: Database, decided: float, since: float, undone: bool, counts: bool
) -> None:
    db.queue.put(FULL, state=OpState.READY, key=bytes(16), not_before=None, now=20.0)
    group = db.decisions.open(GroupKind.HELD, Side.LOCAL, "many deletes", 1.0)
    db.decisions.add(group, [Item(FULL.node)])
    assert db.queue.at_stake(Side.LOCAL, since)[0] == 1
    db.decisions.decide(group, Decision.ALLOW, decided)
    assert db.queue.at_stake(Side.LOCAL, since)[0] == 1, "not before it is carried out"
    db.decisions.take_on(db.decisions.unfinished(), [FULL.node])
    if undone:
        db.decisions.undo(group, db.decisions.open(GroupKind.HELD, Side.LOCAL, "taken back", 2.0))
    assert db.queue.at_stake(Side.LOCAL, since)[0] == counts


def test_counts_name_every_state_and_clear_leaves_what_runs_or_is_done(db: Database) -> None:
    ids = [put(db, replace(UPLOAD, node=node), node) for node in range(1, 5)]
    db.queue.start(ids[:1], [b""])
    db.queue.abandon(ids[1], 1.0)
    db.queue.park(ids[2], "Refused", "no")
    assert db.queue.counts() == {
        OpState.READY: 1, OpState.RUNNING: 1, OpState.BLOCKED: 0, OpState.FAILED: 1, OpState.DONE: 1
    }  # fmt: skip
    db.queue.clear()
    assert {state for state, count in db.queue.counts().items() if count} == {OpState.RUNNING, OpState.DONE}


def test_p11_dropping_an_op_does_not_read_the_whole_queue(db: Database) -> None:
    for number in range(3):
        put(db, replace(UPLOAD, node=number + 10), number)
    ran: list[tuple[str, Any]] = []
    db._connection.exec_trace = lambda cursor, sql, values: ran.append((sql, values)) is None
    db.queue.drop(10)
    db.nodes.delete(11)
    db._connection.exec_trace = None
    plans = [db._connection.execute("EXPLAIN QUERY PLAN " + sql, values).fetchall() for sql, values in ran]
    assert len(plans) > 4
    assert not [row for plan in plans for row in plan if str(row[3]).startswith("SCAN")]
