"""Shapes: stacks made ready, fitted one after the other, and told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import typer

from exitwave import units
from exitwave.cli.cells import COLUMNS, cell_rows, labels_of, seeds_of, table_of
from exitwave.cli.outcome import progress
from exitwave.cli.shape_files import Fitted, Timed, appearing, correlation, write_frame
from exitwave.cli.target import white
from exitwave.data.store import write
from exitwave.data.volumes import Volume, read_volume, require_voxel
from exitwave.fit import Movie, Stage
from exitwave.fit.cells import (
    cell_scene,
    fit_cells,
    matched,
    psf_paths,
    shape_stages,
    tracking_stages,
)
from exitwave.fit.starts import cells_from_labels, cells_from_seeds, edge_of
from exitwave.grid import Grid
from exitwave.model import get
from exitwave.optics import PSF, GaussianPSF, VectorialPSF
from exitwave.render import render
from exitwave.scene import Scene
from exitwave.specimen import Mesh
from exitwave.specimen.meshes import load_mesh, report, volumes

# Voxels that a point spread function of which nothing is known is wide.
_WIDE = 1.5
# Frames of a movie: one for so many steps.
_EVERY = 4


@dataclass(frozen=True)
class Optics:
    """What is known of the point spread function: widths (z, y, x) in um, or a lens; `free` to be fitted."""

    sigma: tuple[float, float, float] | None
    na: float | None
    wavelength: float
    index: float
    free: bool

    def psf(self, voxel: Sequence[float]) -> PSF:
        """Return the point spread function to start from."""
        if self.na is not None:
            return VectorialPSF(na=self.na, wavelength=self.wavelength, index=self.index)
        return GaussianPSF(sigma=self.sigma or tuple(_WIDE * size for size in voxel))


@dataclass(frozen=True)
class Wanted:
    """What is asked for: the options of `exitwave fit-shape`, read; None where they were not given."""

    stacks: tuple[Path, ...]
    cells: Path | None
    mesh: Path | None
    walls: str
    voxel: tuple[float, float, float] | None
    channel: int | None
    optics: Optics
    background: float | None
    edge: float | None
    gap: float | None
    blur: float | None
    rounds: int
    steps: int
    smoothing: float
    movie: bool

    def stages(self, scene: Scene, first: bool) -> tuple[Stage, ...]:
        """Return the stages for the first frame, or for those that go on from another."""
        voxel = scene.grid.spacing
        edge = self.edge or edge_of(volumes(_cells(scene)).detach().numpy(), voxel)
        if not first:
            return tracking_stages(voxel, edge, max(1, (2 * self.steps) // 3), self.smoothing)
        psf = psf_paths(scene) if self.optics.free else ()
        return shape_stages(voxel, edge, self.rounds, psf, self.blur, self.steps, self.smoothing)


def all_frames(wanted: Wanted, folder: Path) -> None:
    """Fit the stacks one after the other, each from the one before, and write everything into a folder."""
    frames = [_stack(wanted, path) for path in wanted.stacks]
    first = frames[0]
    for path, frame in zip(wanted.stacks, frames, strict=True):
        if frame.data.shape != first.data.shape or frame.voxel != first.voxel:
            raise ValueError(
                f"frames must have one shape and one voxel, got {frame.data.shape} of {frame.voxel} um in {path} and "
                f"{first.data.shape} of {first.voxel} um before; crop them alike"
            )
    several = len(frames) > 1
    voxel = require_voxel(first)
    mesh, names = _start(wanted, first)
    scene = cell_scene(mesh, wanted.optics.psf(voxel), Grid(first.data.shape, voxel))
    rows: list[tuple[object, ...]] = []
    for number, frame in enumerate(frames):
        place = folder / f"t{number:03d}" if several else folder
        told = [*frame.notes, *([_from_data(scene)] if number == 0 and _guessed(wanted) else [])]
        if several:
            told.insert(0, f"frame {number} of {len(frames)}: {wanted.stacks[number]}")
        with appearing(place) as partial:
            fitted = _fitted(wanted, scene, frame, number == 0, partial, told)
            scene = fitted.scene
            own = cell_rows(_cells(scene), names, scene.grid)
            write_frame(partial, fitted, names, own, _described(wanted, frame, number))
        print(_summary(fitted))
        rows += [(number, *row) for row in own]
        print(f"results              {place}")
    if several:
        write(folder / "cells.csv", [table_of(rows, ("frame", *COLUMNS))])
        print(f"cells of all frames  {folder / 'cells.csv'}")


def _stack(wanted: Wanted, path: Path) -> Volume:
    """Return a stack with a voxel, of two planes at least that show something."""
    volume = read_volume(path, wanted.voxel, channel=wanted.channel)
    if min(volume.data.shape) < 2:
        raise ValueError(f"expected a stack of planes in {path}, got {volume.data.shape} voxels; pass all planes of it")
    require_voxel(volume)
    if np.nanmin(volume.data) == np.nanmax(volume.data):
        raise ValueError(f"the stack must show something, got one value everywhere in {path}; check channel")
    return volume


def _start(wanted: Wanted, stack: Volume) -> tuple[Mesh, tuple[int, ...]]:
    """Return the mesh of the cells to start from, and their numbers."""
    voxel, shape = require_voxel(stack), stack.data.shape
    if wanted.mesh is not None:
        mesh = load_mesh(wanted.mesh)
        found = report(mesh)
        if not all(found.closed) or not all(found.oriented):
            raise ValueError(f"{wanted.mesh} must hold closed cells, got {'; '.join(found.faults)}; repair it first")
        return mesh, tuple(range(1, len(mesh.fill_density) + 1))
    assert wanted.cells is not None  # one of them is given
    if wanted.cells.suffix.lower() == ".csv":
        seeds = seeds_of(wanted.cells, shape, voxel)
        return cells_from_seeds(stack.data, voxel, seeds.places, wanted.edge, wanted.walls), seeds.names
    labels, names = labels_of(wanted.cells, shape)
    return cells_from_labels(labels, voxel, wanted.edge, wanted.gap or 0.0), names


def _fitted(wanted: Wanted, start: Scene, frame: Volume, first: bool, folder: Path, told: Sequence[str]) -> Fitted:
    """Return what a frame is fitted by; a movie goes into the folder."""
    data = torch.from_numpy(np.asarray(frame.data, dtype=np.float64))
    mask = torch.from_numpy(white(frame.data))
    stages = wanted.stages(start, first)
    begun = matched(start, data, mask, wanted.background)
    with torch.no_grad():
        before = render(begun)
    timed = Timed()
    movies = (Movie(folder / "convergence.gif", every=_EVERY),) if wanted.movie else ()
    with progress(len(stages), told) as line:
        result = fit_cells(start, data, stages, background=wanted.background, mask=mask, watch=(line, timed, *movies))
    shown = ~mask & torch.isfinite(data)
    return Fitted(
        start=begun,
        result=result,
        stages=stages,
        timed=timed,
        data=data,
        before=correlation(before, data, shown),
        after=correlation(result.image, data, shown),
        shown=shown,
    )


def _cells(scene: Scene) -> Mesh:
    return scene.specimen.parts[0]


def _guessed(wanted: Wanted) -> bool:
    return wanted.optics.sigma is None and wanted.optics.na is None


def _from_data(scene: Scene) -> str:
    sigma = ", ".join(f"{number:.3g}" for number in get(scene, "microscope.optics.psf.sigma").tolist())
    return f"unknown optics: starts from a Gaussian of {sigma} um (z, y, x); --psf-sigma or --na tell it"


def _described(wanted: Wanted, frame: Volume, number: int) -> list[str]:
    """Return what was fitted and from what, in lines."""
    voxel = require_voxel(frame)
    source = wanted.stacks[max(number - 1, 0)] if number else wanted.mesh or wanted.cells
    return [
        f"stack        {wanted.stacks[number]}, {' x '.join(map(str, frame.data.shape))} voxels of "
        f"{' x '.join(f'{size:.5g}' for size in voxel)} um",
        f"started from {'the cells of ' if number else ''}{source}",
        *(f"note         {note}" for note in frame.notes),
    ]


def _summary(fitted: Fitted) -> str:
    return f"correlation {fitted.before:.4f} at the start, {fitted.after:.4f} fitted; {fitted.result.message}"


def lengths(text: str, option: str) -> tuple[float, float, float] | None:
    """Return the three lengths of an option in micrometres, None for an empty text.

    >>> lengths("400 nm, 0.2, 0.2", "--psf-sigma")
    (0.4, 0.2, 0.2)
    """
    if not text:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3:
        raise typer.BadParameter(f"expected {option} Z,Y,X, three lengths, got '{text}'")
    z, y, x = (_positive(part, option) for part in parts)
    return z, y, x


def one_length(text: str, option: str) -> float | None:
    """Return the length of an option in micrometres, which may be 0; None for an empty text."""
    if not text:
        return None
    found = _parsed(text, option)
    if not 0 <= found < float("inf"):
        raise typer.BadParameter(f"expected {option} of zero or more, got '{text}'")
    return found


def number_or_auto(text: str, option: str) -> float | None:
    """Return a number, or None for auto."""
    if text == "auto":
        return None
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not np.isfinite(found):
        raise typer.BadParameter(f"expected {option} auto or a number of counts, got '{text}'")
    return found


def _positive(text: str, option: str) -> float:
    found = _parsed(text, option)
    if not 0 < found < float("inf"):
        raise typer.BadParameter(f"expected {option} above zero, got '{text}'")
    return found


def _parsed(text: str, option: str) -> float:
    try:
        return units.parse(text, "um")
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from None
