"""Disks: flat circular cylinders."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.specimen.rod import direction_of
from exitwave.specimen.shapes import Shape, away_from_zero, direction, rectangle, ridge_excess, root


class Disk(Value):
    """A circular cylinder about body z: size (N, 2) is its radius and its half thickness in micrometres.

    In the lateral frame (l along the tilt, m across) the mantle is (cos l -+ b) / sin with b^2 = R^2 - m^2 and the
    flat faces are (-sin l -+ t) / cos; the silhouette is an ellipse drawn out along l.
    """

    rounded: ClassVar[bool] = False
    ratios: ClassVar[tuple[str, ...]] = ()

    @property
    def lengths(self) -> tuple[str, ...]:
        return ("radius", "half_thickness")

    def check_size(self, size: Tensor) -> None:
        """Any positive radius and half thickness make a disk."""

    def unconstrained(self, size: Tensor) -> tuple[Shape, Tensor]:
        """Return the bodies with every length free: a column each already."""
        return self, size

    def volume(self, size: Tensor) -> Tensor:
        """Return the volume (N,) in cubic micrometres."""
        return 2 * math.pi * size[:, 0] ** 2 * size[:, 1]

    def radius(self, size: Tensor) -> Tensor:
        """Return the radius (N,) of the smallest sphere around the body, in micrometres."""
        return torch.linalg.vector_norm(size, dim=-1)

    def prepare(self, size: Tensor, axes: Tensor, cell: float) -> tuple[Tensor, Tensor]:
        """Return rows (N, 6): radius, half thickness, cosine and sine of the tilt, its lateral direction; factors."""
        drawn = torch.stack([size[:, 0].clamp(min=0.75 * cell), size[:, 1].clamp(min=0.75 * cell)], -1)
        scale = self.volume(size) / self.volume(drawn)
        scale = scale / ridge_excess(0.2, cell**2 * (1 / drawn[:, 0] + 2 / drawn[:, 1]) / (3 * drawn[:, 0]))
        axis = axes[:, :, 0]
        # A disk looks the same from both sides: count its axis upwards, so that the cosine is not negative.
        axis = axis * torch.where(axis[:, :1] < 0, -1.0, 1.0).to(axis.dtype)
        along = direction_of(axis)
        sine = root(axis[:, 1] ** 2 + axis[:, 2] ** 2)
        return torch.stack([drawn[:, 0], drawn[:, 1], axis[:, 0], sine, along[:, 0], along[:, 1]], -1), scale

    def chord(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        radius, half, cosine, sine, ey, ex = (rows[:, column, None, None] for column in range(6))
        along = ey * y + ex * x
        across = ex * y - ey * x
        width = root(radius**2 - across**2)
        slant, upright = away_from_zero(sine), away_from_zero(cosine)
        leave = torch.minimum((cosine * along + width) / slant, (half - sine * along) / upright)
        entry = torch.maximum((cosine * along - width) / slant, (-half - sine * along) / upright)
        return entry, leave

    def edge(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        radius, half, cosine, sine, ey, ex = (rows[:, column, None, None] for column in range(6))
        along = ey * y + ex * x
        across = ex * y - ey * x
        width = root(radius**2 - across**2)
        # Distance to the elliptic ends: the gap along l, times the cosine of the boundary's slope there.
        slope = root(width**2 + (cosine * across) ** 2)
        ends = (half * sine + cosine * width - along.abs()) * width / slope
        # To the sides, and past their ends round the ellipse: its level, over the level's steepness.
        flat = away_from_zero(cosine, 1e-4)
        level_l = (along.abs() - half * sine).clamp(min=0.0) / (flat * radius)
        level_m = across / radius
        level, steepness = root(level_l**2 + level_m**2), root((level_l / flat) ** 2 + level_m**2)
        sides = (1.0 - level) * level * radius / steepness
        side = sides < ends
        normal_l = torch.where(side, level_l / flat / steepness, width / slope) * torch.sign(along)
        normal_m = torch.where(side, level_m / steepness, cosine * across / slope)
        return torch.minimum(sides, ends), ey * normal_l + ex * normal_m, ex * normal_l - ey * normal_m

    def reach(self, size: Tensor, axes: Tensor) -> Tensor:
        """Return the half-extents (N, 3) along z, y, x in micrometres."""
        axis = axes[:, :, 0]
        return size[:, :1] * torch.sqrt((1 - axis**2).clamp(min=0.0)) + size[:, 1:] * axis.abs()

    def _silhouette(self, size: Tensor, axes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        axis = axes[:, :, 0]
        along = direction(axis[:, 1:])
        return along, size[:, 0] * axis[:, 0].abs(), size[:, 1] * torch.linalg.vector_norm(axis[:, 1:], dim=-1)

    def support(self, size: Tensor, axes: Tensor, directions: Tensor) -> Tensor:
        """Return how far (N, D) the silhouette reaches along lateral vectors (N, D, 2), times their length."""
        along = (directions @ axes[:, 1:, :1]).squeeze(-1)
        across = torch.sqrt(((directions**2).sum(-1) - along**2).clamp(min=0.0))
        return size[:, :1] * across + size[:, 1:] * along.abs()

    def outline(self, size: Tensor, axes: Tensor, vertices: int = 64) -> list[Tensor]:
        along, minor, drawn_out = self._silhouette(size, axes)
        across = torch.stack([along[:, 1], -along[:, 0]], -1)
        angle = (torch.arange(vertices // 2, dtype=size.dtype) / (vertices // 2 - 1) - 0.5) * math.pi
        forward = minor[:, None] * torch.cos(angle) + drawn_out[:, None]
        aside = size[:, :1] * torch.sin(angle)
        half = forward[:, :, None] * along[:, None] + aside[:, :, None] * across[:, None]
        return list(torch.cat([half, -half], 1))

    def oriented_box(self, size: Tensor, axes: Tensor) -> Tensor:
        along, minor, drawn_out = self._silhouette(size, axes)
        return rectangle(torch.zeros_like(along), along, minor + drawn_out, size[:, 0])
