"""`syncd status` and `syncd wait`: what is in sync, what is not, why, and what happens next (P12)."""

import contextlib
import time
from collections import Counter
from typing import Any

import click

from syncd.cli import reach
from syncd.cli.meanwhile import shown_meanwhile
from syncd.cli.render import Ink, ago, ahead, columns, count, op_words, paint, say, say_json, size, span
from syncd.control.client import NoDaemon
from syncd.model.errors import Offline, Refused, SyncdError, Usage
from syncd.model.op import needs_help
from syncd.model.path import shown
from syncd.model.status import Phase
from syncd.service.mends import LOST_DATABASE, mend_of, mend_of_name
from syncd.service.roots import RootRecord, Roots

SHOWN = 20
LISTED = 1000
"""How many entries of a kind a script gets; a person is shown a few of each."""
ALIKE_SHOWN = 3
"""How many entries with one and the same reason are shown."""
_INK = {"in sync": Ink.GOOD, "offline": Ink.WAIT, "paused": Ink.WAIT, "stopped": Ink.BAD}


@click.command(
    epilog="\b\nExamples:\n  syncd status\n  syncd status ~/Sync --watch\n  syncd status --json | jq .roots[].live"
)
@reach.roots_argument()
@reach.json_option()
@click.option("--watch", is_flag=True, help="Keep showing it until interrupted.")
def status(roots: tuple[str, ...], as_json: bool, watch: bool) -> int:
    """Say what is in sync, what is not, why, and what happens next.

    Ends with 3 when something waits for you.
    """
    records = reach.chosen(roots)
    if watch and as_json:
        raise Usage("--watch and --json do not go together: call `syncd status --json` repeatedly")
    if watch:
        return _watch(records)
    found = [gather(record, LISTED if as_json else SHOWN + 1) for record in records]
    if as_json:
        say_json({"roots": found})
    else:
        say("\n\n".join("\n".join(lines_of(root)) for root in found))
    return reach.worst([3 if waits(root) else 0 for root in found])


@click.command(epilog="\b\nExample:\n  syncd wait ~/Sync --timeout 60 && echo 'all is in sync'")
@reach.roots_argument()
@reach.json_option()
@click.option(
    "--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Give up after this long (ends with 4)."
)
def wait(roots: tuple[str, ...], as_json: bool, timeout: float | None) -> int:
    """Return when all that is on disk and on the remote now is in sync.

    Needs a running daemon: ends with 1, and says so, without one.
    """
    deadline = None if timeout is None else time.monotonic() + timeout

    def one(record: RootRecord) -> tuple[int, str]:
        return waited(record, None if deadline is None else max(0.001, deadline - time.monotonic()))

    return reach.tell_each(reach.chosen(roots), one, as_json=as_json)


def waited(record: RootRecord, timeout: float | None) -> tuple[int, str]:
    """Wait for a root's daemon to be in sync; return the exit code and what to say."""
    try:
        live = reach.live(record)
        if live is None:
            raise NoDaemon("")
        if live["live"]["phase"] == "paused":  # waiting for a person's own `resume` could last for ever
            return 3, "paused: `syncd resume` goes on"
        with shown_meanwhile(record):
            answer = reach.ask(record, "wait", timeout)
    except NoDaemon:
        raise NoDaemon(f"{shown(record.path)}: no daemon runs here: start one with `syncd run`") from None
    except Offline:
        return 4, "not in sync before the time limit; `syncd status` says why"
    return answer.code, answer.text


# --- gathering --------------------------------------------------------------------------------------------------


def gather(record: RootRecord, limit: int = SHOWN + 1) -> dict[str, Any]:
    """Return everything status says of a root, as plain values; what cannot be read says so in ``problem``.

    At most *limit* entries of each list."""
    from syncd.db.views import open_view  # SQLite is not needed to say "no folder is tied"

    found: dict[str, Any] = {
        "path": record.path,
        "remote": record.remote,
        "device": record.device,
        "paused": record.paused,
        "daemon": None,
        "live": None,
        "problem": "",
    }
    try:
        if (reply := reach.live(record)) is not None:
            found["daemon"], found["live"] = reply["pid"], reply["live"]
    except SyncdError as error:
        found["problem"] = str(error)
    database = Roots().folder(record.id).database
    try:
        if found["daemon"] is not None and not database.exists():
            raise Refused(f"the database {database} is gone under the daemon: {LOST_DATABASE}")
        with open_view(str(database)) as view, view.moment():
            found.update(_numbers(view.summary()))
            found["waiting"] = [_op(one, record.path) for one in view.blocked(limit)]
            reasons = {str(group.side): group.reason for group in view.groups() if str(group.kind) == "held"}
            for op in found["waiting"]:
                if op["held"]:  # its own words are of the moment it was held, and the group has grown since
                    op["why"] = reasons.get(op["side"], op["why"])
            found["stuck"] = sum(op["stuck"] for op in found["waiting"])
            found["unsynced"] = [
                {"path": one.path, "why": one.why, "detail": one.detail,
                 "mend": mend_of_name(one.why, f"{shown(record.path)}/{one.path}", in_the_way=one.in_the_way)}
                for one in view.not_synced(limit)
            ]  # fmt: skip
    except SyncdError as error:
        found["problem"] = found["problem"] or str(error)
    return of_one_moment(found)


