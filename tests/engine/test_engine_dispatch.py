"""What is handed to workers, and what is not: rows that went, directories that are not there, nodes at work."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from syncd.db.queue import QueuedOp
from syncd.engine import intake
from syncd.engine.desk import EngineSettings
from syncd.model.job import ApplyJob, Lane, LookJob, PollJob
from syncd.model.node import Absent, Fingerprint, Kind, Place, Present, Version
from syncd.model.observation import Hints, PollEnded
from syncd.model.op import Move, Op, OpState, OpType, Side
from syncd.model.path import ROOT
from tests.engine.world import Device, World

A, B = Place(ROOT, "a"), Place(ROOT, "b")
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


def taken(device: Device, type_: OpType, **more: object) -> Op:
    """Return an op that takes a name, which a look found taken since it was planned."""
    comes = row(device, b"m" * 16, local=replace(S, place=B) if more["source"] == B else Absent())
    row(device)
    return op(type_, comes, **more)


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
    "to a name that somebody has here by now": (lambda ann: taken(ann, OpType.LOCAL_MOVE, source=B), False),
    "aside, to a name that somebody has here by now": (lambda ann: taken(ann, OpType.SET_ASIDE, source=B), False),
    "a directory where there is one by now": (lambda ann: taken(ann, OpType.LOCAL_MKDIR, source=None), False),
    "a new file where there is one by now": (lambda ann: taken(ann, OpType.DOWNLOAD, source=None), False),
    "new content of what has its name to itself": (
        lambda ann: op(OpType.DOWNLOAD, row(ann), source=None, expected=Fingerprint(1, 2, 3, 4, 5)),
        True,
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


def test_a_folder_made_here_before_the_remote_one_could_be_is_joined_with_it(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its look was still being taken in when the op to make it began: two rows stood for the one folder for ever."""
    world = make_world("ann", "bob", settings=EngineSettings(batch_ops=1, apply_width=1))
    ann, bob = world.devices
    world.settle()
    for name in ("a", "d"):
        ann.path(name).mkdir()
        ann.wait()
    poll = next(job for job in bob.jobs if isinstance(job, PollJob))
    bob.jobs.remove(poll)
    bob.step([PollEnded(poll, changed=True)])
    while not any(isinstance(job, ApplyJob) for job in bob.jobs):
        bob.one()
    (first,) = (job for job in bob.jobs if isinstance(job, ApplyJob))
    bob.jobs.remove(first)
    assert first.assignments[0].op.place.name == "a", "making the other folder waits for its turn"
    names = ["d", *(f"x{number}" for number in range(8))]
    bob.path("d").mkdir()
    for name in names[1:]:
        bob.write(name, name)
    bob.step([Hints(tuple(((), name) for name in names))])
    bob.time.ahead += 5.0
    bob.step([])
    look = next(job for job in bob.jobs if isinstance(job, LookJob))
    bob.jobs.remove(look)
    monkeypatch.setattr(intake, "ROWS_A_STEP", len(names) + 1)
    bob.step([bob.looker.look(look), *bob.handle(first)])
    assert bob.engine.intake.busy, "the folder was taken in, and is not planned yet"
    monkeypatch.undo()
    world.settle()
