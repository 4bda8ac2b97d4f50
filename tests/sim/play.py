"""A play: a hub and its devices on simulated storage, in bad weather. One thread and one seed decide everything.

Owns the weather's hand in it, and what must hold when it is over. ``tests.sim.scenes`` has the plays there are.
"""

import contextlib
import hashlib
import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import apsw
from blake3 import blake3

from syncd.chunks.manifest import decode
from syncd.engine.desk import EngineSettings
from syncd.hub.core import Hub
from syncd.hub.sqlite_reads import SqliteReads
from syncd.hub.sqlite_store import DATABASE, SqliteStore
from syncd.model.errors import NotAuthorised, SyncdError
from syncd.model.node import NEVER_SYNCED, TAKEN, Absent, Node, Reason, Tree, Unknown
from syncd.model.observation import Ask, ClockJumped, HintsLost, Verb
from syncd.model.op import Op, OpType, WaitKind
from tests.engine.world import Luck, World
from tests.sim.blobs import BlobsCopy, SimBlobs
from tests.sim.clock import SimTime
from tests.sim.device import SimDevice
from tests.sim.disk import Policy
from tests.sim.vfs import SimVfs
from tests.sim.weather import Crash, HubCrash, Weather

CALL_SECONDS = 0.0003
"""What a call of syncd's takes, in virtual time."""


