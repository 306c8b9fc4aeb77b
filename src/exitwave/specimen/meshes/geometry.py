"""Measures of meshes: areas, volumes, middles and curvatures, with their slopes by the vertices."""

from __future__ import annotations

import torch
from torch import Tensor

from exitwave.specimen.mesh import Mesh


def surface_areas(mesh: Mesh) -> Tensor:
    """Return the area (R,) of the boundary of regions 1, 2, ... in square micrometres."""
    area = mesh.areas()
    total = area.new_zeros(len(mesh.fill_density) + 1)
    return total.index_add(0, mesh.regions[:, 0], area).index_add(0, mesh.regions[:, 1], area)[1:]


def volumes(mesh: Mesh) -> Tensor:
    """Return the volume (R,) of regions 1, 2, ... in cubic micrometres.

    By the divergence theorem 3 V = sum over faces of c . A, with their middles c and their area vectors A out of the
    region. It means something where the region is closed.

    >>> from exitwave.specimen.meshes.solids import icosphere
    >>> volumes(icosphere(radius=1.0, subdivisions=4))
    tensor([4.1797])
    """
    return _flux(mesh, _cones(mesh)[0])


def centroids(mesh: Mesh) -> Tensor:
    """Return the centre of mass (R, 3) of regions 1, 2, ... in micrometres; NaN never: 0 where there is no volume."""
    cone, middle, origin = _cones(mesh)
    volume = _flux(mesh, cone)
    # The middle of a tetrahedron lies three quarters of the way from its tip to the middle of its base.
    moment = torch.stack([_flux(mesh, cone * part) for part in (0.75 * middle).unbind(-1)], -1)
    empty = (volume == 0)[:, None]
    return torch.where(empty, 0.0, moment / torch.where(empty, 1.0, volume[:, None]) + origin)


def _cones(mesh: Mesh) -> tuple[Tensor, Tensor, Tensor]:
    """Return the volumes (F,) between faces and a point near them, the middles (F, 3) seen from it, and the point."""
    # From far away small volumes are differences of large ones.
    origin = mesh.vertices.detach().mean(0)
    middle = mesh.corners().mean(1) - origin
    return (middle * mesh.area_vectors()).sum(-1) / 3, middle, origin


def _flux(mesh: Mesh, through: Tensor) -> Tensor:
    """Return what leaves regions 1, 2, ... (R,) through faces that let `through` (F,) pass from behind to front."""
    total = through.new_zeros(len(mesh.fill_density) + 1)
    return total.index_add(0, mesh.regions[:, 0], through).index_add(0, mesh.regions[:, 1], -through)[1:]


def mean_curvature(mesh: Mesh) -> Tensor:
    """Return the mean curvature (V,) of the surface in 1/um: 1/r on a sphere of radius r, seen from behind its faces.

    A vertex that moves along the normal by h changes the area around it by 2 H A h, and the slope of the area by a
    vertex is half the sum over its edges of (cot a + cot b) (x_i - x_j), with the angles opposite to them; A is the
    part of the area closest to the vertex (Meyer, Desbrun, Schroeder and Barr, in: Visualization and Mathematics III,
    p. 35, 2003). It is 0 where the surface has no curvature: at vertices at which walls meet or end.
    """
    corners = mesh.corners()
    vectors = mesh.area_vectors()
    twice = 2 * mesh.areas()
    flat = twice == 0
    safe = torch.where(flat, 1.0, twice)
    slope, share = [], []
    # Corner 0 of a face is opposite to the edge from its corner 1 to its corner 2.
    cot = torch.stack([_dot(corners, k, (k + 1) % 3, (k + 2) % 3) for k in range(3)], -1)
    obtuse = cot < 0
    cot = torch.where(flat[:, None], 0.0, cot / safe[:, None])
    for k in range(3):
        near, far = (k + 1) % 3, (k + 2) % 3
        to_near, to_far = corners[:, k] - corners[:, near], corners[:, k] - corners[:, far]
        slope.append(0.5 * (cot[:, far, None] * to_near + cot[:, near, None] * to_far))
        # The circumcentre of an obtuse triangle lies outside: its parts are cut at the middles of its edges instead.
        part = (cot[:, far] * to_near.square().sum(-1) + cot[:, near] * to_far.square().sum(-1)) / 8
        cut = twice / torch.where(obtuse[:, k], 4.0, 8.0)
        share.append(torch.where(obtuse.any(-1), cut, part))
    flow = _gather(mesh, torch.stack(slope, 1))
    area = _gather(mesh, torch.stack(share, 1)[..., None]).squeeze(-1)
    normal = _gather(mesh, vectors[:, None].expand(-1, 3, -1))
    length = normal.square().sum(-1)
    inside = ~_rims(mesh) & (length > 0) & (area > 0)
    scale = 2 * torch.where(inside, area, 1.0) * torch.where(inside, length, 1.0).sqrt()
    return torch.where(inside, (flow * normal).sum(-1) / scale, 0.0)


def _dot(corners: Tensor, at: int, first: int, second: int) -> Tensor:
    """Return the cosine (F,) of the angle at a corner, times the lengths of its two edges."""
    return ((corners[:, first] - corners[:, at]) * (corners[:, second] - corners[:, at])).sum(-1)


def _gather(mesh: Mesh, values: Tensor) -> Tensor:
    """Return the sums (V, k) over faces of values (F, 3, k) at their corners."""
    total = values.new_zeros(len(mesh.vertices), values.shape[-1])
    return total.index_add(0, mesh.faces.flatten(), values.flatten(0, 1))


def _rims(mesh: Mesh) -> Tensor:
    """Return which vertices (V,) lie on an edge that is not between two faces of one wall, turned the same way."""
    count, regions = len(mesh.vertices), mesh.regions
    swapped = regions[:, :1] > regions[:, 1:]
    faces = torch.where(swapped, mesh.faces.flip(1), mesh.faces)
    wall = (regions.amin(1) * (int(regions.max()) + 1) + regions.amax(1))[:, None].expand(-1, 3)
    start, end = faces, faces.roll(-1, 1)
    edge = torch.minimum(start, end) * count + torch.maximum(start, end)
    keys, place = edge.unique(return_inverse=True)
    place = place.flatten()
    sides = torch.zeros_like(keys).index_add_(0, place, torch.ones_like(place))
    balance = torch.zeros_like(keys).index_add_(0, place, (end - start).sign().flatten())
    # Where there are two faces, they belong to one wall if its number is half of their sum.
    total = torch.zeros_like(keys).index_add_(0, place, wall.flatten())
    other = (wall.flatten() * 2 != total[place]).long()
    mixed = torch.zeros_like(keys).index_add_(0, place, other)
    rim = keys[(sides != 2) | (balance != 0) | (mixed != 0)]
    found = torch.zeros(count, dtype=torch.bool, device=faces.device)
    found[rim // count] = True
    found[rim % count] = True
    return found
