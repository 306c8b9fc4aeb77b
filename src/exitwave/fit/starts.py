"""Starts: meshes of cells from seeds or labels, before anything is fitted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import scipy.ndimage
import scipy.sparse
import scipy.sparse.csgraph
import torch

from exitwave.specimen import Mesh
from exitwave.specimen.meshes import foam, mesh_from_labels

# Of the distance between neighbouring seeds: how far light is smoothed, how wide the dark inside of cells may be, and
# what around a seed is its cell whatever the stack shows.
_SMOOTH, _CLOSE, _OWN = 0.1, 0.6, 0.2
# How bright the tissue's rim is at least, from what is dark (0) to what is bright (1): one membrane beside two.
_RIM = 0.3
# The way through a wall is so many times as long as that through the inside of a cell, as a power of e.
_BARRIER = 5.0
# Voxels that are shared out among cells at most: stacks that are finer are averaged first.
_MOST = 300_000
_BINS = 256
# The length of edges, as a share of the diameter of cells: some three hundred faces a cell.
_EDGE = 0.15
# Voxels that cells are continued by where the stack ends: beyond the reach of most point spread functions.
_BEYOND = 6.0


def cells_from_seeds(
    stack: np.ndarray, voxel: Sequence[float], seeds: np.ndarray, edge: float | None = None, walls: str = "bright"
) -> Mesh:
    """Return the cells around seeds (N, 3) um in a stack (Z, H, W), cell r being region r of the mesh, from 1 on.

    With `walls="bright"` every voxel of the tissue goes to the seed that is nearest by ways that bright walls make
    longer, a watershed. With "between" the tissue is filled by a foam whose walls stand halfway between seeds,
    whatever the stack shows there. The tissue is what is bright in the smoothed stack and what that encloses.
    """
    if walls not in ("bright", "between"):
        raise ValueError(f'walls must be "bright" or "between", got {walls!r}')
    sizes = np.array([float(size) for size in voxel])
    check_seeds(seeds, stack.shape, sizes)
    near = _spacing(seeds, stack.shape, sizes)
    factor = _factor(stack.shape, sizes)
    coarse = _averaged(np.nan_to_num(stack.astype(np.float64), nan=float(np.nanmedian(stack))), factor)
    steps = sizes * factor
    smooth = scipy.ndimage.gaussian_filter(coarse, _SMOOTH * near / steps, mode="nearest")
    if not smooth.max() > smooth.min():
        raise ValueError("the stack must show something, got one value everywhere; check channel and file")
    places = np.minimum(_places(seeds, stack.shape, sizes) // factor, np.array(coarse.shape) - 1)
    body = _body(smooth, steps, near, places)
    labels = _shared(smooth, steps, body, places)
    if edge is None:
        edge = edge_of(np.bincount(labels.ravel(), minlength=2)[1:] * steps.prod(), voxel)
    labels = labels if walls == "bright" else (labels > 0).astype(np.int64)
    for axis, (count, n) in enumerate(zip(factor, stack.shape, strict=True)):
        labels = labels.repeat(count, axis).take(np.minimum(np.arange(n), labels.shape[axis] * count - 1), axis)
    mesh = cells_from_labels(labels, voxel, edge)
    return mesh if walls == "bright" else foam(seeds, hull=mesh, edge=edge)


def cells_from_labels(labels: np.ndarray, voxel: Sequence[float], edge: float | None = None, gap: float = 0.0) -> Mesh:
    """Return the surfaces between labels (Z, H, W); region r is the r-th of the sorted labels but 0.

    Gaps between labels that are narrower than `gap` micrometres are closed: what is in them goes to the nearest. Cells
    that the end of the stack cuts go on beyond it, so that no wall shines where there is none.
    """
    sizes = np.array([float(size) for size in voxel])
    if not 0 <= gap < math.inf:
        raise ValueError(f"gap must be zero or more, in um, got {gap}; pass the width that gaps between labels have")
    if gap:
        labels = _joined(labels, sizes, gap)
    counts = np.unique(labels[labels != 0], return_counts=True)[1]
    if edge is None and len(counts):
        edge = edge_of(counts * sizes.prod(), voxel)
    beyond = np.ceil(_BEYOND * float(sizes.prod()) ** (1 / 3) / sizes - 1e-6).astype(np.int64)
    # As many voxels before as behind leave the middle where it is.
    return mesh_from_labels(np.pad(labels, [(n, n) for n in beyond.tolist()], mode="edge"), _three(sizes), edge)


def edge_of(volumes: np.ndarray, voxel: Sequence[float]) -> float:
    """Return a length for the edges of cells of some volumes (R,) um^3, in micrometres: two voxels at least.

    Longer ones for larger cells. Edges as short as the stack could show would follow all else that it shows: haze, and
    what is inside of cells.

    >>> round(edge_of(np.array([90.0, 100.0, 130.0]), (0.2, 0.1, 0.1)), 2)
    0.86
    """
    diameter = (6 / math.pi * float(np.median(np.abs(volumes)))) ** (1 / 3)
    return max(_EDGE * diameter, 2 * math.prod(float(size) for size in voxel) ** (1 / 3))


def check_seeds(seeds: np.ndarray, shape: tuple[int, ...], voxel: np.ndarray) -> None:
    """Raise a one-line error where seeds (N, 3) um lie outside a stack, or two of them in one voxel."""
    if seeds.ndim != 2 or seeds.shape[1] != 3 or not len(seeds) or not np.isfinite(seeds).all():
        raise ValueError(f"expected seeds (N, 3) of finite numbers in um, got shape {seeds.shape}; one row for a cell")
    places = _places(seeds, shape, voxel)
    outside = np.flatnonzero(((places < 0) | (places >= np.array(shape))).any(1))
    if len(outside):
        first = ", ".join(f"{number:.4g}" for number in seeds[outside[0]])
        ends = ", ".join(
            f"{name} {-(n // 2) * size:.4g} to {(n - 1 - n // 2) * size:.4g}"
            for name, n, size in zip("zyx", shape, voxel, strict=True)
        )
        raise ValueError(
            f"seeds must lie in the stack, {ends} um, got {len(outside)} of {len(seeds)} outside, seed "
            f"{outside[0] + 1} at ({first}); micrometres count from the middle voxel, voxels from the first"
        )
    _, which, counts = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    twice = np.flatnonzero(counts[which.ravel()] > 1)
    if len(twice):
        other = np.flatnonzero(which.ravel() == which.ravel()[twice[0]])
        raise ValueError(
            f"every seed must have a voxel of its own, got seeds {other[0] + 1} and {other[1] + 1} in one; remove one"
        )


def _places(seeds: np.ndarray, shape: tuple[int, ...], voxel: np.ndarray) -> np.ndarray:
    """Return the voxels (N, 3) of seeds."""
    return np.rint(seeds / voxel).astype(np.int64) + np.array(shape) // 2


def _spacing(seeds: np.ndarray, shape: tuple[int, ...], voxel: np.ndarray) -> float:
    """Return the distance of neighbouring seeds in micrometres, no more than half of the stack's shortest side."""
    side = 0.5 * float((np.array(shape) * voxel).min())
    if len(seeds) < 2:
        return side
    points = torch.from_numpy(seeds).double()
    return min(float(torch.cdist(points, points).fill_diagonal_(math.inf).amin(1).median()), side)


