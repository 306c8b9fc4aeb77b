"""Outlines: one polygon for a silhouette of many pieces, with its holes and whatever lies apart."""

from __future__ import annotations

import numpy as np
import shapely

# Corners of a quarter of a round.
_QUARTER = 16
# Of a micrometre, or of the radius: corners so near to a line are on it. Of the largest ring: smaller ones are none.
_STRAIGHT = 1e-9


def outline(corners: np.ndarray, radius: float) -> np.ndarray:
    """Return the outline (V, 2) of the union of pieces: all that is nearer than `radius` to lines or triangles.

    `corners` (m, k, 2) are those of the pieces; rounds have 64 corners. Where the union has holes, or lies in parts,
    each of them is joined to the rest by the shortest cut, along which the polygon runs forth and back: its area, and
    what lies inside of it, are those of the union.

    >>> frame = np.array([[[0, 0], [0, 4.0]], [[0, 4.0], [4.0, 4.0]], [[4.0, 4.0], [4.0, 0]], [[4.0, 0], [0, 0]]])
    >>> row, column = outline(frame, 0.5).T
    >>> round(abs(float(row @ np.roll(column, -1) - column @ np.roll(row, -1))) / 2, 2)
    15.78
    """
    flat = np.asarray(shapely.polygons(corners) if corners.shape[1] > 2 else shapely.linestrings(corners))
    # A triangle seen from its edge covers nothing.
    pieces = shapely.buffer(flat, radius, quad_segs=_QUARTER) if radius > 0 else flat[shapely.area(flat) > 0]
    whole = shapely.simplify(shapely.union_all(pieces), _STRAIGHT * max(1.0, radius))
    rings = shapely.get_rings(shapely.get_parts(shapely.orient_polygons(whole)))
    # Where triangles that lie over one another meet, rounding leaves holes of no size.
    size = shapely.area(shapely.polygons(rings)) if len(rings) else np.zeros(0)
    kept = rings[size > _STRAIGHT * size.max(initial=0.0)]
    return _joined([shapely.get_coordinates(ring)[:-1] for ring in kept]) if len(kept) else np.zeros((0, 2))


def _joined(rings: list[np.ndarray]) -> np.ndarray:
    """Return one closed polygon (V, 2) of several: the nearest of those that are left is joined to the rest in turn.

    No other ring lies across the shortest way to the nearest one.
    """
    rest = sorted(rings, key=len)
    whole = rest.pop()
    while rest:
        lines = shapely.linearrings(whole), np.array([shapely.linearrings(ring) for ring in rest])
        near = int(shapely.distance(*lines).argmin())
        here, there = shapely.get_coordinates(shapely.shortest_line(lines[0], lines[1][near]))
        head, tail = _opened(whole, here)
        before, after = _opened(rest.pop(near), there)
        cut = [here[None], there[None]]
        whole = np.concatenate([head, *cut, after, before, *cut[::-1], tail])
    return whole


def _opened(ring: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of a ring up to a place on it, and those that follow."""
    run = np.roll(ring, -1, 0) - ring
    square = np.maximum((run**2).sum(1), np.finfo(float).tiny)
    along = np.clip(((place - ring) * run).sum(1) / square, 0.0, 1.0)
    edge = int(((ring + along[:, None] * run - place) ** 2).sum(1).argmin())
    return ring[: edge + 1], ring[edge + 1 :]
