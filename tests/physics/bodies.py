"""Bodies by their definition: whether a point lies inside. No chord, no silhouette, no matrix of a rotation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Inside = Callable[[Array, Array], NDArray[np.bool_]]
"""From a size and points (..., 3) in body axes (z, y, x) to whether each lies inside."""

LYSOZYME = (79.1, 79.1, 37.9)


def sphere(size: Array, point: Array) -> NDArray[np.bool_]:
    return (point**2).sum(-1) <= size[0] ** 2


def ellipsoid(size: Array, point: Array) -> NDArray[np.bool_]:
    return ((point / size) ** 2).sum(-1) <= 1


def rod(size: Array, point: Array) -> NDArray[np.bool_]:
    """All points within a radius of the axis segment along x."""
    radius, half_length = size
    z, y, x = np.moveaxis(point, -1, 0)
    beyond = np.maximum(abs(x) - (half_length - radius), 0)
    return z**2 + y**2 + beyond**2 <= radius**2


def box(size: Array, point: Array) -> NDArray[np.bool_]:
    return np.all(abs(point) <= size, axis=-1)


def disk(size: Array, point: Array) -> NDArray[np.bool_]:
    z, y, x = np.moveaxis(point, -1, 0)
    return (abs(z) <= size[1]) & (y**2 + x**2 <= size[0] ** 2)


def lysozyme_planes(size: Array) -> tuple[Array, Array]:
    """Return the outward normals (12, 3) in (z, y, x) and distances of {110} and {101}, written out by hand.

    In a tetragonal cell the normal of (h k l) is (h / a, k / a, l / c) in (x, y, z).
    """
    a, _, c = LYSOZYME
    signs = (1, -1)
    prism = [(0, k, h) for h in signs for k in signs]
    pyramid = [(m / c, 0, h / a) for h in signs for m in signs] + [(m / c, k / a, 0) for k in signs for m in signs]
    normals = np.array(prism + pyramid, dtype=np.float64)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return normals, np.array([size[0]] * 4 + [size[1]] * 8)


def crystal(size: Array, point: Array) -> NDArray[np.bool_]:
    normals, distances = lysozyme_planes(size)
    inside = np.ones(point.shape[:-1], dtype=bool)
    for normal, distance in zip(normals, distances, strict=True):
        inside &= point @ normal <= distance
    return inside


def rounded_cube(size: Array, point: Array) -> NDArray[np.bool_]:
    """All points within a radius of a smaller cube."""
    half, roundness = size
    radius = roundness * half
    return (np.maximum(abs(point) - (half - radius), 0) ** 2).sum(-1) <= radius**2


def to_body(quaternion: Array, vector: Array) -> Array:
    """Return lab vectors (..., 3) in body axes, q* v q by Hamilton's product; vectors (z, y, x), q (w, x, y, z)."""
    w, *imaginary = quaternion / np.linalg.norm(quaternion)
    u = -np.array(imaginary)  # the conjugate
    v = vector[..., ::-1]
    turned = v + 2 * np.cross(u, np.cross(u, v) + w * v)
    return turned[..., ::-1]


def cell_averages(
    inside: Inside,
    size: Array,
    quaternion: Array,
    center: tuple[float, float],
    shape: tuple[int, int],
    pixel: tuple[float, float],
    reach: float,
    fine: int = 8,
    layers: int = 100,
) -> Array:
    """Return the thickness along z (H, W) averaged over each cell, by counting points on a regular lattice."""

    def points(samples: int, step: float, middle: float) -> Array:
        return ((np.arange(samples * fine) + 0.5) / fine - 0.5 - samples // 2) * step - middle

    y, x = points(shape[0], pixel[0], center[0]), points(shape[1], pixel[1], center[1])
    along_z, along_y, along_x = to_body(quaternion, np.eye(3))
    plane = y[:, None, None] * along_y + x[None, :, None] * along_x
    count = np.zeros((len(y), len(x)))
    for height in ((np.arange(layers) + 0.5) / layers * 2 - 1) * reach:
        count += inside(size, plane + height * along_z)
    thick = count * 2 * reach / layers
    return thick.reshape(shape[0], fine, shape[1], fine).mean((1, 3))
