"""Crystals: convex polyhedra from crystallographic forms and central distances."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.specimen.shapes import Shape, hull, smallest_rectangle

_FAR = 1e6

# Generators of the Laue groups, acting on Miller indices (h, k, l); the inversion belongs to every one of them.
_LAUE: dict[str, tuple[tuple[tuple[int, int, int], ...], ...]] = {
    "-1": (),
    "2/m": (((-1, 0, 0), (0, 1, 0), (0, 0, -1)),),
    "mmm": (((-1, 0, 0), (0, 1, 0), (0, 0, -1)), ((1, 0, 0), (0, -1, 0), (0, 0, -1))),
    "4/m": (((0, -1, 0), (1, 0, 0), (0, 0, 1)),),
    "4/mmm": (((0, -1, 0), (1, 0, 0), (0, 0, 1)), ((1, 0, 0), (0, -1, 0), (0, 0, -1))),
    "-3m": (((0, 1, 0), (-1, -1, 0), (0, 0, 1)), ((0, 1, 0), (1, 0, 0), (0, 0, -1))),
    "6/mmm": (((1, 1, 0), (-1, 0, 0), (0, 0, 1)), ((0, 1, 0), (1, 0, 0), (0, 0, -1))),
    "m-3m": (((0, 1, 0), (0, 0, 1), (1, 0, 0)), ((0, -1, 0), (1, 0, 0), (0, 0, 1))),
}


class Crystal(Value):
    """A convex polyhedron bounded by crystallographic forms: size holds the distance of each face from the centre.

    `cell` is the unit cell's (a, b, c) in any unit, only the ratios count; `angles` its (alpha, beta, gamma) in
    radians. `forms` are Miller indices (h, k, l), and `laue` is the Laue group that makes of each the set of
    equivalent faces. Size (N, k) has one central distance per form in micrometres; with `per_face` one per face, for
    crystals whose faces grew unequally. Body z lies along c, body x along a.

    The default is the tetragonal habit of hen egg-white lysozyme, a = b = 79.1, c = 37.9 angstrom with {110} and
    {101} (Durbin and Feher, J. Cryst. Growth 76, 583, 1986).

    >>> Crystal().columns()
    ('distance_110', 'distance_101')
    """

    cell: tuple[float, float, float] = (79.1, 79.1, 37.9)
    forms: tuple[tuple[int, int, int], ...] = ((1, 1, 0), (1, 0, 1))
    laue: str = "4/mmm"
    angles: tuple[float, float, float] = (math.pi / 2, math.pi / 2, math.pi / 2)
    per_face: bool = False

    degrees: ClassVar[tuple[str, ...]] = ("distance",)
    rounded: ClassVar[bool] = False

    def check(self) -> None:
        if self.laue not in _LAUE:
            raise ValueError(f"Crystal.laue must be one of {', '.join(_LAUE)}, got '{self.laue}'")
        if not self.forms or any(len(form) != 3 or not any(form) for form in self.forms):
            raise ValueError(f"Crystal.forms must be Miller indices such as ((1, 1, 0),), got {self.forms}")
        if len(self.cell) != 3 or not all(math.isfinite(edge) and edge > 0 for edge in self.cell):
            raise ValueError(f"Crystal.cell must be three positive lengths, got {self.cell}")
        normals, _ = self._faces()
        # Bounded if and only if the normals positively span space: no direction sees every face from behind.
        ahead = np.array(normals) @ _directions().T
        if ahead.max(0).min() < 1e-3:
            raise ValueError(f"the forms {self.forms} do not close in a solid, got an open shape; add another form")

    def _faces(self) -> tuple[tuple[tuple[float, ...], ...], tuple[int, ...]]:
        return faces(self.cell, self.angles, self.forms, self.laue)

    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns of `size`."""
        names = tuple("distance_" + "".join(str(index) for index in form) for form in self.forms)
        if not self.per_face:
            return names
        _, owner = self._faces()
        return tuple(f"{names[form]}_{number}" for number, form in enumerate(owner))

    def check_size(self, size: Tensor) -> None:
        """Any positive distances bound a solid around the centre."""

    def unconstrained(self, size: Tensor) -> tuple[Shape, Tensor]:
        """Return the bodies with the distance of every face free, not only of every form."""
        return replace(self, per_face=True), self.ungrouped(size)

    def ungrouped(self, size: Tensor) -> Tensor:
        """Return one distance per face (N, F), given one per form (N, k): the start of growth disorder."""
        return size if self.per_face else size[:, torch.tensor(self._faces()[1], device=size.device)]

    def _normals(self, like: Tensor) -> Tensor:
        return torch.tensor(self._faces()[0], dtype=like.dtype, device=like.device)

    def vertices(self, size: Tensor) -> Tensor:
        """Return the corners (N, T, 3) in body axes, micrometres; slots without a corner repeat the centre.

        Every triple of faces meets in a point; it is a corner where no other face cuts it off.
        """
        distance = self.ungrouped(size).to(torch.float64)
        triples, inverses = _triples(self._faces()[0])
        triples, inverses = triples.to(size.device), inverses.to(size.device)
        points = torch.einsum("tij,ntj->nti", inverses, distance[:, triples])
        slack = distance[:, None, :] - points @ self._normals(distance).T
        outside = slack.amin(-1) < -1e-7 * distance.amax(-1, keepdim=True)
        return points.masked_fill(outside[..., None], 0.0).to(size.dtype)

    def volume(self, size: Tensor) -> Tensor:
        """Return the volume (N,) in cubic micrometres, by the divergence theorem over the facets' polygons."""
        volumes = []
        for distance, corners in zip(self.ungrouped(size).double(), self.vertices(size.double()), strict=True):
            total = 0.0
            for normal, length in zip(self._normals(distance), distance, strict=True):
                on = corners[((corners @ normal - length).abs() < 1e-6 * distance.max()) & (corners.abs().sum(-1) > 0)]
                if len(on) >= 3:
                    total = total + length * _polygon_area(on, normal) / 3
            volumes.append(total)
        return torch.as_tensor(volumes, dtype=size.dtype)

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
        lines = silhouette_lines(normals, distance, corners)
        # A face bounds the chord from one side only: from the other it stands infinitely far away.
        # Edges are averaged over the cell, ridges are not: a quarter of a cell's worth too much, averaged over poses.
        excess = 1 + 0.25 * cell**2 / distance.mean(-1) ** 2
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

    def outline(self, size: Tensor, axes: Tensor) -> list[Tensor]:
        corners = self.vertices(size) @ axes.transpose(1, 2)
        return [hull(points) for points in corners[:, :, 1:]]

    def oriented_box(self, size: Tensor, axes: Tensor) -> Tensor:
        return torch.stack([smallest_rectangle(polygon) for polygon in self.outline(size, axes)])


