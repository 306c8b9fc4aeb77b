"""Readability: whether the outlines that an image's labels draw can be seen in it, by a rule and without a network.

Wide priors also draw images that nobody could label: far out of focus, or of too low a dose. The rule is A. Rose's (J.
Opt. Soc. Am. 38, 196, 1948): what differs from its surroundings by `contrast` times the standard deviation of a pixel's
noise, and covers A pixels, is seen if contrast sqrt(A) is above about 5.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from exitwave.annotate import Truth

ROSE = 5.0
"""The value of contrast sqrt(A) from which on something is seen."""

# Which objects have to be seen: those that are mostly hidden, or of a few pixels, are in no reader's way.
_VISIBLE, _PIXELS = 0.25, 16
# Depth of the rings on either side of an outline, and the side of the cells that they are taken apart by, in pixels.
_RING, _CELL = 2, 8
# Of rings: longer ones count as so many pixels. With rings of two pixels these are 16 pixels along the outline: where
# less of it is seen at a time, it is seen that something is there, but not where it ends.
_LONGEST = 32
# The mask of differences sums independent noise of 36 times a pixel's variance. Half of the absolute values of normal
# numbers lie below 0.6745 standard deviations.
_MEDIAN = 0.6745 * 6
_ROUNDING = 12**-0.5


def visibility(image: np.ndarray, truth: Truth) -> np.ndarray:
    """Return contrast sqrt(A) of every instance's visible outline (N,), float64; NaN for those not to be judged.

    `image` is (H, W) or (H, W, C), of whose colours each instance's best counts. Two rings of 2 pixels lie inside and
    outside of the visible outline. The contrast is the difference of their means in units of the noise, taken apart
    into cells of 8 x 8 pixels, free of what noise alone adds, and of these the middle one: half of the outline has more
    contrast. So an object is seen as well that is bright on one side and dark on the other, or lies against bright and
    dark neighbours. A is n m / (n + m) for rings of n and m pixels, which is what the difference of two means is worth,
    and each counts as 32 pixels at most: a long outline must be seen bit by bit.

    Not judged are instances of less than 16 visible pixels, or visible by less than a quarter.

    >>> import exitwave as ew
    >>> disk = ew.Particles(ew.Sphere(), center=[[0, 0, 0]], size=[[1.0]], index=[1.5])
    >>> scene = ew.Scene(ew.Specimen((disk,), medium=1.33), ew.brightfield(na=0.5), ew.Grid((64, 64), 0.1))
    >>> truth = ew.annotate(scene)
    >>> noisy = 2.0 * (truth.ids > 0) + np.random.default_rng(0).normal(size=(64, 64))
    >>> bool(abs(visibility(noisy, truth)[0] - 2 * 4) < 1.5)
    True
    """
    rings = _rings(truth.ids)
    judged = (truth.area >= _PIXELS) & (truth.visible_fraction >= _VISIBLE)
    flat = np.asarray(image, dtype=np.float64).reshape(truth.ids.size, -1)
    least = _ROUNDING if np.issubdtype(image.dtype, np.integer) else np.finfo(np.float32).tiny
    best = np.full(len(truth), np.nan)
    for colour in flat.T:
        sigma = max(noise(colour.reshape(truth.shape), truth.ids == 0), least)
        best = np.fmax(best, _seen(rings, colour / sigma, len(truth)))
    return np.where(judged, best, np.nan)


def readable_share(found: np.ndarray) -> float:
    """Return the share of instances that are seen, of those that `visibility` judges; 1 where there is none.

    >>> readable_share(np.array([4.0, 6.0, np.nan, 30.0, 7.0]))
    0.75
    """
    judged = found[~np.isnan(found)]
    return float((judged >= ROSE).mean()) if len(judged) else 1.0


def noise(image: np.ndarray, background: np.ndarray | None = None) -> float:
    """Return the standard deviation of the noise of a pixel of an image (H, W), from differences of neighbours.

    Slopes and steps along rows or columns cancel in the mask of J. Immerkaer (Computer Vision and Image Understanding
    64, 300, 1996), and the median leaves the rest of what is no noise aside; of the `background` alone, if that has a
    hundred pixels. Where most neighbours are alike, as where few electrons arrive, the median would say that there is
    no noise: the root mean square over the image is taken.

    >>> float(round(noise(np.random.default_rng(0).normal(0, 3, (200, 200)) + np.arange(200)), 1))
    3.0
    """
    down = image[:-2] - 2 * image[1:-1] + image[2:]
    both = np.abs(down[:, :-2] - 2 * down[:, 1:-1] + down[:, 2:])
    if not both.size:
        return 0.0
    inner = None if background is None else background[1:-1, 1:-1]
    chosen = both if inner is None or inner.sum() < 100 else both[inner]
    middle = float(np.median(chosen)) / _MEDIAN
    return middle if middle > 0 else float(np.sqrt((both**2).mean())) / 6


class _Rings(NamedTuple):
    """Pixels of the rings around outlines, as flat numbers: whose outline (p,), which pixel, and whether inside."""

    owner: np.ndarray
    pixel: np.ndarray
    inside: np.ndarray
    width: int


def _rings(ids: np.ndarray) -> _Rings:
    """Return the pixels that are `_RING` steps or less, along a row or a column, from where another id begins."""
    size, place = ids.size, np.arange(ids.size).reshape(ids.shape)
    within, beyond = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for axis in (0, 1):
        turned, number = np.moveaxis(ids, axis, 0).astype(np.int64), np.moveaxis(place, axis, 0)
        for step in range(1, _RING + 1):
            for here, there in ((slice(step, None), slice(-step)), (slice(-step), slice(step, None))):
                own, other, pixel = turned[here], turned[there], number[here]
                border = own != other
                within.append((own * size + pixel)[border & (own > 0)])
                beyond.append((other * size + pixel)[border & (other > 0)])
    inner, outer = (np.unique(np.concatenate(found)) for found in (within, beyond))
    owner, pixel = np.divmod(np.concatenate([inner, outer]), size)
    return _Rings(owner - 1, pixel, np.arange(len(owner)) < len(inner), ids.shape[1])


def _seen(rings: _Rings, image: np.ndarray, count: int) -> np.ndarray:
    """Return contrast sqrt(A) of outlines (count,) in a flat image in units of its noise; NaN without an outline."""
    row, column = np.divmod(rings.pixel, rings.width)
    across = rings.width // _CELL + 1
    cells = (int(row.max(initial=0)) // _CELL + 1) * across
    group = rings.owner * cells + (row // _CELL) * across + column // _CELL
    names, cell = np.unique(group, return_inverse=True)
    number, mean = np.zeros((2, len(names))), np.zeros((2, len(names)))
    for side, which in enumerate((rings.inside, ~rings.inside)):
        number[side] = np.bincount(cell[which], minlength=len(names))
        total = np.bincount(cell[which], image[rings.pixel[which]], minlength=len(names))
        mean[side] = total / np.maximum(number[side], 1)
    both = (number > 0).all(0)
    worth = number.prod(0)[both] / number.sum(0)[both]  # of the difference of two means: their harmonic sum
    square = np.maximum((mean[0] - mean[1])[both] ** 2 - 1 / worth, 0.0)
    contrast = np.sqrt(_middle(square, worth, names[both] // cells, count))
    inner, outer = (
        np.minimum(np.bincount(rings.owner[which], minlength=count), _LONGEST)
        for which in (rings.inside, ~rings.inside)
    )
    return contrast * np.sqrt(inner * outer / np.maximum(inner + outer, 1))


def _middle(values: np.ndarray, weight: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    """Return the weighted medians (count,) of values by group; NaN where a group has none."""
    order = np.lexsort((values, group))
    values, weight, group = values[order], weight[order], group[order]
    total = np.bincount(group, weight, minlength=count)
    before = np.cumsum(total) - total
    # The first value of each group up to which half of the group's weight lies.
    upper = np.cumsum(weight) - before[group] >= total[group] * (0.5 - 1e-9)
    found = np.full(count, np.nan)
    names, first = np.unique(group[upper], return_index=True)
    found[names] = values[upper][first]
    return found
