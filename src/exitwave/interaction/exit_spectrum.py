"""The spectrum of an exit wave, from maps to the pupil's band without the wave in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from exitwave.fourier import (
    BLOCK,
    Band,
    band_to_columns,
    columns_to_band,
    columns_to_rows,
    prunable,
    rows_to_columns,
    spectrum,
)
from exitwave.native import transforming

Planes = Callable[..., Tensor]
"""From a number and maps (..., h, W), each a tensor or None, to the wave's two planes (2, K, h, W)."""


def exit_spectrum(planes: Planes, number: Tensor, maps: tuple[Tensor | None, ...], band: Band) -> Tensor:
    """Return the Fourier transform (K, n, m) on a band of the wave that `planes` makes of a number and maps (H, W).

    The wave is made and transformed along its rows a block at a time, and made again in the backward pass: memory
    holds the maps and a narrow half-transformed array, never the wave. A sample of the wave may depend on the maps'
    samples in the rows beside it, on no others.
    """
    given = [tensor for tensor in (number, *maps) if tensor is not None]
    moving = any(forward_ad.unpack_dual(tensor).tangent is not None for tensor in given)
    if moving or transforming() or not prunable(band, given[-1].shape[-1]):
        return spectrum(planes(number, *maps), band)
    return _ExitSpectrum.apply(planes, band, number, *maps)


class _ExitSpectrum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, planes: Planes, band: Band, number: Tensor, *maps: Tensor | None) -> Tensor:
        ctx.planes, ctx.band = planes, band
        ctx.save_for_backward(number, *maps)
        parts = [rows_to_columns(planes(number, *block)[..., inner, :], band) for block, _, inner in _blocks(maps)]
        return columns_to_band(torch.cat(parts, -2), band)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        planes, band = ctx.planes, ctx.band
        number, *maps = inputs = ctx.saved_tensors
        if torch.is_grad_enabled():
            # Somebody differentiates twice: that takes the tape after all.
            free = [tensor for tensor in inputs if tensor is not None and tensor.requires_grad]
            whole = spectrum(planes(*inputs), band)
            found = iter(torch.autograd.grad(whole, free, gradients[0], create_graph=True))
            return None, None, *(next(found) if needed else None for needed in ctx.needs_input_grad[2:])
        height, width = next(tensor for tensor in maps if tensor is not None).shape[-2:]
        columns = band_to_columns(gradients[0], band, height)
        free = [place for place, wanted in enumerate(ctx.needs_input_grad[2:]) if wanted]
        sums: dict[int, Tensor] = {place: torch.zeros_like(inputs[place]) for place in free}
        for block, outer, inner in _blocks(maps):
            pieces: list[Any] = [number, *block]
            for place in free:
                pieces[place] = pieces[place].detach().requires_grad_()
            with torch.enable_grad():
                wave = planes(*pieces)[..., inner, :]
            start = outer.start + inner.start
            pull = columns_to_rows(columns[..., start : start + wave.shape[-2], :], width)
            found = torch.autograd.grad(wave, [pieces[place] for place in free], pull)
            for place, gradient in zip(free, found, strict=True):
                total = sums[place] if place == 0 else sums[place][..., outer, :]
                total += gradient
        return None, None, *(sums.get(place) for place in range(len(inputs)))


def _blocks(maps: Sequence[Tensor | None]) -> Iterator[tuple[list[Tensor | None], slice, slice]]:
    """Yield blocks of rows with one more on either side, the slice of their rows, and that of the block in it."""
    height = next(tensor for tensor in maps if tensor is not None).shape[-2]
    for start in range(0, height, BLOCK):
        stop = min(start + BLOCK, height)
        outer = slice(max(start - 1, 0), min(stop + 1, height))
        inner = slice(start - outer.start, stop - outer.start)
        yield [None if tensor is None else tensor[..., outer, :] for tensor in maps], outer, inner
