"""What is handed to workers, and what is not: rows that went, directories that are not there, nodes at work."""

from collections.abc import Callable

import pytest

from syncd.db.queue import QueuedOp
from syncd.engine.desk import EngineSettings
from syncd.model.job import Lane
from syncd.model.node import Absent, Fingerprint, Kind, Place, Present, Version
from syncd.model.op import Move, Op, OpState, OpType, Side
from syncd.model.path import ROOT
from tests.engine.world import Device, World

A = Place(ROOT, "a")
S = Present(A, b"h" * 32, False, 5, 7, Version(3, "t"))


@pytest.fixture
def ann(make_world: Callable[..., World]) -> Device:
    (device,) = make_world("ann", settings=EngineSettings(batch_ops=2, batch_bytes=1000, send_width=2)).devices
    device.wait()
    return device


def row(device: Device, node_id: bytes | None = b"n" * 16, **states: Present | Absent) -> int:
    with device.db.transaction(durable=True):
        return device.db.nodes.insert(
            Kind.FILE, node_id=node_id, fingerprint=Fingerprint(1, 2, 3, 4, 5), **({"remote": S, "local": S} | states)
        )  # type: ignore[arg-type]


def queue(device: Device, op: Op) -> QueuedOp:
    with device.db.transaction(durable=True):
        op_id = device.db.queue.put(op, state=OpState.READY, key=device.luck.token(16), not_before=None, now=0.0)
    found = device.db.queue.get(op_id)
    assert found is not None
    return found


def assigned(device: Device, op: Op) -> bool:
    return device.engine.dispatcher._assign(queue(device, op)) is not None


def op(type_: OpType, node: int, **more: object) -> Op:
    return Op(node, type_, Kind.FILE, **({"place": A, "source": A} | more))  # type: ignore[arg-type]


SITUATIONS: dict[str, tuple[Callable[[Device], Op], bool]] = {
    "a move at the remote": (lambda ann: op(OpType.REMOTE_MOVE, row(ann)), True),
    "a move here": (lambda ann: op(OpType.LOCAL_MOVE, row(ann)), True),
    "a row that went": (lambda ann: op(OpType.LOCAL_MOVE, 999), False),
    "a group with a row that went": (
        lambda ann: op(OpType.REMOTE_MOVE, row(ann), group=(Move(999, Version(1, "t"), A),)),
        False,
    ),
    "a group with a node the remote never saw": (
        lambda ann: op(OpType.REMOTE_MOVE, row(ann), group=(Move(row(ann, None), Version(1, "t"), A),)),
        False,
    ),
    "a group": (lambda ann: op(OpType.REMOTE_MOVE, row(ann), group=(Move(row(ann, b"m" * 16), S.version, A),)), True),  # type: ignore[arg-type]
    "into a directory that is not here": (
        lambda ann: op(OpType.LOCAL_MOVE, row(ann), place=Place(row(ann, b"m" * 16, local=Absent()), "b")),
        False,
    ),
    "out of a directory that is not here": (
        lambda ann: op(OpType.LOCAL_MOVE, row(ann), source=Place(row(ann, b"m" * 16, local=Absent()), "b")),
        False,
    ),
    "into a directory the remote does not have": (
        lambda ann: op(OpType.REMOTE_MOVE, row(ann), place=Place(row(ann, b"m" * 16, remote=Absent()), "b")),
        False,
    ),
    "of a node the remote never saw": (lambda ann: op(OpType.REMOTE_MOVE, row(ann, None)), False),
}


@pytest.mark.parametrize(("make", "expected"), SITUATIONS.values(), ids=SITUATIONS)
def test_only_what_can_be_resolved_is_handed_out(ann: Device, make: Callable[[Device], Op], expected: bool) -> None:
    wanted = make(ann)
    ann.engine.desk.dirty.clear()
    assert assigned(ann, wanted) is expected


@pytest.mark.parametrize("who", ["partner", "member"])
def test_what_is_at_work_in_another_op_is_not_handed_out_twice(ann: Device, who: str) -> None:
    mine, other = row(ann), row(ann, b"m" * 16)
    ann.engine.desk.running[other] = 999
    wanted = op(OpType.LOCAL_SWAP, mine, partner=other)
    if who == "member":
        wanted = op(OpType.REMOTE_MOVE, mine, group=(Move(other, Version(3, "t"), A),))
    assert not assigned(ann, wanted)
    del ann.engine.desk.running[other]


def work(device: Device, **gates: bool) -> list[list[int]]:
    with device.db.transaction(durable=True):
        jobs = device.engine.dispatcher.work(Side.REMOTE, **({"deletes": True, "judged": True} | gates))
    return [[a.op.node for a in job.assignments] for job in jobs]


def test_small_ops_travel_together_and_a_large_one_by_itself(ann: Device) -> None:
    keys = [row(ann, bytes([number]) * 16) for number in range(1, 5)]
    sizes = [10, 995, 10, 2 << 20]
    for key, size in zip(keys, sizes, strict=True):
        queue(ann, op(OpType.UPLOAD, key, size=size, hash=b"h" * 32))
    first = work(ann)
    assert sorted(key for job in first for key in job) == [keys[0], keys[2]]
    assert [len(job) for job in first] == [1, 1], "together they are more than a batch may hold"
    second = work(ann)
    assert second == [[keys[1]], [keys[3]]], "the large one travels by itself"


def test_p8_what_is_not_judged_yet_and_what_may_have_moved_waits(ann: Device) -> None:
    key = row(ann)
    queue(ann, op(OpType.REMOTE_DELETE, key, destructive=True))
    assert work(ann, deletes=False) == []
    assert work(ann, judged=False) == []
    ann.engine.desk.in_flight[Lane.SEND] = 2
    assert work(ann) == []
    ann.engine.desk.in_flight[Lane.SEND] = 0
    ann.engine.desk.running[key] = 999
    assert work(ann) == []
    del ann.engine.desk.running[key]
    assert work(ann) == [[key]]
    assert ann.engine.desk.running[key] > 0


def test_what_cannot_be_resolved_makes_no_job(ann: Device) -> None:
    queue(ann, op(OpType.REMOTE_DELETE, row(ann, None)))
    assert work(ann) == []
