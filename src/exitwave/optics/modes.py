"""Coherent modes: a few kernels that stand for a partially coherent source."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.autograd import forward_ad

from exitwave.field import Source, Wave
from exitwave.fourier import Band
from exitwave.grid import fast_length
from exitwave.model import get, paths
from exitwave.optics.window import Window, intensity

if TYPE_CHECKING:
    from exitwave.optics.objective import Objective

# Sets of kernels that are kept: one for each colour of a microscope or two.
_KEPT = 6
# Samples across the band on which the kernels' mixing is found; they are then built on every frequency.
_COARSE = 96
_cache: OrderedDict[tuple[object, ...], Modes] = OrderedDict()


@dataclass(frozen=True)
class Modes:
    """Kernels (J, n, m) on a band, strongest first: irradiance = sum_j |F^-1{kernel_j T}|^2.

    `loss` bounds what the left-out modes carry: the mean irradiance that is missing is at most `loss` times the mean
    of |t|^2. `size` is the grid that holds their fields.
    """

    kernels: Tensor
    loss: float
    size: tuple[int, int]

    def irradiance(self, spectra: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return the irradiance on the coarse grid of a wave whose spectra (K, n, m) belong to a grid of `shape`."""
        total = spectra.real.new_zeros(())
        for kernel in self.kernels:
            total = total + intensity(spectra * kernel, self.size, shape)
        return total


def modes(objective: Objective, wave: Wave, colour: int, source: Source, windows: list[Window], band: Band) -> Modes:
    """Return the strongest `source.kernels` coherent modes of a source seen through an objective.

    The rows b_s(f) = sqrt(w_s) P(f + s) of all source points have the transmission cross coefficient b^H b; its
    eigenvectors are the kernels (Cobb, PhD thesis, Berkeley, 1998: sum of coherent systems). Mixing the rows by a
    unitary matrix leaves the image as it is, so that all modes give Abbe's sum and the strongest the closest one.
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
            _cache[key] = _modes(objective, wave, colour, source, windows, band)
        while len(_cache) > _KEPT:
            _cache.popitem(last=False)
    _cache.move_to_end(key)
    return _cache[key]


def _numbers(objective: Objective, wave: Wave, colour: int, source: Source) -> list[Tensor]:
    """Return all numbers that the kernels depend on."""
    optics = [get(objective, path) for path in paths(objective)]
    return [*optics, wave.plane, wave.wavelength[colour], wave.medium[colour], source.direction, source.weight]


def _modes(objective: Objective, wave: Wave, colour: int, source: Source, windows: list[Window], band: Band) -> Modes:
    fy, fx = band.frequencies(windows[0].step, wave.medium)
    amplitude = torch.sqrt(source.weight).to(wave.medium)

    def rows(fy: Tensor, fx: Tensor) -> Tensor:
        """Return b (S, n, m) at frequencies of the band."""
        found = [window.kernel(objective, fy + window.tilt[0], fx + window.tilt[1]) for window in windows]
        return amplitude[:, None, None] * torch.stack(found)

    # The mixing follows from a sample of the frequencies.
    stride = max(1, min(band.shape) // _COARSE)
    coarse = rows(fy[::stride], fx[:, ::stride]).flatten(1)
    _, vectors = torch.linalg.eigh(coarse @ coarse.conj().T)
    assert source.kernels is not None
    count = min(source.kernels, len(windows))
    mixing = vectors[:, -count:].flip(-1).conj().T
    loss = 0.0
    kernels = coarse.new_empty(count, *band.shape)
    for some in torch.arange(band.shape[0]).split(32):
        block = rows(fy[some], fx)
        kernels[:, some] = (mixing @ block.flatten(1)).reshape(count, *block.shape[1:])
        left = block.abs().square().sum(0) - kernels[:, some].abs().square().sum(0)
        loss = max(loss, float(left.amax()))
    size = [max(small, fast_length(wide)) for small, wide in zip(windows[0].size, band.shape, strict=True)]
    return Modes(kernels, loss, (size[0], size[1]))
