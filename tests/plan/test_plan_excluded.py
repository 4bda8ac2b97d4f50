"""A node both sides have, whose place at the remote is excluded here: what travels first, what leaves, what stays."""

import pytest

from syncd.model.node import Tree
from syncd.plan.excluded import arrives_from_exclusion, parted, plan_excluded, stays_apart
from syncd.plan.planner import join
from tests.plan.sentences import build, words

# Every place that begins with "x" is excluded.
TABLE = {
    "moved there to where it is excluded: it leaves here, and the remote keeps it": (
        ["2 f|1/a v1|1/x v1|1/a v1"],
        2,
        "local delete 1/a",
    ),
    "moved there and edited here: the edit travels first (P7)": (
        ["2 f|1/a v1|1/x v1|1/a v2"],
        2,
        "upload 1/a v2 over",
    ),
    "moved there and marked here: the mark travels first (P7)": (
        ["2 f|1/a v1|1/x v1|1/a v1x"],
        2,
        "remote chmod 1/a to 1/x +x",
    ),
    "a symlink has no mark": (
        ["2 s|1/a v1|1/x v1|1/a v1"],
        2,
        "local delete 1/a",
    ),
    "moved on both sides: its place here wins": (
        ["2 f|1/a v1|1/x v1|1/b v1"],
        2,
        "remote move 1/x to 1/b",
    ),
    "moved on both sides, and what has the name there keeps it: set aside": (
        ["2 f|1/a v1|1/x v1|1/b v1", "3 f|-|1/b v9|-"],
        2,
        "set aside 1/b to 1/b (conflicted copy, pc, 2023-11-14 221320) [name]",
    ),
    "never in sync, in two places: its place here wins": (
        ["2 f|-|1/x v1|1/b v1"],
        2,
        "remote move 1/x to 1/b",
    ),
    "never in sync, and not moved: as usual": (
        ["2 f|-|1/x v1|1/x v1"],
        2,
        None,
    ),
    "a directory above was moved there: what is in it leaves": (
        ["2 d|1/d d|1/x d|1/d d", "3 f|2/a v1|2/a v1|2/a v1"],
        3,
        "local delete 2/a",
    ),
    "a directory above was moved here, too: as usual, once that one is where it is here": (
        ["2 d|1/d d|1/x d|1/e d", "3 f|2/a v1|2/a v1|2/a v1"],
        3,
        None,
    ),
    "a directory above is not there any more: as usual": (
        ["2 d|1/d d|-t|1/d d", "3 f|2/a v1|2/x v1|2/b v1", "4 f|2/c v1|2/c v1|2/c v1"],
        4,
        None,
    ),
    "a directory above is not known here: as usual": (
        ["2 d|1/d d|1/d d|?unread 1/d", "4 f|2/c v1|2/c v1|2/c v1"],
        4,
        None,
    ),
    "nobody moved anything: the rules are new, and the next look says so": (
        ["2 d|1/d d|1/d d|1/d d", "4 f|2/c v1|2/c v1|2/c v1"],
        4,
        None,
    ),
    "the move of a directory led elsewhere than to what is excluded: as usual": (
        ["2 d|1/d d|1/e d|1/d d", "4 f|2/c v1|2/c v1|2/c v1"],
        4,
        None,
    ),
    "its directory is no row any more: as usual": (
        ["4 f|9/c v1|9/c v1|9/c v1"],
        4,
        None,
    ),
    "absent there: as usual": (["2 f|1/a v1|-t|1/a v1"], 2, None),
    "absent here: as usual": (["2 f|1/a v1|1/x v1|-"], 2, None),
}


def excludes(world, key):
    """Exclude what has an excluded name, or lies below one; and the node *key* itself at the remote."""

    def excluded(tree, at):
        if at == key and tree is Tree.REMOTE:
            return True
        place = getattr(world.rows[at].state(tree), "place", None) if at in world.rows else None
        return place is not None and (place.name.startswith("x") or excluded(tree, place.parent))

    return excluded


@pytest.mark.parametrize(("rows", "key", "expected"), TABLE.values(), ids=TABLE)
def test_plan_of_what_is_excluded_at_the_remotes_place(rows, key, expected):
    world = build(*rows)
    found = plan_excluded(world, key, world.context("pc"), excludes(world, key))
    assert (None if found is None else words(found)) == expected


