"""Records the picture in README: two devices and a hub as real processes, and what they really print.

    python docs/images/record.py        # with syncd and rich installed: .venv/bin/python

Writes ``running.svg`` beside itself. Everything happens in a temporary folder; its name is shown as ``~``, the
secret of the invite is cut short, and nothing else of the output is changed. Linux and macOS.
"""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

SYNCD = [sys.executable, "-m", "syncd.cli.main"]
WIDTH = 104
PATIENCE = 60.0


class Machine:
    """A device of its own: its home, its folders, its syncd."""

    def __init__(self, base: Path, name: str) -> None:
        self.name, self.home = name, base / name
        run = self.home / "run"
        run.mkdir(parents=True, mode=0o700)
        self.root = self.home / "Sync"
        kept = {key: value for key, value in os.environ.items() if key in ("LANG", "LC_ALL")}
        kept["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.env = {**kept, "HOME": str(self.home), "XDG_RUNTIME_DIR": str(run), "TERM": "xterm-256color",
                    "COLUMNS": str(WIDTH), "SYNCD_SECRETS": "file",
                    "PYTHONPATH": str(Path(__file__).resolve().parents[2])}  # fmt: skip

    def starts(self, *arguments: str) -> tuple[int, int]:
        """Start a long-running syncd on a terminal; return its process id and the terminal."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.home)
            os.execvpe(SYNCD[0], [*SYNCD, *arguments], self.env)
        return child, terminal

    def runs(self, line: str) -> str:
        """Run a shell line on a terminal and return what it printed; ``syncd`` is this one."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.home)
            function = f'syncd() {{ {" ".join(SYNCD)} "$@"; }}; '
            os.execvpe("sh", ["sh", "-c", function + line], self.env)
        said = read_until(terminal, None)
        os.waitpid(child, 0)
        return said


def read_until(terminal: int, wanted: str | None) -> str:
    """Return what comes from a terminal until *wanted* was said, or to its end when None."""
    said, deadline = "", time.monotonic() + PATIENCE
    while wanted is None or wanted not in said:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([terminal], [], [], left)[0]:
            raise SystemExit(f"waited in vain for {wanted!r}; so far: {said}")
        try:
            data = os.read(terminal, 65536)
        except OSError:  # Linux: the other end was closed
            data = b""
        if not data:
            if wanted is None:
                break
            raise SystemExit(f"ended before it said {wanted!r}: {said}")
        said += data.decode(errors="replace")
    return said.replace("\r\n", "\n")


def story(base: Path, console: Console) -> None:
    """Play the scenes and show them."""

    def show(machine: Machine, line: str, said: str) -> None:
        prompt = Text(f"{machine.name}$ ", style="bold blue")
        console.print(prompt + Text(clean(line), style="bold"))
        if said.strip("\n"):
            console.print(Text.from_ansi(clean(said.strip("\n"))))

    def clean(text: str) -> str:
        for machine in (laptop, desktop):
            text = text.replace(os.path.realpath(machine.home), "~").replace(str(machine.home), "~")
        return re.sub(r"#([A-Za-z0-9_-]{6})[A-Za-z0-9_.-]+", r"#\1...", text)

    def scene(machine: Machine, line: str) -> None:
        show(machine, line, machine.runs(line))

    laptop, desktop = Machine(base, "laptop"), Machine(base, "desktop")
    hub, words = laptop.starts("up", "--log-level", "warning")
    processes = [hub]
    try:
        said = read_until(words, "serve --help")
        show(laptop, "syncd up", said[: said.index("This hub is reached")])
        invite = re.search(r"syncd://\S+#[\w-]+", said)
        assert invite is not None
        console.print()
        scene(desktop, f"syncd init ~/Sync --create --remote '{invite[0]}' --device desktop")
        daemon, _ = desktop.starts("run", "--log-level", "warning")
        processes.append(daemon)
        wait_for(desktop)
        show(desktop, "syncd run &", "")
        scene(laptop, "mkdir Sync/photos; for i in $(seq 200); do echo $i > Sync/photos/$i.jpg; done")
        scene(laptop, "echo 'call Ada' > Sync/notes.txt; syncd wait")
        scene(desktop, "syncd wait; cat Sync/notes.txt; ls Sync/photos | wc -l")
        console.print(Text("\n# both edit the same file before they hear of each other", style="dim"))
        scene(desktop, "syncd pause; echo 'call Ada on Monday' > Sync/notes.txt")
        scene(laptop, "echo 'call Ada, bring cake' > Sync/notes.txt; syncd wait")
        scene(desktop, "syncd resume; syncd wait; head Sync/notes*")
        scene(desktop, "syncd resolve all")
        desktop.runs("syncd wait")
        laptop.runs("syncd wait")
        console.print(Text("\n# somebody deletes too much", style="dim"))
        scene(laptop, "rm -r Sync/photos")
        until_held(laptop)
        scene(laptop, "syncd status")
        scene(laptop, "syncd approve refuse 1; syncd wait; ls Sync/photos | wc -l")
    finally:
        for process in reversed(processes):
            os.kill(process, signal.SIGTERM)
            os.waitpid(process, 0)


def wait_for(machine: Machine) -> None:
    """Return when the daemon of *machine* answers."""
    ask(machine, ["wait", "--timeout", "30"], lambda ended: ended.returncode == 0)


def until_held(machine: Machine) -> None:
    """Return when a group is held on *machine*."""
    ask(machine, ["approve", "--json"], lambda ended: ended.returncode == 3)


def ask(machine: Machine, arguments: list[str], good: Callable[["subprocess.CompletedProcess[str]"], bool]) -> None:
    """Repeat a question until its answer is good."""
    deadline = time.monotonic() + PATIENCE
    while True:
        ended = subprocess.run([*SYNCD, *arguments], env=machine.env, capture_output=True, text=True, check=False)
        if good(ended):
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"{arguments}: {ended.stdout}{ended.stderr}")
        time.sleep(0.1)


def main() -> None:
    """Record and write the picture."""
    console = Console(record=True, width=WIDTH, force_terminal=True, color_system="truecolor", highlight=False)
    with tempfile.TemporaryDirectory(prefix="syncd-") as base:
        story(Path(base), console)
    svg = console.export_svg(title="syncd: a hub and two devices, each with a home of its own", theme=DIMMED_MONOKAI)
    svg = re.sub(r"\s*@font-face \{.*?\}\n", "\n", svg, flags=re.DOTALL)  # no fonts from elsewhere
    svg = svg.replace("Fira Code", "Menlo, Consolas, DejaVu Sans Mono").replace(
        "Rich https://www.textualize.io", "rich"
    )
    Path(__file__).with_name("running.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