def _factor(shape: tuple[int, ...], voxel: np.ndarray) -> np.ndarray:
    """Return how many voxels (3,) along each axis are averaged, so that they are few enough and nearly cubes."""
    factor = np.ones(3, dtype=np.int64)
    while math.prod(-(-n // f) for n, f in zip(shape, factor, strict=True)) > _MOST:
        factor[np.argmin(voxel * factor)] += 1
    return factor


def _averaged(data: np.ndarray, factor: np.ndarray) -> np.ndarray:
    for axis, count in enumerate(factor):
        starts = np.arange(0, data.shape[axis], count)
        ends = np.append(starts[1:], data.shape[axis])
        shape = [1] * data.ndim
        shape[axis] = -1
        data = np.add.reduceat(data, starts, axis) / (ends - starts).reshape(shape)
    return data


def _body(smooth: np.ndarray, steps: np.ndarray, near: float, places: np.ndarray) -> np.ndarray:
    """Return where the tissue is (Z, H, W): what is bright, closed and without holes, and the seeds."""
    middle = threshold(smooth)
    dark, bright = float(np.median(smooth[smooth <= middle])), float(smooth[smooth > middle].mean())
    radius = _CLOSE * near
    wide = smooth > dark + _RIM * (bright - dark)
    body = np.asarray(scipy.ndimage.binary_fill_holes(wide | _closed(wide, steps, radius)))
    away = np.ones(smooth.shape, dtype=bool)
    away[tuple(places.T)] = False
    body = body | (_distance(away, steps) < _OWN * near)
    parts: np.ndarray = np.zeros(body.shape, dtype=np.int32)
    scipy.ndimage.label(body, output=parts)
    return np.isin(parts, np.unique(parts[tuple(places.T)]))


def _closed(inside: np.ndarray, steps: np.ndarray, radius: float) -> np.ndarray:
    """Return what no ball outside of `inside` reaches: a closing by distances, for voxels of any shape."""
    margin = [math.ceil(radius / size) + 2 for size in steps]
    # Beyond its ends a stack goes on as it ends.
    wide = np.pad(inside, [(m, m) for m in margin], mode="edge")
    grown = _distance(~wide, steps) <= radius
    return (_distance(grown, steps) > radius)[tuple(slice(m, m + n) for m, n in zip(margin, inside.shape, strict=True))]


def _joined(labels: np.ndarray, steps: np.ndarray, gap: float) -> np.ndarray:
    """Return labels between which gaps are closed."""
    nearest = scipy.ndimage.distance_transform_edt(
        labels == 0, sampling=steps, return_distances=False, return_indices=True
    )
    inside = labels != 0
    return np.where(inside | _closed(inside, steps, gap / 2), labels[tuple(np.asarray(nearest))], 0)


def _distance(inside: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return how far in micrometres every voxel that is set lies from the nearest that is not."""
    return np.asarray(scipy.ndimage.distance_transform_edt(inside, sampling=steps))


def _shared(smooth: np.ndarray, steps: np.ndarray, body: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return to which seed, from 1 on, every voxel is nearest; 0 where it is nearer to the dark around the tissue."""
    low, high = np.percentile(smooth[body], [5.0, 95.0])
    slow = np.exp(_BARRIER * np.clip((smooth - low) / max(high - low, 1e-300), 0.0, 1.0))
    # From the first dark voxels on, so that the tissue ends on the ridge of its outer walls.
    region: np.ndarray = np.zeros(body.shape, dtype=bool)
    scipy.ndimage.binary_dilation(body, output=region)
    number = np.full(body.shape, -1)
    count = int(region.sum())
    number[region] = np.arange(count)
    rows, columns, lengths = [], [], []
    for move in itertools.product((-1, 0, 1), repeat=3):
        if move <= (0, 0, 0):
            continue  # an edge is the same both ways
        some, others = (_shifted(body.shape, tuple(way * m for m in move)) for way in (1, -1))
        both = region[some] & region[others]
        rows.append(number[some][both])
        columns.append(number[others][both])
        far = float(np.linalg.norm(np.array(move) * steps))
        lengths.append(0.5 * far * (slow[some] + slow[others])[both])
    entries = np.concatenate(lengths), (np.concatenate(rows), np.concatenate(columns))
    graph = scipy.sparse.coo_array(entries, shape=(count, count)).tocsr()
    owner = np.zeros(count + 1, dtype=np.int64)  # the last is for voxels that no way leads to
    owner[number[tuple(places.T)]] = np.arange(len(places)) + 1
    sources = np.concatenate([number[tuple(places.T)], number[region & ~body]])
    _, _, nearest = scipy.sparse.csgraph.dijkstra(
        graph, directed=False, indices=sources, min_only=True, return_predecessors=True
    )
    labels = np.zeros(body.shape, dtype=np.int64)
    labels[region] = owner[np.where(nearest >= 0, nearest, count)]
    return labels


def _shifted(shape: tuple[int, ...], move: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(max(0, m), n + min(0, m)) for n, m in zip(shape, move, strict=True))


def threshold(data: np.ndarray) -> float:
    """Return the value that divides data into two classes most different in their means (Otsu, 1979).

    >>> 0.2 < threshold(np.array([0.0, 0.1, 0.2, 5.0, 5.2])) < 5.0
    True
    """
    counts, ends = np.histogram(data, _BINS)
    middle = 0.5 * (ends[1:] + ends[:-1])
    below = counts.cumsum()
    above = below[-1] - below
    moment = (counts * middle).cumsum()
    apart = moment / np.maximum(below, 1) - (moment[-1] - moment) / np.maximum(above, 1)
    between = below * above * apart**2
    # Where nothing lies between two peaks all are as good: the middle of them.
    return float(ends[1:][between >= between.max() * (1 - 1e-12)].mean())


def _three(sizes: np.ndarray) -> tuple[float, float, float]:
    z, y, x = (float(size) for size in sizes)
    return z, y, x
