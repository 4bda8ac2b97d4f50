"""Real devices and a real hub on loopback, for measurements: starts processes, reads what the kernel says of them.

Owns the processes it starts and the folder it is given. Measures; never judges.
"""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.wire import Wire
from syncd.control import client
from syncd.model.errors import Offline

SYNCD: Final = [sys.executable, "-m", "syncd.cli.main"]
REPOSITORY: Final = Path(__file__).resolve().parent.parent
START_SECONDS: Final = 20.0
PATIENCE: Final = 900.0
LONG: Final = 4 * 3600.0
"""How long work on a million files may take before it counts as stuck."""
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


class Memory:
    """Watches what processes have resident, every *every* seconds, until left. *pids* says which run at the time."""

    def __init__(self, pids: Callable[[], dict[str, int]], every: float = 0.25) -> None:
        self._pids, self._every = pids, every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.seen: dict[str, list[int]] = {}

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _watch(self) -> None:
        while not self._over.wait(self._every):
            with contextlib.suppress(OSError, Failed):  # one does not run: whoever waits for it says so
                for name, pid in self._pids().items():
                    self.seen.setdefault(name, []).append(resident(pid))


def resident(pid: int) -> int:
    """Return what *pid* has in memory, in bytes."""
    return int((Path("/proc") / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- processes ----------------------------------------------------------------------------------------------------


def _program(profiles: Path | None, name: str) -> list[str]:
    """Return how `syncd` is called; with *profiles* so that it leaves there what it computed."""
    if profiles is None:
        return SYNCD
    return [sys.executable, "-m", "bench.sampled", str(profiles / f"{name}-{time.time_ns()}")]


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
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else "nothing"


class Hub:
    """A hub in a process of its own. Its invites name the port that *wire* counts."""

    def __init__(self, base: Path, wire: Wire | None = None, profiles: Path | None = None) -> None:
        base.mkdir(parents=True, exist_ok=True)
        self.data, self.port = base / "data", free_port()
        self._env = environment(base)
        url = ["--url", f"127.0.0.1:{wire.dial(self.port)}"] if wire else []
        serve = ["hub", "serve", "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}", *url]
        self.process = Process([*_program(profiles, "hub"), *serve], self._env, base / "hub.log")

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.process.start()
        until(self._listens, START_SECONDS, lambda: f"the hub does not listen; it said: {self.process.said()}")

    def _listens(self) -> bool:
        _ = self.process.pid  # raises Failed once it has ended
        return listens(self.port)

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
    def newest(self) -> int:
        """The journal's newest position in the one space; costs the same however long the journal is."""
        return self.count("SELECT max(position) FROM entry WHERE space = 1")

    @property
    def stored(self) -> int:
        """Bytes of content stored so far."""
        return self.count("SELECT sum(size) FROM chunk")


class Device:
    """One device: a root, state folders of its own, and a daemon when started."""

    def __init__(self, base: Path, name: str, profiles: Path | None = None) -> None:
        base.mkdir(parents=True, exist_ok=True)
        self.name, self.root, self._base = name, base / "root", base
        self.env = environment(base)
        command = [*_program(profiles, f"daemon-{name}"), "run", "--log-format", "json"]
        self.daemon = Process(command, self.env, base / "daemon.log")

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

    def ask(self, verb: str, seconds: float = PATIENCE, **arguments: str) -> str:
        """Ask the daemon itself, without the start of a program, and return its words; raises Failed for any but 0."""
        answer = client.ask(self._socket, verb, arguments, seconds)
        if answer.code:
            raise Failed(f"{self.name}: {verb}: {answer.code}: {answer.text}")
        return answer.text

    def answers(self) -> bool:
        """Return whether the daemon answers on its socket."""
        try:
            return bool(client.status(self._socket)["pid"] == self.daemon.pid)
        except (Offline, OSError):
            return False

    @property
    def state(self) -> Path:
        """The folder with the database and what else the daemon keeps."""
        (folder,) = (self._base / "state" / "syncd" / "roots").iterdir()
        return folder

    @property
    def _socket(self) -> Path:
        return Path((self.state / "socket").read_text().strip())


def listens(port: int) -> bool:
    """Return whether somebody listens on *port* of loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def space(
    base: Path, names: str, wire: Wire | None = None, profiles: Path | None = None
) -> Iterator[tuple[Hub, list[Device]]]:
    """Give a running hub and tied devices without daemons; all processes end with the context.

    What devices and hub say to each other goes over *wire*. *profiles*: a folder for what each process computes."""
    hub = Hub(base / "hub", wire, profiles)
    devices = [Device(base / name, name, profiles) for name in names]
    try:
        hub.start()
        for device in devices:
            device.tie(hub.invite())
        yield hub, devices
    finally:
        for process in (*(device.daemon for device in devices), hub.process):
            process.end()
