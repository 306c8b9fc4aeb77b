"""Spreading: points added to a periodic grid with a smooth stencil, the first half of their fast Fourier transform.

The stencil is a polynomial in every cell of the grid, the same everywhere: here in plain torch and in the compiled
kernels of native/spread.cpp, which stand in for it on the CPU. Its own transform is known exactly and divided out, so
that what is left of it is the aliasing of a grid with few more samples than frequencies.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exitwave import native
from exitwave.grid import fast_length
from exitwave.lattice import Lattice
from exitwave.raster.stencil import WIDTHS, Envelope, Stencil, stencil_for

# More samples along an axis than frequencies, by at least that much.
_OVERSAMPLING = 1.25
# Stencil samples that plain torch works on at a time.
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class Plan:
    """How points are spread for a lattice: the grid's `shape` over one period of the box, and the stencil.

    `undo` are the inverse transforms of the stencil along z, y and x at the lattice's frequencies.
    """

    lattice: Lattice
    shape: tuple[int, int, int]
    stencil: Stencil
    undo: tuple[np.ndarray, np.ndarray, np.ndarray]

    @property
    def scale(self) -> tuple[float, float, float]:
        """Samples per micrometre."""
        z, y, x = (n / period for n, period in zip(self.shape, self.lattice.period, strict=True))
        return z, y, x

    def place(self, position: Tensor) -> Tensor:
        """Return positions (Q, 3) in samples, in double precision."""
        twofold = position.double()
        return (twofold - twofold.new_tensor(self.lattice.origin)) * twofold.new_tensor(self.scale)

    def inside(self, position: Tensor) -> Tensor:
        """Return which points (Q,) lie in the box; others are left out."""
        place = self.place(position.detach())
        return ((place >= 0) & (place <= place.new_tensor(self.shape))).all(-1)


def plan(lattice: Lattice, like: Tensor, rtol: float, envelope: Envelope) -> Plan:
    """Return the plan for a lattice whose spectrum is to be right to `rtol`, weighed by an `envelope`.

    Rounding in the precision of `like` sets what can be reached.
    """
    return _plan(lattice, rtol, envelope, 4 * torch.finfo(like.dtype).eps)


@functools.lru_cache(64)
def _plan(lattice: Lattice, rtol: float, envelope: Envelope, rounding: float) -> Plan:
    counts = [2 * order + 1 for order in lattice.order]
    z, y, x = (fast_length(max(math.ceil(_OVERSAMPLING * count), WIDTHS[-1])) for count in counts)
    ratio = min(n / count for n, count in zip((z, y, x), counts, strict=True))
    stencil = stencil_for(ratio, rtol, envelope, rounding)
    fz, fy, fx = (
        1 / stencil.transform(np.concatenate([np.arange(order + 1), np.arange(-order, 0)]) / n)
        for order, n in zip(lattice.order, (z, y, x), strict=True)
    )
    return Plan(lattice, (z, y, x), stencil, (fz, fy, fx[: lattice.order[2] + 1]))


def spread(position: Tensor, weights: Tensor, plan: Plan) -> Tensor:
    """Return grids (C, Z, Y, X) of sum over points (Q, 3) in um of weights (Q, C) times the stencil around them.

    Differentiable by positions and weights, forward and backward, once. Points outside the box are left out.
    """
    if position.dtype != weights.dtype:
        raise TypeError(f"expected weights of {position.dtype} like the positions, got {weights.dtype}; convert them")
    if native.transforming():
        return _added(position, weights, plan)
    return _Spread.apply(plan, position, weights)


class _Spread(torch.autograd.Function):
    """The sum; forward, backward and tangent by the kernels, or in plain torch without a tape."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, position: Tensor, weights: Tensor) -> Tensor:
        ctx.plan, ctx.order, ctx.inside = plan, None, 0
        ctx.save_for_backward(position, weights)
        ctx.save_for_forward(position, weights)
        kernels = _kernels(position)
        if kernels is None:
            return _added(position, weights, plan)
        grids = weights.new_empty(weights.shape[1], *plan.shape)
        ctx.order = torch.empty(len(position), dtype=torch.int32)
        ctx.inside = kernels.spread(
            *_dense(position, weights), *_numbers(plan), grids, ctx.order, torch.get_num_threads()
        )
        return grids

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        position, weights = ctx.saved_tensors
        by_position = torch.zeros_like(position) if tangents[1] is None else tangents[1]
        by_weights = torch.zeros_like(weights) if tangents[2] is None else tangents[2]
        kernels = _kernels(position)
        if kernels is None:
            return _changed(position, weights, by_position, by_weights, ctx.plan)
        grids = weights.new_empty(weights.shape[1], *ctx.plan.shape)
        given = _dense(position, weights, by_position, by_weights)
        kernels.spread_change(*given, *_numbers(ctx.plan), grids, torch.get_num_threads())
        return grids

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        position, weights = ctx.saved_tensors
        if torch.is_grad_enabled():
            raise RuntimeError("spread points have one derivative, got create_graph=True; differentiate once")
        if ctx.order is None:
            return None, *_gathered(position, weights, gradients[0], ctx.plan)
        kernels = _kernels(position)
        assert kernels is not None  # `forward` has used them
        position, weights, grids = _dense(position, weights, gradients[0])
        by_position, by_weights = torch.empty_like(position), torch.empty_like(weights)
        numbers, threads = _numbers(ctx.plan), torch.get_num_threads()
        kernels.spread_adjoint(
            position, weights, *numbers, grids, ctx.order, ctx.inside, by_position, by_weights, threads
        )
        return None, by_position, by_weights


