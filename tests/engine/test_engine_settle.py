"""What each end of an op leaves behind: in the queue, in the three trees, and for the next look."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from syncd.db.queue import QueuedOp
from syncd.engine.recovery import PATIENCE
from syncd.model.conflict import ConflictKind
from syncd.model.job import ApplyJob, Assignment, LookJob
from syncd.model.node import Absent, Fingerprint, Kind, Place, Present, Reason, State, Unknown, Version
from syncd.model.observation import Displaced, Ending, LocalAfter, OpResult, OpsEnded
from syncd.model.op import Op, OpState, OpType
from syncd.model.path import ROOT, ROOT_ID
from syncd.model.remote import RemoteNode
from tests.engine.world import Device, World

ID = b"n" * 16
HASH = b"h" * 32
A, B = Place(ROOT, "a"), Place(ROOT, "b")
S = Present(A, HASH, False, 5, 7, Version(3, "t"))
L = Present(A, HASH, False, 5, 7)
AFTER = Fingerprint(1, 42, 8, 9, 6)


@pytest.fixture
def ann(make_world: Callable[..., World]) -> Device:
    (device,) = make_world("ann").devices
    device.wait()
    return device


def under_way(
    device: Device,
    op: Op,
    *,
    synced: Present | Absent = S,
    remote: State = S,
    local: State = L,
    node_id: bytes = ID,
) -> QueuedOp:
    """Add a node with *op* running on it."""
    db, desk = device.db, device.engine.desk
    with db.transaction(durable=True):
        key = db.nodes.insert(op.kind, node_id=node_id, synced=synced, remote=remote, local=local, fingerprint=AFTER)
        op_id = db.queue.put(
            replace(op, node=key), state=OpState.READY, key=device.luck.token(16), not_before=None, now=0.0
        )
        db.queue.start([op_id], [b""])
    desk.running[key] = op_id
    found = db.queue.get(op_id)
    assert found is not None
    return found


def end(device: Device, *results: OpResult, last: bool = False, job: ApplyJob | None = None) -> None:
    desk = device.engine.desk
    job = job or ApplyJob((), False)
    if last:
        desk.in_flight[job.lane] = desk.in_flight.get(job.lane, 0) + 1
    with device.db.transaction(durable=True):
        device.engine.settler.take(OpsEnded(job, results, last))


def op(type_: OpType, kind: Kind = Kind.FILE, **more: object) -> Op:
    return Op(0, type_, kind, **({"place": A, "source": A, "hash": HASH, "size": 5} | more))  # type: ignore[arg-type]


def said(version: int, name: str = "a", **more: object) -> RemoteNode:
    return RemoteNode(ID, ROOT_ID, name, Kind.FILE, Version(version, "u"), **more)  # type: ignore[arg-type]


def state(device: Device, queued: QueuedOp) -> OpState | None:
    live = device.db.queue.live(queued.op.node)
    return None if live is None else live.state


# --- ends, one by one ---

ENDS = [
    (Ending.DONE, "", None),
    (Ending.STALE, "outdated", OpState.READY),
    (Ending.RETRY, "transient", OpState.READY),
    (Ending.RETRY, "in use", OpState.READY),
    (Ending.RETRY, "root gone", OpState.READY),
    (Ending.RETRY, "offline", OpState.READY),
    (Ending.REFUSED, "refused", OpState.FAILED),
    (Ending.REFUSED, "", OpState.FAILED),
    (Ending.NOT_DONE, "", None),
    (Ending.LEFTOVER, "", None),
    (Ending.UNSURE, "disk", OpState.RUNNING),
    (Ending.UNSURE, "root gone", OpState.RUNNING),
]


@pytest.mark.parametrize(("ending", "error", "expected"), ENDS, ids=[f"{e.value} {c}".strip() for e, c, _ in ENDS])
def test_p4_each_end_leaves_the_op_where_it_belongs(
    ann: Device, ending: Ending, error: str, expected: OpState | None
) -> None:
    queued = under_way(ann, op(OpType.LOCAL_CHMOD))
    end(ann, OpResult(queued.id, ending, error_class=error, error=error))
    assert state(ann, queued) is expected
    assert (queued.op.node in ann.engine.desk.running) is (expected is OpState.RUNNING)


def test_p4_an_op_on_the_remote_that_was_not_done_may_still_arrive(ann: Device) -> None:
    queued = under_way(ann, op(OpType.REMOTE_CHMOD))
    end(ann, OpResult(queued.id, Ending.NOT_DONE))
    assert state(ann, queued) is None
    assert ann.db.queue.by_key(queued.key) is not None


def test_p4_an_end_nobody_can_find_out_is_given_back_after_some_looks(ann: Device) -> None:
    queued = under_way(ann, op(OpType.LOCAL_CHMOD))
    for _ in range(PATIENCE):
        end(ann, OpResult(queued.id, Ending.UNSURE, error_class="disk"))
        assert state(ann, queued) is OpState.RUNNING
    end(ann, OpResult(queued.id, Ending.UNSURE, error_class="disk"))
    assert state(ann, queued) is OpState.READY


def test_p3_a_result_of_an_op_nobody_knows_changes_nothing(ann: Device) -> None:
    before = ann.db.queue.counts()
    end(ann, OpResult(999, Ending.DONE))
    assert ann.db.queue.counts() == before


@pytest.mark.parametrize("forgotten", [False, True], ids=["still running", "settled meanwhile"])
def test_p4_an_op_that_got_no_answer_is_not_forgotten(ann: Device, forgotten: bool) -> None:
    queued = under_way(ann, op(OpType.LOCAL_CHMOD))
    remote = under_way(ann, op(OpType.REMOTE_CHMOD), node_id=b"m" * 16)
    gone = Assignment(998, b"k", op(OpType.LOCAL_CHMOD), ID, ("a",))
    assignments = (
        Assignment(queued.id, queued.key, queued.op, ID, ("a",)),
        Assignment(remote.id, remote.key, remote.op, ID, ("a",)),
        gone,
    )
    if forgotten:
        ann.engine.desk.running.clear()
    end(ann, last=True, job=ApplyJob(assignments, False))
    assert ann.db.queue.get(remote.id).attempts == (0 if forgotten else 1)  # type: ignore[union-attr]
    assert state(ann, queued) is OpState.RUNNING  # looked into before anything is planned anew
    assert (queued.id in ann.engine.recovery.unsure) is not forgotten
    end(ann, last=True, job=ApplyJob(assignments[:1], False))
    assert state(ann, queued) is OpState.RUNNING


@pytest.mark.parametrize("forgotten", [False, True], ids=["still running", "settled meanwhile"])
def test_p4_the_ops_of_a_job_that_broke_go_back(ann: Device, forgotten: bool) -> None:
    queued = under_way(ann, op(OpType.REMOTE_CHMOD))
    job = ApplyJob((Assignment(queued.id, queued.key, queued.op, ID, ("a",)),), False)
    ann.engine.desk.in_flight[job.lane] = 2
    if forgotten:
        ann.engine.desk.running.clear()
    with ann.db.transaction(durable=True):
        ann.engine.settler.broke(job, "it broke")
    assert (state(ann, queued) is OpState.READY) is not forgotten
    unknown = Assignment(997, b"k", replace(queued.op, node=997), ID, ("a",))
    ann.engine.desk.running[997] = 997
    with ann.db.transaction(durable=True):
        ann.engine.settler.broke(ApplyJob((unknown,), False), "it broke")


# --- what moves forward ---


def test_p4_what_was_done_to_a_row_that_went_is_told_and_that_is_all(ann: Device) -> None:
    with ann.db.transaction(durable=True):
        lost = replace(op(OpType.DOWNLOAD), node=998)
        op_id = ann.db.queue.put(lost, state=OpState.READY, key=b"k" * 16, not_before=None, now=0.0)
        ann.db.queue.start([op_id], [b""])
    end(ann, OpResult(op_id, Ending.DONE))
    assert ann.db.queue.live(998) is None


@pytest.mark.parametrize(
    ("known", "answered", "position"),
    [
        pytest.param(S, 9, 9, id="what the remote left is news"),
        pytest.param(S, 3, 3, id="what is known already"),
        pytest.param(replace(S, version=Version(20, "v")), 9, 20, id="R is further already"),
        pytest.param(Unknown(Reason.HELD, A), 9, 9, id="what R was is not known"),
        pytest.param(Absent(), 9, 9, id="R had no version"),
    ],
)
def test_p2_r_moves_only_forward_with_our_own_commits(ann: Device, known: State, answered: int, position: int) -> None:
    queued = under_way(ann, op(OpType.REMOTE_CHMOD), remote=known)
    stranger = RemoteNode(b"?" * 16, ROOT_ID, "x", Kind.FILE, Version(9, "u"))
    end(ann, OpResult(queued.id, Ending.DONE, remote=(said(answered), stranger)))
    node = ann.db.nodes.node(queued.op.node)
    assert node is not None
    assert isinstance(node.remote, Present)
    assert node.remote.version is not None
    assert node.remote.version.position == position


LOCAL: list[tuple[str, Op, State, LocalAfter | None, State]] = [
    ("a delete", op(OpType.LOCAL_DELETE), L, None, Absent()),
    (
        "a chmod keeps place and content",
        op(OpType.LOCAL_CHMOD, place=B),
        L,
        LocalAfter(AFTER, None, True),
        Present(A, HASH, True, 6, 8),
    ),
    (
        "a download to where nothing was known",
        op(OpType.DOWNLOAD, source=None),
        Absent(),
        LocalAfter(AFTER, HASH, False),
        Present(A, HASH, False, 6, 8),
    ),
    ("a move that says nothing of what it left", op(OpType.LOCAL_MOVE, place=B), L, None, L),
    (
        "a move keeps the content",
        op(OpType.LOCAL_MOVE, place=B),
        L,
        LocalAfter(AFTER, None, False),
        Present(B, HASH, False, 6, 8),
    ),
]


@pytest.mark.parametrize(("done", "local", "after", "expected"), [row[1:] for row in LOCAL], ids=[r[0] for r in LOCAL])
def test_p4_l_is_what_the_op_left(
    ann: Device, done: Op, local: State, after: LocalAfter | None, expected: State
) -> None:
    queued = under_way(ann, done, local=local)
    end(ann, OpResult(queued.id, Ending.DONE, local=after))
    node = ann.db.nodes.node(queued.op.node)
    assert node is not None
    assert node.local == expected


@pytest.mark.parametrize("local", [L, Absent()], ids=["known", "new"])
def test_where_there_is_no_executable_bit_l_keeps_what_is_known(ann: Device, local: State) -> None:
    facts = ann.engine.desk.facts
    facts.traits = replace(facts.traits, executable_bit=False)
    queued = under_way(ann, op(OpType.DOWNLOAD, executable=True, source=None), local=local)
    end(ann, OpResult(queued.id, Ending.DONE, local=LocalAfter(AFTER, HASH, False)))
    node = ann.db.nodes.node(queued.op.node)
    assert node is not None
    assert isinstance(node.local, Present)
    assert node.local.executable is (local == Absent())


@pytest.mark.parametrize("bit", [True, False], ids=["with executable bit", "without"])
@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
@pytest.mark.parametrize("known", [True, False], ids=["partner known", "partner gone"])
def test_p2_a_swapped_partner_is_at_its_new_place(ann: Device, bit: bool, told: bool, known: bool) -> None:
    facts = ann.engine.desk.facts
    facts.traits = replace(facts.traits, executable_bit=bit)
    there = replace(L, place=B)
    with ann.db.transaction(durable=True):
        local = there if known else Absent()
        partner = ann.db.nodes.insert(Kind.FILE, node_id=b"p" * 16, synced=replace(S, place=B), local=local)
    queued = under_way(ann, op(OpType.LOCAL_SWAP, place=B, partner=partner))
    ann.engine.desk.running[partner] = queued.id
    after = LocalAfter(AFTER, None, True) if told else None
    end(ann, OpResult(queued.id, Ending.DONE, local=LocalAfter(AFTER, None, False), partner_local=after))
    node = ann.db.nodes.node(partner)
    assert node is not None
    assert partner not in ann.engine.desk.running
    expected = replace(there, place=A, executable=bit and told) if known else Absent()
    assert node.local == expected


def test_a_made_directory_has_what_is_to_come_into_it_planned(ann: Device) -> None:
    made = Present(A, None, False, 0, 0, Version(3, "t"))
    queued = under_way(ann, op(OpType.LOCAL_MKDIR, Kind.DIRECTORY, source=None, hash=None, size=0), remote=made)
    end(ann, OpResult(queued.id, Ending.DONE, local=LocalAfter(AFTER, None, False)))
    node = ann.db.nodes.node(queued.op.node)
    assert node is not None
    assert isinstance(node.local, Present)
    assert node.local.size == 0
    assert any(key == queued.op.node for _, key in ann.engine.desk.below)


ASIDE = [
    ("what was displaced names the copy", op(OpType.DOWNLOAD), (Displaced("copy", ("copy",)),)),
    ("a set-aside names itself", op(OpType.SET_ASIDE, place=B, conflict=ConflictKind.NAME), ()),
    ("a conflict names what it set aside", op(OpType.CONFLICT, aside="copy", conflict=ConflictKind.EDIT_EDIT), ()),
]


@pytest.mark.parametrize(("done", "displaced"), [row[1:] for row in ASIDE], ids=[row[0] for row in ASIDE])
def test_p12_a_conflict_is_noted(ann: Device, done: Op, displaced: tuple[Displaced, ...]) -> None:
    queued = under_way(ann, done)
    before = ann.db.conflicts.open_count()
    end(ann, OpResult(queued.id, Ending.DONE, local=LocalAfter(AFTER, HASH, False), displaced=displaced))
    assert ann.db.conflicts.open_count() == before + 1


# --- leftovers and stale ends ---


@pytest.mark.parametrize("remote", [Absent(Version(9, "t")), replace(S, place=B)], ids=["gone there", "moved there"])
@pytest.mark.parametrize("local", [Present(A, None, False, 0, 0), Absent()], ids=["here", "gone here"])
def test_a_directory_with_only_ignored_content_stays_by_itself(ann: Device, remote: State, local: State) -> None:
    queued = under_way(ann, op(OpType.LOCAL_DELETE, Kind.DIRECTORY, hash=None, size=0), remote=remote, local=local)
    with ann.db.transaction(durable=True):
        inside = Place(queued.op.node, "ignored")
        child = ann.db.nodes.insert(Kind.FILE, local=Unknown(Reason.IGNORED, inside))
    end(ann, OpResult(queued.id, Ending.LEFTOVER))
    node, below = ann.db.nodes.node(queued.op.node), ann.db.nodes.node(child)
    assert node is not None
    assert below is not None
    assert isinstance(below.local, Unknown)
    if local == Absent():
        assert node.local == Absent()
    elif isinstance(remote, Absent):
        assert isinstance(node.local, Unknown)
        assert below.local.place == inside
    else:
        assert node.local == Absent()
        assert below.local.place is not None
        assert below.local.place.parent != queued.op.node, "it lies in a directory of its own now"


@pytest.mark.parametrize(
    ("remote", "answer", "version"),
    [
        pytest.param(Absent(), said(9, deleted=True), Version(9, "u"), id="the version of what is absent is learnt"),
        pytest.param(Absent(Version(2, "k")), said(9, deleted=True), Version(2, "k"), id="a known one is left"),
        pytest.param(Absent(), said(9), None, id="what lives is the feed's to tell"),
    ],
)
def test_p4_a_stale_end_learns_only_of_tombstones(
    ann: Device, remote: Absent, answer: RemoteNode, version: Version | None
) -> None:
    queued = under_way(ann, op(OpType.UPLOAD, source=None), remote=remote)
    end(ann, OpResult(queued.id, Ending.STALE, remote=(answer,)))
    node = ann.db.nodes.node(queued.op.node)
    assert node is not None
    assert node.remote == Absent(version)


def test_what_was_not_permitted_gets_another_chance_and_nothing_else(ann: Device) -> None:
    forbidden = under_way(ann, op(OpType.LOCAL_CHMOD))
    refused = under_way(ann, op(OpType.LOCAL_CHMOD), node_id=b"m" * 16)
    end(ann, OpResult(forbidden.id, Ending.REFUSED, error_class="not permitted"))
    end(ann, OpResult(refused.id, Ending.REFUSED, error_class="refused"))
    with ann.db.transaction(durable=True):
        ann.engine.settler.may_be_permitted_now()
    assert (state(ann, forbidden), state(ann, refused)) == (OpState.READY, OpState.FAILED)


def test_p5_content_that_changed_under_its_fingerprint_is_read_again(ann: Device) -> None:
    """A look that goes by fingerprints would pass over it, and the upload be tried for ever."""
    ann.write("a", "as it is")
    ann.wait()
    queued = under_way(ann, op(OpType.UPLOAD, source=None))
    end(ann, OpResult(queued.id, Ending.STALE, error_class="other content", error="other content"))
    looks = [job for job in ann.engine.desk.outbox if isinstance(job, LookJob)]
    assert [(job.deep, job.units[0].names) for job in looks] == [(True, ("a",))]
