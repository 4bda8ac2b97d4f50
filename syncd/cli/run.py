"""`syncd run`: the daemon in the foreground, or one sync and out."""

import time
from typing import TYPE_CHECKING, Any

import click
import msgspec

from syncd.cli import reach
from syncd.cli.render import progress_line, say, say_json
from syncd.cli.status import waited
from syncd.control.client import NoDaemon
from syncd.model.path import shown
from syncd.settings import LogFormat, LogLevel, Settings

if TYPE_CHECKING:
    from syncd.service.running import Settled


@click.command(epilog="\b\nExamples:\n  syncd run\n  syncd run ~/Sync --once\n  syncd run --log-format json")
@reach.roots_argument()
@click.option("--once", is_flag=True, help="Sync until settled, then end (0 in sync, 3 something waits for you).")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="With --once: give up after this (4).")
@reach.json_option()
@click.option("--log-format", type=click.Choice([str(one) for one in LogFormat]), help="For people or for machines.")
@click.option("--log-level", type=click.Choice([str(one) for one in LogLevel]), help="How much is logged.")
def run(
    roots: tuple[str, ...],
    once: bool,
    timeout: float | None,
    as_json: bool,
    log_format: str | None,
    log_level: str | None,
) -> int:
    """Run the daemon in the foreground, for all folders or those named.

    With --once, a folder whose daemon runs already is not touched: that daemon is asked, and waited for.
    """
    from syncd.service import config, logs

    settings = config.load()
    settings = msgspec.structs.replace(
        settings,
        log=msgspec.structs.replace(
            settings.log,
            format=LogFormat(log_format) if log_format else settings.log.format,
            level=LogLevel(log_level) if log_level else (LogLevel.WARNING if once else settings.log.level),
        ),
    )
    logs.configure(settings.log.level, settings.log.format)
    records = reach.chosen(roots)
    if not once:
        from syncd.service.roots import Roots
        from syncd.service.running import run_until_stopped

        return max(run_until_stopped(Roots(), records, settings), reach.left_out())
    deadline = None if timeout is None else time.monotonic() + timeout
    ended: list[dict[str, Any]] = []
    for record in records:
        left = None if deadline is None else max(0.001, deadline - time.monotonic())
        settled = _once(record.id, settings, left)
        if not as_json:
            say(f"{shown(record.path)}: {settled.text}")
        ended.append({"root": record.path, "code": settled.code, "text": settled.text, "opened": settled.opened})
    if as_json:
        say_json(ended)
    return reach.worst([int(one["code"]) for one in ended])


def _once(root_id: str, settings: Settings, timeout: float | None) -> "Settled":
    from syncd.service.roots import Roots
    from syncd.service.running import Settled, run_once

    roots = Roots()
    record = roots.load(root_id)
    try:
        return Settled(*waited(record, timeout))
    except NoDaemon:
        with progress_line() as show:
            return run_once(roots, record, settings, timeout, show)
