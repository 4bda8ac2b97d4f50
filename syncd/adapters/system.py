"""The machine's clock and randomness behind the ports. The only place where syncd's engine meets either."""

import random
import secrets
import time


class SystemClock:
    """See ``syncd.ports.Clock``."""

    def now(self) -> float:
        """Return wall-clock seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never jump back."""
        return time.monotonic()


class SystemChance:
    """See ``syncd.ports.Chance``. Seeded by the operating system; shared by threads without harm."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def token(self, size: int) -> bytes:
        """Return *size* unpredictable bytes."""
        return secrets.token_bytes(size)

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * self._random.random()
