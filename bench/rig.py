"""Real devices and a real hub on loopback, for measurements: starts processes, reads what the kernel says of them.

Owns the processes it starts and the folder it is given. Measures; never judges.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

SYNCD: Final = [sys.executable, "-m", "syncd.cli.main"]
REPOSITORY: Final = Path(__file__).resolve().parent.parent
START_SECONDS: Final = 20.0
PATIENCE: Final = 900.0
REST_SECONDS: Final = 3.0


class Failed(Exception):
    """A process did not do what the measurement needs; the text says which, and what it said."""


def environment(base: Path) -> dict[str, str]:
    """Return an environment of its own for one device: all XDG folders below *base*."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in os.environ}
    folders = {f"XDG_{what}_HOME": str(base / what.lower()) for what in ("STATE", "CONFIG", "DATA", "CACHE")}
    runtime = base / "run"
    runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {**kept, **folders, "HOME": str(base), "XDG_RUNTIME_DIR": str(runtime), "PYTHONPATH": str(REPOSITORY)}


def until(condition: Callable[[], bool], patience: float, failure: Callable[[], str]) -> None:
    """Return when *condition* holds; raises Failed with what *failure* says after *patience* seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(failure())
        time.sleep(0.05)


# --- what the kernel says -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far. *cpu* in seconds, *written* in bytes that went to the disk."""

    cpu: float
    written: int
    switches: int

    def since(self, before: "Usage") -> "Usage":
        """Return what was used after *before*."""
        return Usage(self.cpu - before.cpu, self.written - before.written, self.switches - before.switches)


def _lines(path: Path) -> dict[str, str]:
    return dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)


def usage(pid: int) -> Usage:
    """Return what *pid* has used, all its threads together; CPU by the scheduler's own count, not by ticks."""
    proc = Path("/proc") / str(pid)
    fields = (proc / "stat").read_text().rpartition(")")[2].split()
    ticks = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    exact, switches = 0, 0
    for task in sorted((proc / "task").iterdir()):
        exact += int((task / "schedstat").read_text().split()[0])
        said = _lines(task / "status")
        switches += int(said["voluntary_ctxt_switches"]) + int(said["nonvoluntary_ctxt_switches"])
    written = int(_lines(proc / "io")["write_bytes"])
    # Threads that ended are in the ticks only; those that live are more exact in schedstat.
    return Usage(max(ticks, exact / 1e9), written, switches)


def rest(pids: Iterable[int], seconds: float = REST_SECONDS, patience: float = PATIENCE) -> None:
    """Return when none of *pids* has computed or written anything for *seconds*."""
    watched = tuple(pids)

    def look() -> tuple[Usage, ...]:
        return tuple(usage(pid) for pid in watched)

    seen, since = look(), time.monotonic()

    def rested() -> bool:
        nonlocal seen, since
        now = look()
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since >= seconds

    until(rested, patience, lambda: f"processes {watched} do not come to rest")


def reset_peak(pid: int) -> int:
    """Begin a new peak of resident memory; return what is resident now, in bytes."""
    (Path("/proc") / str(pid) / "clear_refs").write_text("5")
    return int(_lines(Path("/proc") / str(pid) / "status")["VmRSS"].split()[0]) * 1024


def peak(pid: int) -> int:
    """Return the peak of resident memory since ``reset_peak``, in bytes."""
    return int(_lines(Path("/proc") / str(pid) / "status")["VmHWM"].split()[0]) * 1024


# --- processes ----------------------------------------------------------------------------------------------------


