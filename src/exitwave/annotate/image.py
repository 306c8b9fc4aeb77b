"""Annotation of images: what a scene of particles shows, by geometry alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, singledispatch

import numpy as np
import scipy.ndimage
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from exitwave.grid import Grid
from exitwave.model import map_tensors, params
from exitwave.raster.silhouette import Bodies, bodies, cover, mask
from exitwave.scene import Scene
from exitwave.specimen import Chains, Filaments, Film, Mesh, Particles, Points, Tetrahedra
from exitwave.specimen.assembly import Assembly
from exitwave.specimen.shapes import smallest_rectangle

# Names of the components of parameters with several columns; those of `size` come from the shape.
_COMPONENTS = {"center": ("z", "y", "x"), "rotation": ("w", "x", "y", "z"), "optic_axis": ("z", "y", "x")}


@dataclass(frozen=True, eq=False)
class Truth:
    """What a scene shows: N instances, in the order of the specimen's parts; NumPy arrays.

    Pixel coordinates are (row, col) with the centres of pixels at integers, so that the image reaches from -0.5 to
    H - 0.5. A pixel belongs to an instance if its centre lies in the silhouette, the projection of the body along z.
    "Amodal" is the whole silhouette, whatever stands in front of it and wherever the image ends. In transmitted light
    the objective stands at large z, and the instance that ends at the largest z is the visible one. Particles without
    a label are part of the background: they are not annotated and hide nothing.
    """

    shape: tuple[int, int]
    """Height and width of the image in pixels."""
    pixel: tuple[float, float]
    """Size of a pixel (dy, dx) in micrometres."""
    classes: tuple[str, ...]
    """Names of the classes: the labels of the scene, sorted."""
    class_id: np.ndarray
    """Class of every instance (N,), int64: index into `classes`."""
    ids: np.ndarray
    """The visible instance of every pixel (H, W), int32, counted from 1; 0 is background."""
    depth: np.ndarray
    """Height z of the visible surface (H, W) in micrometres, float32; NaN in the background."""
    boxes: np.ndarray
    """Amodal axis-aligned boxes (N, 4) in pixels: row0, col0, row1, col1 of the exact silhouette, not clipped."""
    oriented_boxes: np.ndarray
    """Corners (N, 4, 2) in pixels of the smallest rectangles around the silhouettes, in order, not clipped."""
    center: np.ndarray
    """Centres (N, 3) in micrometres (z, y, x)."""
    area: np.ndarray
    """Visible pixels (N,), int64."""
    amodal_area: np.ndarray
    """Pixels of the whole silhouette (N,), int64, inside and outside the image."""
    truncated: np.ndarray
    """Whether the silhouette crosses the image's border (N,)."""
    physical: dict[str, np.ndarray]
    """Physical parameters by name, each (N,): "center_z", "size_radius", ...; NaN where a shape has none. "shape" is
    the name of the shape."""
    parts: tuple[Particles, ...] = field(repr=False)
    """The labelled parts, on the CPU: the geometry behind the masks and contours that are made when asked for."""

    def __len__(self) -> int:
        return len(self.class_id)

    @property
    def visible(self) -> np.ndarray:
        """The numbers of the instances that have a visible pixel (M,), int64, counted from 0."""
        return np.flatnonzero(self.area > 0)

    @property
    def visible_fraction(self) -> np.ndarray:
        """Visible part of the whole silhouette (N,), float64: area / amodal_area, 0 where there is no pixel."""
        return self.area / np.maximum(self.amodal_area, 1)

    @cached_property
    def contours(self) -> list[np.ndarray]:
        """Outlines of the amodal silhouettes, N polygons (V, 2) in pixels, not clipped; round ones have 64 corners."""
        blocks = (block for part in self.parts for block in bodies(part))
        return [polygon for block in blocks for polygon in _outlines(block, self._grid)]

    @cached_property
    def visible_boxes(self) -> np.ndarray:
        """Boxes (N, 4) in pixels around the outer edges of the visible pixels; zeros where there are none."""
        boxes = np.zeros((len(self), 4))
        for number, found in enumerate(scipy.ndimage.find_objects(self.ids, max_label=len(self))):
            if found is not None:
                rows, columns = found
                boxes[number] = rows.start - 0.5, columns.start - 0.5, rows.stop - 0.5, columns.stop - 0.5
        return boxes

    def visible_mask(self, instance: int) -> np.ndarray:
        """Return where an instance, counted from 0, is seen: (H, W) booleans."""
        return self.ids == self._checked(instance) + 1

    def amodal_mask(self, instance: int) -> np.ndarray:
        """Return the part of an instance's whole silhouette that lies in the image: (H, W) booleans."""
        first = self._checked(instance)
        for part in self.parts:
            if first < part.count:
                return mask(part, first, self._grid).numpy()
            first -= part.count
        raise AssertionError("the parts hold as many bodies as there are instances")

    @property
    def _grid(self) -> Grid:
        return Grid(self.shape, self.pixel)

    def _checked(self, instance: int) -> int:
        if not 0 <= instance < len(self):
            raise IndexError(f"expected an instance from 0 to {len(self) - 1}, got {instance}; instance k has id k + 1")
        return int(instance)


