"""Cells: the walls of a tissue, its brightness and its point spread function from a stack of planes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from exitwave.fit.fit import fit
from exitwave.fit.result import FitResult
from exitwave.fit.stage import Stage
from exitwave.fit.starts import edge_of
from exitwave.fit.watch import Watcher
from exitwave.grid import Grid
from exitwave.illumination import Flood
from exitwave.interaction import Emission
from exitwave.model import get, params, substitute
from exitwave.optics import PSF, Detection
from exitwave.render import render
from exitwave.scene import Microscope, Scene
from exitwave.sensor import Camera
from exitwave.specimen import Mesh, Specimen
from exitwave.specimen.meshes import volumes

VERTICES, GAIN, OFFSET = "specimen.parts.0.vertices", "microscope.sensor.gain", "microscope.sensor.offset"
"""Where a scene of cells holds its walls, and the brightness and background of its stack."""

_NOISE = "microscope.sensor.read_noise"

# What a square micrometre of membrane emits in a scene of cells: so much that shot noise is nothing beside the noise
# of reading, which makes all voxels count alike. How many photons a real count stands for is not known.
_EMISSION = 1e5
# The standard deviation that a stack is fitted with: far above the noise of rounding to counts.
_SPREAD = 100.0
# Relative error of an image: far below the noise of any stack.
_RTOL = 1e-3
# Names of what a fit may find of a point spread function, the first that it has.
_PSF = ("sigma", "na")


def cell_scene(mesh: Mesh, psf: PSF, grid: Grid) -> Scene:
    """Return the scene of fluorescent membranes as a stack shows them, with a brightness and a background to fit.

    Walls between two cells are two membranes. The stack is `microscope.sensor.gain` times their light, from a camera
    whose pixels integrate, plus `microscope.sensor.offset`. The noise is even: least squares.

    >>> from exitwave.optics import GaussianPSF
    >>> from exitwave.specimen.meshes import icosphere
    >>> ball, blur = icosphere(radius=1.0), GaussianPSF(sigma=(0.4, 0.2, 0.2))
    >>> cell_scene(ball, blur, Grid((16, 16, 16), 0.2)).microscope.sensor.offset
    tensor(0., dtype=torch.float64)
    """
    if len(grid.shape) != 3:
        raise ValueError(f"cells need a grid (depth, height, width), got {grid.shape}; pass one of three axes")
    walls = (mesh.regions.amin(1) > 0).to(mesh.vertices)
    bright = replace(mesh, density=_EMISSION * (1 + walls), fill_density=torch.zeros_like(mesh.fill_density))
    camera = Camera(dose=1.0, quantum_efficiency=1.0, gain=1.0, offset=0.0, read_noise=1e3, full_well=1e9, bits=32)
    microscope = Microscope(Flood(), Emission(rtol=_RTOL), Detection(psf), camera)
    return Scene(Specimen((bright,)), microscope, grid).to(torch.float64)


def psf_paths(scene: Scene) -> tuple[str, ...]:
    """Return the path of what a fit finds of the point spread function: widths, or the aperture; none of others."""
    known = params(type(scene.microscope.optics.psf))
    return tuple(f"microscope.optics.psf.{name}" for name in _PSF if name in known)[:1]


def matched(
    scene: Scene,
    stack: Tensor | np.ndarray,
    mask: Tensor | np.ndarray | None = None,
    background: float | None = None,
) -> Scene:
    """Return a scene of cells with the brightness and background that are nearest to a stack (Z, H, W).

    By linear least squares of stack = gain * light + offset over the voxels that are finite and not in `mask`; the
    offset is `background` where that is known. The camera's noise is set to the standard deviation of the stack: a
    loss of 1/2 explains nothing of it, and half of what is left over is the loss.
    """
    data = torch.as_tensor(stack).double()
    if tuple(data.shape) != scene.grid.shape:
        raise ValueError(f"the stack must be of the scene's shape {scene.grid.shape}, got {tuple(data.shape)}; crop it")
    seen = torch.isfinite(data)
    if mask is not None:
        seen &= ~torch.as_tensor(mask).to(torch.bool)
    if int(seen.sum()) < 16 or float(data[seen].std()) == 0:
        raise ValueError("the stack must show something, got one value everywhere; check channel and file")
    light = render(substitute(scene, {GAIN: 1.0, OFFSET: 0.0})).detach().double()[seen]
    found = data[seen]
    middle, level = (light.mean(), found.mean()) if background is None else (light.new_zeros(()), background)
    power = float((light - middle).square().sum())
    if power == 0:
        raise ValueError("the cells give no light in the stack: they lie outside of it; check voxel size and origin")
    gain = float(((light - middle) * (found - level)).sum()) / power
    # Walls far from those of the stack may show nothing of them: dim ones then, which find their brightness later.
    gain = max(gain, 0.1 * float(found.std()) / math.sqrt(power / len(light)))
    offset = float(level - gain * middle) if background is None else background
    return substitute(scene, {GAIN: gain, OFFSET: offset, _NOISE: min(float(found.std()) / gain, 1e5)})


def shape_stages(
    voxel: Sequence[float],
    edge: float | None = None,
    rounds: int = 2,
    psf: Sequence[str] = (),
    blur: float | None = None,
    steps: int = 60,
    smoothing: float = 30.0,
) -> tuple[Stage, ...]:
    """Return the stages that fit cells to a stack: coarse to fine, then rounds of optics and shapes in turns.

    `voxel` is (dz, dy, dx) in micrometres and `edge` the length of the final mesh's edges, twice the mean voxel
    without it. The first stage compares under a `blur` of three voxels, with edges twice as long, and the second under
    half of it; `blur=0` leaves both out. In every one of the `rounds`, the numbers at the paths `psf` (`psf_paths`)
    are fitted with brightness and background while the shapes rest, and then the shapes with brightness and background;
    from the second round on everything moves together. Meshes are made anew before every stage in which they
    move, the more smoothly the larger `smoothing` is: 100 for stacks that show much besides walls.

    >>> [(stage.blur, stage.edge) for stage in shape_stages((0.2, 0.2, 0.2), rounds=1)]
    [(0.6, 0.8), (0.3, 0.56), (0.0, 0.4)]
    """
    mean = _mean(voxel)
    if rounds < 1 or steps < 1:
        raise ValueError(f"rounds and steps must be at least 1, got {rounds} and {steps}")
    fine = 2 * mean if edge is None else edge
    first = 3 * mean if blur is None else blur
    light = (GAIN, OFFSET)
    walls = Stage((VERTICES, *light), "auto", steps, tolerance=1e-3, smoothing=smoothing)
    stages = [
        replace(walls, blur=round(share * first, 9), edge=round(length * fine, 9))
        for share, length in ((1.0, 2.0), (0.5, 1.4))
        if first > 0
    ]
    for number in range(rounds):
        if psf:
            stages.append(Stage((*light, *psf), "lm", 8, tolerance=1e-4))
        # Once the optics are nearly known they move with the shapes, of which they are not independent.
        stages.append(replace(walls, free=(VERTICES, *light, *(psf if number else ())), edge=round(fine, 9)))
    return tuple(stages)


def tracking_stages(
    voxel: Sequence[float], edge: float | None = None, steps: int = 40, smoothing: float = 30.0
) -> tuple[Stage, ...]:
    """Return the stages for a frame that starts from the cells of the frame before: a blur of two voxels, then none.

    Cells that moved by more than their walls are wide need `shape_stages` with a wider blur. The point spread function
    stays what it was.

    >>> [(stage.blur, stage.steps) for stage in tracking_stages((0.2, 0.2, 0.2))]
    [(0.4, 40), (0.0, 40)]
    """
    rough, _, *fine = shape_stages(voxel, edge, 1, (), 2 * _mean(voxel), steps, smoothing)
    return replace(rough, edge=fine[0].edge), *fine


def fit_cells(
    scene: Scene,
    stack: Tensor | np.ndarray,
    stages: Sequence[Stage] | None = None,
    *,
    background: float | None = None,
    mask: Tensor | np.ndarray | None = None,
    watch: Sequence[Watcher] = (),
) -> FitResult:
    """Return the fit of a scene of cells (`cell_scene`) to a stack: walls, brightness, background, and optics.

    What the `stages` free is free; without them it is everything that `shape_stages` knows of, with edges for cells of
    the start's size (`edge_of`). The start's brightness
    and background do not matter: they are `matched` first. A `background` that is known stays what it is.

    >>> from exitwave.optics import GaussianPSF
    >>> from exitwave.specimen.meshes import icosphere, volumes
    >>> grid, psf = Grid((20, 20, 20), 0.2), GaussianPSF(sigma=(0.3, 0.3, 0.3))
    >>> truth, start = (cell_scene(icosphere(radius, subdivisions=3), psf, grid) for radius in (1.2, 1.0))
    >>> result = fit_cells(start, render(truth), shape_stages(grid.spacing, edge=0.3, rounds=1, steps=30))
    >>> round(float(volumes(result.scene.specimen.parts[0])) / (4 / 3 * torch.pi * 1.2**3), 1)
    1.0
    """
    if stages is None:
        voxel = scene.grid.spacing
        stages = shape_stages(
            voxel, edge_of(volumes(get(scene, "specimen.parts.0")).detach().numpy(), voxel), psf=psf_paths(scene)
        )
    start = matched(scene, stack, mask, background)
    # Stacks come in counts of any size, and what is computed has limits of its own.
    factor = _SPREAD / float(get(start, GAIN) * get(start, _NOISE))
    everything = (VERTICES, GAIN, OFFSET, *psf_paths(scene))
    if background is not None:
        everything = tuple(name for name in everything if name != OFFSET)
        stages = [replace(one, free=tuple(n for n in one.free or everything if n != OFFSET)) for one in stages]
    free = dict.fromkeys(name for stage in stages for name in stage.free or everything)
    data = torch.as_tensor(stack).double() * factor
    return _times(fit(_brighter(start, factor), data, list(free), stages, mask=mask, watch=watch), 1 / factor)


def _brighter(scene: Scene, factor: float) -> Scene:
    """Return a scene whose stack has `factor` times the counts."""
    return substitute(scene, {path: get(scene, path) * factor for path in (GAIN, OFFSET)})


def _times(result: FitResult, factor: float) -> FitResult:
    """Return the result of a fit in other counts: `factor` times those that were fitted."""
    return replace(
        result,
        scenes=tuple(_brighter(scene, factor) for scene in result.scenes),
        values={name: value * factor if name in (GAIN, OFFSET) else value for name, value in result.values.items()},
        images=tuple(image * factor for image in result.images),
        targets=tuple(target * factor for target in result.targets),
    )


def _mean(voxel: Sequence[float]) -> float:
    """Return the side of a cube as large as a voxel, in micrometres."""
    sizes = [float(size) for size in voxel]
    if len(sizes) != 3 or not all(0 < size < math.inf for size in sizes):
        raise ValueError(f"voxel must be three lengths (dz, dy, dx) above 0 um, got {tuple(voxel)}")
    return math.prod(sizes) ** (1 / 3)
