"""Pinholes: the disk over which a detector collects."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from exitwave.grid import fast_length
from exitwave.optics.psf.bessel import jinc
from exitwave.optics.psf.sampling import PSF

# Samples beyond the pinhole's edge: the disk's transform rings a little.
_MORE = 8


def jinc_at(radius: Tensor, fy: Tensor, fx: Tensor) -> Tensor:
    """Return the Fourier transform of a disk that collects all light, 1 at the origin, at frequencies in 1/um."""
    square = fy.square() + fx.square()
    far = torch.where(square > 0, square, torch.ones_like(square)).sqrt() * (square > 0)
    return jinc(2 * math.pi * radius.double() * far.double()).to(fx.dtype)


def through(psf: PSF, radius: Tensor, z: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Return the mean (Z, H, W) of a PSF over a disk of `radius` um about each of evenly spaced distances.

    A product of Fourier transforms over samples fine enough for the PSF and wide enough for the disk to leave the
    wrap-around outside.
    """
    limit = [0.5 / max(frequency, 1e-9) for frequency in psf.band(1e-7)[1:]]
    edge = float(radius.detach())
    (down, rows), (along, columns) = (_finer(lags, step, edge) for lags, step in zip((y, x), limit, strict=True))
    fine = psf.at(z, down, along)
    fy = torch.fft.fftfreq(len(down), float(down[1] - down[0]), dtype=z.dtype, device=z.device)[:, None]
    fx = torch.fft.rfftfreq(len(along), float(along[1] - along[0]), dtype=z.dtype, device=z.device)
    found = torch.fft.irfft2(torch.fft.rfft2(fine) * jinc_at(radius, fy, fx), s=fine.shape[-2:])
    return found[:, rows, columns]


def _finer(lags: Tensor, limit: float, edge: float) -> tuple[Tensor, slice]:
    """Return distances at most `limit` apart that reach an edge beyond `lags`, and which of them these are."""
    if len(lags) > 1:
        step = float(lags[-1] - lags[0]) / (len(lags) - 1)
        if step <= 0 or float((lags.diff() - step).abs().amax()) > 1e-3 * step:
            raise ValueError(
                "behind a pinhole the distances must be evenly spaced and rising, got others; ask for them on a grid"
            )
    else:
        step = limit
    factor = math.ceil(step / limit)
    step /= factor
    before = math.ceil(edge / step) + _MORE
    inside = (len(lags) - 1) * factor + 1
    count = fast_length(inside + 2 * before)
    first = float(lags[0]) - before * step
    fine = first + torch.arange(count, dtype=torch.float64, device=lags.device) * step
    return fine.to(lags), slice(before, before + inside, factor)
