"""An op advances only what it carried (section 7): the rest of S is what it was."""

from dataclasses import replace

import pytest

from syncd.engine.carry import after_local_op, after_own_commit, displaced_by_swap
from syncd.model.node import Absent, Kind, Node, Place, Present, Version
from syncd.model.op import Op, OpType

S = Present(Place(1, "name"), b"s", False, 1, 1, Version(1, "a"))
"""What was in sync."""

R = Present(Place(7, "elsewhere"), b"r", True, 2, 2, Version(5, "e"), b"manifest")
"""What the remote answers: others moved, edited and marked the node as well."""


def op(type_: OpType) -> Op:
    return Op(2, type_, Kind.FILE, Place(1, "name"), source=Place(1, "name"))


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        pytest.param(OpType.REMOTE_CHMOD, replace(S, executable=True), id="the bit"),
        pytest.param(OpType.REMOTE_MOVE, replace(S, place=R.place), id="the place"),
        pytest.param(
            OpType.UPLOAD, replace(S, hash=b"r", size=2, executable=True, mtime_ns=2), id="the content, with its bit"
        ),
    ],
)
def test_p2_a_commit_advances_what_it_carried(type_: OpType, expected: Present) -> None:
    node = Node(2, b"n", Kind.FILE, S, R, S)
    after = after_own_commit(node, op(type_), R)
    assert after == replace(expected, version=R.version, manifest=R.manifest)


def test_p2_a_delete_leaves_nothing() -> None:
    node = Node(2, b"n", Kind.FILE, S, R, Absent())
    assert after_own_commit(node, op(OpType.REMOTE_DELETE), Absent(Version(6, "f"))) == Absent()


def test_p2_a_commit_that_carried_nothing_of_ours_advances_only_the_version() -> None:
    """A delete that the remote answers with a living node: somebody revived it."""
    node = Node(2, b"n", Kind.FILE, S, R, S)
    after = after_own_commit(node, op(OpType.REMOTE_DELETE), R)
    assert after == replace(S, version=R.version, manifest=R.manifest)


@pytest.mark.parametrize(
    ("type_", "synced", "expected"),
    [
        pytest.param(OpType.LOCAL_DELETE, S, Absent(), id="a delete leaves nothing"),
        pytest.param(OpType.LOCAL_MOVE, S, replace(S, place=Place(9, "new")), id="a move, the place"),
        pytest.param(OpType.LOCAL_SWAP, S, replace(S, place=Place(9, "new")), id="a swap, the place"),
        pytest.param(OpType.LOCAL_CHMOD, S, replace(S, executable=True), id="a chmod, the bit"),
        pytest.param(OpType.LOCAL_MOVE, Absent(), Absent(), id="a move of what was never in sync, nothing"),
        pytest.param(OpType.LOCAL_CHMOD, Absent(), Absent(), id="a chmod of what was never in sync, nothing"),
        pytest.param(OpType.SET_ASIDE, S, S, id="a set-aside, nothing: it is a rename still to be told"),
    ],
)
def test_p2_an_op_here_advances_what_it_carried(
    type_: OpType, synced: Present | Absent, expected: Present | Absent
) -> None:
    node = Node(2, b"n", Kind.FILE, synced, R, S)
    done = replace(op(type_), place=Place(9, "new"), executable=True)
    assert after_local_op(node, done) == expected


@pytest.mark.parametrize("synced", [S, Absent()], ids=["in sync", "never in sync"])
def test_p2_a_content_brought_here_is_in_sync_where_it_was_put(synced: Present | Absent) -> None:
    brought = replace(op(OpType.DOWNLOAD), place=Place(9, "new"), hash=b"h", size=3, mtime_ns=4, base=R.version)
    place = S.place if synced == S else Place(9, "new")
    after = after_local_op(Node(2, b"n", Kind.FILE, synced, R, S), brought)
    assert after == Present(place, b"h", False, 3, 4, R.version)


@pytest.mark.parametrize("synced", [S, Absent()], ids=["in sync", "never in sync"])
def test_p2_who_is_swapped_out_of_the_way_is_in_sync_there(synced: Present | Absent) -> None:
    partner = Node(3, b"p", Kind.FILE, synced, R, S)
    expected = replace(S, place=Place(9, "new")) if synced == S else synced
    assert displaced_by_swap(partner, Place(9, "new")) == expected


def test_what_is_new_is_in_sync_as_the_remote_says() -> None:
    made = replace(op(OpType.UPLOAD), source=None)
    assert after_own_commit(Node(2, b"n", Kind.FILE, S, R, S), made, R) == R
    assert after_own_commit(Node(2, b"n", Kind.FILE, Absent(), R, S), op(OpType.UPLOAD), R) == R
