"""What must hold in every state, and what must hold once a state came to rest. Raises ``Broken`` in words."""

from syncd.model.conflict import is_conflicted_copy
from syncd.model.node import Node, Present
from tests.exhaustive.deciding import NAMES
from tests.exhaustive.values import Broken, Device, Rows, World, bit, content_of

_claims: dict[Rows, int] = {}


def check(world: World) -> None:
    """Check what holds at every moment: nothing is lost, and S says nothing that is not on both sides."""
    here = 0
    for number, device in enumerate((world.first, world.second)):
        claimed = _claims.get(device.rows)
        if claimed is None:
            claimed = _claims[device.rows] = _claimed(device)
        if claimed & ~world.hub.ever:
            raise Broken(f"P4: S of {NAMES[number]} says {_contents(claimed & ~world.hub.ever)}: the hub never had it")
        if claimed & ~device.had:
            raise Broken(f"P4: S of {NAMES[number]} says {_contents(claimed & ~device.had)}: its disk never had it")
        for _, _, content in device.disk:
            here |= bit(content)
    lost = world.people.alive & ~here & ~world.hub.ever
    if lost:
        raise Broken(f"P1: {_contents(lost)} is nowhere any more")


def _claimed(device: Device) -> int:
    claimed = 0
    for node in device.rows:
        if isinstance(node.synced, Present):
            claimed |= bit(content_of(node.synced.hash))
    return claimed


def _contents(contents: int) -> str:
    return "content " + ", ".join(str(c) for c in range(contents.bit_length()) if contents & bit(c))


def check_rest(world: World) -> None:
    """Check a state in which nothing is left to do: what is still on the way to the hub may come or never come."""
    there = {node.name: node.content for node in world.hub.nodes if node.name is not None}
    for number, device in enumerate((world.first, world.second)):
        who = NAMES[number]
        files = {name: content for name, _, content in device.disk}
        if files != there:
            raise Broken(f"P2: {who} has {files} at rest, the hub {there}")
        if any(live for _, _, live in device.queue):
            raise Broken(f"P2: {who} has ops left at rest")
        if len(device.rows) != len(files) or not all(_agrees(node) for node in device.rows):
            raise Broken(f"P2: rows of {who} do not agree at rest")
    visible = 0
    for content in there.values():
        if visible & bit(content) and not world.people.crashed:
            raise Broken(f"P2: {_contents(bit(content))} stands at two names at rest, and nobody copied it")
        visible |= bit(content)
    if world.people.alive & ~visible:
        raise Broken(
            f"P1: nobody replaced or removed {_contents(world.people.alive & ~visible)}, and no folder shows it"
        )
    copies = [name for name in there if is_conflicted_copy(str(name))]
    if len(copies) > min(world.people.done):
        raise Broken(f"P4: {len(copies)} conflicted copies after {world.people.done} edits: {copies}")


def _agrees(node: Node) -> bool:
    synced, remote, local = node.synced, node.remote, node.local
    if not isinstance(synced, Present) or not isinstance(remote, Present) or not isinstance(local, Present):
        return False
    return synced == remote and (remote.place, remote.hash) == (local.place, local.hash)
