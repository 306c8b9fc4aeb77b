"""What the commands print."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """Print a table on stdout; the columns in `numbers` are flush right.

    On a terminal it is as wide as that; in a pipe nothing is folded, so that other programs can read it.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, header in enumerate(headers):
        right = header in numbers
        grid.add_column(header, justify="right" if right else "left", no_wrap=right or number == 0, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))  # Text: brackets in a cell are no markup
    Console(width=None if sys.stdout.isatty() else 1000, highlight=False).print(grid)
