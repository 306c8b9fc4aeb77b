"""Splatting: the chords of many particles added into maps, in plain torch.

This is the reference for every faster kernel: any device, any dtype, any shape with a `chord` and an `edge`. Particles
are sorted into patch sizes (powers of two and the steps halfway between them), rendered a cache-full at a time, and
added with `index_add_`. There are no boolean masks: what lies outside a body has weight zero, so that shapes are
static and gradients flow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from exitwave.field import Canvas
from exitwave.specimen import Particles, Shape
from exitwave.specimen.shapes import thickness

# Samples of a chunk of patches: about a second-level cache full in single precision.
CHUNK = 1 << 17
# Up to this many patch samples the ordinary tape is kept, which every transform of torch passes through; beyond, the
# patches are computed again in the backward pass, so that memory stays at a chunk.
_TAPE = 1 << 22
# Sides of patches, in samples.
SIZES = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


def splat(particles: Particles, weights: Tensor, canvas: Canvas) -> Tensor:
    """Return maps (C, H, W) of sum over particles of weight times cell-averaged chord; micrometres times weight.

    `weights` is (N, C), for instance the index difference and the absorption coefficient. Differentiable in weights,
    centres, sizes and rotations; particles off the canvas add nothing, partly visible ones are cut off at its border.
    """
    height, width = canvas.grid.shape
    dy, dx = canvas.grid.spacing
    cell = (dy * dx) ** 0.5
    if particles.count == 0:
        return weights.new_zeros(weights.shape[1], height, width)
    rows, scale = particles.shape.prepare(particles.size, particles.axes, cell)
    position = torch.stack(
        [particles.center[:, 1] / dy + canvas.origin[0], particles.center[:, 2] / dx + canvas.origin[1]], -1
    )
    groups = _groups(particles, position, canvas, cell)
    work = sum(len(group) * patch[0] * patch[1] for group, patch in groups)
    plan = (particles.shape, groups, (height, width), (dy, dx))
    inputs = (rows, scale, position, weights)
    if work <= _TAPE or not any(tensor.requires_grad for tensor in inputs):
        return _accumulate(plan, *inputs)
    return _Recomputed.apply(plan, *inputs)


Plan = tuple[Shape, list[tuple[Tensor, tuple[int, int]]], tuple[int, int], tuple[float, float]]


def _groups(
    particles: Particles, position: Tensor, canvas: Canvas, cell: float
) -> list[tuple[Tensor, tuple[int, int]]]:
    """Return the particles of every patch size (indices, (rows, columns)); those off the canvas are left out."""
    height, width = canvas.grid.shape
    with torch.no_grad():
        step = torch.tensor(canvas.grid.spacing, dtype=position.dtype, device=position.device)
        # A cell and a half more: the soft edge, and the least size at which a small particle is drawn.
        half = particles.reach()[:, 1:].to(position) / step + 1.5
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


def _chunks(plan: Plan) -> Iterator[tuple[Tensor, tuple[int, int]]]:
    for members, patch in plan[1]:
        for part in members.split(max(1, CHUNK // (patch[0] * patch[1]))):
            yield part, patch


def _patches(
    plan: Plan, patch: tuple[int, int], rows: Tensor, scale: Tensor, position: Tensor
) -> tuple[Tensor, Tensor]:
    """Return chords (n, rows, columns) and the flat canvas sample that each falls on; H W where it falls outside."""
    shape, _, (height, width), (dy, dx) = plan
    whole = patch == (height, width)
    cy, cx = position[:, 0, None], position[:, 1, None]
    # A patch starts half its size before the sample nearest to the centre.
    top = torch.zeros_like(cy) if whole else torch.round(cy.detach()) - patch[0] // 2
    left = torch.zeros_like(cx) if whole else torch.round(cx.detach()) - patch[1] // 2
    row = top + torch.arange(patch[0], dtype=position.dtype, device=position.device)
    column = left + torch.arange(patch[1], dtype=position.dtype, device=position.device)
    chords = thickness(
        shape, rows, scale, ((row - cy) * dy)[:, :, None], ((column - cx) * dx)[:, None, :], (dy * dx) ** 0.5
    )
    row, column = row.long(), column.long()
    inside_y, inside_x = (row >= 0) & (row < height), (column >= 0) & (column < width)
    flat = row[:, :, None] * width + column[:, None, :]
    if not bool(inside_y.all() & inside_x.all()):
        flat = torch.where(inside_y[:, :, None] & inside_x[:, None, :], flat, height * width)
    return chords, flat


def _accumulate(plan: Plan, rows: Tensor, scale: Tensor, position: Tensor, weights: Tensor) -> Tensor:
    height, width = plan[2]
    maps = weights.new_zeros(weights.shape[1], height * width + 1)
    for part, patch in _chunks(plan):
        chords, flat = _patches(plan, patch, rows[part], scale[part], position[part])
        flat = flat.reshape(-1)
        columns = weights[part]
        for channel in range(maps.shape[0]):
            maps[channel].index_add_(0, flat, (chords * columns[:, channel, None, None]).reshape(-1))
    return maps[:, :-1].reshape(-1, height, width)


class _Recomputed(torch.autograd.Function):
    """The same sum, whose backward pass renders every chunk again instead of keeping its tape."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, *inputs: Tensor) -> Tensor:
        ctx.plan = plan
        ctx.save_for_backward(*inputs)
        return _accumulate(plan, *inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        plan: Plan = ctx.plan
        inputs: tuple[Tensor, ...] = ctx.saved_tensors
        if torch.is_grad_enabled():
            # Somebody differentiates twice: that takes the tape after all.
            free = [tensor for tensor in inputs if tensor.requires_grad]
            found = iter(torch.autograd.grad(_accumulate(plan, *inputs), free, grad_outputs[0], create_graph=True))
            return None, *(next(found) if tensor.requires_grad else None for tensor in inputs)
        channels = inputs[3].shape[1]
        flat_gradient = torch.cat([grad_outputs[0].reshape(channels, -1), grad_outputs[0].new_zeros(channels, 1)], 1)
        gradients = [torch.zeros_like(tensor) for tensor in inputs]
        for part, patch in _chunks(plan):
            with torch.enable_grad():
                pieces = [tensor[part].detach().requires_grad_() for tensor in inputs]
                chords, flat = _patches(plan, patch, *pieces[:3])
            seen = flat_gradient[:, flat.reshape(-1)].reshape(channels, *chords.shape)
            pull = (seen * inputs[3][part].T[:, :, None, None]).sum(0)
            found = torch.autograd.grad(chords, pieces[:3], pull, allow_unused=True)
            for gradient, piece in zip(gradients[:3], found, strict=True):
                if piece is not None:
                    gradient[part] += piece
            gradients[3][part] = (seen * chords.detach()).sum((2, 3)).T
        return None, *gradients