def annotate_image(scene: Scene) -> Truth:
    """Return the ground truth of a scene with a grid (height, width); see `annotate`."""
    grid = scene.grid
    parts = tuple(part for part in map(annotated, scene.specimen.parts) if part is not None)
    classes = tuple(sorted({part.label for part in parts}))
    class_id = [classes.index(part.label) for part in parts for _ in range(part.count)]
    coverage = cover(parts, grid)
    parts = tuple(map_tensors(part, lambda tensor: tensor.detach().cpu()) for part in parts)
    blocks = [block for part in parts for block in bodies(part)]
    boxes = _gather([block.box(grid) for block in blocks], (4,))
    border = np.array([-0.5, -0.5, grid.shape[0] - 0.5, grid.shape[1] - 0.5])
    beyond = ((boxes - border) * [1, 1, -1, -1] < 0).any(-1)
    ids = coverage.ids.cpu()
    return Truth(
        shape=(grid.shape[0], grid.shape[1]),
        pixel=(grid.spacing[0], grid.spacing[1]),
        classes=classes,
        class_id=np.array(class_id, dtype=np.int64),
        ids=ids.numpy(),
        depth=coverage.depth.cpu().numpy(),
        boxes=boxes,
        oriented_boxes=_gather([_oriented(block, grid) for block in blocks], (4, 2)),
        center=_gather([block.center for block in blocks], (3,)),
        area=torch.bincount(ids.flatten(), minlength=len(boxes) + 1)[1:].numpy(),
        amodal_area=coverage.area.cpu().numpy(),
        truncated=beyond & (coverage.inside.cpu().numpy() > 0),
        physical=_physical(parts),
        parts=parts,
    )


@singledispatch
def annotated(part: object) -> Particles | None:
    """Return the particles that carry the annotations of a part of a specimen; None for a part of the background.

    A new kind of part registers a function here with `@annotated.register`; nothing else has to know of it.
    """
    raise TypeError(
        f"expected particles or films to annotate, got {type(part).__name__}; if it is a population of a recipe, draw "
        "it with sample(scene, Key(seed)) first"
    )


@annotated.register
def _(part: Particles) -> Particles | None:
    return part if part.label else None


@annotated.register
def _(part: Film) -> Particles | None:
    return None


@annotated.register(Points)
@annotated.register(Filaments)
@annotated.register(Mesh)
@annotated.register(Tetrahedra)
@annotated.register(Chains)
def _(part: Points | Filaments | Mesh | Tetrahedra | Chains) -> Particles | None:
    if part.label:
        raise ValueError(
            f"images have annotations of particles, got {type(part).__name__} on a grid (height, width); give what "
            'fluoresces a grid of one plane, Grid((1, 512, 512), (1.0, 0.1, 0.1)), and anything else label=""'
        )
    return None


@annotated.register
def _(part: Assembly) -> Particles | None:
    for inner in part.parts:
        if annotated(inner) is not None:
            raise TypeError("particles are annotated as parts of a specimen, got them in an Assembly; list them there")
    return None


def _gather(blocks: list[Tensor], shape: tuple[int, ...]) -> np.ndarray:
    return torch.cat([torch.zeros(0, *shape, dtype=torch.float64), *blocks]).numpy()


def _oriented(block: Bodies, grid: Grid) -> Tensor:
    """Return the corners (n, 4, 2) in pixels of the smallest rectangles around the silhouettes.

    On square pixels these are the shapes' own, exact ones. Other pixels turn rectangles into parallelograms, so that
    the smallest one is sought in pixels: along the edges of the outline, which is exact for polyhedra, and then,
    because round outlines have no edges, by turning it to and fro by ever smaller angles.
    """
    shape, _, size, axes = block
    step = size.new_tensor(grid.spacing)
    middle = block.position(grid)[:, None, :]
    if grid.spacing[0] == grid.spacing[1]:
        return shape.oriented_box(size, axes) / step + middle
    edges = [torch.roll(polygon, -1, 0) - polygon for polygon in shape.outline(size, axes)]

    def support(along: Tensor) -> Tensor:
        return shape.support(size, axes, along / step)

    corners = smallest_rectangle(support, pad_sequence(edges, batch_first=True) / step)
    for halving in range(4, 24):
        angle = size.new_tensor([-1.0, -0.5, 0.0, 0.5, 1.0]) * 2.0**-halving
        side = (corners[:, 1] - corners[:, 0])[:, None, :]
        across = torch.stack([side[..., 1], -side[..., 0]], -1)
        turned = side * torch.cos(angle)[:, None] + across * torch.sin(angle)[:, None]
        corners = smallest_rectangle(support, turned)
    return corners + middle


def _outlines(block: Bodies, grid: Grid) -> list[np.ndarray]:
    """Return the outlines (V, 2) in pixels, without the corners that lie on one another."""
    polygons = block.shape.outline(block.size, block.axes)
    if not polygons:
        return []
    count = np.array([len(polygon) for polygon in polygons])
    ends = np.cumsum(count)
    middle = np.repeat(block.position(grid).numpy(), count, 0)
    corners = torch.cat(polygons).numpy() / grid.spacing + middle
    before = np.arange(len(corners)) - 1
    before[ends - count] = ends - 1  # the first corner of each follows its last
    apart = np.abs(corners - corners[before]).max(1) > 1e-6
    return np.split(corners[apart], np.add.reduceat(apart, ends - count).cumsum()[:-1])


def _physical(parts: tuple[Particles, ...]) -> dict[str, np.ndarray]:
    """Return one column (N,) per physical parameter of the particles: whatever they declare once per particle."""
    total = sum(part.count for part in parts)
    shapes = [type(part.shape).__name__ for part in parts for _ in range(part.count)]
    columns = {"shape": np.array(shapes, dtype=np.str_)}
    first = 0
    for part in parts:
        for name, spec in params(Particles).items():
            if spec.dims[:1] != ("N",):
                continue
            components = part.shape.lengths if name == "size" else _COMPONENTS.get(name, ())
            names = [f"{name}_{component}" for component in components] or [name]
            values = getattr(part, name).double().reshape(part.count, len(names)).numpy()
            for column, numbers in zip(names, values.T, strict=True):
                columns.setdefault(column, np.full(total, np.nan))[first : first + part.count] = numbers
        first += part.count
    return columns
