"""A file that cannot be read for a while, and what comes to its name meanwhile: no row is left over for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.model.node import Tree
from syncd.model.observation import Hints
from syncd.model.path import ROOT
from tests.sim.device import SimDevice
from tests.sim.play import Play


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    play = Play(tmp_path, 1, "ann", "bob")
    play.settle()
    yield play
    play.close()


def look(device: SimDevice) -> None:
    device.step([Hints((((), "f"),))])
    for _ in range(20):
        device.rest(100)
        device.time.ahead += 1.0


@pytest.mark.parametrize("stays", [True, False], ids=["what came stays", "what came goes again"])
def test_p3_two_files_of_one_name_of_which_one_cannot_be_read(play: Play, stays: bool) -> None:
    """The file that came was held as unreadable, too, and its row stayed: the other one was read at each look."""
    ann, bob = play.devices
    bob.wire.cut = True
    bob.person.write("f", b"by bob")
    look(bob)
    ann.person.write("f", b"by ann")
    ann.wait()
    bob.person.write("f", b"by bob, edited")
    bob.unreadable = {"f"}
    bob.wire.cut = False
    look(bob)
    look(bob)  # once more: by now it has heard of ann's
    assert len(bob.db.nodes.at(Tree.REMOTE, ROOT, "f")) == 1
    assert len(bob.db.nodes.at(Tree.LOCAL, ROOT, "f")) == 1, "ann's waits for its name, which bob's has"
    if not stays:
        ann.person.delete("f")
        ann.wait()
        look(bob)
    bob.unreadable.clear()
    play.settle(expect=None)
    copies = {path for path in bob.tree() if "conflicted" in path}
    assert len(copies) == stays
    assert b"by bob, edited" in bob.everything()
    assert b"by ann" in bob.everything() or not stays
