"""Two whole devices and a hub on simulated storage, where the power goes at any call: nothing that was in sync is lost.

Disk, database, hub database and chunks lose what was not synced, together, as one machine does. (Schedules, networks
and clocks are the storm's; here one thing goes wrong in a run.)
"""

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncd.db.connection import Database
from syncd.hub.core import Hub
from syncd.hub.sqlite_store import DATABASE, SqliteStore
from syncd.model.errors import SyncdError
from syncd.observe.durable import MANY
from syncd.ports import Databases
from tests.engine.world import Device, Luck, Time, Wire, World
from tests.sim.blobs import SimBlobs
from tests.sim.databases import SimDatabases
from tests.sim.disk import Disk, Policy
from tests.sim.fs import SimFs
from tests.sim.person import SimPerson
from tests.sim.vfs import SimVfs

TREE = {f"d/{number}": b"content %d " % number * 100 for number in range(4)} | {"top": b"of the tree", "empty": b""}


class Stop(BaseException):
    """The power goes here."""


class Virtual(Time):
    """Time that moves only when told to."""

    def now(self) -> float:
        return 1_800_000_000.0 + self.ahead


class SimDevice(Device):
    """A device whose folder and database are simulated."""

    def __init__(self, base: Path, name: str, hub: Hub, time: Virtual, seed: int) -> None:
        self.disk = Disk(lambda: int(time.now() * 1e9))
        self.disk.add("root")
        self.person = SimPerson(self.disk, "root")
        self.vfs = SimVfs()
        self.root_identity = SimFs.tie(self.disk, "root", f"root-{name}")
        super().__init__(base, name, hub, time, seed)
        self.keeper.identity = (self.root_identity.dev, self.root_identity.ino)

    def open_fs(self) -> SimFs:  # type: ignore[override]
        return SimFs(self.disk, "root", expected=self.root_identity)

    def open_db(self) -> Database:
        return Database.open(str(self.base / "syncd.db"), clock=self.time, vfs=self.vfs.name)

    def open_databases(self) -> Databases:
        return SimDatabases()

    def tree(self) -> dict[str, str]:
        shown = self.person.snapshot().items()
        return {path: repr(what) for path, what in shown if not path.endswith("~")}  # an editor's, which is ignored

    def power_loss(self, policy: Policy, luck: random.Random) -> None:
        with self.vfs.power_loss(policy, luck), contextlib.suppress(SyncdError):
            self.db.close()
        self.disk.power_loss(policy, luck)
        self.start()


class SimWorld(World):
    """A hub and two devices, all on simulated storage."""

    def __init__(self, base: Path) -> None:
        self.base, self.time = base, Virtual()
        self.vfs = SimVfs()
        (base / "hub").mkdir()
        self.blobs = SimBlobs(Luck(7), self.time)
        self.hub = self.open_hub()
        self.hub.create_space("home")
        self.devices: list[SimDevice] = []  # type: ignore[assignment]
        for number, name in enumerate(("here", "there")):
            self.devices.append(SimDevice(base, name, self.hub, self.time, number))

    def open_hub(self) -> Hub:
        store = SqliteStore(self.base / "hub" / DATABASE, vfs=self.vfs.name)
        return Hub(store, self.blobs, self.time, Luck(1 + len(self.blobs.containers())))

    def hub_power_loss(self, policy: Policy, luck: random.Random) -> None:
        with self.vfs.power_loss(policy, luck):
            self.hub.close()
        self.blobs.power_loss(policy, luck)
        self.hub = self.open_hub()
        for device in self.devices:
            device.hub = self.hub
            device.wire._remote = Wire(self.hub.authenticate(device.enrolled.token))._remote


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SimWorld]:
    made = SimWorld(tmp_path)
    yield made
    made.close()
    for vfs in (made.vfs, *(device.vfs for device in made.devices)):
        vfs.unregister()


def prepared(world: SimWorld) -> tuple[SimDevice, SimDevice]:
    """Bring TREE in sync on both, then let both people edit."""
    here, there = world.devices
    here.person.mkdir("d")
    for path, data in TREE.items():
        here.person.write(path, data)
    world.settle()
    world.time.ahead += 60.0
    here.person.write("d/0", b"edited here" * 200)
    there.person.save("d/1", b"edited there" * 200)
    here.person.rename("d/2", "moved")
    there.person.delete("empty")
    there.person.mkdir("new")
    there.person.write("new/file", b"brand new")
    world.time.ahead += 5.0
    return here, there


