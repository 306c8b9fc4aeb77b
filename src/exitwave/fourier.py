"""Fourier transforms between a wide canvas and the few frequencies that a pupil passes.

A pupil passes a small part of the frequencies that a canvas samples. Transforming rows first and keeping only the
wanted columns saves most of the second pass, and a complex wave given by its two real planes needs half of the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Response = Callable[[Tensor, Tensor], Tensor | None]
"""A transfer function of frequencies fy (n, 1) and fx (1, m) in 1/um; None where it is 1."""


BLOCK = 128
"""Rows that are transformed at a time: the memory of a whole canvas costs more than its transform."""


@dataclass(frozen=True)
class Band:
    """A block of a canvas's signed frequencies, in steps of 1 / field: those from `first` on, `shape` many."""

    first: tuple[int, int]
    shape: tuple[int, int]

    def frequencies(self, step: tuple[float, float], like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the frequencies fy (n, 1) and fx (1, m) in 1/um for steps in 1/um."""
        fy, fx = (
            torch.arange(first, first + count, dtype=like.dtype, device=like.device) * width
            for first, count, width in zip(self.first, self.shape, step, strict=True)
        )
        return fy[:, None], fx[None]

    def inside(self, other: Band) -> tuple[slice, slice]:
        """Return the slices that cut this band out of an array on `other`."""
        top, left = (mine - outer for mine, outer in zip(self.first, other.first, strict=True))
        return slice(top, top + self.shape[0]), slice(left, left + self.shape[1])


def union(bands: list[Band]) -> Band:
    """Return the smallest band that holds all of `bands`.

    >>> union([Band((-3, -2), (5, 5)), Band((0, -4), (2, 2))])
    Band(first=(-3, -4), shape=(5, 7))
    """
    top, left = (min(band.first[axis] for band in bands) for axis in range(2))
    bottom, right = (max(band.first[axis] + band.shape[axis] for band in bands) for axis in range(2))
    return Band((top, left), (bottom - top, right - left))


def spectrum(planes: Tensor, band: Band) -> Tensor:
    """Return the Fourier transform (..., n, m) on a band, lowest frequencies first, of a wave (..., H, W).

    `planes` (2, ..., H, W) holds the wave's real and imaginary part. Bands wider than the canvas repeat it.
    """
    return _Spectrum.apply(planes, band)


class _Spectrum(torch.autograd.Function):
    """The pruned transform; what comes back through it is its adjoint, pruned as well."""

    generate_vmap_rule = True

    @staticmethod
    def forward(planes: Tensor, band: Band) -> Tensor:
        return _forward(planes, band)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Band], output: Tensor) -> None:
        ctx.band, ctx.shape = inputs[1], inputs[0].shape[-2:]

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _forward(tangents[0], ctx.band)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _adjoint(gradients[0], ctx.band, ctx.shape), None


def _forward(planes: Tensor, band: Band) -> Tensor:
    if prunable(band, planes.shape[-1]):
        return columns_to_band(rows_to_columns(planes, band), band)
    height, width = planes.shape[-2:]
    full = torch.fft.fft2(torch.complex(planes[0], planes[1]))
    return full.index_select(-2, _rows(band, height, 1, planes)).index_select(-1, _columns(band, width, planes))


def _adjoint(gradient: Tensor, band: Band, shape: tuple[int, int]) -> Tensor:
    """Return the planes (2, ..., H, W) of the inverse transform, not divided by H W, of what lies on the band."""
    height, width = shape
    if prunable(band, width):
        return columns_to_rows(band_to_columns(gradient, band, height), width)
    thin = gradient.new_zeros(*gradient.shape[:-1], width).index_add(-1, _columns(band, width, gradient), gradient)
    full = gradient.new_zeros(*gradient.shape[:-2], height, width)
    wave = torch.fft.ifft2(full.index_add(-2, _rows(band, height, 1, gradient), thin), norm="forward")
    return torch.stack([wave.real, wave.imag])


def prunable(band: Band, width: int) -> bool:
    """Return whether a real transform of rows of `width` samples holds all columns of a band."""
    return 2 * _reach(band) < width


def _reach(band: Band) -> int:
    """Return the largest column frequency of a band, whatever its sign."""
    return max(abs(band.first[1]), abs(band.first[1] + band.shape[1] - 1))


def _rows(band: Band, height: int, sign: int, like: Tensor) -> Tensor:
    return (sign * torch.arange(band.first[0], band.first[0] + band.shape[0], device=like.device)) % height


def _columns(band: Band, width: int, like: Tensor) -> Tensor:
    return torch.arange(band.first[1], band.first[1] + band.shape[1], device=like.device) % width


def rows_to_columns(planes: Tensor, band: Band) -> Tensor:
    """Return the transform along rows of planes (2, ..., h, W), cut to the frequencies from 0 on that a band needs."""
    return torch.fft.rfft(planes, dim=-1)[..., : _reach(band) + 1]


def columns_to_rows(columns: Tensor, width: int) -> Tensor:
    """Return the adjoint of `rows_to_columns`: planes (2, ..., h, W)."""
    return torch.fft.irfft(columns, n=width, dim=-1, norm="forward")


def columns_to_band(columns: Tensor, band: Band) -> Tensor:
    """Return the spectrum (..., n, m) on a band from rows transformed by `rows_to_columns`, (2, ..., H, reach + 1)."""
    half = torch.fft.fft(columns, dim=-2)
    height = half.shape[-2]
    # The transforms c and s of real planes give c + i s at (k, l), and conj(c - i s) at (-k, -l).
    first, end = band.first[1], band.first[1] + band.shape[1]
    found = half.new_empty(*half.shape[1:-2], *band.shape)
    if first < 0:
        there = half[..., max(1, 1 - end) : 1 - first].index_select(-2, _rows(band, height, -1, half))
        found[..., : min(0, end) - first] = torch.add(there[0], there[1], alpha=-1j).flip(-1).conj()
    if end > 0:
        there = half[..., max(first, 0) : end].index_select(-2, _rows(band, height, 1, half))
        torch.add(there[0], there[1], alpha=1j, out=found[..., max(0, -first) :])
    return found


def band_to_columns(gradient: Tensor, band: Band, height: int) -> Tensor:
    """Return the adjoint of `columns_to_band`: (2, ..., H, reach + 1)."""
    first, end = band.first[1], band.first[1] + band.shape[1]
    half = gradient.new_zeros(2, *gradient.shape[:-2], height, _reach(band) + 1)
    # A real plane has the spectrum (G(k) + conj G(-k)) / 2, an imaginary one (G(k) - conj G(-k)) / 2i.
    if end > 0:
        there = 0.5 * gradient[..., max(0, -first) :]
        rows = _rows(band, height, 1, gradient)
        half[..., max(0, first) : end].index_add_(-2, rows, torch.stack([there, -1j * there]))
    if first <= 0:
        last = min(0, end - 1)
        there = 0.5 * gradient[..., : last - first + 1].flip(-1).conj()
        rows = _rows(band, height, -1, gradient)
        half[..., -last : 1 - first].index_add_(-2, rows, torch.stack([there, 1j * there]))
    return torch.fft.ifft(half, dim=-2, norm="forward")


def image(
    coarse: Tensor,
    shape: tuple[int, ...],
    spacing: tuple[float, ...],
    window: tuple[slice, slice],
    response: Response,
) -> Tensor:
    """Return a band-limited image (h, w) on the `window` of a grid of `shape`, by padding its Fourier transform.

    `coarse` samples the same field on a coarser grid, and `response` multiplies its spectrum.
    """
    rows, columns = coarse.shape
    # A grid coarser than the band is computed finer and sampled.
    fold = [-(-n // m) for n, m in zip((rows, columns), shape, strict=True)]
    fine = [m * f for m, f in zip(shape, fold, strict=True)]
    half = ((rows - 1) // 2, (columns - 1) // 2)
    spectrum = torch.fft.rfft2(coarse)[:, : half[1] + 1]
    fy = torch.fft.fftfreq(rows, spacing[0] * shape[0] / rows, dtype=coarse.dtype, device=coarse.device)[:, None]
    fx = torch.arange(half[1] + 1, dtype=coarse.dtype, device=coarse.device)[None] / (spacing[1] * shape[1])
    factor = response(fy, fx)
    if factor is not None:
        spectrum = spectrum * factor
    padded = spectrum.new_zeros(fine[0], half[1] + 1)
    padded[: half[0] + 1] = spectrum[: half[0] + 1]
    padded[fine[0] - half[0] :] = spectrum[rows - half[0] :]
    # Only the window's rows are transformed along x, a cache-full at a time.
    lines = torch.fft.ifft(padded, dim=0)[:: fold[0]][window[0]] * (fine[0] * fine[1] / (rows * columns))
    parts = [torch.fft.irfft(part, n=fine[1], dim=1)[:, :: fold[1]][:, window[1]] for part in lines.split(BLOCK)]
    return torch.cat(parts)
