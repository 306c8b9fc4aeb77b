"""Colours as cameras see them."""

from __future__ import annotations

import torch
from torch import Tensor

from exitwave.quantity import Numeric

# Peak and standard deviation in micrometres of the red, green and blue channel: smooth bumps through the measured
# sensitivities of many cameras with their infrared filters (J. Jiang, D. Liu, J. Gu, S. Susstrunk, "What is the space
# of spectral sensitivity functions for digital color cameras?", IEEE WACV 2013).
_BUMPS = ((0.600, 0.030), (0.540, 0.033), (0.460, 0.026))
# What a filter lets through beside its bump, so that no channel is blind anywhere.
_LEAK = 0.01


def camera_rgb(wavelength: Numeric) -> Tensor:
    """Return the relative response (3, L) of a typical colour camera's red, green and blue at vacuum wavelengths in um.

    It is the `response` of a sensor under a source of these wavelengths. Every channel peaks at 1.

    >>> camera_rgb([0.46, 0.535, 0.6]).argmax(-1)
    tensor([2, 1, 0])
    """
    given = torch.atleast_1d(torch.as_tensor(wavelength, dtype=torch.float64))
    if given.ndim != 1 or not bool(((given > 0.38) & (given < 0.78)).all()):
        raise ValueError(
            f"expected a list of visible wavelengths, 0.38 to 0.78 um, got {wavelength!r:.60}; pass micrometres"
        )
    peak, width = torch.tensor(_BUMPS, dtype=torch.float64, device=given.device).T[:, :, None]
    return _LEAK + (1.0 - _LEAK) * torch.exp(-0.5 * ((given - peak) / width) ** 2)
