"""Staging: content on its way to its place, as ``.syncd/staging/<content>.<op key>.<token>``.

Whatever has such a name was written by us and never by a person: it may be removed at any time, at the price of
fetching it again. Other names found there are not ours to judge and are kept (sweep).
"""

import re
from typing import Final, NamedTuple

from syncd.ports import Chance, Dir

STAGING: Final = "staging"
_PART: Final = re.compile(r"(?P<content>[0-9a-f]{64})\.(?P<key>[0-9a-f]{2,64})\.(?P<token>[0-9a-f]{8})")


class Part(NamedTuple):
    """A staged file by its name: hash of the content it is to hold, and key of the op that wrote it."""

    name: str
    content: bytes
    key: bytes


def part_name(content: bytes, key: bytes, chance: Chance) -> str:
    """Return a fresh name for content with hash *content*, staged by the op *key*."""
    return f"{content.hex()}.{key.hex()}.{chance.token(4).hex()}"


def parse_part(name: str) -> Part | None:
    """Return what *name* says, or None when it is no name of ours."""
    match = _PART.fullmatch(name)
    if match is None or len(match["key"]) % 2:
        return None
    return Part(name, bytes.fromhex(match["content"]), bytes.fromhex(match["key"]))


def parts_of(staging: Dir, key: bytes) -> list[str]:
    """Return the names the op *key* has staged."""
    middle = f".{key.hex()}."
    return [name for name in staging.names() if middle in name and parse_part(name) is not None]


def parts_with(staging: Dir, content: bytes) -> list[str]:
    """Return the names that hold, or begin to hold, the content with hash *content*."""
    start = content.hex() + "."
    return [name for name in staging.names() if name.startswith(start) and parse_part(name) is not None]


def drop(staging: Dir, name: str) -> None:
    """Remove a staged file of ours; gone already is as good."""
    try:
        staging.unlink(name)
    except FileNotFoundError:
        return
