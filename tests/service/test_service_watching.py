"""The daemon's watcher and its root: proven before they are relied on, watched anew when what is watched changes."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncd.adapters.posix_marker import tie_root
from syncd.model.invite import HubAddress
from syncd.model.job import LookJob, ProveJob
from syncd.model.observation import JobFailed, Message, Proven, Unproven, Unwatched, Watching
from syncd.ports import Watcher
from syncd.service import watched
from syncd.service.daemon import Daemon
from syncd.service.roots import RootRecord, Roots
from syncd.service.tokens import Tokens
from syncd.settings import Settings
from tests.service.lives import life, root_of, watches
from tests.waiting import until


@pytest.fixture
def started(roots: Roots, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon whose hub is down: all it can do is look at its folder."""
    path = tmp_path / "root"
    (path / "folder").mkdir(parents=True)
    identity = tie_root(str(path), "0123456789abcdef")
    record = RootRecord(
        id=identity.root_id, path=str(path), remote=str(HubAddress("127.0.0.1", 1, "files")), hub_id="hub",
        space_id="space", device_id="device", device="laptop", dev=identity.dev, ino=identity.ino,
    )  # fmt: skip
    roots.save(record)
    Tokens(roots).put(record.id, "token")
    daemon = Daemon(roots, record, Settings())
    daemon.start()
    until(lambda: watches(daemon), "the daemon watches its root")
    yield daemon
    daemon.stop()


def prove(daemon: Daemon, *, doubt: bool = False) -> list[Message]:
    return list(life(daemon).crew.carry_out(ProveJob(watcher=doubt)))


def test_a_watcher_is_kept_while_nothing_changes_and_survives_doubt(started: Daemon) -> None:
    first = root_of(started).watcher
    assert [type(message) for message in prove(started)] == [Proven]
    assert [type(message) for message in prove(started, doubt=True)] == [Proven]
    assert root_of(started).watcher is first


def test_other_ignore_rules_need_another_watcher(started: Daemon) -> None:
    root = Path(started.record.path)
    first = root_of(started).watcher

    def other_than(watcher: Watcher | None) -> Watcher | None:
        return root_of(started).watcher if root_of(started).watcher is not watcher else None

    (root / ".syncignore").write_text("folder/\n")
    # By itself: the change is hinted, and rules lead to a walk.
    second = until(
        lambda: root_of(started).watcher is not first and root_of(started).watcher, "a watcher that knows the rules"
    )
    (root / ".syncignore").write_text("nothing/\n")
    third = until(
        lambda: root_of(started).watcher is not second and root_of(started).watcher,
        "a watcher that knows the new rules",
    )
    assert len({id(watcher) for watcher in (first, second, third)}) == 3
    heard: list[Message] = []
    put = life(started).inbox.put
    third._post = lambda message: (heard.append(message), put(message))
    (root / "folder" / "file").write_text("is hinted again")
    file = (("folder",), "file")
    assert until(lambda: any(file in getattr(message, "names", ()) for message in heard), "a hint of the file")


class Deaf:
    """A watcher to which nothing is ever reported."""

    def __init__(self, *_: object) -> None:
        self.closed = False

    def start(self) -> None: ...

    def alive(self, poke: Callable[[str], None], seconds: float) -> bool:
        poke("canary")
        return False

    def close(self) -> None:
        self.closed = True


def test_a_watcher_that_reports_nothing_is_replaced_or_else_everything_is_polled(
    started: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = root_of(started).watcher
    deaf = Deaf()
    root_of(started).watcher = deaf
    assert [type(message) for message in prove(started, doubt=True)] == [Proven]
    assert deaf.closed
    assert root_of(started).watcher not in (None, deaf, working)
    monkeypatch.setattr(watched, "make_watcher", Deaf)
    root_of(started).watcher = Deaf()
    unwatched, proven = prove(started, doubt=True)
    assert isinstance(proven, Proven)
    assert unwatched == Unwatched(((),), "the watcher does not report what happens here")
    assert root_of(started).watcher is None
    assert working is not None
    working.close()


def test_p8_a_root_that_goes_while_it_is_looked_at_is_told_at_once(started: Daemon) -> None:
    root = Path(started.record.path)
    root.rename(root.with_name("away"))
    told = list(life(started).crew.carry_out(LookJob((), 1)))
    assert [type(message) for message in told] == [JobFailed, Unproven]
    assert told[1].proving is False  # type: ignore[union-attr]
    root.with_name("away").rename(root)


def test_p8_a_restored_copy_is_a_copy_once(started: Daemon) -> None:
    root = Path(started.record.path)
    shutil.copytree(root, root.with_name("copy"), symlinks=True)
    root.rename(root.with_name("broken"))
    root.with_name("copy").rename(root)
    proven = prove(started)[-1]
    assert isinstance(proven, Proven)
    assert not proven.same_inode
    found = os.stat(root)
    started._keeper.keep_identity(found.st_dev, found.st_ino)  # as the engine does once all of it was read and judged
    again = prove(started)[-1]
    assert isinstance(again, Proven)
    assert again.same_inode


def test_a_new_watcher_says_that_it_begins(started: Daemon) -> None:
    heard: list[Message] = []
    root = root_of(started)
    root._post = heard.append
    assert root._watch() == []
    assert heard[0] == Watching()


def test_what_is_closed_watches_no_more(started: Daemon) -> None:
    """A proof that still runs when a daemon stops leaves no watcher behind."""
    root = root_of(started)
    root.close()
    assert [type(message) for message in root.prove(doubt_watcher=False)] == [Proven]
    assert root.watcher is None
