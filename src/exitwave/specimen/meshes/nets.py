"""Nets: surfaces between the regions of an image of labels, one wall wherever two regions meet."""

from __future__ import annotations

from functools import cache
from itertools import permutations, product

import numpy as np

from exitwave.specimen.meshes.surface import Floats, Integers, Mask, Surface
from exitwave.specimen.meshes.topology import canonical

# Voxels of one cube between eight centres, and its six tetrahedra: chains of corners from (0, 0, 0) to (1, 1, 1).
_CORNERS = np.array(list(product((0, 1), repeat=3)))
_CHAINS = list(permutations(range(3)))


def net(labels: Integers) -> Surface:
    """Return the surface between the regions 0, 1, 2, ... of an image (Z, Y, X), coordinates in voxels.

    Cutting every cube between eight voxel centres into six tetrahedra (Freudenthal's triangulation) makes the voxels'
    centres the vertices of a simplicial complex, and the voxels the cells of its dual, of which four meet in a point
    and three at an edge wherever they differ: the walls between any regions are clean surfaces then, with a vertex for
    every tetrahedron that has several labels. Where all eight voxels of a cube tell nothing more than how one smooth
    patch or junction runs through it, its tetrahedra share one vertex, which makes a surface net (Gibson, MICCAI 1998)
    with two triangles to a voxel's face; where a region would touch itself they are kept. What lies outside the image
    is 0.
    """
    field = np.pad(labels, 1)
    shape = np.array(field.shape, dtype=np.int64)
    cubes = _mixed(field)
    flat = field.reshape(-1)
    stride = np.array([shape[1] * shape[2], shape[2], 1])
    corners = flat[cubes[:, None] + _CORNERS @ stride]
    simple = _plain(corners)
    # Numbers of cubes by their first voxel; those with one label have none.
    number = np.full(field.size, -1, dtype=np.int64)
    number[cubes] = np.arange(len(cubes))
    faces, regions = [], []
    for offset, ring in _rings().items():
        step = int(np.array(offset) @ stride)
        here = np.flatnonzero(flat[: len(flat) - step] != flat[step:])
        # Lines of voxels follow one another: the last of one and the first of the next are both padding.
        cube = number[here[:, None] + np.array([base for base, _ in ring]) @ stride]
        vertex = np.where(simple[cube], 6 * cube, 6 * cube + np.array([chain for _, chain in ring]))
        pair = np.stack([flat[here], flat[here + step]], -1)
        for second in range(1, len(ring) - 1):
            triangle = vertex[:, [0, second, second + 1]]
            proper = (triangle != np.roll(triangle, 1, 1)).all(1)
            faces.append(triangle[proper])
            regions.append(pair[proper])
    used, place = np.unique(np.concatenate(faces), return_inverse=True)
    points = _middles(corners, simple, cubes, shape, used) - 1.0
    table, pairs = canonical(place.reshape(-1, 3).astype(np.int64), np.concatenate(regions).astype(np.int64))
    density = np.where(pairs.min(1) > 0, 2.0, 1.0)
    return Surface(points, table, pairs, density)


def _mixed(field: Integers) -> Integers:
    """Return the first voxels (n,), as places in the flat image, of the cubes that hold several labels."""
    first = field[:-1, :-1, :-1]
    depth, height, width = first.shape
    mixed = np.zeros(first.shape, dtype=bool)
    for z, y, x in _CORNERS[1:]:
        mixed |= field[z : z + depth, y : y + height, x : x + width] != first
    z, y, x = np.nonzero(mixed)
    return (z * field.shape[1] + y) * field.shape[2] + x


def _plain(corners: Integers) -> Mask:
    """Return which cubes, by the labels of their corners (n, 8), need one vertex only.

    Every label's corners and all others must hang together along the cube's edges, and no label may hold just the
    opposite corners of a face: its boundary is a disc then.
    """
    table = _discs()
    masks = (corners[:, :, None] == corners[:, None, :]) @ (1 << np.arange(8))
    return np.all(table[masks], axis=1)


