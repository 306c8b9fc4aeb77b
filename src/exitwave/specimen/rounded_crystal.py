"""Crystals with flat faces and rounded edges."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from exitwave.model import Value
from exitwave.specimen.habit import Habit, edges_of
from exitwave.specimen.polyhedron import corners_of, gathered, hulls, ridges_of
from exitwave.specimen.rounds import STEEP, edge_columns, lateral_of, nearest, picked, sides_of, strike, tables_of
from exitwave.specimen.shapes import Shape, root, smallest_rectangle

_SHARPEST = 0.01
# Relative: the crystal within never becomes a point, so that its edges keep their order.
_LEAST = 1e-6


class RoundedCrystal(Value):
    """A crystal with rounded edges: size holds the distance of each face from the centre, and the roundness.

    The fields are those of `Crystal`, and so are the distances. Roundness, a pure number in (0.01, 1], is the radius of
    the edges over the smallest distance: 0.1 is nearly a Crystal, 1 a sphere if all distances are the same. The body is
    all that lies within this radius of a smaller crystal, whose faces stand nearer to the centre by as much, the
    Minkowski sum of the two. Faces stay flat and where their distances say, edges are parts of cylinders and corners of
    spheres, so that chord, silhouette and volume have closed forms (J. Steiner, Monatsber. Preuss. Akad. Wiss. 114,
    1840, for the last).

    >>> cubes = RoundedCrystal(cell=(1.0, 1.0, 1.0), forms=((1, 0, 0),), laue="m-3m")
    >>> cubes.lengths
    ('distance_100', 'roundness')
    >>> cubes.volume(torch.tensor([[0.1, 0.02], [0.1, 1.0]])) / 0.1**3
    tensor([7.9980, 4.1888])
    """

    cell: tuple[float, float, float] = (79.1, 79.1, 37.9)
    forms: tuple[tuple[int, int, int], ...] = ((1, 1, 0), (1, 0, 1))
    laue: str = "4/mmm"
    angles: tuple[float, float, float] = (math.pi / 2, math.pi / 2, math.pi / 2)
    per_face: bool = False

    rounded: ClassVar[bool] = True
    ratios: ClassVar[tuple[str, ...]] = ("roundness",)

    def check(self) -> None:
        self.habit().check("RoundedCrystal")

    def habit(self) -> Habit:
        """Return what the crystals have in common."""
        return Habit(self.cell, self.forms, self.laue, self.angles, self.per_face)

    @property
    def lengths(self) -> tuple[str, ...]:
        """Return the names of the columns of `size`."""
        return (*self.habit().lengths(), "roundness")

    def check_size(self, size: Tensor) -> None:
        roundness = size[:, -1]
        bad = roundness[~((roundness > _SHARPEST) & (roundness <= 1.0))]
        if len(bad):
            raise ValueError(
                f"a RoundedCrystal's roundness must lie in ({_SHARPEST}, 1], got {float(bad[0]):g}; 1 is round like a "
                "Sphere, and a Crystal has sharp edges"
            )

    def unconstrained(self, size: Tensor) -> tuple[Shape, Tensor]:
        """Return the bodies with the distance of every face free, not only of every form."""
        return replace(self, per_face=True), torch.cat([self.habit().ungrouped(size[:, :-1]), size[:, -1:]], -1)

    def _core(self, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the smaller crystals' distances (N, F) and corners (N, T, 3), and the radii of edges (N, 1).

        In double precision, as those crystals may be small.
        """
        distance = self.habit().ungrouped(size[:, :-1]).double()
        radius = (1 - _LEAST) * size[:, -1:].double() * distance.amin(-1, keepdim=True)
        return distance - radius, corners_of(distance - radius, self.habit().faces()[0]), radius

    def volume(self, size: Tensor) -> Tensor:
        """Return the volume (N,) in cubic micrometres, V + A r + M r^2 + 4 pi r^3 / 3 by Steiner's formula.

        V and A are the volume and the area of the smaller crystal, and M half the sum over its edges of their lengths
        times the angles between the normals of their faces.
        """
        distance, corners, radius = self._core(size)
        ridges = ridges_of(corners, self.habit().faces()[0])
        normals = self.habit().normals(distance)
        first, second = ridges.pairs.unbind(1)
        cosine = (normals[first] * normals[second]).sum(-1).clamp(-1.0, 1.0)
        sine = torch.sqrt((1 - cosine**2).clamp(min=1e-12))
        # A triangle of every edge and the foot of the centre on the face, for both of its faces.
        of_first = 0.5 * ridges.length * (distance[:, second] - distance[:, first] * cosine) / sine
        of_second = 0.5 * ridges.length * (distance[:, first] - distance[:, second] * cosine) / sine
        area = (of_first + of_second).sum(-1)
        volume = (of_first * distance[:, first] + of_second * distance[:, second]).sum(-1) / 3
        turning = 0.5 * (ridges.length * torch.acos(cosine)).sum(-1)
        radius = radius[:, 0]
        return (volume + radius * (area + radius * (turning + radius * (4 * math.pi / 3)))).to(size.dtype)

    def radius(self, size: Tensor) -> Tensor:
        """Return the radius (N,) of the sphere around the centre that holds the body, in micrometres."""
        _, corners, radius = self._core(size)
        return (torch.linalg.vector_norm(corners, dim=-1).amax(-1) + radius[:, 0]).to(size.dtype)

    def prepare(self, size: Tensor, axes: Tensor, cell: float) -> tuple[Tensor, Tensor]:
        """Return rows (N, 10 K + 4 F + 1): of K edges, of F faces and the radius of edges; factors.

        Of an edge: its start, the unit vector along it, its length, and the outward normal and distance of the line
        that it adds to the silhouette. Of a face: its normal and distance.
        """
        smallest = self.habit().ungrouped(size[:, :-1]).amin(-1, keepdim=True)
        # Crystals below the grid are drawn larger and thinned, so that their volume stays.
        enlarge = (0.75 * cell / smallest).clamp(min=1.0)
        drawn = torch.cat([size[:, :-1] * enlarge, size[:, -1:]], -1)
        distance, corners, radius = self._core(drawn)
        lab = axes.double()
        normals = self.habit().normals(distance) @ lab.transpose(1, 2)  # (N, F, 3) in the lab
        edges = edge_columns(ridges_of(corners, self.habit().faces()[0]), normals, lab)
        outer = distance + radius
        rows = torch.cat([*edges, *normals.unbind(-1), outer, radius], -1).to(size.dtype)
        mean = outer.mean(-1).to(size.dtype)
        # Averages along the normals of rims alone add volume, as those of ridges (`ridge_excess`): measured over poses.
        roundness, squares = size[:, -1], (cell / mean) ** 2
        excess = 1 + (0.06 + 0.15 * roundness) * squares / (1 + 0.4 * roundness * squares)
        return rows, enlarge[:, 0] ** -3.0 / excess

    def chord(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return where a line along z enters and leaves; a line that misses the body does both at height 0."""
        shape = torch.broadcast_shapes((*rows.shape[:1], 1, 1), y.shape, x.shape)
        y, x = y.expand(shape), x.expand(shape)
        count = len(self.habit().faces()[0])
        edges, faces, radius = tables_of(rows, count)
        which, met, face, flat = strike(rows, count, y, x)
        sides = sides_of(rows)
        start_z, start_y, start_x, rise, along_y, along_x, length = (picked(table, which) for table in edges[:7])
        rise, start_z = rise * sides, start_z * sides
        away_y, away_x = y - start_y, x - start_x
        lateral, unit_y, unit_x = lateral_of(along_y, along_x)
        depth = root(radius**2 - (away_y * unit_x - away_x * unit_y) ** 2)
        place = (away_y * unit_y + away_x * unit_x + rise * depth) / lateral
        place = torch.minimum(place.clamp(min=0.0), length)
        square = radius**2 - (away_y - place * along_y) ** 2 - (away_x - place * along_x) ** 2
        bent = start_z + place * rise + root(square)
        up, slope_y, slope_x, distance = (picked(table, face) for table in faces)
        level = (distance - slope_y * y - slope_x * x) / (up * sides).clamp(min=STEEP)
        ends = torch.where(flat, level, bent) * (flat | met).all(0)
        return -ends[1], ends[0]

    def edge(self, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the signed distance to the silhouette, and its outward normal.

        It is the distance to the smaller crystal's silhouette, a polygon, less the radius of the edges.
        """
        shape = torch.broadcast_shapes((*rows.shape[:1], 1, 1), y.shape, x.shape)
        y, x = y.expand(shape), x.expand(shape)
        count = len(self.habit().faces()[0])
        edges, _, radius = tables_of(rows, count)
        which, line, outside = nearest(rows, count, y, x)
        start_y, start_x, along_y, along_x, length = (picked(edges[k], which) for k in (1, 2, 4, 5, 6))
        lateral, unit_y, unit_x = lateral_of(along_y, along_x)
        away_y, away_x = y - start_y, x - start_x
        place = torch.minimum((away_y * unit_y + away_x * unit_x).clamp(min=0.0), length * lateral)
        away_y, away_x = away_y - place * unit_y, away_x - place * unit_x
        # The very corner has no normal: it is told from a point beside it.
        beside = 1e-6 * radius
        centre = (away_y.detach().abs() < beside.detach()) & (away_x.detach().abs() < beside.detach())
        away_y = torch.where(centre, beside, away_y)
        gap = torch.sqrt(away_y**2 + away_x**2)
        normal_y, normal_x, width = (picked(table, line) for table in edges[7:])
        beyond = torch.where(outside, gap, normal_y * y + normal_x * x - width)
        outward = torch.where(outside, away_y / gap, normal_y), torch.where(outside, away_x / gap, normal_x)
        return radius - beyond, *outward

    def reach(self, size: Tensor, axes: Tensor) -> Tensor:
        """Return the half-extents (N, 3) along z, y, x in micrometres, the larger side where they differ."""
        _, corners, radius = self._core(size)
        return ((corners @ axes.double().transpose(1, 2)).abs().amax(1) + radius).to(size.dtype)

    def support(self, size: Tensor, axes: Tensor, directions: Tensor) -> Tensor:
        """Return how far (N, D) the silhouette reaches along lateral vectors (N, D, 2), times their length."""
        corners, radius = self._silhouette(size, axes)
        return _farthest(corners, radius, directions.double()).to(size.dtype)

    def outline(self, size: Tensor, axes: Tensor, vertices: int = 64) -> list[Tensor]:
        """Return polygons on the silhouettes: straight sides, and arcs of the steps of a circle of `vertices`."""
        corners, radius = self._silhouette(size, axes)
        rounds = zip(hulls(corners), radius, strict=True)
        return [_padded(polygon, around, 2 * math.pi / vertices).to(size.dtype) for polygon, around in rounds]

    def oriented_box(self, size: Tensor, axes: Tensor) -> Tensor:
        """Return the corners (N, 4, 2) of the smallest rectangle around the silhouette.

        Between two directions of edges both sides are cosines of the angle plus a constant, and their product has no
        minimum: the rectangle has a side along an edge, as around a polygon.
        """
        corners, radius = self._silhouette(size, axes)
        edges = edges_of(self.habit().faces()[0]).to(corners) @ axes.double()[:, 1:].transpose(1, 2)
        return smallest_rectangle(lambda along: _farthest(corners, radius, along), edges).to(size.dtype)

    def _silhouette(self, size: Tensor, axes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the smaller crystals' corners (N, K, 2) as they project on (y, x), and the radii of edges (N, 1)."""
        _, corners, radius = self._core(size)
        return gathered(corners) @ axes.double()[:, 1:].transpose(1, 2), radius


def _farthest(corners: Tensor, radius: Tensor, directions: Tensor) -> Tensor:
    length = torch.linalg.vector_norm(directions, dim=-1)
    return (directions @ corners.transpose(1, 2)).amax(-1) + radius * length


def _padded(polygon: Tensor, radius: Tensor, step: float) -> Tensor:
    """Return the polygon (V, 2) with a margin of `radius`: at every corner an arc between the normals of its sides."""
    sides = polygon.roll(-1, 0) - polygon
    # It turns from the first axis to the second, and so do angles: outward of a side is to its right.
    normal = torch.atan2(-sides[:, 0], sides[:, 1])
    turn = torch.remainder(normal - normal.roll(1) + 1e-9, 2 * math.pi) - 1e-9 if len(polygon) > 1 else 2 * math.pi
    return _arcs(polygon, normal.roll(1), turn + torch.zeros_like(normal), radius, step)


def _arcs(polygon: Tensor, first: Tensor, turn: Tensor, radius: Tensor, step: float) -> Tensor:
    """Return points on arcs around the corners, from the angle `first` over `turn`, both (V,)."""
    count = (turn.detach() / step).ceil().long().clamp(min=0) + 1
    corner = torch.repeat_interleave(torch.arange(len(polygon), device=polygon.device), count)
    number = torch.arange(len(corner), device=polygon.device) - (count.cumsum(0) - count)[corner]
    angle = first[corner] + turn[corner] * (number / (count[corner] - 1).clamp(min=1))
    return polygon[corner] + radius * torch.stack([torch.cos(angle), torch.sin(angle)], -1)