class Process:
    """One process of ours, with its log in a file."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path) -> None:
        self._command, self._env, self.log = command, env, log
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it (again); its words are appended to the log."""
        with self.log.open("ab") as out:
            self._child = subprocess.Popen(
                self._command, env=self._env, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    @property
    def pid(self) -> int:
        """The running process."""
        if self._child is None or self._child.poll() is not None:
            raise Failed(f"{' '.join(self._command[2:])} does not run; it said: {self.said()}")
        return self._child.pid

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait for its end."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(how)
            self._child.wait(30)
        self._child = None

    def said(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-2000:]


class Hub:
    """A hub in a process of its own. *spoken* is the port that invites name, when a relay stands before it."""

    def __init__(self, base: Path, spoken: int | None = None) -> None:
        base.mkdir(parents=True, exist_ok=True)
        self.data, self.port = base / "data", free_port()
        self._env = environment(base)
        url = ["--url", f"127.0.0.1:{spoken}"] if spoken else []
        command = [*SYNCD, "hub", "serve", "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}", *url]
        self.process = Process(command, self._env, base / "hub.log")

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.process.start()
        until(self._listens, START_SECONDS, lambda: f"the hub does not listen; it said: {self.process.said()}")

    def _listens(self) -> bool:
        _ = self.process.pid  # raises Failed once it has ended
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def invite(self) -> str:
        """Return a fresh invite."""
        command = [*SYNCD, "hub", "invite", "files", "--data", str(self.data)]
        return subprocess.run(command, env=self._env, capture_output=True, text=True, check=True).stdout.strip()

    def count(self, sql: str) -> int:
        """Return one number of its database."""
        with contextlib.closing(sqlite3.connect(f"file:{self.data / 'hub.sqlite'}?mode=ro", uri=True)) as db:
            return int(db.execute(sql).fetchone()[0] or 0)

    @property
    def commits(self) -> int:
        """Entries of the journal so far."""
        return self.count("SELECT count(*) FROM entry")

    @property
    def stored(self) -> int:
        """Bytes of content stored so far."""
        return self.count("SELECT sum(size) FROM chunk")


class Device:
    """One device: a root, state folders of its own, and a daemon when started."""

    def __init__(self, base: Path, name: str) -> None:
        base.mkdir(parents=True, exist_ok=True)
        self.name, self.root = name, base / "root"
        self.env = environment(base)
        self.daemon = Process([*SYNCD, "run", "--log-format", "json"], self.env, base / "daemon.log")

    def tie(self, invite: str) -> None:
        """Create the root and tie it."""
        self.cli("init", str(self.root), "--create", "--device", self.name, "--remote", invite)

    def cli(self, *arguments: str, codes: tuple[int, ...] = (0,), timeout: float = PATIENCE) -> str:
        """Run a command and return what it printed; raises Failed for an exit code that is not in *codes*."""
        command = [*SYNCD, *arguments]
        done = subprocess.run(command, check=False, env=self.env, capture_output=True, text=True, timeout=timeout)
        if done.returncode not in codes:
            raise Failed(f"{self.name}: {' '.join(arguments)}: {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self) -> None:
        """Start the daemon and wait until its socket answers."""
        self.daemon.start()
        until(
            lambda: self.daemon.pid > 0 and self.status()["daemon"] is not None,
            START_SECONDS,
            lambda: f"{self.name}: the daemon does not answer; it said: {self.daemon.said()}",
        )

    def status(self) -> dict[str, Any]:
        """Return what `syncd status` says of the root."""
        said: dict[str, Any] = json.loads(self.cli("status", "--json", codes=(0, 3)))["roots"][0]
        return said

    def wait(self, seconds: float = PATIENCE) -> None:
        """Return when all that is here and at the hub is in sync."""
        self.cli("wait", "--timeout", str(seconds), timeout=seconds + 30)


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- the wire -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Relay:
    """A TCP relay that counts the bytes of each direction: *up* to the hub, *down* from it."""

    port: int = 0
    target: int = 0
    up: int = 0
    down: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> None:
        """Listen; ``target`` may be set until the first connection."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.target)) as hub:
            other = {client: hub, hub: client}
            while True:
                for ready in select.select(list(other), [], [])[0]:
                    data = ready.recv(1 << 18)
                    if not data:
                        return
                    with self._lock:
                        if ready is client:
                            self.up += len(data)
                        else:
                            self.down += len(data)
                    other[ready].sendall(data)


@contextlib.contextmanager
def space(base: Path, names: str, relayed: bool = False) -> Iterator[tuple[Hub, list[Device], Relay]]:
    """Give a running hub and tied devices without daemons; all processes end with the context."""
    relay = Relay()
    if relayed:
        relay.open()
    hub = Hub(base / "hub", relay.port or None)
    relay.target = hub.port
    devices = [Device(base / name, name) for name in names]
    try:
        hub.start()
        for device in devices:
            device.tie(hub.invite())
        yield hub, devices, relay
    finally:
        for process in (*(device.daemon for device in devices), hub.process):
            process.end()
