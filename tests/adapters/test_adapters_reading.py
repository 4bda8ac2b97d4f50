"""The processes that read many small files: they come when there is much to read, go, and may be ended by anybody."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from blake3 import blake3

from syncd.adapters import reader_child, reading
from tests.readers import eager_readers
from tests.waiting import until

LIMIT = 1 << 16


@pytest.fixture
def readers():
    with eager_readers() as readers:
        yield readers


@pytest.fixture
def directory(tmp_path):
    for number in range(10):
        (tmp_path / str(number)).write_bytes(b"%d" % number)
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


NAMES = [str(number).encode() for number in range(10)]
HASHES = [blake3(b"%d" % number).digest() for number in range(10)]


def read(readers, directory, names=NAMES):
    return [content and content.hash for content in readers.read([(directory, name) for name in names], LIMIT, b"")]


def the_one(readers):
    [reader] = readers._idle
    return reader._process


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def test_it_is_started_for_many_asked_again_for_few_and_not_for_one(readers, directory, monkeypatch):
    monkeypatch.setattr(reading, "MANY", 4)
    assert read(readers, directory, NAMES[:3]) == [None] * 3
    assert read(readers, directory) == HASHES
    first = the_one(readers).pid
    assert read(readers, directory, NAMES[:2]) == HASHES[:2]
    assert the_one(readers).pid == first
    assert read(readers, directory, NAMES[:1]) == [None]


def test_what_it_did_not_say_is_not_known_and_the_next_one_is_asked_anew(readers, directory):
    assert read(readers, directory) == HASHES
    process = the_one(readers)
    process.kill()
    process.wait()
    assert read(readers, directory) == [None] * 10
    assert read(readers, directory) == HASHES


def test_half_an_answer_counts(readers, directory, monkeypatch):
    monkeypatch.setattr(reading, "AT_ONCE", 4)
    ask, asked = reading._Reader.ask, []

    def dies_after_the_first(self, *arguments):
        if asked:
            self._process.kill()
            self._process.wait()
        asked.append(self)
        return ask(self, *arguments)

    monkeypatch.setattr(reading._Reader, "ask", dies_after_the_first)
    assert read(readers, directory) == HASHES[:4] + [None] * 6


def test_no_process_can_be_had(readers, directory, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert read(readers, directory) == [None] * 10


def test_without_a_thread_to_end_it_later_it_ends_at_once(readers, directory, monkeypatch):
    def refused(timer):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(reading.threading.Timer, "start", refused)
    assert read(readers, directory) == HASHES
    assert not readers._idle


def test_it_ends_when_nobody_asks(readers, directory, monkeypatch):
    monkeypatch.setattr(reading, "IDLE", 0.05)
    assert read(readers, directory) == HASHES
    until(lambda: not readers._idle, "the process ends")
    assert read(readers, directory) == HASHES


def test_it_does_not_outlive_the_daemon(directory):
    code = (
        "import os, sys; from syncd.adapters import reading; r = reading.Readers()\n"
        "d = os.open(sys.argv[1], os.O_RDONLY); n = os.listdir(sys.argv[1])[0].encode()\n"
        "r.read([(d, n)] * reading.MANY, 100, b''); print(r._idle[0]._process.pid, flush=True); sys.stdin.read()"
    )
    where = f"/proc/self/fd/{directory}" if sys.platform == "linux" else "."
    with subprocess.Popen(
        [sys.executable, "-c", code, where],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[directory],
    ) as daemon:
        assert daemon.stdout is not None
        pid = int(daemon.stdout.readline())
        daemon.send_signal(signal.SIGKILL)
    until(lambda: gone(pid), "its process ends")


def test_an_interrupt_at_the_terminal_is_not_for_it(readers, directory):
    read(readers, directory)
    assert os.getpgid(the_one(readers).pid) != os.getpgid(0)


def test_it_has_nothing_of_the_daemons_open(readers, directory):
    read(readers, directory)
    opened = [os.readlink(fd) for fd in Path(f"/proc/{the_one(readers).pid}/fd").iterdir()]
    assert sorted(where.partition(":")[0] for where in opened) == ["/dev/null", "/dev/null", "socket"]


def appends(path):
    return lambda: path.open("ab").write(b"more")


def replaces(path):
    def act():
        path.with_name("other").write_bytes(path.read_bytes())
        path.with_name("other").rename(path)

    return act


@pytest.mark.parametrize("change", [appends, replaces, lambda path: path.unlink])
def test_p5_what_changes_while_it_is_read_is_not_known(tmp_path, monkeypatch, change):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    directory = os.open(tmp_path, os.O_RDONLY)
    act, fine = change(path), os.read

    def read_and_change(fd, size):
        data = fine(fd, size)
        act()
        return data

    monkeypatch.setattr(os, "read", read_and_change)
    assert reader_child.answers([directory], [b"file"], LIMIT, b"") == [reader_child.NOTHING]
