"""The Linux watcher's life: it wakes for events only, proves itself, and ends without a trace."""

import math
import os

from syncd.adapters.posix_fs import PosixFs
from syncd.observe.canary import prove_watcher
from tests.adapters.inotify_world import LONG, only_linux
from tests.asleep import seconds_until_it_wakes, told_by_the_kernel
from tests.waiting import until

pytestmark = only_linux


def test_close_ends_the_thread_and_frees_every_descriptor(root, start):
    (root / "a").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    watcher = start()
    thread = watcher._thread
    watcher.close()
    watcher.close()
    assert not thread.is_alive()
    assert len(os.listdir("/proc/self/fd")) == before


@told_by_the_kernel
def test_an_idle_watcher_does_not_wake(root, start, settled):
    watcher = start()
    settled()
    thread = watcher._thread.native_id
    assert until(lambda: seconds_until_it_wakes(os.getpid(), thread) == math.inf, "a sleep that only events end")


def test_the_canary_proves_the_watcher(root, start, settled, inbox):
    watcher = start()
    fs = PosixFs(os.fspath(root))
    assert prove_watcher(fs, watcher, LONG)
    assert prove_watcher(fs, watcher, LONG)
    assert settled() == [], "a canary is no hint"
    assert os.listdir(root / ".syncd" / "canary") == []
    assert not watcher.alive(lambda name: None, 0.05), "a canary that never flew"
    watcher.close()
    assert not prove_watcher(fs, watcher, LONG)


def test_a_canary_left_by_a_crash_is_swept_up(root, start):
    (root / ".syncd" / "canary").mkdir(parents=True)
    (root / ".syncd" / "canary" / "canary-1").touch()
    assert prove_watcher(PosixFs(os.fspath(root)), start(), LONG)
    assert os.listdir(root / ".syncd" / "canary") == []
