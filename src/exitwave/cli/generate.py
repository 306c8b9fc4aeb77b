"""`exitwave generate`: a dataset of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exitwave.cli.options import Recipe, Seed, Set

if TYPE_CHECKING:
    from exitwave.data import Run


def generate(
    recipe: Recipe,
    out: Annotated[Path, typer.Argument(help="Folder of the dataset, new or of the same run.")],
    n: Annotated[int, typer.Option("-n", min=1, help="Number of images.")],
    seed: Seed = 0,
    format: Annotated[
        str,
        typer.Option(
            help="Label formats, separated by commas: yolo-obb, yolo, coco, masks, masks-png, classes, nnunet, "
            "sizes, parquet; of volumes masks, membranes, meshes. What suits the recipe without it."
        ),
    ] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Processes that render; the files are the same for any.")] = 1,
    readable: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Draw images anew in which less than this share of the objects, such as 0.9, has an outline that can "
            "be seen. All are kept without it.",
        ),
    ] = None,
    assignments: Set = None,
) -> None:
    """Write a dataset of annotated images.

    Run the same again to continue an interrupted dataset, or with a larger -n to extend it.
    """
    from exitwave.cli.scenes import scene_of
    from exitwave.data import generate as run
    from exitwave.data.writers import writers

    done = run(scene_of(recipe, assignments), out, n, seed, format, workers, readable=readable)
    _times(done)
    again = f"; {done.reused} were there" if done.reused else ""
    rate = f", {done.written / done.elapsed:.2f} images/s" if done.written else ""
    print(f"\n{done.written} images in {done.elapsed:.1f} s{rate}{again}")
    if readable is not None:
        drawn = done.written + done.rejected
        print(f"{done.rejected} of {drawn} drawn were rejected: less than {readable:.0%} of the outlines could be seen")
    for name, writer in writers(done.formats).items():
        kind = {"csv": "truth table", "sheet": "contact sheet", "images": "images"}.get(name, f"labels ({name})")
        for owned in writer.owns:
            if (done.folder / owned).exists():
                print(f"{kind:20s} {done.folder / owned}")
    print(f"{'manifest':20s} {done.folder / 'manifest.json'}")


def _times(done: Run) -> None:
    """Print where the time went, over all workers."""
    from exitwave.cli.report import table

    whole = sum(done.seconds.values())
    rows = [
        (stage, f"{spent:.2f}", f"{spent / whole:.0%}", f"{1000 * spent / max(done.written, 1):.0f}")
        for stage, spent in done.seconds.items()
    ]
    headers = ("stage", "seconds", "share", "ms/image")
    table(headers, rows, numbers=headers[1:])
