"""Chords of particles, one by one: where lines along z through the samples of a canvas enter and leave them.

The reference is in plain torch, a chunk of patches at a time: any device, any dtype, any shape with a `chord` and an
`edge`, and slopes are the chord's own derivatives. The compiled kernels of native/fragments.cpp stand in for it on the
CPU, in single precision, for the shapes of this package.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from exitwave import native
from exitwave.field import Canvas
from exitwave.raster.bodies import BODIES
from exitwave.raster.fragments import Fragments, fragments_of, joined, nothing
from exitwave.raster.splat import CHUNK, SIZES, patch_groups
from exitwave.specimen import Particles
from exitwave.specimen.shapes import Shape

# Chords this much shorter than a cell do not count: lines that only touch a body.
_TOUCH = 1e-6


@fragments_of.register
def particle_fragments(particles: Particles, first: int, canvas: Canvas, like: Tensor) -> tuple[list[Fragments], int]:
    """Return the fragments of particles, differentiable in poses and sizes, and how many particles there are."""
    dy, dx = canvas.grid.spacing
    # As they are: no corrections that keep volumes, as optical path differences want them.
    rows, scale = particles.shape.prepare(particles.size, particles.axes, 0.0)
    center = particles.center.to(like)
    position = torch.stack([center[:, 1] / dy + canvas.origin[0], center[:, 2] / dx + canvas.origin[1]], -1)
    inputs = (rows.to(like), scale.to(like), position, center[:, 0])
    plan = _Plan(particles, canvas)
    if type(particles.shape) in BODIES and native.usable(*inputs):
        found = Fragments(*_Native.apply(plan, *inputs))
    else:
        found = plan.find(*inputs)
    return [replace(found, body=found.body + first)], particles.count


@dataclass(frozen=True)
class _Plan:
    """What is found where."""

    particles: Particles
    canvas: Canvas

    def find(self, rows: Tensor, scale: Tensor, position: Tensor, altitude: Tensor) -> Fragments:
        """Return where lines meet the particles, in plain torch."""
        height, width = self.canvas.grid.shape
        with torch.no_grad():
            half = self.particles.reach()[:, 1:].to(rows) / rows.new_tensor(self.canvas.grid.spacing) + 1.5
            limit = rows.new_tensor([height - 1, width - 1])
            seen = ((position + half > 0) & (position - half < limit)).all(-1)
            groups = patch_groups((2 * half.amax(-1) + 1).masked_fill(~seen, -1.0), SIZES)
        found = []
        for members, side in groups:
            patch = (side, side) if side else (height, width)
            for some in members.split(max(1, CHUNK // (patch[0] * patch[1]))):
                place = position[some]
                corner = torch.round(place.detach()) - rows.new_tensor(patch) // 2 if side else 0 * place
                found.append(self._patch(rows[some], scale[some], place, altitude[some], corner, patch, some))
        if not found:
            return nothing(rows)
        return joined(found)

    def _patch(
        self,
        rows: Tensor,
        scale: Tensor,
        position: Tensor,
        altitude: Tensor,
        corner: Tensor,
        patch: tuple[int, int],
        body: Tensor,
    ) -> Fragments:
        """Return what is found over patches of samples that begin at `corner` (n, 2)."""
        (dy, dx), (height, width) = self.canvas.grid.spacing, self.canvas.grid.shape
        shape, cell = self.particles.shape, (dy * dx) ** 0.5
        row, column = (corner[:, axis, None].detach() + torch.arange(patch[axis]).to(corner) for axis in (0, 1))
        y = ((row - position[:, 0, None]) * dy)[:, :, None].expand(-1, *patch)
        x = ((column - position[:, 1, None]) * dx)[:, None, :].expand(-1, *patch)
        distance, normal_y, normal_x = shape.edge(rows, y, x)
        hit = (distance / cell + 0.5).clamp(0.0, 1.0)
        # Across an edge, the middle of what the body covers of a segment along the edge's normal.
        inward = 0.5 * cell * (1.0 - hit)
        y, x = y - inward * normal_y, x - inward * normal_x
        entry, leave, slope = _sloped(shape, rows, y, x)
        share = scale[:, None, None] * hit
        within = ((row >= 0) & (row < height))[:, :, None] & ((column >= 0) & (column < width))[:, None, :]
        touched = (share.detach() > 0) & (leave.detach() - entry.detach() > _TOUCH * cell)
        kept = (within & touched).flatten().nonzero()[:, 0]
        flat = (row[:, :, None] * width + column[:, None, :]).long().flatten()[kept]
        owner = kept // (patch[0] * patch[1])
        low, high = (altitude.index_select(0, owner) + end.flatten().index_select(0, kept) for end in (entry, leave))
        slope = slope.flatten(1).index_select(1, kept)
        return Fragments(flat, body[owner], high, low, slope, share.flatten().index_select(0, kept))

    def again(self, inputs: tuple[Tensor, ...], sample: Tensor, body: Tensor) -> list[Tensor]:
        """Return tops, bottoms, slopes and shares at these samples of these bodies, with a tape of their own."""
        found = self.find(*inputs)
        wanted = sample * self.particles.count + body
        ordered, order = torch.sort(found.sample * self.particles.count + found.body)
        # What rounding has made the kernels find alone has no slope here; it covers next to nothing.
        place = torch.searchsorted(ordered, wanted).clamp(max=max(len(order) - 1, 0))
        there = (ordered[place] == wanted).to(found.top)
        values = (found.top, found.bottom, found.slope, found.share)
        return [value.index_select(-1, order[place]) * there for value in values]


def _sloped(shape: Shape, rows: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return where chords begin and end, and the slope (2, ...) of their upper ends: the chord's own derivative."""
    taped = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (rows, y, x))
    with torch.enable_grad():
        moves = [torch.zeros_like(y, requires_grad=True), torch.zeros_like(x, requires_grad=True)]
        entry, leave = shape.chord(rows, y + moves[0], x + moves[1])
        slope = torch.stack(torch.autograd.grad(leave.sum(), moves, create_graph=taped))
    if not taped and all(forward_ad.unpack_dual(tensor).tangent is None for tensor in (rows, y, x)):
        return entry.detach(), leave.detach(), slope
    # Apart from the moves, which nobody asks for.
    return *shape.chord(rows, y, x), slope