class Play(World):
    """A hub and its devices."""

    time: SimTime  # type: ignore[assignment]
    devices: list[SimDevice]  # type: ignore[assignment]

    def __init__(
        self,
        base: Path,
        seed: int,
        *names: str,
        weather: Weather | None = None,
        settings: EngineSettings | None = None,
    ) -> None:
        self.base, self.seed, self.luck = base, seed, random.Random(seed)
        self.chosen, self.weather = weather or Weather(), Weather()
        self.time = SimTime()
        self.trace: list[str] = []
        self.digest = hashlib.blake2b(digest_size=16)
        self.failed_jobs: list[str] = []
        self.meddler: Callable[[SimDevice], None] = lambda device: None
        self.power_taken: set[bytes] = set()
        self.ended: set[bytes] = set()  # hashes of what was a version until its retention ended
        self.policy: Policy | None = None  # how power is lost; None: by chance
        self.calls = self.commits = self.opened_hubs = 0
        self.lose_commit = self.crash_call = 0
        self.inside = False
        (base / "hub").mkdir(parents=True)
        self.vfs = SimVfs()
        self.blobs = SimBlobs(Luck(seed * 101), self.time)
        self.backup: BlobsCopy | None = None
        self.hub = self._open_hub()
        self.vfs.on_call = lambda name, path: self._hub_call()
        self.blobs.on_call = lambda name: self._hub_call()
        self.hub.create_space("home")
        self.devices = []
        for number, name in enumerate(names):
            self.devices.append(SimDevice(self, base, name, seed * 31 + number, settings))
        self.weather = self.chosen

    # --- the trace, and what may happen at any call ------------------------------------------------------------------

    def say(self, what: str) -> None:
        """Note something that a reader of a failure must know."""
        what = what.replace(str(self.base), "")  # another one in each run
        self.trace.append(f"{self.calls} {what}")
        self.digest.update(what.encode("utf-8", "surrogateescape"))

    def at_call(self, device: SimDevice, name: str) -> None:
        """What may happen at any call of a device's: its process dies, or somebody edits."""
        self.calls += 1
        self.time.ahead += CALL_SECONDS
        self.digest.update(f"{device.name} {name} {self.time.ahead}".encode())
        if self.crash_call == self.calls or self.luck.random() < self.weather.crash:
            self.say(f"{device.name}: dies at {name}")
            raise Crash
        if self.luck.random() < self.weather.meddle and not self.inside:
            self.inside = True
            self.say(f"{device.name}: in the middle of {name}:")
            self.meddler(device)
            self.inside = False

    def _hub_call(self) -> None:
        if self.luck.random() < self.weather.hub_crash:
            raise HubCrash

    def power_lost(self, device: SimDevice, contents: set[bytes]) -> None:
        """The power took these of what lay on a device's disk."""
        self.power_taken |= contents

    # --- between turns -------------------------------------------------------------------------------------------

    def gust(self) -> None:
        """Whatever may happen between turns."""
        luck, weather = self.luck, self.weather
        device = luck.choice(self.devices)
        happens: dict[str, Callable[[], object]] = {
            "restart": device.restart,
            "broken_database": lambda: device.break_database(luck),
            "full": lambda: device.fill(luck),
            "unmount": lambda: device.unmount() if device.unmounted is None else device.mount(),
            "outage": lambda: setattr(device.wire, "cut", not device.wire.cut),
            "reopen": lambda: self.hub_dies(power=False),
            "restore": lambda: self.restore_hub() if luck.random() < 0.5 else self.backup_hub(),
            "expire": self.end_retention,
            "revoke": lambda: self.renew(device) if self._revoked(device) else self.revoke(device),
            "unreadable": lambda: self.lock(device),
            "jump": self.jump,
            "lose_hints": lambda: self._lose_hints(device),
        }
        for name, act in happens.items():
            rate = getattr(weather, name)
            if rate and luck.random() < rate:
                self.say(f"{device.name}: {name}")
                try:
                    act()
                except HubCrash:
                    self.hub_dies()

    def hub_dies(self, *, power: bool | None = None) -> None:
        """The hub's process is gone, perhaps with the machine's power, and comes back."""
        lost = self.luck.random() < self.weather.power if power is None else power
        policy = (self.policy or self.luck.choice(list(Policy))) if lost else None
        self.say(f"the hub dies ({policy or 'killed'})")
        with self.vfs.killed() if policy is None else self.vfs.power_loss(policy, self.luck):
            self._close_hub()
        if policy is not None:
            self.blobs.power_loss(policy, self.luck)
        self.hub = self._open_hub()

    def _close_hub(self) -> None:
        with contextlib.suppress(SyncdError, apsw.Error, HubCrash):
            self.hub.close()

    def _open_hub(self) -> Hub:
        self.opened_hubs += 1
        hook, self.vfs.on_call = self.vfs.on_call, None
        store = SqliteStore(self.base / "hub" / DATABASE, vfs=self.vfs.name)
        hub = Hub(store, self.blobs, self.time, Luck(self.seed * 101 + self.opened_hubs))
        self.vfs.on_call = hook
        return hub

    def backup_hub(self) -> None:
        with self.vfs.killed():
            self._close_hub()
        shutil.rmtree(self.base / "backup", ignore_errors=True)
        shutil.copytree(self.base / "hub", self.base / "backup")
        self.backup = self.blobs.copy()
        self.hub = self._open_hub()

    def restore_hub(self) -> None:
        if self.backup is None:
            return
        self.say("the hub goes back to its backup")
        with self.vfs.killed():
            self._close_hub()
        shutil.rmtree(self.base / "hub")
        shutil.copytree(self.base / "backup", self.base / "hub")
        self.vfs.kept.clear()
        self.blobs.restore(self.backup)
        self.hub = self._open_hub()

    def end_retention(self) -> None:
        """The hub keeps nothing that was superseded. What goes with it is not lost (P1), unless it comes back as a
        version, and goes another way."""
        before = self._versions()
        try:
            self.hub.gc(0.0)
        except HubCrash:
            self.hub_dies()
        self.ended = (self.ended | before) - self._versions()

    def _versions(self) -> set[bytes]:
        """Return the hashes of all contents that the hub has a version of. Nobody's call: no weather is in it."""
        hook, self.vfs.on_call = self.vfs.on_call, None
        with self.hub.store.read() as view:
            assert isinstance(view, SqliteReads)
            found = view._rows("SELECT DISTINCT hash FROM entry WHERE hash IS NOT NULL ORDER BY 1")
        self.vfs.on_call = hook
        return {row[0] for row in found}

    def _revoked(self, device: SimDevice) -> bool:
        try:
            self.hub.authenticate(device.enrolled.token)
        except NotAuthorised:
            return True
        return False

    def revoke(self, device: SimDevice) -> None:
        self.hub.revoke(device.enrolled.device_id)

    def renew(self, device: SimDevice) -> None:
        device.enrolled = self.hub.enroll(self.hub.invite("home"), device.name)
        device.restart()

    def lock(self, device: SimDevice) -> None:
        if device.unreadable:
            device.unreadable.clear()
        else:
            device.unreadable = set(self.luck.sample(["f0", "f1", "f2", "f3", "m0", "m1", ".syncignore"], 2))

    def jump(self) -> None:
        seconds = self.luck.choice([40.0, 4000.0, 86400.0])
        self.time.ahead += seconds
        for each in self.devices:
            each.disk.write_back()
            each.step([ClockJumped(seconds)])

    def _lose_hints(self, device: SimDevice) -> None:
        device.hints.clear()
        device.step([HintsLost((), "overflow")])

    # --- when it is over -----------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Mend everything, and try what was parked again."""
        some_restart = [self.luck.random() < 0.3 for _ in self.devices]
        self.weather = Weather()
        self.say("the storm is over")
        for device, restarts in zip(self.devices, some_restart, strict=True):
            device.unreadable.clear()
            device.volume.capacity = None
            device.wire.cut = False
            device.mount()
            if self._revoked(device):
                device.enrolled = self.hub.enroll(self.hub.invite("home"), device.name)
                device.restart(calm=True)
            elif restarts or device.database_broken:
                device.restart(calm=True)
        self.time.ahead += 15.0  # a root that could not be proven is tried again by now
        for device in self.devices:
            device.rest(200)  # what was under way may end badly yet
            device.tickets += 1
            device.step([Ask(device.tickets, Verb.RETRY)])

    def settle(self, *, expect: int | None = 0, rounds: int = 8) -> None:
        """Let every device settle; check P2 and P3. Pipes are never synced, and hold what would take their name; what a
        power loss damaged before it was synced is held, and shown; so is a folder kept for ignored content, and what
        would come to a name that something ignored has."""
        self.settle_all(expect=expect, rounds=rounds)
        shown = [device.person.snapshot() for device in self.devices]
        pipes = tuple(path for each in shown for path, what in each.items() if what[0] == "fifo")
        waiting = tuple(path for device in self.devices for path in obstructed(device))
        apart = (*pipes, *waiting, *(path for device in self.devices for path in device.damaged()))
        trees = [
            {path: what for path, what in device.tree().items() if path not in left and not under(path, apart)}
            for device, left in zip(self.devices, map(kept, self.devices), strict=True)
        ]
        for device, tree in zip(self.devices, trees, strict=True):
            other = [path for path in {*tree, *trees[0]} if tree.get(path) != trees[0].get(path)]
            assert not other, f"P2: {device.name} and {self.devices[0].name} differ in {sorted(other)}"
        if not pipes and not waiting:
            for device in self.devices:
                self.check_p3(device)

    def lost(self, contents: Iterable[bytes]) -> list[bytes]:
        """P1: return which of these are neither in a folder, nor in a trash, nor in a version the hub keeps, or kept
        until its retention ended; what the power took before syncd had it is not syncd's to keep."""
        kept: set[bytes] = set().union(*(device.everything() for device in self.devices))
        gone = [content for content in contents if content not in kept and content not in self.power_taken]
        return [
            content[:40]
            for content in gone
            if not self._is_version(content) and blake3(content).digest() not in self.ended
        ]

    def _is_version(self, content: bytes) -> bool:
        """Return whether the hub keeps *content* as a version, with every piece of it."""
        session = self.hub.authenticate(self.devices[0].enrolled.token)
        digest = blake3(content).digest()
        with self.hub.store.read() as view:
            assert isinstance(view, SqliteReads)
            kept = view._rows("SELECT DISTINCT manifest FROM entry WHERE hash = ? ORDER BY 1", digest)
        for (manifest,) in kept:
            if manifest is None:
                pieces = [digest]
            elif session.missing([manifest]):
                continue
            else:
                pieces = [piece.hash for piece in decode(session.get_manifest(manifest)).pieces]
            if not session.missing(pieces):
                return True
        return False

    def check_queues(self) -> None:
        """Nothing is left to do, and nothing was given up, but for what waits for something ignored, or held."""
        for device in self.devices:
            left = [queued for queued in device.db.queue.in_state(None, 1000) if not is_obstructed(device, queued.op)]
            assert not left, device.doings()

    def close(self) -> None:
        self.vfs.on_call = self.blobs.on_call = None
        for device in self.devices:
            device.close()
        self._close_hub()
        self.vfs.unregister()


