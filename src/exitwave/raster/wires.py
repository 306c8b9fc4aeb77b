"""Unions: what lines along z run through where several pieces of one body lie over a sample."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from exitwave.field import Canvas
from exitwave.raster.fragments import Fragments, fragments, fragments_of
from exitwave.specimen.wires import Chains


@fragments_of.register
def chain_fragments(chains: Chains, first: int, canvas: Canvas, like: Tensor) -> tuple[list[Fragments], int]:
    """Return the fragments of wires, each the union of its capsules, and how many wires there are."""
    capsules, wire = chains.capsules()
    pieces = fragments([capsules], canvas, like)
    return [united(replace(pieces, body=wire[pieces.body] + first))], chains.count


def united(pieces: Fragments) -> Fragments:
    """Return the fragments of bodies, in any order, from those of their pieces, which have the bodies' numbers.

    Over one sample, pieces of a body that overlap or touch along z are one fragment. Of two pieces that cover shares of
    a cell, the smaller share is taken to lie within the larger one, as it does where a chain of capsules runs on: the
    union covers the largest, and its top is the mean over what is seen from above of the pieces, its bottom that from
    below. So heights change without a step where a piece begins to reach into a cell.

    >>> number, height = torch.zeros(2, dtype=torch.int64), torch.tensor([3.0, 2.0])
    >>> slope, share = torch.zeros(2, 2), torch.tensor([0.25, 1.0])
    >>> whole = united(Fragments(number, number, height, height - 1.5, slope, share))
    >>> whole.top.tolist(), whole.bottom.tolist(), whole.share.tolist()
    ([2.25], [0.5], [1.0])
    """
    if not len(pieces.sample):
        return pieces
    column = pieces.sample * (int(pieces.body.amax()) + 1) + pieces.body
    order = torch.argsort(column, stable=True)
    pieces, column = pieces.only(order), column[order]
    top, bottom, share = pieces.top, pieces.bottom, pieces.share
    starts = torch.ones_like(column, dtype=torch.bool)
    starts[1:] = (column[1:] != column[:-1]) | (top.detach()[1:] < _lowest(bottom.detach(), column)[:-1])
    number = torch.cumsum(starts, 0) - 1
    first = starts.nonzero()[:, 0]

    def mean(values: Tensor, weight: Tensor) -> Tensor:
        """The mean of each fragment's pieces, from the first one on: a piece alone is what it was to the last digit."""
        base = values.index_select(-1, first)
        return base.index_add(-1, number, weight * (values - base.index_select(-1, number)))

    seen = _uncovered(share, number)
    whole = seen.new_zeros(len(first)).index_add(0, number, seen)
    above = seen / whole.index_select(0, number)
    rising = torch.argsort(bottom.detach())
    upward = rising[torch.argsort(number[rising], stable=True)]
    below = torch.zeros_like(share).index_copy(0, upward, _uncovered(share.index_select(0, upward), number))
    below = below / whole.index_select(0, number)
    sample, body = pieces.sample[first], pieces.body[first]
    return Fragments(sample, body, mean(top, above), mean(bottom, below), mean(pieces.slope, above), whole)


def _lowest(bottom: Tensor, column: Tensor) -> Tensor:
    """Return the lowest bottom (F,) of each piece and those before it in its column."""
    _, rank = torch.unique_consecutive(column, return_inverse=True)
    # Every column is shifted below all before it, so that one running minimum serves all.
    shift = rank * (1.0 + (bottom.amax() - bottom.amin()).double())
    return torch.cummin(bottom.double() - shift, 0).values + shift


def _uncovered(share: Tensor, number: Tensor) -> Tensor:
    """Return by how much (F,) each piece's share is larger than those of all before it that have its number."""
    place = torch.arange(len(share), device=share.device)
    # Shares are at most 1, or little more by rounding: those of the next number are larger than all before.
    largest = torch.cummax(share.detach().double() + 2.0 * number, 0).indices
    before = torch.cat([largest[:1], largest[:-1]])
    follows = (place > 0) & (number[before] == number)
    held = torch.where(follows, share.index_select(0, before), 0.0)
    return torch.where(largest == place, share - held, 0.0)
