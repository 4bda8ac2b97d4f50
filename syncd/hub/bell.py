"""Tells those who wait that a space changed. Lossy on purpose: a ring says only "come and pull".

Owns the waiting of threads and the callbacks of an asynchronous server. Never holds what changed.
"""

import threading
from collections.abc import Callable


class Bell:
    """Waiters by space. Any thread."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rings: dict[str, int] = {}
        self._callbacks: dict[str, dict[int, Callable[[], None]]] = {}
        self._next = 0
        self._closed = False

    def ring(self, space_id: str) -> None:
        """Wake everybody who waits for the space; called after the change is durable."""
        with self._condition:
            self._rings[space_id] = self._rings.get(space_id, 0) + 1
            callbacks = list(self._callbacks.get(space_id, {}).values())
            self._condition.notify_all()
        for callback in callbacks:
            callback()

    def wait(self, space_id: str, ready: Callable[[], bool], seconds: float) -> bool:
        """Return True as soon as *ready* after a ring (or at once), False after *seconds* or at the close."""
        with self._condition:
            heard = self._rings.get(space_id, 0)
        # Asked after the count was taken: a change in between has rung, and ends the wait at once.
        if ready():
            return True
        with self._condition:
            rung = self._condition.wait_for(
                lambda: self._closed or self._rings.get(space_id, 0) != heard, timeout=max(0.0, seconds)
            )
            if not rung or self._closed:
                return False
        return ready()

    def subscribe(self, space_id: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Have *callback* called after each change of the space (and at the close), in the thread that made it.

        It must not block and must not raise (``loop.call_soon_threadsafe(event.set)``). Subscribe first, then ask
        whether something changed. Returns what ends the subscription; calling that twice is fine.
        """
        with self._condition:
            ticket = self._next
            self._next += 1
            self._callbacks.setdefault(space_id, {})[ticket] = callback

        def unsubscribe() -> None:
            with self._condition:
                waiting = self._callbacks.get(space_id, {})
                waiting.pop(ticket, None)
                if not waiting:
                    self._callbacks.pop(space_id, None)

        return unsubscribe

    def close(self) -> None:
        """Let everybody go; nobody waits after this."""
        with self._condition:
            self._closed = True
            callbacks = [callback for waiting in self._callbacks.values() for callback in waiting.values()]
            self._condition.notify_all()
        for callback in callbacks:
            callback()