@cache
def _discs() -> Mask:
    near = np.abs(_CORNERS[:, None] - _CORNERS[None]).sum(-1) == 1
    sides = [np.flatnonzero(_CORNERS[:, axis] == value) for axis in range(3) for value in (0, 1)]

    def together(members: frozenset[int]) -> bool:
        found = {min(members)}
        while more := {one for one in members - found if any(near[one, other] for other in found)}:
            found |= more
        return found == members

    def disc(mask: int) -> bool:
        inside = frozenset(corner for corner in range(8) if mask >> corner & 1)
        outside = frozenset(range(8)) - inside
        if not inside or not outside:
            return True
        for side in sides:
            for part in (inside, outside):
                on = [corner for corner in side if corner in part]
                if len(on) == 2 and not near[on[0], on[1]]:
                    return False
        return together(inside) and together(outside)

    return np.array([disc(mask) for mask in range(256)])


@cache
def _rings() -> dict[tuple[int, int, int], list[tuple[tuple[int, int, int], int]]]:
    """Return for every edge of the tetrahedra at a voxel the tetrahedra around it, in the order in which they turn.

    An edge is the way to a neighbouring voxel, a tetrahedron its cube's place and number. Seen with the edge's end in
    front, they turn by the right-hand rule in (x, y, z).
    """
    chains = []
    for order in _CHAINS:
        steps = np.zeros((4, 3), dtype=int)
        for number, axis in enumerate(order):
            steps[number + 1 :, axis] = 1
        chains.append(steps)
    rings = {}
    for offset in product((0, 1), repeat=3):
        if not any(offset):
            continue
        along = np.array(offset, dtype=float)
        across = np.eye(3)[int(np.argmin(along))]
        across -= along * (across @ along) / (along @ along)
        # The right-hand rule in (x, y, z) is the left-hand rule in (z, y, x).
        up = -np.cross(along, across)
        found = []
        for chain, steps in enumerate(chains):
            for first in range(4):
                for last in range(first + 1, 4):
                    if (steps[last] - steps[first] == offset).all():
                        middle = (steps - steps[first]).mean(0)
                        angle = np.arctan2(middle @ up / np.linalg.norm(up), middle @ across / np.linalg.norm(across))
                        base = tuple(int(one) for one in -steps[first])
                        found.append((float(angle), base, chain))
        rings[offset] = [(base, chain) for _, base, chain in sorted(found)]
    return rings


def _middles(corners: Integers, simple: Mask, cubes: Integers, shape: Integers, used: Integers) -> Floats:
    """Return where vertices lie (V, 3): in the middle of the middles of those edges whose ends differ."""
    cube, chain = used // 6, used % 6
    points = np.zeros((len(used), 3))
    one = simple[cube]
    ends = np.argwhere(np.triu(np.abs(_CORNERS[:, None] - _CORNERS[None]).sum(-1) == 1))
    points[one] = _mean(corners[cube[one]], ends)
    for number, order in enumerate(_CHAINS):
        path = np.concatenate([[0], np.cumsum([1 << (2 - axis) for axis in order])])
        rows = ~one & (chain == number)
        points[rows] = _mean(corners[cube[rows]], np.array([(a, b) for a in path for b in path if a < b]))
    first = cubes[cube]
    base = np.stack([first // (shape[1] * shape[2]), first // shape[2] % shape[1], first % shape[2]], -1)
    return base + points


def _mean(corners: Integers, ends: Integers) -> Floats:
    """Return the mean (n, 3) of the middles of a cube's edges (m, 2) whose ends have different labels (n, 8)."""
    cut = corners[:, ends[:, 0]] != corners[:, ends[:, 1]]
    middles = _CORNERS[ends].mean(1)
    return cut @ middles / np.maximum(cut.sum(1), 1)[:, None]
