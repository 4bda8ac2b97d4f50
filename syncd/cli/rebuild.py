"""`syncd rebuild`: set the database aside; the next start fills a new one from the folder and the remote (P9)."""

import time

import click

from syncd.adapters import lockfile
from syncd.cli import reach
from syncd.cli.render import say
from syncd.model.path import shown
from syncd.service.roots import Roots


@click.command(epilog="\b\nExample:\n  syncd rebuild ~/Sync && syncd run")
@click.argument("root", metavar="ROOT")
def rebuild(root: str) -> int:
    """Rebuild the database from the folder and the remote.

    Nothing is lost and nothing travels for files that are the same on both sides. The daemon must be stopped; the old
    database is kept beside the new one.
    """
    for record in reach.chosen(root):
        folder = Roots().folder(record.id)
        with lockfile.acquire(str(folder.lock)):
            stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
            moved = []
            for suffix in ("-wal", "-shm", ""):
                path = folder.database.with_name(folder.database.name + suffix)
                if path.exists():
                    path.rename(path.with_name(f"syncd.sqlite.{stamp}.aside{suffix}"))
                    moved.append(path.name)
        kept = f" (the old one is kept as syncd.sqlite.{stamp}.aside)" if moved else ""
        say(f"{shown(record.path)}: the next `syncd run` rebuilds the database{kept}")
    return 0
