"""``python -m tests.exhaustive.run --edits 2 --crashes 1 --lost 1 [--depth D] [--states N]``: every interleaving.

Ends with 1, and a list of steps, when a promise can be broken."""

import argparse
import sys

from tests.exhaustive.search import Search
from tests.exhaustive.values import Mistake, base


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.exhaustive.run")
    parser.add_argument("--files", type=int, default=1, help="names that are in sync in the beginning")
    parser.add_argument("--edits", type=int, default=2, help="edits of people, on either device")
    parser.add_argument("--crashes", type=int, default=1)
    parser.add_argument("--lost", type=int, default=1, help="requests whose reply never comes")
    parser.add_argument("--depth", type=int, help="steps from the beginning; without: until there is no new state")
    parser.add_argument("--states", type=int, help="stop after this many states")
    parser.add_argument(
        "--mistake", choices=[m.name.lower() for m in Mistake], help="get the protocol wrong on purpose"
    )
    parser.add_argument("--quiet", action="store_true", help="only the outcome")
    asked = parser.parse_args(arguments)
    mistakes = frozenset({Mistake[asked.mistake.upper()]} if asked.mistake else ())
    start = base(asked.files, asked.edits, asked.crashes, asked.lost)
    search = Search(start, mistakes, asked.depth, asked.states)
    found = search.run((lambda line: None) if asked.quiet else print)
    print(summary(search, found is not None))
    if found is not None:
        print(found)
    return int(found is not None)


def summary(search: Search, broken: bool) -> str:
    """Return what was gone through, in one line."""
    whole = "all of them" if search.exhausted else f"{search.left} of them not gone on from"
    if broken:
        whole = "up to where a promise breaks"
    return (
        f"{search.states} states ({whole}), {search.transitions} transitions, depth {search.reached}, "
        f"at most {search.longest} steps to rest, {search.seconds:.1f} s"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
