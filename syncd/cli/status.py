"""`syncd status` and `syncd wait`: what is in sync, what is not, why, and what happens next (P12)."""

import time
from collections import Counter
from typing import Any

import click

from syncd.cli import reach
from syncd.cli.render import Ink, ago, ahead, columns, count, paint, say, say_json, size, span
from syncd.control.client import NoDaemon
from syncd.model.errors import Offline, SyncdError, Usage
from syncd.model.node import Reason, Tree
from syncd.model.op import needs_help
from syncd.model.path import shown
from syncd.service.roots import RootRecord, Roots

SHOWN = 20
ALIKE_SHOWN = 3
"""How many entries with one and the same reason are shown."""
_MEND = {
    Reason.UNREADABLE.value: "give yourself the right to read it",
    Reason.OTHER_FILE_SYSTEM.value: "tie it as a folder of its own, if it is to be synced",
}
"""What a person can do about what is not synced here."""
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
    found = [gather(record) for record in records]
    if as_json:
        say_json({"roots": found})
    else:
        say("\n\n".join("\n".join(lines_of(root)) for root in found))
    return reach.worst([3 if waits(root) else 0 for root in found])


@click.command(epilog="\b\nExample:\n  syncd wait ~/Sync --timeout 60 && echo 'all is in sync'")
@reach.roots_argument()
@click.option(
    "--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Give up after this long (ends with 4)."
)
def wait(roots: tuple[str, ...], timeout: float | None) -> int:
    """Return when all that is on disk and on the remote now is in sync.

    Needs a running daemon: ends with 1, and says so, without one.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    codes = []
    for record in reach.chosen(roots):
        left = None if deadline is None else max(0.001, deadline - time.monotonic())
        code, text = waited(record, left)
        say(f"{shown(record.path)}: {text}")
        codes.append(code)
    return reach.worst(codes)


def waited(record: RootRecord, timeout: float | None) -> tuple[int, str]:
    """Wait for a root's daemon to be in sync; return the exit code and what to say."""
    try:
        live = reach.live(record)
        if live is None:
            raise NoDaemon("")
        if live["live"]["phase"] == "paused":  # waiting for a person's own `resume` could last for ever
            return 3, "paused: `syncd resume` goes on"
        answer = reach.ask(record, "wait", timeout)
    except NoDaemon:
        raise NoDaemon(f"{shown(record.path)}: no daemon runs here: start one with `syncd run`") from None
    except Offline:
        return 4, "not in sync before the time limit; `syncd status` says why"
    return answer.code, answer.text


# --- gathering --------------------------------------------------------------------------------------------------


def gather(record: RootRecord) -> dict[str, Any]:
    """Return everything status says of a root, as plain values; what cannot be read says so in ``problem``."""
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
    try:
        with open_view(str(Roots().folder(record.id).database)) as view, view.moment():
            found.update(_numbers(view.summary()))
            found["waiting"] = [_op(one) for one in view.blocked(SHOWN)]
            found["stuck"] = sum(op["stuck"] for op in found["waiting"])
            found["unsynced"] = [
                *({"path": f"{d}/{e.name}" if d != "." else e.name, "why": e.reason, "detail": e.detail}
                  for d, e in view.held(SHOWN)),
                *({"path": path, "why": reason.value, "detail": getattr(node.local, "detail", "")}
                  for reason in (Reason.UNREADABLE, Reason.OTHER_FILE_SYSTEM, Reason.BUSY, Reason.HELD)
                  for path, node in view.unknown(Tree.LOCAL, reason, SHOWN)),
                *({"path": path, "why": Reason.HELD.value, "detail": getattr(node.remote, "detail", "")}
                  for path, node in view.unknown(Tree.REMOTE, Reason.HELD, SHOWN)),
            ]  # fmt: skip
    except SyncdError as error:
        found["problem"] = found["problem"] or str(error)
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


def _op(one: Any) -> dict[str, Any]:
    queued = one.queued
    return {
        "path": one.path,
        "op": str(queued.op.type),
        "state": str(queued.state),
        "attempts": queued.attempts,
        "next_at": queued.next_at,
        "stuck": needs_help(queued.attempts, queued.error_class),
        "why": queued.last_error or ", ".join(str(wait.kind) for wait in queued.op.waits),
    }


def waits(root: dict[str, Any]) -> bool:
    """Return whether something waits for a person."""
    ops = root.get("ops", {})
    return bool(
        root.get("conflicts") or root.get("held_groups") or root.get("stuck") or ops.get("failed") or ops.get("blocked")
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
    lines += _listed("waiting", root.get("waiting", []), "op")
    lines += _listed("not synced here", root.get("unsynced", []), None)
    return lines


def _phase(root: dict[str, Any]) -> str:
    live = root["live"]
    if live is None:
        return paint("paused" if root["paused"] else "", Ink.WAIT)
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
        if live.get("seconds_left") is not None:
            parts.append(f"about {span(live['seconds_left'])} left")
    return ", ".join(parts)


def _running(live: dict[str, Any]) -> list[str]:
    rows = []
    for op in live["running"]:
        done, total = op["bytes_done"], op["bytes_total"]
        share = f"{100 * done // total:3d} %  {size(done)} of {size(total)}" if total else ""
        rows.append([str(op["type"]).replace("_", " "), share, op["path"]])
    return columns(rows, indent=4)


def _listed(title: str, entries: list[dict[str, Any]], kind: str | None) -> list[str]:
    if not entries:
        return []
    rows, alike, left = [], Counter[str](), 0
    for entry in entries[:SHOWN]:
        alike[entry["why"]] += 1
        if alike[entry["why"]] > ALIKE_SHOWN:  # thousands of held deletes say all the same
            left += 1
            continue
        why = entry["why"] + (f" ({entry['detail']})" if entry.get("detail") else "")
        why += f": {_MEND[entry['why']]}" if not kind and entry["why"] in _MEND else ""
        if entry.get("next_at") and entry.get("state") != "blocked":  # what is blocked waits for no time
            why += f", again {ahead(entry['next_at'])}"
        rows.append([entry[kind].replace("_", " ") if kind else "", entry["path"], shown(why)])
    lines = [f"  {title}:", *columns([row if kind else row[1:] for row in rows], indent=4)]
    return lines if not left and len(entries) < SHOWN else [*lines, "    ... (all of it: syncd plan, or --json)"]


def _watch(records: list[RootRecord]) -> int:
    from rich.console import Console  # heavy, and needed only here
    from rich.live import Live
    from rich.text import Text

    def picture() -> Text:
        found = [gather(record) for record in records]
        return Text.from_ansi("\n\n".join("\n".join(lines_of(root)) for root in found))

    with Live(picture(), console=Console(highlight=False), auto_refresh=False) as display:
        try:
            while True:
                time.sleep(1.0)
                display.update(picture(), refresh=True)
        except KeyboardInterrupt:
            return 0
