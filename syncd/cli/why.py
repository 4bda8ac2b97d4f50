"""`syncd why`, `activity` and `runs`: why a path is as it is and what happens next, what was done, and long work."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from syncd.cli import reach
from syncd.cli.render import ago, ahead, columns, moment, op_words, paint, say, say_json, size, span
from syncd.model.errors import Usage
from syncd.model.node import Absent, Present, Reason, State, Tree, Unknown
from syncd.model.path import RelPath, shown, shown_path
from syncd.service.mends import mend_of, mend_of_name
from syncd.service.roots import Roots

if TYPE_CHECKING:
    from syncd.db.facts import HeldEntry

HELD_LOOKED_AT: Final = 10_000


@click.command(epilog="\b\nExamples:\n  syncd why ~/Sync/report.odt\n  syncd why --json ./notes")
@click.argument("path", type=click.Path(readable=False))
@reach.json_option()
def why(path: str, as_json: bool) -> int:
    """Say why a path is as it is, and what happens next."""
    from syncd.db.views import open_view
    from syncd.service.unknown import why_unknown

    # The last component is not resolved: the question may be about a symlink itself.
    given = Path(os.path.abspath(os.path.expanduser(path)))
    real = Path(os.path.realpath(given.parent)) / given.name
    record = Roots().owner(real.parent) or Roots().owner(real)
    if record is None:
        raise Usage(f"{shown(path)}: is not in a synced folder; `syncd status` lists them")
    relative = real.relative_to(record.path).parts if real != Path(record.path) else ()
    with open_view(str(Roots().folder(record.id).database)) as view, view.moment():
        nodes, done = view.at_path(relative), view.activity_of(shown_path(relative), limit=10)
        held = (
            [] if nodes else [entry for folder, entry in view.held(HELD_LOOKED_AT) if _is_at(folder, entry, relative)]
        )
        uppers = [view.at_path(relative[:depth]) for depth in range(1, len(relative))]
        above = [line for there in uppers for line in _above(there, record.path)]
        unknown = "" if nodes or held else why_unknown(record.path, relative, view)
    if as_json:
        say_json({"root": record.path, "path": shown_path(relative), "nodes": [_as_plain(one) for one in nodes],
                  "above": above, "unknown": unknown,
                  "activity": [{"at": row.at, "what": row.what, "why": row.why, "outcome": row.outcome}
                               for row in done]})  # fmt: skip
        return 0 if nodes or done else 1
    say(f"{paint(shown_path(relative), bold=True)}  in {shown(record.path)}")
    for one in nodes:
        for line in _node_lines(one, record.path):
            say(line)
    for line in above:
        say(f"  {line}")
    for entry in held:
        say(f"  cannot be synced: {entry.detail or entry.reason}")
    owner = _owner(relative)
    if not nodes and not held and owner:
        say(
            f"  beside the SQLite database {shown(owner)} it is a part of it: its content travels inside {shown(owner)}"
        )
    elif not nodes and not held and not above:
        say(f"  {unknown}")
    if done:
        say("  what was done:")
        for line in columns(([ago(row.at), op_words(row.what), row.outcome, row.why] for row in done), indent=4):
            say(line)
    return 0 if nodes or done or held else 1


def _is_at(folder: str, entry: "HeldEntry", relative: RelPath) -> bool:
    """Return whether a held entry is what lies at *relative*."""
    return bool(relative) and (folder, entry.name) == (shown_path(relative[:-1]), shown(relative[-1]))


def _owner(relative: RelPath) -> str:
    """Return the database a name would be a sidecar of, "" when it can be none."""
    name = relative[-1] if relative else ""
    return next((name.removesuffix(end) for end in ("-wal", "-shm", "-journal") if name.endswith(end)), "")


def _above(nodes: list[Any], root: str) -> list[str]:
    """Return what keeps all below a folder from being synced."""
    lines = []
    for one in nodes:
        state = one.node.local
        if isinstance(state, Unknown) and state.reason not in (Reason.NOT_LOOKED, Reason.BUSY):
            path = f"{shown(root)}/{one.path}"
            mend = mend_of_name(state.reason.value, path, in_the_way=isinstance(one.node.remote, Present))
            lines.append(f"nothing below {one.path} is synced: it is {_said(state)}" + (f"; {mend}" if mend else ""))
    return lines


def _next(one: Any, root: str) -> list[list[str]]:
    """Return what happens next to a node, and what keeps it from that."""
    queued, node = one.queued, one.node
    if queued is None:
        return [["next", "nothing to do" if _agree(node) else "to be planned"]]
    text = op_words(queued.op.type)
    if one.group is not None:
        text += f", held in group {one.group.id} until you decide: `syncd approve`"
        return [["next", text], ["held for", shown(one.group.reason)]]
    text += f", {'given up: `syncd retry` tries all the same' if queued.state == 'failed' else queued.state}"
    if one.waits:
        text += f", waits {one.waits}"
    if queued.next_at and queued.state != "blocked":
        text += f", tried again {ahead(queued.next_at)}"
    rows = [["next", text]]
    if queued.last_error:
        mend = mend_of(queued.error_class, f"{shown(root)}/{one.path}")
        rows.append(["last error", shown(queued.last_error) + (f": {mend}" if mend else "")])
    return rows


def _node_lines(one: Any, root: str) -> list[str]:
    node = one.node
    rows = [
        ["here", _said(node.local)],
        ["remote", _said(node.remote)],
        ["in sync as", _said(node.synced)],
    ]
    if isinstance(node.local, Unknown):
        path = f"{shown(root)}/{one.path}"
        mend = mend_of_name(node.local.reason.value, path, in_the_way=isinstance(node.remote, Present))
        rows += [["mend", mend]] if mend else []
    rows += _next(one, root)
    rows += [["conflict", f"{row.kind}, number {row.id}: `syncd conflicts`"] for row in one.conflicts]
    return [f"  {node.kind} {one.path}", *columns(rows, indent=4)]


def _said(state: State) -> str:
    match state:
        case Present(hash=hash_, size=length, executable=executable):
            parts = [size(length)] if hash_ is not None else []
            parts += [f"content {hash_.hex()[:12]}"] if hash_ is not None else []
            return ", ".join(["there", *parts, *(["executable"] if executable else [])])
        case Absent():
            return "not there"
        case Unknown(reason=reason, detail=detail):
            return f"{reason}" + (f": {shown(detail)}" if detail else "")


def _agree(node: Any) -> bool:
    states = [node.state(tree) for tree in (Tree.SYNCED, Tree.REMOTE, Tree.LOCAL)]
    keys = [(s.place, s.hash, s.executable) if isinstance(s, Present) else type(s).__name__ for s in states]
    return all(key == keys[0] for key in keys) or any(isinstance(state, Unknown) for state in states)


def _as_plain(one: Any) -> dict[str, Any]:
    node, queued = one.node, one.queued
    return {
        "path": one.path,
        "kind": str(node.kind),
        "local": _said(node.local),
        "remote": _said(node.remote),
        "synced": _said(node.synced),
        "op": None if queued is None else {"type": str(queued.op.type), "state": str(queued.state),
                                           "attempts": queued.attempts, "next_at": queued.next_at,
                                           "last_error": queued.last_error},
        "conflicts": [row.id for row in one.conflicts],
        "held_group": one.group and one.group.id,
    }  # fmt: skip


@click.command(epilog="\b\nExamples:\n  syncd activity\n  syncd activity --limit 1000 --json ~/Sync")
@reach.roots_argument()
@reach.json_option()
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="Show at most this many.")
def activity(roots: tuple[str, ...], as_json: bool, limit: int) -> int:
    """Show what was done, to what, why and with what outcome; the newest first."""
    from syncd.db.views import open_view

    rows = []
    for record in reach.chosen(roots):
        with open_view(str(Roots().folder(record.id).database)) as view:
            rows += [(row.at, record, row) for row in view.activity(limit)]
    rows.sort(key=lambda found: (-found[0], found[2].id))
    if as_json:
        say_json([{"root": record.path, "at": at, "path": row.path, "what": row.what, "why": row.why,
                   "outcome": row.outcome, "bytes": row.bytes} for at, record, row in rows[:limit]])  # fmt: skip
        return 0
    for line in columns(
        [moment(at), op_words(row.what), row.outcome, size(row.bytes) if row.bytes else "",
         row.path + (paint(f"  {row.why}", dim=True) if row.why else "")]
        for at, _, row in rows[:limit]
    ):  # fmt: skip
        say(line)
    if not rows:
        say("nothing was done yet")
    return 0


@click.command(epilog="\b\nExample:\n  syncd runs")
@reach.roots_argument()
@reach.json_option()
def runs(roots: tuple[str, ...], as_json: bool) -> int:
    """Show long work, past and present: scans with their kind, result and length."""
    from syncd.db.views import open_view

    rows = []
    for record in reach.chosen(roots):
        with open_view(str(Roots().folder(record.id).database)) as view:
            rows += [(record, run) for run in view.runs()]
    rows.sort(key=lambda found: -found[1].started)
    if as_json:
        say_json([{"root": record.path, "id": run.id, "kind": str(run.kind), "status": str(run.status),
                   "started": run.started, "finished": run.finished, "processed": run.processed,
                   "errors": run.errors} for record, run in rows])  # fmt: skip
        return 0
    for line in columns(
        [moment(run.started), f"{run.kind} scan", str(run.status),
         span(run.finished - run.started) if run.finished else "", f"{run.processed:,} looked at",
         f"{run.errors:,} errors" if run.errors else "", shown(record.path)]
        for record, run in rows
    ):  # fmt: skip
        say(line)
    if not rows:
        say("no runs yet")
    return 0
