"""The rules in force: reads the root's ``.syncignore`` and keeps it parsed for as long as it does not change."""

from dataclasses import dataclass
from typing import Final

from syncd.model.node import Fingerprint, Kind
from syncd.observe.fingerprint import is_racy
from syncd.observe.ignore import MAX_RULES_BYTES, NOTHING_KNOWN, RULES_NAME, Rules
from syncd.ports import Clock, LocalFs

_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class _Kept:
    """Parsed rules and the fingerprint they hold for; None: read again, whatever it says."""

    fingerprint: Fingerprint | None
    rules: Rules


class RulesReader:
    """Reads ``.syncignore`` at the top of the root. May be used by several threads: what is kept is one value that is
    replaced whole, so at worst two threads parse the same text."""

    def __init__(self, fs: LocalFs, clock: Clock) -> None:
        self._fs = fs
        self._clock = clock
        self._none = Rules.parse("")
        self._kept: _Kept | None = None

    def read(self) -> Rules:
        """Return the rules in force now.

        Without a ``.syncignore`` (or with one that is not a regular file) these are the defaults. One that is there
        and cannot be read leaves the last rules in force; if there are none, everything is ignored until it can be:
        what is to be kept out is not known, and must not be guessed.
        """
        try:
            kept = self._read()
        except OSError:
            kept = None
        if kept is None:
            kept = self._kept or _Kept(None, Rules.parse(NOTHING_KNOWN))
            return kept.rules
        self._kept = kept
        return kept.rules

    def _read(self) -> _Kept | None:
        """Return fresh rules, or None when the file cannot be read as a whole. Raises OSError."""
        with self._fs.open_dir(()) as root:
            for _ in range(_TRIES):
                stat = root.stat(RULES_NAME)
                if stat is None or stat.kind is not Kind.FILE:
                    return _Kept(None, self._none)
                kept = self._kept
                if kept is not None and kept.fingerprint == stat.fingerprint:
                    return kept
                if stat.fingerprint.size > MAX_RULES_BYTES:
                    return None
                began = int(self._clock.now() * 1e9)
                try:
                    with root.open(RULES_NAME) as file:
                        before = file.stat().fingerprint
                        data = file.read(0, MAX_RULES_BYTES + 1)
                        after = file.stat().fingerprint
                except FileNotFoundError:  # replaced between the stat and the open
                    continue
                if before == after and len(data) == after.size:
                    racy = is_racy(after, began, self._fs.traits.time_tick_ns)
                    return _Kept(None if racy else after, self._parsed(data))
        return None

    def _parsed(self, data: bytes) -> Rules:
        text = data.decode("utf-8", "surrogateescape")
        if self._kept is not None and self._kept.rules.text == text:
            return self._kept.rules
        return Rules.parse(text)
