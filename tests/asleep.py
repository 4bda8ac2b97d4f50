"""How long a thread sleeps if nothing happens, as the Linux kernel tells it.

Shows without waiting that somebody idle does not wake: one look says more than the context switches of any interval.
"""

import math
import platform
import sys
from pathlib import Path

import pytest

# The calls a thread may sleep in, by number: which argument bounds the sleep, and whether that is milliseconds or a
# pointer that is null where nothing bounds it. No argument: nothing but an event ends it.
_MILLISECONDS, _POINTER = "milliseconds", "pointer"
_SLEEPS = {
    "x86_64": {0: None, 7: (2, _MILLISECONDS), 202: (3, _POINTER), 232: (3, _MILLISECONDS), 281: (3, _MILLISECONDS)},
    "aarch64": {63: None, 73: (2, _POINTER), 98: (3, _POINTER), 22: (3, _MILLISECONDS)},
}.get(platform.machine(), {})  # read, poll or ppoll, futex, epoll_wait, epoll_pwait

told_by_the_kernel = pytest.mark.skipif(
    sys.platform != "linux" or not _SLEEPS or not Path("/proc/self/syscall").exists(),
    reason="needs a kernel that tells in what call a thread sleeps",
)


def seconds_until_it_wakes(pid: int, thread: int) -> float:
    """Return how long *thread* of *pid* sleeps at most when nothing happens; 0 when it runs or cannot be told."""
    try:
        said = Path(f"/proc/{pid}/task/{thread}/syscall").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return math.inf  # it has ended
    if not said[0].isdigit() or int(said[0]) not in _SLEEPS:
        return 0.0
    bound = _SLEEPS[int(said[0])]
    if bound is None:
        return math.inf
    place, unit = bound
    argument = int(said[1 + place], 16)
    if unit == _POINTER:
        return 0.0 if argument else math.inf
    return math.inf if argument & 1 << 31 else (argument & 0xFFFFFFFF) / 1000  # an int: negative is without end


def threads(pid: int) -> list[int]:
    """Return the threads of *pid*."""
    return sorted(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir())
