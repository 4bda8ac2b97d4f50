"""`syncd hub`: run a hub, invite devices to it, and look after it."""

import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncd.cli.render import ago, columns, count, paint, progress_wanted, say, say_json, size
from syncd.model.errors import Usage
from syncd.model.invite import parse_address
from syncd.model.path import shown
from syncd.service.hubs import DEFAULT_PORT, HubData, Served, data_path, reachable_host

if TYPE_CHECKING:
    from syncd.hub.core import Hub


def _data_option() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--data", metavar="DIR", help="The hub's data folder (default: the embedded hub's).")


@click.group()
def hub() -> None:
    """Run and manage a hub: the server that keeps spaces for devices to sync with."""


@hub.command(epilog="\b\nExamples:\n  syncd hub serve --data /srv/hub\n"
             "  syncd hub serve --listen 0.0.0.0:8765 --url hub.example.org --data /srv/hub")  # fmt: skip
@_data_option()
@click.option("--listen", default=f"127.0.0.1:{DEFAULT_PORT}", show_default=True, metavar="HOST:PORT")
@click.option("--url", metavar="HOST[:PORT]", help="How others reach this hub; goes into invites.")
@click.option("--insecure", is_flag=True, help="Plain HTTP beyond this machine, too. Tokens and files can be read.")
@click.option("--supervised", is_flag=True, hidden=True, help="Say the address on stdout; end when stdin ends.")
def serve(data: str | None, listen: str, url: str | None, insecure: bool, supervised: bool) -> int:
    """Run the hub until stopped.

    Beyond this machine it speaks TLS, with a certificate of its own that invites carry.
    """
    from syncd.adapters.system import SystemClock, raise_descriptor_limit
    from syncd.hub.server import HubServer, Ready, parse_listen
    from syncd.service import config, logs
    from syncd.service.supervisor import notify

    settings = config.load()
    logs.configure(settings.log.level, settings.log.format)
    raise_descriptor_limit()
    where, folder = parse_listen(listen, DEFAULT_PORT), data_path(data)
    with contextlib.ExitStack() as undo:
        undo.enter_context(folder.serve_lock())
        core = folder.open()
        undo.callback(core.close)

        def ready(found: Ready) -> None:
            served = _reached(found, url)
            folder.remember(served)
            if supervised:
                sys.stdout.write(json.dumps({"host": found.host, "port": found.port, "pin": found.pin}) + "\n")
                sys.stdout.flush()
            else:
                scheme = "https" if found.pin else "http"
                click.echo(f"hub at {scheme}://{found.host}:{found.port}, data in {folder.path}", err=True)
                click.echo(f"invite a device: syncd hub invite SPACE --data {folder.path}", err=True)
            notify("READY=1", f"STATUS=serving on {found.host}:{found.port}")

        server = HubServer(
            core, where, data_dir=folder.path, clock=SystemClock(), insecure=insecure, on_ready=ready,
            stop_fd=0 if supervised else None,
        )  # fmt: skip
        server.run()
        notify("STOPPING=1")
    return 0


def _reached(found: Any, url: str | None) -> Served:
    """Return how others reach a hub that listens at *found*."""
    if url is None:
        return Served(reachable_host(found.host), found.port, found.pin)
    return _from_url(url, found.port, found.pin)


def _from_url(url: str, port: int, pin: str | None) -> Served:
    """Read ``host``, ``host:port``, ``syncd://host:port`` or ``http(s)://host:port``."""
    text = url.split("://", 1)[-1].strip("/")
    bare_v6 = text.count(":") > 1 and not text.startswith("[")
    if bare_v6:
        text = f"[{text}]"
    if text.endswith("]") or ":" not in text:
        text = f"{text}:{port}"
    try:
        address = parse_address(f"syncd://{text}/x")
    except Usage as error:
        raise Usage(f"--url: {error}") from None
    return Served(address.host, address.port, pin)


@hub.command(epilog="\b\nExamples:\n  syncd hub invite files\n"
             "  syncd hub invite files --url hub.example.org:8765 --data /srv/hub")  # fmt: skip
@click.argument("space")
@_data_option()
@click.option("--url", metavar="HOST[:PORT]", help="How the new device reaches this hub.")
def invite(space: str, data: str | None, url: str | None) -> int:
    """Print an invite to SPACE, alone on standard output.

    The space is created when new.
    An invite makes a device of whoever holds it, once, within 7 days. Works while the hub serves, too.
    """
    folder = data_path(data)
    served = folder.served()
    if served is None and url is None:
        raise Usage(
            f"{folder.path}: this hub was never served, so its address is not known: say it with --url HOST:PORT"
        )
    if url is not None:
        known = served or Served("", DEFAULT_PORT, None)
        served = _from_url(url, known.port, known.pin)
    assert served is not None
    click.echo(folder.invite(space, served))
    return 0