def kept(device: SimDevice) -> frozenset[str]:
    """Return the folders that stay on *device*, as it knows, for what is never synced in them; not what else is in
    them."""
    nodes, tree = device.db.nodes, device.tree()
    ignored = [path for path, what in device.person.snapshot().items() if path not in tree or what[0] == "fifo"]
    left = [device.engine.desk.local_path(key) for key in nodes.unknown(Tree.LOCAL, Reason.LEFTOVER, 0, 1000)]
    folders = ["/".join(path) for path in left if path is not None]
    return frozenset(folder for folder in folders if any(path.startswith(f"{folder}/") for path in ignored))


def obstructed(device: SimDevice) -> frozenset[str]:
    """Return what waits on *device*, as it shows, for a name that something ignored has there: where it is, and where
    the remote has it."""
    nodes = device.db.nodes
    moves = [queued.op.node for queued in device.db.queue.in_state(None, 1000) if is_obstructed(device, queued.op)]
    held = [key for key in nodes.unknown(Tree.LOCAL, Reason.HELD, 0, 1000) if _has_no_name(nodes.node(key))]
    paths = [nodes.path(tree, key) for tree in (Tree.LOCAL, Tree.REMOTE) for key in (*moves, *held)]
    return frozenset("/".join(path) for path in paths if path is not None)


