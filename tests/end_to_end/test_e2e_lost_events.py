"""Events that the kernel drops: the daemon notices, looks at everything again, and watches what came meanwhile."""

import sys
from pathlib import Path

import pytest

from tests.end_to_end.harness import Device, World
from tests.end_to_end.processes import until

Pair = tuple[World, Device, Device]

MAX_QUEUED = Path("/proc/sys/fs/inotify/max_queued_events")
MOST = 100_000
"""Making more events than this takes too long for a test."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify's queue is Linux's")


def fill_the_queue(device: Device) -> None:
    """Make more events than the kernel keeps for a daemon that does not read; nothing of it stays."""
    queue = int(MAX_QUEUED.read_text())
    if queue > MOST:
        pytest.skip(f"the kernel keeps {queue} events; this machine would take too long to overflow that")
    for number in range(queue // 2 + 1):  # two events each, at the least: made, removed
        path = device.path(f"passing {number}")
        path.touch()
        path.unlink()


def test_p2_what_happens_while_the_watchers_queue_overflows_is_found_all_the_same(pair: Pair) -> None:
    world, a, b = pair
    for name in ("deep/down/edited.txt", "deep/down/removed.txt", "folder/inside.txt"):
        a.write(name, f"content of {name}")
    world.settle()
    a.process.freeze()
    try:
        fill_the_queue(a)
        # The queue is full: of what follows the daemon is told nothing.
        a.write("deep/down/edited.txt", "edited unseen")
        a.write("deep/down/new/new.txt", "new, unseen")
        a.remove("deep/down/removed.txt")
        a.rename("folder", "renamed")
        b.write("from b.txt", "from b")
    finally:
        a.process.thaw()
    # Nobody asks for a look here: `wait` would find everything by looking, noticed or not.
    until(lambda: b.tree() == a.tree() and "from b.txt" in a.names(), "both have all of it")
    assert b.read("deep/down/edited.txt") == "edited unseen"
    assert "the watcher lost events" in a.process.said()
    a.write("deep/down/new/later.txt", "the new folder is watched, too")
    until(lambda: "deep/down/new/later.txt" in b.names(), "what comes later is seen")
    world.check_all()