def of_one_moment(found: dict[str, Any]) -> dict[str, Any]:
    """Return *found* with a phase that fits its numbers.

    The daemon answered first and the database was read after it: where both disagree, work began in between.
    """
    live, ops = found["live"], found.get("ops", {})
    if live is not None and live["phase"] == Phase.IN_SYNC and (ops.get("ready") or ops.get("running")):
        found["live"] = {**live, "phase": str(Phase.SYNCING), "why": "", "since": 0.0}
    return found


def _numbers(summary: Any) -> dict[str, Any]:
    local = summary.counts.local
    return {
        "nodes": {"files": local.files, "directories": local.directories, "symlinks": local.symlinks},
        "bytes": local.bytes,
        "trash_bytes": summary.trash_bytes,
        "disagreeing": summary.disagreeing,
        "ops": {str(state): number for state, number in summary.ops.items()},
        "conflicts": summary.conflicts_open,
        "held_groups": summary.groups_undecided,
        "held_items": summary.items_undecided,
    }


def _op(one: Any, root: str) -> dict[str, Any]:
    queued = one.queued
    return {
        "path": one.path,
        "op": str(queued.op.type),
        "side": str(queued.op.side),
        "held": queued.error_class == "held",
        "state": str(queued.state),
        "attempts": queued.attempts,
        "next_at": queued.next_at,
        "stuck": needs_help(queued.attempts, queued.error_class),
        "mend": mend_of(queued.error_class, f"{shown(root)}/{one.path}"),
        "why": queued.last_error or (f"waits {one.waits}" if one.waits else ""),
    }


def waits(root: dict[str, Any]) -> bool:
    """Return whether something waits for a person."""
    ops, live = root.get("ops", {}), root.get("live") or {}
    return bool(
        live.get("phase") == "stopped"
        or root.get("conflicts")
        or root.get("held_groups")
        or root.get("stuck")
        or ops.get("failed")
        or ops.get("blocked")
    )


def _idle(root: dict[str, Any]) -> bool:
    """Return whether nothing moves: what is still to be done cannot go on before a person helps."""
    phase, ops = root["live"]["phase"], root.get("ops", {})
    left = ops.get("ready", 0) - root.get("stuck", 0)
    return bool(phase == "in sync" or (phase == "syncing" and left <= 0 and not ops.get("running")))


# --- showing ----------------------------------------------------------------------------------------------------


def lines_of(root: dict[str, Any]) -> list[str]:
    """Return what a person reads about one root."""
    live = root["live"]
    lines = [f"{paint(shown(root['path']), Ink.NAME, bold=True)}  {_phase(root)}"]
    rows = [["remote", _remote(root)]]
    if "nodes" in root:
        nodes = root["nodes"]
        here = [count(nodes["files"], "file"), count(nodes["directories"], "folder"), size(root["bytes"])]
        if root.get("trash_bytes"):
            here.append(f"and {size(root['trash_bytes'])} in the trash")
        rows.append(["here", ", ".join(here)])
    if live is None:
        rows.append(["daemon", paint("not running: start it with `syncd run`", Ink.WAIT)])
    if root["problem"]:
        rows.append(["problem", paint(root["problem"], Ink.BAD)])
    if work := _work(root):
        rows.append(["work", work])
    if live is not None and live["next_at"]:
        rows.append(["next", f"tries again {ahead(live['next_at'])}"])
    if root.get("conflicts"):
        rows.append(["waits", paint(f"{count(root['conflicts'], 'conflict')}: `syncd conflicts`", Ink.WAIT)])
    if root.get("held_groups"):
        held = f"{count(root['held_items'], 'change')} held in {count(root['held_groups'], 'group')}: `syncd approve`"
        rows.append(["waits", paint(held, Ink.WAIT)])
    lines += columns(rows)
    if live is not None:
        lines += _running(live)
        if live["unwatched"]:
            lines.append(f"  {count(len(live['unwatched']), 'folder')} cannot be watched, and are polled instead:")
            lines += [f"    {shown(path)}" for path in live["unwatched"][:5]]
        for path, since in live.get("busy", ()):
            lines.append(f"  {path} is being written, and did not rest since {ago(since)}: it travels once it does")
    lines += _listed("waiting", root.get("waiting", []), "op", "`syncd plan --queue`")
    lines += _listed("not synced here", root.get("unsynced", []), None, "`syncd status --json`")
    return lines


