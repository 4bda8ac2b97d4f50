"""What one root's trouble, or a full disk under syncd's own records, may end: only that, and only for a while."""

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from syncd.adapters.posix_marker import tie_root
from syncd.adapters.system import SystemClock
from syncd.cli import main
from syncd.control import client
from syncd.db.connection import Database
from syncd.db.views import open_view
from syncd.model.errors import Corrupt, NoSpace
from syncd.model.invite import HubAddress
from syncd.model.observation import HintsLost, Verb
from syncd.model.status import Phase
from syncd.service.daemon import Daemon
from syncd.service.roots import RootRecord, Roots, new_root_id
from syncd.service.running import started
from syncd.service.tokens import Tokens
from syncd.settings import Settings
from tests.service.lives import life, watches
from tests.sim.vfs import SimVfs
from tests.waiting import until


def tied(roots: Roots, path: Path) -> RootRecord:
    """Return a root whose hub is down: all its daemon can do is look at the folder."""
    path.mkdir(parents=True)
    identity = tie_root(str(path), new_root_id())
    record = RootRecord(
        id=identity.root_id, path=str(path), remote=str(HubAddress("127.0.0.1", 1, "files")), hub_id="hub",
        space_id="space", device_id="device", device="laptop", dev=identity.dev, ino=identity.ino,
    )  # fmt: skip
    roots.save(record)
    Tokens(roots).put(record.id, "token")
    return record


# --- a record that cannot be read ------------------------------------------------------------------------------------


@pytest.fixture
def damaged(roots: Roots, tmp_path: Path) -> tuple[RootRecord, RootRecord]:
    """Two roots; the record of the first is damaged."""
    first, second = tied(roots, tmp_path / "first"), tied(roots, tmp_path / "second")
    roots.folder(first.id).record.write_text("{\n")
    return first, second


