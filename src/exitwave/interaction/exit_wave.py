"""The exit wave: optical path and absorbance to a complex amplitude, in one pass."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from exitwave import native


def exit_wave(cycles: Tensor, absorbance: Tensor | None) -> Tensor:
    """Return the real and the imaginary part (2, ..., H, W) of sqrt(e^-absorbance) resolved(cycles) e^(2 pi i cycles).

    `cycles` (..., H, W) is the optical path in wavelengths and `absorbance`, of a shape that broadcasts to it, the
    natural absorbance of the irradiance. Leading dimensions are a batch of planes.

    >>> exit_wave(torch.ones(1, 1), torch.full((1, 1), 2 * math.log(2.0))).flatten()
    tensor([0.5000, 0.0000])
    """
    inputs = [cycles] if absorbance is None else [cycles, absorbance]
    if native.KERNELS is None or not native.usable(*inputs) or not cycles.numel():
        return _reference(cycles, absorbance)
    return _Fused.apply(native.KERNELS, cycles, None if absorbance is None else absorbance.expand_as(cycles))


def resolved(cycles: Tensor) -> Tensor:
    """Return the amplitude (..., H, W) of light that the grid can carry away: 1 on gentle slopes, 0 on steep ones.

    A facet that adds g cycles per sample refracts light to the spatial frequency g / pixel. Beyond half a cycle that
    direction cannot be represented; it would come back at a wrong angle. Such light misses every pupil that the grid
    resolves, so it is taken out, with a smooth step from 0.4 to 0.6 cycles. This is what makes crystal edges dark.
    """
    steepest = torch.maximum(_slope(cycles, -2), _slope(cycles, -1))
    excess = ((steepest - 0.4) / 0.2).clamp(0.0, 1.0)
    return 1.0 - excess * excess * (3.0 - 2.0 * excess)


def _slope(cycles: Tensor, axis: int) -> Tensor:
    """Return |cycles per sample| along one of the last two axes by central differences, 0 on the border."""
    count = cycles.shape[axis]
    if count < 3:
        return torch.zeros_like(cycles)
    difference = cycles.narrow(axis, 2, count - 2) - cycles.narrow(axis, 0, count - 2)
    border = (1, 1) if axis == -1 else (0, 0, 1, 1)
    return torch.nn.functional.pad(0.5 * difference.abs(), border)


def _reference(cycles: Tensor, absorbance: Tensor | None) -> Tensor:
    amplitude = resolved(cycles)
    if absorbance is not None:
        amplitude = amplitude * torch.exp(-0.5 * absorbance)
    # Whole cycles are taken off before multiplying by 2 pi: in single precision thick bodies would lose digits there.
    phase = 2 * math.pi * (cycles - torch.round(cycles.detach()))
    return torch.stack([amplitude * torch.cos(phase), amplitude * torch.sin(phase)])


class _Fused(torch.autograd.Function):
    """The same in one pass over memory; the backward pass computes the wave again instead of keeping its tape."""

    @staticmethod
    def forward(ctx: Any, kernels: ModuleType, cycles: Tensor, absorbance: Tensor | None) -> Tensor:
        ctx.kernels = kernels
        ctx.save_for_backward(cycles, absorbance)
        wave = cycles.new_empty(2, *cycles.shape)
        planes = _planes(cycles)
        kernels.exit_wave(
            planes,
            None if absorbance is None else _planes(absorbance),
            wave.view(2, *planes.shape),
            torch.get_num_threads(),
        )
        return wave

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        cycles, absorbance = ctx.saved_tensors
        if torch.is_grad_enabled():
            # Somebody differentiates twice: that takes the tape after all.
            needed = ctx.needs_input_grad[1:]
            free = [tensor for tensor, wanted in zip((cycles, absorbance), needed, strict=True) if wanted]
            found = iter(torch.autograd.grad(_reference(cycles, absorbance), free, gradients[0], create_graph=True))
            return None, *(next(found) if wanted else None for wanted in needed)
        to_cycles = torch.empty_like(cycles, memory_format=torch.contiguous_format)
        to_absorbance = torch.empty_like(to_cycles) if ctx.needs_input_grad[2] else None
        planes = _planes(cycles)
        ctx.kernels.exit_wave_adjoint(
            planes,
            None if absorbance is None else _planes(absorbance),
            gradients[0].contiguous().view(2, *planes.shape),
            to_cycles.view_as(planes),
            None if to_absorbance is None else to_absorbance.view_as(planes),
            torch.get_num_threads(),
        )
        return None, to_cycles, to_absorbance


def _planes(maps: Tensor) -> Tensor:
    """Return maps (..., H, W) as one stack (P, H, W) in order."""
    return maps.detach().contiguous().view(-1, *maps.shape[-2:])
