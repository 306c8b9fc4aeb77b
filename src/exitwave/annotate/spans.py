"""Spans: the runs of pixels that convex pieces cover, row after row, in the image or not.

A silhouette that is a union of pieces is counted and drawn by its runs, each pixel once however many pieces cover it.
The memory they take grows with the outlines, not with the areas.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from exitwave.grid import Grid

# In pixels: centres on the outline itself are inside, as for particles.
_TOUCH = 1e-4
# Rows of all pieces: a bound on memory, far beyond any image.
_MOST = 20_000_000


class Spans(NamedTuple):
    """Runs of pixels (n,), int64: whose they are, their row, and their first and last column."""

    owner: np.ndarray
    row: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def only(self, which: np.ndarray) -> Spans:
        return Spans(*(column[which] for column in self))

    def merged(self) -> Spans:
        """Return the runs of the same pixels with none of them twice: those of one owner that meet are one.

        >>> runs = Spans(*np.array([[0, 0, 0], [5, 5, 5], [1, 8, 3], [4, 9, 6]]))
        >>> [column.tolist() for column in runs.merged()]
        [[0, 0], [5, 5], [1, 8], [6, 9]]
        """
        if not len(self.row):
            return self
        runs = self.only(np.lexsort((self.first, self.row, self.owner)))
        line = np.cumsum(np.append(0, (np.diff(runs.owner) != 0) | (np.diff(runs.row) != 0)))
        # Every line is shifted beyond all before it, so that one running maximum serves all.
        shift = line * (runs.last.max() - runs.first.min() + 2)
        end = np.maximum.accumulate(runs.last + shift)
        fresh = np.append(True, runs.first[1:] + shift[1:] > end[:-1] + 1)
        start = np.flatnonzero(fresh)
        stop = np.append(start[1:], len(fresh)) - 1
        return Spans(runs.owner[start], runs.row[start], runs.first[start], end[stop] - shift[stop])

    def clipped(self, grid: Grid) -> Spans:
        """Return the part of the runs that lies in the image."""
        height, width = grid.shape
        cut = self._replace(first=np.maximum(self.first, 0), last=np.minimum(self.last, width - 1))
        return cut.only((cut.row >= 0) & (cut.row < height) & (cut.first <= cut.last))

    def counted(self, count: int) -> np.ndarray:
        """Return the number of pixels (count,), int64, of every owner; runs that are merged count each of them once."""
        total = np.zeros(count, dtype=np.int64)
        np.add.at(total, self.owner, self.last - self.first + 1)
        return total

    def pixels(self, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        """Return of all pixels of runs that lie in the image the place of their run, and the flat pixel, (p,) both."""
        length = self.last - self.first + 1
        place = np.repeat(np.arange(len(length)), length)
        before = np.cumsum(length) - length
        return place, np.arange(len(place)) - (before - self.row * grid.shape[1] - self.first)[place]


def spans_of(corners: np.ndarray, radius: np.ndarray, grid: Grid) -> Spans:
    """Return the runs of pixels whose centres lie in m pieces, whose owners are their places, 0 to m - 1.

    A piece is a line or a triangle, its k `corners` (m, k, 2) in micrometres (y, x), and all that is nearer to it than
    `radius` (m,): a row leaves it at its farthest point, which lies on one of the edges.

    >>> wire = spans_of(np.array([[[0.0, -1.0], [0.0, 1.0]]]), np.array([0.5]), Grid((64, 64), 0.25))
    >>> wire.row.tolist(), (wire.last - wire.first + 1).tolist()
    ([30, 31, 32, 33, 34], [9, 11, 13, 11, 9])
    """
    step, middle = np.array(grid.spacing), np.array([n // 2 for n in grid.shape])
    wide = radius + _TOUCH * step.min()
    low = np.ceil((corners[:, :, 0].min(1) - wide) / step[0] + middle[0])
    high = np.floor((corners[:, :, 0].max(1) + wide) / step[0] + middle[0])
    count = np.maximum(high - low + 1, 0)
    if count.sum() > _MOST:
        raise ValueError(
            f"expected silhouettes of at most {_MOST:,} rows of pixels together, got {count.sum():,.0f}; use a coarser "
            "pixel, or drop what lies far outside of the image"
        )
    count = count.astype(np.int64)
    owner = np.repeat(np.arange(len(corners)), count)
    row = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count - low.astype(np.int64), count)
    y = (row - middle[0]) * step[0]
    left, right = np.full(len(row), math.inf), np.full(len(row), -math.inf)
    edges = corners.shape[1] if corners.shape[1] > 2 else 1
    for edge in range(edges):
        start, end = corners[owner, edge], corners[owner, (edge + 1) % corners.shape[1]]
        right = np.maximum(right, _farthest(start, end, wide[owner], y))
        left = np.minimum(left, -_farthest(start * [1, -1], end * [1, -1], wide[owner], y))
    found = np.isfinite(left)
    first = np.ceil(left[found] / step[1] + middle[1]).astype(np.int64)
    last = np.floor(right[found] / step[1] + middle[1]).astype(np.int64)
    spans = Spans(owner[found], row[found], first, last)
    return spans.only(first <= last)


def _farthest(start: np.ndarray, end: np.ndarray, radius: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the greatest x (n,) of rows y that is within `radius` of a line; minus infinity where none is.

    From the place t on the line a row reaches to x(t) + sqrt(r^2 - (y - y(t))^2), which is concave in t and greatest
    where the line's normal meets the row.
    """
    dy, dx = (end - start).T
    length = np.hypot(dy, dx)
    level = dy == 0
    safe = np.where(level, 1.0, dy)
    place = (y - start[:, 0] + radius * dx * np.sign(dy) / np.where(length > 0, length, 1.0)) / safe
    place = np.where(level, dx > 0, np.clip(place, 0.0, 1.0))
    square = radius**2 - (y - start[:, 0] - place * dy) ** 2
    return np.where(square >= 0, start[:, 1] + place * dx + np.sqrt(np.maximum(square, 0.0)), -math.inf)