@lru_cache(maxsize=64)
def faces(
    cell: tuple[float, float, float],
    angles: tuple[float, float, float],
    forms: tuple[tuple[int, int, int], ...],
    laue: str,
) -> tuple[tuple[tuple[float, ...], ...], tuple[int, ...]]:
    """Return the unit normals of all faces in body axes (z, y, x), and the form that each belongs to."""
    a, b, c = cell
    alpha, beta, gamma = angles
    # Columns: the cell's edges in Cartesian (x, y, z) with a along x and b in the x-y plane.
    cx = math.cos(beta)
    cy = (math.cos(alpha) - math.cos(beta) * math.cos(gamma)) / math.sin(gamma)
    edges = np.array(
        [
            [a, b * math.cos(gamma), c * cx],
            [0.0, b * math.sin(gamma), c * cy],
            [0.0, 0.0, c * math.sqrt(max(1 - cx**2 - cy**2, 0.0))],
        ]
    )
    reciprocal = np.linalg.inv(edges)  # rows: reciprocal vectors
    normals, owner = [], []
    for number, form in enumerate(forms):
        for indices in sorted(_equivalent(form, laue), reverse=True):
            normal = np.array(indices) @ reciprocal
            normals.append(tuple(float(part) for part in (normal / np.linalg.norm(normal))[::-1]))
            owner.append(number)
    return tuple(normals), tuple(owner)


def _equivalent(form: tuple[int, int, int], laue: str) -> set[tuple[int, ...]]:
    """Return all faces that the Laue group makes of one."""
    found = {tuple(form)}
    while True:
        more = {tuple(int(i) for i in np.array(generator) @ np.array(face)) for generator in _LAUE[laue] for face in found}
        more |= {tuple(-i for i in face) for face in found}
        if more <= found:
            return found
        found |= more


