"""What a watcher on a real kernel posted. Waits are for messages, never for time to pass."""

import queue
import sys
import time

import pytest

from syncd.model.observation import Hints, HintsLost, Message, Unwatched

LONG = 20.0

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


def _left(names, hinted):
    """Return which of *names* were not hinted, neither by name nor with all in their folder."""
    told = set(hinted)
    return {name for name in names if name not in told and (name[0], "") not in told}


class Inbox:
    """What the watcher posted, and when."""

    def __init__(self):
        self._messages = queue.Queue()
        self.hinted = []
        self.lost = []
        self.unwatched = []
        self.posted_at = []

    def post(self, message: Message) -> None:
        self.posted_at.append(time.monotonic())
        self._messages.put(message)

    def take(self):
        """Return the next message."""
        message = self._messages.get(timeout=LONG)
        match message:
            case Hints(names):
                self.hinted += names
            case HintsLost():
                self.lost.append(message)
            case Unwatched():
                self.unwatched.append(message)
        return message

    def until(self, condition):
        """Take messages until *condition* holds."""
        while not condition():
            self.take()

    def hears(self, *names):
        """Return whether all *names* have been hinted, taking messages until they are; False when no more come."""
        missing = _left(set(names), self.hinted)
        while missing:
            try:
                message = self.take()
            except queue.Empty:
                return False
            if isinstance(message, Hints):
                missing = _left(missing, message.names)
        return True
