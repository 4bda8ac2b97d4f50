"""The state of the small model, as values: one hub, two devices, what people may still do. Changes nothing.

Names of things are made from what they stand for (a content from its writer and number, an inode and a node id from
the content they began with), so that equal situations are equal values, whatever way led to them. Nodes and ops are
the project's own, for the planner is the real one.
"""

from enum import Enum, IntEnum
from functools import lru_cache
from typing import NamedTuple

from syncd.model.node import Absent, Fingerprint, Kind, Node, Place, Present, State, Version
from syncd.model.observation import Ending
from syncd.model.op import Op
from syncd.model.path import ROOT

NAMES = ("a", "b", "c")
PLACES = {name: Place(ROOT, name) for name in NAMES}


class Mistake(Enum):
    """What is wrong in the protocol on purpose: a model that does not find these proves nothing."""

    EARLY_S = "S advances before the effect"
    FORGOTTEN_KEY = "a crash forgets the key"
    NEW_KEY = "what got no reply is forgotten"
    LATE_LOOKS = "late looks are accepted"
    CURSOR_FIRST = "a pull saves the cursor first"
    BLIND_HUB = "no precondition at the hub"
    BLIND_DISK = "what was displaced is not looked at"
    OLD_ARRIVALS = "where a file went is concluded from a look older than a result"
    ARRIVING_BY_R = "that an op brings a file is known by R alone"


class Broken(AssertionError):
    """A promise does not hold."""


class At(IntEnum):
    """How far the op in flight is."""

    CHECKED = 1  # handed out, durably, and what it expects was found
    OVER = 2  # it had its effect, or none; the result is on its way
    LOST = 3  # the device stopped meanwhile: how it ended is to be found out


class Phase(IntEnum):
    """How far a device is after a start."""

    AWAKE = 0
    UNWALKED = 1  # nothing is handed out before everything was looked at
    RECOVERING = 2  # nothing is planned before it is known how the op in flight ended


class HubNode(NamedTuple):
    """A node as the hub has it; *name* None: its tombstone."""

    id: int
    name: str | None
    content: int
    version: int


class Mutation(NamedTuple):
    """What the hub is asked: *steps* are (node, base, name); base None where the hub never had it."""

    kind: str
    steps: tuple[tuple[int, int | None, str], ...]
    content: int = 0


class Hub(NamedTuple):
    """*journal* is (entry, key) as far as some device has not pulled it; *answered* (key, outcome) of keys still in
    use; *ever* a set of all contents it had."""

    head: int
    nodes: tuple[HubNode, ...]
    journal: tuple[tuple[HubNode, int], ...]
    answered: tuple[tuple[int, tuple[HubNode, ...]], ...]
    ever: int


class Result(NamedTuple):
    """How an op ended: the fingerprint of its file, and of its partner, or what the hub answered."""

    ending: Ending
    print: Fingerprint | None = None
    partner: Fingerprint | None = None
    nodes: tuple[HubNode, ...] = ()


class _Flight(NamedTuple):
    key: int
    op: Op
    mutation: Mutation | None
    at: At
    result: Result | None


class Flight(_Flight):
    """The op at work. *result* is what it had for effect, also where nobody knows it yet."""

    def __hash__(self) -> int:
        return _hash_once(self)


class Rows(tuple[Node, ...]):
    """The rows of a device, by key."""

    def __hash__(self) -> int:
        return _hash_once(self)


def _hash_once(value: tuple[object, ...]) -> int:
    """Return the hash of a value that is looked up again and again, and takes long to hash."""
    known: dict[str, int] = value.__dict__
    found = known.get("hash")
    if found is None:
        found = known["hash"] = tuple.__hash__(value)
    return found


class Look(NamedTuple):
    """What a look saw: files that are not as L says, names that are gone; *late*: nodes with a result since then."""

    seen: tuple[tuple[str, int, int], ...]
    gone: tuple[str, ...]
    late: tuple[int, ...]


class Pull(NamedTuple):
    """A page on its way: the entries after *after* up to *upto*. *saved*: its cursor is, its rows are not."""

    after: int
    upto: int
    saved: bool = False


class Device(NamedTuple):
    """One device. *disk* (name, inode, content), *rows*, *cursor* and *queue* outlive a crash, as does the op of
    *flight*. *queue* holds (key, op, live) of ops without a known outcome; *had* is a set of contents its disk had."""

    disk: tuple[tuple[str, int, int], ...]
    rows: Rows
    cursor: int
    queue: tuple[tuple[int, Op, bool], ...]
    flight: Flight | None
    look: Look | None
    pull: Pull | None
    phase: Phase
    had: int


class People(NamedTuple):
    """What may still happen, and what must not get lost.

    *done* counts the edits on each device; *alive* is the set of contents that nobody who had them replaced or
    removed; *names* how many names were ever in use (those never used are alike); *wire* are requests without a reply
    that may reach the hub yet, as (key, mutation)."""

    edits: int
    crashes: int
    lost: int
    done: tuple[int, int]
    alive: int
    names: int
    crashed: bool
    wire: tuple[tuple[int, Mutation], ...]


class World(NamedTuple):
    """A state of everything."""

    hub: Hub
    first: Device
    second: Device
    people: People

    def device(self, number: int) -> Device:
        return self.second if number else self.first

    def with_device(self, number: int, device: Device) -> "World":
        return self._replace(second=device) if number else self._replace(first=device)


def bit(content: int) -> int:
    return 1 << content


def owner(key: int) -> int:
    return key // 100


@lru_cache(None)
def node_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def number_of(node: Node) -> int:
    return 0 if node.node_id is None else int.from_bytes(node.node_id, "big")


@lru_cache(None)
def content_hash(content: int) -> bytes:
    return bytes([content])


def content_of(digest: bytes | None) -> int:
    assert digest is not None
    return digest[0]


@lru_cache(None)
def place(name: str) -> Place:
    return Place(ROOT, name)


@lru_cache(None)
def fingerprint(inode: int, content: int) -> Fingerprint:
    return Fingerprint(1, inode, content, 0, 0)


@lru_cache(None)
def version(position: int) -> Version:
    return Version(position, "")


@lru_cache(None)
def here(name: str, content: int) -> Present:
    """L of a file."""
    return Present(place(name), content_hash(content))


@lru_cache(None)
def there(entry: HubNode) -> Present | Absent:
    """R of what the hub says."""
    if entry.name is None:
        return Absent(version(entry.version))
    return Present(place(entry.name), content_hash(entry.content), version=version(entry.version))


def position_of(state: State) -> int | None:
    known = state.version if isinstance(state, Present | Absent) else None
    return None if known is None else known.position


def base(files: int, edits: int, crashes: int, lost: int) -> World:
    """Return a world in which the first *files* names are in sync everywhere."""
    nodes = tuple(HubNode(n + 1, NAMES[n], n + 1, n + 1) for n in range(files))
    contents = sum(bit(n + 1) for n in range(files))
    hub = Hub(files, nodes, (), (), contents)
    rows = []
    for entry in nodes:
        state = there(entry)
        local = here(NAMES[entry.id - 1], entry.content)
        print_ = fingerprint(entry.id, entry.content)
        rows.append(Node(ROOT + entry.id, node_id(entry.id), Kind.FILE, state, state, local, print_))
    disk = tuple((NAMES[n], n + 1, n + 1) for n in range(files))
    device = Device(disk, Rows(rows), files, (), None, None, None, Phase.AWAKE, contents)
    return World(hub, device, device, People(edits, crashes, lost, (0, 0), contents, files, False, ()))
