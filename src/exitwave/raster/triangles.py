"""Fragments of meshes: where lines along z through samples pass through the regions that triangles enclose.

Faces are sorted into patch sizes as particles are. What is met, and in which order, is found without a gradient in
double precision; heights, slopes and cover are then computed for what is left, from the planes of faces and the ends
of edges. Lateral coordinates count from the canvas's first sample, in micrometres.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from exitwave.field import Canvas
from exitwave.raster.faces import Around, Met, Sides, height_of, patches, sides_of
from exitwave.raster.fragments import Fragments, fragments_of
from exitwave.specimen.mesh import Mesh

# Chords this much shorter than a cell do not count: lines that only touch a region.
_TOUCH = 1e-6
# Share of a cell by which lines are moved, so that none meets a vertex that lies on a sample.
_ASIDE = (math.pi * 1e-7, math.e * 1e-7)
# Of a cell: samples this near to an edge lie on it, whichever side rounding and moving put them on.
_ON = 1e-5
# Of a cell: where an edge bounds a region, nothing of it lies so little beyond the edge.
_BEYOND = 1 / 16
# Of a cell: how far from a sample lines are sought that stand for it.
_AROUND = 0.6


@fragments_of.register
def mesh_fragments(mesh: Mesh, first: int, canvas: Canvas, like: Tensor) -> tuple[list[Fragments], int]:
    """Return the fragments of a mesh's regions, and how many regions it has; region r is body `first` + r - 1.

    From the top down, a line enters a region through a face that looks up from it and leaves it through one that looks
    down; where a surface passes through itself, all that lies within it is one. Within half a cell of a silhouette the
    cover is linear in the distance to it, and heights and slopes are those in the middle of what is covered, as for
    particles. A silhouette is what bounds a region's projection: folds with more of their region behind them are cut
    off at whole samples.

    >>> from exitwave.grid import Grid
    >>> from exitwave.specimen.meshes.solids import icosphere
    >>> ball = icosphere(1.0, center=(1.0, 0, 0), subdivisions=4)
    >>> (found,), count = mesh_fragments(ball, 0, Canvas(Grid((25, 25), 0.1), (0, 0), (25, 25)), torch.zeros(()))
    >>> middle = found.sample == 12 * 25 + 12
    >>> [round(float(value[middle]), 2) for value in (found.top, found.thickness)], count
    ([2.0, 2.0], 1)
    """
    count = len(mesh.fill_density)
    sides = sides_of(mesh, canvas)
    with torch.no_grad():
        edge, sample = _near(sides, canvas)
        clear, central, around = _swept(sides, sample, canvas)
        edge, sample, covered = _bounding(sides, edge, sample, central, around, canvas)
    rim = _rim(sides, edge, sample, covered, canvas)
    with torch.no_grad():
        row, met = _crossed(sides, around, rim.key, rim.y, rim.x)
        # Where a corner is so sharp that the middle lies beyond it, the line stays in the middle of the cell.
        moved = torch.zeros(len(rim.key) + 1, dtype=torch.bool, device=row.device).index_fill(0, row, True)
        stay = (~moved[_find(rim.key, central.key)]).nonzero()[:, 0]
        ends = Met(*(torch.cat([a, b[stay], c]) for a, b, c in zip(clear, central, met, strict=True)))
        upper, lower = _paired(ends)
        key, upper, lower = ends.key[upper], ends.side[upper], ends.side[lower]
        place = _find(rim.key, key)
    y, x = _places(key, place, moved, rim, canvas)
    above = sides.plane.index_select(0, upper)
    top, bottom = height_of(above, y, x), height_of(sides.plane.index_select(0, lower), y, x)
    share = torch.cat([rim.share, rim.share.new_ones(1)]).index_select(0, place)
    dy, dx = canvas.grid.spacing
    thick = top.detach() - bottom.detach() > _TOUCH * (dy * dx) ** 0.5
    kept = (thick & (share.detach() > 0)).nonzero()[:, 0]
    top, bottom, slope, share = (one.index_select(0, kept).to(like) for one in (top, bottom, above[:, 1:3], share))
    body, sample = (number[kept] for number in (key // sides.stride + first, key % sides.stride))
    return [Fragments(sample, body, top, bottom, slope.T, share)], count


def _near(sides: Sides, canvas: Canvas) -> tuple[Tensor, Tensor]:
    """Return the folds, and the flat samples, of all pairs (n,) that are less than half a cell apart."""
    (dy, dx), width = canvas.grid.spacing, canvas.grid.shape[1]
    half = 0.5 * (dy * dx) ** 0.5
    ends = sides.points[sides.fold][:, :, 1:]
    found = [sides.fold.new_zeros(2, 0)]
    for some, row, column in patches(ends.amin(1) - half, ends.amax(1) + half, canvas):
        start, along = ends[some, 0], ends[some, 1] - ends[some, 0]
        y = (row.double() * dy - start[:, :1])[:, :, None]
        x = (column.double() * dx - start[:, 1:])[:, None, :]
        ey, ex = along[:, 0, None, None], along[:, 1, None, None]
        part = ((y * ey + x * ex) / (ey.square() + ex.square())).clamp(0.0, 1.0)
        place, i, j = ((y - part * ey).square() + (x - part * ex).square() < half**2).nonzero().T
        found.append(torch.stack([some[place], row[place, i] * width + column[place, j]]))
    edge, sample = torch.cat(found, 1)
    return edge, sample


def _swept(sides: Sides, near: Tensor, canvas: Canvas) -> tuple[Met, Met, Around]:
    """Return where lines meet sides: those clear of folds, those of samples `near` them; and sides around these."""
    (dy, dx), (height, width) = canvas.grid.spacing, canvas.grid.shape
    rim = torch.zeros(height * width, dtype=torch.bool, device=near.device).index_fill(0, near, True)
    reach = _AROUND * (dy * dx) ** 0.5
    flat = sides.corners[:, :, 1:]
    none = sides.region.new_zeros(0)
    met, around = [sides.met(none, none, none > 0, none, none)], [(none, none)]
    for some, row, column in patches(flat.amin(1) - reach, flat.amax(1) + reach, canvas):
        y, x = (row.double() + _ASIDE[0]) * dy, (column.double() + _ASIDE[1]) * dx
        every, never = _left(sides, some, y[:, :, None], x[:, None, :])
        place, i, j = (every | never).nonzero().T
        side, key = some[place], row[place, i] * width + column[place, j]
        key += sides.region[side] * sides.stride
        met.append(sides.met(side, key, every[place, i, j], y[place, i], x[place, j]))
        place, i, j = rim.reshape(height, width)[row[:, :, None], column[:, None, :]].nonzero().T
        side, key = some[place], row[place, i] * width + column[place, j]
        around.append((key + sides.region[side] * sides.stride, side))
    whole = Met(*map(torch.cat, zip(*met, strict=True)))
    beside = rim[whole.key % sides.stride]
    key, side = map(torch.cat, zip(*around, strict=True))
    order = key.argsort(stable=True)
    return whole.only(~beside), whole.only(beside), Around(key[order], side[order])


def _left(sides: Sides, side: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return whether places lie to the left of all edges of sides that look up, and of none of those that look down.

    The numbers of an edge are the same for both sides at it, and so is on which side of it a line passes: lines meet
    as many sides that look up as down, however edges are rounded.
    """
    every = none = None
    for edge in range(3):
        a, b, c = (value.reshape(-1, *[1] * (y.ndim - 1)) for value in sides.line[side, edge].unbind(-1))
        ahead = sides.ahead[side, edge].reshape(a.shape)
        left = ((a * y + c) + b * x > 0) == ahead
        every = left if every is None else every & left
        none = ~left if none is None else none & ~left
    assert every is not None
    assert none is not None
    return every, none


