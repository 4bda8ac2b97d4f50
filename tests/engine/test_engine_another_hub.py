"""P1: a folder is tied to one hub and one space; whoever else answers at the address is not believed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.hub.core import Hub
from syncd.model.observation import Ask, Verb
from syncd.model.status import Phase
from tests.engine.world import Luck, World

Make = Callable[..., World]


@pytest.mark.parametrize("which", ["another hub", "another space"])
def test_p1_an_empty_stranger_deletes_nothing(make_world: Make, tmp_path: Path, which: str) -> None:
    world = make_world("ann")
    (ann,) = world.devices
    ann.write("a", "content")
    ann.write("d/b", "content")
    world.settle()
    before = ann.tree()
    other = Hub.open(tmp_path / "other", world.time, Luck(9)) if which == "another hub" else world.hub
    other.create_space("elsewhere")
    ann.wire._remote = other.authenticate(other.enroll(other.invite("elsewhere"), "ann").token)
    with ann.db.transaction():
        ann.db.meta.delete("cursor")  # as after an expired one: everything is listed again
    ann.crash()
    stranger = ann.wire._remote
    ann.open_wire = lambda: type(ann.wire)(stranger)  # type: ignore[method-assign]
    ann.start()
    ann.deadline = ann.engine.step([Ask(900, Verb.WAIT)])
    for _ in range(60):
        if not ann.one():
            ann.time.ahead += 1.0
    assert ann.tree() == before
    assert not ann.trash()
    assert ann.wire.commits == []
    assert ann.engine.live.phase is Phase.STOPPED
    assert "another" in ann.engine.live.why
    if other is not world.hub:
        other.close()
