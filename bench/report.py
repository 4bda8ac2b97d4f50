"""A book as tables: for a terminal, and as Markdown. Pure but for the printing of ``show``; judges by ``marks``."""

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table

from bench.book import FLOOR, OURS, Book, Line, high, middle
from bench.marks import ROWS, Judged, Row, Verdict, judged, ratio, shown, title

SPARKS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 24
BAR_WIDTH = 16
HEADINGS = ("", "median", "least–most", "× floor", "", "cold", "sent ↑ and ↓")
_WIRE = ("up", "down", "wire")
_INK = {Verdict.REACHED: "bold green", Verdict.MISSED: "bold red", Verdict.OPEN: "dim"}
_SIGN = {Verdict.REACHED: "✔", Verdict.MISSED: "✘", Verdict.OPEN: "·"}


def spread(figure: str, samples: list[float]) -> str:
    """Return the median, and the least and most where they differ from each other."""
    return shown(figure, middle(samples)) + (f" ({ends})" if (ends := least_most(figure, samples)) else "")


def least_most(figure: str, samples: list[float]) -> str:
    """Return the least and the most; nothing where that is one and the same."""
    least, most = (_bare(figure, one(samples)) for one in (min, max))
    if least == most:
        return ""
    number, _, unit = least.partition("\N{NO-BREAK SPACE}")
    return f"{number if most.endswith(unit) and unit else least}–{most}"


def _bare(figure: str, value: float) -> str:
    return shown(figure, value).replace(" ", "\N{NO-BREAK SPACE}")


def times(value: float | None) -> str:
    """Return a ratio as a person reads it."""
    if value is None:
        return ""
    return f"{value:.1f} ×" if value < 100 else f"{value:,.0f} ×"