def _crossed(sides: Sides, around: Around, key: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Met]:
    """Return which of the lines (n,) meet sides, once for each, and where, after they were moved to places y and x."""
    first, last = (torch.searchsorted(around.key, key, right=right) for right in (False, True))
    row = torch.repeat_interleave(torch.arange(len(key), device=key.device), last - first)
    start = torch.cumsum(last - first, 0) - last
    side = around.side[torch.arange(len(row), device=key.device) - start[row]]
    every, none = _left(sides, side, y[row], x[row])
    kept = (every | none).nonzero()[:, 0]
    row = row[kept]
    return row, sides.met(side[kept], key[row], every[kept], y[row], x[row])


def _bounding(
    sides: Sides, edge: Tensor, sample: Tensor, met: Met, around: Around, canvas: Canvas
) -> tuple[Tensor, Tensor, Tensor]:
    """Return for every line near folds the nearest that bounds its region, the sample, and whether that is covered."""
    cell = (canvas.grid.spacing[0] * canvas.grid.spacing[1]) ** 0.5
    key = sides.bent[edge] * sides.stride + sample
    covered = torch.isin(key, met.key)
    distance, outward, place = _across(sides, edge, sample, covered, canvas)
    y, x = (place + (distance + _BEYOND * cell)[:, None] * outward).unbind(-1)
    beyond = torch.ones_like(covered).index_fill(0, _crossed(sides, around, key, y, x)[0], False)
    bounds = (beyond & ((covered == (distance > 0)) | (distance.abs() < _ON * cell))).nonzero()[:, 0]
    order = bounds[distance[bounds].abs().argsort(stable=True)]
    order = order[key[order].argsort(stable=True)]
    nearest = torch.ones_like(order, dtype=torch.bool)
    nearest[1:] = key[order].diff() != 0
    return edge[order[nearest]], sample[order[nearest]], covered[order[nearest]]


