"""Surfaces: meshes as NumPy arrays, for whatever changes their structure, which no gradient passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from exitwave.specimen.mesh import Mesh

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Surface:
    """Points (V, 3) in micrometres (z, y, x), faces (F, 3), regions behind and in front (F, 2), densities (F,)."""

    points: Floats
    faces: Integers
    regions: Integers
    density: Floats


def surface(mesh: Mesh) -> Surface:
    """Return a mesh as arrays in double precision, apart from its graph."""
    return Surface(
        mesh.vertices.detach().cpu().numpy().astype(np.float64),
        mesh.faces.cpu().numpy().astype(np.int64),
        mesh.regions.cpu().numpy().astype(np.int64),
        mesh.density.detach().cpu().numpy().astype(np.float64),
    )


def mesh_of(new: Surface, like: Mesh) -> Mesh:
    """Return arrays as a mesh with the dtype, device, filling and label of another."""
    points, density = (torch.from_numpy(array).to(like.vertices) for array in (new.points, new.density))
    faces, regions = (torch.from_numpy(array).to(like.faces) for array in (new.faces, new.regions))
    return Mesh(points, faces, density, regions, like.fill_density, like.label)


def normals(points: Floats, faces: Integers) -> Floats:
    """Return the area times the unit normal (F, 3) of every face along (z, y, x)."""
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    # The right-hand rule in (x, y, z) is the left-hand rule in (z, y, x).
    return -0.5 * np.cross(b - a, c - a)


def shapes(points: Floats, faces: Integers) -> Floats:
    """Return 4 sqrt(3) area / sum of squared sides of every face (F,): 1 if equilateral, 0 if it has no area."""
    corners = points[faces]
    squares = np.square(corners - np.roll(corners, 1, 1)).sum((1, 2))
    return 4 * 3**0.5 * np.linalg.norm(normals(points, faces), axis=-1) / np.where(squares > 0, squares, 1.0)


def enclosed(points: Floats, faces: Integers, regions: Integers, count: int) -> Floats:
    """Return the volume (R,) of regions 1, 2, ..., `count` in cubic micrometres, by the divergence theorem."""
    middle = points.mean(0) if len(points) else np.zeros(3)
    cone = ((points[faces].mean(1) - middle) * normals(points, faces)).sum(-1) / 3
    behind, before = (np.bincount(regions[:, side], cone, count + 1) for side in (0, 1))
    return (behind - before)[1:].astype(np.float64)


def compact(old: Surface) -> Surface:
    """Return the same surface without the points that no face uses."""
    used, place = np.unique(old.faces, return_inverse=True)
    return Surface(old.points[used], place.reshape(old.faces.shape).astype(np.int64), old.regions, old.density)