@lru_cache(maxsize=64)
def _triples(normals: tuple[tuple[float, ...], ...]) -> tuple[Tensor, Tensor]:
    """Return the triples of faces that meet in one point (T, 3), and the matrices that give it (T, 3, 3)."""
    matrix = np.array(normals)
    triples = np.array(list(itertools.combinations(range(len(matrix)), 3)))
    meeting = np.abs(np.linalg.det(matrix[triples])) > 1e-9
    return torch.from_numpy(triples[meeting]), torch.from_numpy(np.linalg.inv(matrix[triples[meeting]]))


def silhouette_lines(normals: Tensor, distance: Tensor, corners: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the F lines (normal y, normal x, width), each (N, F), that bound the silhouette.

    Eliminating z from a face that points up and one that points down leaves a line in the (y, x) plane (Fourier and
    Motzkin); those that hold an edge of the silhouette are the ones that touch two of its corners. All the others hold
    too, so that a spare one in the list does no harm.
    """
    count = normals.shape[1]
    first, second = torch.triu_indices(count, count, offset=1, device=normals.device)
    up_i, up_j = normals[:, first, 0], normals[:, second, 0]
    pair_y = up_j.abs() * normals[:, first, 1] + up_i.abs() * normals[:, second, 1]
    pair_x = up_j.abs() * normals[:, first, 2] + up_i.abs() * normals[:, second, 2]
    pair_w = up_j.abs() * distance[:, first] + up_i.abs() * distance[:, second]
    line_y = torch.cat([pair_y, normals[:, :, 1]], 1)
    line_x = torch.cat([pair_x, normals[:, :, 2]], 1)
    width = torch.cat([pair_w, distance], 1)
    length = torch.sqrt((line_y**2 + line_x**2).clamp(min=1e-20))
    line_y, line_x, width = line_y / length, line_x / length, width / length
    with torch.no_grad():
        upright = normals[:, :, 0].abs() < 1e-5
        bounds = torch.cat([(up_i * up_j < 0) & (length[:, : len(first)] > 1e-6), upright], 1)
        touched = torch.zeros_like(width)
        for start in range(0, len(width), 256):  # the (lines x corners) table of a few particles at a time
            part = slice(start, start + 256)
            cy, cx = corners[part, None, :, 1], corners[part, None, :, 2]
            ny, nx = line_y[part, :, None], line_x[part, :, None]
            on = (width[part, :, None] - ny * cy - nx * cx) < 1e-4 * distance[part].amax(-1)[:, None, None]
            along = nx * cy - ny * cx
            far = along.masked_fill(~on, -_FAR).amax(-1) - along.masked_fill(~on, _FAR).amin(-1)
            touched[part] = torch.where(bounds[part], far, torch.full_like(far, -2 * _FAR))
        chosen = touched.topk(count, dim=1).indices
        valid = touched.gather(1, chosen) > -1.5 * _FAR
    width = torch.where(valid, width.gather(1, chosen), torch.full_like(distance, _FAR))
    return line_y.gather(1, chosen), line_x.gather(1, chosen), width


def _polygon_area(points: Tensor, normal: Tensor) -> Tensor:
    """Return the area of the convex polygon spanned by points (V, 3) in the plane of `normal`."""
    first = torch.linalg.cross(normal, torch.eye(3, dtype=normal.dtype)[int(normal.abs().argmin())])
    first = first / torch.linalg.vector_norm(first)
    flat = torch.stack([points @ first, points @ torch.linalg.cross(normal, first)], -1)
    ring = hull(flat.round(decimals=9))
    y, x = ring.unbind(-1)
    return (y * torch.roll(x, -1) - x * torch.roll(y, -1)).sum().abs() / 2


def _directions() -> np.ndarray:
    """Return 500 unit vectors spread evenly over the sphere (Fibonacci lattice)."""
    turn = np.arange(500) + 0.5
    height = 1 - 2 * turn / 500
    angle = math.pi * (1 + math.sqrt(5)) * turn
    side = np.sqrt(1 - height**2)
    return np.stack([height, side * np.cos(angle), side * np.sin(angle)], 1)
