"""`syncd trash`: list and restore what syncd removed or replaced in a folder."""

import click

from syncd.cli import reach
from syncd.cli.render import ago, columns, paint, say, say_json, size
from syncd.model.errors import Usage
from syncd.model.path import shown, shown_path
from syncd.service.roots import RootRecord

ID_SHOWN = 10


@click.group()
def trash() -> None:
    """List or restore what syncd removed or replaced here.

    What the hub keeps as a version goes as soon as nobody has it open; all else stays for 30 days, unless config.toml
    says else.
    """


@trash.command("list", epilog="\b\nExamples:\n  syncd trash list\n  syncd trash list ~/Sync --json")
@reach.roots_argument()
@reach.json_option()
def list_entries(roots: tuple[str, ...], as_json: bool) -> int:
    """List what is in the trash, newest first."""
    from syncd.service.trash import listed

    found = [(record, entry) for record in reach.chosen(roots) for entry in listed(record)]
    found.sort(key=lambda pair: -pair[1].at)
    if as_json:
        say_json([{"root": record.path, "id": entry.id, "path": None if entry.path is None else shown_path(entry.path),
                   "size": entry.size, "at": entry.at, "cause": entry.cause and str(entry.cause)}
                  for record, entry in found])  # fmt: skip
        return 0
    for line in columns(
        [entry.id[:ID_SHOWN], ago(entry.at), size(entry.size), _cause(entry.cause),
         shown_path(entry.path) if entry.path is not None else paint("(its path is not known)", dim=True)]
        for _, entry in found
    ):  # fmt: skip
        say(line)
    say("the trash is empty" if not found else "\nput one back: syncd trash restore ID")
    return 0


@trash.command(epilog="\b\nExample:\n  syncd trash restore 1f0c9a44e2")
@click.argument("entry", metavar="ID")
@click.option("--root", metavar="ROOT", help="The folder, when several are tied.")
@reach.json_option()
def restore(entry: str, root: str | None, as_json: bool) -> int:
    """Put something back where it was. Nothing is replaced: a taken name gets a number."""
    from syncd.service.trash import listed
    from syncd.service.trash import restore as put_back

    matches: list[tuple[RootRecord, str]] = [
        (record, one.id) for record in reach.chosen(root) for one in listed(record) if one.id.startswith(entry.lower())
    ]
    if not matches:
        raise Usage(f"{shown(entry)}: is not in the trash; `syncd trash list` shows what is")
    if len(matches) > 1:
        raise Usage(f"{shown(entry)}: {len(matches)} entries begin so: give more of the number")
    record, entry_id = matches[0]
    where = put_back(record, entry_id)
    if as_json:
        say_json({"root": record.path, "id": entry_id, "path": shown_path(where)})
    else:
        say(f"restored {shown_path(where)} in {shown(record.path)}")
    return 0


def _cause(cause: object) -> str:
    words = {"local_delete": "deleted", "download": "replaced", "conflict": "set aside"}
    return words.get(str(cause), str(cause or "").replace("_", " "))