def _kernels(position: Tensor) -> ModuleType | None:
    """Return the kernels where they may work on points."""
    known = position.dtype in (torch.float32, torch.float64) and position.device.type == "cpu"
    return native.KERNELS if known and len(position) else None


def _dense(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().contiguous() for tensor in tensors)


def _numbers(plan: Plan) -> tuple[Any, ...]:
    """Return what the kernels want to know of a plan."""
    return plan.stencil.coefficients, plan.lattice.origin, plan.scale


@dataclass(frozen=True)
class _Site:
    """The samples around points: values and slopes by position (q, width) of every axis, and their numbers (q, w^3)."""

    values: tuple[Tensor, ...]
    slopes: tuple[Tensor, ...]
    flat: Tensor

    def product(self, sloped: int = -1) -> Tensor:
        """Return the products (q, w, w, w) of the three axes' values, of one axis the slopes."""
        z, y, x = (self.slopes[axis] if axis == sloped else self.values[axis] for axis in range(3))
        return z[:, :, None, None] * y[:, None, :, None] * x[:, None, None, :]


def _site(position: Tensor, plan: Plan) -> _Site:
    """Return the samples around points, in plain torch."""
    width = plan.stencil.width
    low = plan.place(position) - width / 2
    first = low.detach().ceil()
    phase = (2 * (first - low) - 1).to(position)
    start = first.long()
    ahead = torch.arange(width, device=position.device)
    terms = torch.as_tensor(plan.stencil.coefficients, dtype=position.dtype, device=position.device)
    values, slopes, index = [], [], []
    for axis, size in enumerate(plan.shape):
        z = phase[:, axis, None]
        value, slope = terms[-1].expand(len(position), width), torch.zeros_like(z)
        for term in terms[:-1].flip(0):
            slope = slope * z + value
            value = value * z + term
        values.append(value)
        # The phase runs twice as fast as the point, the other way.
        slopes.append(slope * (-2 * plan.scale[axis]))
        index.append((start[:, axis, None] + ahead) % size)
    rows = (index[0][:, :, None] * plan.shape[1] + index[1][:, None, :])[:, :, :, None] * plan.shape[2]
    return _Site(tuple(values), tuple(slopes), (rows + index[2][:, None, None, :]).flatten(1))


def _within(plan: Plan, position: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Return points whose positions outside the box are somewhere in it, and whose other numbers are then zero."""
    inside = plan.inside(position)[:, None]
    corner = position.new_tensor(plan.lattice.origin)
    return torch.where(inside, position, corner), *(torch.where(inside, other, 0.0) for other in others)


def _chunk(plan: Plan) -> int:
    return max(1, _CHUNK // plan.stencil.width**3)


def _added(position: Tensor, weights: Tensor, plan: Plan) -> Tensor:
    """Return the spread points in plain torch, which every transform of torch passes through."""
    position, weights = _within(plan, position, weights)
    total = list(weights.new_zeros(weights.shape[1], math.prod(plan.shape)))
    for some, weight in zip(position.split(_chunk(plan)), weights.split(_chunk(plan)), strict=True):
        site = _site(some, plan)
        patch, flat = site.product().flatten(1), site.flat.reshape(-1)
        total = [
            one.index_add(0, flat, (patch * share[:, None]).reshape(-1))
            for one, share in zip(total, weight.T, strict=True)
        ]
    return torch.stack(total).reshape(-1, *plan.shape)


def _changed(position: Tensor, weights: Tensor, by_position: Tensor, by_weights: Tensor, plan: Plan) -> Tensor:
    """Return how the spread points change as positions and weights do."""
    given = _within(plan, position, weights, by_position, by_weights)
    total = weights.new_zeros(weights.shape[1], math.prod(plan.shape))
    for some, weight, move, more in zip(*(tensor.split(_chunk(plan)) for tensor in given), strict=True):
        site = _site(some, plan)
        still, flat = site.product().flatten(1), site.flat.reshape(-1)
        moved = torch.stack([site.product(axis).flatten(1) * move[:, axis, None] for axis in range(3)]).sum(0)
        for one, share, change in zip(total, weight.T, more.T, strict=True):
            one.index_add_(0, flat, (still * change[:, None] + moved * share[:, None]).reshape(-1))
    return total.reshape(-1, *plan.shape)


def _gathered(position: Tensor, weights: Tensor, grids: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
    """Return the gradients by positions and weights of the sum of spread points times `grids`."""
    given = _within(plan, position, weights)
    flat = grids.reshape(len(grids), -1)
    by_position, by_weights = [], []
    for some, weight in zip(*(tensor.split(_chunk(plan)) for tensor in given), strict=True):
        site = _site(some, plan)
        seen = torch.stack([one.index_select(0, site.flat.reshape(-1)).reshape(site.flat.shape) for one in flat], 1)
        by_weights.append(torch.einsum("qcs,qs->qc", seen, site.product().flatten(1)))
        pull = torch.einsum("qcs,qc->qs", seen, weight)
        by_position.append(torch.stack([(pull * site.product(axis).flatten(1)).sum(-1) for axis in range(3)], -1))
    inside = plan.inside(position)[:, None]
    return torch.cat(by_position) * inside, torch.cat(by_weights) * inside
