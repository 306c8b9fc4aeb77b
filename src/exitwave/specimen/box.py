"""Boxes: rectangular blocks."""

from __future__ import annotations

import itertools
from typing import ClassVar

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.specimen.shapes import Shape, hull, ridge_excess, smallest_rectangle

_FAR = 1e6


class Box(Value):
    """A rectangular block: size (N, 3) holds its half edges along body z, y, x in micrometres."""

    rounded: ClassVar[bool] = False
    ratios: ClassVar[tuple[str, ...]] = ()

    @property
    def lengths(self) -> tuple[str, ...]:
        return ("half_edge_z", "half_edge_y", "half_edge_x")

    def check_size(self, size: Tensor) -> None:
        """Any positive half edges make a box."""

    def unconstrained(self, size: Tensor) -> tuple[Shape, Tensor]:
        """Return the bodies with every length free: a column each already."""
        return self, size

    def volume(self, size: Tensor) -> Tensor:
        """Return the volume (N,) in cubic micrometres."""
        return 8 * size.prod(-1)

    def radius(self, size: Tensor) -> Tensor:
        """Return the radius (N,) of the smallest sphere around the body, in micrometres."""
        return torch.linalg.vector_norm(size, dim=-1)

    def prepare(self, size: Tensor, axes: Tensor, cell: float) -> tuple[Tensor, Tensor]:
        """Return rows (N, 18): per pair of faces its slab, per body axis the silhouette's pair of edges along it."""
        # Of all that follows there is one row per body axis, (3, N), so that arithmetic runs along the bodies.
        whole = torch.stack(size.unbind(-1))
        half = whole.clamp(min=0.75 * cell)
        volume = half.prod(0)
        scale = whole.prod(0) / volume / ridge_excess(0.2, cell**2 * (half.sum(0) / volume) / 3)
        # Components along z, y, x of the face normals that point up.
        normal = axes.permute(1, 2, 0)
        up, slope_y, slope_x = normal * (1.0 - 2.0 * (normal[:1] < 0).to(axes.dtype))
        steep = torch.sqrt((slope_y * slope_y + slope_x * slope_x).clamp(min=1e-20))
        up = up.clamp(min=1e-4)
        # The silhouette's edges run along the projected body axes; an upright axis has none. Across the edge of one
        # axis the other two reach as far as their cross product with it.
        across = (slope_y * slope_x.roll(-1, 0) - slope_x * slope_y.roll(-1, 0)).abs()
        width = (across * half.roll(-1, 0) + (across * half).roll(1, 0)) / steep
        width = width + _FAR * (steep < 1e-6).to(axes.dtype)
        columns = [slope_y / up, slope_x / up, half / up, slope_x / steep, -slope_y / steep, width]
        return torch.cat(columns).T.contiguous(), scale

    def chord(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        entry = leave = None
        for face in range(3):
            slope_y, slope_x, reach = (rows[:, column, None, None] for column in range(face, 9, 3))
            plane = slope_y * y + slope_x * x
            leave = reach - plane if leave is None else torch.minimum(leave, reach - plane)
            entry = -reach - plane if entry is None else torch.maximum(entry, -reach - plane)
        assert entry is not None
        assert leave is not None
        return entry, leave

    def edge(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        sides = []
        for edge in range(9, 12):
            normal_y, normal_x, width = (rows[:, column, None, None] for column in range(edge, 18, 3))
            height = normal_y * y + normal_x * x
            side = torch.sign(height)
            sides.append((width - height.abs(), side * normal_y, side * normal_x))
        distance, outward_y, outward_x = sides[0]
        for inside, normal_y, normal_x in sides[1:]:
            nearer = inside < distance
            distance = torch.minimum(inside, distance)
            outward_y = torch.where(nearer, normal_y, outward_y)
            outward_x = torch.where(nearer, normal_x, outward_x)
        return distance, outward_y, outward_x

    def reach(self, size: Tensor, axes: Tensor) -> Tensor:
        """Return the half-extents (N, 3) along z, y, x in micrometres."""
        return (axes.abs() * size[:, None, :]).sum(-1)

    def support(self, size: Tensor, axes: Tensor, directions: Tensor) -> Tensor:
        """Return how far (N, D) the silhouette reaches along lateral vectors (N, D, 2), times their length."""
        return ((directions @ axes[:, 1:]).abs() * size[:, None, :]).sum(-1)

    def outline(self, size: Tensor, axes: Tensor) -> list[Tensor]:
        signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=3)), dtype=size.dtype)
        corners = (signs * size[:, None, :]) @ axes.transpose(1, 2)
        return [hull(points) for points in corners[:, :, 1:]]

    def oriented_box(self, size: Tensor, axes: Tensor) -> Tensor:
        # The silhouette's edges run along the projected body axes.
        return smallest_rectangle(lambda along: self.support(size, axes, along), axes[:, 1:].transpose(1, 2))
