"""Settings: what a person may choose in ``config.toml``.

Owns the names, meanings, units and defaults of every setting, and turns the text of a config file into values or into
one line that names the faulty line. Never reads or writes a file by itself, and never holds secrets.
"""

import re
import tomllib
from enum import StrEnum
from typing import Any, Final

import msgspec

from syncd.model.errors import Usage

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB
MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86400.0

_SIZES: Final = {"": 1, "B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB, "TiB": 1024 * GIB}
_SPANS: Final = {"s": 1.0, "min": MINUTE, "h": HOUR, "day": DAY, "days": DAY}
_QUANTITY: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[A-Za-z]*)")


class Size(int):
    """A number of bytes; in the file also ``"10 GiB"``."""


class Span(float):
    """A number of seconds; in the file also ``"30 s"``, ``"5 min"``, ``"1 h"``, ``"30 days"``."""


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a log line looks: for people, or for machines."""

    CONSOLE = "console"
    JSON = "json"


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of the file. An unknown key is an error, not a silent nothing."""


class LogSection(Section, frozen=True):
    """``[log]``"""

    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.CONSOLE


class ScanSection(Section, frozen=True):
    """``[scan]``: how often everything is looked at, beside what the watcher reports."""

    every: Span = Span(HOUR)
    deep_every: Span = Span(30 * DAY)


class GuardSection(Section, frozen=True):
    """``[guard]``: marks beyond which deletes and overwrites wait for a person (P8)."""

    nodes: int = 1000
    share: float = 0.25
    share_at_least: int = 100
    size: Size = Size(10 * GIB)
    window: Span = Span(10 * MINUTE)
    rest: Span = Span(2.0)


class TrashSection(Section, frozen=True):
    """``[trash]``: how long displaced and deleted content stays."""

    retention: Span = Span(30 * DAY)


class ActivitySection(Section, frozen=True):
    """``[activity]``: how long what was done, asked for and decided is remembered."""

    retention: Span = Span(30 * DAY)


class DiskSection(Section, frozen=True):
    """``[disk]``: downloads stop before the disk has less than this left."""

    free_floor: Size = Size(256 * MIB)


class ParallelSection(Section, frozen=True):
    """``[parallel]``: how many jobs of a kind run at a time."""

    look: int = 2
    apply: int = 3
    send: int = 3


class RemoteSection(Section, frozen=True):
    """``[remote]``: how changes of the remote are noticed."""

    poll: Span = Span(55.0)


class Settings(Section, frozen=True):
    """The whole file."""

    log: LogSection = LogSection()
    scan: ScanSection = ScanSection()
    guard: GuardSection = GuardSection()
    trash: TrashSection = TrashSection()
    activity: ActivitySection = ActivitySection()
    disk: DiskSection = DiskSection()
    parallel: ParallelSection = ParallelSection()
    remote: RemoteSection = RemoteSection()


# --- reading ----------------------------------------------------------------------------------------------------


def parse(text: str, file: str = "config.toml") -> Settings:
    """Return the settings in *text*; raises Usage with one line that names *file*, the line and what to do."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r" \(at line (\d+), column \d+\)$| \(at end of document\)$", str(error))
        what = str(error)[: at.start()] if at is not None else str(error)
        line = at[1] if at is not None and at[1] else len(text.splitlines()) or 1
        raise Usage(f"{file}:{line}: not valid TOML: {what[:1].lower() + what[1:]}; correct that line") from None
    try:
        settings = msgspec.convert(table, Settings, dec_hook=_quantity)
    except msgspec.ValidationError as error:
        raise Usage(_explained(str(error), text, file)) from None
    for path, fault in _out_of_range(settings):
        raise Usage(f"{file}:{_line_of(path, text)}: {'.'.join(path)} {fault}; correct or remove that line")
    return settings


def _out_of_range(settings: Settings) -> list[tuple[list[str], str]]:
    """Return every value that has the right type but makes no sense."""
    faults = [
        (["parallel", name], "must be between 1 and 64")
        for name in ("look", "apply", "send")
        if not 1 <= getattr(settings.parallel, name) <= 64
    ]
    least = {
        "scan.every": 60.0,
        "scan.deep_every": HOUR,
        "guard.nodes": 1,
        "guard.share_at_least": 1,
        "guard.size": 1,
        "guard.window": 1.0,
        "trash.retention": HOUR,
        "activity.retention": HOUR,
        "remote.poll": 1.0,
    }
    for dotted, low in least.items():
        section, name = dotted.split(".")
        if getattr(getattr(settings, section), name) < low:
            faults.append(([section, name], f"must be at least {low:g}"))
    if not 0 < settings.guard.share <= 1:
        faults.append((["guard", "share"], "must be above 0 and at most 1"))
    return faults


def _quantity(kind: type, value: Any) -> Any:
    """Turn ``"10 GiB"`` and ``"5 min"`` into numbers (called by msgspec for Size and Span)."""
    units = _SIZES if kind is Size else _SPANS
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value.strip())
        if match is None or match["unit"] not in units:
            known = ", ".join(unit for unit in units if unit)
            raise ValueError(f"Expected a number and one of {known}, got {value!r}")
        value = float(match["number"]) * units[match["unit"]]
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"Expected a number, or a number with a unit, got `{type(value).__name__}`")
    if not 0 <= value < 2**62:  # also refuses inf and nan, which TOML can say
        raise ValueError("Expected a number that is not negative and not endless")
    return kind(value)


def _explained(message: str, text: str, file: str) -> str:
    """Return msgspec's message as one line with the file, the line and what to do."""
    what, _, where = message.partition(" - at `$")
    path = [part for part in where.rstrip("`").split(".") if part]
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", what)
    if unknown is not None:
        path.append(unknown[1])
        known = _known(path[:-1])
        what = f"unknown setting; known here: {', '.join(known)}"
    else:
        choice = {"level": LogLevel, "format": LogFormat}.get(path[-1]) if what.startswith("Invalid enum") else None
        if choice is not None:
            what = f"must be one of {', '.join(choice)}"
        what = what[:1].lower() + what[1:] + "; correct or remove that line"
    return f"{file}:{_line_of(path, text)}: {'.'.join(path)}: {what}"


def _known(path: list[str]) -> list[str]:
    """Return the names that may stand at *path*."""
    section = getattr(Settings(), path[0], None) if path else Settings()
    return list(section.__struct_fields__) if isinstance(section, Section) else []


def _line_of(path: list[str], text: str) -> int:
    """Return the line where *path* is set; the line of its table, or 1, when it cannot be told."""
    table: list[str] = []
    found = 1
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        if header is not None:
            table = [part.strip().strip("\"'") for part in header[1].split(".")]
            here = table
        elif (assigned := re.match(r"\s*([\w.\"' -]+?)\s*=", line)) is not None:
            here = table + [part.strip().strip("\"'") for part in assigned[1].split(".")]
        else:
            continue
        if here == path:
            return number
        if here == path[: len(here)]:
            found = number
    return found
