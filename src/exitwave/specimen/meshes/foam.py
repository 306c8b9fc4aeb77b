"""Foams: cells that fill a hull, each around a seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.sparse import coo_array, csr_array
from scipy.spatial import KDTree
from torch import Tensor

from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes.nearest import nearest, places
from exitwave.specimen.meshes.nets import net
from exitwave.specimen.meshes.operations import cut
from exitwave.specimen.meshes.remesh import remeshed
from exitwave.specimen.meshes.smoothing import averages, guarded
from exitwave.specimen.meshes.surface import Floats, Integers, Surface, normals, surface
from exitwave.specimen.meshes.topology import edges, junctions
from exitwave.specimen.meshes.voxels import painted

# Samples to an edge of the mesh, and to the distance of a seed from the nearest.
_FINE, _RESOLVED = 1.0, 3.0
# Samples at most: finer foams than this take more memory than any image of them.
_MOST = 60_000_000
# Steps from the net onto the walls; a vertex goes no farther in one than a sample.
_STEPS = 6
# Walls that meet at less than this sine have no curve that could be found.
_SINE = 0.1


@dataclass(frozen=True)
class Hull:
    """What holds a foam: which samples lie inside, the plane nearest to points, and which way is out there."""

    low: Floats
    high: Floats
    inside: Callable[[tuple[int, ...], float, Floats], np.ndarray]
    plane: Callable[[Floats], tuple[Floats, Floats]]
    outward: Callable[[Floats], Floats]


def foam(
    seeds: Tensor | ArrayLike,
    weights: Tensor | ArrayLike | None = None,
    hull: Mesh | tuple[float, float, float] | None = None,
    edge: float | None = None,
) -> Mesh:
    """Return the walls of the cells around seeds (N, 3), in micrometres, as one mesh; cell r is region r, from 1 on.

    A point belongs to the seed of which its squared distance less the weight is smallest (Laguerre's tessellation; F.
    Aurenhammer, SIAM J. Comput. 16, 78, 1987): `weights` (N,) are in square micrometres, and without them walls stand
    halfway between seeds (Voronoi's). `hull` is a closed mesh around all of it or the semi-axes (z, y, x) of an
    ellipsoid around the origin; without it, an ellipsoid about the seeds reaches beyond them by half the distance
    between neighbours. Edges are about `edge` micrometres long; without it, a sixth of a mean cell's diameter.

    Every wall exists once. Vertices lie on the walls, which are flat, on the lines where they meet, and on the hull.

    >>> two = foam([[0, 0, -2.0], [0, 0, 2.0]], hull=(3.0, 3.0, 4.0), edge=0.7)
    >>> sorted(map(tuple, two.regions.unique(dim=0).tolist()))
    [(1, 0), (1, 2), (2, 0)]
    """
    like = seeds if isinstance(seeds, Tensor) and seeds.is_floating_point() else torch.zeros(0)
    points = _numbers(seeds, "seeds")
    heavy = np.zeros(len(points)) if weights is None else _numbers(weights, "weights").reshape(-1)
    if points.ndim != 2 or points.shape[1:] != (3,) or not len(points) or len(heavy) != len(points):
        raise ValueError(
            f"a foam needs seeds (N, 3) and as many weights, got shapes {points.shape} and {heavy.shape}; reshape them"
        )
    if not (np.isfinite(points).all() and np.isfinite(heavy).all()):
        raise ValueError("seeds and weights must be finite, got NaN or infinity; check where they come from")
    apart = KDTree(points).query(points, 2)[0][:, 1] if len(points) > 1 else np.array([np.inf])
    if apart.min() == 0:
        raise ValueError("seeds must differ from one another, got two at one place; remove one of them")
    bounds = _bounds(points, apart, hull)
    size = bounds.high - bounds.low
    length = float((size.prod() * np.pi / 6 / len(points)) ** (1 / 3) / 5) if edge is None else edge
    if not length > 0:
        raise ValueError(f"edge must be positive, in um, got {length:g}; pass the length that edges shall have")
    # A few seeds closer to one another than the rest need not make all samples finer.
    near = float(np.quantile(apart, 0.1)) if len(points) > 1 else np.inf
    step = min(length / _FINE, near / _RESOLVED, float(size.min()) / 6)
    body, origin = _sampled(points, heavy, bounds, step)
    walls = _Walls(points, heavy, bounds, step)
    body = _relaxed(dataclasses.replace(body, points=body.points * step + origin), walls)
    body = remeshed(body, length, 3, walls.place)
    vertices = torch.from_numpy(body.points).to(like.dtype).to(like.device)
    faces, regions = (torch.from_numpy(np.ascontiguousarray(one)).to(like.device) for one in (body.faces, body.regions))
    return Mesh(vertices, faces, regions=regions)


def _numbers(values: Tensor | ArrayLike, name: str) -> Floats:
    try:
        return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be numbers in um, got {values!r:.60}") from None


def _bounds(points: Floats, apart: Floats, hull: Mesh | tuple[float, float, float] | None) -> Hull:
    if isinstance(hull, Mesh):
        return _mesh_hull(hull)
    if hull is not None:
        axes = np.asarray(hull, dtype=np.float64)
        if axes.shape != (3,) or not (axes > 0).all():
            raise ValueError(f"hull must be a Mesh or three semi-axes in um above 0, got {hull}; pass (z, y, x)")
        return _ellipsoid(np.zeros(3), axes)
    if len(points) < 2:
        raise ValueError("a foam of one cell needs a hull, got none; pass the semi-axes of an ellipsoid")
    center, margin = points.mean(0), float(np.median(apart)) / 2
    spread = np.maximum(points.std(0), 0.1 * points.std(0).max())
    reach = np.linalg.norm((points - center) / spread, axis=-1).max()
    return _ellipsoid(center, reach * spread + margin)


def _ellipsoid(center: Floats, axes: Floats) -> Hull:
    def inside(shape: tuple[int, ...], step: float, origin: Floats) -> np.ndarray:
        squares = [((start + step * np.arange(n) - middle) / axis) ** 2
                   for n, start, middle, axis in zip(shape, origin, center, axes, strict=True)]  # fmt: skip
        return squares[0][:, None, None] + squares[1][:, None] + squares[2] < 1

    def plane(points: Floats) -> tuple[Floats, Floats]:
        # Distances to first order, |x / a| - 1 over its slope, are exact on the surface.
        scaled = (points - center) / axes
        radius = np.maximum(np.linalg.norm(scaled, axis=-1, keepdims=True), 1e-12)
        slope = scaled / (radius * axes)
        steep = np.linalg.norm(slope, axis=-1, keepdims=True)
        return slope / np.maximum(steep, 1e-300), ((1 - radius) / np.maximum(steep, 1e-300))[:, 0]

    return Hull(center - axes, center + axes, inside, plane, lambda points: plane(points)[0])


def _mesh_hull(hull: Mesh) -> Hull:
    if not bool(hull.closed().all()) or len(hull.fill_density) != 1:
        raise ValueError(
            f"hull must be one closed surface, got {len(hull.fill_density)} regions, {int(hull.closed().sum())} of "
            "them closed; repair it or pass semi-axes"
        )
    body = surface(hull)
    found = places(body.points[body.faces])
    vector = normals(body.points, body.faces)
    vector /= np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-300)

    def inside(shape: tuple[int, ...], step: float, origin: Floats) -> np.ndarray:
        return painted(body, shape, np.full(3, step), origin) > 0

    def plane(points: Floats) -> tuple[Floats, Floats]:
        foot, face = nearest(found, points)
        return vector[face], ((foot - points) * vector[face]).sum(-1)

    def outward(points: Floats) -> Floats:
        # Some face near the points tells well enough which side is out.
        return vector[found.parent[found.tree.query(np.concatenate([points, np.zeros((len(points), 1))], 1))[1]]]

    return Hull(body.points.min(0), body.points.max(0), inside, plane, outward)


def _sampled(points: Floats, weights: Floats, hull: Hull, step: float) -> tuple[Surface, Floats]:
    """Return the net between the cells as samples tell them, in samples, and where the first sample lies."""
    shape = tuple(int(n) + 3 for n in np.ceil((hull.high - hull.low) / step))
    if np.prod(np.array(shape, dtype=float)) > _MOST:
        raise ValueError(
            f"a foam takes at most {_MOST:,} samples, got {' x '.join(map(str, shape))}; use longer edges or "
            "seeds that are farther apart"
        )
    # Not in the middle of anything: seeds and axes like to be round numbers.
    origin = hull.low - step * np.array([0.9137, 0.8629, 0.9381])
    inside = hull.inside(shape, step, origin)
    # The smallest squared distance less the weight is the nearest in four dimensions (Aurenhammer).
    lifted = np.concatenate([points, np.sqrt(weights.max() - weights)[:, None]], 1)
    where = np.argwhere(inside) * step + origin
    labels = np.zeros(shape, dtype=np.int64)
    labels[inside] = KDTree(lifted).query(np.concatenate([where, np.zeros((len(where), 1))], 1))[1] + 1
    lost = np.flatnonzero(np.bincount(labels.ravel(), minlength=len(points) + 1)[1:] == 0)
    if len(lost):
        raise ValueError(
            f"every seed must have a cell in the hull, got none for {', '.join(map(str, lost[:5]))}; move them "
            "inside, or make weights more alike"
        )
    return net(labels), origin


@dataclass(frozen=True)
class _Walls:
    """The exact walls of a foam, to move vertices onto."""

    seeds: Floats
    weights: Floats
    hull: Hull
    step: float

    def normals(self, body: Surface) -> Floats:
        """Return the way (F, 3) in which every face should look: from one seed to the other, or out of the hull."""
        ideal = self.hull.outward(body.points[body.faces].mean(1))
        wall = body.regions.min(1) > 0
        behind, before = body.regions[wall].T - 1
        ideal[wall] = self.seeds[before] - self.seeds[behind]
        return ideal

    def place(self, body: Surface, wanted: Floats) -> Floats:
        """Return points (V, 3) near those wanted, on the walls, lines and corners of the regions that meet at them.

        A wall between two cells is the plane 2 (s_j - s_i) . x = s_j^2 - w_j - s_i^2 + w_i. A vertex moves by the
        shortest way to all planes of its regions and to that of the hull near it, and as far as no face turns over:
        samples may see lines meet in another order than they do.
        """
        vertex, region = _meetings(body)
        first = np.flatnonzero(np.r_[True, vertex[1:] != vertex[:-1]])
        size = np.diff(np.r_[first, len(vertex)])
        lowest = region[first]
        outside = lowest == 0
        # Of the regions at a vertex, sorted, the first cell is compared with all others.
        anchor = region[np.minimum(first + outside, first + size - 1)]
        points = wanted.copy()
        power = np.square(self.seeds).sum(1) - self.weights
        owner = np.repeat(np.arange(len(first)), size)
        pair = (region > 0) & (region != anchor[owner])
        for number in np.unique(size):
            rows = np.flatnonzero(size == number)
            at = vertex[first[rows]]
            normal, offset = np.zeros((len(rows), number - 1, 3)), np.zeros((len(rows), number - 1))
            table = (first[rows, None] + np.arange(number))[:, 1:]
            cells = pair[table]
            one, two = np.maximum(anchor[rows], 1)[:, None] - 1, np.maximum(region[table], 1) - 1
            between = 2 * (self.seeds[two] - self.seeds[one])
            length = np.maximum(np.linalg.norm(between, axis=-1), 1e-300)
            normal[cells] = (between / length[..., None])[cells]
            offset[cells] = ((power[two] - power[one]) / length)[cells]
            rim = outside[rows]
            away = offset - np.einsum("nkd,nd->nk", normal, points[at])
            if rim.any():
                # The hull takes the place that the anchor leaves.
                normal[rim, 0], away[rim, 0] = self.hull.plane(points[at[rim]])
            move = np.einsum("ndk,nk->nd", np.linalg.pinv(normal, rcond=_SINE), away)
            far = np.linalg.norm(move, axis=-1, keepdims=True)
            points[at] += move * np.minimum(1.0, self.step / np.maximum(far, 1e-300))
        return guarded(body, points, self.normals(body))


def _meetings(body: Surface) -> tuple[Integers, Integers]:
    """Return a row for every region at every vertex: the vertex and the region, sorted."""
    stride = int(body.regions.max()) + 1
    keys = np.unique(np.repeat(body.faces.ravel(), 2) * stride + np.repeat(body.regions, 3, 0).ravel())
    return keys // stride, keys % stride


def _without_chords(body: Surface) -> Surface:
    """Return a surface with a vertex on every edge across a wall that joins two vertices of one line.

    Where that line becomes straight, such an edge would lie on it, and faces along it overlap.
    """
    while True:
        network = edges(body.faces)
        vertex, region = _meetings(body)
        shape = (len(body.points), int(region.max()) + 1)
        member = csr_array(coo_array((np.ones(len(vertex)), (vertex, region)), shape=shape))
        shared = member[network.ends[:, 0]].multiply(member[network.ends[:, 1]]).sum(1)
        chord = (shared > 2) & ~junctions(network, body.regions)
        body, count = cut(body, network, chord.astype(np.float64))
        if not count:
            return body


def _relaxed(body: Surface, walls: _Walls) -> Surface:
    """Return a net whose vertices have gone to their walls step by step, and apart from one another there.

    Vertices in the middle of their neighbours do not let faces of a flat wall overlap (W. T. Tutte, Proc. London Math.
    Soc. 13, 743, 1963).
    """
    body = _without_chords(body)
    mean, rank = averages(body, pinned=False)
    for _ in range(_STEPS):
        even = np.where((rank < 2)[:, None], mean @ body.points, body.points)
        body = dataclasses.replace(body, points=walls.place(body, even))
    return body
