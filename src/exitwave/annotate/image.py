"""Annotation of images: what a scene of particles, wires and meshes shows, by geometry alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy.ndimage
import torch

from exitwave.annotate.instances import Instances, annotated
from exitwave.raster.silhouette import blank
from exitwave.scene import Scene


@dataclass(frozen=True, eq=False)
class Truth:
    """What a scene shows: N instances, in the order of the specimen's parts; NumPy arrays.

    An instance is a particle, a wire, which is the union of its capsules, or a region of a mesh.
    Pixel coordinates are (row, col) with the centres of pixels at integers, so that the image reaches from -0.5 to
    H - 0.5. A pixel belongs to an instance if its centre lies in the silhouette, the projection of the body along z.
    "Amodal" is the whole silhouette, whatever stands in front of it and wherever the image ends. In transmitted light
    the objective stands at large z, and the instance that ends at the largest z is the visible one. Parts without a
    label are background: they are not annotated and hide nothing.
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
    """Centres (N, 3) in micrometres (z, y, x): of mass for regions, of the axis for wires."""
    area: np.ndarray
    """Visible pixels (N,), int64."""
    amodal_area: np.ndarray
    """Pixels of the whole silhouette (N,), int64, inside and outside the image."""
    truncated: np.ndarray
    """Whether the silhouette crosses the image's border (N,)."""
    physical: dict[str, np.ndarray]
    """Physical parameters by name, each (N,): "center_z", "size_radius", ...; NaN where a shape has none. "shape" is
    the name of the shape, "Wire" (with "radius" and "length") or "Mesh" (with "volume" and "surface_area")."""
    parts: tuple[Instances, ...] = field(repr=False)
    """The instances part by part: the geometry behind the masks and contours that are made when asked for."""

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
        """Outlines of the amodal silhouettes, N polygons (V, 2) in pixels, not clipped; round ones have 64 corners.

        Of a silhouette with holes, as of a wire that closes a loop, or in parts, the polygon runs forth and back along
        cuts between them, so that its area and what lies inside of it are right.
        """
        return [polygon for part in self.parts for polygon in part.outlines()]

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
            if first < len(part):
                return part.mask(first)
            first -= len(part)
        raise AssertionError("the parts hold as many instances as there are")

    def _checked(self, instance: int) -> int:
        if not 0 <= instance < len(self):
            raise IndexError(f"expected an instance from 0 to {len(self) - 1}, got {instance}; instance k has id k + 1")
        return int(instance)


def annotate_image(scene: Scene) -> Truth:
    """Return the ground truth of a scene with a grid (height, width); see `annotate`."""
    grid = scene.grid
    parts = tuple(found for part in scene.specimen.parts for found in annotated(part, grid))
    classes = tuple(sorted({part.label for part in parts}))
    view, first = blank(grid), 0
    counts = [torch.zeros(2, 0, dtype=torch.int64)]
    for part in parts:
        counts.append(part.paint(view, first))
        first += len(part)
    amodal, inside = torch.cat(counts, 1).numpy()
    boxes = _gathered([part.boxes for part in parts], 4)
    border = np.array([-0.5, -0.5, grid.shape[0] - 0.5, grid.shape[1] - 0.5])
    beyond = ((boxes - border) * [1, 1, -1, -1] < 0).any(-1)
    return Truth(
        shape=(grid.shape[0], grid.shape[1]),
        pixel=(grid.spacing[0], grid.spacing[1]),
        classes=classes,
        class_id=np.array([classes.index(part.label) for part in parts for _ in range(len(part))], dtype=np.int64),
        ids=view.ids.numpy(),
        depth=view.depth.numpy(),
        boxes=boxes,
        oriented_boxes=_gathered([part.oriented_boxes for part in parts], 4, 2),
        center=_gathered([part.center for part in parts], 3),
        area=torch.bincount(view.ids.flatten(), minlength=first + 1)[1:].numpy(),
        amodal_area=amodal,
        truncated=beyond & (inside > 0),
        physical=_physical(parts),
        parts=parts,
    )


def _gathered(blocks: list[np.ndarray], *width: int) -> np.ndarray:
    return np.concatenate([np.zeros((0, *width)), *blocks])


def _physical(parts: tuple[Instances, ...]) -> dict[str, np.ndarray]:
    """Return one column (N,) per physical parameter of any part, and that of the names of the shapes."""
    shapes = [part.shape for part in parts for _ in range(len(part))]
    columns = {"shape": np.array(shapes, dtype=np.str_)}
    first = 0
    for part in parts:
        for name, numbers in part.physical.items():
            column = columns.setdefault(name, np.full(len(shapes), np.nan))
            column[first : first + len(part)] = numbers
        first += len(part)
    return columns