def bar(line: Line, lines: list[Line], width: int = BAR_WIDTH) -> str:
    """Return a bar as long as the time is, beside the longest of its row."""
    longest = max((middle(one.figures["time"]) for one in lines if one.figures.get("time")), default=0.0)
    if not line.figures.get("time") or longest <= 0:
        return ""
    eighths = round(middle(line.figures["time"]) / longest * width * 8)
    return "█" * (eighths // 8) + ("", *"▏▎▍▌▋▊▉")[eighths % 8] or "▏"


def wire(line: Line) -> str:
    """Return what travelled, both ways, by the medians."""
    if "up" not in line.figures:
        return ""
    return f"{shown('up', middle(line.figures['up']))} ↑ {shown('down', middle(line.figures['down']))} ↓"


def others(line: Line) -> list[str]:
    """Return the figures that have no column of their own, each in words."""
    found = []
    times_ = line.figures.get("time", [])
    if len(times_) >= 10:
        found.append(f"95 %: {shown('time', high(times_))}")
    for figure, samples in line.figures.items():
        if figure not in ("time", "cold", *_WIRE):
            found.append(f"{figure} {spread(figure, samples)}")
    return found


def spark(samples: list[int], width: int = SPARK_WIDTH) -> str:
    """Return memory over time as a line of blocks: each the most of its stretch, the highest is the peak."""
    if not samples:
        return ""
    step = max(1, -(-len(samples) // width))
    tops = [max(samples[start : start + step]) for start in range(0, len(samples), step)]
    most = max(tops) or 1
    return "".join(SPARKS[min(len(SPARKS) - 1, top * len(SPARKS) // (most + 1))] for top in tops)


def memories(line: Line) -> list[str]:
    """Return for each process its memory over the time of the work, with its peak."""
    return [f"{name} {spark(seen)} {shown('memory', max(seen))}" for name, seen in line.memory.items() if seen]


def _rank(line: Line) -> int:
    return (FLOOR, OURS, line.who).index(line.who.split(",")[0]) if line.who.startswith((FLOOR, OURS)) else 2


def rows(book: Book) -> Iterator[tuple[Row, str, list[Line], list[Judged]]]:
    """Yield what was measured, row by row."""
    for row in ROWS:
        lines = sorted(book.of_row(row.name), key=_rank)
        if lines:
            yield row, title(row, book.sizes), lines, judged(row, book)


# --- for a terminal -----------------------------------------------------------------------------------------------


def show(book: Book, console: Console) -> None:
    """Print all of it."""
    for row, name, lines, verdicts in rows(book):
        timed = any(line.figures.get("time") for line in lines)
        table = Table(title=name, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        found = [_cells(line, lines, book) for line in lines] if timed else _by_figure(lines, book)
        for heading in HEADINGS if timed else ("", *_figures(lines)):
            table.add_column(heading, justify="right" if heading in ("median", "× floor") else "left", no_wrap=timed)
        for line, cells in zip(lines, found, strict=True):
            style = "bold cyan" if line.who == row.who else "dim" if line.who.startswith(FLOOR) else ""
            table.add_row(*cells, style=style)
        console.print(table)
        for line in lines:
            for text in [*(_notes(line) if timed else [line.note] if line.note else []), *memories(line)]:
                console.print(f"  {line.who}: {text}", style="dim", highlight=False)
        if verdicts:
            marks = [f"[{_INK[one.verdict]}]{_SIGN[one.verdict]} {one.words}[/]" for one in verdicts]
            console.print("  to reach:  " + "   ".join(marks), highlight=False)
        console.print()
    for text in _foot(book):
        console.print(text, style="dim", highlight=False, markup=False)


def _figures(lines: list[Line]) -> list[str]:
    return list(dict.fromkeys(figure for line in lines for figure in line.figures))


def _by_figure(lines: list[Line], book: Book) -> list[list[str]]:
    """Return the cells of a row that is not about one time: a column for each figure."""
    found = []
    for line in lines:
        cells = [line.who]
        for figure in _figures(lines):
            text = spread(figure, line.figures[figure]) if line.figures.get(figure) else ""
            factor = ratio(line, book, figure) if line.who != FLOOR else None
            cells.append(text + (f"  {factor:.2f} × floor" if factor is not None else ""))
        found.append(cells)
    return found


def _cells(line: Line, lines: list[Line], book: Book) -> list[str]:
    time, cold = line.figures.get("time"), line.figures.get("cold")
    return [
        _who(line),
        shown("time", middle(time)) if time else "",
        least_most("time", time) if time else "",
        times(ratio(line, book)),
        bar(line, lines),
        f"{spread('cold', cold)}  {times(ratio(line, book, 'cold'))}" if cold else "",
        wire(line),
    ]


def _who(line: Line) -> str:
    return line.who + ("" if line.durable or not line.figures.get("time") or not _writes(line) else " *")


def _notes(line: Line) -> list[str]:
    """Return in one line what has no column."""
    found = [*([line.note] if line.note else []), *others(line)]
    return ["; ".join(found)] if found else []


def _writes(line: Line) -> bool:
    """Return whether durability means something for the row."""
    if line.row in ("insert", "overwrite", "latency") and line.who == FLOOR:
        return False
    return line.row in ("small", "many", "large", "insert", "overwrite", "rename", "latency")


def _foot(book: Book) -> list[str]:
    found = [f"{name}: {value}" for name, value in book.conditions.items()]
    found += [f"{name}: {version}" for name, version in book.peers.items()]
    found.append("* ends before it is on the disk")
    if book.scale != "full":
        found.append(f"scale {book.scale}: marks are for the full scale, and are not judged here")
    if book.profiles:
        found.append(f"profiles (which slow down what they watch): {book.profiles}")
    found += [f"TROUBLE {text}" for text in book.troubles]
    return found


# --- Markdown -----------------------------------------------------------------------------------------------------


def markdown(book: Book) -> str:
    """Return all of it as Markdown: one table, then the conditions."""
    out = [
        "| work | who | median (least–most) | × floor | cold | sent | also | mark |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row, name, lines, verdicts in rows(book):
        for number, line in enumerate(lines):
            _, median, ends, factor, _, cold, sent = _cells(line, lines, book)
            mark = ", ".join(f"{one.words}: {one.verdict.value}" for one in verdicts) if line.who == row.who else ""
            who = f"**{_who(line)}**" if line.who in (row.who, OURS) else _who(line)
            time = median + (f" ({ends})" if ends else "")
            cells = [name if number == 0 else "", who, time, factor, cold, sent, "; ".join(_notes(line)), mark]
            out.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    out.append("")
    out += [f"- {text}" for text in _foot(book)]
    return "\n".join(out) + "\n"
