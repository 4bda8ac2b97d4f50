"""What the engine makes of results, pages and looks: the rules of settle, receive and intake on the model's rows.

How S advances is the engine's own code (``syncd.engine.carry``). Each function is one transaction of the database.
"""

from collections.abc import Iterable
from dataclasses import replace

from syncd.engine.carry import after_local_op, after_own_commit, displaced_by_swap
from syncd.engine.receive import same_fields
from syncd.model.node import Absent, Kind, Node, Present, place_of
from syncd.model.observation import Ending
from syncd.model.op import Op, OpType, Side
from tests.exhaustive.deciding import decide, touched
from tests.exhaustive.values import (
    Device,
    Flight,
    Hub,
    HubNode,
    Look,
    Mistake,
    Phase,
    Pull,
    Result,
    content_hash,
    content_of,
    fingerprint,
    here,
    node_id,
    number_of,
    place,
    position_of,
    there,
)
from tests.exhaustive.values import Rows as Rowset

Rows = dict[int, Node]
MOVES = (OpType.LOCAL_MOVE, OpType.SET_ASIDE, OpType.LOCAL_SWAP)


def running(device: Device) -> frozenset[int]:
    """Return the nodes that have an op at work."""
    return frozenset() if device.flight is None else touched(device.flight.op)


def planned(number: int, device: Device) -> Device:
    """Return the device with all recorded that its rows say; ops that were sent and are planned no more are given up,
    their keys stay known."""
    if device.phase is Phase.RECOVERING:
        return device
    decided = decide(number, device.rows, running(device))
    queue = device.queue
    if queue:
        queue = tuple((key, op, live and decided.planned.get(op.node) == op) for key, op, live in queue)
    return device._replace(rows=decided.rows, queue=queue)


def _rows(device: Device) -> Rows:
    return {node.id: node for node in device.rows}


def _with_rows(device: Device, rows: Rows) -> Device:
    return device._replace(rows=Rowset(rows[key] for key in sorted(rows)))


def _by_number(rows: Rows, number: int) -> Node | None:
    return next((node for node in rows.values() if number_of(node) == number), None)


def _new_key(rows: Rows, device: Device) -> int:
    late = device.look.late if device.look is not None else ()
    used = {1, *rows, *late, *running(device)}
    return min(key for key in range(2, len(used) + 3) if key not in used)


# --- R ----------------------------------------------------------------------------------------------------------


def _write(rows: Rows, key: int, state: Present | Absent) -> None:
    node = rows[key]
    if node.remote == state:
        return
    node = replace(node, remote=state)
    if isinstance(state, Present) and isinstance(node.synced, Present) and same_fields(state, node.synced):
        node = replace(node, synced=state)
    rows[key] = node


def take_page(device: Device, hub: Hub, pull: Pull) -> Device:
    """Write a page of changes; a key of our own says what an op committed whose reply never came."""
    rows, queue = _rows(device), list(device.queue)
    for entry, key in hub.journal:
        if not pull.after < entry.version <= pull.upto:
            continue
        node = _by_number(rows, entry.id)
        if node is None:
            if entry.name is None:
                continue
            fresh = _new_key(rows, device)
            node = rows[fresh] = Node(fresh, node_id(entry.id), Kind.FILE)
        known = position_of(node.remote)
        if known is not None and entry.version < known:
            continue
        op = _own(device, key)
        if op is not None:
            rows[node.id] = replace(node, synced=after_own_commit(node, op, there(entry)))
            if device.flight is None or device.flight.key != key:
                queue = [(k, o, live and k != key) for k, o, live in queue]
        _write(rows, node.id, there(entry))
    return _with_rows(device._replace(queue=tuple(queue), pull=None), rows)


def _own(device: Device, key: int) -> Op | None:
    if device.flight is not None and device.flight.key == key:
        return device.flight.op
    return next((op for known, op, _ in device.queue if known == key), None)


# --- results ----------------------------------------------------------------------------------------------------


def settle(device: Device, flight: Flight, result: Result) -> Device:
    """Write how an op ended: S advances and the op ends in one transaction (P4), or it goes back."""
    rows, queue = _rows(device), device.queue
    op = flight.op
    look = device.look
    if look is not None:
        look = look._replace(late=tuple(sorted({*look.late, *touched(op)} & rows.keys())))
    remote = op.side is Side.REMOTE
    if result.ending is Ending.DONE:
        if remote:
            _done_there(rows, op, result.nodes)
        elif op.node in rows:
            _done_here(rows, op, result)
    elif remote:
        for said in result.nodes:
            node = _by_number(rows, said.id)
            if said.name is None and node is not None and node.remote == Absent():
                rows[node.id] = replace(node, remote=there(said))
        queue = (*queue, (flight.key, op, result.ending is not Ending.NOT_DONE))
    return _with_rows(device._replace(queue=queue, flight=None, look=look), rows)


