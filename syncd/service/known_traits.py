"""What a root's file system was last found to do. Kept beside root.json by the daemon, which tries it out; a preview
of the plan needs the answer and may not write anything to find it. Owns that one file; a hint, never the truth.
"""

import contextlib
from pathlib import Path
from typing import Final

import msgspec

from syncd.ports import Traits
from syncd.service.roots import write_private

FILE: Final = "traits.json"

LIKELY: Final = Traits(
    case_sensitive=True, normalises=False, executable_bit=True, symlinks=True, time_tick_ns=1_000_000_000,
    stable_inodes=True, exchange=True, no_replace=True,
)  # fmt: skip
"""What is assumed of a folder that nobody tried yet."""


def recall(folder: Path) -> Traits:
    """Return what was kept in a root's state *folder*, what is likely without it."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Traits)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return LIKELY


def keep(folder: Path, traits: Traits) -> None:
    """Keep *traits*, unless that is what is kept already. A hint that cannot be kept is not kept."""
    path = folder / FILE
    encoded = msgspec.json.encode(traits) + b"\n"
    with contextlib.suppress(OSError):
        if not path.is_file() or path.read_bytes() != encoded:
            write_private(path, encoded)
