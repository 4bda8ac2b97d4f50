"""What a simulated file system can do, how it takes names, and how it refuses. Values only."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Features:
    """What a volume can do. *tick_ns*: how coarse its times are. *late_enospc*: space is taken not when bytes are
    written but when they are synced (delayed allocation without reservation, quotas over a network)."""

    case_sensitive: bool = True
    normalises: bool = False
    executable_bit: bool = True
    symlinks: bool = True
    exchange: bool = True
    no_replace: bool = True
    tick_ns: int = 1
    late_enospc: bool = False

    @property
    def folds(self) -> bool:
        """Whether two spellings may be one name."""
        return self.normalises or not self.case_sensitive

    def stored(self, name: str) -> str:
        """Return *name* as it is kept."""
        return unicodedata.normalize("NFD", name) if self.normalises else name

    def key(self, name: str) -> str:
        """Return what is the same for all spellings that are taken for one name."""
        if not self.folds:
            return name
        name = self.stored(name)
        return name if self.case_sensitive else name.casefold()


class Flag(Enum):
    """How a rename treats what has the new name."""

    REPLACE = "replace"
    NO_REPLACE = "no replace"
    EXCHANGE = "exchange"


def fault(number: int, name: str = "", why: str = "") -> OSError:
    """Return the OSError (of the right subclass) for *number*."""
    return OSError(number, why or os.strerror(number), name)
