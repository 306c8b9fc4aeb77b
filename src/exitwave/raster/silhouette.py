"""Silhouettes: which body is seen at which pixel and how high it stands there, from geometry alone.

A pixel belongs to a silhouette where its centre lies inside or on the outline. Bodies are sorted into patch sizes as
for splatting, and a patch holds little more than the pixels in the silhouette's exact box. Height and instance travel
in one integer, so that the frontmost body is a maximum and the whole image takes one pass.

On the CPU a compiled kernel does the same for the shapes of this package: an outline is convex, so that it covers one
span of every row, and only how high the body ends is left to compute at every pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from exitwave import native
from exitwave.grid import Grid
from exitwave.raster.bodies import BODIES
from exitwave.raster.splat import CHUNK, SIZES, patch_groups
from exitwave.specimen import Particles, Shape
from exitwave.specimen.shapes import axes_of

# Bodies whose coefficients are computed at a time: crystals need a table of all corners against all faces.
_BLOCK = 1024
# Wider silhouettes than this are counted on every s-th row and column, so that no body takes minutes.
_SIDES = (*SIZES, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
# In pixels: centres on the outline itself are inside, whichever way their coordinates were rounded to single precision.
_TOUCH = 1e-4
BEHIND = torch.iinfo(torch.int64).min
"""What `unpack` takes for nothing."""


class Bodies(NamedTuple):
    """The geometry of n bodies of one shape in double precision, um: `axes` (n, 3, 3) are the body axes in the lab."""

    shape: Shape
    center: Tensor
    size: Tensor
    axes: Tensor

    def box(self, grid: Grid) -> Tensor:
        """Return the exact boxes (n, 4) of the silhouettes in pixels: first row and column, last row and column."""
        step = self.center.new_tensor(grid.spacing)
        sides = torch.cat([-torch.diag(1 / step), torch.diag(1 / step)])
        reach = self.shape.support(self.size, self.axes, sides.expand(len(self.size), 4, 2))
        return self.position(grid).repeat(1, 2) + reach * reach.new_tensor([-1.0, -1.0, 1.0, 1.0])

    def position(self, grid: Grid) -> Tensor:
        """Return the centres (n, 2) as row and column; the centres of pixels are integers."""
        step, middle = self.center.new_tensor(grid.spacing), self.center.new_tensor([n // 2 for n in grid.shape])
        return self.center[:, 1:] / step + middle


def bodies(particles: Particles, start: int = 0, stop: int | None = None) -> Iterator[Bodies]:
    """Yield the bodies from `start` to `stop` in blocks that fit in memory, in order."""
    stop = particles.count if stop is None else stop
    center, size = particles.center.detach(), particles.size.detach()
    rotation = particles.rotation.detach()
    for first in range(start, stop, _BLOCK):
        block = slice(first, min(first + _BLOCK, stop))
        axes = axes_of(rotation[block].double())
        yield Bodies(particles.shape, center[block].double(), size[block].double(), axes)


@dataclass(frozen=True)
class Coverage:
    """What an image shows of M bodies: pixels without a body have id 0 and depth NaN.

    `ids` (H, W) int32 counts the bodies from 1, `depth` (H, W) float32 is the height z in um of the surface that is
    seen, `area` (M,) int64 the pixels of every silhouette inside and outside the image, `inside` those in it.
    """

    ids: Tensor
    depth: Tensor
    area: Tensor
    inside: Tensor


class _Patches(NamedTuple):
    """A stack of patches: their rows (n, R) and columns (n, C), whether inside (n, R, C), and the height z there."""

    members: Tensor
    row: Tensor
    column: Tensor
    within: Tensor
    height: Tensor


class View(NamedTuple):
    """An image in the making, on the CPU: the `ids` and the `depth` of a `Coverage` by what was painted so far."""

    ids: Tensor
    depth: Tensor

    def show(self, ids: Tensor, depth: Tensor) -> None:
        """Put other ids and heights (H, W) where there are any, and nothing that is higher stands there yet."""
        front = (ids > 0) & ~(depth < self.depth)
        torch.where(front, ids, self.ids, out=self.ids)
        torch.where(front, depth, self.depth, out=self.depth)


def blank(grid: Grid) -> View:
    """Return the image on `grid` of nothing."""
    return View(torch.zeros(*grid.shape, dtype=torch.int32), torch.full(grid.shape, torch.nan))


def cover(parts: Sequence[Particles], grid: Grid) -> Coverage:
    """Return what the bodies of all parts cover of the image on `grid`; the one that ends at the largest z is seen.

    Light travels towards +z, where the objective stands: a body ends where the light leaves it. Of two
    surfaces at the same height in single precision the later body's is seen.
    """
    view, first = blank(grid), 0
    counts = [torch.zeros(2, 0, dtype=torch.int64)]
    for part in parts:
        counts.append(paint(part, view, first, grid))
        first += part.count
    return Coverage(view.ids, view.depth, *torch.cat(counts, 1))


def paint(particles: Particles, view: View, first: int, grid: Grid) -> Tensor:
    """Return the pixels (2, N) of every silhouette in all and in the image, and show the bodies in a view of it.

    Their ids count from `first` + 1.
    """
    kernels = _kernels([particles])
    if kernels is not None:
        return _trace(kernels, list(bodies(particles)), view, first, grid)
    height, width = grid.shape
    device = particles.center.device
    front = torch.full((height * width + 1,), BEHIND, dtype=torch.int64, device=device)
    counts = torch.zeros(2, particles.count, dtype=torch.int64, device=device)
    done = 0
    for block in bodies(particles):
        for patches, weight, drawn in _sweep(block, grid):
            number = patches.members + done
            counts[0].index_add_(0, number, weight * patches.within.sum((1, 2)))
            if drawn:
                flat = _flat(patches, grid)
                key = pack(patches.height, number[:, None, None]).masked_fill_(~patches.within, BEHIND)
                front.scatter_reduce_(0, flat.reshape(-1), key.reshape(-1), "amax")
                counts[1].index_add_(0, number, (patches.within & (flat < height * width)).sum((1, 2)))
        done += len(block.size)
    depth, ids = unpack(front[:-1].reshape(height, width).cpu())
    view.show(torch.where(ids > 0, ids + first, 0), depth)
    return counts.cpu()


def mask(particles: Particles, number: int, grid: Grid) -> Tensor:
    """Return the silhouette of one body as (H, W) booleans, whatever stands in front of it."""
    kernels = _kernels([particles])
    if kernels is not None:
        return _draw(kernels, [list(bodies(particles, number, number + 1))], grid).ids > 0
    height, width = grid.shape
    found = torch.zeros(height * width + 1, dtype=torch.bool, device=particles.center.device)
    for block in bodies(particles, number, number + 1):
        for patches, _, drawn in _sweep(block, grid):
            if drawn:
                found[_flat(patches, grid)] = patches.within
    return found[:-1].reshape(height, width)


def _kernels(parts: Sequence[Particles]) -> ModuleType | None:
    """Return the compiled kernels where they can draw all of `parts`."""
    known = all(part.center.device.type == "cpu" and type(part.shape) in BODIES for part in parts)
    return native.KERNELS if known else None


def _draw(kernels: ModuleType, parts: Iterable[list[Bodies]], grid: Grid) -> Coverage:
    """Return what the compiled kernel makes of blocks of bodies, those of one shape together; see `cover`."""
    view, first = blank(grid), 0
    counts = [torch.zeros(2, 0, dtype=torch.int64)]
    for blocks in parts:
        counts.append(_trace(kernels, blocks, view, first, grid))
        first += counts[-1].shape[1]
    return Coverage(view.ids, view.depth, *torch.cat(counts, 1))


def _trace(kernels: ModuleType, blocks: list[Bodies], view: View, first: int, grid: Grid) -> Tensor:
    """Return what `paint` does of blocks of bodies of one shape, by the compiled kernel.

    Only their rows come from torch. The pixels of silhouettes of any size are counted row by row.
    """
    if not blocks:
        return torch.zeros(2, 0, dtype=torch.int64)
    dy, dx = grid.spacing
    # On a cell of no size bodies are what they are.
    rows = torch.cat([block.shape.prepare(block.size, block.axes, 0.0)[0] for block in blocks])
    counts = torch.empty(2, len(rows), dtype=torch.int64)
    kernels.cover(
        BODIES[type(blocks[0].shape)],
        rows,
        torch.cat([block.position(grid) for block in blocks]),
        torch.cat([block.center[:, 0] for block in blocks]),
        (dy, dx),
        _TOUCH * min(dy, dx),
        first + 1,
        view.depth,
        view.ids,
        *counts,
        torch.get_num_threads(),
    )
    return counts


def _sweep(block: Bodies, grid: Grid) -> Iterator[tuple[_Patches, int, bool]]:
    """Yield patches until all silhouettes are covered: what a sample counts for, and whether it is to be drawn."""
    rows, _ = block.shape.prepare(block.size, block.axes, 0.0)  # on a cell of no size bodies are what they are
    box = block.box(grid)
    start = torch.ceil(box[:, :2] - _TOUCH)
    count = torch.floor(box[:, 2:] + _TOUCH) - start + 1
    # Between the centres of pixels there is nothing to cover.
    side = count.amax(-1).masked_fill((count < 1).any(-1), -1.0)
    for members, size in patch_groups(side, _SIDES):
        if size:
            for patches in _patches(block, rows, grid, members, start, (size, size), 1):
                yield patches, 1, True
            continue
        height, width = grid.shape
        for member in members.split(1):
            for patches in _patches(block, rows, grid, member, torch.zeros_like(start), (height, width), 1):
                yield patches, 0, True
            stride = -int(-side[member] // _SIDES[-1])
            samples = -int(-side[member] // stride)
            for patches in _patches(block, rows, grid, member, start, (samples, samples), stride):
                yield patches, stride**2, False


def _patches(
    block: Bodies, rows: Tensor, grid: Grid, members: Tensor, start: Tensor, patch: tuple[int, int], stride: int
) -> Iterator[_Patches]:
    """Yield the patches of some bodies from their first row and column `start` on, a cache-full at a time."""
    dy, dx = grid.spacing
    position = block.position(grid)
    lines = max(1, CHUNK // patch[1])
    for part in members.split(max(1, CHUNK // (patch[0] * patch[1]))):
        column = start[part, 1:] + stride * torch.arange(patch[1], device=start.device)
        x = ((column - position[part, 1:]) * dx)[:, None, :]
        for top in range(0, patch[0], lines):
            row = start[part, :1] + stride * torch.arange(top, min(top + lines, patch[0]), device=start.device)
            y = ((row - position[part, :1]) * dy)[:, :, None]
            distance, _, _ = block.shape.edge(rows[part], y, x)
            _, leave = block.shape.chord(rows[part], y, x)
            within = distance >= -_TOUCH * min(dy, dx)
            yield _Patches(part, row.long(), column.long(), within, leave + block.center[part, 0, None, None])


def _flat(patches: _Patches, grid: Grid) -> Tensor:
    """Return the flat pixel (n, R, C) of every sample, H W outside the image."""
    height, width = grid.shape
    row, column = patches.row[:, :, None], patches.column[:, None, :]
    inside = ((row >= 0) & (row < height)) & ((column >= 0) & (column < width))
    return torch.where(inside, row * width + column, height * width)


def pack(height: Tensor, number: Tensor) -> Tensor:
    """Return integers that sort by height first: the bits of a float as a signed integer above, the body below."""
    bits = height.float().view(torch.int32)
    return ((bits ^ ((bits >> 31) & 0x7FFFFFFF)).long() << 32) | (number + 1)


def unpack(key: Tensor) -> tuple[Tensor, Tensor]:
    """Return heights (float32, NaN where nothing was packed) and the numbers of bodies from 1, 0 for none."""
    nothing = key == BEHIND
    bits = (key >> 32).int()
    height = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(torch.float32)
    number = (key & 0x7FFFFFFF).int()
    return height.masked_fill(nothing, torch.nan), number.masked_fill(nothing, 0)
