"""Measures every row beside its floor and the peers that are installed, and prints the table.

Run: python -m bench.run [--only ROW]... [--scale small|full] [--repeat N] [--json FILE] [--scratch DIR] [--profile]
     python -m bench.run --list
     python -m bench.run --show FILE | --markdown FILE | --plot FILE SVG

Ends with 1 when something failed or a mark was missed. Linux only: figures come from /proc.
"""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console

from bench import parts_devices, parts_inside, parts_link, parts_million, parts_moves, parts_trees
from bench.book import Book
from bench.ground import Ground, enter_own_namespaces
from bench.marks import NAMES, ROWS, Verdict, judged, title
from bench.ours import Syncd
from bench.peers import PEERS
from bench.plan import SCALES, Bench
from bench.report import markdown, show

# What measures rows together, because one setting serves them.
PARTS: Final[tuple[tuple[frozenset[str], Callable[[Bench], None]], ...]] = (
    (frozenset({"latency"}), parts_moves.latency),
    (frozenset({"small", "rename"}), parts_moves.small),
    (frozenset({"large", "insert", "overwrite"}), parts_moves.large_file),
    (frozenset({"index"}), parts_trees.index),
    (frozenset({"many", "rescan", "idle"}), parts_trees.settled),
    (frozenset({"database"}), parts_inside.database),
    (frozenset({"hub"}), parts_inside.hub),
    (frozenset({"devices"}), parts_devices.devices),
    (frozenset({"link"}), parts_link.link),
    (frozenset({"index-million", "rescan-million"}), parts_trees.million),
    (parts_million.ROWS, parts_million.ours),
)


def measure(bench: Bench, progress: Callable[[], None] = lambda: None) -> None:
    """Measure what is wanted; *progress* is called after each part."""
    for rows, part in PARTS:
        if bench.wants(*rows):
            bench.say(", ".join(sorted(rows & bench.wanted)))
            part(bench)
            progress()
    # What came along because one setting serves several rows was not asked for.
    bench.book.lines = [line for line in bench.book.lines if line.row in bench.wanted]


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return 1 when a mark was missed or something failed."""
    given = sys.argv[1:] if arguments is None else arguments
    asked = _parser().parse_args(given)
    if asked.list:
        for row in ROWS:
            print(f"{row.name:<16}{title(row, SCALES[asked.scale])}")
        return 0
    if asked.plot:
        from bench.plot import plot  # for this alone

        plot(Book.load(asked.plot[0]), asked.plot[1])
        return 0
    if asked.show or asked.markdown:
        book = Book.load(asked.show or asked.markdown)
        if asked.show:
            show(book, _console())
        else:
            print(markdown(book), end="")
        return 0
    if not asked.plain:
        enter_own_namespaces("bench.run", given)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    book = _measured(asked)
    show(book, _console())
    print(f"figures: {asked.json}")
    missed = any(one.verdict is Verdict.MISSED for row in ROWS if book.of_row(row.name) for one in judged(row, book))
    return 1 if missed or book.troubles else 0


def _console() -> Console:
    """A terminal is as wide as it is; a file can be as wide as the table."""
    return Console() if sys.stdout.isatty() else Console(width=160)


def _measured(asked: argparse.Namespace) -> Book:
    ground = Ground(asked.scratch, plain=asked.plain)
    book = Book(asked.scale, SCALES[asked.scale], ground.conditions())
    versions = {kind: None if asked.alone else kind.version() for kind in PEERS}
    book.peers = {Syncd.name: f"{Syncd.version()}; {Syncd.note}"}
    if not asked.alone:
        for kind, told in versions.items():
            book.peers[kind.name] = f"{told}; {kind.note}" if told else "not installed"
    profiles = None
    if asked.profile:
        profiles = asked.json.with_suffix(".profiles").resolve()
        profiles.mkdir(parents=True, exist_ok=True)
        book.profiles = str(profiles.name)
    bench = Bench(
        ground, book, frozenset(asked.only or NAMES), tuple(kind for kind, told in versions.items() if told),
        asked.repeat, profiles,
    )  # fmt: skip
    try:
        measure(bench, lambda: book.save(asked.json))
    finally:
        book.save(asked.json)  # hours of figures survive an interrupt
    return book


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=NAMES, metavar="ROW", help="only this row; repeatable")
    parser.add_argument("--scale", choices=sorted(SCALES), default="full", help="small: minutes, to see that it works")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="tries of each figure (3)")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), metavar="FILE", help="where the figures go")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where to work, 30 GB free at full scale")
    parser.add_argument("--profile", action="store_true", help="note what daemons and hub compute, beside FILE")
    parser.add_argument("--alone", action="store_true", help="without peers")
    parser.add_argument("--plain", action="store_true", help="without images, namespaces and empty caches")
    parser.add_argument("--list", action="store_true", help="list the rows and end")
    parser.add_argument("--show", type=Path, metavar="FILE", help="print the table of an earlier run")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the same as Markdown")
    parser.add_argument("--plot", type=Path, nargs=2, metavar=("FILE", "SVG"), help="draw how cost grew in it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
