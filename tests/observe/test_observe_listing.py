"""What a remote's replies become, and which replies are refused."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import msgspec
import pytest

from syncd.model.errors import (
    Corrupt,
    CursorExpired,
    HistoryChanged,
    NotAuthorised,
    Offline,
    OtherRemote,
    Refused,
    Transient,
)
from syncd.model.job import PollJob, PullJob
from syncd.model.node import Kind, Version
from syncd.model.observation import PollEnded, Pulled, PullFailed, PullFault
from syncd.model.path import ROOT_ID
from syncd.model.remote import Change, ChangesPage, Content, ListingPage, RemoteIdentity, RemoteNode
from syncd.observe.listing import Lister

IDENTITY = RemoteIdentity("hub", "space", "Space", "device", "Laptop")


@dataclass
class ScriptedRemote:
    """Answers with what it was given, in order; an exception is raised."""

    replies: list = field(default_factory=list)
    identity: object = IDENTITY
    journal: bool = True
    asked: list = field(default_factory=list)

    @property
    def capabilities(self):
        return SimpleNamespace(change_feed=self.journal)

    def _answer(self, *asked):
        self.asked.append(asked)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def identify(self):
        self.asked.append(("identify",))
        if isinstance(self.identity, Exception):
            raise self.identity
        return self.identity

    def changes(self, cursor, limit):
        return self._answer("changes", cursor, limit)

    def listing(self, page, limit):
        return self._answer("listing", page, limit)

    def wait(self, cursor, seconds):
        return self._answer("wait", cursor, seconds)


def node(number=1, position=None, **how):
    given = {"name": f"name {number}", "kind": Kind.FILE, "content": Content(bytes(32), 5)}
    given.update(how)
    if given["kind"] is Kind.DIRECTORY:
        given["content"] = how.get("content")
    version = given.pop("version", Version(position or number, "tag"))
    node_id = given.pop("node_id", number.to_bytes(16))
    return RemoteNode(node_id, given.pop("parent_id", ROOT_ID), version=version, **given)


def test_a_page_of_changes():
    remote = ScriptedRemote([ChangesPage((Change(node(), b"k" * 16),), "c2", True), ChangesPage((), "c2", False)])
    lister = Lister(remote)
    first, second = lister.pull(PullJob("c1")), lister.pull(PullJob("c2"))
    assert first == Pulled(PullJob("c1"), IDENTITY, (Change(node(), b"k" * 16),), "c2", True, full=False)
    assert second == Pulled(PullJob("c2"), None, (), "c2", False, full=False)
    assert remote.asked == [("identify",), ("changes", "c1", 500), ("changes", "c2", 500)]


def test_a_full_listing_in_pages():
    root = node(node_id=ROOT_ID, kind=Kind.DIRECTORY)
    remote = ScriptedRemote(
        [ListingPage((Change(root), Change(node(1), b"k")), "c", "p2"), ListingPage((Change(node(2)),), "c", None)]
    )
    lister = Lister(remote)
    first, second = lister.pull(PullJob(None)), lister.pull(PullJob(None, "p2"))
    assert first == Pulled(PullJob(None), IDENTITY, (Change(node(1), b"k"),), "c", True, full=True, next="p2")
    assert second == Pulled(PullJob(None, "p2"), None, (Change(node(2)),), "c", False, full=True)


def test_the_identity_comes_again_with_each_listing_and_after_a_failure():
    remote = ScriptedRemote([ListingPage((), "c", None), Offline("gone"), ChangesPage((), "c", False)])
    lister = Lister(remote)
    assert lister.pull(PullJob(None)).identity == IDENTITY
    assert isinstance(lister.pull(PullJob("c")), PullFailed)
    assert lister.pull(PullJob("c")).identity == IDENTITY


@pytest.mark.parametrize("changed", [True, False])
def test_a_poll_says_only_whether_to_come(changed):
    job = PollJob("c", 30.0)
    assert Lister(ScriptedRemote([changed])).poll(job) == PollEnded(job, changed)


@pytest.mark.parametrize(
    ("error", "fault", "retry_after"),
    [
        (Offline("no route"), PullFault.OFFLINE, None),
        (Transient("busy", retry_after=7.0), PullFault.OFFLINE, 7.0),
        (CursorExpired("too old"), PullFault.EXPIRED, None),
        (HistoryChanged("restored"), PullFault.HISTORY, None),
        (OtherRemote("another"), PullFault.OTHER_REMOTE, None),
        (NotAuthorised("revoked"), PullFault.UNAUTHORISED, None),
        (Corrupt("not JSON"), PullFault.NONSENSE, None),
        (Refused("no"), PullFault.NONSENSE, None),
    ],
)
def test_errors_are_sorted_by_what_the_engine_does_next(error, fault, retry_after):
    for job in (PullJob("c"), PullJob(None)):
        assert Lister(ScriptedRemote([error])).pull(job) == PullFailed(job, fault, str(error), retry_after)
    poll = PollJob("c", 1.0)
    assert Lister(ScriptedRemote([error])).poll(poll) == PullFailed(poll, fault, str(error), retry_after)


def test_a_revoked_token_is_noticed_when_the_identity_is_asked():
    remote = ScriptedRemote([ChangesPage((), "c", False)], identity=NotAuthorised("revoked"))
    assert Lister(remote).pull(PullJob("c")).fault is PullFault.UNAUTHORISED


NONSENSE = [
    pytest.param(node(node_id=b"short"), id="an id that is too short"),
    pytest.param(node(parent_id=b"x" * 17), id="a parent id that is too long"),
    pytest.param(node(node_id=b"i" * 16, parent_id=b"i" * 16), id="a node in itself"),
    pytest.param(node(node_id=ROOT_ID), id="a root that is a file"),
    pytest.param(node(node_id=ROOT_ID, kind=Kind.DIRECTORY, deleted=True), id="a root that is deleted"),
    pytest.param(node(content=Content(b"h" * 31, 5)), id="a hash that is too short"),
    pytest.param(node(content=Content(bytes(32), -1)), id="a negative size"),
    pytest.param(node(content=Content(bytes(32), 1 << 63)), id="a size beyond all disks"),
    pytest.param(node(content=Content(bytes(32), 5, b"m")), id="a manifest hash that is too short"),
    pytest.param(node(content=None), id="a file without content"),
    pytest.param(node(kind=Kind.SYMLINK, content=None), id="a symlink without a target"),
    pytest.param(node(kind=Kind.DIRECTORY, content=Content(bytes(32), 5)), id="a directory with content"),
    pytest.param(node(version=Version(0, "t")), id="no position"),
    pytest.param(node(version=Version(-1, "t")), id="a negative position"),
    pytest.param(node(version=Version(1 << 63, "t")), id="a position no database can hold"),
    pytest.param(node(version=Version(1, "t" * 5000)), id="an endless tag"),
    pytest.param(node(mtime_ns=1 << 63), id="a time no database can hold"),
    pytest.param(node(name="n" * 5000), id="an endless name"),
]


@pytest.mark.parametrize("bad", NONSENSE)
def test_p10_replies_that_make_no_sense_are_refused(bad):
    changes = Lister(ScriptedRemote([ChangesPage((Change(bad),), "c2", False)])).pull(PullJob("c"))
    listing = Lister(ScriptedRemote([ListingPage((Change(bad),), "c2", None)])).pull(PullJob(None))
    assert changes.fault is listing.fault is PullFault.NONSENSE
    assert "makes no sense" in changes.why


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "nul\0", ".syncd", "x" * 300, "\udce9", "\x1b[2J"], ids=ascii)
def test_p10_names_that_cannot_be_synced_are_passed_on_to_be_held(name):
    pulled = Lister(ScriptedRemote([ChangesPage((Change(node(name=name)),), "c2", False)])).pull(PullJob("c"))
    assert pulled.changes[0].node.name == name


@pytest.mark.parametrize(
    "tombstone", [node(deleted=True), node(deleted=True, content=None), node(deleted=True, kind=Kind.DIRECTORY)]
)
def test_tombstones_come_with_or_without_content(tombstone):
    assert isinstance(
        Lister(ScriptedRemote([ChangesPage((Change(tombstone),), "d", False)])).pull(PullJob("c")), Pulled
    )


def test_a_remote_without_a_journal_has_no_positions():
    remote = ScriptedRemote([ListingPage((Change(node(version=Version(0, "etag"))),), "c", None)], journal=False)
    assert isinstance(Lister(remote).pull(PullJob(None)), Pulled)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(ChangesPage((), "c", True), id="more, but no way on"),
        pytest.param(ChangesPage((Change(node()),), "c", False), id="changes, but no way past them"),
        pytest.param(ChangesPage((), "", False), id="no cursor"),
        pytest.param(ChangesPage((), "c" * 5000, False), id="an endless cursor"),
        pytest.param(ChangesPage((Change(node(2)), Change(node(1))), "d", False), id="out of order"),
        pytest.param(ChangesPage((Change(node(), b"k" * 65),), "d", False), id="an endless key"),
    ],
)
def test_changes_that_lead_nowhere_are_refused(page):
    assert Lister(ScriptedRemote([page])).pull(PullJob("c")).fault is PullFault.NONSENSE


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param([ListingPage((), "c", "p"), ListingPage((), "c", "p")], id="the same page again"),
        pytest.param(
            [ListingPage((), "c", "p"), ListingPage((), "c", "q"), ListingPage((), "c", "p")], id="pages in a circle"
        ),
        pytest.param([ListingPage((), "c", "p"), ListingPage((), "other", None)], id="another cursor half way"),
        pytest.param([ListingPage((), "c", "")], id="a page without a name"),
        pytest.param([ListingPage((Change(node(deleted=True)),), "c", None)], id="a tombstone among the living"),
    ],
)
def test_listings_that_lead_nowhere_are_refused(pages):
    lister, page = Lister(ScriptedRemote(list(pages))), None
    for _ in pages[:-1]:
        pulled = lister.pull(PullJob(None, page))
        page = pulled.next
    assert lister.pull(PullJob(None, page)).fault is PullFault.NONSENSE


def test_a_new_listing_may_use_the_page_names_of_the_last():
    lister = Lister(ScriptedRemote([ListingPage((), c, n) for c in ("c", "d") for n in ("p", None)]))
    for page in (None, "p", None, "p"):
        assert isinstance(lister.pull(PullJob(None, page)), Pulled)


def test_endless_empty_pages_are_refused():
    replies = [ChangesPage((), f"c{number}", True) for number in range(1, 2000)]
    lister, pulled, cursor = Lister(ScriptedRemote(replies)), None, "c0"
    for _ in range(1999):
        pulled = lister.pull(PullJob(cursor))
        if isinstance(pulled, PullFailed):
            break
        cursor = pulled.cursor
    assert isinstance(pulled, PullFailed)
    assert pulled.fault is PullFault.NONSENSE


def test_an_identity_that_names_nobody_is_refused():
    remote = ScriptedRemote([ChangesPage((), "c", False)], identity=msgspec.structs.replace(IDENTITY, space_id=""))
    assert Lister(remote).pull(PullJob("c")).fault is PullFault.NONSENSE
