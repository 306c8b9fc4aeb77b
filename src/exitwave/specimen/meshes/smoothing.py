"""Smoothing of surfaces: vertices that move within walls and along the curves where these meet, and volumes kept."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.linalg import spsolve

from exitwave.specimen.meshes.operations import ranks
from exitwave.specimen.meshes.surface import Floats, Integers, Mask, Surface, enclosed, normals, shapes
from exitwave.specimen.meshes.topology import edges, junctions

# A face that a move leaves must not turn by more than this cosine, nor get worse than this unless it was.
_TURN, _THIN = 0.2, 0.05
# A move is halved until it is less than this share of itself, and then given up.
_LEAST, _HALVINGS = 0.1, 60


def averages(body: Surface, pinned: bool) -> tuple[csr_array, Integers]:
    """Return the matrix (V, V) that takes the mean of a vertex's neighbours, and what every vertex is (`ranks`).

    Neighbours of a vertex on a curve are those on the curve. Corners keep their place where `pinned`; otherwise they
    follow the curves that end in them.
    """
    count = len(body.points)
    net = edges(body.faces)
    edge = junctions(net, body.regions)
    rank = ranks(count, net, edge, body.faces, body.regions)
    rows, columns = np.concatenate([net.ends, net.ends[:, ::-1]]).T
    heard = (rank[rows] == 0) | (np.tile(edge, 2) & ((rank[rows] == 1) | (not pinned)))
    rows, columns = rows[heard], columns[heard]
    fixed = np.flatnonzero(np.bincount(rows, minlength=count) == 0)
    rows, columns = np.append(rows, fixed), np.append(columns, fixed)
    weight = 1.0 / np.bincount(rows, minlength=count)[rows]
    return csr_array(coo_array((weight, (rows, columns)), shape=(count, count))), rank


def tangential(body: Surface, share: float) -> Floats:
    """Return points (V, 3) moved by a share of the way to the middles of their neighbours, but not out of the surface.

    Those of walls move in their plane, those of curves along them, corners not at all.
    """
    mean, rank = averages(body, pinned=True)
    step = mean @ body.points - body.points
    normal = np.zeros_like(body.points)
    vector = normals(body.points, body.faces)
    for corner in range(3):
        np.add.at(normal, body.faces[:, corner], vector)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    normal /= np.where(length > 0, length, 1.0)
    inside = step - (step * normal).sum(-1, keepdims=True) * normal
    # On a curve the mean of both neighbours lies aside of it by its bend only, which the surface takes back.
    return body.points + share * np.where((rank == 0)[:, None], inside, step)


def guarded(body: Surface, points: Floats, ideal: Floats | None = None) -> Floats:
    """Return moved points, of which those go a part of the way only around which faces would turn over or degenerate.

    Faces keep to the way that they turn now, or to `ideal` normals (F, 3) where these are known.
    """
    before = normals(body.points, body.faces) if ideal is None else ideal
    least = np.minimum(_TURN, _cosine(normals(body.points, body.faces), before))
    limit = np.minimum(_THIN, 0.5 * shapes(body.points, body.faces))
    moved, part = points.copy(), np.ones(len(points))
    rows = np.arange(len(body.faces))
    for _ in range(_HALVINGS):
        bad = _cosine(normals(moved, body.faces[rows]), before[rows]) < least[rows]
        bad |= shapes(moved, body.faces[rows]) < limit[rows]
        if not bad.any():
            return moved
        corners = np.unique(body.faces[rows[bad]])
        part[corners] = np.where(part[corners] > _LEAST, 0.5 * part[corners], 0.0)
        moved[corners] = body.points[corners] + part[corners, None] * (points[corners] - body.points[corners])
        touched = np.zeros(len(points), dtype=bool)
        touched[corners] = True
        rows = np.flatnonzero(touched[body.faces].any(1))
    return body.points


def _cosine(first: Floats, second: Floats) -> Floats:
    """Return the cosine of the angle between vectors (F,); 1 where one of them has no length."""
    scale = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.where(scale > 0, (first * second).sum(1) / np.where(scale > 0, scale, 1.0), 1.0)


def inflated(body: Surface, volume: Floats, whole: Mask) -> Floats:
    """Return points (V, 3) moved as little as possible so that regions marked `whole` (R,) get their volumes (R,).

    Newton's method on the volumes: with their slopes G by the vertices and M the area around each of these, the move
    M^-1 G^T (G M^-1 G^T)^-1 (difference of the volumes) is the smallest in the mean over the surface. It is a pressure
    in every region: walls between equally wrong regions stay.
    """
    count, regions = len(volume), np.flatnonzero(whole)
    points = body.points
    area = np.zeros(len(points))
    np.add.at(area, body.faces.ravel(), np.repeat(np.linalg.norm(normals(points, body.faces), axis=1) / 3, 3))
    light = diags_array(np.repeat(1.0 / np.maximum(area, 1e-12 * max(area.max(), 1e-300)), 3))
    for _ in range(4):
        wrong = volume[regions] - enclosed(points, body.faces, body.regions, count)[regions]
        if not len(regions) or np.abs(wrong).max() <= 1e-9 * max(np.abs(volume[regions]).max(), 1e-300):
            break
        slope = _slopes(points, body.faces, body.regions, count)[regions]
        square = (slope @ light @ slope.T).tocsc()
        # Two regions that are each other's outside differ by a sign only: together they have no solution but the least.
        square = square + diags_array(1e-12 * np.maximum(square.diagonal(), 1e-300))
        pressure = np.asarray(spsolve(square.tocsc(), wrong)).reshape(-1)
        points = points + (light @ (slope.T @ pressure)).reshape(-1, 3)
    return points


def _slopes(points: Floats, faces: Integers, regions: Integers, count: int) -> csr_array:
    """Return the slopes (R, 3 V) of the volumes of regions 1, 2, ... by the coordinates of the vertices."""
    rows, columns, values = [], [], []
    for side, sign in ((0, 1.0), (1, -1.0)):
        for corner in range(3):
            first, second = points[faces[:, (corner + 1) % 3]], points[faces[:, (corner + 2) % 3]]
            # 6 V = sum of a . (b x c), of the other sign in (z, y, x).
            slope = -sign * np.cross(first, second) / 6
            for axis in range(3):
                rows.append(regions[:, side] - 1)
                columns.append(3 * faces[:, corner] + axis)
                values.append(slope[:, axis])
    row, column, value = (np.concatenate(part) for part in (rows, columns, values))
    inner = row >= 0
    shape = (count, 3 * len(points))
    return csr_array(coo_array((value[inner], (row[inner], column[inner])), shape=shape))
