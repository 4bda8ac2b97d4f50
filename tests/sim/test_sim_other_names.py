"""A file of several names, of which one is replaced or deleted: what is displaced shares its inode, and so its ctime,
with the names that stay. When it leaves the trash they are read again, which is no news, and then no more."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sim.faults import SweepPlay
from tests.sim.person import SimPerson
from tests.sim.play import Play

DEEDS = {
    "replaced": lambda person: person.save("a", b"by bob"),
    "deleted": lambda person: person.delete("a"),
    "moved over another one": lambda person: person.rename("a", "d"),
}


@pytest.fixture
def play(tmp_path: Path) -> Iterator[SweepPlay]:
    play = SweepPlay(tmp_path)
    play.settle()
    yield play
    play.close()


@pytest.mark.parametrize("rest", [Play.settle, SweepPlay.finish], ids=["a play", "a sweep"])
@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
def test_p3_what_leaves_the_trash_has_other_names(
    play: SweepPlay, deed: Callable[[SimPerson], None], rest: Callable[[SweepPlay], None]
) -> None:
    """A device that was asked just then opened all of them, and was said not to rest (seed 1001992)."""
    ann, bob = play.devices
    ann.person.write("a", b"one file")
    for name in ("b", "c", "d", "e"):
        ann.person.hard_link("a", name)
    play.settle()
    deed(bob.person)
    rest(play)
    assert not ann.trash_entries()
    assert ann.person.stat("b").fingerprint.ino == ann.person.stat("c").fingerprint.ino, "nobody touched them"
    assert ann.tree() == bob.tree()
