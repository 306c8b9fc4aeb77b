"""Crossings: the voxels that walls and curves pass through."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from exitwave.grid import Grid

# Lines that are tested against faces at once: a bound on memory.
_PAIRS = 2_000_000
# A line on an edge belongs to both faces at it: what rounding says of it must not open a gap between them.
_SLACK = 1e-9


def wall_voxels(points: np.ndarray, faces: np.ndarray, grid: Grid) -> np.ndarray:
    """Return which voxels of a grid the faces (F, 3) between points (V, 3), in um, pass through: (Z, H, W) booleans.

    A face passes through a voxel if it cuts one of the three lines that join the middles of its opposite sides. That
    is the thinnest set of voxels with no way through the wall from side to side of voxels (Laine, Computer Graphics
    Forum 32(4), 77, 2013).

    >>> square = np.array([[0, 0, 0], [0, 0, 4.0], [0, 4.0, 4.0], [0, 4.0, 0]]) - 1.9
    >>> wall_voxels(square, np.array([[0, 1, 2], [0, 2, 3]]), Grid((8, 8, 8), 1.0)).sum()
    np.int64(16)
    """
    found = np.zeros(grid.shape, dtype=bool)
    places = _samples(points, grid)
    for axis in range(3):
        _mark(found, places[faces], axis)
    return found


def _mark(found: np.ndarray, corners: np.ndarray, axis: int) -> None:
    """Mark the voxels whose line along `axis` cuts a face, by the corners (F, 3, 3) of the faces in samples."""
    first, second = (other for other in range(3) if other != axis)
    flat = corners[:, :, (first, second)]
    room = np.array([found.shape[first], found.shape[second]])
    low = np.clip(np.ceil(flat.min(1) - _SLACK), 0, room).astype(np.int64)
    high = np.clip(np.floor(flat.max(1) + _SLACK), -1, room - 1).astype(np.int64)
    size = np.maximum(high - low + 1, 0)
    for face, place in _pairs(size.prod(1)):
        line = low[face] + np.stack([place // size[face, 1], place % size[face, 1]], -1)
        apart = flat[face] - line[:, None]
        weight = np.stack([_cross(apart[:, k - 2], apart[:, k - 1]) for k in range(3)], -1)
        total = weight.sum(1)
        slack = _SLACK * np.abs(total)[:, None]
        hit = ((weight >= -slack).all(1) | (weight <= slack).all(1)) & (total != 0)
        weight, total, face, line = weight[hit], total[hit], face[hit], line[hit]
        depth = np.floor((weight * corners[face, :, axis]).sum(1) / total + 0.5)
        inside = (depth >= 0) & (depth < found.shape[axis])
        voxel = np.empty((3, int(inside.sum())), dtype=np.int64)
        voxel[axis], voxel[first], voxel[second] = depth[inside], *line[inside].T
        found[tuple(voxel)] = True


def curve_voxels(points: np.ndarray, segments: np.ndarray, numbers: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the number of the curve that passes through each voxel, (Z, H, W) int32; 0 where there is none.

    `segments` (S, 2) lie between points (V, 3), in um, and belong to curves of `numbers` (S,) above 0; the highest wins
    where several pass.

    >>> curve_voxels(np.array([[0, 0, -1.2], [0, 0, 1.2]]), np.array([[0, 1]]), np.array([7]), Grid((1, 1, 5), 1.0))
    array([[[0, 7, 7, 7, 0]]], dtype=int32)
    """
    # Voxel n reaches from n to n + 1 here.
    ends = _samples(points, grid)[segments] + 0.5
    start, run = ends[:, 0], ends[:, 1] - ends[:, 0]
    owner, share = [np.arange(len(segments))] * 2, [np.zeros(len(segments)), np.ones(len(segments))]
    for axis in range(3):
        low, high = np.floor(ends[:, :, axis]).min(1), np.floor(ends[:, :, axis]).max(1)
        for segment, number in _pairs((high - low).astype(np.int64)):
            owner.append(segment)
            share.append((low[segment] + 1 + number - start[segment, axis]) / run[segment, axis])
    segment, along = np.concatenate(owner), np.concatenate(share)
    order = np.lexsort((along, segment))
    segment, along = segment[order], along[order]
    same = segment[1:] == segment[:-1]
    segment, middle = segment[1:][same], ((along[1:] + along[:-1]) / 2)[same]
    voxel = np.floor(start[segment] + middle[:, None] * run[segment]).astype(np.int64)
    return _painted(voxel, numbers[segment], grid)


def point_voxels(points: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the number from 1 on of the point (N, 3), in um, that lies in each voxel, (Z, H, W) int32, 0 for none."""
    voxel = np.floor(_samples(points, grid) + 0.5).astype(np.int64)
    return _painted(voxel, np.arange(1, len(points) + 1), grid)


def _painted(voxel: np.ndarray, numbers: np.ndarray, grid: Grid) -> np.ndarray:
    labels = np.zeros(grid.shape, dtype=np.int32)
    inside = ((voxel >= 0) & (voxel < grid.shape)).all(1)
    z, y, x = voxel[inside].T
    np.maximum.at(labels, (z, y, x), numbers[inside].astype(np.int32))
    return labels


def _samples(points: np.ndarray, grid: Grid) -> np.ndarray:
    """Return places in micrometres as places in samples: integers are the centres of voxels."""
    return points / grid.spacing + [n // 2 for n in grid.shape]


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _pairs(counts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (row, 0 ... counts[row] - 1) of all rows as two arrays, some millions at a time."""
    rows = np.flatnonzero(counts)
    total = np.cumsum(counts[rows])
    cuts = np.searchsorted(total, np.arange(_PAIRS, total[-1] if len(total) else 0, _PAIRS), side="right")
    for part in np.split(rows, np.unique(cuts)):
        owner = np.repeat(part, counts[part])
        begin = np.cumsum(counts[part]) - counts[part]
        yield owner, np.arange(len(owner)) - np.repeat(begin, counts[part])
