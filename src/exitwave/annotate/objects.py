"""Objects: what a part of a specimen contributes to the annotation of a volume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, singledispatch

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from exitwave.annotate.crossed import curve_voxels, point_voxels, wall_voxels
from exitwave.grid import Grid
from exitwave.model import map_tensors
from exitwave.specimen import Filaments, Film, Mesh, Particles, Points, Tetrahedra
from exitwave.specimen.assembly import Assembly
from exitwave.specimen.meshes.geometry import centroids, surface_areas, volumes
from exitwave.specimen.meshes.voxels import voxelize


@dataclass(frozen=True, eq=False)
class Objects:
    """The n instances of one part of a specimen: where they are, how large, and how they are drawn; NumPy, um.

    `low` and `high` are the corners of their boxes. `volume`, `surface_area` and `length` are NaN where an instance has
    none. `labels(grid)` gives the instance of every voxel (Z, H, W), int32, counted from 1, `walls(grid)` the voxels
    (Z, H, W) that a fluorescent wall passes through. `surface` is the mesh around the instances, `region` the one in
    it that is theirs; without surface, None and zeros.
    """

    label: str
    center: np.ndarray
    low: np.ndarray
    high: np.ndarray
    volume: np.ndarray
    surface_area: np.ndarray
    length: np.ndarray
    physical: dict[str, np.ndarray]
    region: np.ndarray
    surface: Mesh | None
    labels: Callable[[Grid], np.ndarray]
    walls: Callable[[Grid], np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.center)


@singledispatch
def objects(part: object) -> tuple[Objects, ...]:
    """Return the instances of a part of a specimen in a volume; none for a part of the background.

    A new kind of part registers a function here with `@objects.register`; nothing else has to know of it.
    """
    raise TypeError(
        f"expected meshes, filaments or points to annotate in a volume, got {type(part).__name__}; if it is a "
        "population of a recipe, draw it with sample(scene, Key(seed)) first"
    )


@objects.register
def _(part: Particles) -> tuple[Objects, ...]:
    if part.label:
        raise ValueError("annotations of particles need a grid (height, width), got one with a depth; drop the depth")
    return ()


@objects.register
def _(part: Film) -> tuple[Objects, ...]:
    return ()


@objects.register
def _(part: Assembly) -> tuple[Objects, ...]:
    return tuple(found for inner in part.parts for found in objects(inner))


@objects.register
def _(part: Mesh) -> tuple[Objects, ...]:
    return (_cells(part, {}),) if part.label else ()


@objects.register
def _(part: Tetrahedra) -> tuple[Objects, ...]:
    if not part.label:
        return ()
    cells = part.cells.cpu().numpy()
    body = _joined(cells, len(part.vertices))
    surface = _boundary(part, cells, body)
    size = part.volumes().detach().cpu().double().numpy()
    light = np.bincount(body, part.density.detach().cpu().double().numpy() * size)
    return (_cells(surface, {"fill_density": light / np.maximum(np.bincount(body, size), 1e-300)}),)


@objects.register
def _(part: Points) -> tuple[Objects, ...]:
    if not part.label:
        return ()
    center = _array(part.center)
    none = np.full(len(center), np.nan)
    physical = {"emission": _array(part.emission)}
    draw = partial(point_voxels, center)
    return (_plain(part.label, center, (center, center), none, physical, draw),)


@objects.register
def _(part: Filaments) -> tuple[Objects, ...]:
    if not part.label:
        return ()
    points, segments = _array(part.vertices), part.segments.cpu().numpy()
    curve = _joined(segments, len(points))
    reach, density = _array(part.lengths()), _array(part.density)
    length = np.bincount(curve, reach)
    # A curve of no length has its middle where it is.
    weight = np.where(length[curve] > 0, reach, 1.0)
    share = weight / np.bincount(curve, weight)[curve]
    middle = points[segments].mean(1)
    center = np.stack([np.bincount(curve, share * column) for column in middle.T], -1)
    corners = _extent(points[segments].reshape(-1, 3), np.repeat(curve, 2), len(length))
    physical = {"density": np.bincount(curve, share * density)}
    draw = partial(curve_voxels, points, segments, curve + 1)
    return (_plain(part.label, center, corners, length, physical, draw),)


def _plain(
    label: str,
    center: np.ndarray,
    corners: tuple[np.ndarray, np.ndarray],
    length: np.ndarray,
    physical: dict[str, np.ndarray],
    labels: Callable[[Grid], np.ndarray],
) -> Objects:
    """Return instances without volume and surface."""
    none = np.full(len(center), np.nan)
    region = np.zeros(len(center), dtype=np.int64)
    return Objects(label, center, *corners, none, none, length, physical, region, None, labels)


def _cells(mesh: Mesh, physical: dict[str, np.ndarray]) -> Objects:
    """Return the regions of a mesh that have a boundary; regions that are not closed have no volume and no voxels."""
    own: Mesh = map_tensors(mesh, lambda tensor: tensor.detach().cpu())
    precise = own.to(torch.float64)
    sides = own.regions.numpy()
    region = np.setdiff1d(np.unique(sides), 0)
    closed = own.closed().numpy()[region - 1]
    area = _array(precise.areas())
    both, twice = sides.ravel(), np.repeat(area, 2)
    surface = _array(surface_areas(precise))[region - 1]
    # The middle of an open surface is that of its area.
    middle = np.repeat(_array(precise.corners()).mean(1), 2, 0)
    moment = np.stack([np.bincount(both, twice * column)[region] for column in middle.T], -1)
    center = np.where(
        closed[:, None], _array(centroids(precise))[region - 1], moment / np.maximum(surface, 1e-300)[:, None]
    )
    corner = own.faces.numpy().repeat(2, 0).ravel()
    low, high = _extent(_array(precise.vertices)[corner], both.repeat(3), int(region.max(initial=0)) + 1)
    light = np.bincount(both, np.repeat(area * _array(own.density), 2))[region]
    given = {
        "density": light / np.maximum(surface, 1e-300),
        "fill_density": _array(own.fill_density)[region - 1],
    } | physical
    return Objects(
        label=own.label,
        center=center,
        low=low[region],
        high=high[region],
        volume=np.where(closed, _array(volumes(precise))[region - 1], np.nan),
        surface_area=surface,
        length=np.full(len(region), np.nan),
        physical=given,
        region=region,
        surface=own,
        labels=partial(_filled, own, region),
        walls=partial(_walls, own),
    )


def _filled(mesh: Mesh, region: np.ndarray, grid: Grid) -> np.ndarray:
    """Return which of the closed regions every voxel of a grid lies in, by their place in `region` from 1 on."""
    closed = torch.cat([torch.zeros(1, dtype=torch.bool), mesh.closed()])
    sides = torch.where(closed[mesh.regions], mesh.regions, 0)
    kept = sides[:, 0] != sides[:, 1]
    if not bool(kept.any()):
        return np.zeros(grid.shape, dtype=np.int32)
    # As whole numbers of single precision are lines of voxels, vertices are best in double.
    body = Mesh(mesh.vertices.double(), mesh.faces[kept], None, sides[kept], torch.zeros(len(closed) - 1))
    z, y, x = grid.shape
    dz, dy, dx = grid.spacing
    number = np.zeros(len(closed), dtype=np.int32)
    number[region] = np.arange(1, len(region) + 1)
    return number[voxelize(body, (z, y, x), (dz, dy, dx)).numpy()]


def _walls(mesh: Mesh, grid: Grid) -> np.ndarray:
    bright = (mesh.density > 0).numpy()
    return wall_voxels(_array(mesh.vertices), mesh.faces.numpy()[bright], grid)


def _boundary(part: Tetrahedra, cells: np.ndarray, body: np.ndarray) -> Mesh:
    """Return the faces of one tetrahedron only, turned outward, around regions 1, 2, ... that hang together."""
    points = _array(part.vertices)
    sides = np.concatenate([cells[:, (b, c, d)] for b, c, d in ((1, 2, 3), (0, 3, 2), (0, 1, 3), (0, 2, 1))])
    a, b, c, d = (points[cells[:, corner]] for corner in range(4))
    # Corners 1, 2, 3 turn to the left about the normal that leads away from corner 0, or to the right.
    turned = ((np.cross(b - a, c - a) * (d - a)).sum(-1) > 0)[np.tile(np.arange(len(cells)), 4)]
    sides = np.where(turned[:, None], sides[:, ::-1], sides)
    _, first, count = np.unique(np.sort(sides, 1), axis=0, return_index=True, return_counts=True)
    outer = np.sort(first[count == 1])
    region = np.stack([np.tile(body, 4)[outer] + 1, np.zeros(len(outer), np.int64)], -1)
    dark = np.zeros(len(outer), dtype=np.float32)
    return Mesh(part.vertices.detach(), sides[outer], dark, region, np.zeros(int(body.max()) + 1), part.label)


def _joined(rows: np.ndarray, count: int) -> np.ndarray:
    """Return for every row of a table of vertices the number of what hangs together with it, in order of appearance."""
    first, other = np.repeat(rows[:, 0], rows.shape[1] - 1), rows[:, 1:].ravel()
    graph = coo_array((np.ones(len(other)), (first, other)), shape=(count, count))
    node = connected_components(graph, directed=False)[1][rows[:, 0]]
    _, place, inverse = np.unique(node, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(place))[inverse.ravel()]


def _extent(points: np.ndarray, owner: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest coordinates (count, 3) of the points of every owner."""
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, owner, points)
    np.maximum.at(high, owner, points)
    return low, high


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()
