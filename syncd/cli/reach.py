"""How commands reach roots and their daemons. Light: only root.json and the control socket's client are read here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from syncd.cli.render import one_line, say, say_json
from syncd.control import client
from syncd.model.path import shown
from syncd.service import folders
from syncd.service.roots import RootRecord, Roots

_LEFT_OUT = "syncd.roots left out"
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def roots_argument(many: bool = True) -> Decorator:
    """Return the ROOT argument every command shares: any path inside a root names it."""
    return click.argument("roots", metavar="[ROOT]..." if many else "[ROOT]", nargs=-1 if many else 1, required=False)


def json_option() -> Decorator:
    """Return the ``--json`` option every listing shares."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")


def chosen(roots: tuple[str, ...] | str | None) -> list[RootRecord]:
    """Return the roots a person named, or all. Of all, one that cannot be read is said and left out: see ``worst``."""
    paths = (roots,) if isinstance(roots, str) else tuple(roots or ())
    found = Roots()
    records = found.select(paths)
    if not paths:
        for problem in found.survey().problems:
            click.echo(f"syncd: {one_line(problem)}", err=True)
            click.get_current_context().meta[_LEFT_OUT] = True
    return records


def left_out() -> int:
    """Return 1 when ``chosen`` left a root out in this command, else 0."""
    context = click.get_current_context(silent=True)
    return 1 if context is not None and context.meta.get(_LEFT_OUT) else 0


def socket_of(record: RootRecord) -> Path:
    """Return where the root's daemon listens, if one does."""
    note = Roots().folder(record.id).socket_note
    try:
        return Path(note.read_text(encoding="utf-8", errors="surrogateescape").strip())
    except (FileNotFoundError, NotADirectoryError):
        return folders.socket_path(record.id)


def ask(record: RootRecord, verb: str, timeout: float | None = None, **arguments: str) -> client.Answer:
    """Ask the root's daemon; raises NoDaemon when none runs."""
    return client.ask(socket_of(record), verb, arguments, timeout)


def tell_each(records: list[RootRecord], ask_one: Callable[[RootRecord], tuple[int, str]], *, as_json: bool) -> int:
    """Say what *ask_one* answers for each root (exit code and words), and return the exit code for all of them."""
    ended = []
    for record in records:
        code, text = ask_one(record)
        ended.append({"root": record.path, "code": code, "text": text})
        if not as_json:
            say(f"{shown(record.path)}: {text}")
    if as_json:
        say_json(ended)
    return worst([int(str(one["code"])) for one in ended])


def live(record: RootRecord) -> dict[str, Any] | None:
    """Return the daemon's live status, or None when none runs."""
    try:
        return client.status(socket_of(record))
    except client.NoDaemon:
        return None


def worst(codes: list[int]) -> int:
    """Return the exit code for several roots: failed before late before waiting before fine.

    A root that could not even be read has failed."""
    found = [*codes, left_out()]
    return next((code for code in (1, 4, 3, 2) if code in found), 0)
