"""`exitwave fit-shape`: the shapes of cells from stacks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from exitwave.cli.shapes import Wanted

Length = Annotated[
    float | None, typer.Option(min=1e-6, help="Edges of the meshes in um; .15 of the diameter of cells if not given.")
]


def fit_shape(
    stack: Annotated[
        list[Path],
        typer.Argument(help="OME-TIFF, TIFF, NPY, FILE.h5 or FILE.h5:DATASET; several are frames of a movie."),
    ],
    cells: Annotated[
        Path | None, typer.Option(metavar="SEEDS.csv|LABELS.tif", help="A place in every cell, or a label volume.")
    ] = None,
    mesh: Annotated[Path | None, typer.Option(metavar="FILE.ply", help="Start from this mesh instead.")] = None,
    walls: Annotated[
        str, typer.Option(help="Between seeds: bright, where the stack is bright, or between, halfway.")
    ] = "bright",
    voxel: Annotated[
        str, typer.Option(metavar="DZ,DY,DX", help="Size of a voxel, in um if it has no unit; above the file's.")
    ] = "",
    psf_sigma: Annotated[
        str, typer.Option(metavar="Z,Y,X", help="Standard deviations of a Gaussian point spread function in um.")
    ] = "",
    na: Annotated[float | None, typer.Option(help="Or the aperture of a widefield lens, with the two below.")] = None,
    wavelength: Annotated[str, typer.Option(metavar="LENGTH", help="Of the emission, with --na.")] = "0.52 um",
    index: Annotated[float, typer.Option(help="Refractive index of the immersion, with --na.")] = 1.33,
    free_psf: Annotated[
        bool, typer.Option("--free-psf/--fixed-psf", help="Fit the widths or the aperture too.")
    ] = True,
    background: Annotated[str, typer.Option(metavar="auto|COUNTS", help="Of the stack; fitted if auto.")] = "auto",
    edge: Length = None,
    gap: Annotated[
        str, typer.Option(metavar="LENGTH", help="Close gaps between labels that are narrower than this.")
    ] = "",
    blur: Annotated[
        str, typer.Option(metavar="LENGTH", help="Of the first stage; three voxels if not given, 0 for none.")
    ] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Of optics and shapes in turns.")] = 2,
    steps: Annotated[int, typer.Option(min=1, help="The most steps of every stage that moves meshes.")] = 60,
    smoothing: Annotated[
        float, typer.Option(min=0, help="How smoothly meshes move: 100 for stacks that show much besides walls.")
    ] = 30.0,
    channel: Annotated[int | None, typer.Option(min=0, help="Of stacks with several, from 0.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results. STACK-shapes if not given.")] = None,
    movie: Annotated[bool, typer.Option("--movie", help="Draw the steps into convergence.gif.")] = False,
) -> None:
    """Fit the walls of fluorescent cells to a stack, or frame by frame to several.

    Starts from a seed in every cell, from labels, or from a mesh. Writes meshes, the rendered stack and the residual,
    a table of the cells, a report and a picture.
    """
    from exitwave.cli.fit import stem
    from exitwave.cli.outcome import check_writable
    from exitwave.cli.shapes import Optics, Wanted, all_frames, lengths, number_or_auto, one_length

    if (cells is None) == (mesh is None):
        raise typer.BadParameter("expected either --cells SEEDS.csv or LABELS.tif, or --mesh FILE.ply, to start from")
    if psf_sigma and na is not None:
        raise typer.BadParameter("expected --psf-sigma or --na, got both; the Gaussian stands for a lens")
    if not (psf_sigma or na is not None or free_psf):
        raise typer.BadParameter("--fixed-psf needs --psf-sigma Z,Y,X or --na; how wide is the point spread function?")
    if gap and (cells is None or cells.suffix.lower() == ".csv"):
        raise typer.BadParameter("--gap closes gaps between labels, got seeds or a mesh; leave it out")
    if walls not in ("bright", "between"):
        raise typer.BadParameter(f"expected --walls bright or between, got '{walls}'")
    optics = Optics(
        sigma=lengths(psf_sigma, "--psf-sigma"),
        na=na,
        wavelength=one_length(wavelength, "--wavelength") or 0.52,
        index=index,
        free=free_psf,
    )
    wanted: Wanted = Wanted(
        stacks=tuple(stack),
        cells=cells,
        mesh=mesh,
        walls=walls,
        voxel=lengths(voxel, "--voxel"),
        channel=channel,
        optics=optics,
        background=number_or_auto(background, "--background"),
        edge=edge,
        gap=one_length(gap, "--gap"),
        blur=one_length(blur, "--blur"),
        rounds=rounds,
        steps=steps,
        smoothing=smoothing,
        movie=movie,
    )
    folder = out or Path(f"{stem(stack[0])}-shapes")
    check_writable(folder)
    all_frames(wanted, folder)
