"""P2: a batch that the remote refuses whole is asked for one by one: one bad path stops nothing else."""

from collections.abc import Sequence

from execute_world import World, endings

from syncd.model.errors import Refused
from syncd.model.observation import Ending
from syncd.model.remote import Create, Mutation, Outcome


def test_p2_only_the_mutation_that_is_refused_fails(world: World) -> None:
    honest = world.remote.commit

    def commit(batch: Sequence[Mutation]) -> Sequence[Outcome]:
        if any(isinstance(mutation, Create) and mutation.name == "bad" for mutation in batch):
            raise Refused("the remote does not take this")
        return honest(batch)

    world.remote.commit = commit  # type: ignore[method-assign]
    for name in ("a", "bad", "c"):
        world.write(name, name.encode())
    results = world.send(*(world.upload(name) for name in ("a", "bad", "c")))
    assert endings(results) == [Ending.DONE, Ending.REFUSED, Ending.DONE]
    assert {node.name for node in world.remote.nodes.values()} == {"a", "c"}
