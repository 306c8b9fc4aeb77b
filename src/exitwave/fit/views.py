"""Views of volumes: projections and slices side by side in square pixels, and where meshes cut the slices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from exitwave.fit.layout import SEEN, Array, Layout, Panels, fitted_layout, layout_of, samples
from exitwave.model import fields
from exitwave.scene import Scene
from exitwave.specimen import Mesh

COLOURS = (
    (0, 190, 255), (255, 170, 0), (70, 230, 110), (255, 90, 170), (245, 230, 60), (170, 130, 255), (255, 100, 60),
    (60, 220, 210), (200, 255, 120), (255, 180, 190), (130, 160, 255), (215, 150, 90),
)  # fmt: skip
"""Colours (red, green, blue) of regions on grey; they come round again."""


def maximum_projections(volume: Array, voxel: Sequence[float], step: float | None = None) -> Panels:
    """Return the greatest values of a volume (Z, H, W) along z (y, x), along y (z, x) and along x (z, y).

    In square pixels of `step` micrometres, the shortest side of a voxel by default. NaN counts where nothing else is.

    >>> [view.shape for view in maximum_projections(np.zeros((4, 6, 8)), voxel=(0.2, 0.1, 0.1))]
    [(6, 8), (8, 8), (8, 6)]
    """
    data = samples(volume)
    layout = layout_of(data, voxel, step)
    z, y, x = (layout.stretched(np.fmax.reduce(data, axis=axis), axis) for axis in range(3))
    return z, y, x


def orthogonal_slices(
    volume: Array, voxel: Sequence[float], at: Sequence[float] | None = None, step: float | None = None
) -> Panels:
    """Return the three planes of a volume (Z, H, W) through `at` (z, y, x) um, the middle by default.

    They are those across z (y, x), across y (z, x) and across x (z, y), in square pixels of `step` micrometres.
    """
    data = samples(volume)
    layout = layout_of(data, voxel, step)
    places = planes_at(layout, at)
    z, y, x = (layout.stretched(data.take(place, axis=axis), axis) for axis, place in enumerate(places))
    return z, y, x


def planes_at(layout: Layout, at: Sequence[float] | None) -> tuple[int, int, int]:
    """Return the numbers of the planes nearest to `at` (z, y, x) um, the middle ones by default."""
    places = []
    for name, n, size, place in zip("zyx", layout.shape, layout.voxel, (0.0,) * 3 if at is None else at, strict=True):
        low, high = -(n // 2) * size, (n - 1 - n // 2) * size
        if not low - 0.5 * size <= float(place) <= high + 0.5 * size:
            raise ValueError(f"at must lie in the volume, where {name} is {low:g} to {high:g} um, got {float(place):g}")
        places.append(min(max(round(float(place) / size) + n // 2, 0), n - 1))
    return places[0], places[1], places[2]


def composed(volume: Array, voxel: Sequence[float], views: Panels, step: float | None = None) -> np.ndarray:
    """Return the three views of a volume as one picture, NaN between them; see `Layout`."""
    return layout_of(samples(volume), voxel, step).composed(views)


def orthogonal_views(
    volume: Array, voxel: Sequence[float], at: Sequence[float] | None = None, step: float | None = None
) -> np.ndarray:
    """Return the orthogonal slices of a volume through `at` (z, y, x) um as one picture, NaN between them.

    >>> orthogonal_views(np.ones((4, 6, 8)), voxel=(0.2, 0.1, 0.1)).shape
    (15, 17)
    """
    return composed(volume, voxel, orthogonal_slices(volume, voxel, at, step), step)


def projection_views(volume: Array, voxel: Sequence[float], step: float | None = None) -> np.ndarray:
    """Return the maximum projections of a volume as one picture, NaN between them."""
    return composed(volume, voxel, maximum_projections(volume, voxel, step), step)


def middle_of_light(volume: np.ndarray, voxel: Sequence[float]) -> tuple[float, float, float]:
    """Return where the planes are that are nearest to the centre of what is brighter than the median, (z, y, x) um."""
    bright = np.nan_to_num(volume - np.nanmedian(volume)).clip(0.0)
    total = max(float(bright.sum()), 1e-300)
    z, y, x = (
        round(float(bright.sum(SEEN[axis]) @ (np.arange(n) - n // 2)) / total) * float(size)
        for axis, (n, size) in enumerate(zip(volume.shape, voxel, strict=True))
    )
    return z, y, x


def most(volume: np.ndarray, voxel: Sequence[float]) -> tuple[float, float, float]:
    """Return where the planes are whose samples are largest in the mean of squares, (z, y, x) um."""
    square = np.nan_to_num(volume).astype(np.float64) ** 2
    z, y, x = (
        (int(square.mean(SEEN[axis]).argmax()) - n // 2) * size
        for axis, (n, size) in enumerate(zip(volume.shape, voxel, strict=True))
    )
    return z, y, x


def round_length(longest: float) -> float:
    """Return the largest of 1, 2, 5, 10, ... micrometres (and their decimal parts) that is not above `longest`.

    >>> round_length(37.0), round_length(0.3)
    (20.0, 0.2)
    """
    decade = math.floor(math.log10(longest))
    fitting = [digit for digit in (1.0, 2.0, 5.0) if digit * 10.0**decade <= longest * (1 + 1e-9)]
    return float(f"{fitting[-1] * 10.0**decade:.6g}")


def meshes_of(scene: Scene) -> tuple[Mesh, ...]:
    """Return the meshes of a scene."""
    return tuple(part for part in scene.specimen.parts if "faces" in fields(type(part)))


def mesh_slices(vertices: Array, faces: Array, axis: int, position: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where triangles cut a plane: segments (S, 2, 2) in um, and the face (S,) that every one lies in.

    The plane is across `axis` (0, 1, 2 for z, y, x) at `position` um; points are along the two other axes in order. A
    vertex in the plane counts as above it, so that a closed surface gives closed polygons, whose corners agree to the
    last bit, wherever it is cut. Those of one surface run around it in one direction.

    >>> segments, face = mesh_slices([[-1, 0, 0], [1, 0, 0], [1, 2, 2]], [[0, 1, 2]], axis=0, position=0.0)
    >>> segments.tolist(), face.tolist()
    ([[[1.0, 1.0], [0.0, 0.0]]], [0])
    """
    points, table = samples(vertices).astype(np.float64), samples(faces)
    if axis not in (0, 1, 2):
        raise ValueError(f"axis must be 0, 1 or 2 for z, y or x, got {axis}")
    height = points[:, axis] - position
    above = (height >= 0)[table]
    number = above.sum(1)
    face = np.flatnonzero((number > 0) & (number < 3))
    one = number[face] == 1
    # The corner that is alone on its side; both edges from it are cut.
    alone = np.where(one, above[face].argmax(1), above[face].argmin(1))
    first, second, third = (table[face, (alone + turn) % 3] for turn in range(3))
    ends = _crossings(points, height, first, second), _crossings(points, height, first, third)
    seen = list(SEEN[axis])
    start, stop = (np.where(one[:, None], ends[turn], ends[1 - turn])[:, seen] for turn in range(2))
    long = (start != stop).any(1)
    return np.stack([start, stop], 1)[long], face[long]


