"""`syncd plan`: what would be done, in the order it would start, after a fresh look that does nothing."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from syncd.cli import reach
from syncd.cli.render import Ink, ago, columns, count, paint, say, say_json, size
from syncd.control.client import NoDaemon
from syncd.model.errors import Offline, SyncdError
from syncd.model.path import shown
from syncd.service.roots import RootRecord, Roots

RULES_NAME: Final = ".syncignore"


@dataclass(frozen=True, slots=True)
class Seen:
    """Where a root's plan lies, how its look ended (an exit code), and what a person should know of it."""

    database: Path
    code: int
    note: str


@click.command(epilog="\b\nExamples:\n  syncd plan\n  syncd plan --json ~/Sync\n"
               "  syncd pause && syncd plan && syncd resume")  # fmt: skip
@reach.roots_argument()
@reach.json_option()
@click.option("--limit", default=200, show_default=True, type=click.IntRange(min=1), help="Show at most this many.")
@click.option("--queue", "no_look", is_flag=True, help="Do not look first: show the queue as it is.")
@click.option("--timeout", default=60.0, show_default=True, type=click.FloatRange(min=0), metavar="SECONDS",
              help="Show what was found after this long (ends with 4).")  # fmt: skip
def plan(roots: tuple[str, ...], as_json: bool, limit: int, no_look: bool, timeout: float) -> int:
    """Show what would be done, in the order it would start.

    Looks at the folder and the remote first, and changes neither. A daemon that runs is asked to look, and goes on
    with its work; without one, the look is made on a copy of the database that is thrown away.
    """
    found = [_of(record, limit, no_look, timeout) for record in reach.chosen(roots)]
    if as_json:
        say_json({
            "roots": [one["root"] for one in found],
            "looks": [{name: one[name] for name in ("root", "code", "note", "total")} for one in found],
            "ops": [op for one in found for op in one["ops"]],
        })  # fmt: skip
    else:
        for one in found:
            _show(one)
    return reach.worst([one["code"] for one in found])


def _of(record: RootRecord, limit: int, no_look: bool, timeout: float) -> dict[str, Any]:
    """Return everything `plan` says of a root, as plain values."""
    from syncd.db.views import open_view

    with contextlib.ExitStack() as undo:
        try:
            seen = undo.enter_context(_queue(record) if no_look else _looked(record, timeout))
        except SyncdError as error:  # one folder that cannot be looked at hides no other
            return {"root": record.path, "code": 1, "note": str(error), "total": 0, "ops": []}
        if seen.code == 1:
            return {"root": record.path, "code": 1, "note": seen.note, "total": 0, "ops": []}
        view = undo.enter_context(open_view(str(seen.database)))
        undo.enter_context(view.moment())
        ops, total = view.ops(limit=limit), sum(n for s, n in view.summary().ops.items() if str(s) != "done")
    note = seen.note
    if any(one.path == RULES_NAME and str(one.queued.op.type) == "download" for one in ops):
        note += f"; {RULES_NAME} comes first, and what it excludes stays where it is"
    rows = [
        {"root": record.path, "path": one.path, "op": str(one.queued.op.type), "side": str(one.queued.op.side),
         "state": str(one.queued.state), "bytes": one.queued.op.size, "waits": _waits(one)}
        for one in ops
    ]  # fmt: skip
    return {"root": record.path, "code": seen.code, "note": note, "total": total, "ops": rows}


@contextlib.contextmanager
def _looked(record: RootRecord, timeout: float) -> Iterator[Seen]:
    database = Roots().folder(record.id).database
    try:
        answer = reach.ask(record, "scan", timeout, remote="yes")
        yield Seen(database, answer.code, answer.text)
        return
    except NoDaemon:
        pass
    except Offline:
        yield Seen(database, 4, "the look is not over: this is the queue as it is (--timeout waits longer)")
        return
    from syncd.service import config
    from syncd.service.preview import previewed

    with previewed(Roots(), record, config.load(), timeout) as seen:
        idle = "" if seen.code == 1 else "; no daemon runs, so nothing is done: `syncd run` does it"
        yield Seen(seen.database, seen.code, seen.text + idle)


@contextlib.contextmanager
def _queue(record: RootRecord) -> Iterator[Seen]:
    from syncd.db.views import open_view

    database = Roots().folder(record.id).database
    with open_view(str(database)) as view:
        ends = [run.finished for run in view.runs() if str(run.status) == "completed" and run.finished]
    looked = f"the last look at the whole folder ended {ago(max(ends))}" if ends else "no look was completed yet"
    yield Seen(database, 0, f"the queue as it is; {looked}")


def _show(one: dict[str, Any]) -> None:
    bad = one["code"] == 1
    what = "cannot be planned" if bad else count(one["total"], "op") if one["total"] else "nothing to do"
    say(f"{paint(shown(one['root']), bold=True)}: {what}")
    say(f"  {paint(one['note'], Ink.BAD if bad else None, dim=not bad)}")
    for line in columns(
        [op["op"].replace("_", " "), op["state"], size(op["bytes"]) if op["bytes"] else "", op["path"] + op["waits"]]
        for op in one["ops"]
    ):
        say(line)
    if one["total"] > len(one["ops"]):
        say(f"  ... and {one['total'] - len(one['ops']):,} more (--limit)")


def _waits(one: Any) -> str:
    """Return what an op waits for: other ops, or a way around what went wrong last time."""
    queued = one.queued
    waits = [f"waits {one.waits}"] if one.waits else []
    if queued.last_error:
        waits.append(shown(queued.last_error))
    return f"  ({'; '.join(waits)})" if waits else ""
