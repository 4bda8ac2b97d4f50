"""How things look on a terminal: quiet colour, aligned columns, humane sizes and times. Nothing heavy is imported.

Every name that came from a file system or a remote passes through ``shown`` before it gets here or in here (P10).
"""

import contextlib
import json
import os
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

import click

from syncd.model.path import shown
from syncd.model.words import count, size

if TYPE_CHECKING:
    from syncd.model.status import LiveStatus


__all__ = [
    "Ink", "ago", "ahead", "colourful", "columns", "count", "moment", "one_line", "op_words", "paint", "progress_line",
    "progress_text", "progress_wanted", "say", "say_json", "size", "span",
]  # fmt: skip


class Ink(StrEnum):
    """The few colours there are, by meaning."""

    GOOD = "green"
    WAIT = "yellow"
    BAD = "red"
    NAME = "cyan"


def colourful() -> bool:
    """Return whether standard output may carry colour (a terminal, and nobody said no)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, ink: Ink | None = None, *, bold: bool = False, dim: bool = False) -> str:
    """Return *text* in colour where that is wanted, unchanged elsewhere."""
    if not colourful():
        return text
    return click.style(text, fg=ink.value if ink else None, bold=bold or None, dim=dim or None)


def say(text: str = "") -> None:
    """Print a line on standard output."""
    click.echo(text, color=colourful())


def say_json(value: object) -> None:
    """Print *value* as JSON for scripts: ASCII, so that any name crosses any terminal."""
    click.echo(json.dumps(value, indent=2, default=str))


def one_line(text: str) -> str:
    """Return *text* as a single line that cannot steer a terminal."""
    joined = " ".join(text.split())
    # Names inside were escaped where they were put in; what is left of control characters is escaped here.
    return "".join(char if unicodedata.category(char)[0] != "C" else shown(char) for char in joined)


def span(seconds: float) -> str:
    """Return a time span as a person says it, in its two largest units at most: ``4 s``, ``3 min``, ``2 h 5 min``."""
    seconds = max(0.0, seconds)
    if seconds < 1:
        return "under 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 36:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(seconds / 86400)} days"


def ago(at: float, now: float | None = None) -> str:
    """Return how long ago *at* (seconds since the epoch) was."""
    passed = (time.time() if now is None else now) - at
    return "just now" if passed < 2 else f"{span(passed)} ago"


def ahead(at: float, now: float | None = None) -> str:
    """Return how far ahead *at* is."""
    left = at - (time.time() if now is None else now)
    return "at once" if left < 1 else f"in {span(left)}"


def moment(at: float) -> str:
    """Return a local date and time, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def op_words(op_type: object) -> str:
    """Return an op's type as every command says it: ``remote mkdir``."""
    return str(op_type).replace("_", " ")


def columns(rows: Iterable[Sequence[str]], *, indent: int = 2) -> list[str]:
    """Return *rows* aligned; the last column is free, so that long names break nothing."""
    table = [list(row) for row in rows]
    if not table:
        return []
    widths = [max(len(click.unstyle(row[at])) for row in table) for at in range(len(table[0]) - 1)]
    lines = []
    for row in table:
        cells = [cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(row[:-1], widths, strict=True)]
        lines.append((" " * indent + "  ".join([*cells, row[-1]])).rstrip())
    return lines


def progress_wanted() -> bool:
    """Return whether somebody at a terminal sees how far something is."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextlib.contextmanager
def progress_line() -> Iterator[Callable[["LiveStatus"], None]]:
    """Give something that shows a live status on one line of a terminal, and nothing elsewhere; cleared at the end."""
    wanted = progress_wanted()

    def show(live: "LiveStatus") -> None:
        if wanted:
            import shutil  # brings every archive format there is; most commands show no progress

            click.echo(f"\r\x1b[K{progress_text(live)[: shutil.get_terminal_size().columns - 1]}", nl=False, err=True)

    try:
        yield show
    finally:
        if wanted:
            click.echo("\r\x1b[K", nl=False, err=True)


def progress_text(live: "LiveStatus") -> str:
    """Return what a daemon does, in one line: the phase, how much is left, and what it works on."""
    parts = [str(live.phase)]
    if live.scanned:
        parts.append(f"{live.scanned:,} looked at")
    if live.listed:
        parts.append(f"{live.listed:,} listed")
    if left := live.ops_waiting + len(live.running):
        parts.append(f"{left:,} to do")
    if live.running:
        op = live.running[0]
        share = f" {100 * op.bytes_done // op.bytes_total} %" if op.bytes_total else ""
        parts.append(f"{op_words(op.type)} {op.path}{share}")
    return ", ".join(parts)
