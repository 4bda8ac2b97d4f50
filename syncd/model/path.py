"""Names and places: what may be called what, and how a name is shown. Pure; never touches a file system."""

import unicodedata
from typing import Final

NodeKey = int
"""Local integer key of a node row."""

RelPath = tuple[str, ...]
"""Names from the root down; the root itself is ``()``. Non-UTF-8 bytes appear as surrogate escapes."""

ROOT: Final[NodeKey] = 1
"""Local key of the root directory's node; it exists in every tree and never moves."""

ROOT_ID: Final[bytes] = bytes(16)
"""Stable id of every space's root directory."""

RESERVED: Final = ".syncd"
"""The one name that belongs to syncd at every level of a root."""

MAX_NAME_BYTES: Final = 255
"""Longest name, in UTF-8 bytes, that every file system we meet can hold (ext4, APFS, xfs, btrfs)."""

# Code points that some file systems drop when comparing names (HFS+ "ignorables"): a name that differs
# from ``.syncd`` only by these could be resolved to it there.
_IGNORABLE: Final = dict.fromkeys(
    [0x200C, 0x200D, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
)


def fold(name: str) -> str:
    """Return the key under which case and normal-form twins are equal."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def is_reserved(name: str) -> bool:
    """Return whether *name* is syncd's own, in any case, normal or compatibility form (P10)."""
    return fold(unicodedata.normalize("NFKC", name.translate(_IGNORABLE))).rstrip(". ") == RESERVED


def name_fault(name: str) -> str | None:
    """Return why *name* cannot be synced, in plain words, or None when it can (P10)."""
    if name in ("", ".", ".."):
        return "is not a name"
    if "/" in name or "\0" in name:
        return "contains a separator or NUL"
    try:
        encoded = name.encode("utf-8")
    except UnicodeEncodeError:
        return "is not UTF-8"
    if len(encoded) > MAX_NAME_BYTES:
        return f"is longer than {MAX_NAME_BYTES} bytes"
    if is_reserved(name):
        return f"is reserved for syncd ({RESERVED})"
    return None


def is_text(name: str) -> bool:
    """Return whether *name* is UTF-8: can be written down, and means the same on every device."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def shown(text: str) -> str:
    """Return *text* with everything that could steer a terminal, or mislead a reader, escaped (P10)."""
    out = []
    for char in text:
        if "\udc80" <= char <= "\udcff":
            out.append(f"\\x{ord(char) - 0xDC00:02x}")
        elif char == "\\":
            out.append("\\\\")
        elif unicodedata.category(char)[0] == "C" or unicodedata.category(char) in ("Zl", "Zp"):
            out.append(f"\\u{ord(char):04x}" if ord(char) > 0xFF else f"\\x{ord(char):02x}")
        else:
            out.append(char)
    return "".join(out)


def shown_path(path: RelPath) -> str:
    """Return *path* as a person reads it, relative to the root."""
    return "/".join(shown(name) for name in path) or "."
