"""How cost grows with the number of files, as a picture: microseconds a file, which a straight cost keeps level.

Reads a book, and writes an SVG. Measures nothing."""

from pathlib import Path
from typing import Final

import pygal
from pygal.style import CleanStyle

from bench.book import Book, middle

STEPS: Final = ("index", "upload", "clone", "rebuild", "rescan")
"""What is done to every file. Other steps cost the same whatever the number."""


def points(book: Book) -> dict[int, dict[str, float]]:
    """Return for each number of files what one of them took in each step, in microseconds."""
    found: dict[int, dict[str, float]] = {}
    for line in book.of_row("growth"):
        files = int(line.who.split()[0].replace(",", ""))
        each = {step: middle(line.figures[step]) / files * 1e6 for step in STEPS if line.figures.get(step)}
        found[files] = each
    return dict(sorted(found.items()))


def plot(book: Book, path: Path) -> None:
    """Draw it; raises ValueError where growth was not measured."""
    drawn = points(book)
    if not any(drawn.values()):
        raise ValueError("this result has no row `growth`")
    chart = pygal.Line(
        title="Time a file, by the number of files",
        x_title="files",
        y_title="µs a file, logarithmic",
        logarithmic=True,
        y_labels=(3, 10, 30, 100, 300, 1000),
        style=CleanStyle(font_family="sans-serif", title_font_size=18, label_font_size=13, legend_font_size=14),
        value_formatter=lambda value: f"{value:,.0f}",
        width=800,
        height=440,
        dots_size=4,
        js=(),
        no_prefix=True,
    )
    chart.x_labels = [f"{files:,}" for files in drawn]
    for step in STEPS:
        values = [each.get(step) for each in drawn.values()]
        if any(values):
            chart.add(step, values)
    path.write_bytes(chart.render())
