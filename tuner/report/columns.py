"""Columns of tables for the terminal: as narrow as the terminal wants, but no name is broken."""

from rich.cells import cell_len
from rich.table import Column, Table


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
