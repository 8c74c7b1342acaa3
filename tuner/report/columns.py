"""Tables for the terminal: columns as narrow as the terminal wants, but no name is broken."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.table import Column, Table
from rich.text import Text


def text_table(
    rows: Iterable[Iterable[str]], *columns: Column | str, pad_edge: bool = False, **look: Any
) -> Table:
    """A finished table of texts, none of which is markup."""
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=pad_edge, **look)
    for row in rows:
        table.add_row(*map(Text, row))
    return unbroken(table)


def rows_table(rows: Sequence[Mapping[str, str]]) -> Table:
    """Rows of equal keys; the keys are the titles."""
    return text_table([row.values() for row in rows], *(rows[0] if rows else ["nothing here"]))


def unbroken(table: Table) -> Table:
    """`table`, finished, with columns no narrower than their longest word; paths may be broken.

    Where the terminal is narrower than that, the table is wider than the terminal.
    """
    for column in table.columns:
        column.min_width = max(map(cell_len, _parts(column)), default=0)
    return table


def _parts(column: Column) -> list[str]:
    """What must stay on one line: a word, or all of a line that does not wrap."""
    texts = [str(each) for each in (column.header, *column.cells)]
    if column.no_wrap:
        return [line for text in texts for line in text.splitlines()]
    return [word for text in texts for word in text.split() if "/" not in word]


def folded_table(
    rows: Iterable[Iterable[str]], *titles: str, whole: str = "", title: str | None = None
) -> Table:
    """A table in which the lines of the column `whole` are not broken."""
    columns = [Column(each, overflow="fold", no_wrap=each == whole) for each in titles]
    return text_table(rows, *columns, pad_edge=True, title=title, title_justify="left")