def _across(
    sides: Sides, edge: Tensor, sample: Tensor, covered: Tensor, canvas: Canvas
) -> tuple[Tensor, Tensor, Tensor]:
    """Return how deep within folds samples lie (n,), the direction out of there (n, 2), and the samples' places."""
    (dy, dx), width = canvas.grid.spacing, canvas.grid.shape[1]
    ends = sides.points[:, 1:].index_select(0, sides.fold[edge].flatten()).unflatten(0, (-1, 2))
    start, along = ends[:, 0], ends[:, 1] - ends[:, 0]
    place = torch.stack([(sample // width).double() * dy, (sample % width).double() * dx], -1)
    length = torch.linalg.vector_norm(along, dim=-1)
    normal = torch.stack([-along[:, 1], along[:, 0]], -1) / length[:, None]
    part = (((place - start) * along).sum(-1) / length.square()).detach()
    # Around the ends of edges the distance is that to a point.
    gap = place - torch.where(part[:, None] < 0.5, start, ends[:, 1])
    square = gap.square().sum(-1)
    straight = ((part >= 0) & (part <= 1)) | (square.detach() < _ON**2 * dy * dx)
    radius = torch.where(straight, torch.ones_like(square), square).sqrt() * torch.where(covered, 1.0, -1.0)
    distance = torch.where(straight, -((place - start) * normal).sum(-1), radius)
    return distance, torch.where(straight[:, None], normal, -gap / radius[:, None]), place


class _Rim(NamedTuple):
    """Lines (n,) near a silhouette, in order: the share of their cells that is covered, and the middle of that."""

    key: Tensor
    share: Tensor
    y: Tensor
    x: Tensor


def _rim(sides: Sides, edge: Tensor, sample: Tensor, covered: Tensor, canvas: Canvas) -> _Rim:
    cell = (canvas.grid.spacing[0] * canvas.grid.spacing[1]) ** 0.5
    distance, outward, place = _across(sides, edge, sample, covered, canvas)
    share = (distance / cell + 0.5).clamp(0.0, 1.0)
    y, x = (place - (0.5 * cell * (1.0 - share))[:, None] * outward).unbind(-1)
    return _Rim(sides.bent[edge] * sides.stride + sample, share, y, x)


def _find(key: Tensor, wanted: Tensor) -> Tensor:
    """Return the places of wanted numbers in sorted ones, whose count where they are not among them."""
    if not len(key):
        return torch.zeros_like(wanted)
    place = torch.searchsorted(key, wanted).clamp(max=len(key) - 1)
    return place.masked_fill(key[place] != wanted, len(key))


def _places(key: Tensor, place: Tensor, moved: Tensor, rim: _Rim, canvas: Canvas) -> tuple[Tensor, Tensor]:
    """Return y and x (n,) of lines: their samples', or where those of the rim were moved to."""
    (dy, dx), (height, width) = canvas.grid.spacing, canvas.grid.shape
    sample, aside = key % (height * width), moved[place]
    centre = (sample // width).double() * dy, (sample % width).double() * dx
    there = (torch.cat([value, value.new_zeros(1)]).index_select(0, place) for value in (rim.y, rim.x))
    y, x = (torch.where(aside, new, old) for new, old in zip(there, centre, strict=True))
    return y, x


def _paired(met: Met) -> tuple[Tensor, Tensor]:
    """Return which of the meetings are the upper and the lower ends of chords.

    From the top down a line is in a region as many times as it went in less than it went out. A chord lasts from where
    that becomes 1 to where it is 0 again.
    """
    line, _, rising, height = met
    if not len(line):
        return line, line
    # One number for the line and the height, so that one sort does for both.
    bits = 62 - int(line.max()).bit_length()
    low, high = height.aminmax()
    depth = (high - height) / (high - low).clamp(min=1e-30) * (2**bits - 1)
    key, order = torch.sort(line * 2**bits + depth.long().clamp(0, 2**bits - 1), stable=True)
    line = key >> bits
    step = torch.where(rising[order], 1, -1)
    total = torch.cumsum(step, 0)
    fresh = torch.ones_like(rising)
    fresh[1:] = line.diff() != 0
    within = total - (total - step)[fresh][torch.cumsum(fresh, 0) - 1]
    begins, ends = (step == 1) & (within == 1), (step == -1) & (within == 0)
    begin = begins.nonzero()[:, 0]
    end = ends.nonzero()[:, 0]
    return order[begin[torch.cumsum(begins, 0)[end] - 1]], order[end]
