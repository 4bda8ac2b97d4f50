"""What the only writer keeps of the queue is what the table says, whoever writes, also after a rollback (P11)."""

import random
from dataclasses import replace

import pytest

from syncd.db import own_queue
from syncd.db.connection import Database
from syncd.db.queue import QueueReader
from syncd.model.node import Kind, Place, Present
from syncd.model.op import Op, OpState, OpType, Side, Wait, WaitKind
from syncd.model.path import ROOT, NodeKey

NODES = 6


def op_of(node: NodeKey, chance: random.Random) -> Op:
    kind = chance.choice((OpType.DOWNLOAD, OpType.UPLOAD, OpType.LOCAL_DELETE, OpType.REMOTE_DELETE))
    waits = (Wait(WaitKind.NAME_FREE, chance.randrange(9)),) if chance.random() < 0.3 else ()
    return Op(node, kind, Kind.FILE, Place(ROOT, chance.choice("ab")), size=chance.choice((1, 2**40)), waits=waits)


def write_something(db: Database, nodes: list[NodeKey], chance: random.Random) -> None:
    """Call one of all the ways there are to write ops."""
    queue, now = db.queue, float(chance.randrange(5))
    node = chance.choice(nodes)
    live = queue.live(node)
    op_id = live.id if live is not None else 10**6
    ready = live is not None and live.state is OpState.READY
    running = live is not None and live.state is OpState.RUNNING
    state = chance.choice((OpState.READY, OpState.BLOCKED))
    key = chance.randbytes(16)

    def put(op: Op) -> None:
        if not running:
            queue.put(op, state=state, key=key, not_before=chance.choice((None, 3.0)), now=now)

    ways = (
        lambda: put(op_of(node, chance)),
        lambda: put(live.op if live is not None else op_of(node, chance)),
        lambda: put(replace(live.op, size=3) if live is not None else op_of(node, chance)),
        lambda: queue.start([op_id], [chance.randbytes(3)]) if ready else None,
        lambda: queue.finish(op_id),
        lambda: queue.abandon(op_id, now),
        lambda: queue.retry(op_id, now, "busy", "\udcff"),
        lambda: queue.park(op_id, "refused", "why"),
        lambda: queue.block(op_id, "held", "why"),
        lambda: queue.release(op_id),
        lambda: queue.drop(node),
        queue.hurry,
        lambda: queue.shift(2.0),
        lambda: queue.bound(2.0),
        lambda: queue.prune(now, chance.choice((1, -1))),
        lambda: queue.clear() if chance.random() < 0.2 else None,
        lambda: forget_node(db, nodes, node) if not running else None,
    )
    chance.choice(ways)()


def forget_node(db: Database, nodes: list[NodeKey], node: NodeKey) -> None:
    db.nodes.delete(node)
    nodes.remove(node)
    nodes.append(db.nodes.insert(Kind.FILE, local=Present(Place(ROOT, "a"))))


@pytest.mark.parametrize("kept", [own_queue.KEPT, 2])
@pytest.mark.parametrize("seed", range(12))
def test_what_is_kept_is_what_the_table_says_whoever_writes(
    db: Database, seed: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_queue, "KEPT", kept)
    monkeypatch.setattr(own_queue, "AT_ONCE", 2)
    monkeypatch.setattr(own_queue, "MANY", 1)
    keys: list[bytes] = []
    chance, fresh = random.Random(seed), QueueReader(db._connection)
    nodes = [db.nodes.insert(Kind.FILE, local=Present(Place(ROOT, "a"))) for _ in range(NODES)]
    for _ in range(150):
        before = {found.id for node in nodes if (found := db.queue.live(node)) is not None}
        write_something(db, nodes, chance)
        for node in nodes:
            found = fresh.live(node)
            assert db.queue.live(node) == found
            keys += [] if found is None or found.key in keys else [found.key]
        db.queue.expect([*keys, b"nobody's"])
        for key in (*keys, b"nobody's"):
            assert db.queue.by_key(key) == fresh.by_key(key)
        for op_id in before:
            assert db.queue.get(op_id) == fresh.get(op_id)
        for side in Side:
            assert db.queue.ready(side, 4.0, 9) == fresh.ready(side, 4.0, 9)
        assert db.queue.in_state(None, 9) == fresh.in_state(None, 9)


def put_in_vain(db: Database, op: Op) -> None:
    with db.transaction():
        db.queue.put(op, state=OpState.READY, key=b"k" * 16, not_before=None, now=1.0)
        assert db.queue.live(op.node) is not None
        raise LookupError


def start_in_vain(db: Database, op_id: int) -> None:
    with db.transaction():
        db.queue.start([op_id], [b"dirs"])
        raise LookupError


def test_a_rollback_takes_back_what_was_put_and_started(db: Database) -> None:
    node = db.nodes.insert(Kind.FILE, local=Present(Place(ROOT, "a")))
    op = op_of(node, random.Random(0))
    with pytest.raises(LookupError):
        put_in_vain(db, op)
    assert db.queue.live(node) is None
    op_id = db.queue.put(op, state=OpState.READY, key=b"k" * 16, not_before=None, now=1.0)
    with pytest.raises(LookupError):
        start_in_vain(db, op_id)
    found = db.queue.live(node)
    assert found is not None
    assert found.state is OpState.READY
    assert [each.id for each in db.queue.ready(op.side, 2.0, 9)] == [op_id]
