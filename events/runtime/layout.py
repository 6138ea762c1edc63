"""Rows for people: a table where it fits, elsewhere one record a row. Pure.

A word is never broken, and neither is what stands between backticks, so that ids and commands can be copied. A column's
name ends in `>` if it is aligned right, and in `~` if its text may be wrapped between words.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len

PROSE_MIN: Final = 20  # columns of wrapped text; narrower is hard to read
UNBROKEN: Final = re.compile(r"(?:`[^`\n]*`|[^\s`]|`)+")
BORDER: Final = 3  # columns that a table adds to each of its own, and one at its end


class Column(NamedTuple):
    """A column's heading, and how its cells are set."""

    name: str
    right: bool
    prose: bool


class Layout(NamedTuple):
    """A table that fits: the width of each column, and its rows with each cell's lines joined by newlines."""

    widths: Sequence[int]
    rows: Sequence[Sequence[str]]


def column(name: str) -> Column:
    """Read a column's name and marks."""
    return Column(name.rstrip(">~"), name.endswith(">"), name.endswith("~"))


def wrapped(text: str, width: int) -> list[str]:
    """Wrap text between words, at least one line; what may not be broken is a line of its own if it is longer."""
    lines = list[str]()
    for paragraph in text.split("\n"):
        line = ""
        for piece in UNBROKEN.findall(paragraph):
            if line and cell_len(line) + 1 + cell_len(piece) > width:
                lines.append(line)
                line = piece
            else:
                line = f"{line} {piece}" if line else piece
        lines.append(line)
    return lines


def fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> Layout | None:
    """Lay rows out as a table of at most this width; None if it cannot be done without breaking a word."""
    cells = list(zip(*rows, strict=True)) or [()] * len(columns)
    natural = [max(map(_width, (each.name, *of))) for each, of in zip(columns, cells, strict=True)]
    widths = [_least(each, of, full) for each, of, full in zip(columns, cells, natural, strict=True)]
    left = width - BORDER * len(columns) - 1 - sum(widths)
    if left < 0:
        return None
    short = sorted((full - least, at) for at, (full, least) in enumerate(zip(natural, widths, strict=True)))
    for done, (lacking, at) in enumerate(short):
        more = min(lacking, left // (len(short) - done))
        widths[at] += more
        left -= more
    lines = [["\n".join(_lines(*each)) for each in zip(columns, row, widths, strict=True)] for row in rows]
    return Layout(widths, lines)


def without_empty(
    columns: Sequence[Column], rows: Sequence[Sequence[str]]
) -> tuple[Sequence[Column], Sequence[Sequence[str]]]:
    """Leave out the columns whose cells are all empty."""
    kept = [at for at in range(len(columns)) if any(row[at] for row in rows)]
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]


def record(columns: Sequence[Column], row: Sequence[str], width: int) -> Iterator[str]:
    """Yield a row's lines as `Name: value`, without empty values; only prose is wrapped."""
    labels = [f"{each.name}:" for each in columns]
    indent = max(map(cell_len, labels)) + 1
    for each, label, cell in zip(columns, labels, row, strict=True):
        if cell:
            first, *rest = _lines(each, cell, max(width - indent, PROSE_MIN))
            yield label + " " * (indent - cell_len(label)) + first
            yield from (" " * indent + line for line in rest)


def _lines(each: Column, cell: str, width: int) -> list[str]:
    return wrapped(cell, width) if each.prose else cell.split("\n")


def _width(text: str) -> int:
    return max(map(cell_len, text.split("\n")))


def _least(each: Column, cells: Sequence[str], natural: int) -> int:
    if not each.prose:
        return natural
    pieces = [piece for cell in (each.name, *cells) for piece in UNBROKEN.findall(cell)]
    return min(natural, max(PROSE_MIN, *map(cell_len, pieces)))
