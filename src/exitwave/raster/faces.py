"""Faces: the sides of a mesh's faces, the planes that they lie in, and patches of samples that hold them.

Lateral coordinates count from the canvas's first sample, in micrometres.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from exitwave.field import Canvas
from exitwave.raster.splat import CHUNK, SIZES, patch_groups
from exitwave.specimen.mesh import Mesh

# Cosine of the tilt of the steepest faces; the slopes of those that are steeper stay finite.
_STEEPEST = 1e-6


@dataclass(frozen=True)
class Sides:
    """The S sides of faces that look out of regions; a wall between two regions has two.

    `region` (S,) counts from 0 and `corners` (S, 3, 3) turn so that sides that look up turn from x to y. The `plane`
    (S, 5) of each is its height at the canvas's first sample, its slopes along y and x, and where it begins and ends
    in z. `line` (S, 3, 3) are the numbers a, b, c that make a y + b x + c positive to the left of its edges, seen from
    their vertex of lower number; that is `ahead` (S, 3) where the side has it first. `fold` (N, 2) are the vertices of
    edges between a side that looks up and one that does not, of region `bent` (N,), which they have to their left.
    `stride` is the number of the canvas's samples.
    """

    points: Tensor
    region: Tensor
    corners: Tensor
    plane: Tensor
    line: Tensor
    ahead: Tensor
    fold: Tensor
    bent: Tensor
    stride: int

    def met(self, side: Tensor, key: Tensor, rising: Tensor, y: Tensor, x: Tensor) -> Met:
        """Return lines that meet sides at places y and x, and how high."""
        return Met(key, side, rising, height_of(self.plane.detach().index_select(0, side), y, x))


class Met(NamedTuple):
    """Where lines meet sides (n,): line, which is region times `stride` + sample, side, whether upward, and height."""

    key: Tensor
    side: Tensor
    rising: Tensor
    height: Tensor

    def only(self, which: Tensor) -> Met:
        return Met(*(value[which] for value in self))


class Around(NamedTuple):
    """The sides (n,) around lines that may be moved, in the order of their lines."""

    key: Tensor
    side: Tensor


def sides_of(mesh: Mesh, canvas: Canvas) -> Sides:
    """Return the sides of a mesh's regions; a region that is open or inside out is a one-line error."""
    torn = (~mesh.closed()).nonzero().flatten().add(1).tolist()
    if torn:
        raise ValueError(
            f"thickness of region {torn[0]} is undefined, its surface is not closed; repair the mesh first"
        )
    dy, dx = canvas.grid.spacing
    points = mesh.vertices.double()
    points = points + points.new_tensor([0.0, canvas.origin[0] * dy, canvas.origin[1] * dx])
    vertices = torch.cat([mesh.faces, mesh.faces.flip(1)])
    region = mesh.regions.T.flatten() - 1
    vertices, region = vertices[region >= 0], region[region >= 0]
    corners = points.index_select(0, vertices.flatten()).reshape(-1, 3, 3)
    a, b, c = corners.detach().unbind(1)
    up = (b - a)[:, 2] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 2]
    part = up * (corners.detach()[:, :, 0].mean(1) - points.detach()[:, 0].mean())
    volume = part.new_zeros(len(mesh.fill_density)).index_add_(0, region, part)
    turned = (volume < -1e-9 * part.abs().sum()).nonzero().flatten().add(1).tolist()
    if turned:
        raise ValueError(f"thickness of region {turned[0]} is negative, it is inside out; repair the mesh first")
    then = vertices.roll(-1, 1)
    ahead = vertices < then
    low, high = (points.detach()[ends][:, :, 1:] for ends in (vertices.minimum(then), vertices.maximum(then)))
    rise, run = (high - low).unbind(-1)
    line = torch.stack([run, -rise, rise * low[:, :, 1] - run * low[:, :, 0]], -1)
    number = (region[:, None] * len(points) + vertices.minimum(then)) * len(points) + vertices.maximum(then)
    _, place = number.unique(return_inverse=True)
    looks = (up > 0)[:, None].expand_as(place)
    falls = torch.zeros(place.numel(), dtype=torch.bool, device=place.device).index_fill(0, place[~looks], True)
    bend = looks & falls[place]
    fold = torch.stack([vertices[bend], then[bend]], -1)
    bent = region[:, None].expand_as(place)[bend]
    stride = math.prod(canvas.grid.shape)
    return Sides(points, region, corners, _planes(corners), line, ahead, fold, bent, stride)


def _planes(corners: Tensor) -> Tensor:
    """Return of planes through three corners each: their height at the origin, slopes, lowest and highest corner."""
    a, b, c = corners.unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    least = (_STEEPEST * torch.linalg.vector_norm(normal.detach(), dim=-1)).clamp(min=1e-30)
    steep = normal.detach()[:, 0].abs() < least
    slope = -normal[:, 1:] / torch.where(steep, least.copysign(normal.detach()[:, 0]), normal[:, 0])[:, None]
    middle = corners.mean(1)
    ends = (end[:, None] for end in corners.detach()[:, :, 0].aminmax(dim=1))
    return torch.cat([(middle[:, 0] - (slope * middle[:, 1:]).sum(-1))[:, None], slope, *ends], -1)


def height_of(plane: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Return the height (n,) of planes at places y and x."""
    height = plane[:, 0] + plane[:, 1] * y + plane[:, 2] * x
    # Where a steep plane's rounding leaves its face.
    excess = height.detach() - torch.minimum(torch.maximum(height.detach(), plane[:, 3]), plane[:, 4]).detach()
    return height - excess


def patches(low: Tensor, high: Tensor, canvas: Canvas) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield patches of samples that hold boxes from `low` to `high` (n, 2): which, their rows and their columns."""
    step, shape = low.new_tensor(canvas.grid.spacing), torch.tensor(canvas.grid.shape).to(low)
    first, last = torch.ceil(low / step).clamp(min=0.0), torch.minimum(torch.floor(high / step), shape - 1)
    count = last - first + 1
    side = count.amax(-1).masked_fill((count < 1).any(-1), -1.0)
    for members, wide in patch_groups(side, SIZES):
        patch = [min(wide, n) if wide else n for n in canvas.grid.shape]
        corner = torch.minimum(first[members], shape - shape.new_tensor(patch)).long()
        row, column = (corner[:, axis, None] + torch.arange(patch[axis], device=low.device) for axis in (0, 1))
        some = max(1, CHUNK // (patch[0] * patch[1]))
        yield from zip(members.split(some), row.split(some), column.split(some), strict=True)
