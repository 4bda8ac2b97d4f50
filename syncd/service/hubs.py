"""A hub's data folder as the command line sees it: where it listens, who serves it, and invites that lead there.

Owns ``address.json`` in the data folder. Knows nothing of spaces' contents.
"""

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from syncd.adapters import lockfile
from syncd.adapters.system import SystemChance, SystemClock
from syncd.hub.core import Hub
from syncd.hub.sqlite_store import DATABASE
from syncd.model.errors import Corrupt, Refused, Usage
from syncd.model.invite import HubAddress, Invite, format_invite
from syncd.service import folders
from syncd.service.roots import write_private

DEFAULT_PORT: Final = 8765
PORTS_TRIED: Final = 50


class Served(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a hub listens, or listened last; *host* is how others reach it."""

    host: str
    port: int
    pin: str | None = None


@dataclass(frozen=True, slots=True)
class HubData:
    """One hub's data folder."""

    path: Path

    @property
    def lock(self) -> Path:
        """Held by the process that serves it."""
        return self.path / "serve.lock"

    def prepare(self) -> None:
        """Create the folder, for this user alone."""
        folders.private_dir(self.path)

    def require(self) -> None:
        """Raise Usage unless there is a hub in this folder."""
        if not (self.path / DATABASE).exists():
            raise Usage(
                f"{self.path}: there is no hub here: start one with `syncd hub serve`, or name its folder with --data"
            )

    def open(self) -> Hub:
        """Open the hub; other processes may have it open too."""
        self.prepare()
        return Hub.open(self.path, SystemClock(), SystemChance())

    def serve_lock(self) -> lockfile.Lock:
        """Take the right to serve; raises Refused with the pid of the process that has it."""
        self.prepare()
        return exclusive(self.lock, f"the hub in {self.path} is served")

    def served(self) -> Served | None:
        """Return where the hub listens or listened last."""
        path = self.path / "address.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Served)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Corrupt(f"{path}: cannot be read ({error}): remove it and serve the hub again") from None

    def remember(self, served: Served) -> None:
        """Keep where the hub listens."""
        if self.served() != served:
            write_private(self.path / "address.json", msgspec.json.encode(served) + b"\n")

    def invite(self, space: str, served: Served) -> str:
        """Return a fresh invite to *space*, which is created when new."""
        hub = self.open()
        try:
            hub.create_space(space)
            secret = hub.invite(space)
        finally:
            hub.close()
        return format_invite(Invite(HubAddress(served.host, served.port, space, served.pin), secret))


def exclusive(path: Path, what: str) -> lockfile.Lock:
    """Take a lock; raises Refused saying that *what* (a clause) happens already, and by which pid."""
    try:
        return lockfile.acquire(str(path))
    except Refused as error:
        pid = re.search(r"pid \d+", str(error))
        by = f" by {pid[0]}" if pid else ""
        raise Refused(f"{what} already{by}: stop that one first") from None


def free_port(preferred: int = DEFAULT_PORT) -> int:
    """Return the first port from *preferred* on that nobody listens on, on this machine."""
    # RACE: another process may take it before the hub does; the hub then says so in one line.
    for port in range(preferred, preferred + PORTS_TRIED):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Refused(f"no free port from {preferred} to {preferred + PORTS_TRIED - 1}: stop something that listens there")


def reachable_host(listened: str) -> str:
    """Return how others may reach a hub that listens on *listened*."""
    if listened in ("0.0.0.0", "::"):
        return socket.getfqdn() if "." in socket.getfqdn() else socket.gethostname()
    return listened


def data_path(data: str | None) -> HubData:
    """Return the data folder a person named, or the default one."""
    return HubData(Path(os.path.abspath(os.path.expanduser(data))) if data else folders.data_dir())
