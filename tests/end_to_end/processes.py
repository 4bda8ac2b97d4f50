"""Processes of the end-to-end tests: started here, ended by pid, their words kept in a log file."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import syncd
from tests.waiting import PATIENCE
from tests.waiting import until as until  # the tests here wait for processes by it

SYNCD = (sys.executable, "-m", "syncd.cli.main")
REPOSITORY = Path(syncd.__file__).resolve().parents[1]

# Root reads what nobody may read. Without these two capabilities it is a user like any other: prctl(PR_CAPBSET_DROP).
MORTAL = (
    "import ctypes, os, sys\n"
    "prctl = ctypes.CDLL(None, use_errno=True).prctl\n"
    "assert all(prctl(24, capability, 0, 0, 0) == 0 for capability in (1, 2)), os.strerror(ctypes.get_errno())\n"
    "os.execv(sys.argv[1], sys.argv[1:])\n"
)
TAIL = 4000


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


class Process:
    """One long-running syncd process. *mortal*: it may not read what is locked, even when root runs it.

    *within* is a command that runs it somewhere else, such as in another mount namespace."""

    def __init__(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        mortal: bool = False,
        cwd: Path | None = None,
        within: Sequence[str] = (),
    ) -> None:
        self.log = log
        with log.open("ab") as file:
            self._popen = subprocess.Popen(
                [*within, *_syncd(mortal), *arguments], env=dict(env), stdin=subprocess.DEVNULL,
                stdout=file, stderr=file, cwd=cwd or "/", start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def stop(self, patience: float = 20.0) -> int:
        """End it politely and return its exit code."""
        if self.running:
            self._popen.send_signal(signal.SIGTERM)
        return self._popen.wait(patience)

    def kill9(self) -> None:
        """End it at whatever it is doing."""
        if self.running:
            self._popen.send_signal(signal.SIGKILL)
        self._popen.wait()

    def freeze(self) -> None:
        self._popen.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._popen.send_signal(signal.SIGCONT)

    def ended(self, patience: float = 20.0) -> int:
        """Wait for it to end by itself and return its exit code."""
        return self._popen.wait(patience)

    def said(self) -> str:
        return self.log.read_text(errors="replace")


def command(
    arguments: Sequence[str],
    env: Mapping[str, str],
    mortal: bool = False,
    patience: float = PATIENCE,
    within: Sequence[str] = (),
) -> Ran:
    """Run one syncd command to its end."""
    done = subprocess.run(
        [*within, *_syncd(mortal), *arguments], env=dict(env), stdin=subprocess.DEVNULL, capture_output=True,
        timeout=patience, check=False, cwd="/",
    )  # fmt: skip
    return Ran(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a device of its own: nothing of the person who runs the tests."""
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "PYTHONPATH": str(REPOSITORY),
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "SYNCD_SECRETS": "file",
        "COLUMNS": "120",
    }


def tail(log: Path) -> str:
    """Return the end of a log, for a failure report."""
    if not log.exists():
        return ""
    text = log.read_text(errors="replace")
    return f"--- {log.name}\n{text[-TAIL:]}"


def _syncd(mortal: bool) -> tuple[str, ...]:
    return (sys.executable, "-c", MORTAL, *SYNCD) if mortal and os.geteuid() == 0 else SYNCD
