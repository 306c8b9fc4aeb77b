"""Coherent modes: a few kernels that stand for a partially coherent source."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.autograd import forward_ad

from exitwave.field import Source, Wave
from exitwave.fourier import Band
from exitwave.grid import fast_length
from exitwave.model import get, paths
from exitwave.optics.window import Window, compiled, compiled_pupil, expose, intensity, pupil_numbers, scale_of

if TYPE_CHECKING:
    from exitwave.optics.objective import Objective

# Sets of kernels that are kept, one for each colour of a microscope or two, and the bytes that they may take.
_KEPT = 6
_BYTES = 1 << 28
# Samples across the band on which the kernels' mixing is found; they are then built on every frequency.
_COARSE = 64
# Rows of the band that plain torch builds at a time.
_ROWS = 32
_cache: OrderedDict[tuple[object, ...], Modes] = OrderedDict()


@dataclass(frozen=True)
class Modes:
    """Kernels (J, n, m) on a band, strongest first: irradiance = sum_j |F^-1{kernel_j T}|^2.

    `loss` bounds what the left-out modes carry: the mean irradiance is off by at most `loss` times the mean of |t|^2.
    `size` is the grid that holds their fields.
    """

    kernels: Tensor
    loss: float
    size: tuple[int, int]

    def irradiance(self, spectra: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return the irradiance on the coarse grid of a wave whose spectra (K, n, m) belong to a grid of `shape`."""
        compiled_kernels = compiled(spectra.real, self.kernels.real)
        if compiled_kernels is None:
            total = spectra.real.new_zeros(())
            for kernel in self.kernels:
                total = total + intensity(spectra * kernel, self.size, shape)
            return total
        total = spectra.real.new_zeros(self.size)
        strength = scale_of(self.size, shape) ** 2
        for spectrum in spectra.detach():
            turned = spectrum.mT.contiguous()
            # The padding stays zero from kernel to kernel.
            columns = turned.new_zeros(len(turned), self.size[0])
            for kernel in self.kernels:
                torch.mul(kernel.mT, turned, out=columns[:, : turned.shape[1]])
                expose(compiled_kernels, total, strength, columns)
        return total


def modes(objective: Objective, wave: Wave, colour: int, source: Source, windows: list[Window], band: Band) -> Modes:
    """Return the strongest `source.kernels` coherent modes of a source seen through an objective.

    The rows b_s(f) = sqrt(w_s) P(f + s) of all source points have the transmission cross coefficient b^H b; its
    eigenvectors are the kernels (Cobb, PhD thesis, Berkeley, 1998: sum of coherent systems). Mixing the rows by a
    unitary matrix leaves the image as it is, so that all modes give Abbe's sum and the strongest the closest one; a
    common factor then gives the empty field its light back.
    They are kept and used again while microscope and grid stay the same. Fixed numbers: no derivative passes them.
    """
    numbers = _numbers(objective, wave, colour, source)
    if any(tensor.requires_grad or forward_ad.unpack_dual(tensor).tangent is not None for tensor in numbers):
        raise ValueError(
            "kernels are fixed and have no derivative by source, pupil or medium, got one of those free; set the "
            'illumination\'s method to "abbe"'
        )
    if not wave.thin:
        raise ValueError(
            "kernels stand for a thin specimen, got a wave that differs with the direction of incidence; set the "
            'illumination\'s method to "abbe"'
        )
    key = (band, wave.canvas.grid.shape, wave.canvas.grid.spacing, source.kernels, type(objective.plate).__name__)
    key = (*key, str(wave.medium.dtype), str(wave.medium.device), *(tuple(n.flatten().tolist()) for n in numbers))
    if key not in _cache:
        with torch.no_grad():
            found = _modes(objective, wave, colour, source, windows, band)
        _keep(key, found)
        return found
    _cache.move_to_end(key)
    return _cache[key]


def _keep(key: tuple[object, ...], found: Modes) -> None:
    """Keep a set of kernels and drop those that were not used for longest, until all fit."""
    _cache[key] = found
    while len(_cache) > _KEPT or sum(kept.kernels.nbytes for kept in _cache.values()) > _BYTES:
        _cache.popitem(last=False)


def _numbers(objective: Objective, wave: Wave, colour: int, source: Source) -> list[Tensor]:
    """Return all numbers that the kernels depend on."""
    optics = [get(objective, path) for path in paths(objective)]
    return [*optics, wave.plane, wave.wavelength[colour], wave.medium[colour], source.direction, source.weight]


