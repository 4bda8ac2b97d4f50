"""`syncd pause`, `resume`, `scan` and `retry`: hold work, go on, look again, try again."""

import time
from typing import Final

import click

from syncd.cli import reach
from syncd.cli.meanwhile import shown_meanwhile
from syncd.control.client import Answer, NoDaemon
from syncd.model.errors import Refused
from syncd.service.roots import RootRecord, Roots

TRIES: Final = 50
MOMENT: Final = 0.2
"""How often, and how many seconds apart, a daemon that is starting or stopping is asked again."""


def _asked(roots: tuple[str, ...], as_json: bool, verb: str, **arguments: str) -> int:
    def one(record: RootRecord) -> tuple[int, str]:
        with shown_meanwhile(record):
            return reach.ask(record, verb, None, **arguments)[:2]

    return reach.tell_each(reach.chosen(roots), one, as_json=as_json)


def _paused(roots: tuple[str, ...], as_json: bool, paused: bool) -> int:
    kept = "paused for the next daemon" if paused else "resumed for the next daemon; none runs now"

    def one(record: RootRecord) -> tuple[int, str]:
        answer = _pause_one(record, paused)
        return (0, kept) if answer is None else answer[:2]

    return reach.tell_each(reach.chosen(roots), one, as_json=as_json)


def _pause_one(record: RootRecord, paused: bool) -> Answer | None:
    """Ask the root's daemon, or, without one, keep the decision for the next; one that only starts is waited for."""
    for left in reversed(range(TRIES)):
        try:
            return reach.ask(record, "pause" if paused else "resume")
        except NoDaemon:
            try:
                Roots().keep_paused(record.id, paused)
            except Refused:  # it has the root's lock, and does not answer yet, or not any more
                if not left:
                    raise
                time.sleep(MOMENT)
            else:
                return None
    return None


@click.command(epilog="\b\nExample:\n  syncd pause ~/Sync")
@reach.roots_argument()
@reach.json_option()
def pause(roots: tuple[str, ...], as_json: bool) -> int:
    """Hold all work until `syncd resume`, also across restarts."""
    return _paused(roots, as_json, paused=True)


@click.command(epilog="\b\nExample:\n  syncd resume")
@reach.roots_argument()
@reach.json_option()
def resume(roots: tuple[str, ...], as_json: bool) -> int:
    """Go on with work."""
    return _paused(roots, as_json, paused=False)


@click.command(epilog="\b\nExamples:\n  syncd scan\n  syncd scan --deep ~/Sync")
@reach.roots_argument()
@reach.json_option()
@click.option("--deep", is_flag=True, help="Read every file and compare its hash.")
def scan(roots: tuple[str, ...], as_json: bool, deep: bool) -> int:
    """Look at the whole folder again and return when that is done."""
    return _asked(roots, as_json, "scan", deep="yes" if deep else "no")


@click.command(epilog="\b\nExample:\n  syncd retry")
@reach.roots_argument()
@reach.json_option()
def retry(roots: tuple[str, ...], as_json: bool) -> int:
    """Try again at once what waits for another attempt or was given up."""
    return _asked(roots, as_json, "retry")
