"""Splatting: the chords of many particles added into maps.

The reference is in plain torch: any device, any dtype, any shape with a `chord` and an `edge`. Particles are sorted by
patch size (powers of two and the steps halfway between them), rendered a cache-full at a time, and added with
`index_add_`. There are no boolean masks: what lies outside a body has weight zero, so that shapes are static and
gradients flow. The compiled kernels of native/splat.cpp stand in for it on the CPU, in single precision, for the shapes
of this package.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from exitwave import native
from exitwave.field import Canvas, Slabs
from exitwave.raster.bodies import BODIES
from exitwave.specimen import Particles
from exitwave.specimen.shapes import node

# Samples of a chunk of patches: about a second-level cache full in single precision.
CHUNK = 1 << 17
# Up to this many patch samples the ordinary tape is kept, which every transform of torch passes through; beyond, the
# patches are computed again in the backward pass, so that memory stays at a chunk.
_TAPE = 1 << 22
# Sides of patches, in samples.
SIZES = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


def splat(
    particles: Particles, weights: Tensor, canvas: Canvas, slabs: Slabs | None = None, onto: Tensor | None = None
) -> Tensor:
    """Return maps (C, H, W) of sum over particles of weight times cell-averaged chord; micrometres times weight.

    `weights` is (N, C), for instance the index difference and the absorption coefficient. Differentiable in weights,
    centres, sizes and rotations; particles off the canvas add nothing, partly visible ones are cut off at its border.

    With `slabs` the maps are (S, C, H, W): a chord is shared out along its way among the planes on either side, to each
    the more the nearer it is (linear splitting). What lies below the first plane or above the last goes to that plane,
    so that the planes add up to the maps without slabs.

    With `onto` the sum is added to those maps, which may be written to.
    """
    dy, dx = canvas.grid.spacing
    plan = _Plan(particles, canvas, slabs)
    if particles.count == 0:
        return weights.new_zeros(plan.shape(weights)) if onto is None else onto
    rows, scale = particles.shape.prepare(particles.size, particles.axes, (dy * dx) ** 0.5)
    position = torch.stack(
        [particles.center[:, 1] / dy + canvas.origin[0], particles.center[:, 2] / dx + canvas.origin[1]], -1
    )
    # A rendering has one precision, that of its first particles.
    inputs = tuple(tensor.to(weights) for tensor in (rows, scale, position, particles.center[:, 0], weights))
    if type(particles.shape) in BODIES and native.usable(*inputs):
        return _Native.apply(plan, onto, *inputs)
    groups = plan.groups(position)
    work = plan.planes * sum(len(group) * patch[0] * patch[1] for group, patch in groups)
    taped = work <= _TAPE or not any(tensor.requires_grad for tensor in inputs) or native.transforming()
    maps = _accumulate(plan, groups, *inputs) if taped else _Recomputed.apply(plan, groups, *inputs)
    return maps if onto is None else onto + maps


Groups = list[tuple[Tensor, tuple[int, int]]]


@dataclass(frozen=True)
class _Plan:
    """What is splatted where."""

    particles: Particles
    canvas: Canvas
    slabs: Slabs | None

    @property
    def planes(self) -> int:
        """The number of maps per channel."""
        return 1 if self.slabs is None else self.slabs.count

    def shape(self, weights: Tensor) -> tuple[int, ...]:
        """Return the shape of the maps for weights (N, C)."""
        maps = (weights.shape[1], *self.canvas.grid.shape)
        return maps if self.slabs is None else (self.planes, *maps)

    def stacked(self, maps: Tensor) -> Tensor:
        """Return maps of that shape as (S, C, H, W)."""
        return maps[None] if self.slabs is None else maps

    @property
    def spacing(self) -> tuple[float, float, float]:
        """The canvas's sample spacing along y and x, and the side of a square cell of that area; micrometres."""
        dy, dx = self.canvas.grid.spacing
        return dy, dx, (dy * dx) ** 0.5

    def groups(self, position: Tensor) -> Groups:
        """Return the particles of every patch size (indices, (rows, columns)); those off the canvas are left out."""
        height, width = self.canvas.grid.shape
        with torch.no_grad():
            step = torch.tensor(self.canvas.grid.spacing, dtype=position.dtype, device=position.device)
            # A cell and a half more: the soft edge, and the least size at which a small particle is drawn.
            half = self.particles.reach()[:, 1:].to(position) / step + 1.5
            place = position.detach()
            limit = torch.tensor([height, width], dtype=position.dtype, device=position.device)
            seen = ((place + half > 0) & (place - half < limit - 1)).all(-1)
            side = 2 * half.amax(-1) + 1
            # Beyond the largest patch the whole canvas is the patch.
            binned = patch_groups(side.masked_fill(~seen, -1.0), SIZES)
            return [(members, (size, size) if size else (height, width)) for members, size in binned]


