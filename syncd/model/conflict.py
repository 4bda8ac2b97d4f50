"""Conflicts: their kinds, and the name a conflicted copy gets."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from syncd.model.path import MAX_NAME_BYTES


class ConflictKind(StrEnum):
    """What clashed."""

    EDIT_EDIT = "edit/edit"
    EDIT_DELETE = "edit/delete"
    NAME = "name"
    TYPE = "type"
    CASE = "case"


_COPY: Final = re.compile(
    r" \(conflicted copy, (?P<device>[^()]*), \d{4}-\d\d-\d\d \d{6}\)(?: (?P<number>\d+))?(?=(\.[^.]*)?$)"
)


def original_name(name: str) -> str:
    """Return the name a conflicted copy was made from; other names unchanged."""
    return _COPY.sub("", name)


def is_conflicted_copy(name: str) -> bool:
    """Return whether *name* has the form of a conflicted copy."""
    return _COPY.search(name) is not None


def copy_prefixes(original: str) -> tuple[str, ...]:
    """Return how every name begins of which *original* is the original name; there is no other."""
    stems = dict.fromkeys((original, original.rpartition(".")[0]))
    return tuple(f"{stem} (conflicted copy, " for stem in stems)


def conflicted_name(name: str, device: str, at: float, number: int = 1) -> str:
    """Return ``stem (conflicted copy, device, YYYY-MM-DD HHMMSS).ext``, UTC, cut to fit 255 bytes.

    A conflicted copy of a conflicted copy is named after the original: no nesting. *number* above 1 is appended
    when the name is taken.
    """
    stem, dot, extension = original_name(name).rpartition(".")
    if not stem or len(extension.encode()) > 32:  # no extension, or a dot file, or a sentence with a dot in it
        stem, dot, extension = original_name(name), "", ""
    device = re.sub(r"[()/\0]", "_", device)[:64]
    when = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H%M%S")
    tail = f" (conflicted copy, {device}, {when})" + (f" {number}" if number > 1 else "") + dot + extension
    room = MAX_NAME_BYTES - len(tail.encode())
    return stem.encode()[:room].decode(errors="ignore") + tail
