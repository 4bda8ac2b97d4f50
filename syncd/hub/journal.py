"""The journal as clients see it: cursors, pages of changes, listings, history.

Owns the form of cursors and page tokens and what each odd one is answered with. Never writes (spaces does) and reads
nothing but the store it is given.
"""

from dataclasses import dataclass
from typing import Final

from syncd.hub.store import Reads, Space
from syncd.model.errors import CursorExpired, HistoryChanged, OtherRemote, Refused
from syncd.model.remote import ChangesPage, ListingPage

MAX_CHANGES: Final = 1_000
"""Most entries on a page of changes."""

MAX_LISTED: Final = 5_000
"""Most nodes on a page of a listing."""

MAX_HISTORY: Final = 1_000
"""Most versions told of one node, the newest."""

_FORM: Final = "c1"
_MAX_POSITION: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in one space's journal: everything up to *position* is known; *tag* tells one history from another."""

    hub_id: bytes
    space_id: bytes
    position: int
    tag: str

    def text(self) -> str:
        """Return the cursor as clients keep it."""
        return f"{_FORM}.{self.hub_id.hex()}.{self.space_id.hex()}.{self.position}.{self.tag}"


def parse(text: str) -> Cursor:
    """Return the cursor a client sent; raises Refused for what no hub ever gave out."""
    parts = text.split(".")
    try:
        form, hub_id, space_id, position, tag = parts
        if form != _FORM or not (position.isascii() and position.isdigit()) or len(position) > 19:
            raise ValueError
        cursor = Cursor(bytes.fromhex(hub_id), bytes.fromhex(space_id), int(position), tag)
    except ValueError as error:
        raise Refused("this is not a cursor of a hub") from error
    if cursor.position > _MAX_POSITION:
        raise Refused("this is not a cursor of a hub")
    return cursor


def head_cursor(store: Reads, space: Space) -> Cursor:
    """Return the cursor at the journal's end."""
    head = store.head(space.key)
    return Cursor(store.hub_id(), space.space_id, head.position, head.tag)


def check(store: Reads, space: Space, text: str) -> Cursor:
    """Return the cursor, proven to lie on this space's retained history.

    Raises OtherRemote (another hub or space), CursorExpired (before the retained journal), HistoryChanged (this
    position never was, or was another entry: the hub was restored from a backup). Of an entry no longer kept,
    the line of history it was written in is.
    """
    cursor = parse(text)
    if cursor.hub_id != store.hub_id():
        raise OtherRemote("this hub is not the one the folder was tied to")
    if cursor.space_id != space.space_id:
        raise OtherRemote("this space is not the one the folder was tied to")
    floor = store.floor(space.key)
    here = floor.tag if cursor.position == floor.position else store.tag_at(space.key, cursor.position)
    trimmed = here is None and cursor.position < floor.position
    line = store.line_at(space.key, cursor.position) if trimmed else None
    if here != cursor.tag and not (trimmed and cursor.tag.startswith(line or "")):
        raise HistoryChanged("the hub's history is not the one known here (restored from a backup?); list everything")
    if cursor.position < floor.position:
        raise CursorExpired("the hub's journal no longer reaches back this far; list everything")
    return cursor


def changes(store: Reads, space: Space, text: str, limit: int) -> ChangesPage:
    """Return the entries after a cursor, oldest first, at most *limit*."""
    cursor = check(store, space, text)
    limit = max(1, min(limit, MAX_CHANGES))
    found = tuple(store.changes_after(space.key, cursor.position, limit))
    if not found:
        return ChangesPage((), cursor.text(), False)
    last = found[-1].node.version
    after = Cursor(cursor.hub_id, cursor.space_id, last.position, last.tag)
    return ChangesPage(found, after.text(), last.position < store.head(space.key).position)


def listing(store: Reads, space: Space, page: str | None, limit: int) -> ListingPage:
    """Return a page of everything alive, by node id.

    The cursor is taken before the first page and carried in the page token: what changes while the pages are read
    is seen again when the changes since are replayed.
    """
    if page is None:
        cursor, last = head_cursor(store, space), b""
    else:
        text, _, last_hex = page.rpartition("/")
        cursor = check(store, space, text)
        try:
            last = bytes.fromhex(last_hex)
        except ValueError as error:
            raise Refused("this is not a page of a hub's listing") from error
    limit = max(1, min(limit, MAX_LISTED))
    found = tuple(store.alive_after(space.key, last, limit + 1))
    if len(found) <= limit:
        return ListingPage(found, cursor.text(), None)
    found = found[:limit]
    return ListingPage(found, cursor.text(), f"{cursor.text()}/{found[-1].node.node_id.hex()}")
