"""This program as a pair: two daemons and a hub, each a process of its own. Owns nothing but what ``rig`` starts."""

import contextlib
from pathlib import Path
from typing import ClassVar

import syncd
from bench.book import OURS
from bench.pairs import Check, soon
from bench.rig import LONG, Device, Failed, Hub, space
from bench.wire import Wire
from syncd.db.views import open_view
from syncd.model.errors import SyncdError


class Syncd:
    """A and B are daemons, the hub is between them; all of it is durable when ``sync`` returns."""

    name: ClassVar[str] = OURS
    note: ClassVar[str] = "two daemons and a hub"
    daemon: ClassVar[bool] = True
    durable: ClassVar[bool] = True
    indexes: ClassVar[bool] = True

    def __init__(self, base: Path, wire: Wire, names: str = "ab", profiles: Path | None = None) -> None:
        self._undo = contextlib.ExitStack()
        self.base, self.wire, self._names, self._profiles = base, wire, names, profiles
        self.hub: Hub  # once it is tied
        self.devices: list[Device] = []
        # ``init`` would make them; rows fill A before it is tied.
        self.a, self.b = (base / name / "root" for name in "ab")
        for name in names:
            (base / name / "root").mkdir(parents=True, exist_ok=True)

    @staticmethod
    def version() -> str:
        """Return the version measured."""
        return f"syncd {syncd.__version__}"

    def open(self) -> None:
        """Start a hub, tie the folders and start their daemons."""
        self._tie()
        for device in self.devices:
            device.start()

    def _tie(self) -> None:
        self.hub, self.devices = self._undo.enter_context(space(self.base, self._names, self.wire, self._profiles))

    def close(self) -> None:
        """End daemons and hub."""
        self._undo.close()
        self._undo = contextlib.ExitStack()

    def sync(self, done: Check) -> None:
        """Ask A, then B, to say when it is in sync: each looks at all of its folder for that."""
        for device in self.devices:
            device.ask("wait", LONG)
        if not done():
            raise Failed("the daemons say that all is in sync, but the work is not done")

    def rescan(self) -> None:
        """Ask A's daemon to look at everything."""
        self.devices[0].ask("scan", LONG)

    def configure(self) -> None:
        """See ``Pair``. The hub goes away again."""
        self._tie()
        self.hub.process.end()

    def index(self, files: int) -> None:
        """Start A's daemon with the hub away: it looks and hashes, and nothing can be sent."""
        device = self.devices[0]
        device.daemon.start()
        soon(lambda: local_files(device) >= files, f"A does not come to know its {files} files")

    def pids(self) -> dict[str, int]:
        """Return daemons and hub."""
        found = {}
        for device in self.devices:
            with contextlib.suppress(Failed):  # while an index is made there is one daemon, and no hub
                found[f"daemon {device.name.upper()}"] = device.daemon.pid
        with contextlib.suppress(Failed, AttributeError):
            found["hub"] = self.hub.process.pid
        return found


def local_files(device: Device) -> int:
    """Return how many files the daemon knows in its folder; what is known was hashed."""
    try:
        with open_view(str(device.state / "syncd.sqlite")) as view:
            return view.summary().counts.local.files
    except (SyncdError, ValueError, OSError):  # not there yet, or just being made
        _ = device.daemon.pid  # raises Failed once it has ended
        return 0
