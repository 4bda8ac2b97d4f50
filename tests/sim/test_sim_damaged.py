"""The disk gives back something else than was written, and no time moved: it is held and shown, and never sent (P5)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.model.job import SendJob
from syncd.model.observation import Hints
from tests.sim.play import Play

OLD, NEW, TORN = b"as it was in sync", b"edited, and read by syncd", b"what the power left of it"


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    play = Play(tmp_path, 1, "ann", "bob")
    yield play
    play.close()


def test_p5_what_was_torn_between_its_look_and_its_upload_replaces_nothing(play: Play) -> None:
    """The look that follows would find the known fingerprint, and pass over it: the upload would go on for ever."""
    ann, bob = play.devices
    ann.person.write("f", OLD)
    play.settle()
    play.time.ahead += 60.0
    ann.person.write("f", NEW)
    play.time.ahead += 60.0
    ann.step([Hints((((), "f"),))])
    while not any(isinstance(job, SendJob) for job in ann.jobs):
        if not ann.one():
            play.time.ahead += 1.0
    assert len(TORN) == len(NEW)
    ann.person.rot("f", TORN)
    play.settle()
    assert ann.damaged() == ("f",)
    assert bob.person.read("f") == OLD
    assert ann.person.read("f") == TORN, "nothing is written over it"
    play.check_queues()
    ann.person.write("f", NEW)
    play.settle()
    assert bob.person.read("f") == NEW
    assert ann.damaged() == ()