def is_obstructed(device: SimDevice, op: Op, far: int = 0) -> bool:
    """Return whether *op* would take what is here to a name that something ignored has, or bring something into a
    folder that is held, which the device shows."""
    for wait in op.waits:
        node = device.db.nodes.node(wait.node)
        reason = node.local.reason if node is not None and isinstance(node.local, Unknown) else None
        never = reason in NEVER_SYNCED or (reason is Reason.HELD and node is not None and _is_nobody(node))
        if wait.kind is WaitKind.NAME_FREE and op.type is OpType.LOCAL_MOVE and never:
            return True
        live = device.db.queue.live(wait.node)
        if wait.kind is WaitKind.PARENT_EXISTS and reason is Reason.HELD:
            return True
        chained = wait.kind in (WaitKind.PARENT_EXISTS, WaitKind.NAME_FREE) and live is not None and far < 50
        if chained and is_obstructed(device, live.op, far + 1):  # it waits for who waits
            return True
    return False


def _is_nobody(node: Node) -> bool:
    """Whether it is only a name that is taken, as by a pipe: neither the remote nor S has it."""
    return isinstance(node.remote, Absent) and isinstance(node.synced, Absent)


def _has_no_name(node: Node | None) -> bool:
    return node is not None and isinstance(node.local, Unknown) and node.local.detail.startswith(TAKEN)


def under(path: str, tops: tuple[str, ...]) -> bool:
    """Return whether *path* is one of *tops*, or below one."""
    return any(f"{path}/".startswith(f"{top}/") for top in tops)
