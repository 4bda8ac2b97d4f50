"""An op advances only what it carried (section 7): the rest of S is what it was."""

from dataclasses import replace

import pytest

from syncd.engine.carry import after_own_commit
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
