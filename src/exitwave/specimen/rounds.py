"""Rounded edges and flat faces: which of them a line along z meets, and which edge is nearest in the plane.

A body is all that lies within a radius of a convex polyhedron. Of its edges and faces there are tables, columns
(N, K) in the lab, and answers are numbers of their rows: whoever asks works out heights and distances from what
was found alone, with derivatives, instead of from all. The compiled kernels of native/rounds.cpp search on the CPU.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from exitwave import native
from exitwave.specimen.polyhedron import Ridges

_BOTH = (torch.float32, torch.float64)
_FAR = 1e6
# Of an edge that runs this upright, or a face, the rest of the body takes the place.
_UPRIGHT = 1e-6
STEEP = 1e-4
_COLUMNS = 10  # of every edge


class Tables(NamedTuple):
    """The columns of rows: ten of edges (N, K), four of faces (N, F), and the radius (N, 1, 1)."""

    edges: tuple[Tensor, ...]
    faces: tuple[Tensor, ...]
    radius: Tensor


def tables_of(rows: Tensor, faces: int) -> Tables:
    """Return the tables that rows (N, 10 K + 4 F + 1) hold."""
    edges = rows.shape[1] - 4 * faces - 1
    first = rows[:, :edges].unflatten(1, (_COLUMNS, -1)).unbind(1)
    return Tables(first, rows[:, edges:-1].unflatten(1, (4, -1)).unbind(1), rows[:, -1, None, None])


class Struck(NamedTuple):
    """What lines along z strike first, from above and from below, each (2, N, S, S).

    The numbers of the edge and whether its round is struck, and of the face and whether it is flat there.
    """

    edge: Tensor
    met: Tensor
    face: Tensor
    flat: Tensor


def strike(rows: Tensor, faces: int, y: Tensor, x: Tensor) -> Struck:
    """Return what lines along z at places (N, S, S) strike of bodies by their rows; none of them with derivatives."""
    rows, y, x = (tensor.detach() for tensor in (rows, y, x))
    if native.usable(rows, y, x, dtypes=_BOTH):
        edge, face = (torch.empty(2, *y.shape, dtype=torch.int64) for _ in range(2))
        met, flat = (torch.empty(2, *y.shape, dtype=torch.bool) for _ in range(2))
        native.kernels().strike(*_dense(rows, faces, y, x), edge, face, met, flat, torch.get_num_threads())
        return Struck(edge, met, face, flat)
    edges, planes, radius = tables_of(rows, faces)
    edge, met = _struck_edge(edges, radius, y, x)
    # Of a face that the line strikes the foot lies within the smaller crystal's: then it is above all edges.
    face, flat = _struck_face(planes, radius, y, x)
    return Struck(edge, met, face, flat)


def nearest(rows: Tensor, faces: int, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the numbers of the edge nearest to places in the plane and of the line farthest behind them.

    And whether a place lies outside of that line, all (N, S, S) and without derivatives.
    """
    rows, y, x = (tensor.detach() for tensor in (rows, y, x))
    if native.usable(rows, y, x, dtypes=_BOTH):
        edge, line = torch.empty(y.shape, dtype=torch.int64), torch.empty(y.shape, dtype=torch.int64)
        outside = torch.empty(y.shape, dtype=torch.bool)
        native.kernels().nearest(*_dense(rows, faces, y, x), edge, line, outside, torch.get_num_threads())
        return edge, line, outside
    return _nearest_edge(tables_of(rows, faces).edges, y, x)


def _dense(rows: Tensor, faces: int, y: Tensor, x: Tensor) -> tuple[Any, ...]:
    return rows.contiguous(), faces, *(place.flatten(1).to(rows).contiguous() for place in (y, x))


def edge_columns(ridges: Ridges, normals: Tensor, axes: Tensor) -> tuple[Tensor, ...]:
    """Return the ten columns of edges in the lab, each (N, K), of the longest of all that are there."""
    many = 3 * normals.shape[1] - 6  # no convex polyhedron has more edges
    ranked = ridges.length.detach().masked_fill(~ridges.there, -1.0)
    chosen = ranked.topk(min(many, ranked.shape[1]), dim=1).indices
    valid = ridges.there.gather(1, chosen)
    # What is not there stands at the first corner, and has no length.
    chosen = torch.where(valid, chosen, chosen[:, :1])
    length = ridges.length.gather(1, chosen) * valid
    start = ridges.start.gather(1, chosen[..., None].expand(-1, -1, 3)) @ axes.transpose(1, 2)
    along = ridges.along[chosen] @ axes.transpose(1, 2)
    first, second = (normals.gather(1, ridges.pairs[chosen, k][..., None].expand(-1, -1, 3)) for k in (0, 1))
    # Eliminating z from the planes of a face that points up and one that points down leaves a line in (y, x); if they
    # meet in an edge, it bounds the silhouette there (Fourier and Motzkin).
    line = second[..., :1].abs() * first[..., 1:] + first[..., :1].abs() * second[..., 1:]
    norm = torch.sqrt(line.square().sum(-1, keepdim=True).clamp(min=1e-20))
    bounds = valid & ((first[..., 0] >= 0) != (second[..., 0] >= 0)) & (norm[..., 0] > 1e-6)
    line = line / norm * bounds[..., None]
    width = torch.where(bounds, (line * start[..., 1:]).sum(-1), _FAR)
    return *start.unbind(-1), *along.unbind(-1), length, *line.unbind(-1), width


