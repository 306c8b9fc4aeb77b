"""Polygons: silhouettes cut to the image."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import shapely

# Of the square of a polygon's extent: corners that turn the other way by less are straight.
_STRAIGHT = 1e-9


def clip(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the part of `polygon` (V, 2) that lies in an image of `shape`; (row, col) with centres at integers.

    The image reaches half a pixel beyond the centres of its outer pixels. Nothing left is an array (0, 2). One side of
    the image after the other cuts the polygon (I. E. Sutherland and G. W. Hodgman, Commun. ACM 17, 32, 1974).

    >>> clip(np.array([[0.0, -3.0], [1.0, -3.0], [1.0, 1.0], [0.0, 1.0]]), (4, 4)).tolist()
    [[1.0, -0.5], [1.0, 1.0], [0.0, 1.0], [0.0, -0.5]]
    """
    for axis in (0, 1):
        for sign, limit in ((1.0, -0.5), (-1.0, shape[axis] - 0.5)):
            polygon = _cut(polygon, axis, sign, limit)
    return polygon


def _cut(polygon: np.ndarray, axis: int, sign: float, limit: float) -> np.ndarray:
    depth = sign * (polygon[:, axis] - limit)
    if not len(polygon) or (depth >= 0).all():
        return polygon
    points = []
    for start, end, before, after in zip(
        polygon, np.roll(polygon, -1, 0), depth.tolist(), np.roll(depth, -1).tolist(), strict=True
    ):
        if before >= 0:
            points.append(start)
        if (before >= 0) != (after >= 0):
            crossing = start + (end - start) * (before / (before - after))
            crossing[axis] = limit  # free of rounding
            points.append(crossing)
    return np.array(points).reshape(-1, 2)


def seen(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the corners (V, 2) of the convex hull of the part of `polygon` (V, 2) that lies in an image of `shape`.

    Of a convex polygon that is the part itself. Where another one goes around a corner of the image, `clip` passes
    through that corner without enclosing anything there.

    >>> bent = np.array([[1.0, -3.0], [1.0, -2.0], [-2.0, -2.0], [-2.0, 1.0], [-3.0, 1.0], [-3.0, -3.0]])
    >>> seen(bent, (4, 4)).tolist(), seen(bent + 4.0, (4, 4)).tolist()
    ([], [[1.0, 1.0], [1.0, 3.5], [2.0, 3.5], [3.5, 2.0], [3.5, 1.0]])
    """
    inside = clip(polygon, shape)
    if _convex(polygon) or not len(inside):
        return inside
    for row in (-0.5, shape[0] - 0.5):
        for column in (-0.5, shape[1] - 0.5):
            corner = np.array([row, column])
            if not _encloses(polygon, corner):
                inside = inside[(inside != corner).any(1)]
    return shapely.get_coordinates(shapely.convex_hull(shapely.multipoints(inside)))[:-1]


def _convex(polygon: np.ndarray) -> bool:
    ahead = np.roll(polygon, -1, 0) - polygon
    turn = ahead[:, 0] * np.roll(ahead[:, 1], -1) - ahead[:, 1] * np.roll(ahead[:, 0], -1)
    slack = _STRAIGHT * float(np.ptp(polygon, axis=0).max()) ** 2
    return bool((turn >= -slack).all() or (turn <= slack).all())


def _encloses(polygon: np.ndarray, place: np.ndarray) -> bool:
    """Return whether a line from a place crosses the polygon an odd number of times."""
    (row, column), (next_row, next_column) = (polygon - place).T, (np.roll(polygon, -1, 0) - place).T
    across = (row > 0) != (next_row > 0)
    rise = np.where(across, next_row - row, 1.0)
    return bool((across & (column - row * (next_column - column) / rise > 0)).sum() % 2)


def tight_rectangle(polygon: np.ndarray) -> np.ndarray:
    """Return the corners (4, 2), in order, of the smallest rectangle around a convex polygon (V, 2).

    One side of it lies on an edge of the polygon (H. Freeman and R. Shapira, Commun. ACM 18, 409, 1975).

    >>> tight_rectangle(np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 2.0], [-1.0, 1.0]])).round(6).tolist()
    [[0.0, 0.0], [1.0, 1.0], [0.0, 2.0], [-1.0, 1.0]]
    """
    edges = np.roll(polygon, -1, 0) - polygon
    length = np.linalg.norm(edges, axis=1)
    along = edges[length > 1e-9] / length[length > 1e-9, None]
    across = np.stack([-along[:, 1], along[:, 0]], -1)
    forth, aside = polygon @ along.T, polygon @ across.T  # (V, E): every corner in the frame of every edge
    low, high, left, right = forth.min(0), forth.max(0), aside.min(0), aside.max(0)
    best = int(((high - low) * (right - left)).argmin())
    corners = [(low, left), (high, left), (high, right), (low, right)]
    return np.array([a[best] * along[best] + b[best] * across[best] for a, b in corners])


def quadrilateral(polygon: np.ndarray) -> np.ndarray:
    """Return the four corners (4, 2), in order, of a convex polygon (V, 2) that enclose the largest area.

    A triangle has one of its corners twice.

    >>> quadrilateral(np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [1.0, 4.0], [0.0, 2.0]])).tolist()
    [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [1.0, 4.0]]
    """
    corners = polygon if len(polygon) >= 4 else np.concatenate([polygon, polygon[-1:]])
    chosen = np.array(list(combinations(range(len(corners)), 4)))
    points = corners[chosen]
    one, other = (points[:, 2] - points[:, 0]).T, (points[:, 3] - points[:, 1]).T
    area = np.abs(one[0] * other[1] - one[1] * other[0]) / 2  # from the diagonals
    return points[area.argmax()]
