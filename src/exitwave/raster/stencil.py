"""Stencils: smooth bumps that stand for points on a grid, and envelopes, which say how smooth they must be."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from scipy.special import i0

# Samples of a stencil along an axis: what the kernels are made for.
WIDTHS = range(4, 17)
# Derivatives may be off by that much more than images: ten times.
SLOPE = 0.1
# Envelopes are known from the middle of the band to its corners, at |f| / cut-off = 0 ... sqrt 3.
FARTHEST = math.sqrt(3)
Envelope = tuple[float, ...]
"""The largest share of a wave that is seen, from 1 to 0, evenly from the middle of a band to its corners."""
FLAT: Envelope = (1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Stencil:
    """A bump that is `width` samples wide and the same on every axis.

    Sample j of those around a point is sum_p coefficients[p, j] z^p, where z runs from -1 to 1 as the stencil's first
    sample moves from width / 2 before the point to one sample less.
    """

    coefficients: np.ndarray

    @property
    def width(self) -> int:
        return self.coefficients.shape[1]

    def transform(self, frequency: np.ndarray) -> np.ndarray:
        """Return the integral of the stencil times cos(2 pi f t) at frequencies f in cycles per sample."""
        # Exact for these polynomials times as many waves as a cell can hold.
        node, weight = np.polynomial.legendre.leggauss(32)
        place = np.arange(self.width)[:, None] - self.width / 2 + (node + 1) / 2
        value = np.polynomial.polynomial.polyval(node, self.coefficients) * weight / 2
        return np.cos(2 * np.pi * np.multiply.outer(frequency, place.ravel())) @ value.ravel()


@functools.lru_cache(64)
def stencil_for(ratio: float, rtol: float, envelope: Envelope, rounding: float) -> Stencil:
    """Return the narrowest stencil that is off by less than `rtol` on a grid of `ratio` samples per frequency."""
    best, least = _bump(WIDTHS[0], 1.0), math.inf
    for width in WIDTHS:
        for stretch in (0.92, 0.96, 1.0, 1.05):
            one = _bump(width, math.pi * width * (1 - 0.5 / ratio) * stretch)
            error = _error(one, ratio, envelope, rounding)
            if error < least:
                best, least = one, error
        if least <= rtol:
            break
    return best


def _error(stencil: Stencil, ratio: float, envelope: Envelope, rounding: float) -> float:
    """Return the relative error of an image of points on a grid of `ratio` samples per frequency.

    Waves beyond the grid are taken for waves in the band, and rounding grows where the stencil's transform is small.
    Derivatives by positions, which see the faster waves more, may be off by ten times as much.
    """
    share = np.linspace(0, 1, 33)
    frequency = 0.5 * share / ratio
    seen = np.interp(share, np.linspace(0, FARTHEST, len(envelope)), envelope)
    own = stencil.transform(frequency)
    square = (rounding * own[0] / own) ** 2
    square_of_slope = (rounding * own[0] / own * frequency) ** 2
    for number in (-2, -1, 1, 2):
        other = (stencil.transform(frequency + number) / own) ** 2
        square += other
        square_of_slope += other * (frequency + number) ** 2
    error = (seen**2 * square).sum() / (seen**2).sum()
    # Of an image that the same microscope has seen.
    error_of_slope = (seen**4 * square_of_slope).sum() / (seen**4 * frequency**2).sum()
    # The three axes' errors add up.
    return math.sqrt(3 * max(error, SLOPE**2 * error_of_slope))


@functools.lru_cache(256)
def _bump(width: int, sharpness: float) -> Stencil:
    """Return I_0(b sqrt(1 - (2t/width)^2)) - 1, which is 0 at its ends, as a polynomial in every cell.

    Kaiser and Bessel's window (Kaiser and Schafer, IEEE Trans. ASSP 28, 105, 1980) less the step at its ends, where
    derivatives would miss it.
    """
    degree = min(width + 6, 20)
    node = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    place = np.arange(width) - width / 2 + (node[:, None] + 1) / 2
    root = np.sqrt(np.maximum(1 - (2 * place / width) ** 2, 0.0))
    value = (i0(sharpness * root) - 1) / (i0(sharpness) - 1)
    chebyshev = np.polynomial.chebyshev.chebfit(node, value, degree)
    return Stencil(np.stack([np.polynomial.chebyshev.cheb2poly(column) for column in chebyshev.T], -1))