def run_until_stopped(world: SimWorld) -> bool:
    """Settle; return whether the power went on the way."""
    try:
        world.settle_all()
    except Stop:
        return True
    return False


def check(world: SimWorld) -> None:
    """After all is mended: both the same, what nobody touched is as it was, and what was edited is old or new, or the
    part of an edit that the power left before syncd could read it."""
    world.time.ahead += 3600.0
    world.settle_all(rounds=12)
    here, there = world.devices
    assert here.tree() == there.tree()
    found = {path: data for path, (kind, _, data) in here.person.snapshot().items() if kind == "file"}
    for path in ("d/3", "top"):
        assert found[path] == TREE[path]
    for path, new in (("d/0", b"edited here" * 200), ("d/1", b"edited there" * 200)):
        versions = [data for name, data in found.items() if name == path or name.startswith(f"{path} (conf")]
        assert any(data == TREE[path] or new.startswith(data) for data in versions), (path, sorted(found))
    assert TREE["d/2"] in (found.get("d/2"), found.get("moved"))
    assert world.hub.verify().faults == ()


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("victim", [0, 1], ids=["here", "there"])
@pytest.mark.parametrize("seed", range(6))
def test_p4_the_power_goes_at_a_device(world: SimWorld, victim: int, policy: Policy, seed: int) -> None:
    prepared(world)
    luck = random.Random(f"{victim}{policy}{seed}")
    device, left = world.devices[victim], [luck.randint(1, 400)]

    def stop(name: str, path: str = "") -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Stop

    device.fs.on_call = device.vfs.on_call = stop
    stopped = run_until_stopped(world)
    device.vfs.on_call = None
    if not stopped:
        device.fs.on_call = None
    device.power_loss(policy, luck)
    check(world)


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("seed", range(6))
def test_p4_the_power_goes_at_the_hub(world: SimWorld, policy: Policy, seed: int) -> None:
    prepared(world)
    luck = random.Random(f"{policy}{seed}")
    left = [luck.randint(1, 60)]

    def stop(name: str, path: str = "") -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Stop

    world.vfs.on_call = world.blobs.on_call = stop
    stopped = run_until_stopped(world)
    world.vfs.on_call = world.blobs.on_call = None
    world.hub_power_loss(policy, luck)
    if stopped:
        for device in world.devices:  # the request that was under way took its engine's turn with it
            device.power_loss(Policy.ALL, luck)
    check(world)


def put_back(here: SimDevice, there: SimDevice) -> None:
    here.person.write("top", b"another")
    here.person.write("top", TREE["top"])


def saved_as_it_was(here: SimDevice, there: SimDevice) -> None:
    here.person.save("top", TREE["top"])


def made_on_both_sides(here: SimDevice, there: SimDevice) -> None:
    for device in (there, here):
        device.person.write("both", b"the same")


def copied_to_both_sides(here: SimDevice, there: SimDevice) -> None:
    for device in (there, here):
        device.person.mkdir("both")
        device.person.write("both/file", b"the same")


def many_made_on_both_sides(here: SimDevice, there: SimDevice) -> None:
    for device in (there, here):
        for number in range(MANY + 4):
            device.person.write(f"both {number}", b"the same")


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize(
    "deed", [put_back, saved_as_it_was, made_on_both_sides, copied_to_both_sides, many_made_on_both_sides]
)
def test_p4_what_is_found_to_be_in_sync_is_durable_before_that_is_said(
    world: SimWorld, deed: Callable[[SimDevice, SimDevice], None], policy: Policy
) -> None:
    """Nothing was sent, so that nothing was made durable: what the power left, an empty file or none, was taken for a
    person's edit and sent to everybody (seed 1001012)."""
    here, there = world.devices
    here.person.mkdir("d")
    for path, data in TREE.items():
        here.person.write(path, data)
    world.settle()
    world.time.ahead += 60.0
    deed(here, there)
    world.time.ahead += 5.0
    there.wait()
    here.wait()
    world.settle()
    expected = there.tree()
    here.power_loss(policy, random.Random(1))
    world.settle()
    assert here.tree() == there.tree() == expected
