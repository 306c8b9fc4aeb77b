"""`exitwave fit`: parameters from images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exitwave.cli.options import Recipe, Set

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exitwave.scene import Scene

Free = Annotated[
    list[str],
    typer.Option(
        metavar="PATH[=LOW..HIGH][,...]",
        help="What to fit, such as specimen.parts.0.size; a range may narrow it. Repeatable.",
    ),
]
Prior = Annotated[
    list[str] | None,
    typer.Option(metavar="PATH=PRIOR", help="What was known before, such as 'Normal(1.58, 0.01)'. Repeatable."),
]
Tie = Annotated[
    list[str] | None,
    typer.Option(metavar="PATH[,PATH...]", help="One number for all entries of these paths. Repeatable."),
]
Scale = Annotated[
    list[str] | None,
    typer.Option(metavar="PATH=NUMBER", help="A typical change, by which starts are scattered. Repeatable."),
]
Spacing = Annotated[str, typer.Option("--step", metavar="LENGTH", help="Focus from plane to plane, such as '0.3 um'.")]


def fit(
    recipe: Recipe,
    image: Annotated[
        list[Path],
        typer.Argument(
            help="TIFF, PNG, FILE.h5 or FILE.h5:/DATASET; several, or a stack, are a focus series. Of a "
            "recipe with a grid (depth, height, width): one stack, a volume."
        ),
    ],
    free: Free,
    prior: Prior = None,
    tie: Tie = None,
    scale: Scale = None,
    crop: Annotated[
        str,
        typer.Option(
            metavar="ROW,COL,HEIGHT,WIDTH", help="Cut out in pixels of the file; PLANE,ROW,COL,DEPTH,... of a volume."
        ),
    ] = "",
    bin: Annotated[int, typer.Option(min=1, help="Average N x N pixels of the image first.")] = 1,
    normalise: Annotated[
        str, typer.Option(metavar="none|mean|median|FILE", help="Divide by the mean or median, or by a background.")
    ] = "none",
    mask: Annotated[Path | None, typer.Option(help="Image of the file's size; nonzero pixels are left out.")] = None,
    step: Spacing = "",
    voxel: Annotated[
        str, typer.Option(metavar="DZ,DY,DX", help="Of a volume, in um if it has no unit; above the file's.")
    ] = "",
    init: Annotated[str, typer.Option(metavar="recipe|detect", help="Start from the recipe, or find particles.")] = (
        "recipe"
    ),
    count: Annotated[int | None, typer.Option(min=1, help="How many particles to find; all if not given.")] = None,
    curriculum: Annotated[
        str, typer.Option(help="single, coarse-to-fine, optics-then-particles or multi-start.")
    ] = "single",
    blur: Annotated[str, typer.Option(metavar="LENGTH", help="Of the first stage; 1/16 of the field if none.")] = "",
    starts: Annotated[int, typer.Option(min=2, help="Of multi-start.")] = 8,
    method: Annotated[str, typer.Option(help="auto, lm (few numbers), lbfgs or adam (many).")] = "auto",
    steps: Annotated[int, typer.Option(min=1, help="The most steps of the last stage.")] = 100,
    loss: Annotated[str, typer.Option(help="gaussian; huber or cauchy where the model misses pixels.")] = "gaussian",
    out: Annotated[Path | None, typer.Option(help="Folder of the results. IMAGE-fit if not given.")] = None,
    movie: Annotated[Path | None, typer.Option(help="Write the steps as .gif or .webp.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Keep the state here; the same fit goes on from it.")] = None,
    assignments: Set = None,
) -> None:
    """Fit the recipe's free numbers to an image, to a focus series, or to a volume.

    The grid takes the shape of the image, and its pixel where the file tells one. Priors in the recipe are drawn once
    (seed 0, image 0) to start from. Writes a picture of data, model and residual, the fitted scene as TOML, and the
    numbers with their standard errors as CSV.
    """
    import exitwave as ew
    from exitwave.cli.outcome import check_writable, printed, progress, saved
    from exitwave.cli.readings import Asked, reading
    from exitwave.cli.scenes import scene_of
    from exitwave.cli.target import Preparation
    from exitwave.cli.unknowns import Wishes, length, stages_of, unknowns_of, wished
    from exitwave.fit import Movie, Stage

    wishes = Wishes(free, prior or (), tie or (), scale or ())
    asked = Asked(image, assignments or (), Preparation(normalise, None, bin, mask), crop, voxel, step, init, count)
    wished(wishes)
    _check_usage(assignments, init, count)
    begun = scene_of(recipe, assignments)
    if init == "recipe":
        unknowns_of(ew.sample(begun, ew.Key(0, 0)), wishes)  # what is misspelt, before anything is read
    final = Stage(method=method, steps=steps, loss=loss)
    movies = (Movie(movie),) if movie else ()
    folder = out or Path(f"{stem(image[0])}-fit")
    for place in (folder, *(file.parent for file in (movie, checkpoint) if file)):
        check_writable(place)

    found = reading(begun, asked)
    scenes, target = found.scenes, found.target
    unknowns = unknowns_of(scenes[0], wishes)
    stages = stages_of(curriculum, final, unknowns, length(blur, "--blur"), starts, min(scenes[0].grid.extent))
    with progress(len(stages), found.told) as line:
        watch = (line, *movies)
        result = ew.fit(scenes, target.images, unknowns, stages, mask=target.masks, watch=watch, checkpoint=checkpoint)
    printed(result, scenes[0])
    names = ", ".join(file.name for file in image)
    note = f"Fitted to {names}" + (f", {bin} x {bin} pixels averaged" if bin > 1 else "")
    # From the first plane half the series on.
    middle = result.scene if len(scenes) == 1 else series(result.scene, len(scenes), found.spacing)[-1]
    saved(result, middle, scenes[0], folder, note)


def stem(image: Path) -> str:
    """Return the name of an image file without suffix and dataset."""
    from exitwave.cli.hdf5 import HDF5

    match = HDF5.fullmatch(str(image))
    return Path(match["file"] if match else image).stem


def series(scene: Scene, planes: int, spacing: float) -> tuple[Scene, ...]:
    """Return a scene for every plane of a focus series: `spacing` um apart in defocus, `scene` being the middle."""
    import exitwave as ew

    path = "microscope.optics.defocus"
    middle = ew.get(scene, path)
    return tuple(ew.substitute(scene, {path: middle + (plane - (planes - 1) / 2) * spacing}) for plane in range(planes))


def _check_usage(assignments: Sequence[str] | None, init: str, count: int | None) -> None:
    if any(text.partition("=")[0].strip().startswith("grid.shape") for text in assignments or ()):
        raise typer.BadParameter("the grid takes the shape of the image; leave out --set grid.shape, or --crop")
    if init not in ("recipe", "detect"):
        raise typer.BadParameter(f"expected --init recipe or detect, got '{init}'")
    if count is not None and init != "detect":
        raise typer.BadParameter(f"--count {count} is for --init detect; the recipe has its own number of particles")
