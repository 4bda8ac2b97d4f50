"""The lister: pages of changes, full listings and the long poll, fetched from a remote and checked.

Owns the mapping from the errors a remote raises to what the engine does next, and the checks that a reply makes sense.
A reply is never trusted: ids and hashes have their length, numbers their range, and paging gets somewhere. Names that
cannot be synced are passed on, because the engine holds and shows them (P10). Never retries: the engine does.
"""

from collections.abc import Iterable
from typing import Final

from syncd.model.errors import (
    Corrupt,
    CursorExpired,
    HistoryChanged,
    NotAuthorised,
    OtherRemote,
    Outdated,
    SyncdError,
    Transient,
)
from syncd.model.job import PollJob, PullJob
from syncd.model.node import Kind
from syncd.model.observation import PollEnded, Pulled, PullFailed, PullFault
from syncd.model.path import ROOT_ID, shown
from syncd.model.remote import Change, RemoteIdentity, RemoteNode
from syncd.ports import Remote

_ID_BYTES: Final = 16
_HASH_BYTES: Final = 32
_LONGEST_KEY: Final = 64
_LONGEST_TEXT: Final = 4096
_LARGEST: Final = (1 << 63) - 1
_EMPTY_PAGES: Final = 1000
"""Pages in a row that announce more and bring nothing: a remote that skips over what is not ours may send some."""


class Lister:
    """Fetches from one remote. Pulls come one at a time (their lane is one wide); ``poll`` may run beside them.

    Remembers who the remote is and which pages of the running listing were seen; that is lost without harm.
    """

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._identified = False
        self._pages: set[str] = set()
        self._listing_cursor: str | None = None
        self._empty = 0

    def pull(self, job: PullJob) -> Pulled | PullFailed:
        """Fetch one page. The identity comes with the first pull and whenever a listing starts."""
        try:
            starts = job.cursor is None and job.page is None
            identity = self._identify() if starts or not self._identified else None
            return self._changes(job, job.cursor, identity) if job.cursor is not None else self._listing(job, identity)
        except SyncdError as error:
            return self._failed(job, error)

    def poll(self, job: PollJob) -> PollEnded | PullFailed:
        """Wait for a change; it says only "come and pull"."""
        try:
            return PollEnded(job, self._remote.wait(job.cursor, job.seconds))
        except SyncdError as error:
            return self._failed(job, error)

    def _failed(self, job: PullJob | PollJob, error: SyncdError) -> PullFailed:
        if not isinstance(error, Outdated):
            self._identified = False  # what answers next may be somebody else
        retry_after = error.retry_after if isinstance(error, Transient) else None
        return PullFailed(job, fault_of(error), str(error) or type(error).__name__, retry_after)

    def _identify(self) -> RemoteIdentity:
        identity = self._remote.identify()
        for value in (identity.remote_id, identity.space_id, identity.device_id):
            _sane(0 < len(value) <= _LONGEST_TEXT, "who answers does not say who it is")
        self._identified = True
        return identity

    def _changes(self, job: PullJob, cursor: str, identity: RemoteIdentity | None) -> Pulled:
        page = self._remote.changes(cursor, job.limit)
        _check_token(page.cursor)
        moved_on = page.cursor != cursor
        _sane(moved_on or not (page.more or page.changes), "the cursor stands still although there are changes")
        self._count_empty(bool(page.changes) or not page.more)
        journal = self._remote.capabilities.change_feed
        position = 0
        for change in page.changes:
            _check_change(change, journal)
            _sane(change.node.version.position >= position, "changes are out of order")
            position = change.node.version.position
        return Pulled(job, identity, _without_root(page.changes), page.cursor, page.more, full=False)

    def _listing(self, job: PullJob, identity: RemoteIdentity | None) -> Pulled:
        if job.page is None:
            self._pages.clear()
            self._listing_cursor = None
        page = self._remote.listing(job.page, job.limit)
        _check_token(page.cursor)
        _sane(self._listing_cursor in (None, page.cursor), "the cursor changed in the middle of a listing")
        self._listing_cursor = page.cursor
        if page.next is not None:
            _check_token(page.next)
            _sane(page.next != job.page and page.next not in self._pages, "a listing that goes in circles")
            self._pages.add(page.next)
        self._count_empty(bool(page.changes) or page.next is None)
        journal = self._remote.capabilities.change_feed
        for change in page.changes:
            _check_change(change, journal)
            _sane(not change.node.deleted, "a listing of what is alive holds a tombstone")
        more = page.next is not None
        return Pulled(job, identity, _without_root(page.changes), page.cursor, more, full=True, next=page.next)

    def _count_empty(self, good: bool) -> None:
        self._empty = 0 if good else self._empty + 1
        _sane(self._empty <= _EMPTY_PAGES, "page after page with nothing in it")


def fault_of(error: SyncdError) -> PullFault:
    """Return what an error of the remote means to the engine."""
    match error:
        case Transient():
            return PullFault.OFFLINE
        case HistoryChanged():
            return PullFault.HISTORY
        case CursorExpired() | Outdated():
            return PullFault.EXPIRED
        case OtherRemote():
            return PullFault.OTHER_REMOTE
        case NotAuthorised():
            return PullFault.UNAUTHORISED
        case _:  # Corrupt, Refused: the remote does not make sense to us, or we not to it
            return PullFault.NONSENSE


def _sane(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Corrupt(f"the remote's reply makes no sense: {otherwise}")


def _check_token(token: str) -> None:
    _sane(0 < len(token) <= _LONGEST_TEXT, "an empty or endless cursor")


def _check_change(change: Change, journal: bool) -> None:
    _check_node(change.node, journal)
    _sane(len(change.key) <= _LONGEST_KEY, "an endless key")


def _check_node(node: RemoteNode, journal: bool) -> None:
    """Check everything about a node but whether its name can exist here. *journal*: versions carry positions."""
    who = f"node {shown(node.name[:80])}"
    _sane(len(node.node_id) == _ID_BYTES and len(node.parent_id) == _ID_BYTES, f"{who} has an id of a wrong length")
    _sane(0 <= node.version.position <= _LARGEST, f"{who} has an impossible position")
    _sane(len(node.version.tag) <= _LONGEST_TEXT, f"{who} has an endless version tag")
    if node.node_id == ROOT_ID:
        _sane(node.kind is Kind.DIRECTORY and not node.deleted, "the root is not a directory any more")
        return
    _sane(node.version.position > 0 or not journal, f"{who} has no position")
    _sane(node.node_id != node.parent_id, f"{who} lies in itself")
    _sane(len(node.name) <= _LONGEST_TEXT, f"{who} has an endless name")
    _sane(-_LARGEST <= node.mtime_ns <= _LARGEST, f"{who} has an impossible time")
    content = node.content
    if content is not None:
        _sane(node.kind is not Kind.DIRECTORY, f"{who} is a directory with content")
        _sane(len(content.hash) == _HASH_BYTES, f"{who} has a hash of a wrong length")
        _sane(0 <= content.size <= _LARGEST, f"{who} has an impossible size")
        _sane(content.manifest is None or len(content.manifest) == _HASH_BYTES, f"{who} has a wrong manifest")
    elif not node.deleted:
        _sane(node.kind is Kind.DIRECTORY, f"{who} is a {node.kind.value} without content")


def _without_root(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The root is known to everybody; a remote that lists it tells nothing new."""
    return tuple(change for change in changes if change.node.node_id != ROOT_ID)
