"""The outcome of a fit: printed, and written as a scene, a table and a picture."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from exitwave.cli.report import table
from exitwave.cli.unknowns import unit_of
from exitwave.data.store import write
from exitwave.fit import FitResult, Step
from exitwave.fit.result import digits
from exitwave.fit.watch import Watcher
from exitwave.model import get
from exitwave.scene import Scene
from exitwave.toml import dump

LISTED = 60
"""The most numbers that are printed; the table on the disk has all."""

Row = tuple[str, float, float, float | None, str]


def check_writable(folder: Path) -> None:
    """Raise an error where results could not be written, now and not after minutes of work."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise OSError(f"cannot write into {folder}: {place} is no folder that may be written; choose another one")


@contextmanager
def progress(stages: int, told: Sequence[str]) -> Iterator[Watcher]:
    """Yield a watcher that prints `told` when the first step is done, and, on a terminal, keeps a line up to date."""
    from rich.console import Console

    console = Console(stderr=True)
    status = console.status("fitting") if console.is_terminal else None
    before = list(told)

    def watch(step: Step) -> None:
        while before:
            print(before.pop(0))
        if status is not None:
            stage = f"stage {step.stage + 1} of {stages}, " if stages > 1 else ""
            status.update(f"{stage}step {step.number}, loss {step.loss:.5g}")

    if status is None:
        yield watch
    else:
        with status:
            yield watch


def rows_of(result: FitResult, start: Scene) -> list[Row]:
    """Return name, start, fitted number, standard error (if the solver gives one) and unit of every free number."""
    rows = []
    names = iter(result.names)
    for name, value in result.values.items():
        path = name.partition(".")[2] if name[:1].isdigit() else name
        unit = unit_of(start, name)
        errors = result.stderr[name].flatten().tolist() if name in result.stderr else [None] * value.numel()
        before = get(start, path).double()
        before = before.flatten() if before.numel() == value.numel() else before.mean()[None]  # tied
        for old, number, error in zip(before.tolist(), value.flatten().tolist(), errors, strict=True):
            rows.append((next(names), old, number, error, unit))
    return rows


def printed(result: FitResult, start: Scene) -> None:
    """Print the fitted numbers with their standard errors, the quality of the fit, and what to know of them."""
    headers = ("parameter", "start", "fitted", "standard error", "unit")
    rows = rows_of(result, start)
    cells = [
        (name, f"{old:.6g}", digits(new, error), "" if error is None else f"{error:.2g}", unit)
        for name, old, new, error, unit in rows
    ]
    table(headers, cells[:LISTED], numbers=headers[1:4])
    if len(rows) > LISTED:
        print(f"and {len(rows) - LISTED:,} more in parameters.csv")
    print(f"\nreduced chi-square {result.chi2:.4g}; {result.message}")
    for note in result.notes:
        print(f"note: {note}")


def saved(result: FitResult, scene: Scene, start: Scene, folder: Path, note: str) -> None:
    """Write the fitted `scene`, the numbers and the picture; print where they are."""
    write(folder / "fitted.toml", [f"# {note}.\n{dump(scene)}".encode()])
    write(folder / "parameters.csv", [_csv(rows_of(result, start))])
    print(f"fitted scene         {folder / 'fitted.toml'}")
    print(f"numbers              {folder / 'parameters.csv'}")
    try:
        write(folder / "fit.png", [_picture(result)])
    except ImportError as error:
        print(f"no picture: {error}")
    else:
        print(f"picture              {folder / 'fit.png'}")


def _csv(rows: Sequence[Row]) -> bytes:
    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(("parameter", "start", "fitted", "standard_error", "unit"))
    lines.writerows(rows)
    return file.getvalue().encode()


def _picture(result: FitResult) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return result.picture(Path(folder) / "fit.png").read_bytes()
