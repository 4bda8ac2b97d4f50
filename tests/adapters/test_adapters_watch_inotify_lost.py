"""What the Linux watcher could not see or keep is said, on a real kernel."""

import errno
import os
import subprocess
import sys
import threading

import pytest

from syncd.adapters.watch_events import In, pack
from syncd.model.observation import HintsLost, Unwatched
from tests.adapters.inotify_world import LONG, only_linux

pytestmark = only_linux

if sys.platform == "linux":
    from syncd.adapters import watch_walk
    from syncd.adapters.watch_inotify import InotifyWatcher


def test_an_overflow_is_told_and_the_watches_are_mended(root, start, inbox, settled, tmp_path):
    """The events that were dropped are those of a folder made, one moved and one moved away."""
    (root / "a" / "b").mkdir(parents=True)
    (root / "out").mkdir()
    watcher = start()
    real, gate, swallowed = watcher.take, threading.Event(), []

    def overflow(buffer):
        if gate.is_set():
            real(buffer)
        else:
            swallowed.append(buffer)
            if sum(map(len, swallowed)) == 4 * len(pack(0, In.CREATE, name=b"x")):
                gate.set()
                real(pack(-1, In.Q_OVERFLOW))

    watcher.take = overflow
    (root / "new" / "deep").mkdir(parents=True)
    (root / "out").rename(tmp_path / "out")
    (root / "a").rename(root / "moved")
    inbox.until(lambda: inbox.lost)
    assert [lost.below for lost in inbox.lost] == [()]
    settled()
    inbox.hinted.clear()
    (root / "new" / "deep" / "x").touch()
    (root / "moved" / "b" / "y").touch()
    (tmp_path / "out" / "z").touch()
    assert set(settled()) == {(("new", "deep"), "x"), (("moved", "b"), "y")}


@pytest.mark.parametrize("bit", ["UNMOUNT", "IGNORED", "MOVE_SELF", "DELETE_SELF"])
def test_a_root_that_is_no_longer_watched_is_told(root, inbox, bit):
    watcher = InotifyWatcher(os.fspath(root), inbox.post, lambda path: False)
    watcher.start()
    try:
        wd = watcher._tree.root.wd
        watcher.take(pack(wd, In[bit]))
        watcher._flush()
        assert isinstance(inbox.take(), HintsLost)
        assert inbox.lost[0].below == ()
    finally:
        watcher.close()


def test_a_mount_that_goes_below_the_root_is_told(root, start, inbox):
    (root / "mnt").mkdir()
    watcher = start()
    watcher.take(pack(watcher._tree.root.children["mnt"].wd, In.UNMOUNT))
    watcher._flush()
    inbox.until(lambda: inbox.lost)
    assert inbox.lost[0].below == ("mnt",)


def test_a_root_that_is_moved_away_is_told(root, start, inbox, tmp_path):
    start()
    root.rename(tmp_path / "elsewhere")
    inbox.until(lambda: inbox.lost)
    assert [(lost.below, lost.why) for lost in inbox.lost] == [((), "the root was moved, removed or unmounted")]


def test_a_move_whose_halves_arrive_apart_keeps_the_path(root, start, inbox, settled):
    (root / "a" / "b").mkdir(parents=True)
    watcher = start()
    top, inner = watcher._tree.root.wd, watcher._tree.root.children["a"].children["b"].wd
    watcher.take(pack(top, In.MOVED_FROM | In.ISDIR, 9, b"a"))
    watcher.take(pack(inner, In.CREATE, name=b"unheard of"))
    watcher.take(pack(top, In.MOVED_TO | In.ISDIR, 9, b"c"))
    watcher._flush()
    inbox.until(lambda: inbox.lost)
    assert inbox.lost[0].below == ("c",)
    assert watcher._tree.path(watcher._tree.spot(inner)) == ("c", "b")


LIMITED = """
import os, sys
from syncd.adapters.watch_inotify import InotifyWatcher
with open("/proc/sys/user/max_inotify_watches", "w") as limit:  # of this user namespace alone
    limit.write("4")
watcher = InotifyWatcher(sys.argv[1], lambda message: print(message, flush=True), lambda path: False)
watcher.start()
os.mkdir(os.path.join(sys.argv[1], "late"))
open(os.path.join(sys.argv[1], "mark"), "w").close()
sys.stdin.readline()
watcher.close()
"""


def test_directories_beyond_the_watch_limit_are_named_with_the_numbers(root):
    if subprocess.run(["unshare", "-Ur", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("user namespaces are not permitted here")
    for number in range(10):
        (root / f"{number}").mkdir()
    command = ["unshare", "-Ur", sys.executable, "-c", LIMITED, os.fspath(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        first = child.stdout.readline()
        seen = ""
        while "'mark'" not in seen or seen.count("Unwatched") < 1:
            line = child.stdout.readline()
            assert line, seen
            seen += line
        child.stdin.write("\n")
        child.stdin.flush()
        child.wait(LONG)
    assert first.startswith("Unwatched(")
    assert first.count("',)") == 7
    assert "11 directories need a watch, but the system allows 4 in all" in first
    assert "sysctl fs.inotify.max_user_watches=" in first
    assert "('late',)" in seen


def test_a_folder_that_may_not_be_read_is_unwatched_until_it_may(root, start, inbox, monkeypatch):
    (root / "locked" / "deep").mkdir(parents=True)
    (root / "open").mkdir()
    real, locked = watch_walk.add_watch, [True]

    def add_watch(fd, directory, mask):
        if locked and os.readlink(f"/proc/self/fd/{directory}").endswith("/locked"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(fd, directory, mask)

    monkeypatch.setattr(watch_walk, "add_watch", add_watch)
    start()
    assert inbox.take() == Unwatched((("locked",),), "cannot be watched: permission denied")
    (root / "locked" / "deep" / "x").touch()
    assert inbox.hears((("locked", "deep"), "x"))
    locked.clear()
    (root / "locked").chmod(0o755)
    assert inbox.hears((("locked",), ""))
    (root / "locked" / "y").touch()
    assert inbox.hears((("locked",), "y"))


def test_without_a_queue_every_directory_is_told_as_unwatched(root, start, inbox, monkeypatch):
    (root / "a").mkdir()

    def refuse():
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("syncd.adapters.watch_inotify.open_queue", refuse)
    watcher = start()
    message = inbox.take()
    assert message.directories == ((), ("a",))
    assert "max_user_instances" in message.why
    assert not watcher.alive(lambda name: None, LONG)


def test_a_root_that_is_not_there_is_an_error(tmp_path):
    watcher = InotifyWatcher(os.fspath(tmp_path / "no"), lambda message: None, lambda path: False)
    with pytest.raises(FileNotFoundError):
        watcher.start()
    watcher.close()


def test_a_watcher_that_breaks_says_so(root, start, inbox, settled):
    (root / "a").mkdir()
    broken = []

    def skip(path):
        if broken:
            raise RuntimeError("boom")
        return False

    watcher = start(skip)
    broken.append(True)
    (root / "new").mkdir()
    inbox.until(lambda: inbox.lost)
    assert inbox.unwatched[0].directories == ((), ("a",))
    assert "boom" in inbox.lost[0].why
    assert not watcher.alive(lambda name: None, LONG)
