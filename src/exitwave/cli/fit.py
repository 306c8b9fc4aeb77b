"""`exitwave fit`: parameters from an image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exitwave.cli.options import Recipe, Set

if TYPE_CHECKING:
    import numpy as np

    from exitwave.fit import FitResult
    from exitwave.scene import Scene


def fit(
    recipe: Recipe,
    image: Annotated[Path, typer.Argument(help="TIFF with one grey image, in the unit of the recipe's sensor.")],
    free: Annotated[
        list[str],
        typer.Option(metavar="PATH[,PATH...]", help="What to fit, such as specimen.parts.0.size; repeatable."),
    ],
    bin: Annotated[int, typer.Option(min=1, help="Average N x N pixels of the image first.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder of the results. IMAGE-fit if not given.")] = None,
    method: Annotated[
        str, typer.Option(help="lm (few numbers), lbfgs or adam (many); auto takes lm up to 64 numbers.")
    ] = "auto",
    steps: Annotated[int, typer.Option(min=1, help="The most steps of the solver.")] = 100,
    assignments: Set = None,
) -> None:
    """Fit the recipe's free numbers to an image, from their values in the recipe.

    The recipe's grid takes the shape of the image; grid.pixel is the pixel of the file, before it is binned. Priors in
    the recipe are drawn once (seed 0, image 0) to start from. Writes a picture of data, model and residual, the fitted
    scene as TOML, and the numbers with their standard errors as CSV.
    """
    import exitwave as ew
    from exitwave.cli.images import read_tiff
    from exitwave.cli.override import located
    from exitwave.cli.scenes import scene_of

    paths = [path.strip() for text in free for path in text.split(",") if path.strip()]
    if not paths:
        raise typer.BadParameter("expected at least one path, got none; write --free specimen.parts.0.size")
    if any(text.partition("=")[0].strip().startswith("grid.shape") for text in assignments or ()):
        raise typer.BadParameter("the grid takes the shape of the image; leave out --set grid.shape, or crop the image")
    start = ew.sample(scene_of(recipe, assignments), ew.Key(0, 0))
    for path in paths:
        located(start, path)
    data = binned(grey(read_tiff(image), image), bin)
    pixel = tuple(step * bin for step in start.grid.spacing)
    start = ew.substitute(start, {"grid.shape": data.shape, "grid.pixel": pixel})
    folder = out or Path(f"{image.stem}-fit")
    _check_writable(folder)
    result = ew.fit(start, data, free=paths, method=method, steps=steps)
    _print(result, start)
    note = f"Fitted to {image.name}" + (f", {bin} x {bin} pixels averaged" if bin > 1 else "")
    _write(result, start, folder, note)


def _check_writable(folder: Path) -> None:
    """Raise an error where results could not be written, now and not after minutes of work."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise OSError(f"cannot write into {folder}: {place} is no folder that may be written; choose another --out")


def grey(data: np.ndarray, path: Path) -> np.ndarray:
    """Return an image of one channel in double precision; colours are refused."""
    if data.ndim == 3 and data.shape[2] == 1:
        data = data[:, :, 0]
    if data.ndim != 2:
        raise ValueError(f"expected a grey image (H, W) in {path}, got {data.shape}; save one of its channels")
    return data.astype("float64")


def binned(data: np.ndarray, factor: int) -> np.ndarray:
    """Return the means of `factor` x `factor` pixels; rows and columns that are left over at the end are cut.

    >>> import numpy as np
    >>> binned(np.arange(10.0).reshape(2, 5), 2)
    array([[3., 5.]])
    """
    height, width = (n // factor for n in data.shape)
    if min(height, width) < 1:
        raise ValueError(f"expected an image of at least {factor} x {factor} pixels, got {data.shape}; lower --bin")
    cut = data[: height * factor, : width * factor]
    return cut.reshape(height, factor, width, factor).mean((1, 3))


def _rows(result: FitResult, start: Scene) -> list[tuple[str, float, float, float | None, str]]:
    """Return name, start, fitted number, standard error (if the solver gives one) and unit of every free number."""
    from exitwave.model import get, paths

    units = {path: spec.unit for path, spec in paths(start).items()}
    rows = []
    names = iter(result.names)
    for path, value in result.values.items():
        unit = next(unit for owner, unit in units.items() if f"{path}.".startswith(f"{owner}."))
        errors = result.stderr[path].flatten().tolist() if path in result.stderr else [None] * value.numel()
        before = get(start, path).flatten().tolist()
        for old, number, error in zip(before, value.flatten().tolist(), errors, strict=True):
            rows.append((next(names), old, number, error, unit))
    return rows


def _print(result: FitResult, start: Scene) -> None:
    from exitwave.cli.report import table
    from exitwave.fit.result import digits

    headers = ("parameter", "start", "fitted", "standard error", "unit")
    rows = [
        (name, f"{old:.6g}", digits(new, error), "" if error is None else f"{error:.2g}", unit)
        for name, old, new, error, unit in _rows(result, start)
    ]
    table(headers, rows, numbers=headers[1:4])
    print(f"\nreduced chi-square {result.chi2:.4g}; {result.message}")


def _write(result: FitResult, start: Scene, folder: Path, note: str) -> None:
    from exitwave.data.store import write
    from exitwave.toml import dump

    write(folder / "fitted.toml", [f"# {note}.\n{dump(result.scene)}".encode()])
    write(folder / "parameters.csv", [_csv(_rows(result, start))])
    print(f"fitted scene         {folder / 'fitted.toml'}")
    print(f"numbers              {folder / 'parameters.csv'}")
    try:
        write(folder / "fit.png", [_picture(result)])
    except ImportError as error:
        print(f"no picture: {error}")
    else:
        print(f"picture              {folder / 'fit.png'}")


def _csv(rows: Sequence[tuple[str, float, float, float | None, str]]) -> bytes:
    import csv
    import io

    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(("parameter", "start", "fitted", "standard_error", "unit"))
    lines.writerows(rows)
    return file.getvalue().encode()


def _picture(result: FitResult) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return result.picture(Path(folder) / "fit.png").read_bytes()
