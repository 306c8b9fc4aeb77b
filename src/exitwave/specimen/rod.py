"""Rods: cylinders with hemispherical caps."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.specimen.shapes import Shape, away_from_zero, direction, rectangle, root


class Rod(Value):
    """A spherocylinder along body x: size (N, 2) is its radius and its half length with the caps, in micrometres.

    Its silhouette is a stadium. A rod is the union of spheres along its axis, which gives the chord: the sphere that
    a line leaves last has its centre at (l + b cos) / sin along the axis, kept within the ends.
    """

    rounded: ClassVar[bool] = True
    ratios: ClassVar[tuple[str, ...]] = ()

    @property
    def lengths(self) -> tuple[str, ...]:
        return ("radius", "half_length")

    def check_size(self, size: Tensor) -> None:
        if size.numel() and bool((size[:, 1] < size[:, 0]).any()):
            worst = size[(size[:, 1] - size[:, 0]).argmin()].tolist()
            raise ValueError(
                f"a Rod's half_length includes its caps and must be at least its radius, got radius {worst[0]:g} and "
                f"half_length {worst[1]:g} um; swap them or use Sphere"
            )

    def unconstrained(self, size: Tensor) -> tuple[Shape, Tensor]:
        """Return the bodies with every length free: a column each already."""
        return self, size

    def volume(self, size: Tensor) -> Tensor:
        """Return the volume (N,) in cubic micrometres."""
        radius = size[:, 0]
        return 2 * math.pi * radius**2 * self._straight(size) + 4 / 3 * math.pi * radius**3

    def radius(self, size: Tensor) -> Tensor:
        """Return the radius (N,) of the smallest sphere around the body, in micrometres."""
        return torch.maximum(size[:, 0], size[:, 1])

    def _straight(self, size: Tensor) -> Tensor:
        """Half the length of the cylinder between the caps."""
        return (size[:, 1] - size[:, 0]).clamp(min=0.0)

    def prepare(self, size: Tensor, axes: Tensor, cell: float) -> tuple[Tensor, Tensor]:
        """Return rows (N, 6): radius, half axis, its z component, its lateral length and direction; and factors."""
        radius = size[:, 0].clamp(min=0.75 * cell)
        straight = self._straight(size)
        drawn = 2 * math.pi * radius**2 * straight + 4 / 3 * math.pi * radius**3
        axis = axes[:, :, 2]
        along = direction_of(axis)
        lateral = root(axis[:, 1] ** 2 + axis[:, 2] ** 2)
        # As for a sphere; a straight rim adds less to the volume.
        excess = 1 - 0.032 * (cell / (radius + straight)) ** 3
        radius = radius - cell**2 / (radius + straight) * (1 / 15 + 0.02 * straight * lateral / radius)
        rows = torch.stack([radius, straight, axis[:, 0], lateral, along[:, 0], along[:, 1]], -1)
        return rows, self.volume(size) / drawn / excess

    def chord(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        radius, straight, upright, lateral, ey, ex = (rows[:, column, None, None] for column in range(6))
        along = ey * y + ex * x
        across = ex * y - ey * x
        width = root(radius**2 - across**2)
        reach = away_from_zero(lateral)
        last = torch.clamp((along + width * upright) / reach, -straight, straight)
        first = torch.clamp((along - width * upright) / reach, -straight, straight)
        leave = last * upright + root(width**2 - (along - last * lateral) ** 2)
        entry = first * upright - root(width**2 - (along - first * lateral) ** 2)
        return entry, leave

    def edge(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        radius, straight, _, lateral, ey, ex = (rows[:, column, None, None] for column in range(6))
        along = ey * y + ex * x
        across = ex * y - ey * x
        end = straight * lateral
        beyond = along - torch.clamp(along, -end, end)
        distance = root(beyond**2 + across**2)
        return radius - distance, (ey * beyond + ex * across) / distance, (ex * beyond - ey * across) / distance

    def reach(self, size: Tensor, axes: Tensor) -> Tensor:
        """Return the half-extents (N, 3) along z, y, x in micrometres."""
        return size[:, :1] + self._straight(size)[:, None] * axes[:, :, 2].abs()

    def support(self, size: Tensor, axes: Tensor, directions: Tensor) -> Tensor:
        """Return how far (N, D) the silhouette reaches along lateral vectors (N, D, 2), times their length."""
        along = (directions @ axes[:, 1:, 2:]).abs().squeeze(-1)
        return self._straight(size)[:, None] * along + size[:, :1] * torch.linalg.vector_norm(directions, dim=-1)

    def outline(self, size: Tensor, axes: Tensor, vertices: int = 64) -> list[Tensor]:
        along = direction(axes[:, 1:, 2])
        across = torch.stack([along[:, 1], -along[:, 0]], -1)
        end = self._straight(size) * torch.linalg.vector_norm(axes[:, 1:, 2], dim=-1)
        # Two half circles: the first about the far end, the second about the near one.
        angle = (torch.arange(vertices // 2, dtype=size.dtype) / (vertices // 2 - 1) - 0.5) * math.pi
        cap = torch.stack([torch.cos(angle), torch.sin(angle)], -1)
        half = size[:, :1, None] * (cap[:, :1] * along[:, None] + cap[:, 1:] * across[:, None])
        tip = end[:, None, None] * along[:, None]
        return list(torch.cat([tip + half, -tip - half], 1))

    def oriented_box(self, size: Tensor, axes: Tensor) -> Tensor:
        along = direction(axes[:, 1:, 2])
        end = self._straight(size) * torch.linalg.vector_norm(axes[:, 1:, 2], dim=-1)
        return rectangle(torch.zeros_like(along), along, size[:, 0] + end, size[:, 0])


def direction_of(axis: Tensor) -> Tensor:
    """Return the lateral unit vectors (N, 2) of axes (N, 3), differentiable; an upright axis gives the x axis."""
    y, x = axis[:, 1], axis[:, 2]
    length = torch.sqrt((y * y + x * x).clamp(min=1e-20))
    upright = length < 1e-6
    return torch.stack([torch.where(upright, 0.0, y / length), torch.where(upright, 1.0, x / length)], -1)
