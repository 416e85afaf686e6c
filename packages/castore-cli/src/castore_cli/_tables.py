"""Tables: with lines and colours on a terminal, plain columns in a pipe."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from castore_cli._texts import Row, format_cell, name_column


def find_columns(rows: Iterable[Row]) -> list[str]:
    """Return the keys of all rows, in the order in which they come."""
    return list(dict.fromkeys(key for row in rows for key in row))


def make_table(rows: Sequence[Row], columns: Sequence[str]) -> Table:
    """Return a table for a terminal: long values go on in the next line, and none is cut."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(Text(name_column(column)), overflow="fold", justify=_justify(rows, column))
    for row in rows:
        table.add_row(*(Text(cell) for cell in _format_row(row, columns)))
    return table


def format_columns(rows: Sequence[Row], columns: Sequence[str]) -> Iterator[str]:
    """Yield the lines of plain columns: one for each row, however long it is."""
    lines = [[name_column(each) for each in columns], *(_format_row(row, columns) for row in rows)]
    widths = [max(map(cell_len, cells)) for cells in zip(*lines, strict=True)]
    is_right = [_justify(rows, column) == "right" for column in columns]
    for cells in lines:
        padded = map(_pad, cells, widths, is_right)
        yield "  ".join(padded).rstrip()


def _format_row(row: Row, columns: Sequence[str]) -> list[str]:
    return [format_cell(row.get(column)) for column in columns]


def _justify(rows: Sequence[Row], column: str) -> Literal["left", "right"]:
    values = [row[column] for row in rows if row.get(column) is not None]
    return "right" if values and all(type(each) in {int, float} for each in values) else "left"


def _pad(cell: str, width: int, is_right: bool) -> str:
    room = " " * (width - cell_len(cell))
    return room + cell if is_right else cell + room
