"""Wires and meshes in images: instances whose silhouettes are unions, of capsules and of triangles."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from exitwave.annotate.instances import Instances, annotated, columns_of
from exitwave.annotate.spans import spans_of
from exitwave.annotate.union import Union
from exitwave.grid import Grid
from exitwave.model import map_tensors
from exitwave.raster.silhouette import BEHIND, View, cover, pack, unpack
from exitwave.specimen import Chains, Mesh, Particles
from exitwave.specimen.meshes.geometry import centroids, surface_areas, volumes

# Triangles that are filled at once: a bound on memory.
_FACES = 4096


@annotated.register
def annotated_wires(part: Chains, grid: Grid) -> tuple[Instances, ...]:
    """Return one instance per wire; its centre is that of its axis.

    >>> from exitwave.grid import Grid
    >>> bent = Chains(vertices=[[0, 0, 0], [0, 0, 3.0], [0, 4.0, 3.0]], radius=[0.5])
    >>> (wire,) = annotated_wires(bent, Grid((64, 64), 0.25))
    >>> wire.boxes.tolist(), wire.physical["length"].tolist()
    ([[30.0, 30.0, 50.0, 46.0]], [7.0])
    """
    if not part.label:
        return ()
    # In double precision, so that pixels are counted as they are drawn.
    own: Chains = map_tensors(part, lambda tensor: tensor.detach().cpu()).to(torch.float64)
    capsules, owner = own.capsules()
    ends = own.vertices[own.segments()]
    length = own.lengths().numpy()
    wires = Union(ends[:, :, 1:].numpy(), owner.numpy(), own.radius.numpy())
    # An axis of no length has its middle where it is.
    reach = 2 * (capsules.size[:, 1] - capsules.size[:, 0]).numpy()
    weight = np.where(length[wires.owner] > 0, reach, 1.0)
    share = weight / np.bincount(wires.owner, weight)[wires.owner]
    middle = [np.bincount(wires.owner, share * along, len(wires)) for along in ends.mean(1).numpy().T]
    numbers = {**columns_of(own, "N", {}), "length": length}
    return (_joined(own, "Wire", np.stack(middle, -1), numbers, wires, partial(_wires, capsules, wires, grid), grid),)


@annotated.register
def annotated_regions(part: Mesh, grid: Grid) -> tuple[Instances, ...]:
    """Return one instance per region that has faces; its centre is its centre of mass.

    >>> from exitwave.grid import Grid
    >>> from exitwave.specimen.meshes.solids import icosphere
    >>> (ball,) = annotated_regions(icosphere(1.0, center=(5.0, 0, 0), subdivisions=4), Grid((64, 64), 0.25))
    >>> ball.boxes.round(1).tolist(), int(ball.mask(0).sum())
    ([[28.0, 28.0, 36.0, 36.0]], 49)
    """
    if not part.label:
        return ()
    own: Mesh = map_tensors(part, lambda tensor: tensor.detach().cpu()).to(torch.float64)
    region = np.setdiff1d(np.unique(own.regions.numpy()), 0)
    size = volumes(own).numpy()[region - 1]
    _require_solid(own, region, size)
    above, owner = _upper(own, region)
    regions = Union(above[:, :, 1:], owner, np.zeros(len(region)))
    given = {name: column[region - 1] for name, column in columns_of(own, "R", {}).items()}
    numbers = {**given, "volume": size, "surface_area": surface_areas(own).numpy()[region - 1]}
    middle = centroids(own).numpy()[region - 1]
    return (_joined(own, "Mesh", middle, numbers, regions, partial(_regions, above, regions, grid), grid),)


def _joined(
    part: Chains | Mesh,
    shape: str,
    center: np.ndarray,
    numbers: dict[str, np.ndarray],
    union: Union,
    painter: partial[Tensor],
    grid: Grid,
) -> Instances:
    return Instances(
        label=part.label,
        shape=shape,
        center=center,
        boxes=union.boxes(grid),
        oriented_boxes=union.oriented_boxes(grid),
        physical={**{f"center_{axis}": center[:, column] for column, axis in enumerate("zyx")}, **numbers},
        paint=painter,
        outlines=partial(union.outlines, grid),
        mask=partial(union.mask, grid=grid),
    )


def _require_solid(mesh: Mesh, region: np.ndarray, size: np.ndarray) -> None:
    """Raise a one-line error where a region has no inside, as what electrons see of a mesh does."""
    torn = region[~mesh.closed().numpy()[region - 1]].tolist()
    if torn:
        raise ValueError(
            f"expected closed regions to annotate in an image, got region {torn[0]} with open edges; repair the mesh "
            'first, or give it label=""'
        )
    turned = region[size < 0].tolist()
    if turned:
        raise ValueError(
            f"expected regions whose faces look outward, got region {turned[0]} inside out; repair the mesh first"
        )


def _upper(mesh: Mesh, region: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners (m, 3, 3) of the faces that look up out of regions, and the place of each one's region.

    Seen from above, these alone cover what a closed surface encloses.
    """
    # The right-hand rule in (x, y, z): a face that looks up has the region behind it below.
    rising = mesh.area_vectors()[:, 0].numpy()
    behind, before = mesh.regions.numpy().T
    below = np.where(rising > 0, behind, before)
    chosen = (rising != 0) & (below > 0)
    return mesh.corners().numpy()[chosen], np.searchsorted(region, below[chosen])


def _wires(capsules: Particles, wires: Union, grid: Grid, view: View, first: int) -> Tensor:
    """Paint the capsules as what they belong to; see `Instances`."""
    found = cover([capsules], grid)
    number = np.append(0, wires.owner + first + 1).astype(np.int32)
    view.show(torch.from_numpy(number)[found.ids.long()], found.depth)
    return wires.counts(grid)


def _regions(above: np.ndarray, regions: Union, grid: Grid, view: View, first: int) -> Tensor:
    """Paint the planes of the upper faces as the regions below them; see `Instances`."""
    front = torch.full((view.ids.numel(),), BEHIND, dtype=torch.int64)
    step, middle = np.array(grid.spacing), np.array([n // 2 for n in grid.shape])
    for start in range(0, len(above), _FACES):
        some = above[start : start + _FACES]
        spans = spans_of(some[:, :, 1:], np.zeros(len(some)), grid).clipped(grid)
        place, flat = spans.pixels(grid)
        face = spans.owner[place]
        sample = (np.stack(np.divmod(flat, grid.shape[1]), -1) - middle) * step
        number = torch.from_numpy(regions.owner[start + face] + first)
        key = pack(torch.from_numpy(_heights(some, face, sample)), number)
        front.scatter_reduce_(0, torch.from_numpy(flat), key, "amax")
    depth, ids = unpack(front.reshape(view.ids.shape))
    view.show(ids, depth)
    return regions.counts(grid)


def _heights(faces: np.ndarray, face: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """Return how high faces (m, 3, 3) stand at places (p, 2), by the number (p,) of the face: within its corners."""
    normal = np.cross(faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 0])
    # What looks up by less than rounding is steep all the same.
    slope = -normal[:, 1:] / np.copysign(np.maximum(np.abs(normal[:, 0]), 1e-300), normal[:, 0])[:, None]
    height = faces[face, 0, 0] + (slope[face] * (sample - faces[face, 0, 1:])).sum(-1)
    low, high = faces[:, :, 0].min(1), faces[:, :, 0].max(1)
    return np.clip(height, low[face], high[face])
