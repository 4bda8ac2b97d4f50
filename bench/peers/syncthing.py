"""Syncthing: two instances on loopback, as quick as its settings allow; discovery, relays and reports are off."""

import http.client
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final
from xml.sax.saxutils import quoteattr

from bench.pairs import Check, clean_environment, end, said_version, soon
from bench.rig import LONG, Failed, free_port
from bench.wire import Wire

KEY: Final = "bench"
FOLDER: Final = "files"
CONFIG: Final = """<configuration version="36">
 <folder id="{folder}" label="" path={path} type="sendreceive" rescanIntervalS="86400" fsWatcherEnabled="true"
  fsWatcherDelayS="1" ignorePerms="false" autoNormalize="true">
  <filesystemType>basic</filesystemType>{members}<minDiskFree unit="%">0</minDiskFree><order>random</order>
 </folder>
 {devices}
 <gui enabled="true" tls="false"><address>127.0.0.1:{gui}</address><apikey>{key}</apikey></gui>
 <options>
  <listenAddress>{listen}</listenAddress><globalAnnounceEnabled>false</globalAnnounceEnabled>
  <localAnnounceEnabled>false</localAnnounceEnabled><relaysEnabled>false</relaysEnabled>
  <natEnabled>false</natEnabled><urAccepted>-1</urAccepted><autoUpgradeIntervalH>0</autoUpgradeIntervalH>
  <crashReportingEnabled>false</crashReportingEnabled><startBrowser>false</startBrowser>
  <reconnectionIntervalS>1</reconnectionIntervalS><stunKeepaliveStartS>0</stunKeepaliveStartS>
  <announceLANAddresses>false</announceLANAddresses>
 </options>
</configuration>
"""


