"""A place at the remote that is excluded here: what travels first, what leaves, what stays, and whom that concerns."""

import pytest

from syncd.model.node import Tree, place_of
from syncd.plan.excluded import arrives_from_exclusion, parted, stays_apart
from syncd.plan.planner import join, plan
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
        "record 1/x v1",
    ),
    "a directory above was moved there: what is in it leaves": (
        ["2 d|1/d d|1/x d|1/d d", "3 f|2/a v1|2/a v1|2/a v1"],
        3,
        "local delete 2/a",
    ),
    "a directory above was moved here, too: as usual, once that one is where it is here": (
        ["2 d|1/d d|1/x d|1/e d", "3 f|2/a v1|2/a v1|2/a v1"],
        3,
        "nothing",
    ),
    "a directory above is not there any more: as usual": (
        ["2 d|1/d d|-t|1/d d", "3 f|2/a v1|2/x v1|2/b v1", "4 f|2/c v1|2/c v1|2/c v1"],
        4,
        "nothing",
    ),
    "a directory above is not known here: as usual": (
        ["2 d|1/d d|1/d d|?unread 1/d", "4 f|2/c v1|2/c v1|2/c v1"],
        4,
        "nothing",
    ),
    "nobody moved anything: the rules are new, and the next look says so": (
        ["2 d|1/d d|1/d d|1/d d", "4 f|2/c v1|2/c v1|2/c v1"],
        4,
        "nothing",
    ),
    "the move of a directory led elsewhere than to what is excluded: as usual": (
        ["2 d|1/d d|1/e d|1/d d", "4 f|2/c v1|2/c v1|2/c v1"],
        4,
        "nothing",
    ),
    "its directory is no row any more: as usual": (
        ["4 f|9/c v1|9/c v1|9/c v1"],
        4,
        "nothing",
    ),
    "absent there: as usual": (["2 f|1/a v1|-t|1/a v1"], 2, "local delete 1/a"),
    "moved and edited there: it need not be fetched to leave": (
        ["2 f|1/a v1|1/x v2|1/a v1"],
        2,
        "local delete 1/a",
    ),
    "moved in a folder that stays where it is here: that is not excluded": (
        ["2 d|1/d d|1/x d|1/e d", "3 f|2/a v1|2/b v1|2/a v1"],
        3,
        "local move 2/a to 2/b",
    ),
    "the folder it is in here was deleted there: what stays in it keeps it": (
        ["2 d|1/d d|-t|1/d d", "3 f|1/a v1|1/x v1|2/b v1"],
        2,
        "remote mkdir 1/d",
    ),
    "the folder it is in here was deleted there: it waits for it": (
        ["2 d|1/d d|-t|1/d d", "3 f|1/a v1|1/x v1|2/b v1"],
        3,
        "remote move 1/x to 2/b, waits parent exists 2",
    ),
    "the folder it is in here was deleted there: what leaves does not keep it": (
        ["2 d|1/d d|-t|1/d d", "3 f|2/a v1|1/x v1|2/a v1"],
        2,
        "local delete 1/d, waits directory empty 3",
    ),
    "its place here is in what the remote took into it: no directory goes into itself, so it leaves": (
        ["2 d|1/a d|1/x d|3/a d", "3 d|1/b d|2/b d|1/b d"],
        2,
        "local delete 3/a",
    ),
    "what the remote took into it leaves after it": (
        ["2 d|1/a d|1/x d|3/a d", "3 d|1/b d|2/b d|1/b d"],
        3,
        "local delete 1/b, waits directory empty 2",
    ),
    "and so does what is in it": (
        ["2 d|1/a d|1/x d|3/a d", "3 d|1/b d|2/b d|1/b d", "4 f|2/c v1|2/c v1|2/c v1"],
        4,
        "local delete 2/c",
    ),
}


def excluding(*rows, there=None, **traits):
    """Exclude what has an excluded name, or lies below one; and the node *there* at the remote."""
    world = build(*rows, **traits)

    def excluded(tree, node):
        if node.id == there and tree is Tree.REMOTE:
            return True
        place = place_of(node.state(tree))
        above = None if place is None else world.rows.get(place.parent)
        return above is not None and (place.name.startswith("x") or excluded(tree, above))

    world.excluded = excluded
    return world


@pytest.mark.parametrize(("rows", "key", "expected"), TABLE.values(), ids=TABLE)
def test_plan_of_what_is_excluded_at_the_remotes_place(rows, key, expected):
    world = excluding(*rows, there=key)
    assert words(plan(world, key, world.context("pc"))) == expected


def test_a_directory_leaves_with_what_is_in_it_here_and_what_was_to_come_into_it_does_not():
    world = excluding(
        "2 d|1/d d|1/x d|1/d d", "3 f|2/a v1|2/a v1|2/a v1", "4 f|2/b v1|2/b v1|?unread 2/b", "5 f|-|2/c v1|-"
    )
    found = plan(world, 2, world.context("pc"))
    assert words(found) == "local delete 1/d, waits directory empty 3"
    assert found.also_plan == (3, 4, 5)


@pytest.mark.parametrize(
    "row", ["2 f|1/a v1|1/b v1|1/a v1", "2 f|1/x v1|1/x2 v1|1/x v1"], ids=["not excluded there", "excluded here, too"]
)
def test_what_is_not_excluded_there_or_is_here_too_is_planned_as_usual(row):
    world = excluding(row)
    assert words(plan(world, 2, world.context("pc"))).startswith("local move")


def test_p10_what_lies_in_a_circle_of_the_remotes_does_not_leave():
    world = build("2 d|-|3/d d|3/d d", "3 d|-|2/e d|2/e d")
    world.excluded = lambda tree, node: tree is Tree.REMOTE
    assert words(plan(world, 2, world.context("pc"))) == "record 3/d d"


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
    world = excluding(row)
    assert arrives_from_exclusion(world, world.rows[2], world.context("pc")) is arrives


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
    world = excluding(*rows, case_sensitive=False)
    pair = join(world, max(world.rows))
    assert pair is not None
    assert stays_apart(world, pair, world.context("pc")) is apart


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
