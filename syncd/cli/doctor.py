"""`syncd doctor`: looks at everything a sync depends on, and says what is wrong and how to mend it."""

import sys

import click

from syncd.cli.render import Ink, columns, count, paint, say, say_json
from syncd.model.path import shown


@click.command(epilog="\b\nExamples:\n  syncd doctor\n  syncd doctor --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
@click.option("--offline", is_flag=True, help="Do not ask the remotes.")
def doctor(as_json: bool, offline: bool) -> int:
    """Find out what is wrong and how to mend it. Changes nothing; ends with 1 when something is wrong."""
    from syncd.service.health import Grade, examine

    found = list(examine(remotes=not offline))
    if as_json:
        say_json([{"about": one.about, "what": one.what, "grade": str(one.grade), "says": one.says} for one in found])
    else:
        inks = {Grade.GOOD: Ink.GOOD, Grade.NOTE: Ink.WAIT, Grade.BAD: Ink.BAD}
        about = None
        for one in found:
            if one.about != about:
                about = one.about
                say(paint(shown(about), bold=True))
            for line in columns([[paint(f"{one.grade:4}", inks[one.grade]), f"{one.what:8}", one.says]]):
                say(line)
        bad = sum(one.grade is Grade.BAD for one in found)
        say(f"\n{count(bad, 'fault')} found" if bad else "\nall is well")
    sys.stdout.flush()
    return 1 if any(one.grade is Grade.BAD for one in found) else 0