class Instance:
    """One Syncthing."""

    def __init__(self, home: Path, root: Path) -> None:
        self.home, self.root, self.gui = home, root, free_port()
        self._environment = {**clean_environment(home), "STNODEFAULTFOLDER": "1", "STNOUPGRADE": "1"}
        self._child: subprocess.Popen[bytes] | None = None
        home.mkdir(parents=True, exist_ok=True)
        self._say("generate", f"--home={home}", "--no-default-folder", "--skip-port-probing")
        self.id = self._say("serve", f"--home={home}", "--device-id").strip().splitlines()[-1]

    def _say(self, *arguments: str) -> str:
        done = subprocess.run(("syncthing", *arguments), check=False, env=self._environment, capture_output=True,
                              text=True, timeout=60)  # fmt: skip
        if done.returncode:
            raise Failed(f"syncthing {arguments[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def configure(self, listen: str, addresses: dict[str, str]) -> None:
        """Write its settings; *addresses* holds where each device of the folder is."""
        members = "".join(f'<device id="{one}"/>' for one in addresses)
        devices = "".join(
            f'<device id="{one}" name="{one[:7]}" compression="metadata"><address>{address}</address></device>'
            for one, address in addresses.items()
        )
        text = CONFIG.format(folder=FOLDER, path=quoteattr(str(self.root)), members=members, devices=devices,
                             gui=self.gui, key=KEY, listen=listen)  # fmt: skip
        (self.home / "config.xml").write_text(text)
        (self.root / ".stfolder").mkdir(exist_ok=True)

    def start(self) -> None:
        """Start it; ``answers`` tells when it is there."""
        with (self.home / "log").open("ab") as log:
            self._child = subprocess.Popen(
                ("syncthing", "serve", f"--home={self.home}", "--no-browser", "--no-restart"),
                env={**self._environment, "STMONITORED": "yes"}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def stop(self) -> None:
        """End it."""
        if self._child is not None and self._child.poll() is None:
            end(self._child)
        self._child = None

    @property
    def pid(self) -> int:
        """The running process."""
        if self._child is None or self._child.poll() is not None:
            raise Failed(f"Syncthing does not run; it said: {(self.home / 'log').read_text()[-1000:]}")
        return self._child.pid

    def ask(self, path: str, method: str = "GET", patience: float = LONG) -> Any:
        """Ask its REST interface."""
        link = http.client.HTTPConnection("127.0.0.1", self.gui, timeout=patience)
        try:
            link.request(method, f"/rest/{path}", headers={"X-API-Key": KEY})
            reply = link.getresponse()
            body = reply.read()
        finally:
            link.close()
        if reply.status != 200:
            raise Failed(f"Syncthing answered {reply.status} to {path}: {body[:200]!r}")
        return json.loads(body) if body.strip() else None

    def holds(self, wanted: Callable[["Instance"], bool]) -> bool:
        """Return whether it runs, answers, and *wanted* holds."""
        _ = self.pid
        try:
            return wanted(self)
        except (OSError, http.client.HTTPException):
            return False

    def status(self) -> dict[str, Any]:
        """Return how the folder is."""
        told: dict[str, Any] = self.ask(f"db/status?folder={FOLDER}", patience=60)
        return told

    def scanned(self, files: int) -> bool:
        """Return whether it rests, and knows *files*."""
        status = self.status()
        return bool(status["state"] == "idle" and status["localFiles"] >= files)


class Syncthing:
    """Both run all the time and tell each other what changed; watching waits one second, which is the least."""

    name: ClassVar[str] = "Syncthing"
    note: ClassVar[str] = "two instances, shortest watch delay (1 s)"
    daemon: ClassVar[bool] = True
    durable: ClassVar[bool] = True
    indexes: ClassVar[bool] = True

    def __init__(self, base: Path, wire: Wire) -> None:
        self.base, self.wire = base, wire
        self.a, self.b = base / "a", base / "b"
        self._both: list[Instance] = []
        for folder in (self.a, self.b):
            folder.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def version() -> str | None:
        """Return what is installed, or None."""
        return said_version("syncthing", "--version")

    def open(self) -> None:
        """Start both, and wait until they are connected and know their folders."""
        here, there = self._both = [Instance(self.base / f"home-{name}", self.base / name) for name in "ab"]
        port = free_port()
        dial = self.wire.dial(port)
        addresses = {here.id: "dynamic", there.id: f"tcp://127.0.0.1:{dial}"}
        here.configure(f"tcp://127.0.0.1:{free_port()}", addresses)
        there.configure(f"tcp://127.0.0.1:{port}", dict.fromkeys(addresses, "dynamic"))
        for one in self._both:
            one.start()
        for one in self._both:
            soon(lambda one=one: one.holds(_connected), f"Syncthing does not connect; see {one.home}", 60)  # type: ignore[misc]

    def close(self) -> None:
        """End both."""
        for one in self._both:
            one.stop()

    def sync(self, done: Check) -> None:
        """Let it notice by itself."""
        soon(done, "Syncthing does not bring A and B together")

    def rescan(self) -> None:
        """Ask A to look at everything."""
        self._both[0].ask(f"db/scan?folder={FOLDER}", "POST")

    def configure(self) -> None:
        """See ``Pair``; for A alone."""
        (one,) = self._both = [Instance(self.base / "home-a", self.a)]
        one.configure(f"tcp://127.0.0.1:{free_port()}", {one.id: "dynamic"})

    def index(self, files: int) -> None:
        """Start A alone on a folder it never saw."""
        (one,) = self._both
        one.start()
        soon(lambda: one.holds(lambda it: it.scanned(files)), "Syncthing does not end its first scan")

    def pids(self) -> dict[str, int]:
        """Return both instances."""
        return {f"instance {name}": one.pid for name, one in zip("AB", self._both, strict=False)}


def _connected(one: Instance) -> bool:
    if one.status()["state"] != "idle":
        return False
    links = one.ask("system/connections", patience=10)["connections"]
    return any(link["connected"] for link in links.values())
