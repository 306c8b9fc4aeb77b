"""Progress: a bar with rate and time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def reporting(total: int, show: bool | None) -> Iterator[Callable[[bool], None]]:
    """Give a function to be called after every frame with whether it was there already; it moves a bar on stderr.

    `show` None shows the bar where stderr is a terminal.
    """
    if not (sys.stderr.isatty() if show is None else show):
        yield lambda reused: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("generate"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("generate", total=total, rate="")
        start, drawn = time.perf_counter(), 0

        def report(reused: bool) -> None:
            nonlocal drawn
            drawn += not reused
            rate = drawn / max(time.perf_counter() - start, 1e-9)
            text = "" if not drawn else f"{rate:.1f} images/s" if rate >= 1 else f"{1 / rate:.1f} s/image"
            bar.update(task, advance=1, rate=text)

        yield report
