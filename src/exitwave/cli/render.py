"""`exitwave render`: one image of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exitwave.cli.options import Recipe, Seed, Set, with_suffix

_SUFFIXES = (".png", ".tif", ".tiff", ".npy")


def render(
    recipe: Recipe,
    seed: Seed = 0,
    index: Annotated[int, typer.Option(min=0, help="Which image of the dataset.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write: .png to look at, .tif or .npy for the numbers. RECIPE.png if not given."),
    ] = None,
    clean: Annotated[bool, typer.Option("--clean", help="The expectation, without noise.")] = False,
    assignments: Set = None,
) -> None:
    """Render one image: the one that generate writes under that seed and number."""
    path = with_suffix(out or Path(f"{Path(recipe).stem}.png"), _SUFFIXES)

    import torch

    import exitwave as ew
    from exitwave.cli.images import written
    from exitwave.cli.scenes import scene_of
    from exitwave.data.frame import expose
    from exitwave.model import fields

    scene = scene_of(recipe, assignments)
    key = ew.Key(seed, index)
    if clean:
        with torch.no_grad():
            image = ew.render(ew.sample(scene, key))
    else:
        image = expose(scene, key).image
    sensor = scene.microscope.sensor
    bits = int(sensor.bits) if "bits" in fields(type(sensor)) else None
    print(written(image, bits, scene.grid.spacing, path, exact=clean))
