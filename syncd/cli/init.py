"""`syncd init`: tie a folder to a remote."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from syncd.cli.render import say
from syncd.model.errors import Usage
from syncd.model.path import shown


@click.command(epilog="\b\nExamples:\n  syncd init ~/Sync --remote 'syncd://host:8765/files#...'\n"
               "  syncd init ~/Work --remote 'syncd://...' --device laptop --create")  # fmt: skip
@click.argument("root")
@click.option("--remote", required=True, metavar="URL", help="An invite, in quotes: 'syncd://...'.")
@click.option("--device", metavar="NAME", help="This device's name (default: the one it has, or the machine's).")
@click.option("--create", is_flag=True, help="Create the folder when there is none.")
@click.option("--force-new", is_flag=True, help="Leave the space this folder is tied to, without asking.")
@click.option("--insecure", is_flag=True, help="Speak plain HTTP to a hub that is not on this machine.")
def init(root: str, remote: str, device: str | None, create: bool, force_new: bool, insecure: bool) -> int:
    """Tie the folder ROOT to a space on a hub, with an invite.

    What is on both sides is united; nothing is deleted. On a folder tied to the same space already, the token is
    renewed and all else stays; a lost mark is written anew, and what then seems deleted is held for you.
    """
    from syncd.model.invite import parse_invite
    from syncd.service.roots import Roots, resolved
    from syncd.service.tie import tie

    scheme = remote.partition("://")[0]
    if scheme != "syncd":
        raise Usage(f"{shown(scheme[:20])}: is not a remote this syncd can use: give an invite, 'syncd://...'")
    parse_invite(remote)  # said before the folder is created
    path = resolved(Path(root))

    def confirmed(what: str) -> bool:
        return force_new or (sys.stdin.isatty() and click.confirm(f"{what}?", default=False, err=True))

    with _made(path) if create else contextlib.nullcontext():
        tied = tie(Roots(), path, remote, device, insecure=insecure, confirmed=confirmed)
    record = tied.record
    what = "renewed the token of" if tied.renewed else "tied"
    say(f"{what} {shown(record.path)} to {record.remote} as {shown(record.device)}")
    if tied.marked:
        say("its mark was missing or another's: all is read again, and what seems deleted there is held for you")
    say("start syncing: syncd run")
    return 0


@contextlib.contextmanager
def _made(path: Path) -> Iterator[None]:
    """Have a folder at *path* while inside; one that was made for nothing, and is still empty, is taken away again."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    try:
        if missing:
            path.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # somebody put something there meanwhile: it stays
            for one in missing:
                one.rmdir()
        raise
