"""What the rows ask of a program that keeps two folders the same, whatever it is called.

Folders are *a* and *b*, below a base of the pair's own. Daemons run while it is open and act by themselves; tools act
when ``sync`` calls them. A pair ends every process it started, by its id.
"""

import abc
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final, Protocol

from bench.rig import LONG, Failed
from bench.wire import Wire

Check = Callable[[], bool]
MOMENT: Final = 0.002


class CannotDo(Exception):
    """The program has nothing that this row asks for; the text says why."""


class Pair(Protocol):
    """Two folders and what keeps them the same. Raises Failed when the program does."""

    name: ClassVar[str]
    note: ClassVar[str]
    daemon: ClassVar[bool]
    durable: ClassVar[bool]
    indexes: ClassVar[bool]
    wire: Wire
    a: Path
    b: Path

    def __init__(self, base: Path, wire: Wire) -> None: ...

    @staticmethod
    def version() -> str | None:
        """Return what is installed, or None."""
        ...

    def open(self) -> None:
        """Tie both folders, as they are, and start what runs."""
        ...

    def close(self) -> None:
        """End what runs. Also after a failure, and twice."""
        ...

    def sync(self, done: Check) -> None:
        """Return once both folders are in sync and *done* holds."""
        ...

    def rescan(self) -> None:
        """Look at everything once, where nothing changed."""
        ...

    def configure(self) -> None:
        """Write down who is tied to what: what comes before ``index``, and is no part of it."""
        ...

    def index(self, files: int) -> None:
        """Begin without any knowledge, and return once *files* in a (and b, if it looks at both) are known.

        With ``configure`` it takes the place of ``open``. Raises CannotDo where nothing *indexes*."""
        ...

    def pids(self) -> dict[str, int]:
        """Return the processes that run all the time, by what they are."""
        ...


def soon(done: Check, failure: str, patience: float = LONG) -> None:
    """Return when *done* holds; looks often, but spends at most a tenth of the time on looking."""
    deadline = time.monotonic() + patience
    while True:
        began = time.perf_counter()
        if done():
            return
        if time.monotonic() > deadline:
            raise Failed(failure)
        time.sleep(max(MOMENT, 9 * (time.perf_counter() - began)))


def said_version(*command: str) -> str | None:
    """Return the first line a program says of itself; None where it is not installed."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else None


def clean_environment(base: Path) -> dict[str, str]:
    """Return an environment in which a program finds no settings of anybody."""
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(base), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


class Tool(abc.ABC):
    """What pairs have in common whose program is called, does its work and ends."""

    name: ClassVar[str]
    daemon: ClassVar[bool] = False
    durable: ClassVar[bool] = False
    indexes: ClassVar[bool] = True
    codes: ClassVar[tuple[int, ...]] = (0,)

    def __init__(self, base: Path, wire: Wire) -> None:
        self.base, self.wire = base, wire
        self.a, self.b = base / "a", base / "b"
        self._server: subprocess.Popen[bytes] | None = None
        for folder in (self.a, self.b):
            folder.mkdir(parents=True, exist_ok=True)

    def configure(self) -> None:  # noqa: B027 – there is nothing to be written down
        """See ``Pair``."""

    @abc.abstractmethod
    def call(self) -> None:
        """Let the program do its work once."""

    def sync(self, done: Check) -> None:
        """Call it once."""
        self.call()
        if not done():
            raise Failed(f"{self.name} ended, but its work is not done")

    def rescan(self) -> None:
        """Call it with nothing to do."""
        self.call()

    def pids(self) -> dict[str, int]:
        """Nothing runs all the time."""
        return {}

    def run(self, *command: str) -> str:
        """Run a command to its end; returns what it said."""
        done = subprocess.run(
            command, check=False, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=LONG,
        )  # fmt: skip
        said = done.stdout.decode(errors="replace")
        if done.returncode not in self.codes:
            raise Failed(f"{self.name} ended with {done.returncode}: {said[-600:]}")
        return said

    def environment(self) -> dict[str, str]:
        """Return the environment of its commands."""
        return clean_environment(self.base)

    def serve(self, *command: str, environment: dict[str, str] | None = None) -> None:
        """Start the listening half, until ``close``."""
        with (self.base / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                command, env=environment or self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def close(self) -> None:
        """End the listening half."""
        if self._server is not None and self._server.poll() is None:
            end(self._server)
        self._server = None


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process of ours to end, and see to it that it does."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(20)
