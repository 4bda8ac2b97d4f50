"""Names: who keeps one, who waits, circles of names, and what cannot be represented here.

One situation a block: a sentence, the rows, and the plan of one node."""

import pytest

from tests.plan.sentences import build, planned, situations

TABLE = """
renamed there onto a name that is leaving here
    2 f|1/a v1|1/b v1|1/a v1
    3 f|1/b v2|1/c v2|1/b v2
    2: local move 1/a to 1/b, waits name free 3

new there on a name being deleted here
    2 f|-|1/b v1|-
    3 d|1/b d|-t|1/b d
    2: download 1/b v1 new, waits name free 3

renamed there onto a name made here: waits
    2 f|1/a v1|1/b v1|1/a v1
    3 f|-|-|1/b v9
    2: local move 1/a to 1/b, waits name free 3

the one made here is set aside
    2 f|1/a v1|1/b v1|1/a v1
    3 f|-|-|1/b v9
    3: set aside 1/b to 1/b (NOW) [name]

the one made here has the very content that is coming
    2 f|1/a v1|1/b v1|1/a v1
    3 f|-|-|1/b v1
    3: local delete 1/b

the one made here is a directory: set aside
    2 f|1/a v1|1/b v1|1/a v1
    3 d|-|-|1/b d
    3: set aside 1/b to 1/b (NOW) [type]

a new directory there, a new file here: the file is set aside
    2 d|-|1/a d|-
    3 f|-|-|1/a v1
    3: set aside 1/a to 1/a (NOW) [type]

a new file there, a new directory here: the directory is set aside
    2 f|-|1/a v1|-
    3 d|-|-|1/a d
    3: set aside 1/a to 1/a (NOW) [type]

a new file there, a leftover here: the leftover is set aside
    2 f|-|1/a v1|-
    3 d|-|-|?left 1/a
    3: set aside 1/a to 1/a (NOW) [type]

a directory renamed there onto a leftover: the leftover is set aside
    2 d|1/b d|1/a d|1/b d
    3 d|-|-|?left 1/a
    3: set aside 1/a to 1/a (NOW) [name]

a case twin of a leftover comes from there: the leftover is set aside {no case sensitive}
    2 d|-|1/A d|-
    3 d|-|-|?left 1/a
    3: set aside 1/a to 1/a (NOW) [case]

a new directory there at a leftover's place is one with it: nothing else is planned
    2 d|-|1/a d|-
    3 d|-|-|?left 1/a
    3: nothing

what cannot be here itself does not need a leftover's name {no symlinks}
    2 s|-|1/a v1|-
    3 d|-|-|?left 1/a
    3: nothing

nobody wants a leftover's name
    3 d|-|-|?left 1/a
    3: nothing

renamed here onto a name new there: set aside
    2 f|1/a v1|1/a v1|1/b v1
    3 f|-|1/b v9|-
    2: set aside 1/b to 1/b (NOW) [name]

renamed here onto a name that is leaving there: waits
    2 f|1/a v1|1/a v1|1/b v1
    3 f|1/b v2|1/b v2|1/c v2
    2: remote move 1/a to 1/b, waits name free 3

renamed here onto the name of what was deleted here: waits
    2 f|1/a v1|1/a v1|1/b v1
    3 f|1/b v2|1/b v2|-
    2: remote move 1/a to 1/b, waits name free 3

renamed here onto a name that was edited there: set aside
    2 f|1/a v1|1/a v1|1/b v1
    3 f|1/b v2|1/b v3|-
    2: set aside 1/b to 1/b (NOW) [name]

an ignored file has the name: what would arrive under it is held, and shown
    2 f|-|1/a v1|-
    3 f|-|-|?ignored 1/a
    2: hold: what has its name here is ignored

what would arrive is held until the ignored file is gone
    2 f|-|1/a v1|?held
    3 f|-|-|?ignored 1/a
    2: nothing

what has the name is ignored here and wanted elsewhere: all the same, what would arrive is held
    2 f|-|1/a v1|-
    3 f|1/a v2|1/b v2|?ignored 1/a
    2: hold: what has its name here is ignored

renamed there to a name an ignored file has: content goes on
    2 f|1/a v1|1/b v2|1/a v1
    3 f|-|-|?ignored 1/b
    2: download 1/a v2 over

two swapped there: exchanged here by the first
    2 f|1/a v1|1/b v1|1/a v1
    3 f|1/b v2|1/a v2|1/b v2
    2: local swap 1/a to 1/b with 3

two swapped there: the second waits
    2 f|1/a v1|1/b v1|1/a v1
    3 f|1/b v2|1/a v2|1/b v2
    3: local move 1/b to 1/a, waits name free 2

two swapped here: one place group there
    2 f|1/a v1|1/a v1|1/b v1
    3 f|1/b v2|1/b v2|1/a v2
    2: remote move 1/a to 1/b group 2 to 1/b, 3 to 1/a

two swapped here: the second waits for the group
    2 f|1/a v1|1/a v1|1/b v1
    3 f|1/b v2|1/b v2|1/a v2
    3: remote move 1/b to 1/a, waits node settled 2

three turned there: the first is exchanged into place
    2 f|1/a v1|1/b v1|1/a v1
    3 f|1/b v2|1/c v2|1/b v2
    4 f|1/c v3|1/a v3|1/c v3
    2: local swap 1/a to 1/b with 3

three turned here: one group of three
    2 f|1/a v1|1/a v1|1/b v1
    3 f|1/b v2|1/b v2|1/c v2
    4 f|1/c v3|1/c v3|1/a v3
    2: remote move 1/a to 1/b group 2 to 1/b, 3 to 1/c, 4 to 1/a

a file became a directory with itself inside, there: a detour
    2 f|1/x v1|3/y v1|1/x v1
    3 d|-|1/x d|-
    2: local move 1/x to 1/y (being moved, pc)

a file became a directory with itself inside, there: the directory waits
    2 f|1/x v1|3/y v1|1/x v1
    3 d|-|1/x d|-
    3: local mkdir 1/x, waits name free 2

a file became a directory with itself inside, here: a detour
    2 f|1/x v1|1/x v1|3/y v1
    3 d|-|-|1/x d
    2: remote move 1/x to 1/y (being moved, pc)

a directory gave way to its own file, there: a detour
    2 d|1/x d|-t|1/x d
    3 f|2/y v1|1/x v1|2/y v1
    3: local move 2/y to 1/x (being moved, pc)

parent and child changed places there: a detour, no exchange
    2 d|1/a d|3/q d|1/a d
    3 d|2/q d|1/a d|2/q d
    2: local move 1/a to 1/q (being moved, pc)

parent and child changed places here: one group
    2 d|1/a d|1/a d|3/q d
    3 d|2/q d|2/q d|1/a d
    2: remote move 1/a to 3/q group 2 to 3/q, 3 to 1/a

a directory is to go below what must leave it first: waits
    2 d|1/a d|3/a d|1/a d
    3 d|2/q d|1/q d|2/q d
    2: local move 1/a to 3/a, waits node settled 3

moved into each other on two devices: the local move is taken back
    2 d|1/a d|1/a d|3/a d
    3 d|1/b d|2/b d|1/b d
    2: local move 3/a to 1/a [name]

moved into each other on two devices: the remote's waits for it
    2 d|1/a d|1/a d|3/a d
    3 d|1/b d|2/b d|1/b d
    3: local move 1/b to 2/b, waits node settled 2

a cycle of three across devices: both local moves are taken back
    2 d|1/a d|1/a d|3/a d
    3 d|1/b d|1/b d|4/b d
    4 d|1/c d|2/c d|1/c d
    3: local move 4/b to 1/b [name]

taking one move back closes another cycle: that is taken back too
    2 d|1/q d|1/q d|3/q d
    3 d|2/a d|2/a d|4/a d
    4 d|1/x d|3/x d|1/x d
    2: local move 3/q to 1/q [name]

a name that is not one there
    2 f|-|1/.. v1|-
    2: hold: its name is not a name

a reserved name there
    2 d|-|1/.SyncD d|-
    2: hold: its name is reserved for syncd (.syncd)

renamed there to a reserved name
    2 f|1/a v1|1/.syncd v1|1/a v1
    2: hold: its name is reserved for syncd (.syncd)

edited here, renamed there to a reserved name: the edit first
    2 f|1/a v1|1/.syncd v1|1/a v2
    2: upload 1/a v2 over

deleted here, renamed there to a reserved name: held, not deleted
    2 f|1/a v1|1/.syncd v1|-
    2: hold: its name is reserved for syncd (.syncd)

case twins are kept apart
    2 f|-|1/a v1|-
    3 f|-|1/A v2|-
    3: download 1/A v2 new

case twins where they cannot be: the smaller id {no case sensitive}
    2 f|-|1/a v1|-
    3 f|-|1/A v2|-
    2: download 1/a v1 new

case twins where they cannot be: the other is held {no case sensitive}
    2 f|-|1/a v1|-
    3 f|-|1/A v2|-
    3: hold: case twin of a

normal-form twins where they cannot be {no case sensitive}
    2 f|-|1/é v1|-
    3 f|-|1/é v2|-
    3: hold: case twin of é

a smaller id came: the one here gives way {no case sensitive}
    2 f|-|1/a v1|-
    3 f|1/A v2|1/A v2|1/A v2
    3: local delete 1/A

a smaller id came, and the one here was marked: that travels first {no case sensitive}
    2 f|-|1/a v1|-
    3 f|1/A v2|1/A v2|1/A v2x
    3: remote chmod 1/A +x

a smaller id came: a directory gives way, after all that is in it {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 f|3/x v2|3/x v2|3/x v2
    3: local delete 1/A, waits directory empty 4

what is in a directory that gives way leaves with it {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 d|3/x d|3/x d|3/x d
    5 f|4/y v2|4/y v2|4/y v2
    5: local delete 4/y

what is in a directory that gives way and a file beside it were swapped there {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 f|3/x v2|1/y v2|3/x v2
    5 f|1/y v3|3/x v3|1/y v3
    4: local swap 3/x to 1/y with 5

what was edited in a directory that gives way travels first {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 f|3/x v2|3/x v2|3/x v3
    4: upload 3/x v3 over

nothing is brought into a directory that gives way {no case sensitive}
    2 f|-|1/a v1|-
    3 d|1/A d|1/A d|1/A d
    4 f|-|3/x v2|-
    4: download 3/x v2 new, waits node settled 2, waits node settled 3

the smaller id waits for that {no case sensitive}
    2 f|-|1/a v1|-
    3 f|1/A v2|1/A v2|1/A v2
    2: download 1/a v1 new, waits name free 3

a smaller id came, but the one here was edited: the edit first {no case sensitive}
    2 f|-|1/a v1|-
    3 f|1/A v2|1/A v2|1/A v3
    3: upload 1/A v3 over

renamed in case only, there {no case sensitive}
    2 f|1/a v1|1/A v1|1/a v1
    2: local move 1/a to 1/A

renamed in case only, here {no case sensitive}
    2 f|1/a v1|1/a v1|1/A v1
    2: remote move 1/a to 1/A

new there, its twin new here: set aside {no case sensitive}
    2 f|-|1/a v1|-
    3 f|-|-|1/A v2
    3: set aside 1/A to 1/A (NOW) [case]

held, and its twin is still there {no case sensitive}
    2 f|-|1/a v1|1/a v1
    3 f|-|1/A v2|?held
    3: nothing

held, and its twin has gone {no case sensitive}
    3 f|-|1/A v2|?held
    3: release

held here for its own name: stays
    3 f|1/a v1|1/a v1|?held 1/.syncd
    3: nothing

a new symlink here where the other side's name is free
    2 s|-|-|1/a v1
    2: upload 1/a v1 new

the root is never planned
    2 d|-|1/a d|-
    1: nothing

a directory new here whose only child moved in from elsewhere
    2 d|-|-|1/n d
    3 f|1/x v1|1/x v1|2/x v1
    3: remote move 1/x to 2/x, waits parent exists 2

moved here into a directory deleted there: waits for its revival
    2 d|1/d d|-t|1/d d
    3 f|1/x v1|1/x v1|2/x v1
    3: remote move 1/x to 2/x, waits parent exists 2

moved there into a directory deleted here: waits for its revival
    2 d|1/d d|1/d d|-
    3 f|1/x v1|2/x v1|1/x v1
    3: local move 1/x to 2/x, waits parent exists 2

same folder moved to two places: the remote's
    2 d|1/d d|5/d d|6/d d
    5 d|1/e d|1/e d|1/e d
    6 d|1/f d|1/f d|1/f d
    2: local move 6/d to 5/d

two local nodes claim one name: waits for a look, no copy
    2 f|1/a v1|1/a v1|1/b v1
    3 f|1/b v2|1/b v2|1/b v2
    2: remote move 1/a to 1/b, waits name free 3

two directories exchanged their files' names through deletes: a detour
    2 d|1/p d|-t|1/p d
    3 d|1/q d|-t|1/q d
    4 f|2/x v1|1/q v1|2/x v1
    5 f|3/y v2|1/p v2|3/y v2
    4: local move 2/x to 1/q (being moved, pc)

parent and younger child changed places there: a detour, no exchange
    3 d|1/a d|2/q d|1/a d
    2 d|3/q d|1/a d|3/q d
    2: local move 3/q to 1/a (being moved, pc)

held, and deleted there
    3 f|-|-t|?held
    3: release
"""


@pytest.mark.parametrize(
    ("rows", "key", "traits", "expected"),
    [pytest.param(*case, id=sentence) for sentence, *case in situations(TABLE)],
)
def test_plan_of_names(rows, key, traits, expected):
    assert planned(build(*rows, **traits), key) == expected