@hub.command(epilog="\b\nExample:\n  syncd hub devices --data /srv/hub")
@click.argument("space", required=False)
@_data_option()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def devices(space: str | None, data: str | None, as_json: bool) -> int:
    """List the devices of all spaces, or of SPACE."""
    with _opened(data_path(data)) as core:
        found = core.devices(space)
    if as_json:
        say_json([{"id": one.device_id, "name": one.name, "space": one.space, "created": one.created_at,
                   "revoked": one.revoked_at} for one in found])  # fmt: skip
        return 0
    if not found:
        say("no devices yet: invite one with `syncd hub invite SPACE`")
    for line in columns(
        [shown(one.space), shown(one.name), f"added {ago(one.created_at)}",
         paint(f"revoked {ago(one.revoked_at)}", dim=True) if one.revoked_at else "", one.device_id]
        for one in found
    ):  # fmt: skip
        say(line)
    return 0


@hub.command(epilog="\b\nExample:\n  syncd hub revoke lost-laptop --data /srv/hub")
@click.argument("device")
@_data_option()
@click.option("--space", help="The device's space, when several devices have that name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def revoke(device: str, data: str | None, space: str | None, as_json: bool) -> int:
    """Take a device's access away, by name or id. Its files stay where they are."""
    with _opened(data_path(data)) as core:
        gone = core.revoke(device, space)
    if as_json:
        say_json({"id": gone.device_id, "name": gone.name, "space": gone.space, "revoked": gone.revoked_at})
    else:
        say(f"{shown(gone.name)} may no longer use {shown(gone.space)}")
    return 0


@hub.command(epilog="\b\nExample:\n  syncd hub gc --data /srv/hub --keep-days 30")
@_data_option()
@click.option("--keep-days", type=click.FloatRange(min=0), help="How long old versions stay (default: 90).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def gc(data: str | None, keep_days: float | None, as_json: bool) -> int:
    """Remove old versions and unused chunks.

    Works while the hub serves.
    """
    from syncd.hub.upkeep import HISTORY_RETENTION

    retention = HISTORY_RETENTION if keep_days is None else keep_days * 86400.0
    with _opened(data_path(data)) as core, _progress("removed", lambda done: f"{done:,}") as told:
        report = core.gc(retention, told)
    if as_json:
        say_json(dataclasses.asdict(report))
        return 0
    removed = [
        count(number, one)
        for number, one in ((report.versions, "version"), (report.tombstones, "tombstone"), (report.chunks, "chunk"))
        if number
    ]
    say(f"removed {', '.join(removed) or 'nothing'}")
    if report.bytes_freed:
        gone = count(report.containers, "container")
        say(f"{size(report.bytes_freed)} freed: {gone} removed, and what was still needed of them packed anew")
    return 0


@hub.command(epilog="\b\nExample:\n  syncd hub verify --data /srv/hub")
@_data_option()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def verify(data: str | None, as_json: bool) -> int:
    """Read and check everything stored. Ends with 1 when something is damaged."""
    with _opened(data_path(data)) as core, _progress("verifying") as told:
        report = core.verify(told)
    if as_json:
        say_json(dataclasses.asdict(report))
        return 1 if report.faults else 0
    say(f"{count(report.chunks, 'chunk')}, {size(report.bytes_read)}, {count(report.contents, 'content')} checked")
    for fault in report.faults:
        say(f"  {fault}")
    say("no faults" if not report.faults else f"{count(len(report.faults), 'fault')}: restore these from a backup")
    return 1 if report.faults else 0


@hub.command(epilog="\b\nExample:\n  syncd hub backup /mnt/backup/hub --data /srv/hub")
@click.argument("target")
@_data_option()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def backup(target: str, data: str | None, as_json: bool) -> int:
    """Copy the hub into the folder TARGET.

    The copy can be served as it is. Works while the hub serves.
    """
    path = Path(os.path.abspath(os.path.expanduser(target)))
    with _opened(data_path(data)) as core, _progress("backing up") as told:
        report = core.backup(path, told)
    if report.lost and not as_json:
        lost = count(len(report.lost), "container")
        say(f"{lost} missing from the hub itself, and from this copy: `syncd hub verify` says whose content that was")
    if as_json:
        say_json({"target": str(path), **dataclasses.asdict(report)})
        return 1 if report.lost else 0
    say(f"backed up to {shown(str(path))}; serve it with: syncd hub serve --data {shown(str(path))}")
    return 1 if report.lost else 0


@contextlib.contextmanager
def _progress(what: str, words: Callable[[int], str] = size) -> Iterator[Callable[[int], None] | None]:
    """Give something that shows how much is done on a terminal, None elsewhere. In bytes, unless *words* say it."""
    if not progress_wanted():
        yield None
        return

    def told(done: int) -> None:
        click.echo(f"\r{what}: {words(done)} ", nl=False, err=True)

    try:
        yield told
    finally:
        click.echo("\r\x1b[K", nl=False, err=True)


@contextlib.contextmanager
def _opened(folder: HubData) -> Iterator["Hub"]:
    folder.require()
    core = folder.open()
    try:
        yield core
    finally:
        core.close()