def patch_groups(side: Tensor, sizes: tuple[int, ...]) -> list[tuple[Tensor, int]]:
    """Return the particles (indices) of every patch size that their `side` (N,) in samples asks for, smallest first.

    Those beyond the largest size come last, with size 0; those with a negative side are left out.
    """
    number = torch.searchsorted(torch.tensor(sizes, dtype=side.dtype, device=side.device), side)
    number = number.masked_fill(side < 0, -1)
    return [
        (torch.nonzero(number == found)[:, 0], sizes[found] if found < len(sizes) else 0)
        for found in number.unique().tolist()
        if found >= 0
    ]


def _chunks(plan: _Plan, groups: Groups) -> Iterator[tuple[Tensor, tuple[int, int]]]:
    for members, patch in groups:
        for part in members.split(max(1, CHUNK // (patch[0] * patch[1] * plan.planes))):
            yield part, patch


def _patches(
    plan: _Plan, patch: tuple[int, int], rows: Tensor, scale: Tensor, position: Tensor, altitude: Tensor
) -> tuple[Tensor, Tensor]:
    """Return chords (S, n, rows, columns) and the flat canvas sample that each falls on; H W where it falls outside."""
    height, width = plan.canvas.grid.shape
    dy, dx, cell = plan.spacing
    whole = patch == (height, width)
    cy, cx = position[:, 0, None], position[:, 1, None]
    # A patch starts half its size before the sample nearest to the centre.
    top = torch.zeros_like(cy) if whole else torch.round(cy.detach()) - patch[0] // 2
    left = torch.zeros_like(cx) if whole else torch.round(cx.detach()) - patch[1] // 2
    row = top + torch.arange(patch[0], dtype=position.dtype, device=position.device)
    column = left + torch.arange(patch[1], dtype=position.dtype, device=position.device)
    y, x = ((row - cy) * dy)[:, :, None], ((column - cx) * dx)[:, None, :]
    entry, length, share = node(plan.particles.shape, rows, scale, y, x, cell)
    chords = (share * length)[None] if plan.slabs is None else _split(plan.slabs, altitude, entry, length, share)
    row, column = row.long(), column.long()
    inside_y, inside_x = (row >= 0) & (row < height), (column >= 0) & (column < width)
    flat = row[:, :, None] * width + column[:, None, :]
    # Always, as asking first whether any lies outside would wait for the device.
    return chords, torch.where(inside_y[:, :, None] & inside_x[:, None, :], flat, height * width)


def _split(slabs: Slabs, altitude: Tensor, entry: Tensor, length: Tensor, share: Tensor) -> Tensor:
    """Return the part (S, n, rows, columns) of every chord that each plane gets."""
    low = altitude[:, None, None] + entry
    high = low + length
    parts = []
    for plane in range(slabs.count):
        bottom, top = plane == 0, plane == slabs.count - 1
        height = slabs.first + plane * slabs.step
        above, below = (_hat_integral((end - height) / slabs.step, bottom, top) for end in (high, low))
        parts.append(share * slabs.step * (above - below))
    return torch.stack(parts)


def _hat_integral(place: Tensor, bottom: bool, top: bool) -> Tensor:
    """Return the integral from 0 to `place` of the hat 1 - |u| around a plane, where u counts steps from it.

    The hat of the bottom plane stays 1 below it, and that of the top plane above it.
    """
    near = place.clamp(-math.inf if bottom else -1.0, math.inf if top else 1.0)
    below = near.clamp(max=0.0) ** 2 if not bottom else 0.0
    above = near.clamp(min=0.0) ** 2 if not top else 0.0
    return near + 0.5 * (below - above)


def _accumulate(
    plan: _Plan, groups: Groups, rows: Tensor, scale: Tensor, position: Tensor, altitude: Tensor, weights: Tensor
) -> Tensor:
    """Return the maps."""
    height, width = plan.canvas.grid.shape
    maps = weights.new_zeros(plan.planes, weights.shape[1], height * width + 1)
    for part, patch in _chunks(plan, groups):
        chords, flat = _patches(plan, patch, rows[part], scale[part], position[part], altitude[part])
        flat = flat.reshape(-1)
        columns = weights[part]
        for plane, channel in torch.cartesian_prod(*map(torch.arange, maps.shape[:2])).tolist():
            maps[plane, channel].index_add_(0, flat, (chords[plane] * columns[:, channel, None, None]).reshape(-1))
    return maps[:, :, :-1].reshape(plan.shape(weights))


def _twice(plan: _Plan, groups: Groups, inputs: tuple[Tensor, ...], gradient: Tensor) -> list[Tensor | None]:
    """Return the gradients by `inputs` with a tape of their own, for those who differentiate twice."""
    free = [tensor for tensor in inputs if tensor.requires_grad]
    maps = _accumulate(plan, groups, *inputs)
    found = iter(torch.autograd.grad(maps, free, gradient, create_graph=True, allow_unused=True))
    return [next(found) if tensor.requires_grad else None for tensor in inputs]


class _Recomputed(torch.autograd.Function):
    """The same sum, whose backward pass renders every chunk again instead of keeping its tape."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, groups: Groups, *inputs: Tensor) -> Tensor:
        ctx.plan, ctx.groups = plan, groups
        ctx.save_for_backward(*inputs)
        return _accumulate(plan, groups, *inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        plan, groups = ctx.plan, ctx.groups
        inputs: tuple[Tensor, ...] = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, None, *_twice(plan, groups, inputs, grad_outputs[0])
        weights = inputs[-1]
        flat_gradient = torch.nn.functional.pad(plan.stacked(grad_outputs[0]).flatten(2), (0, 1))
        gradients = [torch.zeros_like(tensor) for tensor in inputs]
        for part, patch in _chunks(plan, groups):
            with torch.enable_grad():
                pieces = [tensor[part].detach().requires_grad_() for tensor in inputs[:-1]]
                chords, flat = _patches(plan, patch, *pieces)
            seen = flat_gradient[:, :, flat.reshape(-1)].unflatten(2, flat.shape)
            pull = torch.einsum("scnij,nc->snij", seen, weights[part])
            found = torch.autograd.grad(chords, pieces, pull, allow_unused=True)
            for gradient, piece in zip(gradients[:-1], found, strict=True):
                if piece is not None:
                    gradient[part] += piece
            gradients[-1][part] = torch.einsum("scnij,snij->nc", seen, chords.detach())
        return None, None, *gradients


class _Native(torch.autograd.Function):
    """The same sum by the compiled kernels, forward and backward; only the inputs are kept."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, onto: Tensor | None, *inputs: Tensor) -> Tensor:
        ctx.plan, ctx.added = plan, onto is not None
        ctx.save_for_backward(*inputs)
        if onto is None:
            onto = inputs[-1].new_empty(plan.shape(inputs[-1]))
        else:
            ctx.mark_dirty(onto)
        maps = plan.stacked(onto.detach())
        native.kernels().splat_forward(*_arguments(plan, inputs), maps, ctx.added, torch.get_num_threads())
        return onto

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        plan: _Plan = ctx.plan
        inputs: tuple[Tensor, ...] = ctx.saved_tensors
        passed = grad_outputs[0] if ctx.added else None
        if torch.is_grad_enabled():
            return None, passed, *_twice(plan, plan.groups(inputs[2]), inputs, grad_outputs[0])
        gradients = [torch.zeros_like(tensor, memory_format=torch.contiguous_format) for tensor in inputs]
        pull = plan.stacked(grad_outputs[0]).contiguous()
        native.kernels().splat_adjoint(*_arguments(plan, inputs), pull, *gradients, torch.get_num_threads())
        return None, passed, *gradients


def _arguments(plan: _Plan, inputs: tuple[Tensor, ...]) -> tuple[Any, ...]:
    """Return what the kernels of both directions begin with."""
    slabs = None if plan.slabs is None else (plan.slabs.first, plan.slabs.step)
    dense = (tensor.detach().contiguous() for tensor in inputs)
    return BODIES[type(plan.particles.shape)], *dense, plan.spacing, slabs