def _phase(root: dict[str, Any]) -> str:
    live = root["live"]
    if live is None:
        return paint("paused, and no daemon runs" if root["paused"] else "no daemon runs", Ink.WAIT)
    phase = str(live["phase"])
    if waits(root) and _idle(root):  # nothing moves, but not everything is the same on both sides
        return paint("waits for you", Ink.WAIT, bold=True)
    text = paint(phase, _INK.get(phase), bold=True)
    if live["why"]:
        text += f": {shown(live['why'])}"
    if live["since"]:
        text += paint(f"  since {ago(live['since'])}" if phase != "in sync" else "", dim=True)
    return text


def _remote(root: dict[str, Any]) -> str:
    live = root["live"]
    text = f"{shown(root['remote'])} as {shown(root['device'])}"
    if live is not None and not live["remote_online"]:
        # The phase says why already, most of the time.
        why = "" if live["remote_detail"] == live["why"] else f": {shown(live['remote_detail'])}"
        text += paint(f"  offline{why}", Ink.WAIT)
    return text


def _work(root: dict[str, Any]) -> str:
    ops, parts = root.get("ops", {}), []
    for state, word in (("running", "running"), ("ready", "waiting"), ("blocked", "blocked"), ("failed", "given up")):
        if ops.get(state):
            parts.append(f"{ops[state]:,} {word}")
    live = root["live"]
    if live is not None:
        # A daemon from before these fields may still run.
        rates = {way: live.get(f"rate_{way}", 0) for way in ("up", "down")}
        parts += [f"{size(rate)}/s {way}" for way, rate in rates.items() if rate >= 1]
        # Without anything at work the rest waits: for a time, for space, for a person; nobody knows for how long.
        if live.get("seconds_left") is not None and live["running"]:
            parts.append(f"{'' if live['seconds_left'] < 1 else 'about '}{span(live['seconds_left'])} left")
    return ", ".join(parts)


def _running(live: dict[str, Any]) -> list[str]:
    rows = []
    for op in live["running"]:
        done, total = op["bytes_done"], op["bytes_total"]
        share = f"{100 * done // total:3d} %  {size(done)} of {size(total)}" if total else ""
        rows.append([op_words(op["type"]), share, op["path"]])
    return columns(rows, indent=4)


def _listed(title: str, entries: list[dict[str, Any]], kind: str | None, more: str) -> list[str]:
    """Return what is said of *entries*; *more* is the command that shows all of them."""
    if not entries:
        return []
    rows, alike, left = [], Counter[str](), 0
    for entry in entries[:SHOWN]:
        alike[entry["why"]] += 1
        if alike[entry["why"]] > ALIKE_SHOWN:  # thousands of held deletes say all the same
            left += 1
            continue
        why = entry["why"] + (f" ({entry['detail']})" if entry.get("detail") else "")
        why += f": {entry['mend']}" if entry.get("mend") else ""
        if entry.get("next_at") and entry.get("state") != "blocked":  # what is blocked waits for no time
            why += f", tried again {ahead(entry['next_at'])}"
        rows.append([op_words(entry[kind]) if kind else "", entry["path"], shown(why)])
    lines = [f"  {title}:", *columns([row if kind else row[1:] for row in rows], indent=4)]
    return lines if not left and len(entries) <= SHOWN else [*lines, f"    ... (all of it: {more})"]


def _watch(records: list[RootRecord]) -> int:
    from rich.console import Console  # heavy, and needed only here
    from rich.live import Live
    from rich.text import Text

    def picture() -> Text:
        found = [gather(record) for record in records]
        return Text.from_ansi("\n\n".join("\n".join(lines_of(root)) for root in found))

    console = Console(highlight=False)
    # Interrupted is how it ends, also before the first picture is whole.
    with contextlib.suppress(KeyboardInterrupt), Live(picture(), console=console, auto_refresh=False) as display:
        while True:
            time.sleep(1.0)
            display.update(picture(), refresh=True)
    return 0
