"""Crystals: convex polyhedra from crystallographic forms and central distances."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.specimen.habit import Habit, edges_of, ends_of
from exitwave.specimen.polyhedron import corners_of, gathered, hulls, volume_of
from exitwave.specimen.shapes import Shape, ridge_excess, smallest_rectangle

_FAR = 1e6
# Entries of the largest tables over particles, corners and faces.
_TABLE = 1 << 15


class Crystal(Value):
    """A convex polyhedron bounded by crystallographic forms: size holds the distance of each face from the centre.

    `cell` is the unit cell's (a, b, c) in any unit, only the ratios count; `angles` its (alpha, beta, gamma) in
    radians. `forms` are Miller indices (h, k, l), and `laue` is the Laue group that makes of each the set of
    equivalent faces. Size (N, k) has one central distance per form in micrometres; with `per_face` one per face, for
    crystals whose faces grew unequally. Body z lies along c, body x along a.

    The default is the tetragonal habit of hen egg-white lysozyme, a = b = 79.1, c = 37.9 angstrom with {110} and
    {101} (Durbin and Feher, J. Cryst. Growth 76, 583, 1986).

    >>> Crystal().lengths
    ('distance_110', 'distance_101')
    """

    cell: tuple[float, float, float] = (79.1, 79.1, 37.9)
    forms: tuple[tuple[int, int, int], ...] = ((1, 1, 0), (1, 0, 1))
    laue: str = "4/mmm"
    angles: tuple[float, float, float] = (math.pi / 2, math.pi / 2, math.pi / 2)
    per_face: bool = False

    rounded: ClassVar[bool] = False
    ratios: ClassVar[tuple[str, ...]] = ()

    def check(self) -> None:
        self.habit().check("Crystal")

    def habit(self) -> Habit:
        """Return what the crystals have in common."""
        return Habit(self.cell, self.forms, self.laue, self.angles, self.per_face)

    def _faces(self) -> tuple[tuple[tuple[float, ...], ...], tuple[int, ...]]:
        return self.habit().faces()

    @property
    def lengths(self) -> tuple[str, ...]:
        """Return the names of the columns of `size`."""
        return self.habit().lengths()

    def check_size(self, size: Tensor) -> None:
        """Any positive distances bound a solid around the centre."""

    def unconstrained(self, size: Tensor) -> tuple[Shape, Tensor]:
        """Return the bodies with the distance of every face free, not only of every form."""
        return replace(self, per_face=True), self.ungrouped(size)

    def ungrouped(self, size: Tensor) -> Tensor:
        """Return one distance per face (N, F), given one per form (N, k): the start of growth disorder."""
        return self.habit().ungrouped(size)

    def _normals(self, like: Tensor) -> Tensor:
        return self.habit().normals(like)

    def vertices(self, size: Tensor) -> Tensor:
        """Return the corners (N, T, 3) in body axes, micrometres; slots without a corner repeat the centre."""
        return corners_of(self.ungrouped(size).to(torch.float64), self._faces()[0]).to(size.dtype)

    def volume(self, size: Tensor) -> Tensor:
        """Return the volume (N,) in cubic micrometres."""
        distance = self.ungrouped(size).double()
        corners = gathered(self.vertices(distance if self.per_face else size.double()))
        return volume_of(corners, self._normals(distance), distance).to(size.dtype)

    def radius(self, size: Tensor) -> Tensor:
        """Return the radius (N,) of the sphere around the centre that holds the body, in micrometres."""
        return torch.linalg.vector_norm(self.vertices(size), dim=-1).amax(-1)

    def prepare(self, size: Tensor, axes: Tensor, cell: float) -> tuple[Tensor, Tensor]:
        """Return rows (N, 8 F): the faces as planes over (y, x), and F lines that bound the silhouette."""
        distance = self.ungrouped(size)
        smallest = distance.amin(-1, keepdim=True)
        # Crystals below the grid are drawn half a cell large and thinned, so that their volume stays.
        enlarge = (0.75 * cell / smallest).clamp(min=1.0)
        distance = distance * enlarge
        normals = self._normals(distance) @ axes.transpose(1, 2)  # (N, F, 3) in the lab
        upper = torch.where(normals[:, :, 0] >= 0, 1.0, -1.0).to(distance.dtype)
        up = (normals[:, :, 0] * upper).clamp(min=1e-4)
        corners = self.vertices(size * enlarge) @ axes.transpose(1, 2)
        lines = silhouette_lines(normals, distance, corners, ends_of(self._faces()[0]))
        # A face bounds the chord from one side only: from the other it stands infinitely far away.
        excess = ridge_excess(0.25, cell**2 / distance.mean(-1) ** 2)
        rows = [normals[:, :, 1] / up, normals[:, :, 2] / up, distance / up, _FAR * (1 - upper), _FAR * (1 + upper)]
        return torch.cat([*rows, *lines], -1), enlarge[:, 0] ** -3.0 / excess

    def chord(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        count = rows.shape[1] // 8
        entry = leave = torch.zeros((), dtype=rows.dtype, device=rows.device)
        for face in range(count):
            slope_y, slope_x, reach, below, above = (rows[:, face + k * count, None, None] for k in range(5))
            height = reach - slope_y * y - slope_x * x
            leave = height + below if face == 0 else torch.minimum(leave, height + below)
            entry = -height - above if face == 0 else torch.maximum(entry, -height - above)
        return entry, leave

    def edge(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count = rows.shape[1] // 8
        nearest = outward_y = outward_x = torch.full((), 2 * _FAR, dtype=rows.dtype, device=rows.device)
        for line in range(count):
            normal_y, normal_x, width = (rows[:, line + k * count, None, None] for k in range(5, 8))
            distance = width - normal_y * y - normal_x * x
            nearer = distance < nearest
            nearest = torch.minimum(nearest, distance)
            outward_y = torch.where(nearer, normal_y, outward_y)
            outward_x = torch.where(nearer, normal_x, outward_x)
        return nearest, outward_y, outward_x

    def reach(self, size: Tensor, axes: Tensor) -> Tensor:
        """Return the half-extents (N, 3) along z, y, x in micrometres, the larger side where they differ."""
        return (self.vertices(size) @ axes.transpose(1, 2)).abs().amax(1)

    def support(self, size: Tensor, axes: Tensor, directions: Tensor) -> Tensor:
        """Return how far (N, D) the silhouette reaches along lateral vectors (N, D, 2), times their length."""
        return _farthest(self._lateral(size, axes), directions)

    def outline(self, size: Tensor, axes: Tensor) -> list[Tensor]:
        return hulls(self._lateral(size, axes))

    def oriented_box(self, size: Tensor, axes: Tensor) -> Tensor:
        corners = self._lateral(size, axes)
        edges = edges_of(self._faces()[0]).to(size) @ axes[:, 1:].transpose(1, 2)
        return smallest_rectangle(lambda along: _farthest(corners, along), edges)

    def _lateral(self, size: Tensor, axes: Tensor) -> Tensor:
        """Return the corners (N, K, 2) as they project on (y, x), without most of the slots that hold none."""
        return gathered(self.vertices(size)) @ axes[:, 1:].transpose(1, 2)


def _farthest(corners: Tensor, directions: Tensor) -> Tensor:
    """Return how far (N, D) the corners (N, K, 2) reach along vectors (N, D, 2), times their length."""
    return (directions @ corners.transpose(1, 2)).amax(-1)


def silhouette_lines(normals: Tensor, distance: Tensor, corners: Tensor, ends: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the F lines (normal y, normal x, width), each (N, F), that bound the silhouette.

    Eliminating z from a face that points up and one that points down leaves a line in the (y, x) plane (Fourier and
    Motzkin); those that hold an edge of the silhouette are the ones that touch two of its corners, where both faces
    meet (`ends`). All the others hold too, so that a spare one in the list does no harm.
    """
    count = normals.shape[1]
    first, second = torch.triu_indices(count, count, offset=1, device=normals.device)
    up_i, up_j = normals[:, first, 0], normals[:, second, 0]
    line_y = up_j.abs() * normals[:, first, 1] + up_i.abs() * normals[:, second, 1]
    line_x = up_j.abs() * normals[:, first, 2] + up_i.abs() * normals[:, second, 2]
    width = up_j.abs() * distance[:, first] + up_i.abs() * distance[:, second]
    length = torch.sqrt((line_y**2 + line_x**2).clamp(min=1e-20))
    line_y, line_x, width = line_y / length, line_x / length, width / length
    with torch.no_grad():
        # An upright face counts as one that points up: every edge of the silhouette is then that of one pair, and no
        # line comes twice and takes the place of another. Two upright faces leave nothing.
        bounds = ((up_i >= 0) != (up_j >= 0)) & (length > 1e-6)
        touched = _extents(line_y, line_x, corners, ends.to(corners.device)).masked_fill(~bounds, -2 * _FAR)
        chosen = touched.topk(count, dim=1).indices
        valid = touched.gather(1, chosen) > -1.5 * _FAR
    width = torch.where(valid, width.gather(1, chosen), torch.full_like(distance, _FAR))
    return line_y.gather(1, chosen), line_x.gather(1, chosen), width


def _extents(line_y: Tensor, line_x: Tensor, corners: Tensor, ends: Tensor) -> Tensor:
    """Return how far (N, L) apart the corners (N, T, 3) listed for each line (L, M) lie along it, -2 _FAR for none."""
    found = []
    size = max(1, _TABLE // ends.numel())
    for start in range(0, max(1, len(corners)), size):
        part = slice(start, start + size)
        cy, cx = corners[part, :, 1][:, ends], corners[part, :, 2][:, ends]
        there = corners[part].any(-1)[:, ends] & (ends >= 0)
        along = line_x[part, :, None] * cy - line_y[part, :, None] * cx
        found.append(along.masked_fill(~there, -_FAR).amax(-1) - along.masked_fill(~there, _FAR).amin(-1))
    return torch.cat(found)
