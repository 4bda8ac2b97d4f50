"""`syncd up`: a hub, a folder and the daemon in one step, in the foreground."""

import contextlib
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from syncd.cli.render import Ink, columns, paint, say
from syncd.model.errors import Transient
from syncd.model.invite import is_loopback
from syncd.model.path import shown
from syncd.service.roots import RootRecord
from syncd.settings import LogFormat, LogLevel

if TYPE_CHECKING:
    from syncd.service.hubs import HubData, Served

SPACE: Final = "files"


@click.command(epilog="\b\nExamples:\n  syncd up\n  syncd up ~/Documents/shared")
@click.argument("root", default="~/Sync")
@click.option("--log-format", type=click.Choice([str(one) for one in LogFormat]), help="For people or for machines.")
@click.option("--log-level", type=click.Choice([str(one) for one in LogLevel]), help="How much is logged.")
def up(root: str, log_format: str | None, log_level: str | None) -> int:
    """Start everything in the foreground: a hub on this machine, a folder (~/Sync) tied to it, and the daemon.

    Prints an invite for the next device. Ctrl-C stops it all; the next `syncd up` goes on.
    """
    from syncd.service import config, folders, logs
    from syncd.service.embedded import EmbeddedHub
    from syncd.service.hubs import HubData, exclusive
    from syncd.service.roots import Roots, resolved
    from syncd.service.running import started
    from syncd.service.stopping import stop_signals
    from syncd.service.supervisor import notify
    from syncd.service.tie import default_device, tie

    settings = config.load()
    logs.configure(
        LogLevel(log_level) if log_level else settings.log.level,
        LogFormat(log_format) if log_format else settings.log.format,
    )
    roots, path, data = Roots(), resolved(Path(root)), HubData(folders.data_dir())
    if not path.exists():
        path.mkdir(parents=True)
    roots.check_new(path)
    data.prepare()
    with contextlib.ExitStack() as undo:
        undo.enter_context(exclusive(data.path / "up.lock", "`syncd up` runs"))
        stopped = undo.enter_context(stop_signals())
        hub = EmbeddedHub(data, time.monotonic)
        undo.callback(hub.stop)
        served = hub.start()
        record = roots.tied(path)
        if record is None:
            invite = data.invite(SPACE, served)
            record = tie(roots, path, invite, default_device(), insecure=False, confirmed=_confirmed).record
        daemons = undo.enter_context(started(roots, [record], settings, stopped))
        address = record.address
        ours = (address.host, address.port) == (served.host, served.port)
        _welcome(record, _invite(data, address.space, served) if ours else None)
        notify("READY=1", "STATUS=hub and daemon run")
        stopped.wait()
        say("\nstopping ..." if sys.stdout.isatty() else "stopping ...")
        return 1 if any(daemon.failure for daemon in daemons) else 0


def _confirmed(what: str) -> bool:
    return sys.stdin.isatty() and click.confirm(f"{what}?", default=False, err=True)


def _invite(data: "HubData", space: str, served: "Served") -> str | None:
    """Return an invite for the next device; none while the disk is full, which is no reason not to run."""
    try:
        return data.invite(space, served)
    except Transient as error:
        say(f"no invite can be made now: {error}")
        return None


def _welcome(record: RootRecord, invite: str | None) -> None:
    """Say what runs, and how the next device joins."""
    say(paint("syncd is running", Ink.GOOD, bold=True) + "  (Ctrl-C stops it)")
    rows = [["folder", paint(shown(record.path), Ink.NAME)], ["hub", record.remote], ["device", shown(record.device)]]
    for line in columns(rows):
        say(line)
    if invite is not None:
        syncd, here = _itself(), is_loopback(record.address.host)
        where = "on this machine, with a state folder of its own" if here else "there"
        say(f"\nTo add a device (once, within 7 days), run {where}:\n")
        if here:
            say("  export XDG_STATE_HOME=~/.second-device")
        say(f"  {syncd} init {'~/Other' if here else '~/Sync'} --create --remote {shlex.quote(invite)}")
        say(f"  {syncd} run")
        if here:
            say(paint("\nThis hub is reached from this machine only; for others: syncd hub serve --help", dim=True))
    say()


def _itself() -> str:
    """Return how a person calls this program: by its name where the shell finds it, else by its path."""
    beside = Path(sys.executable).with_name("syncd")
    return shlex.quote(str(beside)) if shutil.which("syncd") is None and beside.exists() else "syncd"
