"""`exitwave calibrate`: a recipe's numbers from images without labels."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exitwave.cli.options import Recipe, Seed, Set

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from PIL.Image import Image

    from exitwave.data.calibrate import Calibration, Watcher
    from exitwave.scene import Scene

_SUFFIXES = (".tif", ".tiff", ".png")
_ACROSS = 4
"""Pieces side by side on the sheet."""


def calibrate(
    recipe: Recipe,
    images: Annotated[Path, typer.Argument(help="Folder of grey TIFF or PNG images, at the recipe's pixel.")],
    out: Annotated[Path, typer.Option(help="Folder of the results.")],
    free: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH[+PATH...]",
            help="A number or prior that may move; those joined by + move together. Repeatable. Of scanned electrons "
            "without it: gain, offset, dose, probe, shadowing, yields, the film's texture, numbers of particles.",
        ),
    ] = None,
    crop: Annotated[
        str, typer.Option(metavar="ROW,COL,HEIGHT,WIDTH", help="What of every image counts, in pixels of the file.")
    ] = "",
    rounds: Annotated[int, typer.Option(min=1, help="The most rounds.")] = 4,
    n: Annotated[int, typer.Option("-n", min=2, help="Images drawn for each free number and round.")] = 24,
    tile: Annotated[int, typer.Option(min=32, help="Edge in pixels of the pieces that are compared.")] = 256,
    seed: Seed = 0,
    assignments: Set = None,
) -> None:
    """Move a recipe's priors until its images look like those in a folder.

    Compared are intensities, power spectrum, edges and noise; no labels are needed. Writes the recipe as TOML, and a
    sheet of real pieces above pieces drawn before and after.
    """
    from exitwave.cli.images import write_png
    from exitwave.cli.outcome import check_writable
    from exitwave.cli.scenes import scene_of
    from exitwave.cli.target import crop_of
    from exitwave.data.calibrate import calibrate as run
    from exitwave.data.store import write
    from exitwave.toml import dump

    begun = scene_of(recipe, assignments)
    cut = crop_of(crop)
    check_writable(out)
    files = _files(images)
    real, told = _read(files, cut, begun)
    with _progress(rounds) as watch:
        done = run(begun, real, free or (), rounds=rounds, n=n, tile=tile, seed=seed, watch=watch)
    for line in told:
        print(line)
    _printed(done)
    name = Path(recipe).stem
    note = f"{name}, calibrated to {len(files)} images in {images.absolute().name}"
    write(out / f"{name}.toml", [f"# {note}.\n{dump(done.recipe)}".encode()])
    write_png(out / "sheet.png", _sheet(done, note))
    print(f"recipe               {out / f'{name}.toml'}")
    print(f"sheet                {out / 'sheet.png'}")


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ValueError(f"expected a folder of images, got '{folder}'; correct the path")
    found = sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES)
    if not found:
        raise ValueError(f"expected TIFF or PNG images in {folder}, got none; convert them")
    return found


def _read(files: Sequence[Path], crop: tuple[int, ...] | None, recipe: Scene) -> tuple[list[np.ndarray], list[str]]:
    """Return the images in counts of the recipe's sensor, and what there is to know of them."""
    from exitwave.cli.measured import measured
    from exitwave.cli.target import Preparation, prepared
    from exitwave.model import fields

    sensor = recipe.microscope.sensor
    white = 2 ** int(sensor.bits) - 1 if "bits" in fields(type(sensor)) else None
    sources = [measured([file]) for file in files]
    # One converter made all of them, though not every image reaches its end.
    top = max(_white(plane) for source in sources for plane in source.planes)
    factor = white / top if white and top else 1.0
    found: list[np.ndarray] = []
    for file, source in zip(files, sources, strict=True):
        for image in prepared(source, Preparation(crop=crop)).images:
            _check(image, file, crop)
            found.append(image * factor)
    told = [f"{len(found)} images"]
    own, pixel = recipe.grid.spacing, sources[0].pixel
    if pixel is not None and max(abs(a / b - 1) for a, b in zip(pixel, own, strict=True)) > 0.02:
        told.append(
            f"the files say pixels of {pixel[0]:.5g} um, the recipe {own[0]:.5g} um, which is used: "
            f"--set grid.pixel={pixel[0]:.6g} takes the files'"
        )
    if factor != 1.0:
        told.append(f"counts up to {top} scaled to the recipe's {white}")
    return found, told


def _white(plane: np.ndarray) -> int:
    """Return the largest count of the converter that made an image; 0 where nothing tells."""
    if plane.dtype.kind not in "ui":
        return 0
    return next((top for top in (255, 1023, 4095, 16383, 65535) if int(plane.max()) <= top), 0)


def _check(image: np.ndarray, file: Path, crop: tuple[int, ...] | None) -> None:
    import numpy as np

    from exitwave.data.statistics import data_bar

    if not np.isfinite(image).all():
        raise ValueError(f"expected finite pixels in {file}, got NaN or infinity; --crop what is sound")
    if float(image.std()) == 0:
        raise ValueError(f"expected an image in {file}, got {image.flat[0]:g} in every pixel; remove the file")
    bar = data_bar(image)
    if bar is not None:
        row, column = (crop[0], crop[1]) if crop else (0, 0)
        raise ValueError(
            f"{file} has a data bar from row {bar[0] + row} to {bar[1] + row - 1}; cut it off with --crop "
            f"{row},{column},{bar[0]},{image.shape[1]}"
        )


@contextmanager
def _progress(rounds: int) -> Iterator[Watcher]:
    """Yield a watcher that keeps a line up to date on a terminal; nothing elsewhere."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda number, loss: None
        return
    with console.status("reading the statistics of the images") as status:
        yield lambda number, loss: status.update(f"{number} of {rounds} rounds, sum of squares {loss:.4g}")


def _printed(done: Calibration) -> None:
    from exitwave.cli.report import table

    headers = ("parameter", "before", "after", "unit", "")
    rows = [
        (
            number.path,
            f"{number.before:.4g}",
            f"{number.after:.4g}",
            number.unit,
            "at its limit" if number.ended else "",
        )
        for number in done.numbers
    ]
    table(headers, rows, numbers=headers[1:3])
    print()
    headers = ("statistics", "before", "after")
    blocks = [(name, f"{done.before[name]:.2f}", f"{done.after[name]:.2f}") for name in done.before]
    table(headers, blocks, numbers=headers[1:])
    n = len(done.first)
    print(
        f"in spreads from one real piece of {' x '.join(str(size) for size in done.real[0].shape)} pixels to another; "
        f"means of {n} fresh draws are uncertain by {n**-0.5:.2f}\n"
    )


def _sheet(done: Calibration, note: str) -> Image:
    """Return real pieces above pieces of the recipe before and after, all with one scale of grey."""
    import numpy as np
    from PIL import Image

    from exitwave.data.sheet import composed

    low, high = np.quantile(np.stack(done.real), [0.001, 0.998])
    # Evenly from all images, not the corners of the first.
    places = np.linspace(0, len(done.real) - 1, _ACROSS).round().astype(int)
    rows = {
        "real": [done.real[place] for place in places],
        "before": [done.first[place % len(done.first)] for place in range(_ACROSS)],
        "after": [done.last[place % len(done.last)] for place in range(_ACROSS)],
    }
    pictures, captions = [], []
    for name, pieces in rows.items():
        for piece in pieces:
            grey = np.clip((piece - low) / max(high - low, 1e-9) * 255, 0, 255).astype(np.uint8)
            pictures.append(Image.fromarray(grey).convert("RGB"))
            captions.append(name)
    return composed(pictures, captions, (), note)
