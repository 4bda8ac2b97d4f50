"""The entry point: finds the command, and turns every ending into an exit code and at most one line.

Commands are imported only when called, so that `syncd status` starts fast. Exit codes: 0 fine; 1 failed; 2 wrong
usage; 3 done, but something waits for a person; 4 not in sync before the time limit.
"""

import errno
import os
import sys
from importlib import import_module
from typing import Any, Final

import click

import syncd
from syncd.model.errors import SyncdError, Usage

FAILED: Final = 1
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130

# name: module below syncd.cli, and the line shown by --help. A command stands here once it is real.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "up": ("up", "Start everything: a hub, a folder and the daemon, in the foreground."),
    "init": ("init", "Tie a folder to a remote with an invite."),
    "run": ("run", "Run the daemon in the foreground, or sync once."),
    "status": ("status", "Say what is in sync, what is not, why, and what happens next."),
    "wait": ("status", "Return when all that is there now is in sync."),
    "pause": ("work", "Hold all work."),
    "resume": ("work", "Go on with work."),
    "scan": ("work", "Look at the whole folder again."),
    "retry": ("work", "Try again what was given up."),
    "plan": ("plan", "Show what would be done."),
    "conflicts": ("decide", "List what was edited on two sides at once."),
    "resolve": ("decide", "Decide a conflict."),
    "approve": ("decide", "List mass changes that are held, and allow or refuse them."),
    "trash": ("trash", "List or restore what syncd removed or replaced here."),
    "why": ("why", "Say why a path is as it is, and what happens next."),
    "activity": ("why", "Show what was done."),
    "runs": ("why", "Show long work, past and present."),
    "doctor": ("doctor", "Find out what is wrong and how to mend it."),
    "rebuild": ("rebuild", "Rebuild the database from the folder and the remote."),
    "hub": ("hub", "Run and manage a hub."),
}


_MEND: Final = {
    0: "check it, its permissions and the disk",
    errno.ENOENT: "check the path",
    errno.EEXIST: "a folder is needed there; name another, or move that away",
    errno.ENOTDIR: "a folder is needed there; name another, or move that away",
    errno.EACCES: "check who may read and write it",
    errno.EPERM: "check who may read and write it",
    errno.EROFS: "name a place that can be written",
    errno.ENOSPC: "free some space, and try again",
    errno.EDQUOT: "free some space, and try again",
}
"""What a person can do about an error of the system that no part of syncd had words for."""


class Lazy(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order a person meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"syncd.cli.{COMMANDS[cmd_name][0]}"), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(syncd.__version__, message="syncd %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error (works after any command, too).")
def cli(debug: bool) -> None:
    """Keeps a folder and a remote the same, in both directions, and never loses what a person wrote.

    \b
    Begin here:            syncd up
    On a second device:    syncd init ~/Sync --create --remote 'syncd://...' && syncd run
    """


def main(argv: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    own, rest = _split(arguments)
    debug = "--debug" in own
    sys.exit(run([one for one in own if one != "--debug"] + rest, debug=debug))


def run(arguments: list[str], *, debug: bool = False) -> int:
    """Run one command and return its exit code; the error, if any, is one line on standard error."""
    try:
        result: Any = cli.main(args=arguments, prog_name="syncd", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return WRONG_USAGE
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output went away (`| head`): not an error, and nothing may be said about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as error:
        if debug:
            raise
        say_error(error)
        return WRONG_USAGE if isinstance(error, (Usage, click.ClickException)) else FAILED
    return result if isinstance(result, int) else 0


def say_error(error: BaseException) -> None:
    """Print *error* as one line: what, why, and what to do."""
    from syncd.cli.render import one_line

    match error:
        case click.UsageError():
            where = error.ctx.command_path if error.ctx is not None else "syncd"
            text = f"{error.format_message()} See `{where} --help`."
        case click.ClickException():
            text = error.format_message()
        case SyncdError():
            text = str(error)
        case OSError():
            named = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
            text = f"{named}{(error.strerror or str(error)).lower()}: {_MEND.get(error.errno or 0, _MEND[0])}"
        case _:
            text = f"{type(error).__name__}: {error}; this is a fault in syncd: run again with --debug and report it"
    click.echo(f"syncd: {one_line(text)}", err=True)


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Part the arguments at ``--``: what follows it is names, never options."""
    if "--" in arguments:
        at = arguments.index("--")
        return arguments[:at], arguments[at:]
    return arguments, []


if __name__ == "__main__":
    main()