def test_a_directory_leaves_with_what_is_in_it_here():
    world = build("2 d|1/d d|1/x d|1/d d", "3 f|2/a v1|2/a v1|2/a v1", "4 f|2/b v1|2/b v1|?unread 2/b")
    found = plan_excluded(world, 2, world.context("pc"), excludes(world, 2))
    assert words(found) == "local delete 1/d, waits directory empty 3"
    assert found.also_plan == (3,)


def test_a_directory_leaves_and_what_was_to_come_into_it_does_not():
    world = build("2 d|1/d d|1/x d|1/d d", "3 f|-|2/a v1|-")
    found = plan_excluded(world, 2, world.context("pc"), excludes(world, 2))
    assert words(found) == "local delete 1/d"
    assert found.also_plan == (3,)


@pytest.mark.parametrize("row", ["2 f|1/a v1|1/x v1|1/a v1", "2 f|1/x v1|1/x v1|1/x v1"], ids=["not there", "nor here"])
def test_what_is_not_excluded_there_or_is_here_too_is_planned_as_usual(row):
    world = build(row)
    nowhere = plan_excluded(world, 2, world.context("pc"), lambda tree, key: False)
    everywhere = plan_excluded(world, 2, world.context("pc"), lambda tree, key: True)
    assert (nowhere, everywhere) == (None, None)


@pytest.mark.parametrize(
    ("row", "arrives"),
    [
        pytest.param("2 f|-|1/a v1|?ignored", True, id="excluded here without a path: it arrives"),
        pytest.param("2 f|-|1/a v1|?ignored 1/x", True, id="excluded at another path here: it arrives"),
        pytest.param("2 f|-|1/a v1|?ignored 1/a", False, id="no rule excludes its path any more: a look is due"),
        pytest.param("2 f|-|1/x v1|?ignored 1/x", False, id="excluded there, too"),
        pytest.param("2 f|-|-t|?ignored 1/x", False, id="absent there"),
        pytest.param("2 f|-|1/a v1|1/x v1", False, id="known here"),
    ],
)
def test_what_arrives_from_exclusion(row, arrives):
    world = build(row)
    assert arrives_from_exclusion(world, world.rows[2], excludes(world, None)) is arrives


@pytest.mark.parametrize(
    ("rows", "apart"),
    [
        pytest.param(["3 d|-|1/x d|-", "4 d|-|-|?left 1/x"], True, id="excluded: it would leave again"),
        pytest.param(["3 d|-|1/a d|-", "4 d|-|-|?left 1/a"], False, id="not excluded any more: one with it"),
        pytest.param(["3 d|-|1/x d|-", "4 d|-|-|1/x d"], False, id="more than a leftover: one with it, then it leaves"),
        pytest.param(
            ["2 d|1/d d|1/x d|1/d d", "3 d|-|2/e d|-", "4 d|-|-|?left 2/e"], True, id="a directory above is excluded"
        ),
        pytest.param(["2 d|-|1/A d|-", "3 d|-|1/a d|-", "4 d|-|-|?left 1/a"], True, id="it gave way to a twin"),
        pytest.param(
            ["2 d|-|1/A d|-", "5 d|1/a d|1/a d|1/a d", "6 d|-|5/e d|-", "7 d|-|-|?left 5/e"],
            True,
            id="a directory above gives way to a twin",
        ),
    ],
)
def test_what_is_left_of_a_folder_that_left_stays_apart_from_it(rows, apart):
    world = build(*rows, case_sensitive=False)
    pair = join(world, max(world.rows))
    assert pair is not None
    assert stays_apart(world, pair, world.context("pc"), excludes(world, None)) is apart


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(["2 d|-|1/d d|1/d d", "3 f|-|2/a v1|2/a v1"], False, id="one way"),
        pytest.param(["2 d|-|1/d d|1/e d", "3 f|-|2/a v1|2/a v1"], True, id="parted further up"),
        pytest.param(["3 f|-|9/a v1|9/a v1"], True, id="the way ends in no row"),
        pytest.param(["2 d|-|3/d d|3/d d", "3 d|-|2/e d|2/e d"], False, id="the way is a circle"),
    ],
)
def test_p10_ways_of_the_two_trees(rows, expected):
    world = build(*rows)
    assert parted(world, world.rows[max(world.rows)]) is expected
