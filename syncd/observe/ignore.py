"""What is not synced: built-in defaults, then the root's ``.syncignore`` with ``.gitignore`` semantics.

Owns the meaning of names to ignore, for both ways (what is ignored is neither uploaded, downloaded nor deleted).
Never reads a file: the text comes from the look.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from pathspec.patterns.gitignore import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from syncd.model.path import RelPath, is_reserved

# Of what some later Python may read differently between brackets, a person who wrote ``[[`` need not hear in the log.
warnings.filterwarnings("ignore", "Possible (nested set|set [a-z ]+) at position", FutureWarning)

RULES_NAME: Final = ".syncignore"
"""The file with the person's patterns. It counts only at the top of a root; elsewhere it is a file like any other."""

MAX_RULES_BYTES: Final = 1 << 20
"""A longer ``.syncignore`` is no list of patterns a person wrote."""

_MAX_LINE: Final = 4096
_SIEVES_KEPT: Final = 4096
_LINES_KEPT: Final = 1024
_MOST_TOLD: Final = 80  # letters of a line that makes no sense
_STAR: Final = "[^/]*"  # what a star becomes
_MOST_WILD: Final = 3
"""Stars, and double stars, in a pattern with ``**`` in the middle; each multiplies the time a name can take."""

_LITTER: Final = (
    ".DS_Store",
    ".localized",
    "Icon\r",
    "Thumbs.db",
    "Thumbs.db:encryptable",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "Desktop.ini",
)
_LITTER_PREFIX: Final = "._"

# Only names that well-known programs give to what they throw away themselves: a default that hides a person's file
# would look like a file that does not sync. ``*.tmp`` and ``*.bak`` are therefore not here.
_DEFAULTS: Final = (
    "Icon[\r]\n"
    r"""
*~
.*.sw?
.*.kate-swp
.\#*
\#*\#
.goutputstream-*
*___jb_tmp___
*___jb_old___
~$*
~WRL[0-9][0-9][0-9][0-9].tmp
.~lock.*#
*.crdownload
*.opdownload
*.part
*.download/
.com.google.Chrome.*
.org.chromium.Chromium.*
.fuse_hidden*
.nfs[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]*
.sb-????????-??????
.DS_Store
.localized
Thumbs.db
Thumbs.db:encryptable
ehthumbs.db
ehthumbs_vista.db
[Dd]esktop.ini
._*
.Trash
.Trash-*
.Trashes
.Spotlight-V100
.fseventsd
.DocumentRevisions-V100
.TemporaryItems
.AppleDouble
.apdisk
$RECYCLE.BIN
System Volume Information
/lost+found/
"""
)


def is_litter(name: str) -> bool:
    """Return whether *name* is made by an operating system, not by a person: it goes to the trash with its folder."""
    return name in _LITTER or name.startswith(_LITTER_PREFIX)


