"""All that can happen next in a state, and the one thing that a fair world does next once people and faults rest."""

from collections.abc import Iterator
from dataclasses import replace

from syncd.model.node import Node
from syncd.model.observation import Ending
from syncd.model.op import Op, OpType, Side
from tests.exhaustive import disk, remote
from tests.exhaustive.deciding import NAMES as DEVICES
from tests.exhaustive.deciding import decide
from tests.exhaustive.engine import Intake, begin_look, planned, settle, take_page
from tests.exhaustive.values import (
    NAMES,
    At,
    Broken,
    Device,
    Flight,
    Hub,
    Mistake,
    Phase,
    Pull,
    Result,
    Rows,
    World,
    bit,
    node_id,
    number_of,
    owner,
)

Step = tuple[str, World]
Mistakes = frozenset[Mistake]
RETRY = Result(Ending.RETRY)


def steps(world: World, mistakes: Mistakes) -> Iterator[Step]:
    """Yield every step from *world*, in words and as the state it leads to."""
    for number in (0, 1):
        yield from _edits(world, number)
        yield from _own_course(world, number, mistakes)
        yield from _looks(world, number, mistakes)
        yield from _pulls(world, number, mistakes)
        yield from _hand_outs(world, number, mistakes)
        yield from _crashes(world, number, mistakes)
    yield from _wire(world, mistakes)


def fair_step(world: World, mistakes: Mistakes) -> Step | None:
    """Return what happens next when nobody edits and nothing fails any more; None at rest.

    What is under way ends first, then everything is looked at and pulled, then the most urgent op goes out: a choice
    that waits for nobody, so that what does not come to rest by it repeats itself."""
    for source in (_own_course, _tell_look, _tell_pull, _begin_look, _begin_pull, _hand_outs):
        for number in (0, 1):
            for step in source(world, number, mistakes):
                return step
    return None


# --- people -----------------------------------------------------------------------------------------------------


def _edits(world: World, number: int) -> Iterator[Step]:
    people = world.people
    if not people.edits or (number and people.done == (0, 0)):  # both are alike: the first edit is on the first one
        return
    device = world.device(number)
    files = disk.files_of(device)
    fresh = 8 + 16 * number + people.done[number]
    who = DEVICES[number]
    names = NAMES[: people.names + 1]
    for name in names:
        if name not in files:
            after = {**files, name: (fresh, fresh)}
            yield _edited(world, number, f"{who}: a person creates {name} with content {fresh}", after, 0)
            continue
        inode, content = files[name]
        after = {**files, name: (inode, fresh)}
        yield _edited(world, number, f"{who}: a person writes content {fresh} to {name}", after, content)
        rest = {other: file for other, file in files.items() if other != name}
        yield _edited(world, number, f"{who}: a person deletes {name}", rest, content)
        for other in names:
            if other != name:
                over = files.get(other)
                words = f"{who}: a person renames {name} to {other}{' over what is there' if over else ''}"
                yield _edited(world, number, words, {**rest, other: files[name]}, over[1] if over else 0)


def _edited(world: World, number: int, words: str, files: disk.Files, gone: int) -> Step:
    people = world.people
    device = disk.with_files(world.device(number), files)
    done = (people.done[0] + (number == 0), people.done[1] + (number == 1))
    alive = people.alive & ~(bit(gone) if gone else 0)
    for _, content in files.values():
        if content == 8 + 16 * number + people.done[number]:
            alive |= bit(content)
    names = max(people.names, *(NAMES.index(name) + 1 for name in files if name in NAMES), 0)
    people = people._replace(edits=people.edits - 1, done=done, alive=alive, names=names)
    return words, world.with_device(number, device)._replace(people=people)


# --- looks and pulls --------------------------------------------------------------------------------------------


def _looks(world: World, number: int, mistakes: Mistakes) -> Iterator[Step]:
    yield from _begin_look(world, number, mistakes)
    yield from _tell_look(world, number, mistakes)


