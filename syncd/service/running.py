"""Runs daemons in this process: starts them, waits for a signal or a failure, stops them all within seconds.

Owns the words to the supervisor. Knows nothing of files.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from typing import Final

import structlog

from syncd.adapters.system import raise_descriptor_limit
from syncd.model.errors import SyncdError
from syncd.model.observation import Reply, Verb
from syncd.model.status import LiveStatus, Phase
from syncd.service.daemon import Daemon
from syncd.service.roots import RootRecord, Roots
from syncd.service.stopping import Stop, stop_signals
from syncd.service.supervisor import notify
from syncd.settings import Settings

OFFLINE_SECONDS: Final = 5.0
"""How long `run --once` bears a remote that does not answer."""


class _Ended:
    """Counts daemons that end by themselves, which they may do before the last of them is started."""

    def __init__(self, stopped: Stop) -> None:
        self._stopped, self._lock = stopped, threading.Lock()
        self._left = 0

    def one(self, daemon: Daemon) -> None:
        """One ended; from its control thread."""
        structlog.get_logger("syncd").error("this folder is synced no more", root=daemon.record.path)
        self._change(-1)

    def all_started(self, count: int) -> None:
        """*count* daemons were started, those that ended since included."""
        self._change(count)

    def _change(self, by: int) -> None:
        with self._lock:
            self._left += by
            if self._left == 0:
                self._stopped.set()


@contextlib.contextmanager
def started(roots: Roots, records: Sequence[RootRecord], settings: Settings, stopped: Stop) -> Iterator[list[Daemon]]:
    """Run a daemon for each root while inside; *stopped* is set when the last one ended by itself.

    One root that cannot start, or ends, stops no other; when none can start, the last reason is raised.
    """
    log = structlog.get_logger("syncd")
    raise_descriptor_limit()
    daemons: list[Daemon] = []
    problem: SyncdError | OSError | None = None
    ended = _Ended(stopped)
    for record in records:
        daemon = Daemon(roots, record, settings, on_end=ended.one)
        try:
            daemon.start()
            daemons.append(daemon)
        except (SyncdError, OSError) as error:
            problem = error
            if len(records) > 1:
                log.error("this folder cannot start; the others go on", root=record.path, why=str(error))
    if not daemons and problem is not None:
        raise problem
    ended.all_started(len(daemons))
    try:
        yield daemons
    finally:
        notify("STOPPING=1")
        stoppers = [threading.Thread(target=daemon.stop) for daemon in daemons]  # side by side: one deadline for all
        for stopper in stoppers:
            stopper.start()
        for stopper in stoppers:
            stopper.join()


def run_until_stopped(roots: Roots, records: Sequence[RootRecord], settings: Settings) -> int:
    """Run until a signal, or until no daemon is left; 1 when one of them failed or could not start."""
    log = structlog.get_logger("syncd")
    with stop_signals() as stopped, started(roots, records, settings, stopped) as daemons:
        for daemon in daemons:
            log.info("running", root=daemon.record.path, remote=daemon.record.remote, device=daemon.record.device)
        notify("READY=1", f"STATUS=syncing {len(daemons)} folder(s)")
        stopped.wait()
        log.info("stopping")
        return 1 if len(daemons) < len(records) or any(daemon.failure for daemon in daemons) else 0


@dataclass(frozen=True, slots=True)
class Settled:
    """How one sync ended. *opened* is how many files were opened for reading; None when another process did it."""

    code: int
    text: str
    opened: int | None = None


def run_once(
    roots: Roots,
    record: RootRecord,
    settings: Settings,
    timeout: float | None,
    show: Callable[[LiveStatus], None] = lambda _live: None,
) -> Settled:
    """Sync one root until settled. *show* is told the status meanwhile."""
    if record.paused:
        return Settled(3, "paused: run `syncd resume` first")
    with stop_signals() as stopped, started(roots, [record], settings, stopped) as daemons:
        daemon = daemons[0]
        future = daemon.ask(Verb.WAIT)
        code, text = _settled(daemon, future, stopped, timeout, show)
        return Settled(code, text, daemon.opened)


def _settled(
    daemon: Daemon,
    future: "Future[Reply]",
    stopped: Stop,
    timeout: float | None,
    show: Callable[[LiveStatus], None],
) -> tuple[int, str]:
    deadline = None if timeout is None else time.monotonic() + timeout
    offline_since: float | None = None
    while True:
        try:
            reply = future.result(0.1)
            return reply.code, reply.text
        except Late:
            pass
        except CancelledError:
            return 1, "stopped before it was in sync"
        now = time.monotonic()
        if daemon.failure is not None:
            return 1, str(daemon.failure)
        if stopped.is_set():
            return 1, "stopped before it was in sync; the next run goes on from here"
        live = daemon.live
        if deadline is not None and now > deadline:
            return 4, _late(live)
        show(live)
        if live.phase is Phase.STOPPED and not future.done():
            return 1, live.why
        if live.phase is not Phase.OFFLINE:
            offline_since = None
        elif offline_since is None:
            offline_since = now
        elif now - offline_since > OFFLINE_SECONDS:
            return 1, live.why or live.remote_detail


def _late(live: LiveStatus) -> str:
    """Say that there was no time for more, and what it went with."""
    why = live.why or ("" if live.remote_online else live.remote_detail)
    return f"not in sync before the time limit{f': {why}' if why else ''}; the next run goes on from here"
