"""One side has the node: creates, deletes, and directories that live as far as something in them does.

One situation a block: a sentence, the rows, and the plan of one node."""

import pytest

from tests.plan.sentences import build, planned, situations

TABLE = """
new there
    2 f|-|1/a v1|-
    2: download 1/a v1 new

new executable there
    2 f|-|1/a v1x|-
    2: download 1/a v1x new

new directory there
    2 d|-|1/a d|-
    2: local mkdir 1/a

new symlink there
    2 s|-|1/a v1|-
    2: download 1/a v1 new

new symlink there, none here {no symlinks}
    2 s|-|1/a v1|-
    2: hold: symlinks cannot be stored here

new there in a directory that is not here yet
    2 d|-|1/a d|-
    3 f|-|2/x v1|-
    3: download 2/x v1 new, waits parent exists 2

new there in a held directory
    2 d|-|1/a d|?held
    3 f|-|2/x v1|-
    3: download 2/x v1 new, waits parent exists 2

new here
    2 f|-|-|1/a v1
    2: upload 1/a v1 new

new directory here
    2 d|-|-|1/a d
    2: remote mkdir 1/a

new here in a directory that is not there yet
    2 d|-|-|1/a d
    3 f|-|-|2/x v1
    3: upload 2/x v1 new, waits parent exists 2

new on both sides and equal: adopted
    2 f|-|1/a v1|1/a v1
    2: record 1/a v1

new on both sides and different
    2 f|-|1/a v1|1/a v2
    2: conflict 1/a v1 over aside a (NOW) [edit/edit]

new on both sides, equal but for the bit: the remote's
    2 f|-|1/a v1x|1/a v1
    2: local chmod 1/a +x

two directories, S lost: adopted
    2 d|-|1/a d|1/a d
    2: record 1/a d

S lost and renamed in between: the remote's place
    2 d|-|1/a d|1/b d
    2: local move 1/b to 1/a

deleted here
    2 f|1/a v1|1/a v1|-
    2: remote delete 1/a

deleted there
    2 f|1/a v1|-t|1/a v1
    2: local delete 1/a

deleted on both sides
    2 f|1/a v1|-t|-
    2: forget

never there at all
    2 f|-|-|-
    2: forget

deleted here, edited there
    2 f|1/a v1|1/a v2|-
    2: download 1/a v2 new [edit/delete]

deleted here, renamed there: a move is an edit
    2 f|1/a v1|1/b v1|-
    2: download 1/b v1 new [edit/delete]

deleted here, made executable there
    2 f|1/a v1|1/a v1x|-
    2: download 1/a v1x new [edit/delete]

deleted there, edited here
    2 f|1/a v1|-t|1/a v2
    2: upload 1/a v2 new [edit/delete]

deleted there, renamed here: a move is an edit
    2 f|1/a v1|-t|1/b v1
    2: upload 1/b v1 new [edit/delete]

deleted there, made executable here
    2 f|1/a v1|-t|1/a v1x
    2: upload 1/a v1x new [edit/delete]

deleted here, another kind made in its place
    2 f|1/a v1|1/a v1|-
    3 d|-|-|1/a d
    2: remote delete 1/a

the new kind waits for the name
    2 f|1/a v1|1/a v1|-
    3 d|-|-|1/a d
    3: remote mkdir 1/a, waits name free 2

deleted there and another kind made: the delete
    2 f|1/a v1|-t|1/a v1
    3 d|-|1/a d|-
    2: local delete 1/a

deleted there and another kind made: the create waits
    2 f|1/a v1|-t|1/a v1
    3 d|-|1/a d|-
    3: local mkdir 1/a, waits name free 2

nothing is planned while L is unknown
    2 f|1/a v1|1/a v2|?unread 1/a
    2: nothing

nothing is planned while R is unknown
    2 f|1/a v1|?unread 1/a|-
    2: nothing

a directory deleted here, its file in sync: waits until empty
    2 d|1/d d|1/d d|-
    3 f|2/x v1|2/x v1|-
    2: remote delete 1/d, waits directory empty 3

its file goes first
    2 d|1/d d|1/d d|-
    3 f|2/x v1|2/x v1|-
    3: remote delete 2/x

a directory deleted here and empty there
    2 d|1/d d|1/d d|-
    2: remote delete 1/d

a directory deleted here, its file edited there: revived
    2 d|1/d d|1/d d|-
    3 f|2/x v1|2/x v2|-
    2: local mkdir 1/d

the edited file waits for its directory
    2 d|1/d d|1/d d|-
    3 f|2/x v1|2/x v2|-
    3: download 2/x v2 new, waits parent exists 2 [edit/delete]

deep inside a deleted directory something was edited: revived
    2 d|1/d d|1/d d|-
    3 d|2/e d|2/e d|-
    4 f|3/x v1|3/x v2|-
    2: local mkdir 1/d

a directory deleted here, something new in it there: revived
    2 d|1/d d|1/d d|-
    3 f|-|2/x v1|-
    2: local mkdir 1/d

a directory deleted here and renamed there: a directory's move is no edit
    2 d|1/d d|1/e d|-
    2: remote delete 1/d to 1/e

deleted here, moved there, its file edited: revived at the new place
    2 d|1/d d|1/e d|-
    3 f|2/x v1|2/x v2|-
    2: local mkdir 1/e

a directory deleted here after its file was moved out
    2 d|1/d d|1/d d|-
    3 f|2/x v1|2/x v1|1/x v1
    2: remote delete 1/d, waits directory empty 3

something was moved into it there: revived
    2 d|1/d d|1/d d|-
    3 f|1/x v1|2/x v1|1/x v1
    2: local mkdir 1/d

something held lives in it there: revived, never deleted unseen
    2 d|1/d d|1/d d|-
    3 f|-|2/x v1|?held
    2: local mkdir 1/d

a directory deleted there, its file in sync: waits until empty
    2 d|1/d d|-t|1/d d
    3 f|2/x v1|-t|2/x v1
    2: local delete 1/d, waits directory empty 3

a directory deleted there, something edited here: revived
    2 d|1/d d|-t|1/d d
    3 f|2/x v1|-t|2/x v2
    2: remote mkdir 1/d

the edited file here waits for its directory there
    2 d|1/d d|-t|1/d d
    3 f|2/x v1|-t|2/x v2
    3: upload 2/x v2 new, waits parent exists 2 [edit/delete]

a directory deleted there holds only ignored content: no survivor
    2 d|1/d d|-t|1/d d
    3 f|-|-|?ignored 2/x
    2: local delete 1/d

a directory deleted there, something moved into it here: revived
    2 d|1/d d|-t|1/d d
    3 f|1/x v1|1/x v1|2/x v1
    2: remote mkdir 1/d

a directory deleted there, its file is leaving for its place there
    2 d|1/d d|-t|1/d d
    3 f|2/x v1|1/x v1|2/x v1
    2: local delete 1/d, waits directory empty 3

a directory deleted there whose file is held here: kept until it is not
    2 d|1/d d|-t|1/d d
    3 f|2/x v1|1/con v1|?held 2/x
    2: local delete 1/d, waits directory empty 3
"""


@pytest.mark.parametrize(
    ("rows", "key", "traits", "expected"),
    [pytest.param(*case, id=sentence) for sentence, *case in situations(TABLE)],
)
def test_plan_of_presence(rows, key, traits, expected):
    assert planned(build(*rows, **traits), key) == expected
