"""Annotation of volumes: the instances of a fluorescent specimen, by geometry alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from exitwave.annotate.objects import Objects, objects
from exitwave.grid import Grid
from exitwave.scene import Scene
from exitwave.specimen import Mesh


@dataclass(frozen=True, eq=False)
class VolumeTruth:
    """What a volume shows: N instances, in the order of the specimen's parts; NumPy arrays.

    An instance is a region of a mesh, a body of tetrahedra, a curve of filaments that hang together, or a point.
    Voxel coordinates are (z, y, x) with the centres of voxels at integers, so that the volume reaches from -0.5 to
    D - 0.5 and so on. Bodies overlap in a volume, a nucleus and its cell for example: every class has labels of its
    own. Instances are numbered through all classes, from 1 on in labels and tables. Parts without a label are part of
    the background and are not annotated. A region that its faces do not close has no volume and no voxels.
    """

    shape: tuple[int, int, int]
    """Depth, height and width of the volume in voxels."""
    voxel: tuple[float, float, float]
    """Size of a voxel (dz, dy, dx) in micrometres."""
    classes: tuple[str, ...]
    """Names of the classes: the labels of the scene, sorted."""
    class_id: np.ndarray
    """Class of every instance (N,), int64: index into `classes`."""
    labels: dict[str, np.ndarray]
    """For every class the instance that each voxel shows (D, H, W), int32, counted from 1; 0 is background. A voxel
    belongs to a body if its centre lies in it, to a curve if that passes through it, to a point that lies in it. Where
    instances of one class overlap, the last wins."""
    center: np.ndarray
    """Centres of mass (N, 3) in micrometres (z, y, x), of the part inside and outside the volume."""
    volume: np.ndarray
    """Volumes (N,) in cubic micrometres; NaN for what has none."""
    surface_area: np.ndarray
    """Areas of the boundaries (N,) in square micrometres; NaN for what has none. A wall counts for both its cells."""
    length: np.ndarray
    """Lengths of curves (N,) in micrometres; NaN for what is none."""
    boxes: np.ndarray
    """Axis-aligned boxes (N, 6) in voxels: z0, y0, x0, z1, y1, x1 of the exact bodies, not clipped."""
    voxels: np.ndarray
    """Voxels of every instance in `labels` (N,), int64."""
    truncated: np.ndarray
    """Whether an instance that has voxels reaches beyond the volume (N,)."""
    physical: dict[str, np.ndarray]
    """Further numbers by name, each (N,): "density" (emission per area or length of curves and walls, on average),
    "fill_density" (per volume), "emission" (of points); NaN where an instance has none."""
    parts: tuple[Objects, ...] = field(repr=False)
    """The instances part by part: the geometry behind the masks and meshes that are made when asked for."""

    def __len__(self) -> int:
        return len(self.class_id)

    @property
    def visible(self) -> np.ndarray:
        """The numbers of the instances that have a voxel (M,), int64, counted from 0."""
        return np.flatnonzero(self.voxels > 0)

    @cached_property
    def membranes(self) -> np.ndarray:
        """The voxels that a fluorescent wall passes through (D, H, W), booleans.

        Those of which it cuts one of the three lines that join the middles of opposite sides: no way from side to side
        of other voxels leads through the wall, and no fewer voxels would do.
        """
        found = np.zeros(self.shape, dtype=bool)
        for part in self.parts:
            if part.walls is not None:
                found |= part.walls(self._grid)
        return found

    @cached_property
    def surfaces(self) -> tuple[Mesh, ...]:
        """The meshes of the labelled parts that have one; their regions are numbered as instances, from 1 on."""
        return tuple(_numbered(part, first) for first, part in self._numbered() if part.surface is not None)

    def mesh(self, instance: int) -> Mesh:
        """Return the boundary of an instance, counted from 0, as a mesh around region 1 with its normals outward."""
        number = self._checked(instance)
        for first, part in self._numbered():
            if number < first + len(part):
                if part.surface is None:
                    raise ValueError(
                        f"instance {number} is a {part.label} without a surface, got a wish for its mesh; see center"
                    )
                return _around(part.surface, int(part.region[number - first]))
        raise AssertionError("the parts hold as many instances as there are")

    def mask(self, instance: int) -> np.ndarray:
        """Return the voxels of an instance, counted from 0: (D, H, W) booleans."""
        number = self._checked(instance)
        return self.labels[self.classes[self.class_id[number]]] == number + 1

    def _numbered(self) -> list[tuple[int, Objects]]:
        """Return every part with the number of its first instance."""
        ends = np.cumsum([0, *(len(part) for part in self.parts)])
        return list(zip(ends.tolist(), self.parts, strict=False))

    @property
    def _grid(self) -> Grid:
        return Grid(self.shape, self.voxel)

    def _checked(self, instance: int) -> int:
        if not 0 <= instance < len(self):
            raise IndexError(f"expected an instance from 0 to {len(self) - 1}, got {instance}; instance k has id k + 1")
        return int(instance)


def annotate_volume(scene: Scene) -> VolumeTruth:
    """Return the ground truth of a scene with a grid (depth, height, width); see `annotate`."""
    grid = scene.grid
    parts = tuple(found for part in scene.specimen.parts for found in objects(part) if len(found))
    classes = tuple(sorted({part.label for part in parts}))
    labels = {name: np.zeros(grid.shape, dtype=np.int32) for name in classes}
    count = sum(map(len, parts))
    voxels = np.zeros(count + 1, dtype=np.int64)
    first = 0
    for part in parts:
        own = part.labels(grid)
        np.copyto(labels[part.label], own + np.int32(first), where=own > 0)
        first += len(part)
    for volume in labels.values():
        voxels += np.bincount(volume.ravel(), minlength=count + 1)
    middle = [n // 2 for n in grid.shape]
    low, high = (
        _gathered([getattr(part, end) for part in parts], 3) / grid.spacing + middle for end in ("low", "high")
    )
    edge = np.array(grid.shape) - 0.5
    return VolumeTruth(
        shape=(grid.shape[0], grid.shape[1], grid.shape[2]),
        voxel=(grid.spacing[0], grid.spacing[1], grid.spacing[2]),
        classes=classes,
        class_id=np.array([classes.index(part.label) for part in parts for _ in range(len(part))], dtype=np.int64),
        labels=labels,
        center=_gathered([part.center for part in parts], 3),
        volume=_gathered([part.volume for part in parts]),
        surface_area=_gathered([part.surface_area for part in parts]),
        length=_gathered([part.length for part in parts]),
        boxes=np.concatenate([low, high], 1),
        voxels=voxels[1:],
        truncated=((low < -0.5) | (high > edge)).any(1) & (voxels[1:] > 0),
        physical=_columns(parts),
        parts=parts,
    )


def _gathered(blocks: list[np.ndarray], *width: int) -> np.ndarray:
    return np.concatenate([np.zeros((0, *width)), *blocks])


def _columns(parts: tuple[Objects, ...]) -> dict[str, np.ndarray]:
    """Return one column (N,) per further number that any part tells of its instances."""
    columns: dict[str, np.ndarray] = {}
    first, total = 0, sum(map(len, parts))
    for part in parts:
        for name, values in part.physical.items():
            columns.setdefault(name, np.full(total, np.nan))[first : first + len(part)] = values
        first += len(part)
    return columns


def _numbered(part: Objects, first: int) -> Mesh:
    mesh = part.surface
    assert mesh is not None
    number = torch.zeros(len(mesh.fill_density) + 1, dtype=torch.int64)
    number[torch.from_numpy(part.region)] = torch.arange(first + 1, first + len(part) + 1)
    fill = mesh.fill_density.new_zeros(first + len(part))
    fill[first:] = mesh.fill_density[torch.from_numpy(part.region) - 1]
    return Mesh(mesh.vertices, mesh.faces, mesh.density, number[mesh.regions], fill, mesh.label)


def _around(mesh: Mesh, region: int) -> Mesh:
    """Return the boundary of one region, turned outward, without the vertices of other regions."""
    behind, front = (mesh.regions == region).unbind(1)
    chosen = behind != front
    faces = torch.where(front[:, None], mesh.faces.flip(1), mesh.faces)[chosen]
    used, place = faces.unique(return_inverse=True)
    outward = torch.tensor([[1, 0]]).repeat(len(faces), 1)
    fill = mesh.fill_density[region - 1 : region]
    return Mesh(mesh.vertices[used], place, mesh.density[chosen], outward, fill, mesh.label)
