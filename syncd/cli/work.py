"""`syncd pause`, `resume`, `scan`, `retry` and `plan`: hold work, go on, look again, show what is next."""

import click

from syncd.cli import reach
from syncd.cli.render import columns, count, paint, say, say_json, size
from syncd.control.client import NoDaemon
from syncd.model.path import shown
from syncd.service.roots import RootKeeper, Roots


def _asked(roots: tuple[str, ...], verb: str, **arguments: str) -> int:
    codes = []
    for record in reach.chosen(roots):
        answer = reach.ask(record, verb, None, **arguments)
        say(f"{shown(record.path)}: {answer.text}")
        codes.append(answer.code)
    return reach.worst(codes)


def _paused(roots: tuple[str, ...], paused: bool) -> int:
    codes = []
    for record in reach.chosen(roots):
        try:
            answer = reach.ask(record, "pause" if paused else "resume")
            codes.append(answer.code)
            text = answer.text
        except NoDaemon:
            # No daemon runs: the decision is kept for the next one (root.json outlives everything else).
            RootKeeper(Roots(), record).keep_paused(paused)
            text = "paused for the next daemon" if paused else "resumed for the next daemon; none runs now"
        say(f"{shown(record.path)}: {text}")
    return reach.worst(codes)


@click.command(epilog="\b\nExample:\n  syncd pause ~/Sync")
@reach.roots_argument()
def pause(roots: tuple[str, ...]) -> int:
    """Hold all work until `syncd resume`, also across restarts."""
    return _paused(roots, paused=True)


@click.command(epilog="\b\nExample:\n  syncd resume")
@reach.roots_argument()
def resume(roots: tuple[str, ...]) -> int:
    """Go on with work."""
    return _paused(roots, paused=False)


@click.command(epilog="\b\nExamples:\n  syncd scan\n  syncd scan --deep ~/Sync")
@reach.roots_argument()
@click.option("--deep", is_flag=True, help="Read every file and compare its hash.")
def scan(roots: tuple[str, ...], deep: bool) -> int:
    """Look at the whole folder again and return when that is done."""
    return _asked(roots, "scan", deep="yes" if deep else "no")


@click.command(epilog="\b\nExample:\n  syncd retry")
@reach.roots_argument()
def retry(roots: tuple[str, ...]) -> int:
    """Try again at once what waits for another attempt or was given up."""
    return _asked(roots, "retry")


@click.command(epilog="\b\nExamples:\n  syncd plan\n  syncd plan --json ~/Sync")
@reach.roots_argument()
@reach.json_option()
@click.option("--limit", default=200, show_default=True, type=click.IntRange(min=1), help="Show at most this many.")
def plan(roots: tuple[str, ...], as_json: bool, limit: int) -> int:
    """Show what would be done, in the order it would start: the queue as it is now."""
    from syncd.db.views import open_view

    found = []
    for record in reach.chosen(roots):
        with open_view(str(Roots().folder(record.id).database)) as view, view.moment():
            ops, total = view.ops(limit=limit), sum(n for s, n in view.summary().ops.items() if str(s) != "done")
        found.append((record, ops, total))
    if as_json:
        rows = [
            {"path": one.path, "op": str(one.queued.op.type), "side": str(one.queued.op.side),
             "state": str(one.queued.state), "bytes": one.queued.op.size, "waits": _waits(one.queued)}
            for _, ops, _ in found for one in ops
        ]  # fmt: skip
        say_json({"roots": [record.path for record, _, _ in found], "ops": rows})
        return 0
    for record, ops, total in found:
        say(f"{paint(shown(record.path), bold=True)}: {count(total, 'op') if total else 'nothing to do'}")
        for line in columns(
            [str(one.queued.op.type).replace("_", " "), str(one.queued.state),
             size(one.queued.op.size) if one.queued.op.size else "", one.path + _waits(one.queued)]
            for one in ops
        ):  # fmt: skip
            say(line)
        if total > len(ops):
            say(f"  ... and {total - len(ops):,} more (--limit)")
    return 0


def _waits(queued: object) -> str:
    op = getattr(queued, "op", None)
    kinds = sorted({str(wait.kind) for wait in op.waits}) if op is not None else []
    return f"  (waits: {', '.join(kinds)})" if kinds else ""
