"""Edits and renames: both sides have the node; place, content and executable bit each by itself.

One situation a block: a sentence, the rows, and the plan of one node."""

from dataclasses import replace

import pytest

from syncd.plan.content import upload_edit
from syncd.plan.planner import plan
from tests.plan.sentences import build, planned, situations

TABLE = """
in sync
    2 f|1/a v1|1/a v1|1/a v1
    2: nothing

a directory in sync
    2 d|1/a d|1/a d|1/a d
    2: nothing

edited here only
    2 f|1/a v1|1/a v1|1/a v2
    2: upload 1/a v2 over

edited there only
    2 f|1/a v1|1/a v2|1/a v1
    2: download 1/a v2 over

the same edit on both sides
    2 f|1/a v1|1/a v2|1/a v2
    2: record 1/a v2

edited on both sides
    2 f|1/a v1|1/a v2|1/a v3
    2: conflict 1/a v2 over aside a (NOW) [edit/edit]

edited on both sides, the conflicted name taken here
    2 f|1/a.txt v1|1/a.txt v2|1/a.txt v3
    3 f|-|-|1/a (NOW).txt v9
    2: conflict 1/a.txt v2 over aside a (NOW) 2.txt [edit/edit]

edited on both sides, the conflicted name taken there in another case
    2 f|1/a v1|1/a v2|1/a v3
    3 f|-|1/A (NOW) v9|-
    2: conflict 1/a v2 over aside a (NOW) 2 [edit/edit]

both edited a conflicted copy: named after the original
    2 f|1/a (OTHER).txt v1|1/a (OTHER).txt v2|1/a (OTHER).txt v3
    2: conflict 1/a (OTHER).txt v2 over aside a (NOW).txt [edit/edit]

edited on both sides, mine is already there as a conflicted copy
    2 f|1/a v1|1/a v2|1/a v3
    3 f|-|1/a (OLD) v3|-
    2: download 1/a v2 over

edited on both sides, a conflicted copy of another file is no help
    2 f|1/a v1|1/a v2|1/a v3
    3 f|-|1/b (OLD) v3|-
    2: conflict 1/a v2 over aside a (NOW) [edit/edit]

edited on both sides, the copy with mine was just deleted here
    2 f|1/a v1|1/a v2|1/a v3
    3 f|1/a (OLD) v3|1/a (OLD) v3|-
    2: conflict 1/a v2 over aside a (NOW) [edit/edit]

a symlink retargeted here
    2 s|1/a v1|1/a v1|1/a v2
    2: upload 1/a v2 over

a symlink retargeted on both sides
    2 s|1/a v1|1/a v2|1/a v3
    2: conflict 1/a v2 over aside a (NOW) [edit/edit]

made executable here
    2 f|1/a v1|1/a v1|1/a v1x
    2: remote chmod 1/a +x

made executable there
    2 f|1/a v1|1/a v1x|1/a v1
    2: local chmod 1/a +x

made executable on both sides
    2 f|1/a v1|1/a v1x|1/a v1x
    2: record 1/a v1x

edited and made executable here
    2 f|1/a v1|1/a v1|1/a v2x
    2: upload 1/a v2x over

edited and made executable there
    2 f|1/a v1|1/a v2x|1/a v1
    2: download 1/a v2x over

edited here, made executable there: the bit first
    2 f|1/a v1|1/a v1x|1/a v2
    2: local chmod 1/a +x

edited there, made executable here: the bit first
    2 f|1/a v1|1/a v2|1/a v1x
    2: remote chmod 1/a +x

made executable there, no such bit here: carried through {no executable bit}
    2 f|1/a v1|1/a v1x|1/a v1
    2: record 1/a v1x

executable there, edited here without such a bit {no executable bit}
    2 f|1/a v1x|1/a v1x|1/a v2
    2: upload 1/a v2x over

executable in S, revived from here without such a bit {no executable bit}
    2 f|1/a v1x|-t|1/a v2
    2: upload 1/a v2x new [edit/delete]

the bit here means nothing where there is none {no executable bit}
    2 f|1/a v1|-t|1/a v1x
    2: local delete 1/a

renamed here
    2 f|1/a v1|1/a v1|1/b v1
    2: remote move 1/a to 1/b

renamed there
    2 f|1/a v1|1/b v1|1/a v1
    2: local move 1/a to 1/b

renamed alike on both sides
    2 f|1/a v1|1/b v1|1/b v1
    2: record 1/b v1

renamed differently: the remote's order wins
    2 f|1/a v1|1/b v1|1/c v1
    2: local move 1/c to 1/b

renamed here and edited here: the place first
    2 f|1/a v1|1/a v1|1/b v2
    2: remote move 1/a to 1/b

renamed here, edited there: the place first
    2 f|1/a v1|1/a v2|1/b v1
    2: remote move 1/a to 1/b

renamed there, edited here: the place first
    2 f|1/a v1|1/b v1|1/a v2
    2: local move 1/a to 1/b

renamed here, the same edit on both sides: content is recorded meanwhile
    2 f|1/a v1|1/a v2|1/b v2
    2: record 1/a v2; remote move 1/a to 1/b

renamed alike, edited differently: the place is recorded, content a conflict
    2 f|1/a v1|1/b v2|1/b v3
    2: record 1/b v1; conflict 1/b v2 over aside b (NOW) [edit/edit]

a directory renamed here: one op, whatever is in it
    2 d|1/a d|1/a d|1/b d
    3 f|2/x v1|2/x v1|2/x v1
    2: remote move 1/a to 1/b

what is in a renamed directory has nothing to do
    2 d|1/a d|1/a d|1/b d
    3 f|2/x v1|2/x v1|2/x v1
    3: nothing
"""


@pytest.mark.parametrize(
    ("rows", "key", "traits", "expected"),
    [pytest.param(*case, id=sentence) for sentence, *case in situations(TABLE)],
)
def test_plan_of_edits(rows, key, traits, expected):
    assert planned(build(*rows, **traits), key) == expected


EXPECTS = {
    "overwritten": ("2 f|1/a v1|1/a v2|1/a v1", True, False),
    "overwritten, executable": ("2 f|1/a v1x|1/a v2x|1/a v1x", True, True),
    "deleted": ("2 f|1/a v1|-t|1/a v1", True, False),
    "set aside for what comes": ("2 f|1/a v1|1/a v2|1/a v3", True, False),
    "no such bit here": ("2 f|1/a v1|1/a v2|1/a v1", False, None),
    "a symlink has none": ("2 s|1/a v1|1/a v2|1/a v1", True, None),
}


@pytest.mark.parametrize(("row", "bit", "expected"), EXPECTS.values(), ids=EXPECTS)
def test_p6_what_is_taken_away_here_must_have_the_bit_it_had(row, bit, expected):
    """A chmod moves nothing of a fingerprint but ctime, as our own renames do."""
    world = build(row, executable_bit=bit)
    assert plan(world, 2, world.context()).op.expected_executable is expected


def test_an_edit_names_the_manifest_of_its_base():
    """So that a grown file can be cut as its base was."""
    rows = build("2 f|1/a v1|1/a v1|1/a v2")
    node = rows.node(2)
    node = replace(node, remote=replace(node.remote, manifest=b"the base's"))
    assert upload_edit(node, rows.context()).manifest == b"the base's"
