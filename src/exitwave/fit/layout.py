"""Layout: where the three views of a volume lie in one picture of square pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

Array = np.ndarray | Tensor
Panels = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Pictures that look along z (y, x), along y (z, x) and along x (z, y)."""

SEEN = ((1, 2), (0, 2), (0, 1))
"""The axes, down and across, that are seen when looking along z, y and x."""


@dataclass(frozen=True)
class Layout:
    """How the three views of a volume of `shape` and `voxel` (dz, dy, dx) um lie in one picture of square pixels.

    The view along z is at the top left, that along x to its right with z across, that along y below with z down.
    """

    shape: tuple[int, int, int]
    voxel: tuple[float, float, float]
    step: float

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The pixels that z, y and x take."""
        z, y, x = (max(1, round(n * size / self.step)) for n, size in zip(self.shape, self.voxel, strict=True))
        return z, y, x

    @property
    def gap(self) -> int:
        """The pixels between two views."""
        return max(1, round(0.012 * (self.sizes[0] + max(self.sizes[1:]))))

    def stretched(self, view: np.ndarray, axis: int) -> np.ndarray:
        """Return a view along `axis` in square pixels; every one shows the sample that it lies in."""
        for place, seen in enumerate(SEEN[axis]):
            size, n = self.sizes[seen], self.shape[seen]
            view = view.take((np.arange(size) * 2 + 1) * n // (2 * size), axis=place)
        return view

    def composed(self, views: Panels) -> np.ndarray:
        """Return one picture of three views in square pixels, NaN between them."""
        (depth, height, width), gap = self.sizes, self.gap
        along_z, along_y, along_x = views
        picture = np.full((height + gap + depth, width + gap + depth), np.nan, np.result_type(along_z, np.float32))
        picture[:height, :width] = along_z
        picture[height + gap :, :width] = along_y
        picture[:height, width + gap :] = along_x.T
        return picture

    def corner(self, axis: int) -> tuple[int, int]:
        """Return the row and the column at which the view along `axis` begins."""
        return ((0, 0), (self.sizes[1] + self.gap, 0), (0, self.sizes[2] + self.gap))[axis]

    def pixels(self, points: np.ndarray, axis: int) -> np.ndarray:
        """Return (row, column) in the picture, integers at centres, of points (..., 2) um in the view along `axis`."""
        down, across = SEEN[axis]
        places = []
        for seen, coordinate in ((down, points[..., 0]), (across, points[..., 1])):
            n = self.shape[seen]
            places.append((coordinate / self.voxel[seen] + n // 2 + 0.5) * (self.sizes[seen] / n) - 0.5)
        row, column = places if axis != 2 else places[::-1]
        top, left = self.corner(axis)
        return np.stack([row + top, column + left], -1)

    def clipped(self, lines: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the parts in the view along `axis` of lines (S, 2, 2) in the picture, and which lines they are of."""
        down, across = SEEN[axis] if axis != 2 else SEEN[axis][::-1]
        low = np.array(self.corner(axis)) - 0.5
        high = low + np.array([self.sizes[down], self.sizes[across]])
        start, along = lines[:, 0], lines[:, 1] - lines[:, 0]
        # Where a line, start + t along, crosses the four sides (Liang and Barsky); those along a side have no crossing.
        step = np.where(along == 0, 1e-30, along)
        sides = np.sort(np.stack([(low - start) / step, (high - start) / step]), axis=0)
        enter, leave = sides[0].max(1).clip(0.0, 1.0), sides[1].min(1).clip(0.0, 1.0)
        kept = np.flatnonzero(enter < leave)
        ends = np.stack([enter, leave], 1)[kept, :, None]
        return start[kept, None] + ends * along[kept, None], kept


def layout_of(volume: np.ndarray, voxel: Sequence[float], step: float | None = None) -> Layout:
    """Return the layout of a volume (Z, H, W), by default in pixels as small as the shortest side of a voxel."""
    if volume.ndim != 3 or volume.size == 0 or volume.dtype.kind not in "buif":
        raise ValueError(f"expected a volume (Z, H, W) of real numbers, got {volume.shape} of {volume.dtype}")
    sides = tuple(float(size) for size in voxel)
    if len(sides) != 3 or not all(0 < size < math.inf for size in sides):
        raise ValueError(f"voxel must be three lengths (dz, dy, dx) above 0 um, got {tuple(voxel)}")
    depth, height, width = volume.shape
    return Layout((depth, height, width), (sides[0], sides[1], sides[2]), min(sides) if step is None else step)


def fitted_layout(volume: np.ndarray, voxel: Sequence[float], side: int) -> Layout:
    """Return the layout of a volume (Z, H, W) whose picture has about `side` pixels on its longer side."""
    sides = [size * n for size, n in zip(layout_of(volume, voxel).voxel, volume.shape, strict=True)]
    return layout_of(volume, voxel, (sides[0] + max(sides[1:])) / side)


def samples(volume: Array) -> np.ndarray:
    """Return a volume as an array."""
    return volume.detach().cpu().numpy() if isinstance(volume, Tensor) else np.asarray(volume)
