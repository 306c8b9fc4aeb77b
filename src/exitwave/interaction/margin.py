"""Margins: the samples around an image that what lies beyond it can reach."""

from __future__ import annotations

import math

from exitwave.field import Canvas
from exitwave.grid import Grid, fast_length

_LARGEST = 1 << 29


def canvas_around(grid: Grid, reach: float, remedy: str) -> Canvas:
    """Return a canvas that is `reach` micrometres larger than a grid (height, width) on every side, at the least.

    A canvas of more than 2^29 samples is a one-line error, which ends in `remedy`.

    >>> canvas_around(Grid((60, 60), 0.1), 1.0, "reach less").grid.shape
    (96, 96)
    """
    sizes, corners = [], []
    for n, step in zip(grid.shape, grid.spacing, strict=True):
        # Rounded up to 16 samples, so that a fit that moves the focus does not change the canvas at every step.
        margin = 16 * math.ceil(reach / step / 16)
        size = n + 2 * margin
        size = fast_length(size) if size <= _LARGEST else size
        sizes.append(size)
        corners.append((size - n) // 2)
    if math.prod(sizes) > _LARGEST:
        raise ValueError(
            f"the image with its margin must stay below {_LARGEST:,} samples, got {sizes[0]} x {sizes[1]} for a reach "
            f"of {reach:.4g} um; {remedy}"
        )
    return Canvas(Grid((sizes[0], sizes[1]), grid.pixel), (corners[0], corners[1]), (grid.shape[0], grid.shape[1]))
