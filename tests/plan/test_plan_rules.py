"""What ops carry (P6), joining, superseded history, temporary names, who is touched: beyond the table of sentences."""

import pytest

from syncd.model.conflict import ConflictKind
from syncd.model.node import Present, Version
from syncd.model.op import OpType, WaitKind
from syncd.model.path import MAX_NAME_BYTES, name_fault
from syncd.plan.order import temporary_name, touch
from syncd.plan.planner import join, plan
from tests.plan.sentences import build, joined, planned


def op_of(key, *rows, **traits):
    world = build(*rows, **traits)
    found = plan(world, key, world.context("pc")).op
    assert found is not None
    return found, world.rows[key]


@pytest.mark.parametrize(
    ("row", "bytes_at_stake"),
    [
        pytest.param("2 f|1/a v1|1/a v10|1/a v1", 20, id="a download over a local file"),
        pytest.param("2 f|1/a v1|1/a v1|1/a v200", 20, id="an upload over the remote's content"),
        pytest.param("2 f|1/a v1|1/a v1|-", 20, id="a remote delete"),
        pytest.param("2 f|1/a v1|-t|1/a v1", 20, id="a local delete"),
    ],
)
def test_p8_what_displaces_content_says_so_and_how_much(row, bytes_at_stake):
    op, _ = op_of(2, row)
    assert op.destructive
    assert op.bytes_at_stake == bytes_at_stake


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("2 f|-|1/a v1|-", id="a new download"),
        pytest.param("2 f|-|-|1/a v1", id="a new upload"),
        pytest.param("2 f|1/a v1|1/a v2|1/a v3", id="a conflict, which keeps both"),
        pytest.param("2 f|1/a v1|1/a v1|1/b v1", id="a rename"),
    ],
)
def test_p8_what_displaces_nothing_is_not_counted(row):
    op, _ = op_of(2, row)
    assert not op.destructive
    assert op.bytes_at_stake == 0


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("2 f|1/a v1|1/a v2|1/a v1", id="download"),
        pytest.param("2 f|1/a v1|1/a v2|1/a v3", id="conflict"),
        pytest.param("2 f|1/a v1|1/b v1|1/a v1", id="local move"),
        pytest.param("2 f|1/a v1|1/a v1x|1/a v1", id="local chmod"),
        pytest.param("2 f|1/a v1|-t|1/a v1", id="local delete"),
    ],
)
def test_p6_local_ops_carry_the_file_they_expect(row):
    op, node = op_of(2, row)
    assert op.source == node.local.place
    assert op.expected == node.fingerprint
    assert op.expected_hash == node.local.hash


def test_p6_a_create_here_expects_nothing():
    op, node = op_of(2, "2 f|-|1/a v1|-")
    assert (op.source, op.expected, op.expected_hash) == (None, None, None)
    assert op.base == node.remote.version


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("2 f|1/a v1|1/a v1|1/a v2", id="upload"),
        pytest.param("2 f|1/a v1|1/a v1|1/b v1", id="remote move"),
        pytest.param("2 f|1/a v1|1/a v1|1/a v1x", id="remote chmod"),
        pytest.param("2 f|1/a v1|1/a v1|-", id="remote delete"),
        pytest.param("2 f|1/a v1|-t|1/a v2", id="revival of a tombstone"),
    ],
)
def test_p6_remote_ops_carry_the_version_they_expect(row):
    op, node = op_of(2, row)
    assert op.base == node.remote.version is not None


def test_p6_a_create_there_has_no_base():
    op, _ = op_of(2, "2 f|-|-|1/a v1")
    assert op.base is None


def test_p6_a_remote_delete_looks_at_the_last_local_place_unless_another_lives_there():
    op, node = op_of(2, "2 f|1/a v1|1/a v1|-")
    assert op.source == node.synced.place
    op, _ = op_of(2, "2 f|1/a v1|1/a v1|-", "3 d|-|-|1/a d")
    assert op.source is None


