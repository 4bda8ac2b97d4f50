"""The Linux watcher against a real kernel. Waits are for messages, never for time to pass."""

import contextlib
import errno
import os
import queue
import random
import subprocess
import sys
import threading
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")

if sys.platform == "linux":
    from syncd.adapters import watch_walk
    from syncd.adapters.posix_fs import PosixFs
    from syncd.adapters.watch import make_watcher
    from syncd.adapters.watch_events import In, pack
    from syncd.adapters.watch_inotify import InotifyWatcher
    from syncd.model.observation import Hints, HintsLost, Unwatched
    from syncd.observe.canary import prove_watcher

LONG = 20.0


class Inbox:
    """What the watcher posted."""

    def __init__(self):
        self.messages = queue.Queue()
        self.hinted = []
        self.lost = []
        self.unwatched = []

    def take(self, timeout=LONG):
        message = self.messages.get(timeout=timeout)
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

    def until_hinted(self, *names):
        missing = set(names) - set(self.hinted)
        while missing:
            message = self.take()
            if isinstance(message, Hints):
                missing -= set(message.names)


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture
def start(root, inbox):
    watchers = []

    def one(skip=lambda path: False):
        watcher = make_watcher(os.fspath(root), inbox.messages.put, skip)
        assert isinstance(watcher, InotifyWatcher)
        watchers.append(watcher)
        watcher.start()
        return watcher

    yield one
    for watcher in watchers:
        watcher.close()


@pytest.fixture
def settled(root, inbox):
    """Make a mark and wait for it: everything before it has been posted then."""
    marks = iter(range(1000))

    def one():
        name = f"mark {next(marks)}"
        (root / name).touch()
        inbox.until_hinted(((), name))
        inbox.hinted = [hint for hint in inbox.hinted if not hint[1].startswith("mark ")]
        return inbox.hinted

    return one


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        pytest.param(lambda r: (r / "new").write_bytes(b"x"), [((), "new")], id="create"),
        pytest.param(lambda r: (r / "old").write_bytes(b"y"), [((), "old")], id="edit"),
        pytest.param(lambda r: (r / "old").unlink(), [((), "old")], id="delete"),
        pytest.param(lambda r: (r / "old").chmod(0o755), [((), "old")], id="chmod"),
        pytest.param(lambda r: (r / "old").rename(r / "d" / "x"), [((), "old"), (("d",), "x")], id="move"),
        pytest.param(lambda r: (r / "l").symlink_to("/nowhere"), [((), "l")], id="symlink"),
        pytest.param(lambda r: (r / "d" / "e" / "f").touch(), [(("d", "e"), "f")], id="deep below"),
        pytest.param(lambda r: (r / "d" / "e").rmdir(), [(("d",), "e")], id="rmdir"),
        pytest.param(
            lambda r: open(os.fsencode(r) + b"/latin-\xe9", "wb").close(), [((), "latin-\udce9")], id="odd bytes"
        ),
    ],
)
def test_what_changes_is_hinted(root, start, inbox, settled, act, expected):
    (root / "d" / "e").mkdir(parents=True)
    (root / "old").write_bytes(b"x")
    start()
    act(root)
    assert sorted(set(settled())) == sorted(expected)


def test_reading_is_not_a_change(root, start, settled):
    (root / "a").write_bytes(b"x")
    start()
    (root / "a").read_bytes()
    os.listdir(root)
    assert settled() == []


def test_an_application_that_keeps_its_file_open_is_noticed(root, start, inbox):
    with open(root / "log", "ab", buffering=0) as log:
        start()
        log.write(b"line\n")
        inbox.until_hinted(((), "log"))
        inbox.hinted.clear()
        log.write(b"line\n")
        inbox.until_hinted(((), "log"))


def test_a_flood_of_writes_is_a_trickle_of_hints(root, start, inbox, settled):
    with open(root / "log", "ab", buffering=0) as log:
        start()
        log.write(b"x")
        inbox.until_hinted(((), "log"))
        ends = time.monotonic() + 1.0
        while time.monotonic() < ends:
            log.write(b"x")
    assert 2 < settled().count(((), "log")) < 60


def test_new_folders_are_watched_without_a_gap(root, start, inbox, settled):
    start()
    expected = set()
    for number in range(30):
        below = (f"a{number}", "b", "c")
        (root.joinpath(*below)).mkdir(parents=True)
        root.joinpath(*below, "file").touch()
        expected |= {((), below[0]), (below[:1], "b"), (below[:2], "c"), (below, "file")}
    inbox.until_hinted(*expected)
    settled()
    inbox.hinted.clear()
    (root / "a7" / "b" / "c" / "later").touch()
    inbox.until_hinted((("a7", "b", "c"), "later"))


def test_a_folder_moved_within_the_root_reports_its_new_path(root, start, inbox, settled):
    (root / "a" / "b" / "c").mkdir(parents=True)
    (root / "z").mkdir()
    start()
    (root / "a").rename(root / "z" / "new")
    settled()
    inbox.hinted.clear()
    (root / "z" / "new" / "b" / "c" / "file").touch()
    (root / "z" / "new" / "top").touch()
    assert set(settled()) == {(("z", "new", "b", "c"), "file"), (("z", "new"), "top")}
    assert inbox.lost == []