class _Native(torch.autograd.Function):
    """The same by the compiled kernels, particle after particle."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, *inputs: Tensor) -> tuple[Tensor, ...]:
        count, threads = plan.particles.count, torch.get_num_threads()
        given = _arguments(plan, inputs)
        extent, each = torch.empty(count, 2, dtype=torch.int32), torch.empty(count, dtype=torch.int64)
        native.kernels().fragment_extents(*given, extent, each, threads)
        most = int(each.sum())
        sample, numbers = torch.empty(most, dtype=torch.int64), torch.empty(5, most)
        top, bottom, slope, share = numbers[0], numbers[1], numbers[2:4], numbers[4]
        native.kernels().find_fragments(*given, _TOUCH, extent, each, sample, top, bottom, slope, share, threads)
        found = int(each.sum())
        body = torch.repeat_interleave(each, output_size=found)
        sample = sample[:found]
        ctx.plan = plan
        ctx.save_for_backward(*inputs, sample, body, each)
        ctx.mark_non_differentiable(sample, body)
        return sample, body, top[:found], bottom[:found], slope[:, :found], share[:found]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        *saved, sample, body, each = ctx.saved_tensors
        inputs, pulls = tuple(saved), grad_outputs[2:]
        if torch.is_grad_enabled():
            free = [tensor for tensor in inputs if tensor.requires_grad]
            values = ctx.plan.again(inputs, sample, body)
            found = iter(torch.autograd.grad(values, free, pulls, create_graph=True, allow_unused=True))
            return None, *(next(found) if tensor.requires_grad else None for tensor in inputs)
        gradients = [torch.zeros_like(tensor, memory_format=torch.contiguous_format) for tensor in inputs]
        dense = (pull.contiguous() for pull in pulls)
        threads = torch.get_num_threads()
        native.kernels().fragments_adjoint(*_arguments(ctx.plan, inputs), each, sample, *dense, *gradients, threads)
        return None, *gradients


def _arguments(plan: _Plan, inputs: tuple[Tensor, ...]) -> tuple[Any, ...]:
    """Return what the kernels of both directions begin with."""
    (dy, dx), (height, width) = plan.canvas.grid.spacing, plan.canvas.grid.shape
    dense = (tensor.detach().contiguous() for tensor in inputs)
    return BODIES[type(plan.particles.shape)], *dense, height, width, (dy, dx, (dy * dx) ** 0.5)
