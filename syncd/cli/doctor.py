"""`syncd doctor`: looks at everything a sync depends on, and says what is wrong and how to mend it."""

import sys
from typing import TYPE_CHECKING

import click

from syncd.cli.render import Ink, columns, count, paint, say, say_json
from syncd.model.path import shown

if TYPE_CHECKING:
    from syncd.service.health import Grade


@click.command(epilog="\b\nExamples:\n  syncd doctor\n  syncd doctor --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
@click.option("--offline", is_flag=True, help="Do not ask the remotes.")
def doctor(as_json: bool, offline: bool) -> int:
    """Find out what is wrong and how to mend it. Changes nothing.

    Ends with 1 when something is wrong, with 3 when some work waits for you.
    """
    from syncd.service.health import Grade, examine

    found = list(examine(remotes=not offline))
    if as_json:
        say_json([{"about": one.about, "what": one.what, "grade": str(one.grade), "says": one.says} for one in found])
    else:
        inks = {Grade.GOOD: Ink.GOOD, Grade.NOTE: Ink.WAIT, Grade.WAITS: Ink.WAIT, Grade.BAD: Ink.BAD}
        about = None
        for one in found:
            if one.about != about:
                about = one.about
                say(paint(shown(about), bold=True))
            for line in columns([[paint(f"{one.grade:4}", inks[one.grade]), f"{one.what:8}", one.says]]):
                say(line)
        say(f"\n{_verdict([one.grade for one in found])}")
    sys.stdout.flush()
    grades = {one.grade for one in found}
    return 1 if Grade.BAD in grades else 3 if Grade.WAITS in grades else 0


def _verdict(grades: "list[Grade]") -> str:
    """Return the last line: what was found, in numbers."""
    bad, waiting = (sum(grade == wanted for grade in grades) for wanted in ("bad", "wait"))
    parts = [count(bad, "fault")] if bad else []
    parts += [f"{count(waiting, 'thing')} that {'waits' if waiting == 1 else 'wait'} for you"] if waiting else []
    return f"{' and '.join(parts)} found" if parts else "all is well"