def _crossings(points: np.ndarray, height: np.ndarray, some: np.ndarray, others: np.ndarray) -> np.ndarray:
    # In the order of the vertices' numbers: the two faces of an edge must agree on where it is cut.
    low, high = np.minimum(some, others), np.maximum(some, others)
    share = height[low] / (height[low] - height[high])
    return points[low] + share[:, None] * (points[high] - points[low])


def contours(
    layout: Layout, meshes: Sequence[Mesh], at: Sequence[float], width: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return where meshes cut the slices through `at`: segments (S, 2, 2) of (row, column), and whose they are (S,).

    Regions are numbered on from mesh to mesh. A face is the rim of both its regions: each has a line of its own on its
    side of the face, `width` pixels apart; the outside has none.
    """
    found, owners, before = [np.zeros((0, 2, 2))], [np.zeros(0, np.int64)], 0
    for mesh in meshes:
        normals, regions = samples(mesh.area_vectors()), samples(mesh.regions)
        for axis in range(3):
            segments, face = mesh_slices(mesh.vertices, mesh.faces, axis, at[axis])
            lines, kept = layout.clipped(layout.pixels(segments, axis), axis)
            face = face[kept]
            # From the region behind a face into the one in front, in the plane of the picture.
            down, across = SEEN[axis] if axis != 2 else SEEN[axis][::-1]
            out = normals[face][:, [down, across]]
            out = out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-300)
            for side, shift in ((0, -0.5 * width), (1, 0.5 * width)):
                owner = regions[face, side]
                found.append((lines + shift * out[:, None])[owner > 0])
                owners.append(owner[owner > 0] - 1 + before)
        before += int(regions.max())
    return np.concatenate(found), np.concatenate(owners)


def overlay(
    volume: Array,
    voxel: Sequence[float],
    meshes: Mesh | Sequence[Mesh],
    path: str | Path,
    at: Sequence[float] | None = None,
) -> Path:
    """Write a PNG of the slices of a volume through `at` (z, y, x) um, with the outlines of meshes; return its path.

    The middle of the volume is the default. Every region has a colour of its own, and where two meet, the line is
    double. Needs the extra `plot`.
    """
    from exitwave.fit.plots import crossed, figure_of, outlined, saved, show

    data = samples(volume)
    layout = fitted_layout(data, voxel, 900)
    # Meshes are cut where the planes are that are shown.
    planes = planes_at(layout, at)
    places = zip(planes, layout.shape, layout.voxel, strict=True)
    z, y, x = centre = tuple((plane - n // 2) * size for plane, n, size in places)
    picture = orthogonal_views(data, voxel, centre, layout.step)
    height, width = picture.shape
    figure = figure_of(9.0 * width / max(height, width), 9.0 * height / max(height, width) + 0.6)
    axis = figure.subplots()
    seen = picture[np.isfinite(picture)]
    limits = tuple(np.percentile(seen, [0.5, 99.8])) if len(seen) else (0.0, 1.0)
    show(axis, layout, picture, "gray", limits)
    crossed(axis, layout, centre)
    outlined(figure, axis, layout, (meshes,) if isinstance(meshes, Mesh) else meshes, centre, 1.3)
    axis.set_title(f"slices at z = {z:.4g}, y = {y:.4g}, x = {x:.4g} µm", fontsize=10)
    return saved(figure, Path(path))
