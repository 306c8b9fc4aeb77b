"""Radii: a plane's samples seen from its axis, each distance once."""

from __future__ import annotations

import torch
from torch import Tensor


def radii(y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the different distances (U,) from the axis of samples y (H,) and x (W,), and the place of each (H W,).

    Of a square grid about the axis an eighth is left. Distances that differ by rounding are one.

    >>> distance, place = radii(torch.tensor([-1.0, 0.0, 1.0]), torch.tensor([0.0, 1.0]))
    >>> distance.tolist(), place.tolist()
    ([0.0, 1.0, 1.41...], [1, 2, 0, 1, 1, 2])
    """
    with torch.no_grad():
        square = y.double().square()[:, None] + x.double().square()
        distance = torch.sqrt(square).flatten()
        # Lags carry the rounding of their own precision, relative to the largest.
        width = float(distance.amax()) * 4 * torch.finfo(x.dtype).eps
        if width == 0.0:
            return distance[:1], torch.zeros(len(distance), dtype=torch.long, device=x.device)
        steps, place = torch.unique(torch.round(distance / width), return_inverse=True)
        return steps * width, place