def _begin_look(world: World, number: int, mistakes: Mistakes) -> Iterator[Step]:
    device = world.device(number)
    if device.look is not None or device.phase is Phase.RECOVERING:
        return
    look = begin_look(device)
    if look.seen or look.gone or device.phase is Phase.UNWALKED:
        words = (
            f"{DEVICES[number]}: a look sees {_files(look.seen) or 'nothing new'}, gone {', '.join(look.gone) or '-'}"
        )
        yield words, world.with_device(number, device._replace(look=look))


def _files(seen: tuple[tuple[str, int, int], ...]) -> str:
    return ", ".join(f"{name} (inode {inode}, content {content})" for name, inode, content in seen)


def _tell_look(world: World, number: int, mistakes: Mistakes) -> Iterator[Step]:
    device = world.device(number)
    if device.look is None or device.phase is Phase.RECOVERING:
        return
    told = planned(number, Intake(device, device.look, mistakes).take()._replace(phase=Phase.AWAKE))
    yield f"{DEVICES[number]}: that look is told", world.with_device(number, told)


def _pulls(world: World, number: int, mistakes: Mistakes) -> Iterator[Step]:
    yield from _begin_pull(world, number, mistakes)
    yield from _tell_pull(world, number, mistakes)


def _begin_pull(world: World, number: int, mistakes: Mistakes) -> Iterator[Step]:
    device = world.device(number)
    if device.pull is None and world.hub.head > device.cursor:
        pull = Pull(device.cursor, world.hub.head)
        words = f"{DEVICES[number]}: the hub answers a pull: changes {pull.after + 1} to {pull.upto}"
        yield words, world.with_device(number, device._replace(pull=pull))


def _tell_pull(world: World, number: int, mistakes: Mistakes) -> Iterator[Step]:
    device, who = world.device(number), DEVICES[number]
    pull = device.pull
    if pull is None:
        return
    if Mistake.CURSOR_FIRST in mistakes and not pull.saved:
        saved = device._replace(cursor=pull.upto, pull=pull._replace(saved=True))
        yield f"{who}: the cursor {pull.upto} is saved", world.with_device(number, saved)
        return
    after = take_page(device, world.hub, pull)._replace(cursor=pull.upto)
    yield f"{who}: that page and its cursor are written", tidy(world.with_device(number, planned(number, after)))


# --- ops --------------------------------------------------------------------------------------------------------


def _hand_outs(world: World, number: int, mistakes: Mistakes) -> Iterator[Step]:
    device = world.device(number)
    if device.flight is not None or device.phase is not Phase.AWAKE:
        return
    for op in decide(number, device.rows, frozenset()).ready:
        if op.type is OpType.REMOTE_DELETE and device.look is not None:
            continue  # a look under way could still find where it moved to
        yield f"{DEVICES[number]}: hands out {brief(op)}", _handed_out(world, number, op, mistakes)


def _handed_out(world: World, number: int, op: Op, mistakes: Mistakes) -> World:
    device = world.device(number)
    key = next((known for known, other, live in device.queue if live and other == op), None)
    queue = device.queue
    if key is None:
        key = _new_key(world, number)
    else:
        queue = tuple(entry for entry in queue if entry[0] != key)
    device = device._replace(queue=queue)
    mutation = None
    if op.side is Side.REMOTE:
        device = _named(world, device, op)
        mutation = remote.mutation_of(device, op)
    flight = _checked(world, device, Flight(key, op, mutation, At.CHECKED, None))
    device = device._replace(flight=flight)
    if Mistake.EARLY_S in mistakes and mutation is not None and mutation.kind in ("create", "edit"):
        device = device._replace(rows=Rows(_claimed(node, op) for node in device.rows))
    return tidy(world.with_device(number, planned(number, device)))


def _claimed(node: Node, op: Op) -> Node:
    if node.id != op.node:
        return node
    local = node.local
    return replace(node, synced=local)  # type: ignore[arg-type]


def _named(world: World, device: Device, op: Op) -> Device:
    """Give the node a stable id when its first op at the hub is planned."""
    node = next(node for node in device.rows if node.id == op.node)
    if node.node_id is not None:
        return device
    used = {entry.id for entry in world.hub.nodes} | {step[0] for _, m in world.people.wire for step in m.steps}
    used |= {number_of(row) for other in (world.first, world.second) for row in other.rows}
    assert op.hash is not None
    fresh = op.hash[0] + 100
    while fresh in used:
        fresh += 100
    named = replace(node, node_id=node_id(fresh))
    return device._replace(rows=Rows(named if row.id == node.id else row for row in device.rows))


