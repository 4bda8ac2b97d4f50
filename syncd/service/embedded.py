"""The embedded hub of `syncd up`: a child process that lives as long as its parent, and is started again when it dies.

Owns the child. The hub's data and rules are the child's own.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

import structlog

from syncd.model.errors import Refused
from syncd.service.hubs import HubData, Served, free_port

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 4.0
LONGEST_PAUSE: Final = 60.0
STEADY_SECONDS: Final = 60.0
"""A child that lived this long is started again at once; one that died sooner waits longer each time."""


class EmbeddedHub:
    """Starts the hub in *data* and keeps it running until ``stop``."""

    def __init__(self, data: HubData, clock: Callable[[], float]) -> None:
        self._data, self._clock = data, clock
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None
        self._log = structlog.get_logger("syncd").bind(part="hub")

    def start(self) -> Served:
        """Start the hub and return where it listens; raises Refused with its own words when it does not start."""
        known = self._data.served()
        port = known.port if known is not None else free_port()
        served = self._spawn(port)
        self._keeper = threading.Thread(target=self._keep, args=(port,), name="hub-keeper", daemon=True)
        self._keeper.start()
        return served

    @property
    def pid(self) -> int | None:
        """The child's process id, None before the start."""
        return None if self._child is None else self._child.pid

    def stop(self) -> None:
        """End the child: its pipe closes, it finishes what it accepted; after a few seconds it is killed."""
        self._stopping.set()
        child = self._child
        if child is None:
            return
        if child.stdin is not None:
            child.stdin.close()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if self._keeper is not None:
            self._keeper.join(STOP_SECONDS)

    def _spawn(self, port: int) -> Served:
        command = [
            sys.executable, "-m", "syncd.cli.main", "hub", "serve", "--supervised",
            "--data", str(self._data.path), "--listen", f"127.0.0.1:{port}",
        ]  # fmt: skip
        # A session of its own: Ctrl-C reaches the parent alone, which then stops everything in order.
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self._child = child
        line = _first_line(child)
        try:
            said: dict[str, Any] = json.loads(line)
            return Served(str(said["host"]), int(said["port"]), said.get("pin"))
        except (ValueError, KeyError, TypeError):
            child.kill()
            child.wait()
            raise Refused(
                f"the embedded hub does not start on 127.0.0.1:{port}: its message is above; free the port, or run "
                f"`syncd hub serve --data {self._data.path}` to see more"
            ) from None

    def _keep(self, port: int) -> None:
        """Wait for the child's end and start it again, patiently."""
        pause = 1.0
        while True:
            child = self._child
            assert child is not None
            born = self._clock()
            code = child.wait()
            if self._stopping.is_set():
                return
            self._log.warning("the embedded hub ended; it is started again", code=code, after_seconds=pause)
            while True:
                if self._stopping.wait(pause):
                    return
                pause = 1.0 if self._clock() - born > STEADY_SECONDS else min(pause * 2, LONGEST_PAUSE)
                try:
                    self._spawn(port)
                    break
                except Refused as error:
                    self._log.error(str(error))


def _first_line(child: "subprocess.Popen[bytes]") -> bytes:
    """Return the child's first line of output, or nothing when it ends or says none in time."""
    assert child.stdout is not None
    lines: list[bytes] = []
    stdout = child.stdout
    reader = threading.Thread(target=lambda: lines.append(stdout.readline()), daemon=True)
    reader.start()
    reader.join(START_SECONDS)
    return lines[0] if lines else b""