def sides_of(like: Tensor) -> Tensor:
    """Return 1 and -1 (2, 1, 1, 1): above, and below, where the mirror image is above."""
    return torch.tensor([1.0, -1.0], dtype=like.dtype, device=like.device)[:, None, None, None]


def picked(table: Tensor, which: Tensor) -> Tensor:
    """Return entries of a table (N, K) by their numbers (..., N, S, S)."""
    flat = which.flatten(-2)
    return table.expand(*flat.shape[:-2], *table.shape).gather(-1, flat).unflatten(-1, which.shape[-2:])


def lateral_of(along_y: Tensor, along_x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the lateral length of unit vectors, kept from zero, and their direction."""
    length = torch.sqrt((along_y**2 + along_x**2).clamp(min=_UPRIGHT**2))
    return length, along_y / length, along_x / length


def _directions(along_y: Tensor, along_x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `lateral_of` does, with a direction of length 1 even of vectors that stand upright."""
    length, unit_y, unit_x = lateral_of(along_y, along_x)
    upright = length < 2 * _UPRIGHT
    return length, unit_y.masked_fill(upright, 0.0), unit_x.masked_fill(upright, 1.0)


def _struck_edge(edges: tuple[Tensor, ...], radius: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the number of the edge whose round a line along z strikes first from above and below, and if any does.

    Both are (2, N, S, S). Above a place s of the edge the round has the height z(s) + sqrt(r^2 - d(s)^2), d the lateral
    distance from there; it is greatest where the normal stands across the edge, or at an end.
    """
    sides = sides_of(radius)
    best = torch.full((2, *y.shape), -_FAR, dtype=y.dtype, device=y.device)
    which = torch.zeros_like(best)
    lateral, unit_y, unit_x = _directions(edges[4], edges[5])
    for number in range(edges[0].shape[1]):
        start_z, start_y, start_x, rise, length, across_y, across_x, run = (
            table[:, number, None, None] for table in (*edges[:4], edges[6], unit_y, unit_x, lateral)
        )
        away_y, away_x = y - start_y, x - start_x
        along = torch.addcmul(away_y * across_y, away_x, across_x)
        beside = torch.addcmul(away_y * across_x, away_x, across_y, value=-1)
        square = torch.addcmul(radius**2, beside, beside, value=-1)
        place = torch.addcmul(along, sides * rise, torch.sqrt(square.clamp(min=0.0)))
        place = torch.minimum(place.clamp(min=0.0), run * length)
        short = along - place
        square = torch.addcmul(square, short, short, value=-1)
        height = torch.sqrt(square.clamp(min=0.0)) + torch.addcmul(sides * start_z, place, sides * rise / run)
        better = (height > best) & (square >= 0)
        best = torch.where(better, height, best)
        which = torch.where(better, number, which)
    return which.long(), best > -_FAR


def _struck_face(faces: tuple[Tensor, ...], radius: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the number of the face that a line along z strikes first from above and below, and if it is flat there.

    Both are (2, N, S, S).
    """
    sides = sides_of(radius)
    lowest = torch.full((2, *y.shape), _FAR, dtype=y.dtype, device=y.device)
    which = torch.zeros_like(lowest)
    columns = [[table[:, number, None, None] for table in faces] for number in range(faces[0].shape[1])]
    for number, (up, slope_y, slope_x, distance) in enumerate(columns):
        faced = up * sides > STEEP
        height = (distance - slope_y * y - slope_x * x) / up.abs().clamp(min=STEEP)
        lower = faced & (height < lowest)
        lowest = torch.where(lower, height, lowest)
        which = torch.where(lower, number, which)
    which = which.long()
    foot_z, foot_y, foot_x, _ = (picked(table, which) for table in faces)
    foot_z, foot_y, foot_x = lowest * sides - radius * foot_z, y - radius * foot_y, x - radius * foot_x
    beyond = torch.full_like(lowest, -_FAR)
    for up, slope_y, slope_x, distance in columns:
        beyond = torch.maximum(beyond, up * foot_z + slope_y * foot_y + slope_x * foot_x - distance)
    slack = 1e-6 * faces[3].amax(-1)[:, None, None]
    return which, (beyond + radius <= slack) & (lowest < _FAR)


def _nearest_edge(edges: tuple[Tensor, ...], y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `nearest` does, in plain torch."""
    square, beyond = torch.full_like(y, _FAR**2), torch.full_like(y, -2 * _FAR)
    which, line = torch.zeros_like(y), torch.zeros_like(y)
    lateral, unit_y, unit_x = _directions(edges[4], edges[5])
    for number in range(edges[0].shape[1]):
        start_y, start_x, length, normal_y, normal_x, width, across_y, across_x, run = (
            table[:, number, None, None] for table in (*edges[1:3], *edges[6:], unit_y, unit_x, lateral)
        )
        away_y, away_x = y - start_y, x - start_x
        along = torch.addcmul(away_y * across_y, away_x, across_x)
        beside = torch.addcmul(away_y * across_x, away_x, across_y, value=-1)
        short = along - torch.minimum(along.clamp(min=0.0), run * length)
        gap = torch.addcmul(beside**2, short, short)
        which = torch.where(gap < square, number, which)
        square = torch.minimum(square, gap)
        past = torch.addcmul(normal_y * y - width, normal_x, x)
        line = torch.where(past > beyond, number, line)
        beyond = torch.maximum(beyond, past)
    return which.long(), line.long(), beyond > 0
