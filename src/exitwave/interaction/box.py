"""The periodic box in which emitted light is computed: as small as no light that wraps around it allows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from exitwave.grid import Grid, fast_length
from exitwave.lattice import Lattice, triple

Triple = tuple[float, float, float]


def lattice_of(grid: Grid, low: Sequence[float], high: Sequence[float], band: Triple, reach: Triple) -> Lattice:
    """Return the lattice for the image of emitters between the corners `low` and `high` on a grid, in micrometres.

    `band` is the highest frequency that passes and `reach` the farthest that light goes along every axis, infinite
    where it never ends. Emitters farther than that from the image are not in the box.
    """
    axes = [_axis(*axis) for axis in zip(_counts(grid), _steps(grid, band), low, high, band, reach, strict=True)]
    shape, order, corner, nearest, fade = zip(*axes, strict=True)
    return Lattice(
        triple(shape), _steps(grid, band), triple(order), triple(corner), _counts(grid), triple(nearest), triple(fade)
    )


def _counts(grid: Grid) -> tuple[int, int, int]:
    """Return the samples of a grid along (z, y, x); an image is one plane."""
    z, y, x = (1,) * (3 - len(grid.shape)) + grid.shape
    return z, y, x


def _steps(grid: Grid, band: Triple) -> Triple:
    """Return the spacing of a grid along (z, y, x); that of the one plane of an image follows from the optics."""
    z, y, x = (0.4 / band[0],) * (3 - len(grid.shape)) + grid.spacing
    return z, y, x


def _axis(
    n: int, step: float, low: float, high: float, band: float, reach: float
) -> tuple[int, int, int, float, float]:
    """Return the box's samples, the highest order, the image's first sample, the first lag and the fade of one axis."""
    first = -(n // 2) * step
    last = first + (n - 1) * step
    # The emitters whose light reaches the image, and how far it goes from them to a sample of it.
    start = min(max(low, first - reach), last)
    end = max(min(high, last + reach), first)
    nearest, farthest = first - end, last - start
    begin, stop = max(nearest, -reach), min(farthest, reach)
    fade = 2 / band
    # Light that leaves the box at one side comes in at the other: there it may meet nothing that is looked at.
    alone = farthest - nearest + 2 * fade if math.isinf(reach) else reach + max(farthest, -nearest)
    period = max(alone, max(last, end) - min(first, start) + step)
    count = fast_length(math.ceil(period / step - 1e-9))
    period = count * step
    # What is faded out is a little wider in frequency than what is not.
    order = math.ceil(band * period + (period / fade if math.isinf(reach) else 0.0))
    corner = max(0, math.ceil((first - start) / step - 1e-9))
    slack = (period - (stop - begin)) / 2
    return count, order, min(corner, count - n), begin - slack, min(fade, slack)
