"""Ellipsoids."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.specimen.shapes import Shape, rectangle, root


class Ellipsoid(Value):
    """An ellipsoid: size (N, 3) holds its semi-axes along body z, y, x in micrometres."""

    rounded: ClassVar[bool] = True
    ratios: ClassVar[tuple[str, ...]] = ()

    @property
    def lengths(self) -> tuple[str, ...]:
        return ("semi_axis_z", "semi_axis_y", "semi_axis_x")

    def check_size(self, size: Tensor) -> None:
        """Any positive semi-axes make an ellipsoid."""

    def unconstrained(self, size: Tensor) -> tuple[Shape, Tensor]:
        """Return the bodies with every length free: a column each already."""
        return self, size

    def volume(self, size: Tensor) -> Tensor:
        """Return the volume (N,) in cubic micrometres."""
        return 4 / 3 * math.pi * size.prod(-1)

    def radius(self, size: Tensor) -> Tensor:
        """Return the radius (N,) of the smallest sphere around the body, in micrometres."""
        return size.amax(-1)

    def prepare(self, size: Tensor, axes: Tensor, cell: float) -> tuple[Tensor, Tensor]:
        """Return rows (N, 6): the inverse Q of the silhouette's matrix, the tilt, and the half chord in the middle.

        With S = A diag(s^2) A^T the body is r S^-1 r <= 1; its silhouette has the matrix P = S[yx, yx], the middle of
        the chord lies at S[z, yx] P^-1 r, and its half length is sqrt(det S / det P) sqrt(1 - r P^-1 r).
        """
        drawn = size.clamp(min=0.75 * cell)
        scale = self.volume(size) / self.volume(drawn)
        spread = (axes * drawn[:, None, :] ** 2) @ axes.transpose(1, 2)
        yy, yx, xx = spread[:, 1, 1], spread[:, 1, 2], spread[:, 2, 2]
        determinant = yy * xx - yx**2
        q_yy, q_yx, q_xx = xx / determinant, -yx / determinant, yy / determinant
        tilt_y = spread[:, 0, 1] * q_yy + spread[:, 0, 2] * q_yx
        tilt_x = spread[:, 0, 1] * q_yx + spread[:, 0, 2] * q_xx
        # A round rim averaged along its normal alone adds p^2/10 (1/A^2 + 1/B^2) of the volume, where A and B are the
        # silhouette's semi-axes; a smaller silhouette takes it back.
        shrunk = 1 + 0.1 * cell**2 * (q_yy + q_xx)
        q_yy, q_yx, q_xx = shrunk * q_yy, shrunk * q_yx, shrunk * q_xx
        half = drawn.prod(-1) / torch.sqrt(determinant)
        return torch.stack([q_yy, q_yx, q_xx, tilt_y, tilt_x, half], -1), scale

    def _gradient(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return half the gradient of r Q r, (Q r)_y and (Q r)_x."""
        q_yy, q_yx, q_xx = (rows[:, column, None, None] for column in range(3))
        return q_yy * y + q_yx * x, q_yx * y + q_xx * x

    def chord(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        tilt_y, tilt_x, middle = (rows[:, column, None, None] for column in range(3, 6))
        slope_y, slope_x = self._gradient(rows, y, x)
        half = middle * root(1.0 - (slope_y * y + slope_x * x))
        centre = tilt_y * y + tilt_x * x
        return centre - half, centre + half

    def edge(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        slope_y, slope_x = self._gradient(rows, y, x)
        radius = root(slope_y * y + slope_x * x)
        steepness = root(slope_y**2 + slope_x**2)
        # The level r Q r = radius^2 rises by steepness / radius per micrometre.
        return (1.0 - radius) * radius / steepness, slope_y / steepness, slope_x / steepness

    def reach(self, size: Tensor, axes: Tensor) -> Tensor:
        """Return the half-extents (N, 3) along z, y, x in micrometres."""
        return torch.linalg.vector_norm(axes * size[:, None, :], dim=-1)

    def _silhouette(self, size: Tensor, axes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the semi-axes (N, 2) and their unit vectors in the columns (N, 2, 2) of the silhouette."""
        spread = (axes * size[:, None, :] ** 2) @ axes.transpose(1, 2)
        squares, vectors = torch.linalg.eigh(spread[:, 1:, 1:])
        return torch.sqrt(squares), vectors

    def support(self, size: Tensor, axes: Tensor, directions: Tensor) -> Tensor:
        """Return how far (N, D) the silhouette reaches along lateral vectors (N, D, 2), times their length."""
        return torch.linalg.vector_norm((directions @ axes[:, 1:]) * size[:, None, :], dim=-1)

    def outline(self, size: Tensor, axes: Tensor) -> list[Tensor]:
        semi, vectors = self._silhouette(size, axes)
        return ellipse_outline(vectors * semi[:, None, :])

    def oriented_box(self, size: Tensor, axes: Tensor) -> Tensor:
        semi, vectors = self._silhouette(size, axes)
        return rectangle(torch.zeros_like(semi), vectors[:, :, 1], semi[:, 1], semi[:, 0])


def ellipse_outline(axes: Tensor, vertices: int = 64) -> list[Tensor]:
    """Return polygons (vertices, 2) on ellipses whose semi-axis vectors are the columns of `axes` (N, 2, 2)."""
    angle = torch.arange(vertices, dtype=axes.dtype) * (2 * math.pi / vertices)
    circle = torch.stack([torch.cos(angle), torch.sin(angle)], 0)
    return list((axes @ circle).transpose(1, 2))
