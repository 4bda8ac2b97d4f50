"""The composition root with everything real: a hub process of its own, two devices' roots, sockets and signals."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.cli import main
from syncd.control import client
from syncd.model.errors import Refused, Usage
from syncd.model.observation import Verb
from syncd.model.status import Phase
from syncd.service import folders
from syncd.service.daemon import Daemon
from syncd.service.embedded import EmbeddedHub
from syncd.service.hubs import HubData, Served, free_port
from syncd.service.roots import RootRecord, Roots
from syncd.service.tie import tie
from syncd.settings import Settings
from tests.waiting import until

REPO = Path(__file__).parents[2]
LIMIT = 60.0


def never(_: str) -> bool:
    return False


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubData:
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    made = HubData(tmp_path / "hub")
    made.prepare()
    made.remember(Served("127.0.0.1", free_port(20_000 + os.getpid() % 20_000)))
    return made


@pytest.fixture
def served(data: HubData) -> Iterator[Served]:
    hub = EmbeddedHub(data, time.monotonic)
    yield hub.start()
    hub.stop()


def link(roots: Roots, path: Path, data: HubData, served: Served, device: str, space: str = "files") -> RootRecord:
    path.mkdir(exist_ok=True)
    return tie(roots, path, data.invite(space, served), device, insecure=False, confirmed=never).record


def run_settled(roots: Roots, record: RootRecord) -> Daemon:
    daemon = Daemon(roots, record, Settings())
    daemon.start()
    assert daemon.ask(Verb.WAIT).result(LIMIT).code == 0
    return daemon


def test_p2_p3_two_devices_agree_and_a_second_run_opens_nothing(
    roots: Roots, tmp_path: Path, data: HubData, served: Served
) -> None:
    one = link(roots, tmp_path / "one", data, served, "laptop")
    two = link(roots, tmp_path / "two", data, served, "desk")
    (tmp_path / "one" / "dir").mkdir()
    (tmp_path / "one" / "dir" / "a.txt").write_text("from one")
    (tmp_path / "two" / "b.txt").write_text("from two")
    for record in (one, two, one):
        run_settled(roots, record).stop()
    for path in (tmp_path / "one", tmp_path / "two"):
        assert (path / "dir" / "a.txt").read_text() == "from one"
        assert (path / "b.txt").read_text() == "from two"
    again = run_settled(roots, two)
    try:
        assert again.opened == 0
    finally:
        again.stop()


def test_p12_a_running_daemon_answers_and_is_alone(roots: Roots, tmp_path: Path, data: HubData, served: Served) -> None:
    record = link(roots, tmp_path / "one", data, served, "laptop")
    daemon = run_settled(roots, record)
    try:
        with pytest.raises(Refused, match=f"pid {os.getpid()}"):
            Daemon(roots, record, Settings()).start()
        path = Path(roots.folder(record.id).socket_note.read_text().strip())
        assert path == folders.socket_path(record.id)
        assert client.status(path)["live"]["phase"] == "in sync"
        assert client.ask(path, "scan", timeout=LIMIT).code == 0
        assert client.ask(path, "pause", timeout=LIMIT).code == 0
        assert roots.load(record.id).paused
        assert main.run(["wait"]) == main.run(["run", "--once"]) == 3
        assert client.ask(path, "resume", timeout=LIMIT).code == 0
        assert main.run(["wait", "--timeout", "60"]) == main.run(["run", "--once"]) == 0
        assert main.run(["status"]) == main.run(["plan"]) == main.run(["why", str(tmp_path / "one")]) == 0
        assert main.run(["activity"]) == main.run(["runs"]) == main.run(["conflicts"]) == main.run(["approve"]) == 0
        assert main.run(["trash", "list"]) == main.run(["doctor"]) == 0
    finally:
        daemon.stop()
    with pytest.raises(client.NoDaemon):
        client.status(path)


def test_a_pause_that_came_before_the_lock_was_taken_holds(
    roots: Roots, tmp_path: Path, data: HubData, served: Served
) -> None:
    """The daemon had read the record already, and went on as if nobody had paused it."""
    record = link(roots, tmp_path / "one", data, served, "laptop")
    daemon = Daemon(roots, record, Settings())
    roots.keep_paused(record.id, True)
    daemon.start()
    try:
        until(lambda: daemon.live.phase is Phase.PAUSED, "it is paused", LIMIT)
    finally:
        daemon.stop()
    assert roots.load(record.id).paused


def test_a_stop_is_quick_although_the_long_poll_waits(
    roots: Roots, tmp_path: Path, data: HubData, served: Served
) -> None:
    daemon = run_settled(roots, link(roots, tmp_path / "one", data, served, "laptop"))
    stopping = threading.Thread(target=daemon.stop)
    stopping.start()
    stopping.join(5)
    assert not stopping.is_alive()


def test_p8_a_root_that_vanished_stops_and_comes_back(
    roots: Roots, tmp_path: Path, data: HubData, served: Served
) -> None:
    record = link(roots, tmp_path / "one", data, served, "laptop")
    (tmp_path / "one" / "keep.txt").write_text("here")
    run_settled(roots, record).stop()
    (tmp_path / "one").rename(tmp_path / "away")
    daemon = Daemon(roots, record, Settings())
    daemon.start()
    try:
        until(lambda: daemon.live.phase is Phase.STOPPED, "the daemon says that it stopped")
        (tmp_path / "away").rename(tmp_path / "one")
        until(lambda: daemon.live.phase is Phase.IN_SYNC, "the daemon is in sync")
        assert (tmp_path / "one" / "keep.txt").read_text() == "here"
    finally:
        daemon.stop()


def test_tying_again_to_the_same_space_renews_the_token_only(
    roots: Roots, tmp_path: Path, data: HubData, served: Served
) -> None:
    before = link(roots, tmp_path / "one", data, served, "laptop")
    invite = data.invite("files", served)
    again = tie(roots, tmp_path / "one", invite, "laptop", insecure=False, confirmed=never)
    assert again.renewed
    assert (again.record.id, again.record.space_id) == (before.id, before.space_id)
    with pytest.raises(Refused):
        tie(roots, tmp_path / "one", invite, "laptop", insecure=False, confirmed=never)  # single use


def test_tying_to_another_space_asks_first(roots: Roots, tmp_path: Path, data: HubData, served: Served) -> None:
    before = link(roots, tmp_path / "one", data, served, "laptop")
    invite = data.invite("other", served)
    with pytest.raises(Usage, match="--force-new"):
        tie(roots, tmp_path / "one", invite, "laptop", insecure=False, confirmed=never)
    assert roots.load(before.id) == before
    invite = data.invite("other", served)  # asking who answers used the first one up
    after = tie(roots, tmp_path / "one", invite, "laptop", insecure=False, confirmed=lambda _: True)
    assert not after.renewed
    assert [record.remote for record in roots.all()] == [after.record.remote] != [before.remote]


def test_a_folder_with_a_foreign_mark_is_not_tied_without_asking(
    roots: Roots, tmp_path: Path, data: HubData, served: Served
) -> None:
    before = link(roots, tmp_path / "one", data, served, "laptop")
    roots.forget(before.id)  # as if another user, or lost state, had tied it
    with pytest.raises(Usage, match="mark of another tie"):
        link(roots, tmp_path / "one", data, served, "laptop")


def test_a_hub_that_dies_is_started_again(data: HubData) -> None:
    hub = EmbeddedHub(data, time.monotonic)
    hub.start()
    try:
        assert hub.pid is not None
        first = hub.pid
        os.kill(first, signal.SIGKILL)
        until(lambda: hub.pid not in (None, first), "another hub process")
    finally:
        hub.stop()


def test_a_hub_that_cannot_listen_says_so(data: HubData, served: Served) -> None:
    other = HubData(data.path.parent / "other")
    other.prepare()
    other.remember(served)
    with pytest.raises(Refused, match="does not start"):
        EmbeddedHub(other, time.monotonic).start()


def test_the_hub_ends_with_its_parent(data: HubData) -> None:
    code = (
        "import signal, sys, time; from pathlib import Path;"
        "from syncd.service.embedded import EmbeddedHub; from syncd.service.hubs import HubData;"
        "hub = EmbeddedHub(HubData(Path(sys.argv[1])), time.monotonic); hub.start();"
        "print(hub.pid, flush=True); signal.pause()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(data.path)], stdout=subprocess.PIPE, text=True, cwd=REPO)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()

    def gone() -> bool:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return True
        # In a container nobody may reap it; a zombie has ended all the same.
        status = Path(f"/proc/{child}/stat")
        return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z"

    until(gone, "the end of the hub process")


def test_up_from_nothing_ends_cleanly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: HubData) -> None:
    known = data.served()
    assert known is not None
    HubData(folders.data_dir()).prepare()
    HubData(folders.data_dir()).remember(known)
    command = [sys.executable, "-m", "syncd.cli.main", "up", str(tmp_path / "mine")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPO)
    assert process.stdout is not None
    seen = ""
    while "syncd run" not in seen:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        seen += line
    assert " init ~/Other --create --remote 'syncd://127.0.0.1:" in seen
    second = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=REPO)
    assert second.returncode == 1
    assert f"pid {process.pid}" in second.stderr
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=8)  # 5 s on an idle machine
    assert process.returncode == 0, rest + errors
    assert "Traceback" not in errors
