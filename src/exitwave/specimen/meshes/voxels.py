"""Voxels: which region every voxel of a grid lies in."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes.surface import Floats, Integers, Surface, surface
from exitwave.specimen.meshes.topology import spans

# Lines that are tested against faces at once: a bound on memory.
_PAIRS = 4_000_000
# Share of a voxel by which lines are moved, so that none meets a vertex that lies on a voxel's centre.
_ASIDE = (math.pi * 1e-7, math.e * 1e-7)


def voxelize(mesh: Mesh, shape: tuple[int, int, int], spacing: float | tuple[float, float, float]) -> Tensor:
    """Return the region (Z, Y, X) at the centre of every voxel, int32; 0 is the outside.

    The origin is the centre of voxel n // 2 and `spacing` the voxels' size in micrometres. Along every line of voxels
    in x, a region begins and ends where the line goes through its boundary. Where regions overlap, as nuclei do that
    were put into cells without cutting them, the higher number wins.

    >>> from exitwave.specimen.meshes.solids import icosphere
    >>> voxelize(icosphere(radius=1.0), (1, 1, 5), 0.5).tolist()
    [[[0, 1, 1, 1, 0]]]
    """
    steps = (spacing,) * 3 if isinstance(spacing, float | int) else tuple(spacing)
    if len(shape) != 3 or len(steps) != 3 or min(shape) < 1 or min(steps) <= 0:
        raise ValueError(
            f"voxels need three counts and three sizes in um above 0, got {tuple(shape)} and {steps}; pass (Z, Y, X)"
        )
    torn = (~mesh.closed()).nonzero().flatten().add(1).tolist()
    if torn:
        raise ValueError(
            f"voxels need closed surfaces turned one way, got region {', '.join(map(str, torn[:5]))} open; repair the "
            "mesh first"
        )
    origin = np.array([-(n // 2) * step for n, step in zip(shape, steps, strict=True)])
    return torch.from_numpy(painted(surface(mesh), tuple(shape), np.asarray(steps), origin)).to(mesh.faces.device)


def painted(body: Surface, shape: tuple[int, ...], steps: Floats, origin: Floats) -> np.ndarray:
    """Return the region at every sample of a grid whose first sample lies at `origin`, (Z, Y, X) int32."""
    aside = np.array([*_ASIDE, 0.0])
    points = (body.points - origin) / steps + aside
    line, height, face, rising = _crossings(points, body.faces, shape)
    # Beyond a face that a line leaves through its front begins the region in front.
    first, second = body.regions[face, 0], body.regions[face, 1]
    begin, end = np.where(rising, second, first), np.where(rising, first, second)
    region = np.concatenate([begin, end])
    step = np.repeat([1, -1], len(face))
    line, height = np.tile(line, 2), np.tile(height, 2)
    order = np.lexsort((-step, height, line, region))
    region, step, line, height = region[order], step[order], line[order], height[order]
    last = np.append((np.diff(line) != 0) | (np.diff(region) != 0), True)[: len(line)]
    total = np.cumsum(step)
    # Every line ends outside: what the one before it has left over can only be an error.
    over = np.repeat(np.append(0, total[last])[:-1], np.diff(np.append(-1, np.flatnonzero(last))))
    from_ = np.clip(np.ceil(height).astype(np.int64), 0, shape[2])
    to = np.append(from_[1:], 0)
    stretch = ~last & (total > over) & (to > from_) & (region > 0)
    result = np.zeros(shape, dtype=np.int32)
    flat = result.reshape(-1)
    # Higher regions come later and win.
    rows = np.flatnonzero(stretch)
    start = np.concatenate([[0], np.cumsum(to[rows] - from_[rows])])
    for part in _parts(start):
        owner, place = spans(start, part)
        at = rows[part][owner]
        flat[line[at] * shape[2] + from_[at] + place - start[part][owner]] = region[at]
    return result


def _crossings(
    points: Floats, faces: Integers, shape: tuple[int, ...]
) -> tuple[Integers, Floats, Integers, np.ndarray]:
    """Return where lines along x meet faces: the line, the place along it, the face, and whether it leads to its front.

    A line is on one side of an edge for both faces at it, for the sign is always taken with the edge's lower vertex
    first: it goes through exactly one of them, or through both or none where they turn away from it.
    """
    flat = points[:, :2][faces]
    low = np.clip(np.ceil(flat.min(1)).astype(np.int64), 0, None)
    high = np.minimum(np.floor(flat.max(1)).astype(np.int64), np.array(shape[:2]) - 1)
    size = np.maximum(high - low + 1, 0)
    start = np.concatenate([[0], np.cumsum(size.prod(1))])
    found: list[tuple[np.ndarray, ...]] = []
    rows = np.flatnonzero(np.diff(start) > 0)
    for part in _parts(np.concatenate([[0], np.cumsum(np.diff(start)[rows])])):
        chosen = rows[part]
        owner, place = spans(start, chosen)
        face = chosen[owner]
        place = place - start[face]
        z, y = low[face, 0] + place // size[face, 1], low[face, 1] + place % size[face, 1]
        weights = np.stack([_side(points, faces[:, k - 2], faces[:, k - 1], face, z, y) for k in range(3)], -1)
        # Where a line runs through an edge it counts as on the side where the value is positive for the edge's order.
        sides = (weights > 0) | ((weights == 0) & (np.roll(faces, -1, 1) < np.roll(faces, -2, 1))[face])
        hit = (sides == sides[:, :1]).all(1) & (weights.sum(1) != 0)
        weights, face = weights[hit], face[hit]
        x = (weights * points[faces[face], 2]).sum(1) / weights.sum(1)
        found.append((z[hit] * shape[1] + y[hit], x, face, sides[hit, 0]))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, bool)
    line, x, face, rising = (np.concatenate(column) for column in zip(*found, strict=True))
    return line, x, face, rising


def _side(points: Floats, first: Integers, second: Integers, face: Integers, z: Integers, y: Integers) -> Floats:
    """Return twice the area between an edge of each face and a line, positive where the line lies to its left."""
    forward = (first < second)[face]
    low, high = np.minimum(first, second)[face], np.maximum(first, second)[face]
    run, rise = points[high, 1] - points[low, 1], points[high, 0] - points[low, 0]
    area = run * (z - points[low, 0]) - rise * (y - points[low, 1])
    return np.where(forward, area, -area)


def _parts(start: Integers) -> list[Integers]:
    """Return the numbers of rows of a table with several entries each, in groups of about as many as memory allows."""
    if len(start) < 2:
        return []
    cuts = np.searchsorted(start, np.arange(_PAIRS, start[-1], _PAIRS))
    return [part for part in np.split(np.arange(len(start) - 1), np.unique(cuts)) if len(part)]