@dataclass(frozen=True, slots=True)
class Fault:
    """A line of the rules that was left out. *line* counts from 1."""

    line: int
    text: str
    why: str


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One line that counts. *depth* is the number of names a matching path has, None for any. *inside*: it means what
    is in a directory, not the directory (``logs/**``)."""

    include: bool
    regex: re.Pattern[str]
    anywhere: bool
    depth: int | None
    prefix: str
    suffix: str
    inside: bool

    def applies_in(self, directory: RelPath) -> bool:
        """Return whether a name directly in *directory* could match at all."""
        return self.anywhere or self.depth is None or self.depth == len(directory) + 1


class Sieve:
    """The rules as they apply to the names of one directory.

    Unless ``thorough``, an ASCII name whose first letter is not in ``first`` and whose last is not in ``last`` is not
    ignored: the look tells most names so, without a call for each.
    """

    __slots__ = ("_ends", "_everything", "_loose", "_patterns", "_prefix", "_starts", "first", "last", "thorough")

    def __init__(self, directory: RelPath, patterns: Sequence[_Pattern], everything: bool) -> None:
        """*everything*: the directory itself is ignored, and so is all below, whatever a pattern says."""
        self._everything = everything
        self._prefix = "".join(f"{name}/" for name in directory)
        self._patterns = [pattern for pattern in reversed(patterns) if pattern.applies_in(directory)]
        # Most names match nothing. What can be told from the first or last letters of a name is told first.
        including = [pattern for pattern in self._patterns if pattern.include]
        self._starts = tuple(sorted({p.prefix for p in including if p.prefix}))
        self._ends = tuple(sorted({p.suffix for p in including if p.suffix and not p.prefix}))
        self._loose = [p for p in including if not p.prefix and not p.suffix]
        self.first = frozenset("." + "".join(start[0] for start in self._starts))
        """First letters of names that may be ignored."""
        self.last = frozenset(end[-1] for end in self._ends)
        """Last letters of names that may be ignored."""
        self.thorough = everything or bool(self._loose)
        """Whether letters do not tell: every name must be put to ``ignored``."""

    def ignored(self, name: str, directory: bool) -> bool:
        """Return whether *name* in this directory is ignored; *directory* tells what it is."""
        if self._everything or _reserved(name):
            return True
        if not (name.startswith(self._starts) or name.endswith(self._ends)) and not any(
            self._matches(pattern, name, directory) for pattern in self._loose
        ):
            return False
        for pattern in self._patterns:  # the last matching line decides; they are in reverse order
            if self._matches(pattern, name, directory):
                return pattern.include
        return False

    def _matches(self, pattern: _Pattern, name: str, directory: bool) -> bool:
        text = name if pattern.anywhere else self._prefix + name
        return pattern.regex.search(text + "/" if directory and not pattern.inside else text) is not None


class Rules:
    """Patterns in force. Immutable but for a bounded cache; may be used from any thread."""

    __slots__ = ("_patterns", "_sieves", "faults", "text")

    def __init__(self, text: str, patterns: Sequence[_Pattern], faults: Sequence[Fault]) -> None:
        self.text = text
        self.faults = tuple(faults)
        self._patterns = tuple(patterns)
        self._sieves: dict[RelPath, Sieve] = {}

    @classmethod
    def parse(cls, text: str) -> "Rules":
        """Return the defaults followed by the patterns in *text*; lines that make no sense become ``faults``.

        Lines of *text* may bring back what a default ignores (``!*.part``), but never ``.syncd``.
        """
        patterns, faults = _parse(text.removeprefix("\ufeff"))
        return cls(text, [*_default_patterns(), *patterns], faults)

    def ignored(self, path: RelPath, directory: bool) -> bool:
        """Return whether *path* is ignored, by itself or because an ancestor is; the root never is."""
        return bool(path) and self.within(path[:-1]).ignored(path[-1], directory)

    def within(self, directory: RelPath) -> Sieve:
        """Return the rules for the names of one directory; use it for many names of the same directory."""
        sieve = self._sieves.get(directory)
        if sieve is None:
            sieve = Sieve(directory, self._patterns, self.ignored(directory, True))
            if len(self._sieves) >= _SIEVES_KEPT:
                self._sieves.clear()
            self._sieves[directory] = sieve
        return sieve


NOTHING_KNOWN: Final = "*\n"
"""Rules for a ``.syncignore`` that is there and cannot be read: what it would exclude is not known, so all is excluded,
and nothing is uploaded, downloaded or deleted by mistake."""


@dataclass(frozen=True, slots=True)
class Ignorer:
    """What makes a path ignored: it, or the ancestor at *path*, by *pattern* (*built_in*, or of the person), or, where
    *pattern* is "", because its name is syncd's own."""

    path: RelPath
    pattern: str = ""
    built_in: bool = False


def ignorer(text: str, path: RelPath, directory: bool) -> Ignorer | None:
    """Return what makes *path* ignored under the rules *text*, None when it is not. For a person's question: slow."""
    rules = Rules.parse(text)
    for depth in range(1, len(path) + 1):
        upper, is_directory = path[:depth], directory or depth < len(path)
        if _reserved(upper[-1]):
            return Ignorer(upper)
        if not rules.ignored(upper, is_directory):
            continue
        for lines, built_in in ((text, False), (_DEFAULTS, True)):
            for line in reversed(lines.removeprefix("\ufeff").split("\n")):  # the last matching line decides
                if Sieve(upper[:-1], _parse(line)[0], everything=False).ignored(upper[-1], is_directory):
                    return Ignorer(upper, line.removesuffix("\r"), built_in)
    return None


def _reserved(name: str) -> bool:
    """Return ``is_reserved(name)``, cheaply for nearly all names."""
    if name.isascii():
        return name[:2] in (".s", ".S") and is_reserved(name)
    return is_reserved(name)


def _parse(text: str) -> tuple[list[_Pattern], list[Fault]]:
    patterns: list[_Pattern] = []
    faults: list[Fault] = []
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if not line.strip() or line.startswith("#"):
            continue
        parsed = _line(line) if len(line) <= _MAX_LINE else f"is longer than {_MAX_LINE} characters"
        if isinstance(parsed, _Pattern):
            patterns.append(parsed)
        else:
            faults.append(Fault(number, line[:_MOST_TOLD], parsed))
    return patterns, faults


@lru_cache(maxsize=_LINES_KEPT)
def _line(line: str) -> _Pattern | str:
    """Return what one line means, or why it makes no sense. Compiling takes a millisecond, and the same lines are
    read by whoever looks, by the watcher and by the engine."""
    try:
        parsed = GitIgnoreSpecPattern(line)
    except (GitIgnorePatternError, re.error, RecursionError, OverflowError):
        return "is not a pattern"
    if parsed.include is None or parsed.regex is None:
        return "matches nothing"
    pattern = _pattern(line, parsed.include, parsed.regex)
    wild = line.count("**")
    if not pattern.anywhere and pattern.depth is None and max(wild, line.count("*") - 2 * wild) > _MOST_WILD:
        return "has too many wildcards"
    return pattern


def _pattern(line: str, include: bool, regex: re.Pattern[str]) -> _Pattern:
    body = line if line.endswith("\\ ") else line.rstrip()
    body = body.removeprefix("!").removesuffix("/")
    anywhere = "/" not in body.removeprefix("**/")  # ``**/name`` is ``name``
    segments = body.removeprefix("**/" if anywhere else "/").split("/")
    depth = None if "**" in segments else len(segments)
    if depth is not None:
        regex = _without_backtracking(regex)
    prefix, suffix = _literal_prefix(segments[-1]), _literal_suffix(segments[-1])
    return _Pattern(include, regex, anywhere, depth, prefix, suffix, inside=line.rstrip().endswith("/**"))


def _without_backtracking(regex: re.Pattern[str]) -> re.Pattern[str]:
    """Return an equal pattern that takes linear time also for ``*a*a*a*b``: rules come from other devices too.

    What stands between two stars has a fixed length, so its first occurrence is as good as any later one, and need
    not be reconsidered when the rest does not match.
    """
    first, *middle, last = regex.pattern.split(_STAR) if _STAR in regex.pattern else (regex.pattern, "")
    if not middle:
        return regex
    return re.compile(first + "".join(f"(?>{_STAR}?{part})" for part in middle) + _STAR + last, regex.flags)


def _literal_prefix(segment: str) -> str:
    """Return the letters every name matching *segment* begins with."""
    out = []
    letters = iter(segment)
    for letter in letters:
        if letter in "*?[":
            break
        out.append(next(letters, "") if letter == "\\" else letter)
    return "".join(out)


def _literal_suffix(segment: str) -> str:
    """Return letters every name matching *segment* ends with (not always all of them)."""
    match = re.search(r"[^*?\[\]\\]*\Z", segment)
    return match.group() if match else ""


@cache
def _default_patterns() -> tuple[_Pattern, ...]:
    """Return the defaults; compiled on first use, so that importing costs nothing."""
    return tuple(_parse(_DEFAULTS)[0])
