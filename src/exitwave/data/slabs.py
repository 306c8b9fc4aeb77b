"""Volumes beyond memory: rendered slab by slab, straight into a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from exitwave.data.images import stored
from exitwave.data.volumes import VolumeWriter
from exitwave.grid import Grid
from exitwave.interaction import Emission, free_memory, predicted_memory
from exitwave.model import fields, leaves, substitute
from exitwave.render import render
from exitwave.scene import Scene, require_numbers
from exitwave.stages import require

# Of the memory that is free, slabs leave some to everything else.
_SHARE = 0.6


def save_volume(
    scene: Scene, path: str | Path, generator: torch.Generator | None = None, memory: float | None = None
) -> Path:
    """Write the image (Z, H, W) of a fluorescence scene as an OME-TIFF, slab by slab; return its path.

    No more than `memory` GiB are used at a time (60 % of what is free, if it is not given), so that the volume may be
    larger than memory. Every slab sees all emitters that reach it: the file holds what `render(scene, generator)`
    returns, up to `Emission.rtol`.

    >>> import tempfile, tifffile, exitwave as ew
    >>> point = ew.Points([[0, 0, 0]], emission=[100.0])
    >>> microscope = ew.widefield(ew.GaussianPSF(sigma=(0.4, 0.2, 0.2)))
    >>> scene = ew.Scene(ew.Specimen((point,)), microscope, ew.Grid((12, 16, 16), (0.2, 0.1, 0.1)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tifffile.imread(ew.save_volume(scene, folder + "/point.ome.tif")).shape
    (12, 16, 16)
    """
    require(scene.microscope.interaction, Emission, "interaction", "volumes are fluorescent; use widefield()")
    require_numbers(scene)
    if len(scene.grid.shape) != 3:
        raise ValueError(f"a volume needs a grid (depth, height, width), got {scene.grid.shape}; add the depth")
    limit = _SHARE * free_memory() if memory is None else memory
    sensor = scene.microscope.sensor
    # Expectations are no counts.
    bits = int(sensor.bits) if generator is not None and "bits" in fields(type(sensor)) else None
    dtype = stored(torch.zeros(1, 1), bits).dtype
    z, y, x = scene.grid.shape
    dz, dy, dx = scene.grid.spacing
    with VolumeWriter(path, (z, y, x), dtype, (dz, dy, dx)) as writer, torch.no_grad():
        for first, last in _slabs(scene, limit):
            image = render(_part(scene, first, last), generator)
            writer.write(np.stack([stored(plane, bits) for plane in image]))
    return Path(path)


def _slabs(scene: Scene, limit: float) -> Iterator[tuple[int, int]]:
    """Yield the first and one past the last plane of slabs that fit into `limit` GiB."""
    count = scene.grid.shape[0]
    deep = count
    while _need(_part(scene, 0, deep)) > limit:
        if deep == 1:
            raise MemoryError(
                f"one plane of the volume needs {_need(_part(scene, 0, 1)):.3g} GiB, got {limit:.3g} GiB; allow more "
                "memory or render a smaller field"
            )
        deep = -(-deep // 2)
    for first in range(0, count, deep):
        yield first, min(first + deep, count)


def _need(scene: Scene) -> float:
    """Return the GiB that rendering a scene takes at most."""
    stages, size = scene.microscope, torch.zeros((), dtype=scene.specimen.dtype).element_size()
    lattices = [
        stages.interaction.lattice(scene.specimen, stages.illumination, spread, scene.grid)
        for spread in stages.optics.spreads()
    ]
    return max(predicted_memory(lattice, size) for lattice in lattices) / 2**30


def _part(scene: Scene, first: int, last: int) -> Scene:
    """Return the scene of the planes from `first` to before `last`, about an origin of their own."""
    count, dz = scene.grid.shape[0], scene.grid.spacing[0]
    shift = (first + (last - first) // 2 - count // 2) * dz
    faded = (1 - float(scene.microscope.interaction.bleaching)) ** first
    given = scene.microscope.interaction.surface
    top = (count - 1 - count // 2) * dz if given is None else float(given)
    changes: dict[str, object] = {
        "grid": Grid((last - first, *scene.grid.shape[1:]), scene.grid.spacing),
        "microscope.interaction.surface": top - shift,
    }
    for path, _, item in leaves(scene):
        name = path.rpartition(".")[2]
        if not path.startswith("specimen.parts.") or not isinstance(item, Tensor):
            continue
        if name in ("center", "vertices"):
            changes[path] = item - item.new_tensor([shift, 0.0, 0.0])
        elif name in ("emission", "density", "fill_density") and faded != 1:
            changes[path] = item * faded
    return substitute(scene, changes)
