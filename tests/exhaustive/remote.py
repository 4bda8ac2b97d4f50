"""The hub of the model: judges a mutation, keeps a journal with keys, answers a known key as it did the first time."""

from syncd.model.op import Op, OpType
from tests.exhaustive.values import Device, Hub, HubNode, Mistake, Mutation, bit, content_of, number_of


def mutation_of(device: Device, op: Op) -> Mutation:
    """Return what an op asks of the hub; resolved when it is handed out."""
    ids = {node.id: number_of(node) for node in device.rows}
    base = None if op.base is None else op.base.position
    own = ((ids[op.node], base, op.place.name),)
    match op.type:
        case OpType.UPLOAD if op.source is not None:
            return Mutation("edit", own, content_of(op.hash))
        case OpType.UPLOAD:
            return Mutation("create", own, content_of(op.hash))
        case OpType.REMOTE_MOVE:
            group = tuple((ids[move.node], move.base.position, move.place.name) for move in op.group)
            return Mutation("moves", group or own)
        case OpType.REMOTE_DELETE:
            return Mutation("delete", own)
    raise AssertionError(f"no op of this model: {op.type}")


def outcome_of(hub: Hub, key: int) -> tuple[HubNode, ...] | None:
    """Return what the hub did under a key, or None."""
    return next((nodes for known, nodes in hub.answered if known == key), None)


def commit(
    hub: Hub, key: int, mutation: Mutation, mistakes: frozenset[Mistake]
) -> tuple[Hub, tuple[HubNode, ...] | None]:
    """Return the hub afterwards and the nodes as they are then; None: refused, ``refusal`` says what there is."""
    known = outcome_of(hub, key)
    if known is not None:
        return hub, known
    nodes = {node.id: node for node in hub.nodes}
    if not _current(nodes, mutation, Mistake.BLIND_HUB in mistakes):
        return hub, None
    if mutation.kind in ("create", "moves"):
        leaving = {number for number, _, _ in mutation.steps}
        taken = {node.name for node in hub.nodes if node.name is not None and node.id not in leaving}
        names = [name for _, _, name in mutation.steps]
        if taken.intersection(names) or len(set(names)) < len(names):
            return hub, None
    head = hub.head
    done = []
    for number, _, name in mutation.steps:
        head += 1
        was = nodes.get(number, HubNode(number, None, 0, 0))
        match mutation.kind:
            case "create":
                now = HubNode(number, name, mutation.content, head)
            case "edit":
                now = HubNode(number, was.name, mutation.content, head)
            case "moves":
                now = HubNode(number, name, was.content, head)
            case _:
                now = HubNode(number, None, 0, head)
        nodes[number] = now
        done.append(now)
    ever = hub.ever | (bit(mutation.content) if mutation.content else 0)
    journal = (*hub.journal, *((node, key) for node in done))
    answered = tuple(sorted((*hub.answered, (key, tuple(done)))))
    return Hub(head, tuple(sorted(nodes.values())), journal, answered, ever), tuple(done)


def _current(nodes: dict[int, HubNode], mutation: Mutation, blind: bool) -> bool:
    """Whether every node is what the mutation expects (P6)."""
    for number, base, _ in mutation.steps:
        node = nodes.get(number)
        if mutation.kind == "create":
            if node is not None and (node.version != base or node.name is not None):
                return False
        elif node is None or node.name is None or (node.version != base and not blind):
            return False
    return True


def refusal(hub: Hub, mutation: Mutation) -> tuple[HubNode, ...]:
    """Return the current state of the nodes a refused mutation names."""
    named = {number for number, _, _ in mutation.steps}
    return tuple(node for node in hub.nodes if node.id in named)