def _done_there(rows: Rows, op: Op, nodes: Iterable[HubNode]) -> None:
    for said in nodes:
        node = _by_number(rows, said.id)
        if node is None:
            continue
        rows[node.id] = replace(node, synced=after_own_commit(node, op, there(said)))
        known = position_of(node.remote)
        if known is None or said.version >= known:
            _write(rows, node.id, there(said))


def _done_here(rows: Rows, op: Op, result: Result) -> None:
    node = rows[op.node]
    if op.type is OpType.LOCAL_DELETE:
        rows[op.node] = replace(node, local=Absent(), synced=Absent())
        return
    assert result.print is not None
    was = node.local if isinstance(node.local, Present) else None
    at = op.place
    if was is not None and op.type in (OpType.DOWNLOAD, OpType.CONFLICT):
        at = was.place
    digest = (op.expected_hash if op.type in MOVES else op.hash) or (was.hash if was is not None else None)
    synced = after_local_op(node, op)
    rows[op.node] = replace(node, local=here(at.name, content_of(digest)), fingerprint=result.print, synced=synced)
    if op.type is OpType.LOCAL_SWAP and op.partner is not None and op.source is not None:
        partner = rows.get(op.partner)
        if partner is not None and isinstance(partner.local, Present):
            moved = replace(partner.local, place=op.source)
            advanced = displaced_by_swap(partner, op.source)
            rows[op.partner] = replace(partner, local=moved, fingerprint=result.partner, synced=advanced)


# --- L ----------------------------------------------------------------------------------------------------------


def begin_look(device: Device) -> Look:
    """Return what a look at the whole folder finds that is not as L says."""
    known = {}
    for node in device.rows:
        if isinstance(node.local, Present):
            print_ = node.fingerprint
            known[node.local.place.name] = None if print_ is None else (print_.ino, print_.mtime_ns)
    seen = tuple((name, ino, content) for name, ino, content in device.disk if known.get(name) != (ino, content))
    listed = {name for name, _, _ in device.disk}
    return Look(seen, tuple(sorted(name for name in known if name not in listed)), ())


class Intake:
    """Takes one look in: absences first, then names whose place keeps its node, then arrivals."""

    def __init__(self, device: Device, look: Look, mistakes: frozenset[Mistake]) -> None:
        self.device, self.look = device, look
        self.rows = _rows(device)
        self.believing = Mistake.LATE_LOOKS in mistakes
        self.mistakes = mistakes
        self.running = frozenset() if self.believing else running(device)

    def take(self) -> Device:
        for name in self.look.gone:
            for node in self._at(name):
                if not self._stale(node):
                    self.rows[node.id] = replace(node, local=Absent())
        arrivals = [seen for seen in self.look.seen if not self._in_place(*seen)]
        for seen in arrivals:
            if not self._in_place(*seen):
                self._arrived(*seen)
        return _with_rows(self.device._replace(look=None), self.rows)

    def _at(self, name: str) -> list[Node]:
        wanted = place(name)
        return [self.rows[key] for key in sorted(self.rows) if place_of(self.rows[key].local) == wanted]

    def _stale(self, node: Node) -> bool:
        return not self.believing and (node.id in self.look.late or node.id in self.running)

    def _put(self, node: Node, name: str, inode: int, content: int) -> None:
        self.rows[node.id] = replace(node, local=here(name, content), fingerprint=fingerprint(inode, content))

    def _in_place(self, name: str, inode: int, content: int) -> bool:
        flight, blind = self.device.flight, self.believing or Mistake.ARRIVING_BY_R in self.mistakes
        op = None if blind or flight is None else flight.op
        if op is not None and op.side is Side.LOCAL and op.place == place(name):
            return True  # what is seen there may be the op's own
        if any(place_of(node.remote) == place(name) and node.id in self.running for node in self.rows.values()):
            return True
        occupants = self._at(name)
        if any(self._stale(node) for node in occupants):
            return True
        if not occupants:
            return False
        self._put(occupants[0], name, inode, content)
        return True

    def _arrived(self, name: str, inode: int, content: int) -> None:
        found = [n for n in self.rows.values() if n.fingerprint is not None and n.fingerprint.ino == inode]
        for node in sorted(found, key=lambda node: (not isinstance(node.local, Present), node.id)):
            if node.id in self.running or (self._stale(node) and Mistake.OLD_ARRIVALS not in self.mistakes):
                return
            if isinstance(node.local, Absent) and node.fingerprint == fingerprint(inode, content):
                self._put(node, name, inode, content)
                return
        twins = [node for node in self.rows.values() if self._vanished_with(node, content)]
        if len(twins) == 1:
            self._put(twins[0], name, inode, content)
            return
        key = _new_key(self.rows, self.device)
        local = here(name, content)
        self.rows[key] = Node(key, None, Kind.FILE, local=local, fingerprint=fingerprint(inode, content))

    def _vanished_with(self, node: Node, content: int) -> bool:
        if not isinstance(node.local, Absent) or not isinstance(node.synced, Present) or node.id in self.running:
            return False
        return node.fingerprint is not None and content_hash(node.fingerprint.mtime_ns) == content_hash(content)
