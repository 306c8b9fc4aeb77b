"""Spheres."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.specimen.ellipsoid import ellipse_outline
from exitwave.specimen.shapes import Shape, rectangle, root


class Sphere(Value):
    """A sphere: size (N, 1) is its radius in micrometres."""

    rounded: ClassVar[bool] = True
    ratios: ClassVar[tuple[str, ...]] = ()

    @property
    def lengths(self) -> tuple[str, ...]:
        return ("radius",)

    def check_size(self, size: Tensor) -> None:
        """Any positive radius is a sphere."""

    def unconstrained(self, size: Tensor) -> tuple[Shape, Tensor]:
        """Return the bodies with every length free: a column each already."""
        return self, size

    def volume(self, size: Tensor) -> Tensor:
        """Return the volume (N,) in cubic micrometres."""
        return 4 / 3 * math.pi * size[:, 0] ** 3

    def radius(self, size: Tensor) -> Tensor:
        """Return the radius (N,) of the smallest sphere around the body, in micrometres."""
        return size[:, 0]

    def prepare(self, size: Tensor, axes: Tensor, cell: float) -> tuple[Tensor, Tensor]:
        """Return coefficient rows (N, 1) and the factors (N,) that keep the volume of particles below the grid."""
        # Below 3/4 of a cell a sphere is drawn at that radius and thinned, so that its volume stays.
        drawn = size[:, 0].clamp(min=0.75 * cell)
        # Averaging a round rim along its normal alone adds p^2/5a^2 of the volume; this radius takes it back, and on
        # the smallest spheres a little more.
        excess = 1 - 0.032 * (cell / drawn) ** 3
        return (drawn - cell**2 / (15 * drawn))[:, None], (size[:, 0] / drawn) ** 3 / excess

    def chord(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        half = root(rows[:, 0, None, None] ** 2 - (y**2 + x**2))
        return -half, half

    def edge(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        distance = root(y**2 + x**2)
        return rows[:, 0, None, None] - distance, y / distance, x / distance

    def reach(self, size: Tensor, axes: Tensor) -> Tensor:
        """Return the half-extents (N, 3) along z, y, x in micrometres."""
        return size.expand(-1, 3)

    def support(self, size: Tensor, axes: Tensor, directions: Tensor) -> Tensor:
        """Return how far (N, D) the silhouette reaches along lateral vectors (N, D, 2), times their length."""
        return size * torch.linalg.vector_norm(directions, dim=-1)

    def outline(self, size: Tensor, axes: Tensor) -> list[Tensor]:
        radius = size[:, 0]
        zero = torch.zeros_like(radius)
        return ellipse_outline(torch.stack([torch.stack([radius, zero], -1), torch.stack([zero, radius], -1)], -2))

    def oriented_box(self, size: Tensor, axes: Tensor) -> Tensor:
        along = torch.zeros(len(size), 2, dtype=size.dtype)
        along[:, 1] = 1.0
        return rectangle(torch.zeros_like(along), along, size[:, 0], size[:, 0])
