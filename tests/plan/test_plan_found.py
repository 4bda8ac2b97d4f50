"""What generated cases found: the smallest situation of each, with the line that replays the case."""

from random import Random

import pytest

from syncd.model.op import Op
from syncd.plan.order import touch
from syncd.plan.planner import plan
from tests.plan.sentences import build, op_words, planned, situations
from tests.property.cells import Table
from tests.property.settling import Settler
from tests.property.world import Stale

# The second and the third were found by
# again:0:1:158abf48.291089b4:1d5aac29.1b1ce7ef.1ad152b0:1d5aac29.1ad152b0.cf0019:c382914.2e007b6f:2da1a51f.2cd190b5
# unknown:0:937694290:9563d34.1913c5d5.8fd0a19:19d10686.e94cb45.3ad1e77b:fc13769::
# The fourth, and with it what follows, by
# twins:0:836729848:3344b6a2.13cab6a1.2b647cde.4809d56.f30b215:2af01840.1853a9e2.117fb83:f9ce108.185b29e2.1e66bb83::
# twins:0:0:1b45a287.34e1cd96.37a8d11b.756cd07::3e364e86.2a7b69e8.98638a3::
# twins:0:0:24716ae4.1163e597.101e40a6.1f34a62d.1d9dce20::186bbbf8.24e7ed3e.14495e98::
TABLE = """
renamed here, deleted there, its new name taken there: set aside, which is still a rename (P7)
    2 f|1/a v1|-t|1/b v1
    3 d|-|1/b d|-
    2: set aside 1/b to 1/b (NOW) [type]

set aside again: not to the name it had in sync, where it would count as unchanged and be deleted (P7)
    2 f|1/b (NOW) v1|-t|1/b v1
    3 d|-|1/b d|-
    2: set aside 1/b to 1/b (NOW) 2 [type]

moved there below what was moved here below it, with a folder between of which nothing is known: not into itself (P2)
    2 d|1/a d|?held|4/x d
    3 d|1/d d|2/d d|1/d d
    4 d|-|-|?unread 3/c
    3: local move 1/d to 2/d, waits node settled 2

moved there into a directory that gives way to a twin: stays outside (P6) {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 f|1/x v2|3/x v2|1/x v2
    4: local move 1/x to 3/x, waits node settled 2, waits node settled 3

moved there from one directory that goes into another: goes from where it is {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 d|3/p d|3/p d|3/p d
    5 d|3/q d|3/q d|3/q d
    6 f|4/x v2|5/x v2|4/x v2
    6: local delete 4/x

the same, and edited here: that travels first (P7) {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 f|3/x v2|3/y v2|3/x v3
    4: upload 3/x v3 over

the same, and marked here: that travels first (P7) {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 f|3/x v2|3/y v2|3/x v2x
    4: remote chmod 3/x to 3/y +x

the same, and S lost: goes, for the remote has just that {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 f|-|3/y v2|3/x v2
    4: local delete 3/x

renamed there to a twin's name in a directory that goes: goes with it, or that would never be empty {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 f|3/b v2|3/b v2|3/b v2
    5 f|3/x v3|3/B v3|3/x v3
    5: local delete 3/x

moved out there of a directory that goes: moves {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 f|3/x v2|1/x v2|3/x v2
    4: local move 3/x to 1/x

renamed here in a directory that goes: the remote follows first {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 f|3/x v2|3/x v2|3/y v2
    4: remote move 3/x to 3/y

nothing is brought into what was renamed there in a directory that goes {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 d|3/x d|3/y d|3/x d
    5 f|-|4/z v2|-
    5: download 4/z v2 new, waits node settled 2, waits node settled 3

what cannot come into a directory that goes has its own brought to where it is {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 d|1/x d|3/x d|1/x d
    5 f|-|4/z v2|-
    5: download 4/z v2 new

moved there into a held directory, and in one that goes here: goes, or that would never be empty {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 d|-|1/.syncd d|?held
    5 f|3/x v2|4/y v2|3/x v2
    5: local delete 3/x

moved out there to a name that what is held keeps: goes with its directory {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 f|3/x v2|1/b v2|3/x v2
    5 d|1/b d|-t|1/b d
    6 d|5/c d|1/B d|?held 5/c
    4: local delete 3/x

moved there into a directory in a held one, and in one that goes here: goes {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 d|-|3/.syncd d|?held
    5 d|-|4/e d|-
    6 f|3/x v2|5/y v2|3/x v2
    6: local delete 3/x

moved there into a directory that is yet to come, and in one that goes here: waits for it {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 d|-|1/e d|-
    5 f|3/x v2|4/y v2|3/x v2
    5: local move 3/x to 4/y, waits parent exists 4

moved there into a directory of which nothing is known, and in one that goes here: waits {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 d|-|1/e d|?ignored
    5 f|3/x v2|4/y v2|3/x v2
    5: local move 3/x to 4/y, waits parent exists 4
"""


