"""Statistics of images: what two sets of micrographs can be compared by without labels.

They tell intensities, length scales, edges and noise, and do not depend on where things lie: an image and its mirror
image have the same. All are averages over many pixels, smooth in what made the image even where counts are integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates, maximum_filter

Floats = NDArray[np.float64]

SMALLEST = 32
"""The least height and width of an image in pixels: less holds no profile of an edge."""

BLOCKS = {"intensity": 19, "spectrum": 10, "edges": 19, "texture": 7}
"""The blocks of the vector that `statistics` returns, in order: name -> number of entries."""

# Offsets along the gradient at which an edge's profile is read, in pixels; the reach is their largest.
_OFFSETS = np.arange(-6.0, 7.0)
_REACH = 6
# The share of pixels that may hold the strongest edges, and how many of these are averaged.
_STEEPEST, _EDGES = 0.02, 200
# Ranks between which gradients are averaged: few pixels are edges.
_RANKS = (0.0, 0.5, 0.75, 0.9, 0.97, 0.99, 1.0)
# Spreads below this share of the block's middle one say that the images given are few, not that they are alike.
_FLOOR = 0.2
_SPREAD = 0.5
# A row of a data bar holds two grey levels nearly alone. Noise spreads those of a micrograph over many.
_BAR_SHARE, _BAR_ROWS = 0.6, 20


def statistics(image: np.ndarray) -> Floats:
    """Return the statistics (K,) of a grey image (H, W), block after block as `BLOCKS` has them.

    - intensity: the means of 19 equally large groups of pixels, from the darkest to the brightest;
    - spectrum: the logarithm to base 10 of the mean power (Hann window) in rings of frequency, from two periods in the
      shorter side to Nyquist's;
    - edges: the means of gradients between ranks, and the mean profile across the strongest edges, from dark to
      bright, in steps of a pixel;
    - texture: the noise in dark and in bright places along rows and columns, from second differences (after J.
      Immerkaer, "Fast noise variance estimation", Computer Vision and Image Understanding 64, 300, 1996, trimmed), the
      correlation of fine detail with the next pixel along rows and columns, and the step of brightness between rows.

    >>> ramp = np.arange(64.0)[None].repeat(64, 0)
    >>> found = by_block(statistics(ramp))
    >>> float(found["edges"][2].round(3)), float(found["texture"][0])
    (1.0, 0.0)
    """
    data = np.asarray(image, dtype=np.float64)
    if data.ndim != 2 or min(data.shape) < SMALLEST:
        raise ValueError(f"expected a grey image of {SMALLEST} x {SMALLEST} pixels or more, got {data.shape}; enlarge")
    if not np.isfinite(data).all():
        raise ValueError("expected finite pixels, got NaN or infinity; crop them away")
    parts = (_intensity(data), _spectrum(data), _edges(data), _texture(data))
    return np.concatenate(parts)


def by_block(values: Floats) -> dict[str, Floats]:
    """Return the entries of a vector (K,) or of many (n, K) by the names of the blocks."""
    ends = np.cumsum(list(BLOCKS.values()))[:-1]
    return dict(zip(BLOCKS, np.split(values, ends, axis=-1), strict=True))


@dataclass(frozen=True)
class Reference:
    """What a set of images has in common: the mean (K,) of their statistics, and the spread (K,) from one to another.

    `scale` (K,) is the spread with a floor, the unit in which `distance` counts.
    """

    mean: Floats
    spread: Floats
    scale: Floats

    def departures(self, values: Floats) -> tuple[Floats, Floats]:
        """Return how far the mean of statistics (n, K) is off, and how much larger their spread is, in `scale`."""
        return (values.mean(0) - self.mean) / self.scale, (values.std(0, ddof=1) - self.spread) / self.scale

    def residual(self, values: Floats) -> Floats:
        """Return what calibration makes small (2 K,), all blocks with the same weight whatever their length.

        The spread of few images is known worse than their mean, so that it counts less.
        """
        weight = np.concatenate([np.full(count, count**-0.5) for count in BLOCKS.values()])
        mean, spread = self.departures(values)
        return np.concatenate([weight * mean, _SPREAD * weight * spread])

    def distance(self, values: Floats) -> dict[str, float]:
        """Return by block the root mean square of how far the mean of statistics (n, K) is off, in spreads."""
        return {name: float(np.sqrt((part**2).mean())) for name, part in by_block(self.departures(values)[0]).items()}


def reference(values: Floats) -> Reference:
    """Return mean and spread of the statistics (n, K) of two images or more."""
    if len(values) < 2:
        raise ValueError(f"expected two images or more, whose spread is the unit, got {len(values)}; add images")
    spread = values.std(0, ddof=1)
    floors = [np.full(part.shape, _FLOOR * float(np.median(part))) for part in by_block(spread).values()]
    # Images that are alike to the last digit still differ by rounding.
    return Reference(values.mean(0), spread, np.maximum(np.maximum(spread, np.concatenate(floors)), 1e-6))


def data_bar(image: np.ndarray) -> tuple[int, int] | None:
    """Return the first row of the data bar below an image (H, W) and the row after its last; nothing without one.

    A bar is more than 20 rows, one after another in the lower half, in each of which two grey levels fill most pixels.

    >>> noisy = np.random.default_rng(0).normal(90, 5, (200, 160)).round()
    >>> noisy[170:198] = 0
    >>> data_bar(noisy), data_bar(noisy[:170])
    ((170, 198), None)
    """
    plain = [_share(row) >= _BAR_SHARE for row in np.asarray(image)]
    height, first = len(plain), len(plain) // 2
    if np.mean(plain[:first]) > 0.5:
        return None  # the image itself has few grey levels
    start = first
    for row in range(first, height + 1):
        if row == height or not plain[row]:
            if row - start > _BAR_ROWS:
                return start, row
            start = row + 1
    return None


def _share(row: np.ndarray) -> float:
    counts = np.sort(np.unique(row, return_counts=True)[1])
    return float(counts[-2:].sum()) / row.size


def _means(values: Floats, ends: Sequence[int]) -> Floats:
    """Return the means of the groups that sorted values (n,) fall into between ranks."""
    order = np.sort(values, axis=None)
    return np.array([order[a : max(b, a + 1)].mean() for a, b in pairwise(ends)])


def _intensity(data: Floats) -> Floats:
    return _means(data, np.linspace(0, data.size, BLOCKS["intensity"] + 1).round().astype(int).tolist())


def _spectrum(data: Floats) -> Floats:
    # The window is symmetric, so that a mirror image has the same power.
    window = np.hanning(data.shape[0] + 2)[1:-1, None] * np.hanning(data.shape[1] + 2)[1:-1]
    weight = window / window.sum()
    power = np.abs(np.fft.rfft2((data - (weight * data).sum()) * window)) ** 2 / (window**2).sum()
    radius = np.hypot(np.fft.fftfreq(data.shape[0])[:, None], np.fft.rfftfreq(data.shape[1])).ravel()
    edges = np.geomspace(2 / min(data.shape), 0.5, BLOCKS["spectrum"] + 1)
    ring = np.digitize(radius, edges) - 1
    inside = (ring >= 0) & (ring < BLOCKS["spectrum"])
    total = np.bincount(ring[inside], power.ravel()[inside], BLOCKS["spectrum"])
    count = np.bincount(ring[inside], minlength=BLOCKS["spectrum"])
    filled = count > 0
    found = np.log10(total[filled] / count[filled] + 1e-9)
    # Small images have no frequency in some of the lowest rings.
    return np.interp(np.arange(len(count)), np.flatnonzero(filled), found)


def _edges(data: Floats) -> Floats:
    down, along = (gaussian_filter1d(gaussian_filter1d(data, 1.0, 1 - axis), 1.0, axis, order=1) for axis in (0, 1))
    slope = np.hypot(down, along)
    ranks = [math.floor(rank * slope.size) for rank in _RANKS]
    inner = slope[_REACH + 1 : -_REACH - 1, _REACH + 1 : -_REACH - 1]
    steep = np.sort(inner, axis=None)[-max(1, math.ceil(_STEEPEST * inner.size))]
    crests = (inner >= steep) & (inner == maximum_filter(inner, 5)) & (inner > 0)
    row, column = (place + _REACH + 1 for place in np.nonzero(crests))
    if not len(row):  # a flat image has no edges, and its profile is its level
        return np.concatenate([_means(slope, ranks), np.full(len(_OFFSETS), data.mean())])
    strongest = np.argsort(-slope[row, column], kind="stable")[:_EDGES]
    row, column = row[strongest], column[strongest]
    way = np.stack([down[row, column], along[row, column]]) / slope[row, column]
    place = np.stack([row, column])[:, :, None] + way[:, :, None] * _OFFSETS
    return np.concatenate([_means(slope, ranks), map_coordinates(data, place, order=1, mode="nearest").mean(0)])


def _texture(data: Floats) -> Floats:
    level: Floats = gaussian_filter(data, 2.0)
    fine = data - level
    dark, bright = level <= float(np.quantile(level, 0.4)), level >= float(np.quantile(level, 0.9))
    noise, echo = [], []
    for axis in (0, 1):
        turned, detail = np.moveaxis(data, axis, 1), np.moveaxis(fine, axis, 1)
        low, high = np.moveaxis(dark, axis, 1), np.moveaxis(bright, axis, 1)
        second = np.abs(turned[:, 2:] - 2 * turned[:, 1:-1] + turned[:, :-2])
        noise += [_trimmed(second[low[:, 1:-1]]), _trimmed(second[high[:, 1:-1]])]
        echo.append(float((detail[:, 1:] * detail[:, :-1]).mean()) / (float((detail**2).mean()) + 1e-9))
    # Rows differ where the scan does; what lies in them cancels in the median.
    steps = np.median(np.diff(fine, axis=0), axis=1)
    return np.array([*noise, *echo, float(np.abs(steps).mean())])


def _trimmed(second: Floats) -> float:
    """Return the noise's standard deviation from absolute second differences, without the largest, which are edges."""
    if not second.size:
        return 0.0
    kept = np.sort(second)[: max(1, math.floor(0.8 * second.size))]
    # The mean of |x| below its 80 % quantile q = 1.2816 is 2 (phi(0) - phi(q)) / 0.8 = 0.5586 for normal x of
    # deviation 1; the variance of second differences is 1 + 4 + 1 times that of a pixel.
    return float(kept.mean()) / (0.5586 * math.sqrt(6))
