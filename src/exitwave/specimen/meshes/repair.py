"""Repairs of meshes: what can be mended without guessing."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes.report import empty, even
from exitwave.specimen.meshes.surface import Floats, Integers, Surface, compact, mesh_of, shapes, surface
from exitwave.specimen.meshes.topology import canonical, codes, edges, oriented

# Of a mesh's size: vertices closer than this are one.
_SAME = 1e-7


def repair(mesh: Mesh) -> tuple[Mesh, list[str]]:
    """Return a mesh without needless trouble, and what was done to it, a line each.

    Vertices at one place become one. Faces that have lost a corner so, and second copies of a face, are dropped; a
    face whose corners lie in one line is joined with its neighbour across the longest side, and dropped where there is
    none. Regions are put in the order that makes every boundary turn one way, with positive volumes, and faces so that
    the outside lies in front. Vertices without faces are dropped. Holes are not filled, nor are faces kept from
    passing through one another: `report` tells what is left.

    >>> import torch
    >>> from exitwave.specimen.meshes.solids import icosphere
    >>> sphere = icosphere(radius=1.0, subdivisions=0)
    >>> loose = Mesh(sphere.corners().flatten(0, 1), torch.arange(60).reshape(20, 3))
    >>> mended, done = repair(loose)
    >>> done, bool(mended.closed().all())
    (['merged 48 vertices with others at their places'], True)
    """
    body, done = surface(mesh), []
    merged = _merged(body.points)
    lost = len(body.points) - len(np.unique(merged))
    if lost:
        body = dataclasses.replace(body, faces=merged[body.faces])
        done.append(f"merged {lost} vertices with others at their places")
    body = _without(body, (body.faces == np.roll(body.faces, 1, 1)).any(1), "without area", done)
    body = _without(body, _copies(body), "that were copies of others", done)
    body = _joined(body, done)
    body = _without(body, empty(body) & _loose(body), "without area", done)
    if not len(body.faces):
        raise ValueError("a mesh must have faces with an area, got none; check the file and the scale")
    regions, torn = oriented(body.points, body.faces, body.regions)
    changed = int((regions != body.regions).any(1).sum())
    faces, regions = canonical(body.faces, regions)
    body = dataclasses.replace(body, faces=faces, regions=regions)
    if changed:
        done.append(f"turned {changed} faces")
    if torn:
        done.append(f"left {torn} faces as they were that cannot turn one way")
    spare = len(body.points) - len(np.unique(body.faces)) - lost
    if spare > 0:
        done.append(f"dropped {spare} vertices without faces")
    return mesh_of(compact(body), mesh), done


def _merged(points: Floats) -> Integers:
    """Return for every vertex the first (V,) of those at its place."""
    size = float(np.linalg.norm(points.max(0) - points.min(0))) if len(points) else 0.0
    pairs = KDTree(points).query_pairs(_SAME * size, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(points),) * 2)
    group = connected_components(graph, directed=False)[1]
    return np.unique(group, return_index=True)[1][group].astype(np.int64)


def _without(body: Surface, bad: np.ndarray, what: str, done: list[str]) -> Surface:
    if bad.any():
        done.append(f"dropped {int(bad.sum())} faces {what}")
    good = ~bad
    return Surface(body.points, body.faces[good], body.regions[good], body.density[good])


def _copies(body: Surface) -> np.ndarray:
    """Return which faces (F,) stand on the vertices of an earlier one, between the same regions.

    Where a surface is folded onto itself, two faces lie on one another and neither bounds anything: if the boundaries
    that were closed are open without the second of them, both are to go.
    """
    keys = np.concatenate([np.sort(body.faces, 1), codes(body.regions)[:, None]], 1)
    _, first, place, number = np.unique(keys, axis=0, return_index=True, return_inverse=True, return_counts=True)
    copy = np.ones(len(keys), dtype=bool)
    copy[first] = False
    left = ~copy
    rest = Surface(body.points, body.faces[left], body.regions[left], body.density[left])
    count = int(body.regions.max(initial=0))
    torn = any(was and not now for was, now in zip(even(body, count), even(rest, count), strict=True))
    return copy | (number[place.ravel()] % 2 == 0) if torn else copy


def _loose(body: Surface) -> np.ndarray:
    """Return which faces (F,) have a side to themselves: without them no boundary is opened that was closed."""
    net = edges(body.faces)
    return (net.count[net.of] == 1).any(1)


def _joined(body: Surface, done: list[str]) -> Surface:
    """Return a surface in which faces whose corners lie in one line share their neighbours' area.

    The corner in the middle lies on the longest side: with the neighbour there, the two faces are cut anew from that
    corner to the neighbour's far one.
    """
    total = 0
    for _ in range(20):
        flat = np.flatnonzero(empty(body))
        net = edges(body.faces)
        corners = body.points[body.faces[flat]]
        side = np.linalg.norm(np.roll(corners, -1, 1) - corners, axis=-1).argmax(1)
        shared = net.of[flat, side]
        owners = np.argsort(net.of.ravel(), kind="stable")
        start = np.concatenate([[0], np.cumsum(net.count)])
        first, second = owners[start[shared]], owners[np.minimum(start[shared] + 1, len(owners) - 1)]
        mine = 3 * flat + side
        other = np.where(first == mine, second, first)
        near = other // 3
        good = (net.count[shared] == 2) & (codes(body.regions)[flat] == codes(body.regions)[near])
        a, b, c = (body.faces[flat, (side + k) % 3] for k in range(3))
        d = body.faces[near, (other % 3 + 2) % 3]
        stride = len(body.points)
        taken = np.isin(np.minimum(c, d) * stride + np.maximum(c, d), net.ends[:, 0] * stride + net.ends[:, 1])
        after = np.minimum(*(shapes(body.points, np.stack(one, -1)) for one in ((a, d, c), (d, b, c))))
        good &= (c != d) & ~taken & (after > shapes(body.points, body.faces[flat]))
        # Faces that turn the other way keep that: where both follow the edge alike their regions do not.
        good &= net.forth.ravel()[mine] != net.forth.ravel()[other]
        rows = np.flatnonzero(good)
        best = np.full(len(body.faces), len(flat))
        np.minimum.at(best, np.concatenate([flat[rows], near[rows]]), np.tile(rows, 2))
        rows = rows[(best[flat[rows]] == rows) & (best[near[rows]] == rows)]
        if not len(rows):
            break
        faces = body.faces.copy()
        faces[flat[rows]] = np.stack([a, d, c], -1)[rows]
        faces[near[rows]] = np.stack([d, b, c], -1)[rows]
        body = dataclasses.replace(body, faces=faces)
        total += len(rows)
    if total:
        done.append(f"joined {total} faces without area with their neighbours")
    return body