def test_p6_a_swap_carries_both_files():
    world = build("2 f|1/a v1|1/b v1|1/a v1", "3 f|1/b v2|1/a v2|1/b v2")
    op = plan(world, 2, world.context()).op
    assert op.type is OpType.LOCAL_SWAP
    assert (op.expected, op.partner_expected) == (world.rows[2].fingerprint, world.rows[3].fingerprint)


def test_p6_a_group_carries_every_base():
    op, _ = op_of(2, "2 f|1/a v1|1/a v1|1/b v1", "3 f|1/b v2|1/b v2|1/a v2")
    assert [m.base for m in op.group] == [Version(2, "r"), Version(3, "r")]


def test_a_swap_waits_for_a_partner_at_work():
    world = build("2 f|1/a v1|1/b v1|1/a v1", "3 f|1/b v2|1/a v2|1/b v2")
    world.running.add(3)
    assert planned(world, 2) == "local swap 1/a to 1/b with 3, waits node settled 3"
    assert planned(world, 3) == "nothing"


def test_a_group_waits_for_a_member_at_work():
    world = build("2 f|1/a v1|1/a v1|1/b v1", "3 f|1/b v2|1/b v2|1/a v2")
    world.running.add(3)
    op = plan(world, 2, world.context()).op
    assert [w.kind for w in op.waits] == [WaitKind.NODE_SETTLED]


def test_a_group_waits_for_what_its_members_wait_for():
    op, _ = op_of(
        2, "2 f|1/a v1|1/a v1|1/b v1", "3 f|1/b v2|1/b v2|1/c v2", "4 f|1/c v3|1/c v3|5/c v3", "5 d|-|-|1/n d"
    )
    assert not op.group  # no circle: 4 leaves, the others follow
    assert [w.node for w in op.waits] == [3]


# --- history changed ---------------------------------------------------------------------------------------------


def test_superseded_remote_content_is_uploaded_over():
    world = build("2 f|-|1/a v1|1/a v2")
    world.old_versions.add((2, Version(2, "r")))
    assert planned(world, 2) == "upload 1/a v2 over"


def test_with_an_s_two_edits_stay_a_conflict_whatever_was_superseded():
    world = build("2 f|1/a v0|1/a v1|1/a v2")
    world.old_versions.add((2, Version(2, "r")))
    assert plan(world, 2, world.context()).op.conflict is ConflictKind.EDIT_EDIT


# --- joining -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(["2 f|-|1/a v1|-", "3 f|-|-|1/a v1"], "3 into 2", id="equal files"),
        pytest.param(["2 f|-|1/a v1|-", "3 f|-|-|1/a v2"], "3 into 2", id="different files: a conflict of one node"),
        pytest.param(["2 d|-|1/a d|-", "3 d|-|-|1/a d"], "3 into 2", id="directories"),
        pytest.param(["2 d|-|1/a d|-", "3 f|-|-|1/a v1"], "no", id="different kinds"),
        pytest.param(["2 f|-|1/a v1|-", "3 f|-|-|1/A v1"], "no", id="twins"),
        pytest.param(["2 f|-|1/a v1|1/a v1", "3 f|-|-|1/a v1"], "no", id="already here"),
        pytest.param(["2 f|1/a v1|1/a v1|-", "3 f|-|-|1/a v2"], "3 into 2", id="deleted and made again: replaced"),
        pytest.param(["2 f|1/a v1|1/b v1|-", "3 f|-|-|1/b v1"], "3 into 2", id="the same rename, seen as a create"),
        pytest.param(["2 f|1/a v1|1/b v1|-", "3 f|-|-|1/b v2"], "no", id="moved there onto an unrelated file"),
        pytest.param(["2 f|-|1/a v1|-", "3 f|1/a v1|-t|1/a v1"], "no", id="replaced there by another node"),
        pytest.param(["2 d|-|1/a d|-", "3 d|1/a d|-t|1/a d"], "3 into 2", id="a directory replaced there by another"),
        pytest.param(["2 d|-|1/a d|-", "3 d|-|-|?left 1/a"], "3 into 2", id="a leftover directory"),
        pytest.param(["2 d|-|1/a d|-", "3 d|-|-|?ignored 1/a"], "no", id="an ignored directory"),
        pytest.param(["2 d|-|?unread 1/a|-", "3 d|-|-|1/a d"], "no", id="unknown there"),
    ],
)
def test_join_from_either_row(rows, expected):
    world = build(*rows)
    assert joined(world, 2) == expected
    assert joined(world, 3) == expected


