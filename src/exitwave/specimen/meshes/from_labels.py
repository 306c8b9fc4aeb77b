"""Meshes from images of labels: one smooth surface between cells, and between cells and what is outside."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes.nets import net
from exitwave.specimen.meshes.remesh import remeshed, shape_of
from exitwave.specimen.meshes.smoothing import averages, guarded, inflated
from exitwave.specimen.meshes.surface import Floats, Surface

# Steps of smoothing, each followed by one back (Taubin, SIGGRAPH 1995): small ones, so that walls stay apart.
_STEPS, _FORTH, _BACK = 6, 0.3, -0.32
# Of a cube's width: vertices that share a cube keep closer to their places than one that has it for itself.
_CLOSE = 0.2


def mesh_from_labels(
    labels: Tensor | ArrayLike, spacing: float | tuple[float, float, float], edge: float | None = None
) -> Mesh:
    """Return the surfaces between the labels of an image (Z, Y, X) as one mesh; 0 and what lies beyond are outside.

    Region r of the mesh is the r-th of the sorted labels, `region_labels(labels)[r - 1]`. `spacing` is the size of a
    voxel in micrometres; the origin is the centre of voxel n // 2. Every region has the volume of its voxels, its
    boundary is a clean closed surface, and the steps of the voxels are smoothed away. Edges
    have a length of about `edge` micrometres; without it, twice the mean size of a voxel.

    >>> image = torch.zeros(12, 12, 12, dtype=torch.int64)
    >>> image[3:9, 3:9, 3:6], image[3:9, 3:9, 6:9] = 7, 4
    >>> mesh = mesh_from_labels(image, spacing=0.5)
    >>> len(mesh.fill_density), bool(mesh.closed().all())
    (2, True)
    """
    image = np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels)
    steps = np.array((spacing,) * 3 if isinstance(spacing, float | int) else tuple(spacing), dtype=np.float64)
    names = region_labels(image).numpy()
    if steps.shape != (3,) or not (steps > 0).all():
        raise ValueError(
            f"spacing must be one or three sizes of a voxel in um above 0, got {spacing}; pass (dz, dy, dx)"
        )
    length = 2 * float(steps.prod()) ** (1 / 3) if edge is None else edge
    if not length > 0:
        raise ValueError(f"edge must be positive, in um, got {length:g}; pass the length that edges shall have")
    # 0 stays 0, whatever sorts before it.
    regions = np.where(image == 0, 0, np.searchsorted(names, image) + 1).astype(np.int64)
    origin = -(np.array(image.shape) // 2) * steps
    volume = np.bincount(regions.ravel(), minlength=len(names) + 1)[1:] * steps.prod()
    smooth = _smoothed(net(regions), volume / steps.prod())
    body = dataclasses.replace(smooth, points=smooth.points * steps + origin)
    return _mesh(settled(remeshed(body, length, 3, shape_of(body).place), volume))


def region_labels(labels: Tensor | ArrayLike) -> Tensor:
    """Return the label (R,) that stands for regions 1, 2, ... in `mesh_from_labels`: all but 0, sorted.

    >>> region_labels(torch.tensor([[[0, 7, 4, 4]]])).tolist()
    [4, 7]
    """
    image = np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels)
    if image.ndim != 3 or image.dtype.kind not in "ui":
        raise ValueError(
            f"labels must be integers (Z, Y, X), got {image.dtype} with shape {tuple(image.shape)}; convert the image"
        )
    names = np.unique(image)
    names = names[names != 0].astype(np.int64)
    if not len(names):
        raise ValueError("labels must hold a label other than 0, the outside, got none; check the image")
    return torch.from_numpy(names)


def settled(body: Surface, volume: Floats) -> Surface:
    """Return a surface whose regions have their volumes (R,) in cubic micrometres."""
    return dataclasses.replace(body, points=guarded(body, inflated(body, volume, np.ones(len(volume), dtype=bool))))


def _mesh(body: Surface) -> Mesh:
    return Mesh(
        torch.from_numpy(body.points.astype(np.float32)),
        torch.from_numpy(np.ascontiguousarray(body.faces)),
        regions=torch.from_numpy(np.ascontiguousarray(body.regions)),
    )


def _smoothed(body: Surface, volume: Floats) -> Surface:
    """Return a net without the steps of its voxels, every region with its volume, in voxels."""
    mean, _ = averages(body, pinned=False)
    points = body.points
    # No vertex leaves the cube between voxel centres in which the labels differ.
    low = np.floor(points)
    _, cube, count = np.unique(low, axis=0, return_inverse=True, return_counts=True)
    crowded = (count[cube.ravel()] > 1)[:, None]
    low, high = (np.where(crowded, points + way * _CLOSE, edge) for way, edge in ((-1, low), (1, low + 1)))
    for _ in range(_STEPS):
        for share in (_FORTH, _BACK):
            points = points + share * (mean @ points - points)
        points = np.clip(points, low, high)
    moved = dataclasses.replace(body, points=points)
    return dataclasses.replace(body, points=inflated(moved, volume, np.ones(len(volume), dtype=bool)))
