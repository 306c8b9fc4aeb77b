"""Instances: what a part of a specimen contributes to the annotation of an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, singledispatch

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from exitwave.annotate.rectangle import turned
from exitwave.grid import Grid
from exitwave.model import Value, map_tensors, params
from exitwave.raster.silhouette import Bodies, View, bodies, mask, paint
from exitwave.specimen import Filaments, Film, Particles, Points, Tetrahedra
from exitwave.specimen.assembly import Assembly
from exitwave.specimen.shapes import smallest_rectangle

# Names of the components of parameters with several columns; those of `size` come from the shape.
_COMPONENTS = {"center": ("z", "y", "x"), "rotation": ("w", "x", "y", "z"), "optic_axis": ("z", "y", "x")}


@dataclass(frozen=True, eq=False)
class Instances:
    """The n instances of one part of a specimen in an image: NumPy arrays as in `Truth`, and how they are drawn.

    `shape` names what they are in tables, and `physical` holds one column (n,) per physical parameter.
    `paint(view, first)` shows them in a view with ids from `first` + 1, and gives the pixels (2, n), int64, of the
    silhouettes in all and in the image. `outlines()` gives n polygons (V, 2) in pixels, and `mask(number)` where the
    silhouette of one of them is, (H, W) booleans. Geometry lies on the CPU, without gradients.
    """

    label: str
    shape: str
    center: np.ndarray
    boxes: np.ndarray
    oriented_boxes: np.ndarray
    physical: dict[str, np.ndarray]
    paint: Callable[[View, int], Tensor]
    outlines: Callable[[], list[np.ndarray]]
    mask: Callable[[int], np.ndarray]

    def __len__(self) -> int:
        return len(self.center)


@singledispatch
def annotated(part: object, grid: Grid) -> tuple[Instances, ...]:
    """Return the instances of a part of a specimen in an image on `grid`; none for a part of the background.

    A new kind of part registers a function here with `@annotated.register`; nothing else has to know of it.
    """
    raise TypeError(
        f"expected particles, wires, meshes or films to annotate, got {type(part).__name__}; if it is a population of "
        "a recipe, draw it with sample(scene, Key(seed)) first"
    )


@annotated.register
def _(part: Film, grid: Grid) -> tuple[Instances, ...]:
    return ()


@annotated.register(Points)
@annotated.register(Filaments)
@annotated.register(Tetrahedra)
def _(part: Points | Filaments | Tetrahedra, grid: Grid) -> tuple[Instances, ...]:
    if part.label:
        raise ValueError(
            f"images have annotations of particles, wires and meshes, got {type(part).__name__} on a grid (height, "
            "width); give what fluoresces a grid of one plane, Grid((1, 512, 512), (1.0, 0.1, 0.1)), and anything else "
            'label=""'
        )
    return ()


@annotated.register
def _(part: Assembly, grid: Grid) -> tuple[Instances, ...]:
    for inner in part.parts:
        if annotated(inner, grid):
            raise TypeError(
                f"images have annotations of parts of a specimen, got {type(inner).__name__} in an Assembly; list them "
                "there"
            )
    return ()


@annotated.register
def _(part: Particles, grid: Grid) -> tuple[Instances, ...]:
    if not part.label:
        return ()
    own: Particles = map_tensors(part, lambda tensor: tensor.detach().cpu())
    blocks = list(bodies(own))
    found = Instances(
        label=own.label,
        shape=type(own.shape).__name__,
        center=_gather([block.center for block in blocks], (3,)),
        boxes=_gather([block.box(grid) for block in blocks], (4,)),
        oriented_boxes=_gather([_oriented(block, grid) for block in blocks], (4, 2)),
        physical=columns_of(own, "N", {**_COMPONENTS, "size": own.shape.lengths}),
        paint=partial(_painted, own, grid),
        outlines=partial(_outlines, own, grid),
        mask=partial(_mask, own, grid),
    )
    return (found,)


def columns_of(part: Value, dimension: str, components: dict[str, tuple[str, ...]]) -> dict[str, np.ndarray]:
    """Return one column (n,) per parameter that a part declares once per instance, that is along `dimension`.

    Those with several columns are named after their `components`.
    """
    columns = {}
    for name, spec in params(type(part)).items():
        if spec.dims[:1] != (dimension,):
            continue
        values = getattr(part, name).detach().cpu().double()
        names = [f"{name}_{component}" for component in components.get(name, ())] or [name]
        columns.update(zip(names, values.reshape(len(values), len(names)).numpy().T, strict=True))
    return columns


def _painted(part: Particles, grid: Grid, view: View, first: int) -> Tensor:
    return paint(part, view, first, grid)


def _mask(part: Particles, grid: Grid, number: int) -> np.ndarray:
    return mask(part, number, grid).numpy()


def _gather(blocks: list[Tensor], shape: tuple[int, ...]) -> np.ndarray:
    return torch.cat([torch.zeros(0, *shape, dtype=torch.float64), *blocks]).numpy()


def _oriented(block: Bodies, grid: Grid) -> Tensor:
    """Return the corners (n, 4, 2) in pixels of the smallest rectangles around the silhouettes.

    On square pixels these are the shapes' own, exact ones. Other pixels turn rectangles into parallelograms, so that
    the smallest one is sought in pixels: along the edges of the outline, which is exact for polyhedra, and then,
    because round outlines have no edges, nearby.
    """
    shape, _, size, axes = block
    step = size.new_tensor(grid.spacing)
    middle = block.position(grid)[:, None, :]
    if grid.spacing[0] == grid.spacing[1]:
        return shape.oriented_box(size, axes) / step + middle
    edges = [torch.roll(polygon, -1, 0) - polygon for polygon in shape.outline(size, axes)]

    def support(along: Tensor) -> Tensor:
        return shape.support(size, axes, along / step)

    return turned(support, smallest_rectangle(support, pad_sequence(edges, batch_first=True) / step)) + middle


def _outlines(part: Particles, grid: Grid) -> list[np.ndarray]:
    return [polygon for block in bodies(part) for polygon in _polygons(block, grid)]


def _polygons(block: Bodies, grid: Grid) -> list[np.ndarray]:
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
