"""`syncd conflicts`, `resolve` and `approve`: what waits for a person, and the person's word on it."""

import click

from syncd.cli import reach
from syncd.cli.render import ago, columns, count, paint, say, say_json, size
from syncd.control.client import Answer
from syncd.model.errors import Usage
from syncd.model.path import shown
from syncd.service.roots import RootRecord, Roots


@click.command(epilog="\b\nExamples:\n  syncd conflicts\n  syncd conflicts --all --json")
@reach.roots_argument()
@reach.json_option()
@click.option("--all", "everything", is_flag=True, help="Show decided ones, too.")
def conflicts(roots: tuple[str, ...], as_json: bool, everything: bool) -> int:
    """List what was edited on two sides at once. Ends with 3 when some are open.

    Both contents are kept: one at the path, the other in the conflicted copy beside it.
    """
    from syncd.db.views import open_view

    found = []
    for record in reach.chosen(roots):
        with open_view(str(Roots().folder(record.id).database)) as view:
            found += [(record, row) for row in view.conflicts(resolved_too=everything)]
    if as_json:
        say_json(
            [{"root": record.path, "id": row.id, "kind": str(row.kind), "path": row.path, "copy": row.copy_path,
              "created": row.created, "resolution": row.resolution} for record, row in found]
        )  # fmt: skip
    elif not found:
        say("no conflicts")
    for record, row in found if not as_json else []:
        state = f"  {paint(row.resolution, dim=True)}" if row.resolution else ""
        say(f"{paint(str(row.id), bold=True)}  {row.kind}  {ago(row.created)}  in {shown(record.path)}{state}")
        say(f"    {row.path}")
        if row.copy_path:
            say(f"    {row.copy_path}")
    still_open = any(row.resolution is None for _, row in found)
    if still_open and not as_json:
        say("\nsyncd resolve ID keeps both; --mine keeps the copy's content, --theirs the path's")
    return reach.worst([3 if still_open else 0])


@click.command(epilog="\b\nExamples:\n  syncd resolve 4 --mine\n  syncd resolve all --root ~/Sync")
@click.argument("conflict", metavar="ID|all")
@click.option("--both", "resolution", flag_value="keep both", default="keep both", help="Keep both (the default).")
@click.option("--mine", "resolution", flag_value="keep mine", help="The conflicted copy's content takes the path.")
@click.option("--theirs", "resolution", flag_value="keep theirs", help="The path stays as it is; the copy goes.")
@click.option("--root", metavar="ROOT", help="The folder, when several are tied.")
@reach.json_option()
def resolve(conflict: str, resolution: str, root: str | None, as_json: bool) -> int:
    """Decide a conflict. What goes, goes to the trash, here and on every device."""
    if conflict != "all" and not conflict.isdigit():
        raise Usage(f"{shown(conflict)}: is not a conflict's number; `syncd conflicts` lists them")
    return _tell(reach.ask(_only(root), "resolve", id=conflict, resolution=resolution), as_json)


@click.group(invoke_without_command=True, epilog="\b\nExamples:\n  syncd approve\n  syncd approve allow 2")
@click.pass_context
@reach.json_option()
def approve(context: click.Context, as_json: bool) -> int:
    """List mass changes that are held (P8); `allow` lets one go, `refuse` brings everything back.

    Ends with 3 when some wait.
    """
    if context.invoked_subcommand is not None:
        return 0
    return _list_groups(as_json)


@approve.command("list")
@reach.json_option()
def list_groups(as_json: bool) -> int:
    """List held groups."""
    return _list_groups(as_json)


@approve.command(epilog="\b\nExample:\n  syncd approve allow 2")
@click.argument("group", type=click.IntRange(min=1))
@click.option("--root", metavar="ROOT", help="The folder, when several are tied.")
@reach.json_option()
def allow(group: int, root: str | None, as_json: bool) -> int:
    """Let a held group go."""
    return _decide(group, "allow", root, as_json)


@approve.command(epilog="\b\nExample:\n  syncd approve refuse 2")
@click.argument("group", type=click.IntRange(min=1))
@click.option("--root", metavar="ROOT", help="The folder, when several are tied.")
@reach.json_option()
def refuse(group: int, root: str | None, as_json: bool) -> int:
    """Refuse a held group: what was deleted or overwritten is brought back."""
    return _decide(group, "refuse", root, as_json)


def _decide(group: int, decision: str, root: str | None, as_json: bool) -> int:
    return _tell(reach.ask(_only(root), "approve", group=str(group), decision=decision), as_json)


def _tell(answer: Answer, as_json: bool) -> int:
    if as_json:
        say_json({"code": answer.code, "text": answer.text})
    else:
        say(answer.text)
    return answer.code


def _only(root: str | None) -> RootRecord:
    """Return the root that is meant; numbers are per root, so it must be one."""
    records = reach.chosen(root)
    if len(records) > 1:
        raise Usage(f"{count(len(records), 'folder')} are tied: say which one with --root")
    return records[0]


def _list_groups(as_json: bool) -> int:
    from syncd.db.views import open_view

    found = []
    for record in reach.chosen(()):
        with open_view(str(Roots().folder(record.id).database)) as view, view.moment():
            found += [(record, group, view.items(group.id, limit=10)) for group in view.groups()]
    if as_json:
        say_json(
            [{"root": record.path, "group": group.id, "side": str(group.side), "reason": group.reason,
              "created": group.created, "items": group.items, "undecided": group.undecided, "bytes": group.bytes,
              "first": [item.path for item in items]} for record, group, items in found]
        )  # fmt: skip
        return reach.worst([3 if found else 0])
    if not found:
        say("nothing is held")
    for record, group, items in found:
        where = "in this folder" if str(group.side) == "local" else "on the remote"
        say(f"{paint(str(group.id), bold=True)}  {shown(group.reason)}  {ago(group.created)}  in {shown(record.path)}")
        say(f"    {count(group.undecided, 'change')} {where}, {size(group.bytes)}; the first:")
        for line in columns(([item.what.replace("_", " "), item.path] for item in items), indent=6):
            say(line)
    if found:
        say("\nsyncd approve allow NUMBER lets it go; syncd approve refuse NUMBER brings everything back")
    return reach.worst([3 if found else 0])