@pytest.mark.parametrize(
    ("rows", "key", "traits", "expected"),
    [pytest.param(*case, id=sentence) for sentence, *case in situations(TABLE)],
)
def test_plan_of_what_was_found(rows, key, traits, expected):
    assert planned(build(*rows, **traits), key) == expected


def test_p2_whoever_waits_in_a_circle_has_the_one_planned_that_goes_first():
    """Of the two in the directory the first makes the detour; but the directory waits for the last, and wakes that.

    Found by two:4:0:33d515f2.db7698e.7785b24.19fbb44e.2173018d:2e2b745a.3bc2997b.c996bb0:90019::
    """
    world = build(
        "2 d|1/d d|1/m d|-",
        "3 f|2/c v1|2/c v1|5/c v1",
        "4 f|2/d v2|2/d v2|5/d v2",
        "5 d|-|-|1/b d",
        "6 f|1/b v3|1/b v3|1/m v3",
    )
    assert planned(world, 2) == "remote delete 1/d to 1/m, waits directory empty 4"
    assert planned(world, 4) == "remote move 2/d to 5/d, waits parent exists 5"
    assert planned(world, 3) == "remote move 2/c to 1/c (being moved, pc)"
    assert plan(world, 4, world.context("pc")).also_plan == (3, 5)


def test_p6_an_exchange_that_has_become_one_into_itself_is_refused_and_planned_as_a_detour():
    """It was planned before its directory was moved below the one it is exchanged with.

    Found by again:0:295007029:2d8dded6.e169f6e:25030d2e.187218bd.18280e33.4090019:a099062.62fc0fc::1c8fc71.280856a2
    """
    world = build(
        "2 d|1/c d|4/c d|1/c d",
        "3 f|2/a v1|1/m v1|2/a v1",
        "4 d|1/m d|1/b d|1/m d",
        "5 f|1/b v2|2/a v2|1/b v2",
    )
    exchange, below = (plan(world, key, world.context("pc")).op for key in (3, 2))
    assert planned(world, 3) == "local swap 2/a to 1/m with 4"
    assert planned(world, 2) == "local move 1/c to 4/c"
    assert exchange is not None
    assert below is not None
    world.apply(below)
    with pytest.raises(Stale, match="into itself"):
        world.apply(exchange)
    assert planned(world, 3) == "local move 2/a to 1/m (being moved, pc)"


def test_p7_a_directory_whose_twin_has_gone_again_has_the_first_word():
    """Its twin moves away, and it is touched, but not what is in it: who finds that it stays has that planned, too.

    Found by twins:0:440884273:202d695b.3a601721.4eea751.1ba89cc9.29f57257:159120bc.370ed3b:29cd43c0.370ed3b::
    The engine's part is in tests/engine/test_engine_twins.py.
    """
    world = build(
        "2 f|1/a v1|1/a v1|1/b v1",
        "3 d|1/A d|1/A d|1/A d",
        "4 d|3/d d|3/d d|3/d d",
        case_sensitive=False,
    )
    settler = Settler(world, Random(0), Table())
    settler.context = world.context()
    queue: dict[int, Op] = {}
    settler.plan_all([3], queue)
    assert {key: op_words(op) for key, op in queue.items()} == {
        3: "local delete 1/A, waits directory empty 4",
        4: "local delete 3/d",
    }
    world.changed.clear()
    away = plan(world, 2, settler.context).op
    assert away is not None
    world.apply(away)
    (key, before), *others = world.changed
    assert not others
    touched = touch(world, key, before)
    assert touched == (2, 3)
    settler.plan_all(list(touched), queue)
    assert not queue


def test_p6_a_directory_that_gives_way_has_what_was_to_come_into_it_planned():
    """Or that comes in as the directory is removed, where this began with no change of its own.

    Found by twins:0:54587:2df7fee5.2b997a98.14de727c.11960ed1.2ff1f2dd.21a42d4.239d6384:3b4c8e6f:1c50b4bf.2d90ffc2::
    """
    world = build(
        "2 f|-|1/a v1|-",
        "3 d|1/A d|1/A d|1/A d",
        "4 f|3/x v2|3/x v2|3/x v2",
        "5 f|-|3/y v3|-",
        "6 f|1/z v4|3/z v4|1/z v4",
        case_sensitive=False,
    )
    assert plan(world, 3, world.context()).also_plan == (4, 5, 6)
