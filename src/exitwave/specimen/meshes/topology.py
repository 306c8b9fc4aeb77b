"""Topology: the edges of triangles, where walls meet, and the way that faces turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from exitwave.specimen.meshes.surface import Floats, Integers, Mask, enclosed, normals


@dataclass(frozen=True)
class Edges:
    """The edges of F faces: their ends (E, 2), lower vertex first, and the edge of every side (F, 3).

    Side k of a face goes from its vertex k to the next; `forth` (F, 3) tells whether it follows its edge.
    """

    ends: Integers
    of: Integers
    forth: Mask

    @property
    def count(self) -> Integers:
        """The number of faces at every edge (E,)."""
        return np.bincount(self.of.ravel(), minlength=len(self.ends))

    @property
    def balance(self) -> Integers:
        """How many more sides follow an edge than run against it (E,)."""
        sign = np.where(self.forth, 1.0, -1.0).ravel()
        return np.bincount(self.of.ravel(), sign, len(self.ends)).astype(np.int64)


def edges(faces: Integers) -> Edges:
    """Return the edges of faces (F, 3).

    >>> edges(np.array([[0, 1, 2], [2, 1, 3]])).ends.tolist()
    [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]
    """
    then = np.roll(faces, -1, 1)
    low, high = np.minimum(faces, then), np.maximum(faces, then)
    stride = int(faces.max()) + 1 if len(faces) else 1
    keys, place = np.unique(low * stride + high, return_inverse=True)
    ends = np.stack([keys // stride, keys % stride], -1)
    return Edges(ends, place.reshape(faces.shape).astype(np.int64), faces < then)


def codes(regions: Integers) -> Integers:
    """Return one number for the two regions at every face (F,), whichever of them is in front."""
    return regions.min(-1) * (int(regions.max(initial=0)) + 1) + regions.max(-1)


def junctions(net: Edges, regions: Integers) -> Mask:
    """Return the edges (E,) at which walls meet, end, or turn over: all that are not within one smooth wall."""
    wall = np.repeat(codes(regions)[:, None], 3, 1).ravel()
    side = net.of.ravel()
    low, high = np.full(len(net.ends), np.iinfo(np.int64).max), np.full(len(net.ends), -1)
    np.minimum.at(low, side, wall)
    np.maximum.at(high, side, wall)
    # Two faces of one wall that turn opposite ways balance if their regions are named in opposite order.
    swapped = (regions[:, 0] > regions[:, 1])[:, None]
    sign = np.where(net.forth ^ swapped, 1.0, -1.0).ravel()
    balance = np.bincount(side, sign, len(net.ends))
    return (net.count != 2) | (low != high) | (balance != 0)


def fans(faces: Integers, count: int) -> tuple[Integers, Integers]:
    """Return the faces around `count` vertices: those of vertex v are faces[start[v]:start[v + 1]]."""
    corner = faces.ravel()
    start = np.concatenate([[0], np.cumsum(np.bincount(corner, minlength=count))])
    return start.astype(np.int64), np.argsort(corner, kind="stable").astype(np.int64) // 3


def spans(start: Integers, which: Integers) -> tuple[Integers, Integers]:
    """Return rows of a table with several entries each: for every entry of `which` its number, and the entry's place.

    >>> [row.tolist() for row in spans(np.array([0, 2, 3]), np.array([1, 0]))]
    [[0, 1, 1], [2, 0, 1]]
    """
    length = start[which + 1] - start[which]
    owner = np.repeat(np.arange(len(which)), length)
    first = np.cumsum(length) - length
    return owner, np.arange(len(owner)) - first[owner] + start[which][owner]


def canonical(faces: Integers, regions: Integers) -> tuple[Integers, Integers]:
    """Return the same faces turned so that the outside is in front of them, and of two cells the higher number."""
    behind, before = regions.T
    turn = (behind == 0) | ((before != 0) & (before < behind))
    return np.where(turn[:, None], faces[:, ::-1], faces), np.where(turn[:, None], regions[:, ::-1], regions)


def oriented(points: Floats, faces: Integers, regions: Integers) -> tuple[Integers, int]:
    """Return regions (F, 2) in the order that makes every region's boundary turn one way, with positive volumes.

    Where two faces of a region's boundary share an edge they must run along it in opposite directions: whether a face
    keeps the order of its regions then decides it for its neighbours. Faces that hang together make one component of a
    graph whose nodes are (face, kept) and (face, swapped); a component that holds a face both ways has no orientation.
    What is left is one choice for each component: the regions that it encloses must have positive volumes. Where
    several surfaces bound one region and all are consistent as they are, they stay, so that hollows stay hollow. Also
    returned is the number of faces that no order makes consistent, as on a Moebius band; they are left as they are.
    """
    number = len(faces)
    first, second, same = _relations(edges(faces), regions)
    rows = np.concatenate([first, first + number])
    columns = np.concatenate([np.where(same, second, second + number), np.where(same, second + number, second)])
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(2 * number, 2 * number))
    half = connected_components(graph, directed=False)[1]
    kept, swapped = half[:number], half[number:]
    torn, flip = kept == swapped, kept > swapped
    component = np.unique(np.minimum(kept, swapped), return_inverse=True)[1]
    turned = np.where(flip[:, None], regions[:, ::-1], regions)
    count = int(regions.max(initial=0))
    volume, alone = _volumes(points, faces, turned, component, count)
    if not flip.any() and enclosed(points, faces, regions, count).sum() > 0:
        volume = np.where(alone, volume, 0.0)
    wrong = volume < 0
    turned = np.where((wrong[component] & ~torn)[:, None], turned[:, ::-1], turned)
    return turned, int(torn.sum())


def _volumes(
    points: Floats, faces: Integers, regions: Integers, component: Integers, count: int
) -> tuple[Floats, Mask]:
    """Return the volume of the regions that each component encloses alone, or of all that it bounds, and which it is.

    Where region 2 floats in region 1, the faces between them belong to the boundaries of both; only the volume of
    region 2 tells how they must turn.
    """
    middle = points.mean(0)
    cone = ((points[faces].mean(1) - middle) * normals(points, faces)).sum(-1) / 3
    bounded = np.bincount(component, cone * ((regions[:, 0] > 0).astype(float) - (regions[:, 1] > 0)))
    low, high = np.full(count + 1, np.iinfo(np.int64).max), np.full(count + 1, -1)
    for side in (0, 1):
        np.minimum.at(low, regions[:, side], component)
        np.maximum.at(high, regions[:, side], component)
    alone = np.flatnonzero(low[1:] == high[1:])
    volume = enclosed(points, faces, regions, count)
    owned = np.bincount(low[1:][alone], minlength=len(bounded)) > 0
    return np.where(owned, np.bincount(low[1:][alone], volume[alone], len(bounded)), bounded), owned


def _relations(net: Edges, regions: Integers) -> tuple[Integers, Integers, Mask]:
    """Return pairs of faces that bound one region across an edge, and whether both keep the order of their regions."""
    region = np.concatenate([np.repeat(regions[:, side], 3) for side in (0, 1)])
    edge = np.tile(net.of.ravel(), 2)
    face = np.tile(np.repeat(np.arange(len(regions)), 3), 2)
    # +1 where the boundary of the region follows the edge, by the order in which the regions are given.
    along = np.concatenate([net.forth.ravel(), ~net.forth.ravel()])
    order = np.lexsort((edge, region))
    region, edge, face, along = region[order], edge[order], face[order], along[order]
    new = np.r_[True, (region[1:] != region[:-1]) | (edge[1:] != edge[:-1])]
    begin = np.flatnonzero(new)
    pair = begin[np.diff(np.r_[begin, len(new)]) == 2]
    return face[pair], face[pair + 1], along[pair] != along[pair + 1]
