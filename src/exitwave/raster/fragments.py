"""Fragments: where lines along z through the samples of a canvas pass through bodies, sorted from the top down.

A fragment is one body over one sample: the heights at which it begins and ends there, how its upper side slopes, and
the share of the sample's cell that it covers. There are as many as bodies cover samples, and no array of bodies times
samples. Where a body ends inside of a cell, heights and slopes are those in the middle of what it covers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from exitwave import native
from exitwave.field import Canvas
from exitwave.specimen import Film


@dataclass(frozen=True)
class Fragments:
    """F fragments, in the order of their samples and from the top down within one.

    `sample` (F,) is the flat number of the canvas's sample and `body` (F,) that of the body, counted over all parts;
    `top` and `bottom` (F,) are heights in micrometres, `slope` (2, F) the derivatives of the top along y and x, and
    `share` (F,) how much of the cell is covered.
    """

    sample: Tensor
    body: Tensor
    top: Tensor
    bottom: Tensor
    slope: Tensor
    share: Tensor

    @property
    def thickness(self) -> Tensor:
        """How long the line runs through the body (F,), in micrometres."""
        return self.top - self.bottom

    @property
    def cosine(self) -> Tensor:
        """The cosine (F,) of the angle between the upper side's normal and z."""
        return torch.rsqrt(1 + self.slope.square().sum(0))

    @property
    def normal(self) -> Tensor:
        """The unit normals (F, 3) of the upper side, (z, y, x)."""
        down, across = self.slope
        return torch.stack([torch.ones_like(down), -down, -across], -1) * self.cosine[:, None]

    def risen(self, shape: tuple[int, ...]) -> Fragments:
        """Return those whose top stands above z = 0; a one-line error where no part of a body does.

        `shape` is that of the canvas: of what its border cuts off nobody knows whether it rises beyond.
        """
        up = self.top.detach() > 0
        if bool(up.all()):
            return self
        row, column = self.sample // shape[1], self.sample % shape[1]
        cut = (row == 0) | (row == shape[0] - 1) | (column == 0) | (column == shape[1] - 1)
        sunk = torch.zeros(int(self.body.amax()) + 1, dtype=torch.bool, device=up.device)
        sunk[self.body] = True
        sunk[self.body[up | cut]] = False
        if bool(sunk.any()):
            number = int(sunk.nonzero()[0, 0])
            highest = float(self.top.detach()[self.body == number].amax())
            raise ValueError(
                f"bodies lie on the support at z = 0 or rise from it, got number {number} below it, up to "
                f"{highest:.4g} um; raise its z"
            )
        return self.only(up.nonzero()[:, 0])

    def only(self, numbers: Tensor) -> Fragments:
        """Return those of these numbers (K,), in their order."""
        return Fragments(*(values.index_select(-1, numbers) for values in vars(self).values()))

    def below(self) -> Tensor:
        """Return how much of all bodies lies at and below every fragment (F,), in micrometres of thickness."""
        own = (self.share * self.thickness).double()
        _, segment = torch.unique_consecutive(self.sample, return_inverse=True)
        whole = own.new_zeros(int(segment[-1]) + 1 if len(segment) else 0).index_add(0, segment, own)
        total = torch.cumsum(own, 0)
        before = torch.cumsum(whole, 0) - whole
        # A body counts in full where it is seen, whatever share of the cell it covers.
        rest = whole.index_select(0, segment) - (total - before.index_select(0, segment))
        return rest.clamp(min=0.0).to(self.top) + self.thickness

    def passed(self, through: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is left above each fragment (F,), and below all of each sample's, by the samples that have any.

        `through` (F,) is what every fragment lets pass. The second is the product over the fragments of one sample
        (M,), for the samples `sample.unique()`.
        """
        if native.usable(through):
            return _Passed.apply(self.sample, through)
        return _passed(self.sample, through)


def fragments(parts: Sequence[object], canvas: Canvas, like: Tensor) -> Fragments:
    """Return the fragments of all bodies over a canvas, with the dtype of `like`; differentiable in their numbers.

    >>> from exitwave.grid import Grid
    >>> from exitwave.specimen import Particles, Sphere
    >>> ball = Particles(Sphere(), center=[[1.0, 0, 0]], size=[[1.0]], index=[1.5])
    >>> found = fragments([ball], Canvas(Grid((5, 5), 0.5), (0, 0), (5, 5)), torch.zeros(()))
    >>> middle = found.sample == 12
    >>> found.top[middle].tolist(), found.thickness[middle].tolist()
    ([2.0], [2.0])
    """
    found: list[Fragments] = []
    first = 0
    for part in parts:
        more, count = fragments_of(part, first, canvas, like)
        found += more
        first += count
    if not found:
        return nothing(like)
    whole = joined(found)
    order = _order(whole.sample, whole.top.detach(), canvas)
    return whole.only(order)


def nothing(like: Tensor) -> Fragments:
    """Return no fragments, of the dtype of `like`."""
    none = like.new_zeros(0)
    return Fragments(none.long(), none.long(), none, none, none.expand(2, 0), none)


def joined(found: Sequence[Fragments]) -> Fragments:
    """Return several fragments as one, in their order."""
    return Fragments(*(torch.cat(columns, -1) for columns in zip(*(vars(one).values() for one in found), strict=True)))


def _passed(sample: Tensor, through: Tensor) -> tuple[Tensor, Tensor]:
    """Return what `Fragments.passed` does, in plain torch."""
    # Layer by layer, from the top down: without quotients, what is opaque has its derivative too.
    _, segment, counts = torch.unique_consecutive(sample, return_inverse=True, return_counts=True)
    number = torch.arange(len(sample), device=sample.device)
    rank = number - (torch.cumsum(counts, 0) - counts)[segment]
    left, pieces, places = through.new_ones(len(counts)), [], []
    for layer in range(int(counts.amax()) if len(counts) else 0):
        place = (rank == layer).nonzero()[:, 0]
        pieces.append(left.index_select(0, segment[place]))
        places.append(place)
        left = left.index_copy(0, segment[place], pieces[-1] * through.index_select(0, place))
    if not pieces:
        return through, left
    return torch.zeros_like(through).index_copy(0, torch.cat(places), torch.cat(pieces)), left


class _Passed(torch.autograd.Function):
    """The same by the compiled kernels."""

    @staticmethod
    def forward(ctx: Any, sample: Tensor, through: Tensor) -> tuple[Tensor, Tensor]:
        dense = through.detach().contiguous()
        above, below = torch.empty_like(dense), dense.new_empty(len(sample.unique_consecutive()))
        native.kernels().pass_forward(sample, dense, above, below)
        ctx.save_for_backward(sample, through, above)
        return above, below

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        sample, through, above = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, torch.autograd.grad(_passed(sample, through), through, grad_outputs, create_graph=True)[0]
        found = torch.empty_like(above)
        by_above, by_below = (gradient.contiguous() for gradient in grad_outputs)
        native.kernels().pass_adjoint(sample, through.contiguous(), above, by_above, by_below, found)
        return None, found


def _order(sample: Tensor, top: Tensor, canvas: Canvas) -> Tensor:
    """Return the numbers (F,) of fragments in the order of their samples, and from the top down within one."""
    if native.usable(top):
        order = torch.empty_like(sample)
        native.kernels().order_fragments(sample, top.contiguous(), math.prod(canvas.grid.shape), order)
        return order
    down = torch.argsort(top, descending=True, stable=True)
    return down[torch.argsort(sample[down], stable=True)]


@singledispatch
def fragments_of(part: object, first: int, canvas: Canvas, like: Tensor) -> tuple[list[Fragments], int]:
    """Return the fragments of one part in any order, its bodies numbered from `first` on, and how many those are.

    Parts that have bodies have a `secondary` and a `backscatter` for each.
    """
    raise TypeError(
        "electrons see Particles, Mesh and Chains, and Film as the support's texture, got "
        f"{type(part).__name__}; draw a population of a recipe with sample(scene, Key(seed)), leave anything else out"
    )


@fragments_of.register
def _(part: Film, first: int, canvas: Canvas, like: Tensor) -> tuple[list[Fragments], int]:
    return [], 0
