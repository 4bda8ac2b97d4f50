"""The composition root: one root's database, workers, engine, watcher and control socket, put together and taken apart.

Owns the order in which they start and stop, and the control thread. Decides nothing about files.
"""

import contextlib
import errno
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import structlog

from syncd.adapters import lockfile
from syncd.adapters.hub_remote import HubRemote
from syncd.adapters.posix_fs import PosixFs
from syncd.adapters.reading import Readers
from syncd.adapters.sqlite_databases import SqliteDatabases
from syncd.adapters.system import SystemChance, SystemClock, give_back_memory
from syncd.adapters.threads import beside
from syncd.control.server import ControlServer
from syncd.db.connection import Database
from syncd.engine.core import Engine
from syncd.engine.desk import EngineSettings, RootFacts
from syncd.engine.loop import run
from syncd.execute.runner import Runner
from syncd.execute.tools import Limits
from syncd.model.errors import NoSpace, RootGone, SyncdError, Transient
from syncd.model.observation import Ask, Message, Reply, Verb, Withdraw
from syncd.model.status import LiveStatus, Phase
from syncd.observe.cuts import Cuts
from syncd.observe.listing import Lister
from syncd.observe.rules import RulesReader
from syncd.observe.scan import Looker
from syncd.observe.snapshots import Snapshots
from syncd.ports import RootIdentity, Traits
from syncd.service import folders, known_traits, patience
from syncd.service.crew import Crew, KnownPieces
from syncd.service.roots import RootKeeper, RootRecord, Roots, write_private
from syncd.service.tokens import Tokens
from syncd.service.watched import WatchedRoot
from syncd.settings import Settings

WORKERS_STOP: Final = 3.0
"""Seconds running jobs get to end by themselves; what does not is recovered at the next start (P4)."""


@dataclass(slots=True)
class _Life:
    """All that ends when the engine meets a full disk, and is made anew from the database once there is room (P4)."""

    database: Database
    engine: Engine
    crew: Crew
    root: WatchedRoot
    inbox: "queue.SimpleQueue[Message | None]"
    over: threading.Event


