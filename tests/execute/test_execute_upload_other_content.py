"""P6: an upload is about one content: a file that holds another one is not sent, whatever its fingerprint says."""

from dataclasses import replace

import pytest
from execute_world import World, digest, endings, noise

from syncd.model.observation import Ending


@pytest.mark.parametrize("data", [pytest.param(b"two", id="small"), pytest.param(noise(2_000_000), id="large")])
def test_p6_content_other_than_planned_is_not_sent(world: World, data: bytes) -> None:
    world.write("a.txt", data)
    assignment = world.upload("a.txt")
    planned = digest(b"one")  # what a look had read, before a write that left every stamp as it was
    (result,) = world.send(replace(assignment, op=replace(assignment.op, hash=planned, expected_hash=planned)))
    assert result.ending is Ending.STALE
    assert world.remote.commits == []
    assert endings(world.send(assignment)) == [Ending.DONE]
