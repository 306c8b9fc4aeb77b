"""Zernike polynomials in Noll's order."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def noll(j: int) -> tuple[int, int]:
    """Return the radial order n and azimuthal frequency m of Noll's index j >= 1; m < 0 marks sines.

    Noll, J. Opt. Soc. Am. 66, 207 (1976): even j are cosines, odd j sines.

    >>> [noll(j) for j in (1, 4, 5, 8, 11)]
    [(0, 0), (2, 0), (2, -2), (3, 1), (4, 0)]
    """
    n = int((math.sqrt(8 * j - 7) - 1) / 2)
    place = j - n * (n + 1) // 2 - 1
    m = 2 * ((place + 1) // 2) if n % 2 == 0 else 2 * (place // 2) + 1
    return n, m if j % 2 == 0 else -m


def steepness(j: int) -> float:
    """Return a bound of the slope of Noll's polynomial j over the unit disk, per radius: that at its rim.

    >>> round(steepness(11), 3)
    26.833
    """
    n, m = noll(j)
    along = (n * (n + 2) - m * m) / 2
    return math.sqrt((n + 1) * (2 if m else 1)) * math.hypot(along, m)


def zernike(j: int, y: Tensor, x: Tensor) -> Tensor:
    """Return Noll's polynomial j at pupil coordinates (y, x), normalised to unit variance over the unit disk.

    Written in powers of y and x, not in angles, so that derivatives are finite at the centre.
    """
    n, signed = noll(j)
    m = abs(signed)
    square = y * y + x * x
    radial = torch.zeros_like(square)
    for k in range((n - m) // 2 + 1):
        factor = (-1) ** k * math.comb(n - k, k) * math.comb(n - 2 * k, (n - m) // 2 - k)
        radial = radial + factor * square ** ((n - m) // 2 - k)
    cosine, sine = torch.ones_like(square), torch.zeros_like(square)
    for _ in range(m):
        cosine, sine = cosine * x - sine * y, sine * x + cosine * y
    if m == 0:
        return math.sqrt(n + 1) * radial
    return math.sqrt(2 * (n + 1)) * radial * (cosine if signed > 0 else sine)
