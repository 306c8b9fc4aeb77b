"""Nearest points of triangles, for many points at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from exitwave.specimen.meshes.surface import Floats, Integers

# Triangles whose middles are nearest are looked at closely; with parts of about one size few suffice.
_NEAREST = 10
# A triangle is cut in no more than the square of this.
_CUTS = 32
# Distances are computed for as many pairs at once: a bound on memory.
_PAIRS = 400_000


@dataclass(frozen=True)
class Places:
    """Triangles (F, 3, 3) ready to be asked what is nearest: a tree of the middles of their parts."""

    corners: Floats
    parent: Integers
    tree: KDTree
    apart: float


def places(corners: Floats, kinds: Integers | None = None) -> Places:
    """Return triangles (F, 3, 3) ready to be asked; those of different kinds (F,) are asked for separately."""
    sides = np.linalg.norm(corners - np.roll(corners, 1, 1), axis=-1).max(1)
    typical = float(np.median(sides)) if len(sides) else 1.0
    # The middle of a large triangle says little about where it is.
    cuts = np.clip(np.ceil(sides / max(2 * typical, 1e-300)), 1, _CUTS).astype(np.int64)
    middles, parents = [], []
    for number in np.unique(cuts):
        rows = np.flatnonzero(cuts == number)
        weights = _middles(int(number))
        middles.append((weights @ corners[rows]).reshape(-1, 3))
        parents.append(np.repeat(rows, len(weights)))
    parent = np.concatenate(parents)
    low, high = corners.min((0, 1)), corners.max((0, 1))
    # A fourth coordinate keeps kinds farther from one another than any two points are.
    apart = 4 * float(np.linalg.norm(high - low)) + 1e-300
    kind = np.zeros(len(corners)) if kinds is None else kinds * apart
    return Places(corners, parent, KDTree(np.concatenate([np.concatenate(middles), kind[parent, None]], 1)), apart)


def _middles(cuts: int) -> Floats:
    """Return the barycentric coordinates (cuts^2, 3) of the middles of a triangle's equal parts."""
    i, j = (index.ravel() for index in np.meshgrid(np.arange(cuts), np.arange(cuts), indexing="ij"))
    upright = i + j < cuts
    first = np.where(upright, i + 1 / 3, cuts - 1 - i + 2 / 3) / cuts
    second = np.where(upright, j + 1 / 3, cuts - 1 - j + 2 / 3) / cuts
    return np.stack([first, second, 1 - first - second], -1)


def nearest(found: Places, points: Floats, kinds: Integers | None = None) -> tuple[Floats, Integers]:
    """Return the nearest points (N, 3) of triangles and which triangle (N,) each lies on.

    The triangles around which the middles of parts are nearest are compared exactly. Far from the surface, by many
    times the size of its triangles, another point may be nearer by a part of that size squared over the distance.
    """
    fourth = np.zeros(len(points)) if kinds is None else kinds * found.apart
    number = min(_NEAREST, found.tree.n)
    best, which = np.empty_like(points), np.empty(len(points), dtype=np.int64)
    step = max(1, _PAIRS // number)
    for start in range(0, len(points), step):
        part = slice(start, start + step)
        query = np.concatenate([points[part], fourth[part, None]], 1)
        candidates = found.parent[found.tree.query(query, number)[1].reshape(len(query), -1)]
        here = np.repeat(points[part, None], candidates.shape[1], 1)
        foot = on_triangles(here.reshape(-1, 3), found.corners[candidates.ravel()]).reshape(here.shape)
        closest = np.square(foot - here).sum(-1).argmin(1)
        each = np.arange(len(query))
        best[part], which[part] = foot[each, closest], candidates[each, closest]
    return best, which


def on_triangles(points: Floats, corners: Floats) -> Floats:
    """Return the nearest point (N, 3) of one triangle (N, 3, 3) to each point (N, 3): in its plane or on a side.

    >>> on_triangles(np.array([[1.0, 0.2, 0.2]]), np.array([[[0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]]))
    array([[0. , 0.2, 0.2]])
    """
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    from_ = points - corners[:, 0]
    pairs = ((first, first), (second, second), (first, second))
    one, two, both = (np.einsum("nd,nd->n", *pair) for pair in pairs)
    along, across = np.einsum("nd,nd->n", first, from_), np.einsum("nd,nd->n", second, from_)
    # The foot is first * v + second * w: in the plane, or on one of the sides. Distances leave out |from_|^2.
    area = one * two - both * both
    flat = area <= 1e-14 * one * two
    v, w = ((p * q - both * r) / np.where(flat, 1.0, area) for p, q, r in ((two, along, across), (one, across, along)))
    inside = ~flat & (v >= 0) & (w >= 0) & (v + w <= 1)
    best = np.where(inside, -v * along - w * across, np.inf)
    third, beyond = one + two - 2 * both, one - both - along + across
    sides = (
        (one, along, np.array([0.0, 0.0]), np.array([1.0, 0.0]), 0.0),
        (two, across, np.array([0.0, 0.0]), np.array([0.0, 1.0]), 0.0),
        (third, beyond, np.array([1.0, 0.0]), np.array([-1.0, 1.0]), one - 2 * along),
    )
    for square, reach, start, way, base in sides:
        t = np.clip(reach / np.where(square > 0, square, 1.0), 0.0, 1.0)
        away = base + t * (t * square - 2 * reach)
        nearer = away < best
        best = np.where(nearer, away, best)
        v, w = np.where(nearer, start[0] + way[0] * t, v), np.where(nearer, start[1] + way[1] * t, w)
    return corners[:, 0] + v[:, None] * first + w[:, None] * second
