"""Collisions: faces that pass through one another."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes.surface import Floats, Integers, Mask, surface

# Faces compared at once: a bound on memory.
_PAIRS = 200_000
# Relative to their size: faces that overlap by less only touch.
_TOUCH = 1e-9
# Parallel edges have no common normal.
_PARALLEL = 1e-7


def collisions(mesh: Mesh) -> Tensor:
    """Return the pairs of faces (K, 2) that share no vertex and pass through one another; touching is allowed.

    Two convex bodies are apart if some axis tells them apart; for triangles one of their normals, of the products of
    their edges, or of the products of edges and normals does (Gottschalk, Lin and Manocha, SIGGRAPH 1996). Faces are
    compared where the spheres and the boxes around them meet.

    >>> crossed = Mesh(
    ...     vertices=[[0, 0, 0], [0, 0, 2.0], [0, 2.0, 0], [-1.0, 0.5, 0.5], [1.0, 0.5, 0.5], [0, 3.0, 3.0]],
    ...     faces=[[0, 1, 2], [3, 4, 5]],
    ... )
    >>> collisions(crossed)
    tensor([[0, 1]])
    """
    body = surface(mesh)
    pairs = crossing(body.points, body.faces)
    return torch.from_numpy(pairs).to(mesh.faces)


def crossing(points: Floats, faces: Integers) -> Integers:
    """Return the pairs (K, 2) of faces without a common vertex that pass through one another, in order."""
    corners = points[faces]
    found = [np.zeros((0, 2), dtype=np.int64)]
    for pairs in _neighbours(corners):
        for start in range(0, len(pairs), _PAIRS):
            part = pairs[start : start + _PAIRS]
            low, high = corners.min(1), corners.max(1)
            part = part[((low[part[:, 0]] <= high[part[:, 1]]) & (low[part[:, 1]] <= high[part[:, 0]])).all(1)]
            part = part[~(faces[part[:, 0], :, None] == faces[part[:, 1], None, :]).any((1, 2))]
            found.append(part[_meet(corners[part[:, 0]], corners[part[:, 1]])])
    pairs = np.sort(np.concatenate(found), 1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _neighbours(corners: Floats) -> list[Integers]:
    """Return tables (K, 2) of the pairs of faces whose surrounding spheres meet, the faces in octaves of size.

    One tree for each octave: a few large faces do not make every small one a candidate.
    """
    middle = (corners.min(1) + corners.max(1)) / 2
    reach = np.linalg.norm(corners - middle[:, None], axis=-1).max(1)
    octave = np.floor(np.log2(np.maximum(reach, 1e-300))).astype(np.int64)
    groups = [np.flatnonzero(octave == level) for level in np.unique(octave)]
    trees = [KDTree(middle[group]) for group in groups]
    tables = []
    for first, group in enumerate(groups):
        widest = reach[group].max()
        tables.append(group[trees[first].query_pairs(2 * widest, output_type="ndarray").astype(np.int64)])
        for second in range(first):
            other = groups[second]
            near = trees[first].sparse_distance_matrix(
                trees[second], widest + reach[other].max(), output_type="ndarray"
            )
            tables.append(np.stack([group[near["i"]], other[near["j"]]], -1))
    return tables


def _meet(first: Floats, second: Floats) -> Mask:
    """Return which triangles (N, 3, 3) pass through others (N, 3, 3)."""
    sides = [np.roll(one, -1, 1) - one for one in (first, second)]
    faces = [np.cross(side[:, 0], side[:, 1]) for side in sides]
    size = np.maximum(*(np.abs(side).max((1, 2)) for side in sides))
    apart = np.zeros(len(first), dtype=bool)

    def split(axis: Floats, scale: Floats) -> None:
        length = np.linalg.norm(axis, axis=-1)
        proper = length > _PARALLEL * scale
        axis = axis / np.where(proper, length, 1.0)[:, None]
        one, two = np.einsum("nkd,nd->nk", first, axis), np.einsum("nkd,nd->nk", second, axis)
        gap = np.maximum(two.min(1) - one.max(1), one.min(1) - two.max(1))
        # Seen along their common plane two faces are nothing: another axis must tell them apart.
        seen = np.maximum(np.ptp(one, 1), np.ptp(two, 1)) > _TOUCH * size
        apart[proper & (gap >= -_TOUCH * size) & (seen | (gap > _TOUCH * size))] = True

    for side, face in zip(sides, faces, strict=True):
        split(face, size**2)
        for k in range(3):
            split(np.cross(side[:, k], face), size**3)
    for i in range(3):
        for j in range(3):
            split(np.cross(sides[0][:, i], sides[1][:, j]), size**2)
    return ~apart
