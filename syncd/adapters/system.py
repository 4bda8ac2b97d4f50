"""The machine's clock and randomness behind the ports. The only place where syncd's engine meets either."""

import ctypes
import random
import resource
import secrets
import time
from typing import Final

_IDS_AT_ONCE: Final = 256
"""Ids for which chance is asked of the system at once: each call hands the interpreter's lock to another thread."""

MOST_DESCRIPTORS: Final = 16_384
"""Open files a process may have, if the system allows: far above what the pools can use."""


_libc = ctypes.CDLL(None)
_TRIM: Final = getattr(_libc, "malloc_trim", None)  # glibc
_RELIEF: Final = getattr(_libc, "malloc_zone_pressure_relief", None)  # macOS


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
        self._pool: list[bytes] = []  # for ids, which are no secrets

    def token(self, size: int) -> bytes:
        """Return *size* unpredictable bytes."""
        return secrets.token_bytes(size)

    def id(self, now: float) -> bytes:
        """Return 48 bits of milliseconds since the epoch and 80 of chance, as a UUID of version 7 has them (RFC 9562,
        without its six fixed bits)."""
        try:
            chance = self._pool.pop()
        except IndexError:
            data = secrets.token_bytes(10 * _IDS_AT_ONCE)
            self._pool += [data[at : at + 10] for at in range(10, len(data), 10)]
            chance = data[:10]
        return (int(now * 1000) % (1 << 48)).to_bytes(6, "big") + chance

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * self._random.random()


def give_back_memory() -> None:
    """Let the system have what this process freed: the allocators of C keep it for later, and what was free once in a
    burst would count as used for days."""
    if _TRIM is not None:
        _TRIM(0)
    elif _RELIEF is not None:
        _RELIEF(None, 0)


def raise_descriptor_limit() -> None:
    """Let this process open as many files as it is allowed to: a batch of replacements holds several hundred open,
    and the usual soft limit of 1,024 (256 on macOS) is for programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