def _new_key(world: World, number: int) -> int:
    used = {key for _, key in world.hub.journal} | {key for key, _ in world.hub.answered}
    used |= {key for key, _ in world.people.wire} | {key for key, _, _ in world.device(number).queue}
    key = 100 * number + 1
    while key in used:
        key += 1
    return key


def brief(op: Op) -> str:
    """Return an op as people read it."""
    from_ = f" from {op.source.name}" if op.source is not None and op.source != op.place else ""
    content = f" content {op.hash[0]}" if op.hash is not None else ""
    expects = f", expecting content {op.expected.mtime_ns}" if op.expected is not None else ""
    base = f", over version {op.base.position}" if op.base is not None else ""
    group = f" with {len(op.group)} moves" if op.group else ""
    return f"{op.type.value} of node {op.node} at {op.place.name}{from_}{content}{group}{expects}{base}"


def _own_course(world: World, number: int, mistakes: Mistakes) -> Iterator[Step]:
    """The op in flight goes on."""
    device, who = world.device(number), DEVICES[number]
    flight = device.flight
    if flight is None:
        return
    match flight.at:
        case At.LOST:
            yield _recovered(world, number, flight)
        case At.OVER:
            assert flight.result is not None
            told = settle(device, flight, flight.result)
            if Mistake.NEW_KEY in mistakes:
                told = told._replace(queue=())
            words = f"{who}: the result is told: {flight.result.ending.value}"
            yield words, tidy(world.with_device(number, planned(number, told)))
        case _ if flight.mutation is not None:
            yield _committed(world, number, flight, mistakes)
        case _:
            changed, result, gone = disk.act(number, device, flight.op, mistakes)
            disk.require_kept(gone, world.people.alive, world.hub.ever, changed)
            over = changed._replace(flight=flight._replace(at=At.OVER, result=result))
            yield f"{who}: it acts on the disk: {result.ending.value}", world.with_device(number, over)


def _checked(world: World, device: Device, flight: Flight) -> Flight:
    """The look before the change. Handing out and looking are one step: what comes in between comes before both."""
    there = flight.mutation is not None
    fits = disk.fits_there(device, flight.op) if there else disk.fits_here(device, flight.op)
    if fits:
        return flight
    nodes = remote.outcome_of(world.hub, flight.key)  # an earlier attempt may have been heard after all
    result = Result(Ending.STALE) if nodes is None else Result(Ending.DONE, nodes=nodes)
    return flight._replace(at=At.OVER, result=result)


def _committed(world: World, number: int, flight: Flight, mistakes: Mistakes) -> Step:
    assert flight.mutation is not None
    if not world.people.done[number]:
        raise Broken(f"P3: nobody edits at {DEVICES[number]}, and it has the hub do: {brief(flight.op)}")
    hub, nodes = remote.commit(world.hub, flight.key, flight.mutation, mistakes)
    result = Result(Ending.DONE, nodes=nodes) if nodes is not None else _refused(hub, flight)
    device = world.device(number)._replace(flight=flight._replace(at=At.OVER, result=result))
    words = f"{DEVICES[number]}: the hub answers: {result.ending.value}"
    return words, tidy(world.with_device(number, device)._replace(hub=hub))


def _refused(hub: Hub, flight: Flight) -> Result:
    assert flight.mutation is not None
    return Result(Ending.STALE, nodes=remote.refusal(hub, flight.mutation))


def _recovered(world: World, number: int, flight: Flight) -> Step:
    device = world.device(number)
    if flight.mutation is not None:
        nodes = remote.outcome_of(world.hub, flight.key)
        result = Result(Ending.DONE, nodes=nodes) if nodes is not None else Result(Ending.NOT_DONE)
    else:
        result = disk.found_again(device, flight)
    told = settle(device, flight, result)._replace(phase=Phase.UNWALKED)
    words = f"{DEVICES[number]}: finds out how its op ended: {result.ending.value}"
    return words, tidy(world.with_device(number, planned(number, told)))


# --- faults -----------------------------------------------------------------------------------------------------


