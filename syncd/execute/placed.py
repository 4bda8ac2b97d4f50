"""Which inodes a group of ops is about to put where nothing was: ``.syncd/placed/<token>.json``, one file a group.

A new file displaces nothing and needs no trash entry; but after a crash this tells a placed file that its person has
edited since from one that was never placed. Owns these files; never judges (recover does).

A key found here counts as placed once no part of that op is in staging: so the part of an op that was recorded and
then failed stays in staging until the sweep.
"""

from collections.abc import Container, Mapping
from typing import Final

import msgspec

from syncd.execute.dirs import Dirs
from syncd.model.node import Fingerprint
from syncd.ports import Chance, ReadFile

PLACED: Final = "placed"
_MAX_FILE: Final = 4 << 20


class _Record(msgspec.Struct, frozen=True):
    at: float
    staged: dict[str, Fingerprint]


def write_placed(dirs: Dirs, staged: Mapping[bytes, Fingerprint], at: float, chance: Chance) -> ReadFile:
    """Write what a group is about to place; returns the open file, to be made durable before anything is placed."""
    folder = dirs.own(PLACED)
    name = f"{chance.token(12).hex()}.json"
    record = _Record(at, {key.hex(): fingerprint for key, fingerprint in staged.items()})
    with folder.create(name) as file:
        file.write(msgspec.json.encode(record))
    return folder.open(name)


def read_placed(dirs: Dirs, wanted: Container[bytes]) -> dict[bytes, Fingerprint]:
    """Return what was about to be placed by the ops with these keys."""
    found: dict[bytes, Fingerprint] = {}
    folder = dirs.own(PLACED)
    for name in folder.names():
        record = _read(dirs, name)
        if record is None:
            continue
        for hexed, fingerprint in record.staged.items():
            key = _key(hexed)
            if key is not None and key in wanted:
                found[key] = fingerprint
    return found


def sweep_placed(dirs: Dirs, running: Container[bytes], older_than: float) -> None:
    """Remove the files none of whose ops is running any more. *older_than* is in seconds since the epoch."""
    folder = dirs.own(PLACED)
    for name in folder.names():
        record = _read(dirs, name)
        if record is None:
            stat = folder.stat(name)
            done = stat is not None and stat.fingerprint.ctime_ns / 1e9 < older_than
        else:
            keys = [_key(hexed) for hexed in record.staged]
            done = record.at < older_than and not any(key is not None and key in running for key in keys)
        if done:
            folder.unlink(name)


def _read(dirs: Dirs, name: str) -> _Record | None:
    """Return a record, or None for one that a crash cut short: then nothing had been placed yet."""
    try:
        with dirs.own(PLACED).open(name) as file:
            return msgspec.json.decode(file.read(0, _MAX_FILE), type=_Record)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _key(hexed: str) -> bytes | None:
    try:
        return bytes.fromhex(hexed)
    except ValueError:
        return None