def _modes(objective: Objective, wave: Wave, colour: int, source: Source, windows: list[Window], band: Band) -> Modes:
    amplitude = torch.sqrt(source.weight).to(wave.medium)
    fy, fx = band.frequencies(windows[0].step, wave.medium)
    kernels = compiled_pupil(objective, wave, amplitude, *(window.tilt for window in windows))

    def build(fy: Tensor, fx: Tensor, mixing: Tensor | None) -> tuple[Tensor, float]:
        """Return the points' rows or what mixing makes of them, (J, n, m), and by how much its light is off."""
        if kernels is None:
            return _plain(objective, windows, amplitude, fy, fx, mixing)
        return _compiled(kernels, objective, windows, amplitude, fy, fx, mixing)

    # The mixing follows from a sample of the frequencies.
    down, along = (max(1, count // _COARSE) for count in band.shape)
    rows = build(fy[::down], fx[:, ::along], None)[0].flatten(1)
    assert source.kernels is not None
    mixing = _mixing(rows, min(source.kernels, len(windows)))
    straight = build(fy.new_zeros(1, 1), fx.new_zeros(1, 1), None)[0].flatten()
    found, loss = build(fy, fx, mixing * _gain(mixing, rows, straight))
    size = [max(small, fast_length(wide)) for small, wide in zip(windows[0].size, band.shape, strict=True)]
    return Modes(found, loss, (size[0], size[1]))


def _mixing(rows: Tensor, count: int) -> Tensor:
    """Return the orthonormal rows (J, S) that mix points (S, n) to their `count` strongest modes, strongest first."""
    double = rows.to(torch.complex128)
    _, vectors = torch.linalg.eigh(double @ double.conj().T)
    return vectors[:, -count:].flip(-1).conj().T.to(rows.dtype)


def _gain(mixing: Tensor, rows: Tensor, straight: Tensor) -> float:
    """Return what keeps the empty field as bright as all points (S,) make it that are sent `straight` through.

    Truncation takes a few per cent of it. A field that is nearly dark beside the brightest of the frequencies, `rows`
    (S, n), has nothing to keep, and neither has one of which most is lost.
    """
    light, kept = (float(part.abs().square().sum()) for part in (straight, mixing @ straight))
    brightest = float(rows.abs().square().sum(0).amax())
    return math.sqrt(light / kept) if light > 0.1 * brightest and kept > 0.5 * light else 1.0


def _plain(
    objective: Objective, windows: list[Window], amplitude: Tensor, fy: Tensor, fx: Tensor, mixing: Tensor | None
) -> tuple[Tensor, float]:
    """Return what `_modes` builds, a few rows at a time."""
    parts, loss = [], 0.0
    for some in fy.split(_ROWS):
        pupils = [window.kernel(objective, some + window.tilt[0], fx + window.tilt[1]) for window in windows]
        rows = amplitude[:, None, None] * torch.stack(pupils)
        if mixing is not None:
            light = rows.abs().square().sum(0)
            rows = torch.einsum("js,snm->jnm", mixing, rows)
            loss = max(loss, float((light - rows.abs().square().sum(0)).abs().amax()))
        parts.append(rows)
    return torch.cat(parts, 1), loss


def _compiled(
    kernels: ModuleType,
    objective: Objective,
    windows: list[Window],
    amplitude: Tensor,
    fy: Tensor,
    fx: Tensor,
    mixing: Tensor | None,
) -> tuple[Tensor, float]:
    """Return what `_modes` builds, columns side by side in memory as the inverse transform wants them."""
    window = windows[0]
    count = len(windows) if mixing is None else len(mixing)
    found = torch.empty(count, fx.numel(), fy.numel(), dtype=torch.complex64)
    loss = kernels.modes(
        rows=fx.flatten().contiguous(),
        columns=fy.flatten().contiguous(),
        tilt=torch.stack([window.tilt.flip(0) for window in windows]).double(),
        amplitude=amplitude,
        step=window.step,
        mixing=None if mixing is None else torch.view_as_real(mixing.resolve_conj().contiguous()),
        field=torch.view_as_real(found),
        threads=torch.get_num_threads(),
        **pupil_numbers(objective, window.wave, window.colour),
    )
    return found.mT, loss