def _crashes(world: World, number: int, mistakes: Mistakes) -> Iterator[Step]:
    device, who = world.device(number), DEVICES[number]
    people, flight = world.people, device.flight
    if people.lost and flight is not None and flight.mutation is not None and flight.at is At.CHECKED:
        yield from _lost(world, number, flight, mistakes)
    if not people.crashes or (flight is None and device.look is None and device.pull is None):
        return
    people = people._replace(crashes=people.crashes - 1, crashed=True)
    forgetful = Mistake.FORGOTTEN_KEY in mistakes
    down = device._replace(look=None, pull=None, phase=Phase.UNWALKED, flight=None)
    if flight is not None and not forgetful:
        down = down._replace(phase=Phase.RECOVERING, flight=flight._replace(at=At.LOST))
    if forgetful:
        down = planned(number, down)
    yield f"{who}: crashes and starts again", tidy(world.with_device(number, down)._replace(people=people))
    if people.lost and flight is not None and flight.mutation is not None and flight.at is At.CHECKED:
        wire = (*people.wire, (flight.key, flight.mutation))
        people = people._replace(lost=people.lost - 1, wire=wire)
        words = f"{who}: sends its request, which stays on the way, crashes and starts again"
        yield words, tidy(world.with_device(number, down)._replace(people=people))


def _lost(world: World, number: int, flight: Flight, mistakes: Mistakes) -> Iterator[Step]:
    """No reply comes, and the hub cannot be asked: either it was heard, or the request is still on its way."""
    assert flight.mutation is not None
    who, people = DEVICES[number], world.people._replace(lost=world.people.lost - 1)
    device = world.device(number)._replace(flight=flight._replace(at=At.OVER, result=RETRY))
    hub, nodes = remote.commit(world.hub, flight.key, flight.mutation, mistakes)
    if nodes is not None:
        heard = world.with_device(number, device)._replace(people=people, hub=hub)
        yield f"{who}: the hub does it, and the reply is lost", tidy(heard)
    people = people._replace(wire=(*people.wire, (flight.key, flight.mutation)))
    yield f"{who}: the request stays on the way", tidy(world.with_device(number, device)._replace(people=people))


def _wire(world: World, mistakes: Mistakes) -> Iterator[Step]:
    for item in world.people.wire:
        key, mutation = item
        hub, nodes = remote.commit(world.hub, key, mutation, mistakes)
        people = world.people._replace(wire=tuple(other for other in world.people.wire if other != item))
        said = "refuses it" if nodes is None else "does it"
        words = f"a request of {DEVICES[owner(key)]} that was on the way reaches the hub, which {said}"
        yield words, tidy(world._replace(hub=hub, people=people))


# --- forgetting what can make no difference any more ------------------------------------------------------------


def tidy(world: World) -> World:
    """Drop what nobody can come across again: entries that all have pulled, keys and answers nobody asks for."""
    hub, devices = world.hub, (world.first, world.second)
    told = min(min(d.cursor, d.pull.after if d.pull is not None else d.cursor) for d in devices)
    journal = tuple(entry for entry in hub.journal if entry[0].version > told)
    wired = {key for key, _ in world.people.wire}
    flying = {d.flight.key for d in devices if d.flight is not None}
    seen_later = {key for _, key in journal}
    kept = []
    for device in devices:
        answered = {key for key, _ in hub.answered}
        queue = tuple(
            (key, op, live)
            for key, op, live in device.queue
            if key in wired or key in seen_later or (live and key in answered)
        )
        kept.append(device if queue == device.queue else device._replace(queue=queue))
    used = flying | wired | {key for device in kept for key, _, _ in device.queue}
    journal = tuple((entry, key if key in used else 0) for entry, key in journal)
    answered_now = tuple(item for item in hub.answered if item[0] in used)
    named = {number_of(row) for device in kept for row in device.rows} | {entry.id for entry, _ in journal}
    named |= {step[0] for _, mutation in world.people.wire for step in mutation.steps}
    nodes = tuple(node for node in hub.nodes if node.name is not None or node.id in named)
    hub = Hub(hub.head, nodes, journal, answered_now, hub.ever)
    return World(hub, kept[0], kept[1], world.people)