def test_p9_a_rebuild_adopts_equal_trees_without_an_op():
    world = build("2 d|-|1/d d|-", "3 f|-|2/x v1|-", "4 d|-|-|1/d d", "5 f|-|-|4/x v1")
    assert joined(world, 3) == "no"  # top down: the directories first
    for key in (2, 3):
        found = join(world, key)
        assert found is not None
        world.apply_join(found)
    assert planned(world, 2) == "record 1/d d"
    assert planned(world, 3) == "record 2/x v1"


# --- touching ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "key", "expected"),
    [
        pytest.param(["2 f|1/a v1|1/a v2|1/a v1"], 2, (2,), id="an edit touches only the node"),
        pytest.param(
            ["2 d|1/d d|1/d d|-", "3 f|2/x v1|2/x v2|-"], 3, (3, 2), id="an edit in a deleted directory: its revival"
        ),
        pytest.param(
            ["2 d|1/d d|1/d d|-", "3 d|2/e d|2/e d|-", "4 f|3/x v1|3/x v2|-"], 4, (4, 3, 2), id="all the way up"
        ),
        pytest.param(
            ["2 d|1/d d|1/d d|1/d d", "3 f|2/x v1|2/x v2|2/x v1"], 3, (3,), id="a directory that lives is left alone"
        ),
        pytest.param(["2 f|1/a v1|1/b v1|1/a v1", "3 f|1/b v2|1/b v2|1/b v2"], 2, (2, 3), id="who has the wanted name"),
        pytest.param(
            ["2 f|1/a v1|1/b v1|1/b v1", "3 f|1/b v2|1/a v2|1/b v2"], 2, (2, 3), id="who wants the name it left"
        ),
        pytest.param(["2 f|-|1/a v1|-", "3 f|-|1/A v2|?held"], 2, (2, 3), id="its held twin"),
    ],
)
def test_touch(rows, key, expected):
    assert touch(build(*rows), key) == expected


def test_touch_remembers_the_old_names_of_a_changed_row():
    world = build("2 f|1/c v1|1/c v1|1/c v1", "3 f|-|1/a v2|-")
    before = build("2 f|1/a v1|1/a v1|1/a v1").rows[2]
    assert touch(world, 2, before) == (2, 3)


# --- odds and ends -----------------------------------------------------------------------------------------------


def test_running_nodes_are_not_planned():
    world = build("2 f|1/a v1|1/a v2|1/a v1")
    world.running.add(2)
    assert planned(world, 2) == "nothing"


def test_also_plan_names_whom_the_op_waits_for():
    world = build("2 d|1/d d|1/d d|-", "3 f|2/x v1|2/x v2|-")
    assert plan(world, 3, world.context()).also_plan == (2,)


@pytest.mark.parametrize("name", ["a", "ä" * 127, "x" * 255, ".hidden"])
def test_p10_temporary_names_are_valid_names(name):
    made = temporary_name(name, "a/b(c)\0" + "d" * 300, 12)
    assert name_fault(made) is None
    assert len(made.encode()) <= MAX_NAME_BYTES


def test_p10_a_very_deep_tree_is_no_danger_to_the_planner():
    rows = [f"{key} d|{key - 1}/d d|{key - 1}/d d|-" for key in range(2, 5000)]
    world = build(*rows, "5000 f|4999/x v1|4999/x v2|-")
    assert planned(world, 2) == "local mkdir 1/d"
    assert isinstance(world.rows[2].remote, Present)
    assert len(touch(world, 5000)) == 4999
