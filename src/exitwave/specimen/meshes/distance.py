"""Distances between surfaces."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes.nearest import nearest, places
from exitwave.specimen.meshes.surface import Floats, Surface, normals, surface

# Fractions of the plastic number: multiples of them fill the unit square evenly (Roberts, R2 sequence).
_EVEN = np.array([0.7548776662466927, 0.5698402909980532])


class SurfaceDistance(NamedTuple):
    """Distances in micrometres from points of one surface to the nearest of another: means, 99th percentiles."""

    mean_ab: float
    mean_ba: float
    p99_ab: float
    p99_ba: float


def surface_distance(a: Mesh, b: Mesh, samples: int = 20_000) -> SurfaceDistance:
    """Return how far the surfaces of two meshes are from one another, in micrometres, one way and the other.

    From `samples` points spread evenly over the area of each the nearest point of the other is sought.

    >>> from exitwave.specimen.meshes.solids import icosphere
    >>> there = surface_distance(icosphere(1.0, subdivisions=4), icosphere(1.5, subdivisions=4), 1000)
    >>> round(there.mean_ab, 2), round(there.p99_ba, 2)
    (0.5, 0.5)
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}; some 20,000 tell the 99th percentile well")
    first, second = surface(a), surface(b)
    ab, ba = _distances(first, second, samples), _distances(second, first, samples)
    return SurfaceDistance(float(ab.mean()), float(ba.mean()), *(float(np.percentile(d, 99)) for d in (ab, ba)))


def _distances(source: Surface, target: Surface, samples: int) -> Floats:
    points = scattered(source, samples)
    return np.linalg.norm(nearest(places(target.points[target.faces]), points)[0] - points, axis=-1)


def scattered(body: Surface, samples: int) -> Floats:
    """Return points (samples, 3) spread evenly over the area of a surface, the same ones every time."""
    area = np.linalg.norm(normals(body.points, body.faces), axis=-1)
    total = np.cumsum(area)
    if not total[-1] > 0:
        raise ValueError("a surface must have an area to measure distances from, got 0; repair the mesh")
    face = np.searchsorted(total, (np.arange(samples) + 0.5) / samples * total[-1], side="right")
    first, second = np.modf(np.arange(samples)[:, None] * _EVEN)[0].T
    over = first + second > 1
    first, second = np.where(over, 1 - first, first), np.where(over, 1 - second, second)
    corners = body.points[body.faces[np.minimum(face, len(area) - 1)]]
    return (
        corners[:, 0]
        + first[:, None] * (corners[:, 1] - corners[:, 0])
        + second[:, None] * (corners[:, 2] - corners[:, 0])
    )