class Daemon:
    """One root, synced. ``start`` and ``stop`` once each; *on_end* is called when it ends by itself (never on stop)."""

    def __init__(
        self,
        roots: Roots,
        record: RootRecord,
        settings: Settings,
        on_end: Callable[["Daemon"], None] = lambda _daemon: None,
    ) -> None:
        self.record = record
        self.failure: BaseException | None = None
        self._roots, self._settings, self._on_end = roots, settings, on_end
        self._folder = roots.folder(record.id)
        self._log = structlog.get_logger("syncd").bind(root=record.path)
        self._switch = threading.Lock()  # held to look at, or change, the next four together
        self._life: _Life | None = None
        self._trouble: LiveStatus | None = None
        self._excuse: BaseException | None = None
        self._open: dict[int, Ask] = {}
        self._stopping = threading.Event()
        self._halted = threading.Event()
        self._tickets = count(-1, -1)  # negative: our own questions; the control socket's are positive
        self._asked: dict[int, Future[Reply]] = {}
        self._undo = contextlib.ExitStack()

    # --- for whoever runs it -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take the root's lock and start; raises Refused with the other daemon's pid, or why it cannot run."""
        with contextlib.ExitStack() as undo:
            undo.enter_context(lockfile.acquire(str(self._folder.lock)))
            self.record = self._roots.load(self.record.id)  # as it is now that nobody else may change it
            self._build(undo)
            self._undo = undo.pop_all()

    def stop(self) -> None:
        """Stop cleanly: no new work, running jobs get a few seconds, every result that came is recorded."""
        self._stopping.set()
        self._undo.close()
        for future in self._asked.values():
            future.cancel()

    def ask(self, verb: Verb, **arguments: str) -> "Future[Reply]":
        """Ask the engine something; the future is done when it answers, cancelled when the daemon stops first."""
        ticket = next(self._tickets)
        future: Future[Reply] = Future()
        self._asked[ticket] = future
        self._post(Ask(ticket, verb, tuple(sorted(arguments.items()))))
        return future

    @property
    def live(self) -> LiveStatus:
        """What it is doing; after trouble that trouble, until the engine has taken its first step again."""
        life, trouble = self._life, self._trouble
        if life is not None and (trouble is None or life.engine.reporter.at >= 0):
            return life.engine.reporter.live
        return trouble or LiveStatus()

    @property
    def opened(self) -> int:
        """How many files were opened for reading so far (a re-run without changes opens none)."""
        return self._fs.opened

    # --- putting together ----------------------------------------------------------------------------------------

    def _build(self, undo: contextlib.ExitStack) -> None:
        clock, chance = SystemClock(), SystemChance()
        record = self.record
        assumed = known_traits.recall(self._folder.base)
        readers = Readers()
        undo.callback(readers.close)
        tied = RootIdentity(record.id, record.dev, record.ino)
        self._fs = PosixFs(record.path, expected=tied, assumed=assumed, readers=readers)
        self._remote = HubRemote(
            record.address, Tokens(self._roots).get(record.id), expect=(record.hub_id, record.space_id)
        )
        undo.callback(self._remote.close)
        self._lister = Lister(self._remote)
        floor = int(self._settings.disk.free_floor)
        self._snapshots = Snapshots(self._fs, SqliteDatabases(), chance, floor)
        self._cuts = Cuts(clock, threading.Lock, time.sleep)
        self._looker = Looker(self._fs, clock, self._snapshots, self._cuts)
        self._rules = RulesReader(self._fs, clock)
        self._keeper = RootKeeper(self._roots, record)
        database: Database | None = None
        try:
            database = self._open_database(clock)
        except NoSpace as error:
            self._troubled(error)  # no reason not to start: it is waited out like one that comes later
        try:
            self._control = self._listen(undo)
        except BaseException:
            if database is not None:
                database.close()
            raise
        thread = threading.Thread(
            target=self._run, args=(clock, chance, database), name="control-thread", daemon=True
        )  # fmt: skip
        undo.callback(self._halt, thread)
        thread.start()

    def _open_database(self, clock: SystemClock) -> Database:
        database = Database.open(str(self._folder.database), clock=clock)
        if database.set_aside:
            self._log.warning("the database was damaged; it was set aside and is rebuilt", kept=database.set_aside)
        return database

    def _born(self, database: Database, clock: SystemClock, chance: SystemChance) -> _Life:
        """Return an engine with workers and an inbox of its own: nothing of an earlier one can reach it."""
        inbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        over = threading.Event()
        settings, record = EngineSettings.of(self._settings), self._keeper.record
        facts = RootFacts(
            device=record.device,
            traits=self._traits(),
            remote_id=record.hub_id,
            space_id=record.space_id,
            paused=record.paused,
            device_id=record.device_id,
        )
        root = WatchedRoot(self._fs, self._rules, self._keeper, facts, self._folder.base, inbox.put, self._log)
        runner = self._build_runner(clock, chance, inbox.put, over)
        crew = Crew(settings, self._looker, self._lister, runner, root, inbox.put)
        engine = Engine(database, clock, chance, crew, settings, facts, self._keeper, self._reply, self._say)
        return _Life(database, engine, crew, root, inbox, over)

    def _halt(self, thread: threading.Thread) -> None:
        """Let running jobs end while the control thread still records their results, then stop it."""
        with self._switch:  # stopping is set already: no other life begins after this one
            life = self._life
        if life is not None and not life.crew.stop(WORKERS_STOP):
            self._log.info("some jobs did not end in time; they are taken up again at the next start")
        self._halted.set()
        if life is not None:
            life.inbox.put(None)
        thread.join(WORKERS_STOP)
        if life is not None:
            life.root.close()

    def _listen(self, undo: contextlib.ExitStack) -> ControlServer:
        path = folders.socket_path(self.record.id)
        folders.private_dir(path.parent)
        server = ControlServer(path, self.record.path, lambda: self.live, self._post)
        server.start()
        undo.callback(server.stop)
        note, text = self._folder.socket_note, os.fsencode(path) + b"\n"
        try:
            if not note.is_file() or note.read_bytes() != text:
                write_private(note, text)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            note.unlink(missing_ok=True)  # without a note, clients look where the socket usually is
        return server

    def _build_runner(
        self, clock: SystemClock, chance: SystemChance, post: Callable[[Message], None], over: threading.Event
    ) -> Runner:
        return Runner(
            self._fs,
            self._remote,
            clock,
            chance,
            lambda: self.record.device,
            KnownPieces(self._folder.database),
            Limits(free_floor_bytes=int(self._settings.disk.free_floor)),
            post,
            lambda: self._stopping.is_set() or over.is_set(),
            lambda path, directory: self._rules.read().ignored(path, directory),
            self._snapshots,
            self._cuts,
            beside,
        )

    def _traits(self) -> Traits:
        try:
            return self._fs.traits
        except (RootGone, OSError) as error:
            self._log.warning("the folder is not there yet; it is looked for again and again", why=str(error))
            return known_traits.recall(self._folder.base)

    # --- in the control thread -----------------------------------------------------------------------------------

    def _run(self, clock: SystemClock, chance: SystemChance, database: Database | None) -> None:
        try:
            self._live_on(clock, chance, database)
        except BaseException as error:  # noqa: BLE001 - whatever ends the control thread ends the daemon, visibly
            if isinstance(error, SyncdError):
                self._log.error("stopped", why=str(error))
            else:
                self._log.exception("stopped by a fault in syncd")
            self._troubled(error, final=True)
            self.failure = error
            self._on_end(self)

    def _live_on(self, clock: SystemClock, chance: SystemChance, database: Database | None) -> None:
        """Live until stopped. A disk that is full, or fails for now, ends one life; after a wait the next one resolves
        what was running, from the database, as after a crash (P4)."""
        waits, said = patience.Waits(clock), ""
        while True:
            try:
                if database is not None or waits.over(self._folder.base):
                    self._live_once(clock, chance, database or self._open_database(clock))
                    return
            except Transient as error:
                self._troubled(error, next_at=clock.now() + waits.next())
                if str(error) != said:
                    said = str(error)
                    self._log.warning("it waits, and goes on by itself", why=said)
            database = None
            if self._stopping.wait(waits.pause):
                return
            waits.waited()

    def _live_once(self, clock: SystemClock, chance: SystemChance, database: Database) -> None:
        with contextlib.ExitStack() as undo:
            undo.callback(self._closed, database)
            life = self._born(database, clock, chance)
            undo.callback(self._buried, life)
            with self._switch:
                if self._stopping.is_set():
                    return
                self._life = life
                for ask in self._open.values():
                    life.inbox.put(ask)
            try:
                run(
                    life.engine, life.inbox, clock, self._halted.is_set, self._remote.drop_connections, give_back_memory
                )
            except Transient as error:
                self._troubled(error)  # said before running jobs are waited for
                raise

    def _closed(self, database: Database) -> None:
        try:
            database.close()
        except SyncdError as error:
            self._log.info("the database's log stays beside it until there is room", why=str(error))

    def _buried(self, life: _Life) -> None:
        """See that nothing of *life* goes on: the next one must find every op as it was left."""
        life.over.set()
        while not life.crew.stop(0.0 if self._stopping.is_set() else WORKERS_STOP):
            if self._stopping.is_set():
                break
        life.root.close()

    def _troubled(self, error: BaseException, *, next_at: float | None = None, final: bool = False) -> None:
        """Say why nothing is done, and answer whoever asked: nobody is kept waiting for room."""
        why = patience.words(error, final=final)
        with self._switch:
            since = self._trouble.since if self._trouble and self._trouble.why == why else SystemClock().now()
            self._life = None
            self._trouble = LiveStatus(Phase.STOPPED, why, since, next_at=next_at)
            asked = list(self._open.values())
            self._excuse = error
        for ask in asked:
            self._reply(patience.excuse(ask, error, why))

    def _post(self, message: Ask | Withdraw) -> None:
        """Hand a question to the engine; while there is none, say why. From any thread."""
        with self._switch:
            if isinstance(message, Withdraw):
                self._open.pop(message.ticket, None)
            else:
                self._open[message.ticket] = message
            trouble = self._trouble if self._life is None else None
            if self._life is not None:
                self._life.inbox.put(message)
        if trouble is not None and isinstance(message, Ask):
            self._reply(patience.excuse(message, self._excuse, trouble.why))

    def _reply(self, reply: Reply) -> None:
        with self._switch:
            self._open.pop(reply.ticket, None)
        if reply.ticket > 0:
            self._control.reply(reply)
        elif (future := self._asked.pop(reply.ticket, None)) is not None and not future.done():
            future.set_result(reply)

    def _say(self, event: str, **values: Any) -> None:
        self._log.info(event, **values)
