"""How a daemon bears a disk that is full, or fails for now: how long it waits, when it tries again, what it says.

Owns no thread and no state of a root. Writes one probe beside the database, and removes it.
"""

import errno
import os
from pathlib import Path
from typing import Final

from syncd.model.errors import NoSpace, Transient
from syncd.model.observation import Ask, Reply, Verb
from syncd.model.path import shown
from syncd.ports import Clock

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 15.0
STEADY: Final = 60.0
"""Seconds after which what failed counts as having worked: the next wait is short again."""
ROOM: Final = 1 << 20
"""Bytes that must fit before the engine is tried again: it would only fill them and look at everything once more."""


class Waits:
    """The pauses between two lives of an engine: each longer than the one before, up to a bound."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tried = clock.monotonic()
        self.pause = FIRST_PAUSE

    def over(self, folder: Path) -> bool:
        """Return whether there is room again in *folder*; raises NoSpace when not, Transient on other errors."""
        self._tried = self._clock.monotonic()
        probe = folder / ".room"
        try:
            descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                left = ROOM
                while left > 0:
                    left -= os.write(descriptor, bytes(min(left, 1 << 16)))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
                os.unlink(probe)
        except OSError as error:
            why = f"{shown(str(folder))}: syncd's own records cannot be kept ({(error.strerror or str(error)).lower()})"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NoSpace(f"{why}: free some space, then it goes on by itself") from error
            raise Transient(f"{why}: check that folder; it is tried again") from error
        return True

    def next(self) -> float:
        """Return the seconds until the next try."""
        if self._clock.monotonic() - self._tried > STEADY:
            self.pause = FIRST_PAUSE
        return self.pause

    def waited(self) -> None:
        """Note that a pause is over; the next one is longer."""
        self.pause = min(self.pause * 2, LONGEST_PAUSE)


def words(error: BaseException, *, final: bool) -> str:
    """Return, in one line, why nothing is done for a root; *final*: until the daemon is started again."""
    text = str(error) or type(error).__name__
    if isinstance(error, Transient) and not final:
        return text
    return f"{text}: stop the daemon and start it again with `syncd run`; its log says more"


def excuse(ask: Ask, error: BaseException | None, why: str) -> Reply:
    """Return what is answered while no engine runs: a full disk waits for a person (3), all else failed (1)."""
    return Reply(ask.ticket, 3 if ask.verb is Verb.WAIT and isinstance(error, NoSpace) else 1, why)