def test_folders_that_change_places(root, start, inbox, settled):
    for name in ("a", "b"):
        (root / name / f"in {name}").mkdir(parents=True)
    start()
    (root / "a").rename(root / "t")
    (root / "b").rename(root / "a")
    (root / "t").rename(root / "b")
    settled()
    inbox.hinted.clear()
    (root / "b" / "in a" / "x").touch()
    assert set(settled()) == {(("b", "in a"), "x")}


def test_a_folder_moved_out_falls_silent(root, start, tmp_path, settled, inbox):
    (root / "a" / "b").mkdir(parents=True)
    watcher = start()
    (root / "a").rename(tmp_path / "outside")
    assert set(settled()) == {((), "a")}
    inbox.hinted.clear()
    (tmp_path / "outside" / "b" / "x").touch()
    assert settled() == []
    assert len(watcher._tree) == 1


def test_a_folder_moved_in_is_hinted_with_all_in_it(root, start, tmp_path, inbox, settled):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "x").touch()
    start()
    (tmp_path / "in").rename(root / "here")
    inbox.until_hinted(((), "here"), (("here",), "sub"), (("here", "sub"), "x"))
    (root / "here" / "sub" / "y").touch()
    inbox.until_hinted((("here", "sub"), "y"))


def test_a_folder_that_was_deleted_and_made_again(root, start, inbox, settled):
    (root / "a").mkdir()
    start()
    for _ in range(20):
        (root / "a").rmdir()
        (root / "a").mkdir()
    settled()
    inbox.hinted.clear()
    (root / "a" / "x").touch()
    assert (("a",), "x") in settled()


def test_our_own_folder_and_ignored_ones_are_silent(root, start, settled, inbox):
    (root / ".syncd" / "trash").mkdir(parents=True)
    (root / "build" / "deep").mkdir(parents=True)
    watcher = start(skip=lambda path: path[-1] == "build")
    (root / ".syncd" / "x").touch()
    (root / ".syncd" / "trash" / "y").touch()
    (root / ".syncd").chmod(0o700)
    (root / "build" / "x").touch()
    (root / "build" / "deep" / "x").touch()
    (root / "new").mkdir()
    (root / "new" / "build").mkdir()
    (root / "new" / "build" / "x").touch()
    assert set(settled()) == {((), "new"), (("new",), "build")}
    assert len(watcher._tree) == 2


def test_p10_symlinks_are_never_followed(root, start, tmp_path, settled):
    (tmp_path / "outside").mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    watcher = start()
    (tmp_path / "outside" / "x").touch()
    (root / "link2").symlink_to(tmp_path / "outside")
    (tmp_path / "outside" / "y").touch()
    assert set(settled()) == {((), "link2")}
    assert len(watcher._tree) == 1


def test_a_burst_comes_in_batches(root, start, inbox):
    start()
    for number in range(5000):
        (root / f"{number}").touch()
    inbox.until_hinted(*(((), f"{number}") for number in range(5000)))
    assert inbox.lost == []


@pytest.mark.parametrize("seed", range(4))
def test_after_any_shuffling_of_folders_every_path_is_right(root, start, inbox, settled, tmp_path, seed):
    chance = random.Random(seed)
    watcher = start()

    def folders():
        return sorted(path for path in root.rglob("*") if path.is_dir())

    for number in range(150):
        here = chance.choice([root, *folders()])
        match chance.choice(["mkdir", "mkdir", "move", "move", "move out", "rmdir"]):
            case "mkdir":
                (here / chance.choice("abcd")).mkdir(exist_ok=True)
            case "move" if here != root:
                target = chance.choice([root, *folders()]) / chance.choice("abcd")
                with contextlib.suppress(OSError):  # into itself, or onto a folder with something in it
                    here.rename(target)
            case "move out" if here != root:
                here.rename(tmp_path / f"out {number}")
            case "rmdir" if here != root:
                with contextlib.suppress(OSError):
                    here.rmdir()
        if chance.random() < 0.1:
            settled()
    settled()
    inbox.hinted.clear()
    expected = set()
    for folder in folders():
        (folder / "probe").touch()
        expected.add((folder.relative_to(root).parts, "probe"))
    for outside in tmp_path.glob("out */**/"):
        (outside / "probe").touch()
    assert set(settled()) == expected
    assert len(watcher._tree) == 1 + len(folders())


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


# --- what is lost is said -----------------------------------------------------------------------------------------


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
    watcher = InotifyWatcher(os.fspath(root), inbox.messages.put, lambda path: False)
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
    inbox.until_hinted((("locked", "deep"), "x"))
    locked.clear()
    (root / "locked").chmod(0o755)
    inbox.until_hinted((("locked",), "deep"))
    (root / "locked" / "y").touch()
    inbox.until_hinted((("locked",), "y"))


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


# --- life ---------------------------------------------------------------------------------------------------------


def test_close_ends_the_thread_and_frees_every_descriptor(root, start):
    (root / "a").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    watcher = start()
    thread = watcher._thread
    watcher.close()
    watcher.close()
    assert not thread.is_alive()
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_idle_watcher_does_not_wake(root, start, settled):
    watcher = start()
    settled()
    status = f"/proc/self/task/{watcher._thread.native_id}/status"

    def switches():
        with open(status) as file:
            return [line for line in file if "ctxt_switches" in line]

    first = switches()
    time.sleep(0.3)  # nothing to wait for: that nothing happens is what is tested
    while switches() != first:  # it may still have been on its way into poll()
        first = switches()
        time.sleep(0.3)
    assert switches() == first


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
