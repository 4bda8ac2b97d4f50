"""How values become columns and columns become values. Pure; never runs a statement.

Integers of any width survive: those beyond 64 bits are stored as decimal text (columns of type ANY). Texts that are
only shown are made valid UTF-8; names are never changed.
"""

from typing import Final

import msgspec

from syncd.model.node import Absent, Fingerprint, Kind, Node, Place, Present, Reason, State, Unknown, Version
from syncd.model.op import Op

HASH_ALG: Final = 1
"""Version of the content hash (BLAKE3). Hashes kept under another version are redone when next looked at."""

SqlValue = int | float | str | bytes | None
Row = tuple[SqlValue, ...]

NODE_COLUMNS: Final = (
    "id, node_id, kind,"
    " s_presence, s_parent, s_name, s_hash, s_executable, s_size, s_mtime_ns, s_version, s_tag, s_manifest,"
    " r_presence, r_parent, r_name, r_hash, r_executable, r_size, r_mtime_ns, r_version, r_tag, r_manifest,"
    " r_reason, r_detail,"
    " l_presence, l_parent, l_name, l_hash, l_executable, l_size, l_mtime_ns, l_reason, l_detail,"
    " l_dev, l_ino, l_fp_mtime, l_fp_ctime, l_fp_size, l_racy"
)
"""The columns ``node_from`` reads, in its order."""

_KINDS: Final = {kind.value: kind for kind in Kind}
_REASONS: Final = {reason.value: reason for reason in Reason}
_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**63 - 1


def wide(number: int) -> int | str:
    """Return *number* as SQLite can hold it without losing a bit; ``int()`` brings it back."""
    return number if _LOWEST <= number <= _HIGHEST else str(number)


def shown_text(text: str) -> str:
    """Return *text* as valid UTF-8: what was not is escaped. For texts that are only read by people."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_text(name: str) -> bool:
    """Return whether *name* is valid UTF-8, which every name of a node is."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def kind_from(value: SqlValue) -> Kind:
    """Return the kind a column holds."""
    return _KINDS[str(value)]


def version_columns(version: Version | None) -> tuple[int | str | None, str | None]:
    """Return (position, tag)."""
    return (None, None) if version is None else (wide(version.position), version.tag)


def fingerprint_columns(of: Fingerprint | None) -> tuple[int | str | None, ...]:
    """Return (dev, ino, mtime_ns, ctime_ns, size)."""
    if of is None:
        return (None, None, None, None, None)
    return (wide(of.dev), wide(of.ino), wide(of.mtime_ns), wide(of.ctime_ns), wide(of.size))


def node_from(row: Row) -> Node:
    """Build a node from a row of ``NODE_COLUMNS``. Positional and flat: everything that is planned passes here."""
    (
        key, node_id, kind,
        s_presence, s_parent, s_name, s_hash, s_executable, s_size, s_mtime, s_position, s_tag, s_manifest,
        r_presence, r_parent, r_name, r_hash, r_executable, r_size, r_mtime, r_position, r_tag, r_manifest,
        r_reason, r_detail,
        l_presence, l_parent, l_name, l_hash, l_executable, l_size, l_mtime, l_reason, l_detail,
        dev, ino, fp_mtime, fp_ctime, fp_size, racy,
    ) = row  # fmt: skip
    synced: Present | Absent
    version = None if s_tag is None else Version(int(s_position), s_tag)  # type: ignore[arg-type]
    if s_presence == "present":
        place = Place(s_parent, s_name)  # type: ignore[arg-type]
        synced = Present(place, s_hash, s_executable == 1, s_size, int(s_mtime), version, s_manifest)  # type: ignore[arg-type]
    else:
        synced = Absent(version)
    remote: State
    version = None if r_tag is None else Version(int(r_position), r_tag)  # type: ignore[arg-type]
    if r_presence == "present":
        place = Place(r_parent, r_name)  # type: ignore[arg-type]
        remote = Present(place, r_hash, r_executable == 1, r_size, int(r_mtime), version, r_manifest)  # type: ignore[arg-type]
    elif r_presence == "absent":
        remote = Absent(version)
    else:
        remote = _unknown(r_reason, r_parent, r_name, r_detail)
    local: State
    if l_presence == "present":
        local = Present(Place(l_parent, l_name), l_hash, l_executable == 1, l_size, int(l_mtime))  # type: ignore[arg-type]
    elif l_presence == "absent":
        local = Absent()
    else:
        local = _unknown(l_reason, l_parent, l_name, l_detail)
    fingerprint = None if ino is None else fingerprint_from(dev, ino, fp_mtime, fp_ctime, fp_size)
    return Node(key, node_id, _KINDS[kind], synced, remote, local, fingerprint, racy == 1)  # type: ignore[arg-type, index]


def _unknown(reason: SqlValue, parent: SqlValue, name: SqlValue, detail: SqlValue) -> Unknown:
    place = None if parent is None else Place(parent, name)  # type: ignore[arg-type]
    return Unknown(_REASONS[reason], place, detail)  # type: ignore[arg-type, index]


def fingerprint_from(
    dev: SqlValue,
    ino: SqlValue,
    mtime: SqlValue,
    ctime: SqlValue,
    size: SqlValue,
) -> Fingerprint:
    """Return the fingerprint five columns hold."""
    return Fingerprint(int(dev), int(ino), int(mtime), int(ctime), int(size))  # type: ignore[arg-type]


_OPS: Final = msgspec.json.Decoder(Op)


def encode_op(op: Op) -> str:
    """Return *op* as text; ``decode_op`` gives back an equal value."""
    return msgspec.json.encode(op).decode("utf-8")


def decode_op(text: str) -> Op:
    """Return the op that ``encode_op`` wrote."""
    return _OPS.decode(text)
