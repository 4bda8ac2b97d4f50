"""The simulated blob store over a power loss, and a whole hub on simulated storage."""

import errno
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from blake3 import blake3

from syncd.hub.core import Hub
from syncd.hub.sqlite_store import DATABASE, SqliteStore
from syncd.hub.store import Location
from syncd.model.errors import NoSpace, Outdated, SyncdError, Transient
from syncd.model.node import Kind
from syncd.model.path import ROOT_ID
from syncd.model.remote import Content, Create, Verdict
from tests.sim.blobs import SimBlobs
from tests.sim.journal import Policy
from tests.sim.vfs import SimVfs


class Stop(BaseException):
    """The simulation ends the process here."""


class Luck:
    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def between(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)


class Clock:
    at = 1_800_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


def h(data: bytes) -> bytes:
    return blake3(data).digest()


def made(capacity: int | None = None) -> SimBlobs:
    return SimBlobs(Luck(), Clock(), capacity=capacity)


@pytest.mark.parametrize("policy", Policy)
def test_p4_what_was_written_survives(policy: Policy) -> None:
    for seed in range(20):
        blobs = made()
        (location,) = blobs.write([(h(b"x"), b"x")])
        blobs.power_loss(policy, random.Random(seed))
        assert blobs.read(h(b"x"), 1, location) == b"x"


def test_a_write_that_the_power_cut_is_there_in_part_or_not_at_all() -> None:
    data = bytes(range(256)) * 8
    for policy, allowed in ((Policy.ALL, {None}), (Policy.SOME, {None, 0, 2080}), (Policy.TORN, None)):
        seen = set()
        for seed in range(60):
            blobs = made()

            def stop(name: str) -> None:
                if name == "sync":
                    raise Stop

            blobs.on_call = stop
            with pytest.raises(Stop):
                blobs.write([(h(data), data)])
            blobs.on_call = None
            blobs.power_loss(policy, random.Random(seed))
            found = blobs.containers()
            seen.add(len(next(iter(found.values()))) if found else None)
        assert seen == (allowed or {None, 0, 512, 1024, 1536, 2048})


def test_a_removal_may_be_undone_until_it_was_written_back() -> None:
    seen = set()
    for seed in range(20):
        blobs = made()
        (location,) = blobs.write([(h(b"x"), b"x")])
        blobs.remove(location.container)
        blobs.power_loss(Policy.SOME, random.Random(seed))
        seen.add(blobs.size(location.container))
    assert seen == {None, 33}
    blobs = made()
    (location,) = blobs.write([(h(b"x"), b"x")])
    blobs.remove(location.container)
    blobs.write_back()
    blobs.power_loss(Policy.ALL, random.Random(0))
    assert blobs.size(location.container) is None


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, NoSpace), (errno.EDQUOT, NoSpace), (errno.EIO, Transient)]
)
@pytest.mark.parametrize("at", ["write", "sync"])
def test_a_fault_is_what_the_real_one_makes_of_it_and_leaves_nothing(at: str, number: int, error: type) -> None:
    blobs = made()

    def fail(name: str) -> None:
        if name == at:
            raise OSError(number, "injected")

    blobs.on_call = fail
    with pytest.raises(error):
        blobs.write([(h(b"x"), b"x")])
    assert blobs.containers() == {}
    assert blobs.used == 0


def test_a_full_store_is_no_space() -> None:
    blobs = made(capacity=100)
    (location,) = blobs.write([(h(b"x" * 60), b"x" * 60)])
    with pytest.raises(NoSpace):
        blobs.write([(h(b"y"), b"y")])
    blobs.remove(location.container)
    blobs.write([(h(b"y"), b"y")])


def test_a_backup_is_what_was_there() -> None:
    blobs = made()
    (kept,) = blobs.write([(h(b"x"), b"x")])
    copy = blobs.copy()
    (later,) = blobs.write([(h(b"y"), b"y")])
    blobs.remove(kept.container)
    blobs.restore(copy)
    assert blobs.read(h(b"x"), 1, kept) == b"x"
    with pytest.raises(Outdated):
        blobs.read(h(b"y"), 1, Location(later.container, 0, later.length))


# --- a hub ---


@pytest.fixture
def vfs() -> Iterator[SimVfs]:
    made = SimVfs()
    yield made
    made.unregister()


@pytest.mark.parametrize("policy", [None, *Policy], ids=lambda policy: policy or "killed")
def test_p4_what_a_hub_answered_survives_a_crash_anywhere(tmp_path: Path, vfs: SimVfs, policy: Policy | None) -> None:
    """A hub on simulated storage, which dies at one call after the other while a device stores and commits."""
    clock, luck, blobs = Clock(), Luck(), made()
    hub = Hub(SqliteStore(tmp_path / DATABASE, vfs=vfs.name), blobs, clock, luck)
    hub.create_space("home")
    token = hub.enroll(hub.invite("home"), "laptop").token
    answered: dict[bytes, bytes] = {}
    deaths, left = 0, [0]

    def stop(name: str, path: str = "") -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Stop

    for number in range(1, 60):
        session = hub.authenticate(token)
        data, key, node_id = bytes([number]) * 700, luck.token(16), luck.token(16)
        left[0] = number % 40
        vfs.on_call = blobs.on_call = stop
        try:
            session.put_chunks([(h(data), data)])
            create = Create(key, node_id, ROOT_ID, f"f{number}", Kind.FILE, content=Content(h(data), len(data)))
            (outcome,) = session.commit([create])
            assert outcome.verdict is Verdict.DONE
            answered[node_id] = data
        except (Stop, SyncdError):
            deaths += 1
        vfs.on_call = blobs.on_call = None
        with ExitStack() as dying:
            dying.enter_context(vfs.killed() if policy is None else vfs.power_loss(policy, random.Random(number)))
            hub.close()
        if policy is not None:
            blobs.power_loss(policy, random.Random(number))
        hub = Hub(SqliteStore(tmp_path / DATABASE, vfs=vfs.name), blobs, clock, luck)
    assert 20 < deaths < 55
    session = hub.authenticate(token)
    nodes = {change.node.node_id: change.node for change in session.listing(None, 1000).changes}
    for node_id, data in answered.items():
        assert nodes[node_id].content == Content(h(data), len(data))
        assert [found for _, found in session.get_chunks([h(data)])] == [data]
    assert hub.verify().faults == ()
    hub.close()
