"""P5: a remote that sends something else than it was asked for brings nothing here, and is not listened to for long."""

from dataclasses import replace

from execute_world import World, noise

from syncd.chunks.manifest import decode
from syncd.model.observation import Ending


def test_p5_one_wrong_piece_ends_the_download_at_once(world: World) -> None:
    """Right in size, wrong in content: nothing after it is fetched, and nothing of it is kept for the next attempt."""
    data = noise(3_000_000)
    assignment = world.download("big", data)
    pieces = decode(world.remote.manifests[assignment.op.manifest]).pieces
    world.remote.chunks[pieces[0].hash] = bytes(pieces[0].size)
    (result,) = world.apply(assignment)
    assert (result.ending, result.error_class) == (Ending.REFUSED, "corrupt")
    assert world.remote.fetches < len(pieces) // 2
    assert world.tree() == {}


def test_p5_pieces_that_make_up_another_content_are_refused(world: World) -> None:
    """Each piece is what the manifest says, and the manifest is what was asked for: only the whole is another."""
    asked = world.download("big", noise(1_000_000))
    other = world.download("other", noise(1_000_000, seed=2))
    lying = replace(asked, op=replace(asked.op, manifest=other.op.manifest))
    (result,) = world.apply(lying)
    assert (result.ending, result.error_class) == (Ending.REFUSED, "corrupt")
    assert world.tree() == {}
    world.sweep(after=2 * 86400.0)
    assert world.trash() == []