def test_p12_status_shows_the_others_beside_the_damaged_one(
    roots: Roots, damaged: tuple[RootRecord, RootRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = damaged
    assert main.run(["status"]) == 1
    said = capsys.readouterr()
    assert second.path in said.out
    assert [str(roots.folder(first.id).record) in line for line in said.err.splitlines()] == [True]
    assert "restore it, or move it away and tie again" in said.err
    assert main.run(["status", "--json"]) == 1
    assert [one["path"] for one in json.loads(capsys.readouterr().out)["roots"]] == [second.path]


def test_a_named_root_does_not_hear_of_another_ones_damage(
    damaged: tuple[RootRecord, RootRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    main.run(["status", damaged[1].path])
    said = capsys.readouterr()
    assert damaged[1].path in said.out
    assert said.err == ""
    assert main.run(["run", "--once", damaged[1].path]) == 1
    assert "nothing listens there" in capsys.readouterr().out, "it was synced as far as a hub that is down allows"


def test_a_folder_of_an_unreadable_root_is_not_taken_for_a_new_one(
    roots: Roots, damaged: tuple[RootRecord, RootRecord], tmp_path: Path
) -> None:
    first, second = damaged
    assert [one.id for one in roots.select(())] == [second.id]
    assert roots.tied(Path(second.path)) == second
    roots.check_new(Path(second.path))
    for path in (Path(first.path), tmp_path / "first" / "inside", tmp_path / "third"):
        for question in (roots.tied, roots.owner, roots.check_new):
            with pytest.raises(Corrupt, match="restore it"):
                question(path)
    roots.folder(second.id).record.unlink()
    with pytest.raises(Corrupt, match="restore it"):
        roots.select(())


# --- a root that ends ------------------------------------------------------------------------------------------------


def broken(daemon: Daemon) -> None:
    """Let the control thread fall over a message that makes no sense."""
    life(daemon).inbox.put(HintsLost(below=cast(Any, None), why="a fault"))
    until(lambda: daemon.failure is not None, "its control thread ended")


def test_p12_one_roots_end_leaves_the_others_and_status_tells(roots: Roots, tmp_path: Path) -> None:
    records = [tied(roots, tmp_path / "first"), tied(roots, tmp_path / "second")]
    stopped = threading.Event()
    with started(roots, records, Settings(), stopped) as daemons:
        for daemon in daemons:
            until(lambda daemon=daemon: watches(daemon), "it watches its root")  # type: ignore[misc]
        broken(daemons[0])
        assert not stopped.is_set()
        live = client.status(Path(roots.folder(records[0].id).socket_note.read_text().strip()))["live"]
        assert live["phase"] == "stopped"
        assert "start it again" in live["why"]
        assert daemons[0].ask(Verb.WAIT).result(10).code == 1, "nobody waits for a thread that ended"
        assert daemons[1].live.phase is not Phase.STOPPED
        broken(daemons[1])
        assert stopped.wait(10), "with the last one the process ends"


# --- a full disk under the database ----------------------------------------------------------------------------------


class OnSmallDisk(Daemon):
    """Its database lies on a disk that can be full."""

    vfs: SimVfs

    def _open_database(self, clock: SystemClock) -> Database:
        return Database.open(str(self._folder.database), clock=clock, vfs=self.vfs.name)


@contextlib.contextmanager
def on_small_disk(roots: Roots, record: RootRecord, vfs: SimVfs) -> Iterator[Daemon]:
    daemon = OnSmallDisk(roots, record, Settings())
    daemon.vfs = vfs
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


@pytest.fixture
def vfs() -> Iterator[SimVfs]:
    vfs = SimVfs()
    yield vfs
    vfs.unregister()


def test_p4_p12_a_full_disk_under_the_database_is_waited_out(roots: Roots, tmp_path: Path, vfs: SimVfs) -> None:
    record = tied(roots, tmp_path / "root")
    with on_small_disk(roots, record, vfs) as daemon:
        until(lambda: daemon.live.phase is Phase.OFFLINE, "it has looked at its folder")
        vfs.fail(1, persistent=True, full=True, only="xWrite")
        (tmp_path / "root" / "new.txt").write_text("new")
        until(lambda: daemon.live.phase is Phase.STOPPED, "it says that it cannot go on")
        assert "free some space" in daemon.live.why
        assert daemon.ask(Verb.WAIT).result(20).code == 3, "nobody is kept waiting for room"
        assert daemon.failure is None
        vfs.fail(0)
        until(lambda: daemon.live.phase is Phase.OFFLINE, "it goes on by itself once there is room")
        until(lambda: watches(daemon), "it watches its root again")
        (tmp_path / "root" / "later.txt").write_text("later")
        until(lambda: files(roots, record) == 2, "nothing was lost meanwhile")
    assert daemon.failure is None


def test_a_full_disk_is_no_reason_not_to_start(roots: Roots, tmp_path: Path, vfs: SimVfs) -> None:
    record = tied(roots, tmp_path / "root")
    vfs.fail(1, persistent=True, full=True, only="xWrite")
    with on_small_disk(roots, record, vfs) as daemon:
        until(lambda: daemon.live.phase is Phase.STOPPED, "it says that it cannot begin")
        assert daemon.ask(Verb.PAUSE).result(20).code == 1
        vfs.fail(0)
        until(lambda: daemon.live.phase is Phase.OFFLINE, "it begins by itself once there is room")


def test_a_stop_does_not_wait_for_room(roots: Roots, tmp_path: Path, vfs: SimVfs) -> None:
    record = tied(roots, tmp_path / "root")
    vfs.fail(1, persistent=True, full=True, only="xWrite")
    with on_small_disk(roots, record, vfs) as daemon:
        until(lambda: daemon.live.phase is Phase.STOPPED, "it says that it cannot begin")
    with pytest.raises(NoSpace):
        Database.open(str(roots.folder(record.id).database), clock=SystemClock(), vfs=vfs.name)
    vfs.fail(0)
    with on_small_disk(roots, record, vfs) as daemon:  # its lock was given back
        until(lambda: daemon.live.phase is Phase.OFFLINE, "the next one runs")


def files(roots: Roots, record: RootRecord) -> int:
    """Return how many files the database has below the root."""
    with open_view(str(roots.folder(record.id).database)) as view:
        return view.summary().counts.local.files
