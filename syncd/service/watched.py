"""The root as workers meet it: proven before it is relied on, and watched before it is scanned.

Owns the watcher, from its first proof to its end. Runs in worker threads; concludes nothing about files.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from syncd.adapters.posix_fs import PosixFs
from syncd.adapters.watch import make_watcher
from syncd.engine.desk import RootFacts
from syncd.model.errors import NoSpace, RootGone, SyncdError
from syncd.model.observation import Message, Proven, Unproven, Unwatched, Watching
from syncd.model.path import RelPath
from syncd.observe.canary import prove_watcher
from syncd.observe.rules import RulesReader
from syncd.ports import Watcher
from syncd.service import known_traits
from syncd.service.roots import RootKeeper


class WatchedRoot:
    """One root during one life of its engine: what its watcher says goes to that engine's inbox and to no other."""

    def __init__(
        self,
        fs: PosixFs,
        rules: RulesReader,
        keeper: RootKeeper,
        facts: RootFacts,
        base: Path,
        post: Callable[[Message], None],
        log: Any,
    ) -> None:
        self._fs, self._rules, self._keeper, self._facts = fs, rules, keeper, facts
        self._base, self._post, self._log = base, post, log
        self._lock = threading.Lock()  # held to exchange the watcher: a proof may still run when all is closed
        self._closed = False
        self._began: tuple[int, int, str] | None = None  # what the watcher watches, and the rules it began with
        self.watcher: Watcher | None = None

    def prove(self, doubt_watcher: bool) -> list[Message]:
        """Prove the root, and have it watched before anybody scans it: watch first, then scan."""
        try:
            found = self._fs.prove()
            self._facts.traits = self._fs.traits  # read by the control thread only after the message below
            known_traits.keep(self._base, self._facts.traits)
        except (RootGone, OSError) as error:
            self._take(None)
            return [Unproven(str(error))]
        messages: list[Message] = []
        # What is ignored is not watched; other rules than the watcher began with need another watcher.
        wanted = (found.dev, found.ino, self._rules.read().text)
        doubted = doubt_watcher and (self.watcher is None or not self._reports(self.watcher))
        if self._began != wanted or doubted:
            messages += self._watch()
            self._began = wanted
        # The device number may change with a mount; a restored copy has other inodes.
        same = self._keeper.record.ino in (0, found.ino)
        return [*messages, Proven(same, found.dev, found.ino, wanted[2])]

    def close(self) -> None:
        """Watch no more, also when a proof that still runs would have it watched again."""
        self._closed = True
        self._take(None)

    def _watch(self) -> list[Message]:
        """Have the root watched by a new watcher, which has to prove itself; it starts before the old one ends."""
        self._post(Watching())
        watcher = make_watcher(self._keeper.record.path, self._post, self._unwatched)
        why = "the watcher does not report what happens here"
        try:
            watcher.start()
            proven = self._reports(watcher)
        except RootGone:
            watcher.close()
            raise
        except (SyncdError, OSError) as error:
            why, proven = str(error), False
        if proven:
            self._take(watcher)
            return []
        self._take(None)
        watcher.close()
        self._log.warning("the folder cannot be watched; it is looked at regularly instead", why=why)
        return [Unwatched(((),), why)]

    def _reports(self, watcher: Watcher) -> bool:
        """Return whether *watcher* reports what happens, as far as that can be tried."""
        try:
            return prove_watcher(self._fs, watcher)
        except (NoSpace, OSError) as error:
            self._log.warning("the watcher cannot be tried now", why=str(error))
            return True  # no canary could be made: nothing is known against the watcher

    def _take(self, watcher: Watcher | None) -> None:
        """End the watcher there is, and have *watcher* instead."""
        with self._lock:
            before, self.watcher, self._began = self.watcher, None if self._closed else watcher, None
        for ended in (before, watcher if self._closed else None):
            if ended is not None:
                ended.close()

    def _unwatched(self, path: RelPath) -> bool:
        """Return whether a directory needs no watch: nothing below it is ever synced."""
        return self._rules.read().ignored(path, True)
