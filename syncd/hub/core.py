"""The hub: where its parts are put together, and what an operator may ask of it. No HTTP.

Owns the composition of stores, auth, blobs and journal. Never knows SQL, file names or the wire.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncd.hub import auth
from syncd.hub.auth import INVITE_TTL
from syncd.hub.bell import Bell
from syncd.hub.blobs import Blobs
from syncd.hub.folder_backup import BackupReport, FolderBackup
from syncd.hub.folder_blobs import CHUNKS, FolderBlobs
from syncd.hub.session import Session
from syncd.hub.sqlite_store import DATABASE, SqliteStore
from syncd.hub.store import BlobStore, DeviceRow, Space, Store
from syncd.hub.upkeep import HISTORY_RETENTION, GcReport, Upkeep, VerifyReport
from syncd.model.errors import Usage
from syncd.model.renewal import Renewal
from syncd.ports import Chance, Clock


@dataclass(frozen=True, slots=True)
class SpaceInfo:
    """A space as shown to an operator. *space_id* is hex."""

    space_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a device gets for an invite. The token is told this once; ids are hex."""

    token: str
    device_id: str
    hub_id: str
    space_id: str
    space: str
    device: str


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device as shown to an operator. Times are seconds since the epoch; ids are hex."""

    device_id: str
    name: str
    space: str
    created_at: float
    revoked_at: float | None


class Hub:
    """One hub. Any thread; one writes at a time, readers go on."""

    def __init__(
        self,
        store: Store,
        blobs: BlobStore,
        clock: Clock,
        chance: Chance,
        backup: Callable[[Path, Callable[[int], None]], BackupReport] | None = None,
    ) -> None:
        """Put a hub together from open stores; a new one gets its id. *backup* copies both, where they can be."""
        self.store = store
        self.clock = clock
        self.chance = chance
        self.bell = Bell()
        self.blobs = Blobs(store, blobs, clock)
        self._upkeep = Upkeep(store, blobs, self.blobs, clock)
        self._backup = backup
        self.lines: set[int] = set()  # spaces of whose history this process has begun a line of its own
        with store.read() as view:
            hub_id = view.hub_id()
        if not hub_id:
            with store.write() as change:
                change.set_hub_id(chance.token(16))
                hub_id = change.hub_id()  # another process may have been first
        self._hub_id = hub_id.hex()

    @classmethod
    def open(cls, data_dir: Path, clock: Clock, chance: Chance) -> "Hub":
        """Open the hub in *data_dir*, making it when new. Several processes may have it open.

        Raises Refused when the data is of a newer syncd or not accessible, Corrupt when it is damaged.
        """
        blobs = FolderBlobs(data_dir / CHUNKS, chance)  # makes the folders
        store = SqliteStore(data_dir / DATABASE)
        try:
            return cls(store, blobs, clock, chance, FolderBackup(data_dir, store, blobs))
        except BaseException:
            store.close()
            raise

    @property
    def hub_id(self) -> str:
        """The hub's own random id, in hex; it stays with the data."""
        return self._hub_id

    def spaces(self) -> Sequence[SpaceInfo]:
        """Return every space, oldest first."""
        with self.store.read() as view:
            return [_space_info(space) for space in view.spaces()]

    def create_space(self, name: str) -> SpaceInfo:
        """Return the space called *name*, made when new; raises Usage for an impossible name."""
        with self.store.write() as change:
            return _space_info(auth.create_space(change, name, self.clock.now(), self.chance))

    def invite(self, space: str, ttl: float = INVITE_TTL) -> str:
        """Return a secret that lets one device into the space called *space* within *ttl* seconds; raises Usage."""
        with self.store.write() as change:
            found = auth.find_space(change, space)
            return auth.invite(change, found, self.clock.now(), ttl, self.chance)

    def enroll(self, secret: str, device_name: str, renewal: Renewal | None = None) -> Enrolled:
        """Use up an invite for a new device; raises NotAuthorised for a wrong, used or expired one.

        A device that *renewal* proves to be the same one is shut out in the same transaction."""
        with self.store.write() as change:
            space, device, token = auth.enroll(change, secret, device_name, renewal, self.clock.now(), self.chance)
        return Enrolled(token, device.device_id.hex(), self._hub_id, space.space_id.hex(), space.name, device.name)

    def authenticate(self, token: str) -> Session:
        """Return the session of the device with this token; raises NotAuthorised for a wrong or revoked one."""
        with self.store.read() as view:
            space, device = auth.authenticate(view, token)
        return Session(self, device.device_id, space)

    def devices(self, space: str | None = None) -> Sequence[DeviceInfo]:
        """Return the devices of a space, or of all, revoked ones too, oldest first; raises Usage."""
        with self.store.read() as view:
            within = None if space is None else auth.find_space(view, space).key
            names = {row.key: row.name for row in view.spaces()}
            return [_device_info(row, names[row.space]) for row in view.devices(within)]

    def revoke(self, device: str, space: str | None = None) -> DeviceInfo:
        """Shut out a device by id (hex) or name; its sessions fail at their next call. Raises Usage."""
        now = self.clock.now()
        with self.store.write() as change:
            row = auth.revoke(change, device, space, now)
            found = change.space(row.space)
        if found is not None:
            self.bell.ring(found.space_id.hex())  # its waits end, and fail at the next call
        revoked_at = now if row.revoked_at is None else row.revoked_at
        return DeviceInfo(
            row.device_id.hex(), row.name, "" if found is None else found.name, row.created_at, revoked_at
        )

    def subscribe(self, space_id: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Have *callback* called after each commit to the space (id in hex); returns what ends it."""
        return self.bell.subscribe(space_id, callback)

    def gc(self, retention: float = HISTORY_RETENTION, progress: Callable[[int], None] | None = None) -> GcReport:
        """End retentions (seconds) and remove chunks nobody needs, also while the hub serves, in any process.

        *progress* is told how much is gone so far. Raises Transient while another gc, verify or backup runs.
        """
        return self._upkeep.gc(retention, progress)

    def verify(self, progress: Callable[[int], None] | None = None) -> VerifyReport:
        """Read and check everything stored; *progress* is told the bytes read so far. See ``Upkeep.verify``."""
        return self._upkeep.verify(progress)

    def backup(self, target: Path, progress: Callable[[int], None] | None = None) -> BackupReport:
        """Copy the hub into the folder *target*, which can be served as it is; a folder with an older backup of this
        hub is brought up to date. *progress* is told the bytes copied so far. Raises Usage for another target, NoSpace,
        Transient."""
        if self._backup is None:
            raise Usage("these stores are backed up by their own means")
        return self._backup(target, progress or (lambda _: None))

    def close(self) -> None:
        """Let waiters go and close the stores; what was answered is durable already."""
        self.bell.close()
        self.store.close()


def _space_info(space: Space) -> SpaceInfo:
    return SpaceInfo(space.space_id.hex(), space.name)


def _device_info(row: DeviceRow, space: str) -> DeviceInfo:
    return DeviceInfo(row.device_id.hex(), row.name, space, row.created_at, row.revoked_at)
